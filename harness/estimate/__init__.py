"""Estimate latency where no phone is attached."""

from harness.estimate.model import Breakdown, break_down, estimate, estimate_graph

__all__ = ["Breakdown", "break_down", "estimate", "estimate_graph"]

"""Estimate latency where no phone is attached."""

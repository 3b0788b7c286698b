"""Find the op at which a variant's pixels go wrong, and say why."""

from harness.culprit.matching import pair_tensors
from harness.culprit.report import lines
from harness.culprit.search import TOLERANCE_DB, OpDistance, Run, Search, search

__all__ = ["TOLERANCE_DB", "OpDistance", "Run", "Search", "lines", "pair_tensors", "search"]

"""Faults planted on purpose: each must be seen, and nothing else."""

"""Faults and inputs made on purpose: each must be seen, end in a clear error, and nothing else."""

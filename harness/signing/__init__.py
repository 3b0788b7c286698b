"""Signed runs: what a signature speaks for, its envelope, and what has changed since."""

"""Estimate latency where no phone is attached.

Nothing is imported here: the process of the vendor's estimator starts with what it needs.
"""

"""Tests of the host stacks."""

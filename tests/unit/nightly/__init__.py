"""Tests of the parts of a night."""

"""Tests of signed runs."""

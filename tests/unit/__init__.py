"""Unit tests; the folders mirror `harness/`."""

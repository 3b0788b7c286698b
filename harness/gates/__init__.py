"""Hold the product: the tests that `pytest --device=NAME` runs."""

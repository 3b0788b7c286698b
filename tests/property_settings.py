"""Set how hard Hypothesis looks; imported by the conftest.py of each folder of tests."""

from hypothesis import settings

settings.register_profile("harness", max_examples=30, deadline=None)
settings.load_profile("harness")

"""Name the one warning that Keras itself gives with NumPy 2."""

import pytest

ARRAY_COPY = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)
"""Keras 3 hands TensorFlow variables to NumPy the old way."""

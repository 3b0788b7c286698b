"""Restoration networks written with `keras.ops`, so that any Keras 3 back end can train them."""

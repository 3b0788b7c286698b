"""Be the pytest plugin."""

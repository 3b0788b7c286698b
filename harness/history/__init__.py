"""Keep what runs found over time, and say how well a rule finds changes in it."""

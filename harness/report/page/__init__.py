"""Draw runs as one HTML page that holds all it needs and asks no server for anything."""

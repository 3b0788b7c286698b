"""Small graphs that GPU and NPU drivers are known to compute wrongly, run on a phone."""

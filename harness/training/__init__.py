"""Training: photographs with simulated camera shake, or REDS, and a resumable loop."""

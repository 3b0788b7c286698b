"""Timing on a phone: TFLite's benchmark tool, its runs and what is made of them."""

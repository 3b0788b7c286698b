"""Compression: exported variants of a trained network, each checked against its FP32 parent."""

"""Test on-device image-restoration models against the phones they ship to."""

__version__ = "0.1.0"

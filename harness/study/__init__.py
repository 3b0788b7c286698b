"""Reproduce the tables of the paper on our subjects, and hold its claims against them.

Quality comes from each subject's `provenance.json` (held-out frames, measured when the variant was
built); placement and latency from the emulated phones. Nothing is trained or exported here.

Source: "Deploying Image Deblurring across Mobile Devices: A Perspective of Quality and Latency",
CVPRW 2020 (arXiv:2004.12599).
"""

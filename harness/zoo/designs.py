"""The designs that subjects are built from, by name."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping

import keras

from harness.zoo.carn import carn
from harness.zoo.dbpn import dbpn
from harness.zoo.edsr import edsr
from harness.zoo.falsr import falsr
from harness.zoo.fpn import fpn
from harness.zoo.imdn import imdn
from harness.zoo.layers import Activation, Upsampling
from harness.zoo.rdn import rdn
from harness.zoo.sgn import sgn
from harness.zoo.unet import unet

Build = Callable[..., keras.Model]  # takes size_px=(height, width) or None

OP_GRID: Mapping[str, Build] = {
    f"unet_{upsampling}_{activation}": functools.partial(
        unet, upsampling=upsampling, activation=activation
    )
    for upsampling in Upsampling
    for activation in Activation
}
"""UNet with each upsampling and activation, for trainings of one and the same budget.

`unet_resize_bilinear_prelu` is the design of `deblur_unet`, which is trained longer.
"""

DESIGNS: Mapping[str, Build] = {
    "deblur_unet": unet,
    "deblur_fpn": fpn,
    "deblur_edsr": edsr,
    "deblur_rdn": rdn,
    "deblur_dbpn": dbpn,
    "deblur_sgn": sgn,
    "deblur_imdn": imdn,
    "deblur_carn": carn,
    "deblur_falsr": falsr,
    **OP_GRID,
}
"""Every design, each in its `small` size."""

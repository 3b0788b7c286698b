"""The designs that subjects are built from, by name."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping

import keras

from harness.zoo import dbpn, edsr, fpn, rdn, sgn, unet
from harness.zoo.carn import carn
from harness.zoo.falsr import falsr
from harness.zoo.imdn import imdn
from harness.zoo.layers import Activation, Upsampling

Build = Callable[..., keras.Model]  # takes size_px=(height, width) or None

OP_GRID: Mapping[str, Build] = {
    f"unet_{upsampling}_{activation}": functools.partial(
        unet.unet, upsampling=upsampling, activation=activation
    )
    for upsampling in Upsampling
    for activation in Activation
} | {
    "unet_resize_bilinear_relu": functools.partial(
        unet.unet,
        upsampling=Upsampling.RESIZE_BILINEAR,
        activation=Activation.RELU,
        head_gain=0.01,
    )
}
"""UNet with each upsampling and activation, for trainings of one and the same budget.

With RESIZE_BILINEAR and ReLU all eight channels before the head died in the first steps, with
seeds 1 and 2; that one starts with a smaller head.

`unet_resize_bilinear_prelu` is the design of `deblur_unet`, which is trained longer.
"""

DESIGNS: Mapping[str, Build] = {
    "deblur_unet": unet.unet,
    "deblur_fpn": fpn.fpn,
    "deblur_edsr": edsr.edsr,
    "deblur_rdn": rdn.rdn,
    "deblur_dbpn": dbpn.dbpn,
    "deblur_sgn": sgn.sgn,
    "deblur_imdn": imdn,
    "deblur_carn": carn,
    "deblur_falsr": falsr,
    **OP_GRID,
}
"""Every design, each in its `small` size: those of the study have equal MACs within 2 %."""

PAPER_DESIGNS: Mapping[str, Build] = {
    "deblur_unet": functools.partial(unet.unet, size=unet.PAPER),
    "deblur_fpn": functools.partial(fpn.fpn, size=fpn.PAPER),
    "deblur_edsr": functools.partial(edsr.edsr, size=edsr.PAPER),
    "deblur_rdn": functools.partial(rdn.rdn, size=rdn.PAPER),
    "deblur_dbpn": functools.partial(dbpn.dbpn, size=dbpn.PAPER),
    "deblur_sgn": functools.partial(sgn.sgn, size=sgn.PAPER),
}
"""The six architectures in their `paper` size: 250 GMAC at 1280x720, within 2 %."""

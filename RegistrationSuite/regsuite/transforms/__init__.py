"""Transforms from fixed to moving points, under one contract."""

from regsuite.transforms.affine import Affine, identity
from regsuite.transforms.base import Transform
from regsuite.transforms.chain import Chain
from regsuite.transforms.displacement import DisplacementField
from regsuite.transforms.velocity import StationaryVelocity, TimeVelocity
from regsuite.transforms.warp import warp_image, warp_labels, warp_points

__all__ = [
    "Affine",
    "Chain",
    "DisplacementField",
    "StationaryVelocity",
    "TimeVelocity",
    "Transform",
    "identity",
    "warp_image",
    "warp_labels",
    "warp_points",
]

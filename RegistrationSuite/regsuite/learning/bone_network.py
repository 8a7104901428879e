"""Segmentation by a U-Net of MONAI that was trained elsewhere, whose shape is read off its weights.

MONAI's ``UNet``: Kerfoot E. et al.: Left-ventricle quantification using residual U-Net. STACOM 2018, LNCS 11395:371.
Its weights tell the dimensions, the channels of every level, how many residual units there are, and which normalisation
of MONAI's two usual ones it has: batch, or instance without parameters of its own. What they do not tell is taken as
MONAI has it by default: strides are 2, activations without a parameter are ReLU.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from regsuite.errors import InputError
from regsuite.learning.checkpoint import Checkpoint
from regsuite.learning.tidying import tidied
from regsuite.spatial.image import Image

_WINDOW = 96
"""Voxels, of a volume that is looked at in windows."""
_OVERLAP = 0.25
_DEEPEST = 12
_NESTED = "1.submodule."
"""What MONAI puts before the names of the next level."""


@dataclass(frozen=True)
class BoneNetwork:
    """dimensions: 2 or 3; channels: maps it takes; labels: how many it tells from the background; step: shapes it takes
    are multiples of that."""

    net: nn.Module
    dimensions: int
    channels: int
    labels: int
    step: int

    def segment(self, image: Image, device: str = "cpu", *, around_axis: bool = False) -> np.ndarray:
        """(*shape) int32: 0, or the number of the label, of an image with as many channels as the network takes.

        Each channel gets mean 0 and standard deviation 1 over what is not 0 (MONAI's NormalizeIntensity with nonzero
        and channel_wise); a picture is seen whole, a volume in overlapping windows of 96 voxels. Several outputs are
        taken as softmax with the background first, a single one as a sigmoid. Voxels are not resampled: they should be
        as large as those the network was trained with. Tidied as :func:`regsuite.learning.tidying.tidied` tells.
        """
        from monai.inferers import SlidingWindowInferer
        from monai.transforms import NormalizeIntensity

        pixels = image.data[0]
        spacing = image.grid.spacing
        if self.dimensions == 2 and image.grid.dim == 3:
            pixels, spacing = pixels[:, 0], spacing[1:]
        window = [self._up(n) if self.dimensions == 2 else self._up(min(n, _WINDOW)) for n in pixels.shape[1:]]
        evened = torch.as_tensor(NormalizeIntensity(nonzero=True, channel_wise=True)(torch.nan_to_num(pixels).float()))
        with torch.no_grad():
            net = self.net.to(device)
            look = SlidingWindowInferer(window, overlap=_OVERLAP, mode="gaussian", device="cpu", sw_device=device)
            found = look(evened[None], net)[0]
        whole = torch.cat([1 - found.sigmoid(), found.sigmoid()]) if len(found) == 1 else found.softmax(dim=0)
        labels = tidied(whole.numpy(), spacing, middle=around_axis)
        return labels.reshape(image.grid.shape)

    def _up(self, count: int) -> int:
        return -(-count // self.step) * self.step


def bone_network(weights: Checkpoint) -> BoneNetwork:
    """InputError where the weights are not those of such a network."""
    from monai.networks.nets import UNet

    named = dict(weights.weights)
    try:
        channels, units, kernel, last = _read_off(named)
        dimensions, norm = named[kernel].ndim - 2, _norm_of(named)
        activation = "PRELU" if any(".adn.A.weight" in name for name in named) else "RELU"
        net = UNet(
            spatial_dims=dimensions,
            in_channels=int(named[kernel].shape[1]),
            out_channels=last,
            channels=channels,
            strides=(2,) * (len(channels) - 1),
            kernel_size=tuple(named[kernel].shape[2:]),
            num_res_units=units,
            norm=norm,
            act=activation,
            bias=kernel.replace("weight", "bias") in named,
        )
        net.load_state_dict(named)
    except (KeyError, IndexError, ValueError, TypeError, RuntimeError):
        raise InputError(
            f"The weights '{weights.card.get('file', '')}' are not those of a UNet of MONAI, in 2D or 3D, with batch "
            "or instance normalisation: give the state_dict of such a network."
        ) from None
    return BoneNetwork(net.eval(), dimensions, int(named[kernel].shape[1]), max(1, last - 1), 2 ** (len(channels) - 1))


def _read_off(named: Mapping[str, Tensor]) -> tuple[tuple[int, ...], int, str, int]:
    """Channels of every level, residual units of each, the name of the first kernel, and how many outputs."""
    residual = "model.0.conv.unit0.conv.weight" in named
    kernel = "conv.unit0.conv.weight" if residual else "conv.weight"
    channels: list[int] = []
    prefix = "model."
    while f"{prefix}0.{kernel}" in named and len(channels) < _DEEPEST:
        channels.append(int(named[f"{prefix}0.{kernel}"].shape[0]))
        prefix += _NESTED
    channels.append(int(named[f"{prefix}{kernel}"].shape[0]))
    units = sum(f"model.0.conv.unit{number}.conv.weight" in named for number in range(_DEEPEST))
    up = named["model.2.0.conv.weight" if residual else "model.2.conv.weight"]
    return tuple(channels), units, f"model.0.{kernel}", int(up.shape[1])


def _norm_of(named: Mapping[str, Tensor]) -> str:
    return "BATCH" if any(".adn.N.running_mean" in name for name in named) else "INSTANCE"

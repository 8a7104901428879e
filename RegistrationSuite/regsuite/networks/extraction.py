"""The network that tells an atlas's tissue from what else a section shows: skull, muscle, skin.

A U-Net (Ronneberger et al. 2015, doi 10.1007/978-3-319-24574-4_28) with residual units, from MONAI.
"""

from __future__ import annotations

from monai.networks.nets import UNet
from torch import Tensor, nn

_CHANNELS = (16, 32, 64, 128)


class TissueExtractor(nn.Module):
    """Pictures (B, 1, H, W), as :mod:`regsuite.learning.pictures` evens them out, to logits (B, 1, H, W): above 0 where
    they show the atlas's tissue. H and W: multiples of 8."""

    def __init__(self) -> None:
        super().__init__()
        strides = (2,) * (len(_CHANNELS) - 1)
        self.unet = UNet(
            spatial_dims=2,
            in_channels=1,
            out_channels=1,
            channels=_CHANNELS,
            strides=strides,
            num_res_units=1,
            norm="batch",
        )

    def forward(self, pictures: Tensor) -> Tensor:
        """Logits."""
        return self.unet(pictures)

"""The network that sections and plates share: S_θ takes a picture I (H x W) to an embedding h in R^L.

A ResNet (He et al. 2016) keeps a coarse layout of what it saw, 3 x 4 cells, so that what stands where is not averaged
away, and a perceptron with one hidden layer makes the embedding of it. A second one of the same kind says how the
picture was cut, in the units of :func:`regsuite.learning.training.scales`.

Source: Antanavicius et al., WBIR 2022, Fig. 3.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from monai.networks.nets import ResNet
from torch import Tensor, nn

Backbone = Literal["resnet10-narrow", "resnet18", "resnet34", "resnet50"]
OF_TORCHVISION: tuple[Backbone, ...] = ("resnet18", "resnet34", "resnet50")
"""Those that torchvision has too, with weights that were learned of photographs (ImageNet)."""

LENGTH = 64
"""L, of an embedding."""
POSED = 7
"""Numbers the pose head says: depth, pitch, yaw, rotation, scale, and two shifts."""
_CELLS = (3, 4)
_HIDDEN = 256
_WIDTHS = (64, 128, 256, 512)
_BACKBONES: dict[str, tuple[str, tuple[int, ...], tuple[int, ...]]] = {
    "resnet10-narrow": ("basic", (1, 1, 1, 1), (32, 64, 128, 256)),
    "resnet18": ("basic", (2, 2, 2, 2), _WIDTHS),
    "resnet34": ("basic", (3, 4, 6, 3), _WIDTHS),
    "resnet50": ("bottleneck", (3, 4, 6, 3), _WIDTHS),
}


class SliceEncoder(nn.Module):
    """Pictures (B, 1, H, W), as :mod:`regsuite.learning.pictures` evens them out, to embeddings and poses."""

    def __init__(self, backbone: Backbone = "resnet10-narrow") -> None:
        super().__init__()
        block, layers, widths = _BACKBONES[backbone]
        self.backbone = backbone
        self.resnet = ResNet(
            block=block,
            layers=list(layers),
            block_inplanes=list(widths),
            spatial_dims=2,
            n_input_channels=1,
            conv1_t_size=7,
            conv1_t_stride=2,
            feed_forward=False,
            bias_downsample=False,
        )
        self.resnet.avgpool = nn.Sequential(nn.AdaptiveAvgPool2d(_CELLS), nn.Flatten())
        features = self.resnet.in_planes * _CELLS[0] * _CELLS[1]
        self.embedding = _perceptron(features, LENGTH)
        self.pose = _perceptron(features, POSED)

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Embeddings (B, 64) and poses (B, 7)."""
        features = self.resnet(pictures)
        return self.embedding(features), self.pose(features)

    def take_imagenet(self, weights: Mapping[str, Tensor]) -> int:
        """Start from a ResNet that knows photographs; how many tensors were taken, counters of batches aside.

        weights: a state_dict with torchvision's names. The three colours of the first layer are added up.
        ValueError, and nothing is taken, where it is of another network.
        """
        own = {name: value.shape for name, value in _counted(self.resnet.state_dict()).items()}
        grey = {
            name: value.sum(1, keepdim=True) if name == "conv1.weight" and value.ndim == 4 else value
            for name, value in _counted(weights).items()
            if not name.startswith("fc.")
        }
        if {name: value.shape for name, value in grey.items()} != own:
            raise ValueError(f"the weights are not those of {self.backbone}")
        self.resnet.load_state_dict(grey, strict=False)
        return len(grey)


def _counted(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value for name, value in state.items() if not name.endswith("num_batches_tracked")}


def _perceptron(features: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(features, _HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, outputs))

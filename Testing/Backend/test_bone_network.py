"""A U-Net of MONAI that a user brings is known by its weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.networks.nets import UNet
from regsuite.errors import InputError
from regsuite.learning.bone_network import bone_network
from regsuite.learning.checkpoint import Checkpoint
from regsuite.learning.weights import read_weights
from regsuite.spatial import Grid, Image


def unet(**other: Any) -> UNet:
    torch.manual_seed(0)
    usual: dict[str, Any] = {"spatial_dims": 2, "in_channels": 1, "out_channels": 2, "channels": (4, 8, 16)}
    return UNet(**{**usual, "strides": (2, 2), **other})


def of(net: UNet) -> Checkpoint:
    return Checkpoint(net.state_dict(), {"file": "femur.pt"})


@pytest.mark.parametrize(
    "other",
    [
        {},
        {"num_res_units": 2, "norm": "batch", "in_channels": 4, "out_channels": 3},
        {"num_res_units": 1, "act": "relu", "out_channels": 1},
        {"spatial_dims": 3, "channels": (4, 8), "strides": (2,), "num_res_units": 2},
    ],
)
def test_it_computes_what_the_network_computed(other: dict[str, Any]) -> None:
    net = unet(**other).eval()
    read = bone_network(of(net))
    picture = torch.randn(1, read.channels, *(16,) * read.dimensions)
    assert torch.equal(read.net(picture), net(picture))
    assert read.labels == max(1, other.get("out_channels", 2) - 1)


def bright(net: UNet) -> UNet:
    """Weights that tell what is bright from what is not: the last layer passes on what it can."""
    optimiser = torch.optim.Adam(net.parameters(), 0.02)
    shape = (32,) * net.dimensions
    generator = torch.Generator().manual_seed(1)
    for _ in range(60):
        corner = torch.randint(4, 14, (net.dimensions,), generator=generator).tolist()
        truth = torch.zeros(1, *shape, dtype=torch.long)
        truth[(0, *(slice(start, start + 12) for start in corner))] = 1
        picture = truth[None].float() + 1
        picture = (picture - picture.mean()) / picture.std()
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(net(picture), truth).backward()
        optimiser.step()
    return net


@pytest.mark.parametrize(("dimensions", "shape"), [(2, (1, 45, 50)), (3, (45, 33, 50))])
def test_it_segments_a_picture_and_a_volume_of_any_size(
    dimensions: int, shape: tuple[int, ...], tmp_path: Path
) -> None:
    torch.save(bright(unet(spatial_dims=dimensions)).state_dict(), tmp_path / "bone.pt")
    truth = np.zeros(shape, bool)
    truth[:, 10:26, 18:32] = True
    if dimensions == 3:
        truth[:10] = truth[30:] = False
    image = Image.from_array(1000.0 * (truth + 1), Grid.regular(shape, 1.0))
    found = bone_network(read_weights(tmp_path / "bone.pt")).segment(image)
    assert found.shape == shape
    assert 2 * (truth & (found > 0)).sum() / (truth.sum() + (found > 0).sum()) > 0.9


@pytest.mark.parametrize(
    "weights",
    [
        {"layer.weight": torch.zeros(3, 3)},
        unet(norm=("group", {"num_groups": 2})).state_dict(),
        {**unet().state_dict(), "more": torch.zeros(1)},
        {name: value for name, value in unet().state_dict().items() if "submodule.1" not in name},
    ],
)
def test_other_weights_are_refused_in_a_sentence(weights: dict[str, torch.Tensor]) -> None:
    with pytest.raises(InputError, match=r"'femur.pt' are not those of a UNet of MONAI"):
        bone_network(Checkpoint(weights, {"file": "femur.pt"}))

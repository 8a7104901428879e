"""The encoder of sections: its shapes, and starting from what knows photographs."""

from __future__ import annotations

import itertools

import pytest
import torch
from regsuite.learning.pictures import SHAPE
from regsuite.networks.siamese import LENGTH, POSED, Backbone, SliceEncoder
from torch import Tensor

BACKBONES: tuple[Backbone, ...] = ("resnet10-narrow", "resnet18", "resnet34", "resnet50")
LAYERS = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3), "resnet50": (3, 4, 6, 3)}


def imagenet(name: str) -> dict[str, Tensor]:
    """Random weights with the names and shapes of torchvision's ResNets (He et al. 2016, table 1)."""
    expansion = 4 if name == "resnet50" else 1
    shapes: dict[str, tuple[int, ...]] = {"conv1.weight": (64, 3, 7, 7), **norm("bn1", 64)}
    came = 64
    for stage, (count, width) in enumerate(zip(LAYERS[name], (64, 128, 256, 512), strict=True), start=1):
        for block in range(count):
            at, out = f"layer{stage}.{block}", width * expansion
            widths = (came, width, width, out) if expansion == 4 else (came, width, width)
            sides = (1, 3, 1) if expansion == 4 else (3, 3)
            for number, ((before, after), side) in enumerate(zip(itertools.pairwise(widths), sides, strict=True), 1):
                shapes |= {f"{at}.conv{number}.weight": (after, before, side, side), **norm(f"{at}.bn{number}", after)}
            if block == 0 and came != out:
                shapes |= {f"{at}.downsample.0.weight": (out, came, 1, 1), **norm(f"{at}.downsample.1", out)}
            came = out
    shapes |= {"fc.weight": (1000, came), "fc.bias": (1000,)}
    generator = torch.Generator().manual_seed(0)
    return {key: torch.rand(shape, generator=generator) for key, shape in shapes.items()}


def norm(name: str, width: int) -> dict[str, tuple[int, ...]]:
    parts = ("weight", "bias", "running_mean", "running_var")
    return {f"{name}.{part}": (width,) for part in parts} | {f"{name}.num_batches_tracked": ()}


class TestShapes:
    @pytest.mark.parametrize("backbone", BACKBONES)
    def test_every_backbone_says_an_embedding_and_a_pose(self, backbone: Backbone) -> None:
        encoder = SliceEncoder(backbone).eval()
        with torch.no_grad():
            embeddings, poses = encoder(torch.rand(2, 1, *SHAPE))
        assert encoder.backbone == backbone
        assert embeddings.shape == (2, LENGTH) == (2, 64)
        assert poses.shape == (2, POSED) == (2, 7)

    def test_everything_learns(self) -> None:
        torch.manual_seed(0)
        encoder = SliceEncoder()
        embeddings, poses = encoder(torch.rand(3, 1, *SHAPE))
        (embeddings.square().mean() + poses.square().mean()).backward()
        assert all(each.grad is not None and bool(each.grad.any()) for each in encoder.parameters())

    def test_what_stands_where_is_told_apart(self) -> None:
        torch.manual_seed(0)
        picture = torch.rand(1, 1, *SHAPE)
        with torch.no_grad():
            one, other = SliceEncoder().eval()(torch.cat([picture, picture.flip(3)]))[0]
        assert (one - other).norm() > 1e-3 * one.norm()


class TestPhotographs:
    @pytest.mark.parametrize("name", ["resnet18", "resnet34", "resnet50"])
    def test_every_tensor_of_the_resnet_is_taken(self, name: Backbone) -> None:
        encoder, weights = SliceEncoder(name), imagenet(name)
        parts = [key for key in weights if not key.endswith("num_batches_tracked") and not key.startswith("fc.")]
        # 20, 36 and 53 convolutions with downsampling, each with a norm's four tensors.
        assert len(parts) == {"resnet18": 20, "resnet34": 36, "resnet50": 53}[name] * 5
        assert encoder.take_imagenet(weights) == len(parts)
        own = encoder.resnet.state_dict()
        assert {key for key in own if not key.endswith("num_batches_tracked")} == set(parts)
        assert all(torch.equal(own[key], weights[key]) for key in parts if key != "conv1.weight")

    def test_grey_looks_as_the_three_colours_did(self) -> None:
        encoder, weights = SliceEncoder("resnet18"), imagenet("resnet18")
        encoder.take_imagenet(weights)
        grey = torch.rand(1, 1, 20, 24)
        expected = torch.nn.functional.conv2d(grey.expand(1, 3, 20, 24), weights["conv1.weight"], stride=2, padding=3)
        with torch.no_grad():
            assert encoder.resnet.conv1(grey).numpy() == pytest.approx(expected.numpy(), rel=1e-4)

    def test_heads_stay_as_they_were(self) -> None:
        encoder = SliceEncoder("resnet18")
        before = {name: value.clone() for name, value in encoder.state_dict().items() if "resnet" not in name}
        encoder.take_imagenet(imagenet("resnet18"))
        assert before
        assert all(torch.equal(encoder.state_dict()[name], value) for name, value in before.items())

    def test_a_network_of_other_widths_takes_nothing(self) -> None:
        assert SliceEncoder("resnet10-narrow").take_imagenet(imagenet("resnet18")) == 0

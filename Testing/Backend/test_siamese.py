"""The encoder of sections: its shapes, and starting from what knows photographs."""

from __future__ import annotations

import pytest
import torch
from regsuite.learning.pictures import SHAPE
from regsuite.networks.siamese import LENGTH, POSED, Backbone, SliceEncoder
from section_samples import imagenet

BACKBONES: tuple[Backbone, ...] = ("resnet10-narrow", "resnet18", "resnet34", "resnet50")


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

    @pytest.mark.parametrize(
        ("backbone", "name"),
        [("resnet10-narrow", "resnet18"), ("resnet34", "resnet18"), ("resnet18", "resnet34"), ("resnet18", "resnet50")],
    )
    def test_another_network_takes_nothing(self, backbone: Backbone, name: str) -> None:
        encoder = SliceEncoder(backbone)
        before = {key: value.clone() for key, value in encoder.state_dict().items()}
        with pytest.raises(ValueError, match=backbone):
            encoder.take_imagenet(imagenet(name))
        assert all(torch.equal(encoder.state_dict()[key], value) for key, value in before.items())

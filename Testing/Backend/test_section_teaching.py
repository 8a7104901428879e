"""An encoder trained for a moment on the phantom: what it leaves, what it is good for, and what cannot be trained."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from regsuite import jobs
from regsuite.errors import Cancelled, InputError
from regsuite.jobs import Job
from regsuite.learning import encoder
from regsuite.learning.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from regsuite.methods.sections import teaching
from regsuite.networks.extraction import TissueExtractor
from regsuite.networks.siamese import SliceEncoder
from regsuite.phantoms.atlas import AtlasCase, atlas_case, section_of
from regsuite.progress import Progress
from regsuite.registration import Registration, Training
from regsuite.spatial import Image, LabelImage
from safetensors.torch import save_file
from section_samples import hurried, imagenet, pose_of

SECONDS = {"iterations": 12, "batch": 6}
TRUTH = pose_of(depth=1.3, pitch=0.08, yaw=-0.06, rotation=0.1, shift_x=0.3)


@pytest.fixture(scope="module", autouse=True)
def few() -> Iterator[None]:
    """Sections tried and plates known are counted on one hand."""
    with pytest.MonkeyPatch.context() as patch:
        for name, count in (("_TRIED", 6), ("_POSED", 1), ("_STRANGE", 1), ("_CURVE_EVERY", 4)):
            patch.setattr(teaching, name, count)
        patch.setattr(encoder, "_TILTS", (-8.0, 8.0))
        patch.setattr(encoder, "_APART", 10.0)
        yield


@pytest.fixture(scope="module")
def case() -> AtlasCase:
    return atlas_case(spacing=0.4)


def job(case: AtlasCase, labels: LabelImage | None = None, seed: int = 1, **values: Any) -> Job:
    inputs = {"moving": case.template, "moving_labels": labels or case.labels}
    return Job("atlas-encoder", inputs, {**SECONDS, **values}, seed=seed, device="cpu")


def quick_training(case: AtlasCase) -> Training:
    return tried_quickly(job(case))


def tried_quickly(task: Job) -> Training:
    """With trials that slice the atlas a few times only."""
    with pytest.MonkeyPatch.context() as patch:
        hurried(patch, 2)
        return jobs.train(task)


@pytest.fixture(scope="module")
def trained(case: AtlasCase) -> Training:
    return quick_training(case)


@pytest.fixture(scope="module")
def file(trained: Training, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("encoder") / "brain.safetensors"
    write_checkpoint(path, trained.checkpoint)
    return path


def identified(case: AtlasCase, checkpoint: Any, template: Image | None = None, **values: Any) -> Registration:
    inputs = {"fixed": section_of(case, TRUTH), "moving": template or case.template, "encoder": checkpoint}
    return jobs.run(Job("atlas-slice", inputs, {"deformation": "none", **values}, device="cpu"))


def error(case: AtlasCase, found: Registration) -> float:
    """mm, the largest over places on the section."""
    flat = torch.tensor([[x, y, 0.0, 1.0] for x in (-3.0, 0.0, 3.0) for y in (-2.0, 2.0)], dtype=torch.float64)
    here = torch.as_tensor(found.fixed_grid.centre) + flat[:, :3] * torch.tensor([-1.0, -1.0, 0.0])
    there = flat @ case.plates.matrices(torch.from_numpy(TRUTH)[None])[0].T
    return float((found.transform.points(here) - there[:, :3]).norm(dim=1).max())


class TestTrained:
    def test_its_card_says_what_it_is_of(self, case: AtlasCase, trained: Training) -> None:
        card = trained.checkpoint.card
        assert (card["method"], card["axis"], card["plates"]) == ("atlas-encoder", "coronal", case.plates.count)
        assert card["atlas"]["shape"] == list(case.template.grid.shape)
        assert card["training"]["made"] == SECONDS["iterations"]

    def test_it_is_tried_and_its_loss_is_told(self, trained: Training) -> None:
        assert trained.curves["training"].x == [4, 8, 12]
        assert list(trained.curves["training"].values) == ["embedding", "pose", "extraction"]
        assert 0 <= trained.metrics["extraction_dice"] < 0.75
        assert "Dice" in trained.notes[1]
        assert [row[1] for row in trained.tables["validation"].rows] == [3, 3]
        assert all(np.isfinite(value) for value in trained.metrics.values())
        assert "more iterations" in trained.notes[0]

    def test_a_file_holds_all_of_it(self, trained: Training, file: Path) -> None:
        read = read_checkpoint(file)
        assert dict(read.card) == dict(trained.checkpoint.card)
        assert all(torch.equal(read.weights[name], value) for name, value in trained.checkpoint.weights.items())
        assert bool(torch.isfinite(read.weights["sureness"]).all())

    def test_a_seed_repeats_it(self, case: AtlasCase, trained: Training) -> None:
        again = quick_training(case).checkpoint.weights
        assert all(torch.equal(again[name], value) for name, value in trained.checkpoint.weights.items())

    def test_cancelling_ends_it_at_once_and_leaves_nothing(self, case: AtlasCase) -> None:
        class Impatient(Progress):
            seen = 0

            def step(self, fraction: float, message: str = "") -> None:
                if "training" in message:
                    self.seen += 1
                    raise Cancelled

        progress, before = Impatient(), torch.random.get_rng_state()
        with pytest.raises(Cancelled):
            jobs.train(job(case), progress)
        assert progress.seen == 1
        assert torch.equal(torch.random.get_rng_state(), before)


def without_extractor(trained: Training) -> Checkpoint:
    """As an earlier version left it."""
    weights = {name: value for name, value in trained.checkpoint.weights.items() if not name.startswith("extractor.")}
    return Checkpoint(weights, trained.checkpoint.card)


def starting_from(case: AtlasCase, weights: Any, **values: Any) -> Job:
    task = job(case, **values)
    return replace(task, inputs={**task.inputs, "weights": weights})


class TestStarted:
    """On weights that another program has learned."""

    @pytest.mark.parametrize("ending", ["safetensors", "pth"])
    def test_it_starts_from_them_and_its_card_says_so(self, case: AtlasCase, tmp_path: Path, ending: str) -> None:
        weights = {
            name: (value - 0.5) * 0.1 if value.ndim == 4 else value for name, value in imagenet("resnet18").items()
        }
        path = tmp_path / f"photographs.{ending}"
        (save_file if ending == "safetensors" else torch.save)(weights, path)
        values = {"backbone": "resnet18", "iterations": 10, "batch": 4, "rate": 1e-6}
        trained = tried_quickly(starting_from(case, str(path), **values))
        # AdamW moves a number by little more than its rate in an iteration.
        learned = trained.checkpoint.weights
        assert (
            learned["encoder.resnet.conv1.weight"] - weights["conv1.weight"].sum(1, keepdim=True)
        ).abs().max() < 1e-4
        assert (learned["encoder.resnet.layer4.1.conv2.weight"] - weights["layer4.1.conv2.weight"]).abs().max() < 1e-4
        assert trained.checkpoint.card["training"]["weights"] == path.name
        assert f"resnet18 starts from the 100 tensors of '{path.name}'" in trained.record["log"]

    def test_the_training_of_an_encoder_goes_on(self, case: AtlasCase, trained: Training, file: Path) -> None:
        further = tried_quickly(starting_from(case, str(file), iterations=10, batch=4, rate=1e-6))
        own, earlier = further.checkpoint.weights, trained.checkpoint.weights
        names = [f"encoder.{name}" for name, _ in SliceEncoder().named_parameters()]
        names += [f"extractor.{name}" for name, _ in TissueExtractor().named_parameters()]
        assert max(float((own[name] - earlier[name]).abs().max()) for name in names) < 1e-4
        assert further.checkpoint.card["training"]["weights"] == file.name
        assert f"training goes on from the encoder '{file.name}'" in further.record["log"]

    def test_an_extractor_that_an_earlier_encoder_lacks_is_trained_from_the_start(
        self, case: AtlasCase, trained: Training
    ) -> None:
        further = tried_quickly(starting_from(case, without_extractor(trained), iterations=10, batch=4, rate=1e-6))
        assert "it holds no extractor of tissue: that one is trained from the start" in further.record["log"]
        name = "encoder.embedding.0.weight"
        assert torch.allclose(further.checkpoint.weights[name], trained.checkpoint.weights[name], atol=1e-4)

    def test_an_encoder_of_another_network_is_an_input_error(self, case: AtlasCase, file: Path) -> None:
        with pytest.raises(InputError, match="another network than 'resnet18': choose the one it was trained with"):
            jobs.train(starting_from(case, str(file), backbone="resnet18"))

    def test_without_them_the_card_names_none(self, trained: Training) -> None:
        assert "weights" not in trained.checkpoint.card["training"]

    @pytest.mark.parametrize(
        ("backbone", "sentence"),
        [
            ("resnet10-narrow", "The network 'resnet10-narrow' has no starting weights: choose resnet18, resnet34 or"),
            ("resnet34", r"not those of 'resnet34', as torchvision has it: .* of resnet18, resnet34 or resnet50 that"),
        ],
    )
    def test_those_of_another_network_are_an_input_error(self, case: AtlasCase, backbone: str, sentence: str) -> None:
        with pytest.raises(InputError, match=sentence):
            jobs.train(starting_from(case, Checkpoint(imagenet("resnet18"), {}), backbone=backbone))

    def test_something_else_is_an_input_error(self, case: AtlasCase) -> None:
        with pytest.raises(InputError, match="starting weights"):
            jobs.train(starting_from(case, case.template, backbone="resnet18"))


class TestUsed:
    @pytest.mark.parametrize("start", [{"plate": 21.0}, {"pose": tuple((TRUTH * 0.6).tolist())}], ids=["plate", "pose"])
    def test_a_section_is_brought_to_its_pose_from_near_by(
        self, case: AtlasCase, file: Path, start: dict[str, Any]
    ) -> None:
        found = identified(case, file, **start)
        assert error(case, found) < 0.1
        assert found.metrics["depth_mm"] == pytest.approx(TRUTH[0], abs=0.1)

    def test_a_checkpoint_of_another_atlas_is_an_input_error(self, case: AtlasCase, file: Path) -> None:
        with pytest.raises(InputError, match="another atlas"):
            identified(case, file, atlas_case(spacing=0.4, seed=5).template)

    @pytest.mark.parametrize("card", [{"method": "organs"}, {"method": "atlas-encoder"}], ids=["other", "bare"])
    def test_a_card_that_says_something_else_is_an_input_error(
        self, case: AtlasCase, trained: Training, card: dict[str, Any]
    ) -> None:
        with pytest.raises(InputError, match=r"'organs'|card lacks"):
            identified(case, replace(trained.checkpoint, card=card))

    def test_an_encoder_without_an_extractor_is_an_input_error(self, case: AtlasCase, trained: Training) -> None:
        with pytest.raises(InputError, match="earlier version, which did not tell the atlas's tissue from skull"):
            identified(case, without_extractor(trained))

    @pytest.mark.parametrize(
        "name", ["plates", "encoder.embedding.0.weight", "extractor.unet.model.0.conv.unit0.conv.weight"]
    )
    def test_weights_that_are_missing_are_an_input_error(self, case: AtlasCase, trained: Training, name: str) -> None:
        weights = {key: value for key, value in trained.checkpoint.weights.items() if key != name}
        with pytest.raises(InputError, match="not as its card says"):
            identified(case, Checkpoint(weights, trained.checkpoint.card))


class TestRefused:
    def test_an_annotation_of_another_place_is_an_input_error(self, case: AtlasCase) -> None:
        shape = case.labels.grid.shape
        shifted = torch.roll(case.labels.data, [n // 2 for n in shape], (2, 3, 4))
        with pytest.raises(InputError, match="does not fit"):
            jobs.train(job(case, LabelImage(shifted, case.labels.grid)))

    def test_an_empty_annotation_is_an_input_error(self, case: AtlasCase) -> None:
        with pytest.raises(InputError, match="annotation is empty"):
            jobs.train(job(case, LabelImage(torch.zeros_like(case.labels.data), case.labels.grid)))

    def test_too_few_plates_are_an_input_error(self, case: AtlasCase) -> None:
        with pytest.raises(InputError, match="too few"):
            jobs.train(job(case, spacing=4.0))

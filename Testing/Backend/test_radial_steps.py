"""Radial slices step by step: each step's result, what the next takes of it, and its pictures."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import radial_samples as samples
import torch
from regsuite import jobs, results
from regsuite.methods.radial.placing import placed
from regsuite.methods.radial.refine import Refined
from regsuite.methods.radial.telling import search_curve
from regsuite.registration import Registration
from regsuite.spatial import LabelImage, SliceSet, sample
from regsuite.spatial.radial import Arrangement, frame_of

PLACED = {"slices", "emulated", "T1", "T2", "T1rho"}
SEGMENTED = {"segmented_volume", "segmented_slices"}


@cache
def found(until: str) -> Registration:
    """Of the small case; from the reconstruction on from what the arrangement found."""
    inputs, said = dict(samples.case().inputs), {}
    if until not in ("segmentation", "arrangement"):
        before = found("arrangement")
        inputs |= {"fixed_labels": before.labels["segmented_volume"], "slice_labels": before.labels["segmented_slices"]}
        said = {name: before.record["chosen"][name] for name in ("places", "turned")}
    result = jobs.run(jobs.Job("hip-qmri", inputs, {"until": until, **said}, device="cpu"))
    assert isinstance(result, Registration)
    return result


def moves_nothing(result: Registration) -> bool:
    return all(torch.equal(each.matrix, torch.eye(4).double()) for each in (result.transform, result.inverse))


def arrangement_of(result: Registration) -> Arrangement:
    table = result.tables["arrangement"]
    _, places, *flips = zip(*(row[:4] for row in table.rows), strict=True)
    return Arrangement(tuple(place - 1 for place in places), *(tuple(flip == "yes" for flip in each) for each in flips))


def test_segmentation_leaves_slices_where_their_headers_put_them() -> None:
    case, result = samples.case(), found("segmentation")
    assert moves_nothing(result)
    assert set(result.sequences) == PLACED
    assert set(result.labels) == SEGMENTED
    assert not result.tables
    assert not result.metrics
    assert not result.curves
    assert result.warped is None
    np.testing.assert_array_equal(result.labels["segmented_slices"].array(), case.labels.array())
    for image, given in zip(result.sequences["T2"], case.slices.maps["T2"], strict=True):
        assert torch.equal(image.data, given.data)
        assert image.grid.same_as(given.grid, 1e-9)
    emulated = result.sequences["emulated"][0]
    volume = case.hip.volume
    cut = sample(volume.data, volume.grid, emulated.grid.points(torch.float64), outside="zeros")
    assert np.corrcoef(cut.numpy().ravel(), emulated.data.numpy().ravel())[0, 1] > 0.95
    assert "places" not in result.record["chosen"]


def test_arrangement_makes_a_fan_around_the_headers_axis() -> None:
    acquired, result = samples.case().acquired, found("arrangement")
    assert moves_nothing(result)
    assert arrangement_of(result).is_like(acquired.arrangement)
    assert result.tables["arrangement"].columns == ["slice", "place", "mirrored", "turned"]
    assert set(result.tables) == {"arrangement"}
    assert set(result.labels) == SEGMENTED
    assert set(result.metrics) == {"outline_unlikeness", "next_arrangement_unlikeness"}
    planes = frame_of(acquired.centre, acquired.normal) @ arrangement_of(result).planes()
    for image, plane in zip(result.sequences["slices"], planes.numpy(), strict=True):
        np.testing.assert_allclose(image.grid.centre, acquired.centre, atol=1e-6)
        np.testing.assert_allclose(np.array(image.grid.direction)[:, 1:], plane[:3, 1::-1], atol=1e-6)
    assert result.warped is not None


def test_reconstruction_stands_in_the_fan() -> None:
    """Cut by a slice where that lies, the solid shows what was drawn in the slice."""
    case, result = samples.case(), found("reconstruction")
    assert moves_nothing(result)
    assert set(result.labels) == {*SEGMENTED, "solid"}
    assert result.surfaces["surface"].closed
    assert set(result.tables) == {"arrangement"}
    assert "solid_dice" not in result.metrics
    assert arrangement_of(result) == arrangement_of(found("arrangement"))
    solid = result.labels["solid"]
    inside = solid.mask()[None, None].float()
    dice = []
    for number, image in enumerate(result.sequences["slices"]):
        points = image.grid.points(torch.float64)
        cut = sample(inside, solid.grid, points, outside="zeros")[0, 0, 0] > 0.5
        index = torch.from_numpy(solid.grid.to_index(points.numpy()))
        there = ((index >= 0) & (index <= torch.tensor(solid.grid.shape) - 1)).all(dim=-1)[0]
        drawn = (case.labels.mask()[number] > 0) & there
        dice.append(float(2 * (cut & drawn).sum() / (cut.sum() + drawn.sum())))
    assert min(dice) > 0.93


def test_initialisation_lays_them_on_the_bone() -> None:
    case, result = samples.case(), found("initialisation")
    point = case.hip.centre
    assert float((result.transform.points(point) - case.acquired.truth.points(point)).norm()) < 2.0
    assert set(result.labels) == {*SEGMENTED, "solid"}
    assert set(result.tables) == {"arrangement", "regions"}
    assert result.tables["arrangement"].columns[4:] == ["mutual information before"]
    assert not result.curves
    assert result.metrics["solid_dice"] > 0.9
    # The fan of the arrangement, moved as one.
    back = result.inverse.matrix.numpy()
    for image, before in zip(result.sequences["slices"], found("arrangement").sequences["slices"], strict=True):
        np.testing.assert_allclose(image.grid.affine, back @ before.grid.affine, atol=1e-6)


@pytest.mark.parametrize("until", ["segmentation", "arrangement"])
def test_known_planes_are_not_arranged(until: str) -> None:
    """Headers that tell of every slice: they stay there, and a note says so."""
    case = samples.case()
    there = case.acquired.true_planes()
    maps = {
        name: tuple(placed(image, plane) for image, plane in zip(case.slices.maps[name], there, strict=True))
        for name in ("T2", samples.LOOKED_AT)
    }
    given = SliceSet(maps, {"T2": "ms", samples.LOOKED_AT: ""}, frozenset(["T2"]), 4.0, True)
    result = jobs.run(jobs.Job("hip-qmri", {**case.inputs, "slices": given}, {"until": until}, device="cpu"))
    assert isinstance(result, Registration)
    assert moves_nothing(result)
    assert not result.tables
    assert ("none was arranged" in " ".join(result.notes)) == (until == "arrangement")
    for image, before in zip(result.sequences["slices"], maps[samples.LOOKED_AT], strict=True):
        assert image.grid.same_as(before.grid, 1e-6)


def test_a_bad_segmentation_can_be_looked_at() -> None:
    """A slice without bone ends the arrangement, and not the step before it."""
    case = samples.case()
    array = case.labels.array().copy()
    array[2] = 0
    array[2, 10, 10] = 1
    inputs = {**case.inputs, "slice_labels": LabelImage.from_array(array, case.labels.grid, {1: "Femur"})}
    result = jobs.run(jobs.Job("hip-qmri", inputs, {"until": "segmentation"}, device="cpu"))
    assert isinstance(result, Registration)
    assert result.labels["segmented_slices"].mask()[2].sum() == 1


@pytest.mark.parametrize(
    ("until", "pictures"),
    [("segmentation", {"segmentation", "emulated"}), ("arrangement", {"arrangement", "emulated"})],
)
def test_steps_are_reported(until: str, pictures: set[str], tmp_path: Path) -> None:
    inputs: dict[str, Any] = dict(samples.case().inputs)
    result = found(until)
    files = results.write_registration(result, tmp_path, inputs)
    assert {*result.sequences, *result.labels, *result.tables} <= set(files)
    assert {each.stem for each in (tmp_path / "pictures").iterdir()} == pictures
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "they were not laid in the volume yet" in page


def test_the_search_is_drawn_by_what_it_compared() -> None:
    eye = torch.eye(4).double()
    for name, title in (("mutual information", "Mutual information, nats"), ("correlation ratio", "Correlation ratio")):
        refined = Refined(eye[None], eye, eye[None], 6, [-0.5, -0.7], torch.ones(1), torch.ones(1), name)
        curve = search_curve(refined)
        assert (curve.y_title, curve.values) == (title, {"search": [0.5, 0.7]})

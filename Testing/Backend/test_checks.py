"""Every unusable input gets one clear sentence."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from regsuite import catalog, checks, jobs, memory, phantoms
from regsuite.errors import InputError
from regsuite.spatial import Grid, Image, LabelImage, PointSet, Surface, Surfaces
from stand_in_method import METHOD, Parameters

GRID = Grid.regular((12, 14, 16), (2.0, 1.5, 1.0))
COARSE = Grid.regular((6, 7, 8), (4.0, 3.0, 2.0))


def textured(grid: Grid = GRID, channels: int = 1) -> Image:
    values = np.random.default_rng(0).uniform(1, 2, (channels, *grid.shape))
    return Image.from_array(values, grid)


def box(grid: Grid = GRID, thickness: int = 3) -> LabelImage:
    """A label in the first few planes."""
    values = np.zeros(grid.shape, dtype=int)
    values[:thickness] = 1
    return LabelImage.from_array(values, grid)


def good() -> dict[str, Any]:
    """The moving image and what belongs to it lie on a grid of their own."""
    fixed = {"fixed": textured(), "mask": box(), "fixed_labels": box()}
    return {**fixed, "moving": textured(COARSE), "moving_mask": box(COARSE), "moving_labels": box(COARSE)}


def shifted(grid: Grid, *mm: float) -> Grid:
    return dataclasses.replace(grid, origin=tuple(x + d for x, d in zip(grid.origin, mm, strict=True)))


def with_value(value: float, grid: Grid = GRID) -> Image:
    image = textured(grid)
    image.data[0, 0, 1, 2, 3] = value
    return image


def sentence_of(inputs: dict[str, Any], parameters: Any = None, method: catalog.Method = METHOD) -> str:
    with pytest.raises(InputError) as caught:
        checks.check_inputs(method, inputs, parameters)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert sentence.endswith(".")
    assert sentence[0].isupper()
    return sentence


FLAT = Grid.regular((14, 16))
FAR = shifted(COARSE, 0, 0, 100)

BAD: dict[str, tuple[Callable[[], dict[str, Any]], str]] = {
    "2D with 3D": (lambda: {"moving": textured(FLAT)}, "The fixed image is 3D and the moving image is 2D"),
    "2D mask": (lambda: {"mask": box(FLAT)}, "The fixed image is 3D and the lesion mask is 2D"),
    "empty": (lambda: {"fixed": Image.from_array(np.zeros(GRID.shape), GRID)}, "The fixed image is empty"),
    "constant": (
        lambda: {"moving": Image.from_array(np.full(COARSE.shape, 5.0), COARSE)},
        "The moving image has the same value, 5,",
    ),
    "NaN": (
        lambda: {"moving": with_value(math.nan, COARSE)},
        "The moving image is not finite (NaN or infinite) in 1 of its 336 voxels",
    ),
    "infinite": (
        lambda: {"fixed": with_value(-math.inf)},
        "The fixed image is not finite (NaN or infinite) in 1 of its 2688 voxels",
    ),
    "vector": (lambda: {"moving": textured(channels=3)}, "The moving image has 3 values a voxel"),
    "mask empty": (
        lambda: {"mask": box(thickness=0)},
        "Nothing is marked in the lesion mask: mark a region in it, or leave it out.",
    ),
    "mask everywhere": (
        lambda: {"mask": box(thickness=12)},
        "The region marked in the lesion mask covers 100 % of the fixed",
    ),
    "other mask empty": (
        lambda: {"moving_mask": box(COARSE, thickness=0)},
        "Nothing is marked in the moving mask: mark a region in it, or leave it out.",
    ),
    "other mask everywhere": (
        lambda: {"moving_mask": box(COARSE, thickness=6)},
        "The region marked in the moving mask covers 100 % of the moving image, which leaves nothing to align",
    ),
    "other mask's grid": (
        lambda: {"moving_mask": box()},
        "The grid of the moving mask is not that of the moving image (16 × 14 × 12 voxels, not 8 × 7 × 6)",
    ),
    "mask grid": (
        lambda: {"mask": box(shifted(GRID, 0.5, 0, 0))},
        "The grid of the lesion mask is not that of the fixed image (up to 0.5 mm apart)",
    ),
    "mask shape": (
        lambda: {"mask": box(COARSE)},
        "The grid of the lesion mask is not that of the fixed image (8 × 7 × 6 voxels, not 16 × 14 × 12)",
    ),
    "moving labels' grid": (
        lambda: {"moving_labels": box(shifted(COARSE, 0, 9, 0))},
        "The grid of the moving labels is not that of the moving image (up to 9 mm apart)",
    ),
    "fixed labels' grid": (
        lambda: {"fixed_labels": box(COARSE)},
        "The grid of the fixed labels is not that of the fixed image (8 × 7 × 6 voxels, not 16 × 14 × 12)",
    ),
    "no overlap": (
        lambda: {"moving": textured(FAR), "moving_labels": box(FAR), "moving_mask": box(FAR)},
        "The fixed and the moving image do not overlap in space, they are 75 mm apart: set 'initial' to",
    ),
    "labels as an image": (
        lambda: {"fixed": box()},
        "A label image was given for the fixed image, where an image is needed",
    ),
    "image as a mask": (
        lambda: {"mask": textured()},
        "An image was given for the lesion mask, where a label image is needed",
    ),
    "points as an image": (
        lambda: {"moving": PointSet.from_array(np.zeros((2, 3)))},
        "A set of points was given for the moving image, where an image is needed",
    ),
    "unknown role": (lambda: {"atlas": textured()}, "Stand-in has no input 'atlas': it takes fixed, moving, mask"),
}


def test_good_inputs_pass() -> None:
    checks.check_inputs(METHOD, good(), Parameters())
    flat = {"fixed": textured(FLAT), "moving": textured(FLAT), "mask": box(FLAT)}
    checks.check_inputs(METHOD, flat, Parameters())


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case: str) -> None:
    make, sentence = BAD[case]
    assert sentence_of({**good(), **make()}).startswith(sentence)


@pytest.mark.parametrize("role", ["fixed", "moving"])
def test_missing_input(role: str) -> None:
    inputs = good()
    del inputs[role]
    assert sentence_of(inputs) == f"Stand-in needs the {role} image, the input '{role}': give one."


def test_required_mask_is_missing() -> None:
    inputs = {"fixed": textured(), "moving": textured()}
    method = dataclasses.replace(
        METHOD, inputs=tuple(dataclasses.replace(each, required=True) for each in METHOD.inputs)
    )
    assert "needs the lesion mask, the input 'mask'" in sentence_of(inputs, method=method)
    empty = {**good(), "mask": box(thickness=0)}
    assert sentence_of(empty, method=method).endswith("or choose a method that needs none.")


def test_a_single_slice_in_3d() -> None:
    slices = textured(Grid.regular((1, 20, 20)))
    assert "fixed image is a single slice" in sentence_of({"fixed": slices, "moving": slices})


def test_dimension_a_method_lacks() -> None:
    method = dataclasses.replace(METHOD, dimensions=(3,))
    inputs = {"fixed": textured(FLAT), "moving": textured(FLAT)}
    assert sentence_of(inputs, method=method) == "Stand-in works in 3D only, and the fixed image is 2D."


def test_mask_that_covers_all_that_is_seen() -> None:
    values = np.zeros(GRID.shape)
    values[:3] = np.random.default_rng(0).uniform(1, 2, (3, *GRID.shape[1:]))
    inputs = {**good(), "fixed": Image.from_array(values, GRID)}
    assert "the lesion mask covers 100 % of what the fixed image shows" in sentence_of(inputs)


def test_distance_between_images_on_a_turned_grid() -> None:
    """Turned by 45°, a square of 10 x 10 voxels of 1 mm reaches 5·√2 mm from its centre."""
    c = math.sqrt(0.5)
    turned = Grid((10, 10), (1.0, 1.0), (0.0, 0.0), ((c, c), (c, -c)))
    turned = shifted(turned, *(-turned.centre))
    straight = Grid.regular((10, 10))
    straight = shifted(straight, *(-straight.centre + [30.0, 0.0]))
    sentence = sentence_of({"fixed": textured(turned), "moving": textured(straight)})
    assert f"are {30 - 5 - 5 * math.sqrt(2):.4g} mm apart" in sentence
    near = shifted(straight, -18.0, 0.0)
    checks.check_inputs(METHOD, {"fixed": textured(turned), "moving": textured(near)})


def test_initial_alignment_may_bring_images_together() -> None:
    inputs = {"fixed": textured(), "moving": textured(shifted(GRID, 0, 0, 100))}
    checks.check_inputs(METHOD, inputs, Parameters(initial="rigid"))
    sentence_of(inputs, Parameters(initial="none"))


def test_positions_rounded_by_a_file_format_are_the_same_grid() -> None:
    origin = tuple(float(np.float32(x + 1e-4)) for x in GRID.origin)
    checks.check_inputs(METHOD, {**good(), "mask": box(dataclasses.replace(GRID, origin=origin))})


def test_absurd_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tensor of one number seen as 5000³ of them: nothing as large as it says is ever made."""
    grid = Grid.regular((5000, 5000, 5000))
    huge = Image(torch.zeros(1).expand(1, 1, *grid.shape), grid)
    for role in ("fixed", "moving"):
        sentence = sentence_of({"fixed": textured(), "moving": textured(), role: huge})
        assert sentence.startswith(f"The {role} image of 5000 × 5000 × 5000 voxels needs at least ")
        assert "lower its resolution" in sentence
    monkeypatch.setattr(memory, "available_memory", lambda: 15_000_000_000)
    assert "needs at least 25000 GB of memory, and 15 GB are free" in sentence_of({"fixed": huge, "moving": textured()})


def test_size_is_not_judged_where_memory_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available_memory", lambda: None)
    checks.check_size(METHOD.inputs[0], Grid.regular((5000, 5000, 5000)))


def test_available_memory_is_what_linux_says() -> None:
    said = re.search(r"MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text())
    available = memory.available_memory()
    assert said is not None
    assert available is not None
    assert 0 < available <= int(said[1]) * 1024 * 1.05


def test_container_limit(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("8000\n")
    (tmp_path / "memory.current").write_text("3000\n")
    assert memory._group_memory(tmp_path) == 5000
    (tmp_path / "memory.max").write_text("max\n")
    assert memory._group_memory(tmp_path) is None
    assert memory._group_memory(tmp_path / "absent") is None


def test_peak_falls_after_reset() -> None:
    ballast = np.ones(20_000_000)
    high = memory.peak_mb()
    del ballast
    memory.reset_peak()
    assert memory.peak_mb() < high - 100


@pytest.mark.parametrize(("amount", "text"), [(64e6, "64 MB"), (3.54e9, "3.5 GB"), (15e12, "15000 GB")])
def test_amounts_in_words(amount: float, text: str) -> None:
    assert memory.text_of(amount) == text


def test_a_mask_lost_at_the_working_resolution() -> None:
    case = phantoms.shapes_2d()
    inputs = {"fixed": case.fixed, "moving": case.moving, "mask": case.mask}
    for method in ("weighted-metamorphosis", "cost-function-masking"):
        with pytest.raises(
            InputError, match=r"Nothing is left of the mask at the working resolution of [45]\d\.?\d* mm: choose"
        ):
            jobs.run(jobs.Job(method, inputs, {"resolution": 50}, device="cpu"))


class TestSurfaces:
    METHOD = catalog.method("mo-bcpd")
    SOLID = Surface(torch.eye(3).double(), name="Liver")

    def test_good_ones_pass(self) -> None:
        both = {"fixed_surfaces": Surfaces([self.SOLID]), "moving_surfaces": Surfaces([self.SOLID])}
        checks.check_inputs(self.METHOD, both)
        checks.check_inputs(self.METHOD, {**both, "fixed": textured()})

    def test_something_else(self) -> None:
        given = {"fixed_surfaces": PointSet.from_array(np.eye(3))}
        sentence = "A set of points was given for the fixed surfaces, where surfaces is needed: choose another."
        assert sentence_of(given, method=self.METHOD).replace("are needed", "is needed") == sentence
        given = {"fixed_labels": Surfaces([self.SOLID])}
        assert sentence_of(given, method=self.METHOD).startswith("A set of surfaces was given for the fixed organs,")

    def test_nothing_at_all(self) -> None:
        sentence = sentence_of({}, method=self.METHOD)
        assert "was given nothing to register: give the fixed organs, the moving organs, the fixed surfaces" in sentence

    def test_none(self) -> None:
        for given in ({"fixed_surfaces": Surfaces([])}, {"fixed": textured(), "moving_surfaces": Surfaces([])}):
            assert "no surface" in sentence_of(given, method=self.METHOD)

    def test_flat_and_solid(self) -> None:
        flat = Surface(torch.eye(3, 2).double(), name="Spleen")
        for given in (
            {"fixed_surfaces": Surfaces([self.SOLID]), "moving_surfaces": Surfaces([flat])},
            {"fixed_surfaces": Surfaces([self.SOLID, flat])},
        ):
            sentence = sentence_of(given, method=self.METHOD)
            assert "2D" in sentence
            assert "3D" in sentence

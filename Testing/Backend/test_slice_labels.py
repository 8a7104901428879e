"""Labels of slices: a stack, or a file for each slice; and flat images as slices."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from regsuite import io, jobs
from regsuite.errors import InputError
from regsuite.spatial import Grid, LabelImage

SHAPE = (6, 7)


def write(folder: Path, name: str, array: np.ndarray, names: dict[int, str] | None = None) -> str:
    grid = Grid.regular(array.shape, (3.0, 1.5, 2.0)[-array.ndim :])
    io.write_labels(folder / f"{name}.nrrd", LabelImage.from_array(array, grid, names or {}, {1: (0.2, 0.4, 0.6)}))
    return str(folder / f"{name}.nrrd")


def layer(place: int, value: int = 1) -> np.ndarray:
    """A bar that is longer in every slice."""
    made = np.zeros(SHAPE, int)
    made[2, : place + 1] = value
    return made


def test_a_file_for_each_slice_in_their_order(tmp_path: Path) -> None:
    """2D or 3D, along whichever axis; a job reads them so."""
    arrays = [layer(0), layer(1)[None], layer(2)[:, :, None]]
    paths = [write(tmp_path, f"s{place}", array) for place, array in enumerate(arrays)]
    asked = jobs.Job("hip-qmri", {"slice_labels": paths[::-1]})
    found = jobs.read_inputs(asked)["slice_labels"]
    np.testing.assert_array_equal(found.array(), [layer(2), layer(1), layer(0)])
    assert found.grid.spacing[1:] == pytest.approx((3.0, 1.5)), "of the first file's rows and columns"
    whole = write(tmp_path, "whole", np.stack([layer(0), layer(1)]))
    np.testing.assert_array_equal(io.read_slice_labels([whole]).array(), [layer(0), layer(1)])


def test_labels_of_one_name_get_one_value(tmp_path: Path) -> None:
    """Segmentations that were drawn one by one number their segments as they like."""
    both = layer(2) + 2 * (np.arange(7) == 6)
    paths = [
        write(tmp_path, "a.seg", layer(1)[None], {1: "Femur"}),
        write(tmp_path, "b.seg", both[None], {1: "Pelvis", 2: "Femur"}),
    ]
    found = io.read_slice_labels(paths)
    assert found.names == {1: "Femur", 2: "Pelvis"}
    np.testing.assert_array_equal(found.mask(1)[1], both == 2)
    np.testing.assert_array_equal(found.mask(2)[1], both == 1)
    assert found.colours[1] == pytest.approx((0.2, 0.4, 0.6))


def test_what_makes_no_stack(tmp_path: Path) -> None:
    one, other = write(tmp_path, "one", layer(0)), write(tmp_path, "other", np.ones((6, 8), int))
    with pytest.raises(InputError, match="'one' and 'other' are of 7 × 6 and 8 × 6 pixels: give those of the same"):
        io.read_slice_labels([one, other])
    whole = write(tmp_path, "whole", np.stack([layer(0), layer(1)]))
    with pytest.raises(InputError, match="'whole' are of 7 × 6 × 2 voxels, and a single slice is needed where several"):
        io.read_slice_labels([one, whole])


def test_flat_images_are_slices(tmp_path: Path) -> None:
    """As ITK puts them: columns of 2 mm towards L, rows of 3 mm towards P, in the plane S = 0."""
    values = [np.random.default_rng(place).uniform(1, 9, SHAPE).astype(np.float32) for place in range(3)]
    for place, each in enumerate(values):
        flat = sitk.GetImageFromArray(each)
        flat.SetSpacing((2.0, 3.0))
        flat.SetOrigin((10.0, 20.0))
        sitk.WriteImage(flat, str(tmp_path / f"T2 map {place}.nrrd"))
    found = io.read_slices([tmp_path / f"T2 map {place}.nrrd" for place in range(3)])
    assert [image.array()[0].tolist() for image in found.maps["T2"]] == [each.tolist() for each in values]
    assert found.grids[0].to_world([0, 0, 0]).tolist() == [-10, -20, 0]
    assert found.grids[0].to_world([0, 1, 2]).tolist() == [-14, -23, 0]

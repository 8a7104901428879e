"""What the metamorphosis benchmark does in its processes: make cases, register them, judge transforms."""

from __future__ import annotations

import pickle
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
import torch
from regsuite import evaluation, io, jobs, phantoms
from regsuite.catalog import method as declared
from regsuite.jobs import Job
from regsuite.phantoms import Case, TumourCase
from regsuite.phantoms.case import VENTRICLES
from regsuite.registration import Registration
from regsuite.solvers.bias import even_out
from regsuite.spatial import Grid, Image, LabelImage
from regsuite.transforms import Transform, identity, warp_image, warp_labels

from Benchmarks.cost import Cost

Values = dict[str, Any]


def make(phantom: str, file: str, **options: Any) -> Values:
    """Keeps a phantom's case in a file; ``refused`` says why where the recipe cannot be followed."""
    try:
        case = _MAKERS[phantom](**options)
    except ValueError as error:
        return {"refused": str(error)}
    with Path(file).open("wb") as stream:
        pickle.dump(case, stream)
    return {"refused": "", "mm": round(min(case.fixed.grid.spacing), 3), "shape": list(case.fixed.grid.shape)}


def _brain(resolution: int, seed: int, **recipe: Any) -> TumourCase:
    template, labels = phantoms.mni152(resolution)
    return phantoms.tumour_brain(template, labels, seed=seed, **recipe)


def _slices(folder: str, patient: str) -> Case:
    """A patient's slice (BraTS 2021) and the SRI24 template's, pixels of 1 mm; the labels are the heads."""

    def picture(name: str) -> np.ndarray:
        array = sitk.GetArrayFromImage(sitk.ReadImage(f"{folder}/{name}.png")).astype(np.float32)
        return (array if array.ndim == 2 else array[..., 0]) / 255  # grey, stored in colours or not

    fixed, moving, lesion = picture(f"{patient}_80_"), picture("reg_test_sri24"), picture(f"{patient}_seg")
    grid = Grid.regular(fixed.shape)
    labels = [LabelImage.from_array(image > 0.05, grid, {1: "Head"}) for image in (fixed, moving)]
    mask = LabelImage.from_array(lesion > 0.5, grid)
    return Case(Image.from_array(fixed, grid), Image.from_array(moving, grid), mask, labels[0], labels[1])


_MAKERS = {"brain": _brain, "toy": phantoms.toy_triangle, "shapes": phantoms.shapes_2d, "slices": _slices}


def loaded(file: str) -> Case:
    """A case that :func:`make` kept."""
    with Path(file).open("rb") as stream:
        case = pickle.load(stream)
    assert isinstance(case, Case)
    return case


def register(case: str, method: str, parameters: Values) -> Values:
    """Runs one of our methods and judges it: figures by name, with its cost and its descent."""
    given = loaded(case)
    declared(method).load()
    with Cost() as cost:
        result = _run(given, method, parameters)
    return {
        **_judged(given, result.transform, result.images.get("metamorphosed", result.warped)),
        **cost.figures,
        "evaluations": len(result.curves["energy"].x),
        # A descent ends with at least five evaluations on the finest scale, which is the one that counts.
        "energy": min(result.curves["energy"].values["total"][-5:]),
    }


def variations(case: str, method: str, parameters: list[Values]) -> list[float]:
    """Dice of the ventricles by deformation alone for each of several settings."""
    given = loaded(case)
    return [_judged(given, _run(given, method, each).transform)["dice_ventricles"] for each in parameters]


def _run(case: Case, method: str, parameters: Values) -> Registration:
    roles = {item.role for item in declared(method).inputs}
    inputs = {role: value for role, value in case.inputs.items() if role in roles}
    return jobs.run(Job(method, inputs, parameters, device="cpu"))


def before(case: str) -> Values:
    """The figures of doing nothing."""
    given = loaded(case)
    return _judged(given, identity(given.fixed.grid.dim))


def _judged(case: Case, transform: Transform, final: Image | None = None) -> Values:
    """The same measures for every transform, ours or a peer's; ``final`` is the image with intensity added."""
    grid = case.fixed.grid
    overlap = evaluation.dice(case.fixed_labels, warp_labels(case.moving_labels, transform, grid))
    figures: Values = {"dice": overlap, "folded_fraction": evaluation.folded_fraction(transform, grid)}
    if isinstance(case, TumourCase):
        error = case.error_mm(transform)
        figures |= {
            "dice_ventricles": overlap[VENTRICLES],
            "error_mm": float(error.mean()),
            "error_95_mm": float(error.quantile(0.95)),
        }
    if final is not None:
        even = even_out(case.fixed, case.mask) if isinstance(case, TumourCase) else case.fixed
        figures["left_deformation"] = _left(case, even, warp_image(case.moving, transform, grid))
        figures["left_final"] = _left(case, even, final)
    return figures


def _left(case: Case, even: Image, image: Image) -> float:
    """The sum of squared differences from the fixed image (without its bias field), as a share of that at the start."""
    start = case.moving.resampled(case.fixed.grid)
    return float(((image.data - even.data) ** 2).sum() / ((start.data - even.data) ** 2).sum())


def default_widths(case: str) -> list[float]:
    """The smoothness widths in mm that a method takes by itself."""
    from regsuite.methods.metamorphosis import _WIDTHS
    from regsuite.solvers.pair import make_pair

    given = loaded(case)
    size = make_pair(given.fixed, given.moving, identity(given.fixed.grid.dim), ignore=given.mask).size
    return [share * size for share in _WIDTHS]


def files(case: str, method: str, parameters: Values) -> Values:
    """Largest distance in mm between points moved by our transform and by SimpleITK from its file, both ways."""
    given = loaded(case)
    result = _run(given, method, parameters)
    rng = np.random.default_rng(0)
    corners = result.fixed_grid.corners()
    points = rng.uniform(corners.min(axis=0), corners.max(axis=0), (2000, result.fixed_grid.dim))
    with tempfile.TemporaryDirectory() as folder:
        return {
            name: _distance(transform, points, Path(folder) / f"{name}.h5")
            for name, transform in (("transform", result.transform), ("inverse", result.inverse))
        }


def _distance(transform: Transform, points: np.ndarray, file: Path) -> float:
    io.write_transform(file, transform)
    theirs, flip = sitk.ReadTransform(str(file)), np.array([-1.0, -1.0, 1.0][: points.shape[1]])
    there = np.array([theirs.TransformPoint(point) for point in (points * flip).tolist()]) * flip
    here = transform.points(torch.from_numpy(points)).numpy()
    return float(np.linalg.norm(here - there, axis=1).max())


def demons(case: str, kind: str, masked: bool) -> Values:
    """SimpleITK's demons on the same images, evened out like ours; ``masked`` leaves the lesion out."""
    given = loaded(case)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "field.nrrd"
        with Cost() as cost:
            fixed, moving = even_out(given.fixed, given.mask), even_out(given.moving, None)
            images = [_volume(each, Path(folder)) for each in (fixed, moving)]
            mask = _volume(Image(given.mask.data.float(), given.mask.grid), Path(folder)) if masked else None
            sitk.WriteImage(_demons(images[0], images[1], mask, kind), str(file))
        transform = io.read_transform(file)
    return {**_judged(given, transform), **cost.figures}


_DEMONS = {
    "diffeomorphic": sitk.DiffeomorphicDemonsRegistrationFilter,
    "fast symmetric": sitk.FastSymmetricForcesDemonsRegistrationFilter,
}
_PYRAMID = ((4, 100), (2, 60), (1, 25))
_FILLINGS = 5
_DEMONS_SMOOTHING = 1.5


def _demons(fixed: sitk.Image, moving: sitk.Image, mask: sitk.Image | None, kind: str) -> sitk.Image:
    """From coarse to fine; a lesion left out is filled again and again with the moving image as warped so far."""
    field = None
    for shrink, iterations in _PYRAMID:
        coarse_fixed, coarse_moving = _coarse(fixed, shrink), _coarse(moving, shrink)
        outside = None if mask is None else 1 - _coarse(mask, shrink)
        if field is not None:
            field = sitk.Resample(field, coarse_fixed)
        for _ in range(1 if mask is None else _FILLINGS):
            target = coarse_fixed if outside is None else _filled(coarse_fixed, coarse_moving, outside, field)
            demons = _DEMONS[kind]()
            demons.SetNumberOfIterations(iterations // (1 if mask is None else _FILLINGS))
            demons.SetSmoothDisplacementField(True)
            demons.SetStandardDeviations(_DEMONS_SMOOTHING)
            given = [target, coarse_moving] if field is None else [target, coarse_moving, field]
            field = demons.Execute(*given)
    return field


def _coarse(image: sitk.Image, shrink: int) -> sitk.Image:
    if shrink == 1:
        return image
    smooth = sitk.SmoothingRecursiveGaussian(image, 0.5 * shrink * min(image.GetSpacing()))
    return sitk.Shrink(smooth, [shrink] * image.GetDimension())


def _filled(fixed: sitk.Image, moving: sitk.Image, outside: sitk.Image, field: sitk.Image | None) -> sitk.Image:
    warped = moving
    if field is not None:
        warped = sitk.Resample(moving, fixed, sitk.DisplacementFieldTransform(sitk.Image(field)))
    return fixed * outside + warped * (1 - outside)


def _volume(image: Image, folder: Path) -> sitk.Image:
    """As SimpleITK holds it."""
    file = folder / "volume.nrrd"
    io.write_image(file, image)
    return sitk.ReadImage(str(file), sitk.sitkFloat32)


def ants_inputs(case: str, folder: str) -> Values:
    """The images of a case as files for a peer in its own environment: evened out, and where it may look."""
    given, place = loaded(case), Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    healthy = Image((given.mask.data == 0).float(), given.mask.grid)
    evened = {"fixed": even_out(given.fixed, given.mask), "moving": even_out(given.moving, None), "healthy": healthy}
    for name, image in evened.items():
        io.write_image(place / f"{name}.nii.gz", image)
    return {name: str(place / f"{name}.nii.gz") for name in evened}


def judged_files(case: str, transforms: list[str]) -> Values:
    """The figures of transforms in files, the one applied first at the head."""
    whole: Transform = identity(loaded(case).fixed.grid.dim)
    for file in transforms:
        whole = io.read_transform(file) @ whole
    return _judged(loaded(case), whole)


def arrays(case: str, file: str) -> None:
    """The images of a flat case as source, target and mask (j, i) for a peer in its own environment."""
    given = loaded(case)
    np.savez(
        file,
        source=given.moving.array(),
        target=given.fixed.array(),
        mask=given.mask.array().astype(np.float32),
    )


def judged_arrays(case: str, file: str) -> Values:
    """Of a peer's images the squared differences from the fixed image, as shares of that at the start."""
    given = loaded(case)
    with np.load(file) as made:
        images = {name: Image.from_array(made[name], given.fixed.grid) for name in ("final", "deformation")}
    return {f"left_{name}": _left(given, given.fixed, image) for name, image in images.items()}

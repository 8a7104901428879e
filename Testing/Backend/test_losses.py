"""Dissimilarities against plain loops, SciPy and values by hand, and what each must not see."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from regsuite.losses.correlation import local_correlations
from regsuite.losses.similarity import Name, dissimilarity
from regsuite.losses.slabs import slab_sum
from scipy import ndimage
from torch import Tensor

NAMES: tuple[Name, ...] = ("ssd", "lncc", "ngf", "mind")
GRIDS = {"2D": ((9, 8), (1.0, 1.7)), "3D": ((6, 7, 5), (2.0, 1.0, 1.3)), "slice": ((1, 9, 8), (3.0, 1.0, 1.2))}
NOISE = 0.05**2
"""What counts as noise by the documentation: the square of 5 % of the images' scale."""

every_name = pytest.mark.parametrize("name", NAMES)
every_grid = pytest.mark.parametrize(("shape", "spacing"), GRIDS.values(), ids=GRIDS)
Shape = tuple[int, ...]
Spacing = tuple[float, ...]


def noise(shape: Shape, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.rand(1, 1, *shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def scene(shape: Shape, spacing: Spacing, shift: float = 0.0, dtype: torch.dtype = torch.float64) -> Tensor:
    """Round blobs of some 5 mm in the box of the grid, its middle at 0; moved by ``shift`` mm along the last axis."""
    axes = [(torch.arange(n, dtype=dtype) - (n - 1) / 2) * h for n, h in zip(shape, spacing, strict=True)]
    axes[-1] = axes[-1] - shift
    points = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)
    total = torch.zeros(shape, dtype=dtype)
    for centre, width, height in ((-6.0, 3.0, 0.8), (2.0, 4.0, 0.5), (7.0, 2.5, 1.0)):
        offsets = points - torch.tensor([centre * (1 - 0.6 * axis) for axis in range(len(shape))], dtype=dtype)
        total += height * torch.exp(-0.5 * (offsets**2).sum(dim=-1) / width**2)
    return total[None, None]


def integral(name: Name, image: Tensor, fixed: Tensor, spacing: Spacing, width: float, weight: Tensor | None) -> float:
    weight = torch.ones_like(fixed) if weight is None else weight
    return float(dissimilarity(name, fixed, weight, spacing, width)(image))


def central(shape: Shape, margin: int) -> Tensor:
    """Weights from 0.5 to 1 in the middle, 0 within ``margin`` voxels of the border."""
    weight = torch.zeros(1, 1, *shape, dtype=torch.float64)
    inner = tuple(slice(margin, n - margin) for n in shape)
    weight[0, 0][inner] = 0.5 + 0.5 * noise(shape, 7)[0, 0][inner]
    return weight


class TestTruth:
    def test_ssd_by_hand(self) -> None:
        image, fixed = torch.tensor([[[[1.0, 0.5], [0.0, 2.0]]]]), torch.tensor([[[[0.0, 0.5], [0.5, 1.0]]]])
        weight = torch.tensor([[[[1.0, 1.0], [1.0, 0.5]]]])
        # (1 + 0 + 0.25 + 0.5 * 1) pixels of 6 mm²
        assert integral("ssd", image, fixed, (2.0, 3.0), 1.0, weight) == pytest.approx(10.5)

    @pytest.mark.parametrize(("shape", "spacing"), [((17, 16), (1.0, 2.0)), ((14, 15, 13), (2.0, 1.0, 1.0))])
    def test_lncc_is_scipys_where_a_window_stands_on_every_voxel(self, shape: Shape, spacing: Spacing) -> None:
        # σ is one voxel on every axis, as it is never less; away from the border SciPy's windows are the same.
        image, fixed, weight = noise(shape, 1), noise(shape, 2), central(shape, 4)
        truth = scipy_correlation(image, fixed, weight, [1.0] * len(shape)) * math.prod(spacing)
        assert integral("lncc", image, fixed, spacing, 0.9, weight) == pytest.approx(truth, rel=1e-6)

    def test_lncc_on_fewer_windows_is_nearly_scipys_on_all(self) -> None:
        shape, spacing = (48, 54), (1.0, 0.8)
        image, fixed, weight = scene(shape, spacing, 1.5), scene(shape, spacing), central(shape, 10)
        image = 0.7 * image + 0.05 * noise(shape)
        truth = scipy_correlation(image, fixed, weight, [2.4, 3.0]) * math.prod(spacing)
        assert integral("lncc", image, fixed, spacing, 2.4, weight) == pytest.approx(truth, rel=0.01)

    def test_ngf_by_hand(self) -> None:
        # T rises along the first axis by 0.2 / 2 mm, I along the second by 0.3 / 1 mm: no product anywhere.
        fixed = 0.2 * torch.arange(4.0, dtype=torch.float64)[:, None].expand(4, 5)[None, None]
        image = 0.3 * torch.arange(5.0, dtype=torch.float64).expand(4, 5)[None, None]
        # Within the outer voxels half of a voxel's two faces are missing, and with them half of the square.
        square = 0.01 * torch.tensor([0.5, 1, 1, 0.5], dtype=torch.float64)[:, None].expand(4, 5)
        other = 0.09 * torch.tensor([0.5, 1, 1, 1, 0.5], dtype=torch.float64).expand(4, 5)
        # η is half the mean slope, weighted by itself.
        floor = (0.5 * float(square.mean() / square.sqrt().mean())) ** 2
        truth = (1 - floor**2 / ((square + floor) * (other + floor))).sum() * 2
        assert integral("ngf", image, fixed, (2.0, 1.0), 1.0, None) == pytest.approx(float(truth))

    @every_grid
    def test_ngf_is_what_loops_say(self, shape: Shape, spacing: Spacing) -> None:
        image, fixed, weight = noise(shape, 1), noise(shape, 2), 0.5 + 0.5 * noise(shape, 3)
        truth = loop_gradient_fields(array(image), array(fixed), array(weight), spacing)
        assert integral("ngf", image, fixed, spacing, 1.0, weight) == pytest.approx(truth)

    @every_grid
    @pytest.mark.parametrize("width", [0.5, 2.1])
    def test_mind_is_what_loops_say(self, shape: Shape, spacing: Spacing, width: float) -> None:
        image, fixed, weight = noise(shape, 1), noise(shape, 2), 0.5 + 0.5 * noise(shape, 3)
        truth = loop_self_similarity(array(image), array(fixed), array(weight), spacing, width)
        assert integral("mind", image, fixed, spacing, width, weight) == pytest.approx(truth)


def array(data: Tensor) -> np.ndarray:
    return data[0, 0].numpy()


def scipy_correlation(image: Tensor, fixed: Tensor, weight: Tensor, sigmas: Sequence[float]) -> float:
    """Sum over all voxels of the weight under a window times 1 - ρ² there, by SciPy's Gaussian."""

    def smooth(data: np.ndarray) -> np.ndarray:
        return ndimage.gaussian_filter(data, sigmas, mode="constant", truncate=4.0)

    I, T, w = array(image), array(fixed), array(weight)
    held = smooth(w)
    counts = held > 1e-3 * held.max()
    held = np.where(counts, held, 1)
    means = smooth(w * I) / held, smooth(w * T) / held
    variances = smooth(w * I * I) / held - means[0] ** 2, smooth(w * T * T) / held - means[1] ** 2
    covariance = smooth(w * I * T) / held - means[0] * means[1]
    density = 1 - (np.abs(covariance) + NOISE) ** 2 / ((variances[0] + NOISE) * (variances[1] + NOISE))
    return float((held * density)[counts].sum())


def loop_gradient_fields(I: np.ndarray, T: np.ndarray, w: np.ndarray, spacing: Spacing) -> float:
    def faces(index: tuple[int, ...]) -> list[tuple[tuple[int, ...], tuple[int, ...], float]]:
        found = []
        for axis, h in enumerate(spacing):
            for first in (index[axis] - 1, index[axis]):
                if first >= 0 and first + 1 < I.shape[axis]:
                    low, high = list(index), list(index)
                    low[axis], high[axis] = first, first + 1
                    found.append((tuple(low), tuple(high), h))
        return found

    def product(A: np.ndarray, B: np.ndarray, index: tuple[int, ...]) -> float:
        return sum(0.5 * (A[high] - A[low]) * (B[high] - B[low]) / h**2 for low, high, h in faces(index))

    places = list(np.ndindex(I.shape))
    weights = {p: min([w[p], *(w[end] for low, high, _ in faces(p) for end in (low, high))]) for p in places}
    slopes = {p: math.sqrt(product(T, T, p)) for p in places}
    eta = 0.5 * sum(weights[p] * slopes[p] ** 2 for p in places) / sum(weights[p] * slopes[p] for p in places)
    total = 0.0
    for p in places:
        both = (product(I, I, p) + eta**2) * (product(T, T, p) + eta**2)
        total += weights[p] * (1 - (abs(product(I, T, p)) + eta**2) ** 2 / both)
    return total * math.prod(spacing)


def loop_self_similarity(I: np.ndarray, T: np.ndarray, w: np.ndarray, spacing: Spacing, width: float) -> float:
    shape, dim = I.shape, I.ndim
    steps = [max(1, round(width / h)) for h in spacing]
    counts = [math.ceil(n / s) for n, s in zip(shape, steps, strict=True)]
    centres = [
        [(n - 1 - s * (m - 1)) / 2 + s * k for k in range(m)] for n, s, m in zip(shape, steps, counts, strict=True)
    ]

    def windows(at: Sequence[float]) -> np.ndarray:
        """The share of every voxel in the window at ``at``, of 1 in all windows whose centres lie in the grid."""

        def gauss(axis: int, x: int, c: float) -> float:
            offset = (x - c) / (steps[axis] / 2)
            return math.exp(-(offset**2) / 2) if abs(offset) <= 4 else 0.0

        shares = np.ones(shape)
        for x in np.ndindex(shape):
            for axis, c in enumerate(at):
                shares[x] *= gauss(axis, x[axis], c) / sum(gauss(axis, x[axis], other) for other in centres[axis])
        return shares

    def squares(image: np.ndarray, way: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """w w (I(x) - I(x + way))² and w w for every voxel x; 0 where the other is not in the image."""
        total, held = np.zeros(shape), np.zeros(shape)
        for x in np.ndindex(shape):
            y = tuple(a + b for a, b in zip(x, way, strict=True))
            if all(0 <= a < n for a, n in zip(y, shape, strict=True)):
                held[x] = w[x] * w[y]
                total[x] = held[x] * (image[x] - image[y]) ** 2
        return total, held

    neighbours = [tuple(sign * (a == axis) for a in range(dim)) for axis in range(dim) for sign in (1, -1)]
    pairs = [(a, b) for a, b in itertools.combinations(neighbours, 2) if any(p + q for p, q in zip(a, b, strict=True))]
    beyond = [[c[0] - s, *c, c[-1] + s] for c, s in zip(centres, steps, strict=True)]
    shares = {at: windows(at) for at in itertools.product(*beyond)}

    def descriptors(image: np.ndarray) -> dict[tuple[float, ...], np.ndarray]:
        found: dict[tuple[float, ...], list[float]] = {at: [] for at in itertools.product(*centres)}
        for a, b in pairs:
            # From the one of the two whose way to the other points back along the first of their axes.
            axis = next(axis for axis in range(dim) if a[axis] != b[axis])
            first, second = (a, b) if a[axis] > b[axis] else (b, a)
            total, held = squares(image, [(q - p) * s for p, q, s in zip(first, second, steps, strict=True)])
            fullest = max(float((share * held).sum()) for share in shares.values())
            for at, distances in found.items():
                share = shares[tuple(c + p * s for c, p, s in zip(at, first, steps, strict=True))]
                amount = float((share * held).sum())
                distances.append(float((share * total).sum()) / amount if amount > 1e-3 * fullest else 0.0)
        return {at: np.exp(-(np.array(D) - min(D)) / (np.mean(D) - min(D) + NOISE)) for at, D in found.items()}

    ours, theirs = descriptors(I), descriptors(T)
    density = {at: float(((ours[at] - theirs[at]) ** 2).mean()) for at in ours}
    return sum(float((shares[at] * w).sum()) * value for at, value in density.items()) * math.prod(spacing)


class TestLaws:
    @every_name
    @every_grid
    def test_gradient_is_that_of_finite_differences(self, name: Name, shape: Shape, spacing: Spacing) -> None:
        image, fixed, weight = noise(shape, 1), noise(shape, 2), noise(shape, 3)
        loss = dissimilarity(name, fixed, weight, spacing, 2.1)
        assert torch.autograd.gradcheck(loss, image.requires_grad_())

    @every_name
    @every_grid
    def test_equal_images_are_at_0_with_no_gradient(self, name: Name, shape: Shape, spacing: Spacing) -> None:
        fixed, weight = noise(shape, 2), noise(shape, 3)
        image = fixed.clone().requires_grad_()
        value = dissimilarity(name, fixed, weight, spacing, 2.1)(image)
        (gradient,) = torch.autograd.grad(value, image)
        assert value.item() == pytest.approx(0, abs=1e-9)
        assert float(gradient.abs().max()) < 1e-9

    @every_name
    @every_grid
    def test_density_is_at_most_1(self, name: Name, shape: Shape, spacing: Spacing) -> None:
        weight = noise(shape, 3)
        whole = float(weight.sum()) * math.prod(spacing)
        for seed in range(5):
            value = integral(name, noise(shape, 10 + seed), noise(shape, 20 + seed), spacing, 2.1, weight)
            assert 0 < value < whole

    @every_name
    @pytest.mark.parametrize(("shape", "spacing"), [((36, 40), (1.2, 1.0)), ((26, 24, 36), (1.4, 1.6, 1.0))])
    def test_means_the_same_at_twice_the_resolution(self, name: Name, shape: Shape, spacing: Spacing) -> None:
        fine = tuple(2 * n for n in shape), tuple(h / 2 for h in spacing)
        coarse_value, fine_value = (
            integral(name, 0.7 * scene(n, h, 1.5), scene(n, h), h, 2.8, None) for n, h in ((shape, spacing), fine)
        )
        assert fine_value == pytest.approx(coarse_value, rel=0.1)

    @pytest.mark.parametrize(
        ("name", "turned"), [*((name, False) for name in NAMES), ("lncc", True), ("ngf", True), ("mind", True)]
    )
    def test_is_least_where_the_images_lie_on_each_other(self, name: Name, turned: bool) -> None:
        shape, spacing = (28, 26, 40), (1.5, 1.5, 1.0)
        fixed = scene(shape, spacing)
        loss = dissimilarity(name, fixed, torch.ones_like(fixed), spacing, 3.0)
        moved = [scene(shape, spacing, shift) for shift in (-3.0, -1.5, -0.5, 0.0, 0.5, 1.5, 3.0)]
        values = [float(loss(1 - image if turned else image)) for image in moved]
        assert values[0] > values[1] > values[2] > values[3] < values[4] < values[5] < values[6]

    @every_name
    @every_grid
    def test_what_is_excluded_is_not_seen(self, name: Name, shape: Shape, spacing: Spacing) -> None:
        image, fixed, weight = noise(shape, 1), noise(shape, 2), torch.ones(1, 1, *shape, dtype=torch.float64)
        weight[..., :4] = 0
        other, elsewhere = (torch.where(weight > 0, data, noise(shape, 4)) for data in (image, fixed))
        before = integral(name, image, fixed, spacing, 1.5, weight)
        assert integral(name, other, fixed, spacing, 1.5, weight) == pytest.approx(before, rel=1e-12)
        # The fixed image neither: not even by the slope from which an edge counts.
        assert integral(name, image, elsewhere, spacing, 1.5, weight) == pytest.approx(before, rel=1e-12)

    @every_name
    def test_nothing_counted_is_0(self, name: Name) -> None:
        image = noise((8, 9), 1).requires_grad_()
        value = dissimilarity(name, noise((8, 9), 2), torch.zeros(1, 1, 8, 9, dtype=torch.float64), (1.0, 1.0), 2.0)(
            image
        )
        (gradient,) = torch.autograd.grad(value, image)
        assert value.item() == 0
        assert not gradient.any()

    @every_name
    def test_a_pass_without_gradient_gives_the_same_value(self, name: Name) -> None:
        image, fixed = noise((30, 31), 1, torch.float32), noise((30, 31), 2, torch.float32)
        loss = dissimilarity(name, fixed, torch.ones_like(fixed), (1.0, 1.0), 2.0)
        assert loss(image.clone().requires_grad_()).item() == pytest.approx(loss(image).item(), rel=1e-6)


class TestContrast:
    """On a texture of blobs of some 2 mm from 0 to 1, of which no part is flat."""

    SHAPE, SPACING = (24, 26, 30), (1.5, 1.5, 1.0)

    @pytest.fixture
    def texture(self) -> Tensor:
        smooth = ndimage.gaussian_filter(array(noise(self.SHAPE, 5)), [2 / h for h in self.SPACING])
        return torch.sigmoid(2.5 * torch.from_numpy((smooth - smooth.mean()) / smooth.std()))[None, None]

    def values(self, name: Name, changed: Tensor, fixed: Tensor) -> tuple[float, float]:
        """How unlike the fixed image is the ``changed`` one and, to compare, the fixed one itself 2 mm away."""
        moved = fixed.roll(2, dims=-1)
        changed_value, moved_value = (integral(name, it, fixed, self.SPACING, 3.0, None) for it in (changed, moved))
        return changed_value, moved_value

    @pytest.mark.parametrize(("gain", "offset"), [(0.6, 0.2), (1.5, -0.1), (-0.8, 1.0)])
    def test_lncc_hardly_sees_gain_and_offset(self, texture: Tensor, gain: float, offset: float) -> None:
        changed, moved = self.values("lncc", gain * texture + offset, texture)
        assert changed < 0.05 * moved

    @pytest.mark.parametrize("name", ["lncc", "mind"])
    def test_far_above_the_noise_gain_and_offset_are_not_seen_at_all(self, name: Name, texture: Tensor) -> None:
        changed, moved = self.values(name, -70 * texture + 9, 100 * texture)
        assert changed < 1e-4 * moved

    def test_lncc_hardly_sees_a_slow_gain(self, texture: Tensor) -> None:
        slow = torch.linspace(0.8, 1.2, self.SHAPE[-1], dtype=torch.float64)
        changed, moved = self.values("lncc", texture * slow, texture)
        assert changed < 0.1 * moved

    def test_ngf_does_not_see_the_image_turned_round(self, texture: Tensor) -> None:
        assert integral("ngf", 1 - texture, texture, self.SPACING, 3.0, None) == pytest.approx(0, abs=1e-9)

    @pytest.mark.parametrize("gain", [0.7, 1.5, -0.7])
    def test_ngf_hardly_sees_contrast(self, texture: Tensor, gain: float) -> None:
        changed, moved = self.values("ngf", gain * texture, texture)
        assert changed < 0.15 * moved

    @pytest.mark.parametrize("gain", [0.7, 1.5, -0.7])
    def test_mind_hardly_sees_gain_and_offset(self, texture: Tensor, gain: float) -> None:
        changed, moved = self.values("mind", gain * texture + 0.2, texture)
        assert changed < 0.01 * moved

    @pytest.mark.parametrize("power", [0.7, 1.5])
    @pytest.mark.parametrize("sign", [1, -1])
    def test_mind_hardly_sees_a_monotone_change(self, texture: Tensor, power: float, sign: int) -> None:
        changed, moved = self.values("mind", sign * texture**power, texture)
        assert changed < 0.1 * moved


class TestFlat:
    SHAPE, SPACING = (20, 22, 24), (1.0, 1.0, 1.0)

    @every_name
    @pytest.mark.parametrize("flat", ["image", "fixed", "both"])
    def test_gradient_is_finite_in_single_precision(self, name: Name, flat: str) -> None:
        even = torch.full((1, 1, *self.SHAPE), 0.7)
        rough = noise(self.SHAPE, 1, torch.float32)
        image = (rough if flat == "fixed" else even).clone().requires_grad_()
        fixed = rough if flat == "image" else even
        value = dissimilarity(name, fixed, torch.ones_like(fixed), self.SPACING, 2.0)(image)
        (gradient,) = torch.autograd.grad(value, image)
        assert math.isfinite(value.item())
        assert bool(gradient.isfinite().all())
        if flat == "both":  # up to rounding, of the variances that of 0.7² in single precision
            assert abs(value.item()) < 1e-3 * image.numel()
            assert float(gradient.abs().max()) < 1e-2

    @every_name
    def test_single_precision_is_near_double(self, name: Name) -> None:
        fixed, image = scene(self.SHAPE, self.SPACING), scene(self.SHAPE, self.SPACING, 1.5)
        image = (0.7 * image + 0.2 + 1e-3 * noise(self.SHAPE)).requires_grad_()
        results = []
        for dtype in (torch.float64, torch.float32):
            loss = dissimilarity(name, fixed.to(dtype), torch.ones_like(fixed).to(dtype), self.SPACING, 2.0)
            value = loss(image.to(dtype))
            results.append((value.item(), torch.autograd.grad(value, image)[0]))
        (exact, gradient), (rounded, near) = results
        assert rounded == pytest.approx(exact, rel=1e-3)
        assert float((near - gradient).norm() / gradient.norm()) < 0.01


def test_slabs_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    fields = noise((11, 5), 1)[0].expand(2, 11, 5).clone().requires_grad_()
    scale = torch.arange(9.0, dtype=torch.float64)[:, None]

    def value(part: Tensor, rows: slice) -> Tensor:
        return ((part[0, 2:] - part[0, :-2]) ** 2 * scale[rows] * part[1, 1:-1]).sum()

    results = []
    for places in (10, 35, 1000):
        monkeypatch.setattr("regsuite.losses.slabs._PLACES", places)
        total = slab_sum(fields, value, beyond=1)
        results.append((total.item(), torch.autograd.grad(3 * total, fields)[0]))
    whole = value(fields, slice(0, 9))
    (gradient,) = torch.autograd.grad(3 * whole, fields)
    for total_of_slabs, of_slabs in results:
        assert total_of_slabs == pytest.approx(whole.item())
        assert torch.allclose(of_slabs, gradient)


def test_many_images_may_have_weights_of_their_own() -> None:
    generator = torch.Generator().manual_seed(3)
    fixed = torch.rand(1, 1, 20, 26, generator=generator, dtype=torch.float64)
    images = torch.rand(3, 1, 20, 26, generator=generator, dtype=torch.float64, requires_grad=True)
    # One of them so light that its windows would not count beside the others'.
    weights = torch.rand(3, 1, 20, 26, generator=generator, dtype=torch.float64)
    weights[1] *= 1e-5
    weights[2, :, :, 13:] = 0
    together = local_correlations(fixed, weights, (0.1, 0.1), 0.2)(images)
    alone = [
        local_correlations(fixed, weight[None], (0.1, 0.1), 0.2)(image[None])
        for weight, image in zip(weights, images, strict=True)
    ]
    assert torch.allclose(together, torch.cat(alone), rtol=1e-12)
    (slope,) = torch.autograd.grad(together.sum(), images)
    assert torch.equal(slope[2, :, :, 13:], torch.zeros(1, 20, 13, dtype=torch.float64))
    assert all(float(each.abs().max()) > 0 for each in slope)

"""Kernels against SciPy, their spectra, and what a kernel must be."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from regsuite.spatial import Grid
from regsuite.spatial.smoothing import Kernel, along_axes, gaussian_smooth
from scipy import ndimage


def _noise(shape: tuple[int, ...], channels: int = 1, margin: int = 0) -> torch.Tensor:
    """White noise, zero within ``margin`` voxels of the border."""
    noise = torch.randn(1, channels, *shape, generator=torch.Generator().manual_seed(3))
    inside = torch.zeros(1, 1, *shape)
    inside[(..., *(slice(margin, n - margin) for n in shape))] = 1
    return noise * inside


def _kernel(shape: tuple[int, ...], spacing: float, widths: list[float], name: str = "gaussian") -> Kernel:
    return Kernel(Grid.regular(shape, spacing), widths, name)  # type: ignore[arg-type]


class TestKernel:
    @pytest.mark.parametrize(("shape", "spacing"), [((40, 46), (1.0, 0.5)), ((24, 26, 30), (3.0, 1.5, 2.0))])
    def test_gaussian_is_scipys_of_what_is_mirrored_with_its_sign_changed(
        self, shape: tuple[int, ...], spacing: tuple[float, ...]
    ) -> None:
        """Which is the extension that makes a field vanish at the faces of the box."""
        data, width = _noise(shape), 3.0
        grid = Grid.from_affine(shape, np.diag([*spacing, 1.0]))
        ours = Kernel(grid, [width])(data)[0, 0].numpy()
        mirrored = data[0, 0].double().numpy()
        for axis in range(len(shape)):
            flipped = -np.flip(mirrored, axis)
            mirrored = np.concatenate([flipped, mirrored, flipped], axis)
        sigma = [width / h for h in spacing]
        scipys = ndimage.gaussian_filter(mirrored, sigma, mode="constant", truncate=6)
        inner = scipys[tuple(slice(n, 2 * n) for n in shape)]
        # Of SciPy's kernel a voxel wide the spectrum is a little different.
        assert np.abs(ours - inner).max() < 1e-2 * np.abs(inner).max()

    def test_several_widths_are_of_equal_height(self) -> None:
        """Gaussians of height 1 and σ of 2 and 4 hold 1 : 4 in 2D."""
        data = _noise((32, 32), margin=10)
        both, *alone = (_kernel((32, 32), 1.0, widths)(data) for widths in ([2.0, 4.0], [2.0], [4.0]))
        assert torch.allclose(5 * both, alone[0] + 4 * alone[1], atol=1e-4)

    @pytest.mark.parametrize("name", ["gaussian", "sobolev"])
    def test_is_symmetric_and_positive(self, name: str) -> None:
        kernel = _kernel((20, 22), 1.5, [3.0], name)
        a, b = _noise((20, 22)), _noise((20, 22)).flip(2)
        assert float((kernel(a) * b).sum()) == pytest.approx(float((a * kernel(b)).sum()), rel=1e-4)
        assert float((kernel(a) * a).sum()) > 0

    @pytest.mark.parametrize("name", ["gaussian", "sobolev"])
    def test_norm_of_a_field_is_that_of_its_coordinates(self, name: str) -> None:
        """||K m||²_V = <m, K m>, and K m = K^½ a has the coordinates a = K^½ m, so |a|² = <m, K m>."""
        kernel = _kernel((30, 34), 1.0, [2.0], name)
        m = _noise((30, 34))
        a = kernel.root * along_axes([each.T for each in kernel.sines], m)
        assert torch.allclose(kernel.field(a), kernel(m), atol=1e-5)
        assert float(a.square().sum()) == pytest.approx(float((m * kernel(m)).sum()), rel=1e-4)

    def test_field_on_a_finer_part_of_the_box_is_the_same_field(self) -> None:
        kernel = _kernel((24, 26, 22), 2.0, [5.0])
        a = torch.randn(1, 3, *kernel.modes, generator=torch.Generator().manual_seed(0))
        grid = kernel.grid
        assert torch.allclose(
            kernel.field_on(grid.cropped((3, 4, 5), (9, 8, 7)))(a), kernel.field(a)[..., 3:12, 4:12, 5:12]
        )
        fine = kernel.field_on(grid.resampled((2 / 3,) * 3))(a)
        # Every third voxel of a grid three times as fine has the centre of a coarse one.
        assert torch.allclose(fine[..., 1::3, 1::3, 1::3], kernel.field(a), atol=1e-5)

    def test_sobolev_has_the_gaussians_curvature_and_longer_tails(self) -> None:
        point = torch.zeros(1, 1, 65, 65)
        point[0, 0, 32, 32] = 1
        second = {}
        for name in ("gaussian", "sobolev"):
            row = _kernel((65, 65), 1.0, [3.0], name)(point)[0, 0].sum(dim=0)
            x = torch.arange(65.0) - 32
            second[name] = float((row * x**2).sum() / row.sum())
            assert float(row.sum()) == pytest.approx(1, abs=0.01)
        # Equal spectra up to ω² mean equal variances, σ² = 9.
        assert second["gaussian"] == pytest.approx(9, rel=0.02)
        assert second["sobolev"] == pytest.approx(9, rel=0.05)


@pytest.mark.parametrize(("shape", "spacing"), [((30, 41), (1.0, 2.0)), ((14, 20, 17), (1.0, 2.0, 0.7))])
def test_gaussian_smooth_is_scipys_with_edges_repeated(shape: tuple[int, ...], spacing: tuple[float, ...]) -> None:
    data = _noise(shape)
    ours = gaussian_smooth(data, spacing, 1.4)[0, 0].numpy()
    scipys = ndimage.gaussian_filter(data[0, 0].numpy(), [1.4 / h for h in spacing], mode="nearest", truncate=4)
    assert np.abs(ours - scipys).max() < 0.02 * np.abs(scipys).max()

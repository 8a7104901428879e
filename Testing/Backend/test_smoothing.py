"""Kernels against SciPy, their spectra, and what a kernel must be."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from regsuite.spatial.smoothing import Kernel, gaussian_smooth
from scipy import ndimage


def _noise(shape: tuple[int, ...], channels: int = 1, margin: int = 0) -> torch.Tensor:
    """White noise, zero within ``margin`` voxels of the border."""
    noise = torch.randn(1, channels, *shape, generator=torch.Generator().manual_seed(3))
    inside = torch.zeros(1, 1, *shape)
    inside[(..., *(slice(margin, n - margin) for n in shape))] = 1
    return noise * inside


class TestKernel:
    @pytest.mark.parametrize(("shape", "spacing"), [((40, 46), (1.0, 0.5)), ((24, 26, 30), (3.0, 1.5, 2.0))])
    def test_gaussian_is_scipys_with_zeros_outside(self, shape: tuple[int, ...], spacing: tuple[float, ...]) -> None:
        data = _noise(shape, margin=6)
        width = 3.0
        ours = Kernel(shape, spacing, [width])(data)[0, 0].numpy()
        sigma = [width / h for h in spacing]
        scipys = ndimage.gaussian_filter(data[0, 0].double().numpy(), sigma, mode="constant", truncate=6)
        assert np.abs(ours - scipys).max() < 5e-3 * np.abs(scipys).max()

    def test_several_widths_share_equally(self) -> None:
        data = _noise((32, 32), margin=10)
        both = Kernel((32, 32), (1.0, 1.0), [2.0, 4.0])(data)
        # The same padding for all, so that only the shares are compared.
        alone = [Kernel((32, 32), (1.0, 1.0), [width, 4.0])(data) for width in (2.0, 4.0)]
        assert torch.allclose(both, alone[0], atol=1e-6)
        assert torch.allclose(2 * both - alone[1], Kernel((32, 32), (1.0, 1.0), [2.0])(data), atol=1e-3)

    @pytest.mark.parametrize("name", ["gaussian", "sobolev"])
    def test_is_symmetric_and_positive(self, name: str) -> None:
        kernel = Kernel((20, 22), (1.0, 2.0), [3.0], name)  # type: ignore[arg-type]
        a, b = _noise((20, 22)), _noise((20, 22)).flip(2)
        assert float((kernel(a) * b).sum()) == pytest.approx(float((a * kernel(b)).sum()), rel=1e-4)
        assert float((kernel(a) * a).sum()) > 0

    @pytest.mark.parametrize("name", ["gaussian", "sobolev"])
    def test_root_applied_twice_is_the_kernel(self, name: str) -> None:
        kernel = Kernel((48, 48), (1.0, 1.0), [2.0], name)  # type: ignore[arg-type]
        data = _noise((48, 48), margin=18)
        assert torch.allclose(kernel.root()(kernel.root()(data)), kernel(data), atol=2e-3)

    def test_sobolev_has_the_gaussians_curvature_and_longer_tails(self) -> None:
        point = torch.zeros(1, 1, 65, 65)
        point[0, 0, 32, 32] = 1
        second = {}
        for name in ("gaussian", "sobolev"):
            row = Kernel((65, 65), (1.0, 1.0), [3.0], name)(point)[0, 0].sum(dim=0)  # type: ignore[arg-type]
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

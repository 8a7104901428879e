"""The descents, on functions whose minimum is known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from regsuite.errors import Cancelled
from regsuite.solvers.minimise import Optimiser, minimise
from scipy import optimize
from torch import Tensor

OPTIMISERS: tuple[Optimiser, ...] = ("lbfgs", "adadelta")


class Quadratic:
    """½ xᵀ H x - bᵀ x + c of two variables together, 6 x 5 and 10 numbers, with curvatures from 1 to 100."""

    def __init__(self, offset: float = 0.0) -> None:
        rng = np.random.default_rng(0)
        axes = np.linalg.qr(rng.standard_normal((40, 40)))[0]
        matrix = axes @ np.diag(np.geomspace(1, 100, 40)) @ axes.T
        self.solution = np.linalg.solve(matrix, b := rng.standard_normal(40))
        self.matrix, self.b, self.offset = torch.from_numpy(matrix), torch.from_numpy(b), offset
        self.tried: list[Tensor] = []

    def start(self) -> list[Tensor]:
        return [torch.full((6, 5), 0.3, dtype=torch.float64), torch.zeros(10, dtype=torch.float64)]

    def __call__(self, variables: Sequence[Tensor]) -> Tensor:
        x = torch.cat([part.flatten() for part in variables])
        self.tried.append(x.detach().clone())
        return 0.5 * x @ self.matrix @ x - self.b @ x + self.offset


def _flat(variables: Sequence[Tensor]) -> np.ndarray:
    return torch.cat([part.flatten() for part in variables]).numpy()


class TestMinimum:
    @pytest.mark.parametrize("scale", [1e-3, 0.1, 10.0])
    def test_of_a_quadratic_whatever_the_first_step(self, scale: float) -> None:
        quadratic = Quadratic()
        found = minimise(quadratic, quadratic.start(), 150, "lbfgs", tolerance=0.0, scale=scale)
        assert [part.shape for part in found] == [(6, 5), (10,)]
        assert _flat(found) == pytest.approx(quadratic.solution, abs=1e-4)

    def test_of_rosenbrocks_valley_in_about_as_many_evaluations_as_scipy(self) -> None:
        theirs = optimize.minimize(
            optimize.rosen, [-1.2, 1.0], jac=optimize.rosen_der, method="L-BFGS-B", options={"maxcor": 5}
        )
        count = 0

        def valley(variables: Sequence[Tensor]) -> Tensor:
            nonlocal count
            count += 1
            x, y = variables[0]
            return 100 * (y - x**2) ** 2 + (1 - x) ** 2

        start = torch.tensor([-1.2, 1.0], dtype=torch.float64)
        [found] = minimise(valley, [start], int(1.5 * theirs.nfev), "lbfgs", tolerance=0.0, scale=0.1)
        assert found.tolist() == pytest.approx([1.0, 1.0], abs=1e-3)

    def test_by_adadelta(self) -> None:
        quadratic = Quadratic(offset=5.0)
        found = minimise(quadratic, quadratic.start(), 600, "adadelta", tolerance=0.0, scale=0.01)
        best = float(quadratic([torch.from_numpy(quadratic.solution)]))
        values = [float(quadratic(variables)) for variables in (quadratic.start(), found)]
        assert values[1] - best < 0.1 * (values[0] - best)


@pytest.mark.parametrize("optimiser", OPTIMISERS)
class TestEveryDescent:
    def test_first_step_has_the_size_asked_for(self, optimiser: Optimiser) -> None:
        """As a root mean square over all variables; Adadelta's is some three times as long."""
        quadratic = Quadratic()
        minimise(quadratic, quadratic.start(), 2, optimiser, scale=1e-3)
        step = quadratic.tried[1] - quadratic.tried[0]
        expected = {"lbfgs": 1e-3, "adadelta": np.sqrt(10) * 1e-3}[optimiser]
        assert float(step.square().mean().sqrt()) == pytest.approx(expected, rel=1e-3)
        slope = quadratic.matrix @ quadratic.tried[0] - quadratic.b
        assert float(step @ slope) < 0

    def test_gives_the_best_met_and_tells_of_every_evaluation(self, optimiser: Optimiser) -> None:
        quadratic = Quadratic()
        told: list[tuple[int, float]] = []
        found = minimise(
            quadratic, quadratic.start(), 12, optimiser, 0.0, 3.0, lambda count, value: told.append((count, value))
        )
        assert [count for count, _ in told] == list(range(1, 13))
        values = [float(quadratic([x])) for x in quadratic.tried[:12]]
        assert [value for _, value in told] == pytest.approx(values)
        assert float(quadratic(found)) == pytest.approx(min(values))

    def test_leaves_what_it_was_given_alone(self, optimiser: Optimiser) -> None:
        quadratic = Quadratic()
        start = quadratic.start()
        minimise(quadratic, start, 5, optimiser)
        assert all(torch.equal(one, other) for one, other in zip(start, quadratic.start(), strict=True))

    def test_ends_where_little_is_won(self, optimiser: Optimiser) -> None:
        quadratic = Quadratic(offset=1e4)  # of which 0.2 % is more than all there is to win
        minimise(quadratic, quadratic.start(), 500, optimiser)
        assert len(quadratic.tried) < 50

    def test_stays_where_nothing_is_to_be_won(self, optimiser: Optimiser) -> None:
        start = torch.full((3,), 0.5)
        [found] = minimise(lambda variables: (0 * variables[0]).sum() + 1.0, [start], 50, optimiser)
        assert torch.equal(found, start)

    def test_a_variable_without_a_say_stays(self, optimiser: Optimiser) -> None:
        start = [torch.ones(2), torch.ones(3)]
        found = minimise(lambda variables: variables[0].square().sum(), start, 20, optimiser, scale=0.1)
        assert torch.equal(found[1], start[1])
        assert float(found[0].abs().max()) < 1

    def test_cancelling_gets_through(self, optimiser: Optimiser) -> None:
        def cancel(count: int, value: float) -> None:
            if count == 3:
                raise Cancelled

        quadratic = Quadratic()
        with pytest.raises(Cancelled):
            minimise(quadratic, quadratic.start(), 20, optimiser, on_evaluation=cancel)
        assert len(quadratic.tried) == 3


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_step_to_where_the_loss_is_no_number_is_taken_back(bad: float) -> None:
    """-log x + x has its minimum at 1 and is no number below 0, where the first step leads."""

    def loss(variables: Sequence[Tensor]) -> Tensor:
        x = variables[0]
        return torch.where(x > 0, x - x.clamp(min=1e-3).log(), bad).sum()

    [found] = minimise(loss, [torch.tensor([3.0, 2.0])], 60, "lbfgs", tolerance=0.0, scale=20.0)
    assert found.tolist() == pytest.approx([1.0, 1.0], abs=1e-2)

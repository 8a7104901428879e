"""The matrices between organs: by hand, against a published example, and whether what is offered can be had."""

from __future__ import annotations

import re

import numpy as np
import pytest
from regsuite import catalog
from regsuite.catalog.cells import Cells
from regsuite.couplings import coherence_matrix, nearest_coherence, place_of, transition_matrix
from regsuite.errors import InputError

NAMES = ["Liver", "Spleen", "Left kidney", "Bladder"]
OFFER = re.compile(r"(\w[\w ]*?) with (\w[\w ]*?) ([\d.e-]+)(?:, |\.$)")


class TestCoherence:
    def test_one_number_for_all(self) -> None:
        expected = np.full((4, 4), 0.3) + 0.7 * np.eye(4)
        assert np.allclose(coherence_matrix(NAMES, 0.3, ()), expected)

    def test_a_cell_counts_both_ways_and_over_the_number_for_all(self) -> None:
        found = coherence_matrix(NAMES, 0.1, (("Spleen", "Liver", 0.5), ("Bladder", "Left kidney", 0.0)))
        expected = [[1, 0.5, 0.1, 0.1], [0.5, 1, 0.1, 0.1], [0.1, 0.1, 1, 0], [0.1, 0.1, 0, 1]]
        assert np.allclose(found, expected)

    def test_names_in_any_case_and_both_directions_alike(self) -> None:
        cells = (("liver", "SPLEEN", 0.5), ("Spleen ", "Liver", 0.5), ("Liver", "Liver", 1.0))
        assert coherence_matrix(NAMES, 0.0, cells)[0, 1] == 0.5

    def test_of_one_organ(self) -> None:
        assert coherence_matrix(["Liver"], 0.7, ()).tolist() == [[1.0]]

    def test_two_values_for_a_pair(self) -> None:
        sentence = (
            r"not symmetric: Liver with Spleen is 0\.2, and Spleen with Liver 0\.6; give both the same, such as 0\.4\."
        )
        with pytest.raises(InputError, match=sentence):
            coherence_matrix(NAMES, 0.0, (("Liver", "Spleen", 0.2), ("Spleen", "Liver", 0.6)))

    def test_not_1_with_itself(self) -> None:
        with pytest.raises(InputError, match=r"has 0\.9 for Bladder with itself, and that is always 1: leave it out"):
            coherence_matrix(NAMES, 0.0, (("Bladder", "Bladder", 0.9),))

    def test_an_organ_that_is_not_there(self) -> None:
        sentence = "coherence matrix names 'Stomach', and the organs that both sides have are Liver, Spleen, Left "
        with pytest.raises(InputError, match=sentence + "kidney and Bladder: correct it"):
            coherence_matrix(NAMES, 0.0, (("Liver", "Stomach", 0.5),))

    def test_what_cannot_be_names_its_organs(self) -> None:
        """Liver and kidney are as one with the spleen, and not with each other; the bladder has no part in it."""
        with pytest.raises(InputError) as caught:
            coherence_matrix(NAMES, 0.0, (("Liver", "Spleen", 1.0), ("Spleen", "Left kidney", 1.0)))
        said = str(caught.value)
        assert "is not positive semi-definite" in said
        assert all(name in said for name in NAMES[:3])
        assert "Bladder" not in said
        assert float(OFFER.findall(said)[0][2]) > 0

    @pytest.mark.parametrize("seed", range(25))
    def test_what_is_offered_can_be_had(self, seed: int) -> None:
        """Typed in over what was asked for, it is accepted, and hardly farther off than the nearest."""
        names, between, cells, said = _impossible(np.random.default_rng(seed))
        offered = {frozenset(each[:2]): float(each[2]) for each in OFFER.findall(said.rpartition("that can be is ")[2])}
        assert offered
        kept = [cell for cell in cells if frozenset(cell[:2]) not in offered]
        typed = [*kept, *((*sorted(pair), value) for pair, value in offered.items())]
        values = catalog.method("mo-bcpd").check_values({"coherence_matrix": typed})
        coherence = coherence_matrix(names, between, values.coherence_matrix)
        assert np.linalg.eigvalsh(coherence)[0] >= -1e-6
        wanted = _filled(names, between, cells)
        least = np.linalg.norm(nearest_coherence(wanted) - wanted)
        assert np.linalg.norm(coherence - wanted) < 1.3 * least + 0.05


def _impossible(rng: np.random.Generator) -> tuple[list[str], float, Cells, str]:
    """Names, the number for all, cells, and what is said of them."""
    while True:
        count, between = int(rng.integers(3, 8)), float(rng.choice([0.0, 0.3]))
        names = [f"Organ {letter}" for letter in "ABCDEFG"[:count]]
        cells: Cells = tuple(
            (names[i], names[j], float(np.round(rng.choice([0.0, 1.0, rng.uniform()]), 2)))
            for i in range(count)
            for j in range(i)
            if rng.uniform() < 0.8
        )
        try:
            coherence_matrix(names, between, cells)
        except InputError as error:
            return names, between, cells, str(error)


def _filled(names: list[str], between: float, cells: Cells) -> np.ndarray:
    matrix = np.full((len(names), len(names)), between)
    np.fill_diagonal(matrix, 1)
    for one, other, value in cells:
        i, j = names.index(one), names.index(other)
        matrix[i, j] = matrix[j, i] = value
    return matrix


class TestNearest:
    def test_of_a_published_example(self) -> None:
        """Higham, IMA J. Numer. Anal. 22 (2002), section 4: to four digits."""
        a = np.array([[1.0, 1, 0], [1, 1, 1], [0, 1, 1]])
        expected = [[1, 0.7607, 0.1573], [0.7607, 1, 0.7607], [0.1573, 0.7607, 1]]
        assert np.abs(nearest_coherence(a) - expected).max() < 6e-5

    def test_of_what_is_valid_is_itself(self) -> None:
        a = np.full((4, 4), 0.4) + 0.6 * np.eye(4)
        assert np.abs(nearest_coherence(a) - a).max() < 1e-9

    @pytest.mark.parametrize("seed", range(5))
    def test_is_valid_and_nothing_near_it_is_nearer(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        a = rng.uniform(0, 1, (5, 5)).round()
        a = np.maximum(a, a.T)
        np.fill_diagonal(a, 1)
        found = nearest_coherence(a)
        assert np.linalg.eigvalsh(found)[0] > -1e-6
        assert np.allclose(np.diag(found), 1)
        assert -1e-6 < found.min() <= found.max() < 1 + 1e-6
        least = np.linalg.norm(found - a)
        for _ in range(200):
            factor = np.linalg.cholesky(found + 1e-6 * np.eye(5)) + 0.05 * rng.normal(size=(5, 5))
            factor /= np.linalg.norm(factor, axis=1, keepdims=True)
            other = factor @ factor.T
            if other.min() >= 0:
                assert np.linalg.norm(other - a) > least - 1e-4


class TestTransitions:
    def test_errors_are_shared(self) -> None:
        found = transition_matrix(NAMES, 0.3, ())
        assert np.allclose(found, 0.1 + 0.6 * np.eye(4))

    def test_a_row_has_its_cells_and_keeps_the_rest(self) -> None:
        found = transition_matrix(NAMES, 0.3, (("Liver", "Spleen", 0.2), ("Liver", "Bladder", 0.05)))
        assert np.allclose(found[0], [0.75, 0.2, 0, 0.05])
        assert np.allclose(found[1:], transition_matrix(NAMES, 0.3, ())[1:])

    def test_a_whole_row(self) -> None:
        cells = (("Spleen", "Spleen", 0.6), ("Spleen", "Liver", 0.4))
        assert np.allclose(transition_matrix(NAMES, 0.0, cells)[1], [0.4, 0.6, 0, 0])

    def test_a_row_need_not_be_exact(self) -> None:
        cells = (("Spleen", "Spleen", 0.667), ("Spleen", "Liver", 0.333), ("Liver", "Bladder", 1 / 3))
        assert np.allclose(transition_matrix(NAMES, 0.0, cells).sum(axis=1), 1, atol=1e-12)

    def test_of_one_organ(self) -> None:
        assert transition_matrix(["Liver"], 0.3, ()).tolist() == [[1.0]]

    @pytest.mark.parametrize(
        ("cells", "total"),
        [
            ((("Liver", "Liver", 0.6), ("Liver", "Spleen", 0.3)), "0.9"),
            ((("Liver", "Bladder", 0.6), ("Liver", "Spleen", 0.7)), "1.3"),
        ],
    )
    def test_a_row_that_does_not_sum_to_1(self, cells: Cells, total: str) -> None:
        with pytest.raises(
            InputError, match=f"row of Liver sums to {total} and not to 1: give what Liver is taken for"
        ):
            transition_matrix(NAMES, 0.0, cells)


def test_places_of_names() -> None:
    assert [place_of(name, NAMES, "x") for name in ("Liver", " left KIDNEY ", "bladder")] == [0, 2, 3]
    with pytest.raises(InputError, match="The table names 'Heart', and the organs that both sides have are Liver: "):
        place_of("Heart", ["Liver"], "table")

"""Matrices between organs: how far they move together (S), and whose label stands for whose (U), from named cells.

MO-BCPD: Multi-organ Bayesian Coherent Point Drift (WBIR 2022, chapter 9), section 2.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from regsuite.catalog.cells import Cells
from regsuite.errors import InputError

_TOLERANCE = 1e-6
_ROUNDS = 500
_LESS = (0.0, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05)
"""By which share less than the nearest organs are offered to move together."""


def coherence_matrix(names: Sequence[str], between: float, cells: Cells) -> np.ndarray:
    """S (L, L), symmetric and positive semi-definite, 1 on its diagonal: the cells, and ``between`` elsewhere.

    A cell counts for both organs. InputError, which offers the nearest that is valid, where a pair has two values or
    S is not positive semi-definite.
    """
    given: dict[tuple[int, int], float] = {}
    for one, other, value in placed(names, cells, "coherence matrix"):
        if one == other and abs(value - 1) > _TOLERANCE:
            raise InputError(
                f"The coherence matrix has {value:g} for {names[one]} with itself, and that is always 1: leave it out."
            )
        before = given.get((other, one), value)
        if one != other and abs(before - value) > _TOLERANCE:
            raise InputError(
                f"The coherence matrix is not symmetric: {names[other]} with {names[one]} is {before:g}, and "
                f"{names[one]} with {names[other]} {value:g}; give both the same, such as {(before + value) / 2:.3g}."
            )
        given[one, other] = value
    matrix = np.full((len(names), len(names)), float(between))
    np.fill_diagonal(matrix, 1.0)
    for (one, other), value in given.items():
        matrix[one, other] = matrix[other, one] = value
    if not _is_positive(matrix):
        raise InputError(_not_positive(names, matrix))
    return matrix


def nearest_coherence(matrix: np.ndarray) -> np.ndarray:
    """The positive semi-definite matrix (L, L) with 1 on its diagonal and nothing below 0 that is nearest to a
    symmetric one.

    Higham N. J.: Computing the nearest correlation matrix. IMA Journal of Numerical Analysis 22(3), 2002; that has no
    bound below, and here both projections are corrected, as Dykstra's algorithm does.
    """
    y = matrix.astype(float)
    corrections = [np.zeros_like(y), np.zeros_like(y)]
    for _ in range(_ROUNDS):
        x = _positive(y - corrections[0])
        corrections[0] = x - (y - corrections[0])
        y = (x - corrections[1]).clip(min=0)
        np.fill_diagonal(y, 1.0)
        corrections[1] = y - (x - corrections[1])
        if np.abs(y - x).max() < 0.1 * _TOLERANCE:
            break
    x = _positive(y)
    scale = 1 / np.sqrt(np.diag(x))
    return x * np.outer(scale, scale)


def valid_coherence(matrix: np.ndarray) -> np.ndarray:
    """A symmetric matrix (L, L) that is 1 on its diagonal, itself where it is valid, else about the nearest that is
    when it is written in three digits."""
    within = matrix.clip(0, 1)
    return within if _is_positive(within) else _offer(within, range(len(within)))


def _positive(matrix: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    return (vectors * values.clip(min=0)) @ vectors.T


def _not_positive(names: Sequence[str], matrix: np.ndarray) -> str:
    """Which organs cannot move together as they are said to, and what can be."""
    size = np.abs(np.linalg.eigh(matrix)[1][:, 0])
    concerned = [int(place) for place in np.argsort(-size) if size[place] > 0.3 * size.max()]
    offer = _offer(matrix, concerned)
    order = [*concerned, *(place for place in range(len(names)) if place not in concerned)]
    pairs = [(a, b) for place, a in enumerate(order) for b in order[place + 1 :] if offer[a, b] != matrix[a, b]]
    offered = ", ".join(f"{names[a]} with {names[b]} {offer[a, b]:g}" for a, b in pairs)
    return (
        "The coherence matrix is not positive semi-definite: "
        f"{_listed([names[place] for place in concerned])} cannot move together as it says; the nearest that can be is "
        f"{offered}."
    )


def _offer(matrix: np.ndarray, concerned: Sequence[int]) -> np.ndarray:
    """About the nearest that is valid, in three digits: between the organs concerned where that is enough.

    What the digits take is made up for by organs that move together a little less.
    """
    nearest = nearest_coherence(matrix)
    for places, shares in ((concerned, _LESS), (range(len(matrix)), (*_LESS, 1.0))):
        where = np.ix_(places, places)
        for less in shares:
            offer = matrix.copy()
            offer[where] = np.round((1 - less) * nearest[where], 3).clip(min=0)
            np.fill_diagonal(offer, 1.0)
            if _is_positive(offer):
                return offer
    raise AssertionError("each on its own way is valid")


def _is_positive(matrix: np.ndarray) -> bool:
    return bool(np.linalg.eigvalsh(matrix)[0] >= -_TOLERANCE)


def transition_matrix(names: Sequence[str], errors: float, cells: Cells) -> np.ndarray:
    """U (L, L), row l the probabilities u(. | l) of the labels that a point of organ l is given; rows sum to 1.

    errors: of a row without cells, shared by all other organs. A row with cells has those and 0 elsewhere, and what is
    left on the diagonal unless the diagonal is given. InputError where a row does not sum to one.
    """
    count = len(names)
    matrix = np.full((count, count), errors / max(count - 1, 1))
    np.fill_diagonal(matrix, 1 - errors if count > 1 else 1.0)
    given = placed(names, cells, "label matrix")
    for row in sorted({one for one, _, _ in given}):
        matrix[row] = 0
        for one, other, value in given:
            if one == row:
                matrix[row, other] = value
        total = matrix[row].sum()
        if (row, row) not in {(one, other) for one, other, _ in given}:
            matrix[row, row] = 1 - total
        if abs(matrix[row].sum() - 1) > 1e-3 or matrix[row, row] < 0:
            raise InputError(
                f"The label matrix's row of {names[row]} sums to {total:.4g} and not to 1: give what {names[row]} is "
                f"taken for by mistake alone, and {names[row]} itself gets the rest."
            )
        matrix[row] /= matrix[row].sum()
    return matrix


def placed(names: Sequence[str], cells: Cells, what: str) -> list[tuple[int, int, float]]:
    """Cells of a square table by the places of row and column; InputError where one is not among the names."""
    return [(place_of(row, names, what), place_of(column, names, what), number) for row, column, number in cells]


def place_of(name: str, names: Sequence[str], what: str) -> int:
    """An organ's place among names, whatever the case of its letters; InputError where it is not there."""
    known = [each.strip().lower() for each in names]
    if name.strip().lower() not in known:
        raise InputError(
            f"The {what} names '{name}', and the organs that both sides have are {_listed(names)}: correct it."
        )
    return known.index(name.strip().lower())


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"

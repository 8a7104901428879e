"""Losses of embeddings, and the ranking of plates, against values by hand."""

from __future__ import annotations

import math

import pytest
import torch
from regsuite.losses.embedding import (
    Name,
    contrastive_loss,
    embedding_loss,
    hard,
    neighbour_loss,
    semi_hard,
    triplet_loss,
)
from regsuite.methods.sections.ranking import mean_absolute_error, rank_errors, top_n
from torch import Tensor
from torch.nn import functional

NAMES: tuple[Name, ...] = ("neighbours", "semi-hard", "hard", "contrastive")
DISTANCES = torch.tensor([[0.4, 0.2, 0.9], [0.8, 0.5, 0.6], [2.0, 0.1, 1.0]], dtype=torch.float64)
"""Of three sections to three plates, plate i belonging to section i."""
GAPS = torch.tensor([[0.0, 1.0, 5.0], [1.0, 0.0, 4.0], [5.0, 4.0, 0.0]], dtype=torch.float64)


def loss(name: Name, margin: float = 0.3, reach: float = 0.5, gaps: Tensor = GAPS) -> float:
    return float(embedding_loss(name, DISTANCES, gaps, margin, reach))


class TestContrastive:
    def test_by_hand(self) -> None:
        # Equation (1), m = 1: positive pairs d² / 2; of negative ones only what is nearer than 1 counts.
        positive, negative = torch.tensor([0.4, 2.0]), torch.tensor([0.7, 3.0, 0.0])
        expected = (0.16 + 4.0) / 2 / 2 + (0.09 + 0.0 + 1.0) / 2 / 3
        assert float(contrastive_loss(positive, negative, 1.0)) == pytest.approx(expected)

    def test_of_a_batch_by_hand(self) -> None:
        positive = (0.4**2 + 0.5**2 + 1.0) / 3
        negative = ((0.3 - 0.2) ** 2 + 0 + 0 + 0 + 0 + (0.3 - 0.1) ** 2) / 6
        assert loss("contrastive") == pytest.approx(0.5 * positive + 0.5 * negative)

    def test_plates_within_reach_are_no_negatives(self) -> None:
        # With a reach of 2 mm plates 0 and 1 are neighbours, so that d = 0.2 of section 0 does not count.
        positive = (0.4**2 + 0.5**2 + 1.0) / 3
        assert loss("contrastive", reach=2.0) == pytest.approx(0.5 * positive + 0.5 * (0.3 - 0.1) ** 2 / 4)


class TestTriplets:
    def test_by_hand(self) -> None:
        # Equation (2), m = 0.3.
        found = triplet_loss(torch.tensor([0.4]), torch.tensor([0.2, 0.6, 0.7, 0.9]), 0.3)
        assert found.tolist() == pytest.approx([0.5, 0.1, 0.0, 0.0], abs=1e-6)

    def test_which_are_semi_hard_or_hard(self) -> None:
        positive = torch.tensor([[0.5]], dtype=torch.float64)
        distances = torch.tensor([[0.4, 0.5, 0.6, 0.75, 0.3]], dtype=torch.float64)
        negative = torch.tensor([[True, False, True, True, True]])
        assert semi_hard(positive, distances, negative).tolist() == [0.6]
        assert hard(positive, distances, negative).tolist() == [0.3]

    def test_where_no_negative_is_farther_the_easiest_counts(self) -> None:
        positive, distances = torch.tensor([[2.0]]), torch.tensor([[0.4, 1.5, 2.0, 9.0]])
        negative = torch.tensor([[True, True, False, False]])
        assert semi_hard(positive, distances, negative).tolist() == [1.5]

    def test_semi_hard_of_a_batch_by_hand(self) -> None:
        # Farther than the positives 0.4, 0.5 and 1.0 are 0.9; 0.6 before 0.8; 2.0: of these 0.6 alone is within 0.3.
        assert loss("semi-hard") == pytest.approx((0.5 - 0.6 + 0.3) / 3)

    def test_hard_of_a_batch_by_hand(self) -> None:
        assert loss("hard") == pytest.approx(((0.4 - 0.2 + 0.3) + (0.5 - 0.6 + 0.3) + (1.0 - 0.1 + 0.3)) / 3)

    @pytest.mark.parametrize("name", ["semi-hard", "hard"])
    def test_an_anchor_without_negatives_costs_nothing(self, name: Name) -> None:
        # Within a reach of 4.5 mm section 1 has none, and of the others plate 2 alone.
        distances = DISTANCES.clone().requires_grad_()
        value = embedding_loss(name, distances, GAPS, 0.3, 4.5)
        value.backward()
        assert value.item() == 0  # 0.4 - 0.9 + 0.3 and 1.0 - 2.0 + 0.3 are negative
        assert distances.grad is not None
        assert bool(torch.isfinite(distances.grad).all())

    def test_a_batch_without_triplets_costs_nothing(self) -> None:
        distances = (10 * (1 - torch.eye(3))).requires_grad_()
        for name in ("semi-hard", "hard"):
            value = embedding_loss(name, distances, GAPS, 0.3, 0.5)
            value.backward()
            assert value == 0
        assert distances.grad is not None
        assert not distances.grad.any()


class TestNeighbours:
    def test_is_cross_entropy_where_nothing_is_in_reach(self) -> None:
        expected = functional.cross_entropy(-((DISTANCES / 0.7) ** 2), torch.arange(3))
        assert float(neighbour_loss(DISTANCES, GAPS, 0.7, 1e-3)) == pytest.approx(float(expected))

    def test_by_hand(self) -> None:
        distances, gaps = torch.tensor([[0.5, 1.0]]), torch.tensor([[0.0, 0.2]])
        share = 1 / (1 + math.exp(-0.5))  # a gap as large as the reach weighs exp(-1/2)
        likeness = [math.exp(-0.25), math.exp(-1.0)]
        expected = -sum(
            weight * math.log(each / sum(likeness)) for weight, each in zip((share, 1 - share), likeness, strict=True)
        )
        assert float(neighbour_loss(distances, gaps, 1.0, 0.2)) == pytest.approx(expected)

    def test_plates_at_one_place_share_the_truth(self) -> None:
        alike = torch.zeros(2, 2)
        assert float(neighbour_loss(torch.ones(2, 2), alike, 1.0, 0.1)) == pytest.approx(math.log(2))


@pytest.mark.parametrize("name", NAMES)
class TestEvery:
    def test_is_what_the_rest_are_when_plates_are_renumbered(self, name: Name) -> None:
        order = torch.tensor([2, 0, 1])
        there = embedding_loss(name, DISTANCES[order][:, order], GAPS[order][:, order], 0.3, 0.5)
        assert float(there) == pytest.approx(loss(name))

    def test_falls_as_the_plate_comes_nearer(self, name: Name) -> None:
        distances = DISTANCES.clone().requires_grad_()
        embedding_loss(name, distances, GAPS, 0.3, 0.1).backward()
        assert distances.grad is not None
        assert (distances.grad.diagonal() >= 0).all()
        assert (distances.grad.diagonal() > 0).any()
        away = distances.grad[~torch.eye(3, dtype=torch.bool)]
        assert (away <= 0).all()
        assert (away < 0).any()


class TestRanking:
    def test_positions_by_hand(self) -> None:
        # Section 0: plates in the order 1, 0, 2; section 1: 1, 2, 0; section 2: 1, 2, 0.
        assert rank_errors(DISTANCES, torch.tensor([0, 1, 2])).tolist() == [1, 0, 1]
        assert rank_errors(DISTANCES, torch.tensor([2, 0, 0])).tolist() == [2, 2, 2]

    def test_the_papers_figures(self) -> None:
        # Table 3: where the true plate stands among the five first ones of each section.
        errors = torch.tensor([1, 2, 2, 3, 4])
        assert mean_absolute_error(errors) == pytest.approx(12 / 5)
        assert [top_n(errors, n) for n in (1, 3, 5, 10)] == pytest.approx([0.0, 0.6, 1.0, 1.0])

    def test_a_plate_each(self) -> None:
        truth = torch.arange(132)
        best, worst = torch.ones(132, 132) - torch.eye(132), torch.eye(132)
        assert mean_absolute_error(rank_errors(best, truth)) == 0
        assert top_n(rank_errors(best, truth), 1) == 1
        assert mean_absolute_error(rank_errors(worst, truth)) == 131

    def test_equal_distances_do_not_flatter(self) -> None:
        assert rank_errors(torch.zeros(3, 5), torch.tensor([0, 2, 4])).tolist() == [0, 2, 4]

    def test_plates_that_could_not_be_registered_come_last(self) -> None:
        information = torch.tensor([[0.3, -math.inf, 0.5]])
        assert rank_errors(-information, torch.tensor([1])).tolist() == [2]


@pytest.mark.parametrize("name", NAMES)
def test_several_sections_of_a_plate(name: Name) -> None:
    # Six sections of three plates, in their order twice: of equal ones the mean stays what it was.
    twice = float(embedding_loss(name, DISTANCES.repeat(2, 1), GAPS.repeat(2, 1), 0.3, 0.5))
    assert twice == pytest.approx(loss(name))

"""The organs of one side from labels and surfaces, and how those of two sides find each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
import torch
import vtk
from backend_samples import GRIDS
from regsuite.errors import InputError
from regsuite.methods.organs.sides import Organs, matched, organs_of
from regsuite.spatial import Grid, LabelImage, Surface, Surfaces
from regsuite.spatial.meshes import arrays_of
from regsuite.terminology import term_of

GRID = Grid.from_affine((30, 32, 34), np.array([[0, 0, -2.0, 30], [0, 2.0, 0, -40], [2.0, 0, 0, 100], [0, 0, 0, 1]]))
"""Left-handed."""
MIDDLE = GRID.centre


def ball(centre: np.ndarray, radius: float, grid: Grid = GRID) -> np.ndarray:
    return np.linalg.norm(grid.points(torch.float64).numpy() - centre, axis=-1) < radius


def mesh(name: str, offset: tuple[float, float, float] = (0, 0, 0), radius: float = 9.0) -> Surface:
    """A closed ball about the middle of the grid and so far from it."""
    source = vtk.vtkSphereSource()
    source.SetRadius(radius)
    source.SetCenter(*(MIDDLE + offset))
    source.SetThetaResolution(30)
    source.SetPhiResolution(30)
    source.Update()
    points, triangles = (torch.from_numpy(each) for each in arrays_of(source.GetOutput()))
    return Surface(points, triangles, name)


def cloud(name: str, offset: tuple[float, float, float] = (0, 0, 0)) -> Surface:
    return replace(mesh(name, offset), triangles=torch.zeros(0, 3, dtype=torch.long))


def labels(names: Mapping[int, str], terms: Mapping[int, str] | None = None) -> LabelImage:
    """Small boxes in a row, one of each."""
    data = np.zeros(GRID.shape, dtype=int)
    for place, value in enumerate(names):
        data[2:6, 2:6, 2 + 5 * place : 6 + 5 * place] = value
    return LabelImage.from_array(data, GRID, {value: name for value, name in names.items() if name}, None, terms)


class TestOneSide:
    def test_labels_alone_are_as_they_were(self) -> None:
        given = labels({3: "Liver", 7: "Spleen"})
        organs = organs_of(given, None, "fixed")
        assert organs.labels is given
        assert not organs.surfaces
        assert organs.has_inside(3)
        assert organs_of(given, Surfaces([]), "fixed").labels is given

    def test_surfaces_alone_make_a_grid_around_them(self) -> None:
        parts = [mesh("Liver"), cloud("Spleen", (60, 0, 0)), mesh("Sheet", (0, 60, 0))]
        parts[2] = replace(parts[2], triangles=parts[2].triangles[20:])
        organs = organs_of(None, Surfaces(parts), "fixed")
        grid = organs.labels.grid
        points = torch.cat([part.points for part in parts]).numpy()
        index = grid.to_index(points)
        assert (index > 2).all()
        assert (index < np.array(grid.shape) - 3).all()
        assert [organs.name_of(value) for value in organs.labels.values()] == ["Liver", "Spleen", "Sheet"]
        assert [organs.has_inside(value) for value in (1, 2, 3)] == [True, False, False]
        volume = float((organs.labels.data == 1).sum()) * grid.voxel_volume
        assert volume == pytest.approx(4 / 3 * np.pi * 9**3, rel=0.05)
        middle = grid.points(torch.float64)[organs.labels.mask(1)].mean(dim=0).numpy()
        assert np.linalg.norm(middle - MIDDLE) < 0.3

    def test_surfaces_beside_labels_leave_these_in_place(self) -> None:
        """And the grid is extended to where they are."""
        given = labels({3: "Liver", 7: "Spleen"}, {3: "SCT^10200004"})
        given = replace(given, colours={3: (1.0, 0.0, 0.0)})
        organs = organs_of(given, Surfaces([mesh("Bladder", (-70, 0, 5))]), "fixed")
        grid = organs.labels.grid
        assert np.allclose(grid.affine[:3, :3], GRID.affine[:3, :3])
        start = grid.to_index(GRID.origin)
        assert np.allclose(start, np.round(start))
        there = tuple(np.round(grid.to_index(GRID.points().numpy())).astype(int).reshape(-1, 3).T)
        assert np.array_equal(organs.labels.array()[there].reshape(GRID.shape), given.array())
        assert organs.labels.names == {1: "Bladder", 3: "Liver", 7: "Spleen"}
        assert organs.labels.colours == {3: (1.0, 0.0, 0.0)}
        assert organs.labels.terms == {3: "SCT^10200004"}
        found = grid.points(torch.float64)[organs.labels.mask(1)].mean(dim=0).numpy()
        assert np.linalg.norm(found - MIDDLE - (-70, 0, 5)) < 0.5

    def test_within_the_labels_the_grid_stays(self) -> None:
        organs = organs_of(labels({1: "Liver"}), Surfaces([mesh("Bladder", radius=8.0)]), "fixed")
        assert organs.labels.grid.same_as(GRID)

    def test_what_lies_within_another_is_seen(self) -> None:
        """In whatever order they are given."""
        for parts in ([mesh("Tumour", radius=5.0), mesh("Liver", radius=20.0)],) * 2:
            parts.reverse()
            organs = organs_of(None, Surfaces(parts), "fixed")
            counts = {organs.name_of(v): int((organs.labels.data == v).sum()) for v in organs.labels.values()}
            share = counts["Tumour"] / (counts["Tumour"] + counts["Liver"])
            assert share == pytest.approx((5 / 20) ** 3, rel=0.1)

    def test_a_segment_within_a_surface_is_seen(self) -> None:
        """And one around a surface, at which it ends."""
        tumour = LabelImage.from_array(4 * ball(MIDDLE, 6.0), GRID, {4: "Tumour"})
        organs = organs_of(tumour, Surfaces([mesh("Liver", radius=18.0)]), "fixed")
        assert torch.equal(organs.labels.data == 4, tumour.data == 4)
        liver = LabelImage.from_array(4 * ball(MIDDLE, 18.0), GRID, {4: "Liver"})
        organs = organs_of(liver, Surfaces([mesh("Tumour", radius=10.0)]), "fixed")
        counts = [int((organs.labels.data == value).sum()) for value in (1, 4)]
        assert counts[0] / sum(counts) == pytest.approx((10 / 18) ** 3, rel=0.1)
        assert sum(counts) == int((liver.data == 4).sum())

    def test_points_of_either_kind(self) -> None:
        """Evenly on the ball, as many as asked for at most."""
        data = LabelImage.from_array(3 * ball(MIDDLE, 20.0), GRID, {3: "Liver"})
        far = (0, 0, 80)
        organs = organs_of(data, Surfaces([mesh("Spleen", far, 20.0), cloud("Stomach", (0, 0, -80))]), "fixed")
        for value, centre in ((3, MIDDLE), (1, MIDDLE + far)):
            points = organs.points(value, 100).numpy()
            assert len(points) == 100
            assert np.abs(np.linalg.norm(points - centre, axis=1) - 20).mean() < 0.4
        assert organs.points(2, 100).shape == (100, 3)
        assert [organs.surface(value).name for value in (1, 2, 3)] == ["Spleen", "Stomach", "Liver"]
        assert len(organs.surface(2).triangles) == 0
        assert organs.surface(3).closed

    def test_duplicate_points_count_once(self) -> None:
        one = cloud("Liver")
        twice = replace(one, points=torch.cat([one.points, one.points]))
        organs = [organs_of(None, Surfaces([part]), "fixed") for part in (one, twice)]
        assert torch.equal(organs[0].labels.data, organs[1].labels.data)
        many = len(one.points) + 100
        assert len(organs[1].points(1, many)) == len(organs[0].points(1, many)) == len(one.points)

    def test_in_2d(self) -> None:
        grid = GRIDS["oblique-2d"]
        angle = np.linspace(0, 2 * np.pi, 80, endpoint=False)
        ring = Surface(torch.from_numpy(grid.centre + 15 * np.stack([np.cos(angle), np.sin(angle)], axis=-1)), name="A")
        alone = organs_of(None, Surfaces([ring]), "fixed")
        assert (alone.dim, alone.labels.names) == (2, {1: "A"})
        data = np.zeros(grid.shape, dtype=int)
        data[:4, :4] = 1
        beside = organs_of(LabelImage.from_array(data, grid, {1: "B"}), Surfaces([ring]), "fixed")
        assert beside.labels.names == {1: "B", 2: "A"}
        assert beside.labels.grid.same_as(grid)


class TestBadSides:
    @pytest.mark.parametrize("side", ["fixed", "moving"])
    def test_nothing(self, side: str) -> None:
        for given in (None, Surfaces([])):
            with pytest.raises(InputError, match=f"The {side} organs are missing: give a segmentation, or surfaces"):
                organs_of(None, given, side)

    @pytest.mark.parametrize(
        "points", [torch.zeros(0, 3).double(), torch.tensor([[0.0, 1, np.nan]]), torch.tensor([[0.0, 1, np.inf]])]
    )
    def test_empty_or_not_finite(self, points: torch.Tensor) -> None:
        sentence = "The moving surface 'Liver' has no points, or points that are not finite: mend it"
        with pytest.raises(InputError, match=sentence):
            organs_of(None, Surfaces([mesh("Spleen"), Surface(points.double(), name="Liver")]), "moving")

    @pytest.mark.parametrize("count", [1, 2])
    def test_a_point_or_two_are_a_side(self, count: int) -> None:
        """Too few to be matched, which is said later, and of which organ."""
        organs = organs_of(None, Surfaces([Surface(torch.eye(3).double()[:count], name="Liver")]), "moving")
        assert len(organs.points(1, 100)) == count

    def test_a_name_twice(self) -> None:
        two = Surfaces([mesh("Liver"), mesh(" liver ", (60, 0, 0))])
        with pytest.raises(InputError, match="Two of the fixed organs are called 'liver': rename one, or leave it out"):
            organs_of(None, two, "fixed")
        with pytest.raises(InputError, match="Two of the moving organs are called 'liver'"):
            organs_of(labels({4: "LIVER"}), Surfaces([mesh("Liver")]), "moving")
        with pytest.raises(InputError, match="Two of the moving organs are called 'liver'"):
            organs_of(labels({4: "Liver", 5: "liver"}), None, "moving")

    def test_a_name_of_a_label_that_is_not_there_is_free(self) -> None:
        given = replace(labels({4: "Liver"}), names={4: "Liver", 1: "Spleen"})
        organs = organs_of(given, Surfaces([mesh("Spleen")]), "fixed")
        assert sorted(organs.name_of(value) for value in organs.labels.values()) == ["Liver", "Spleen"]


LIVER, SPLEEN = term_of("c~SCT^123037004^A~SCT^10200004^Liver~^^~~^^~^^"), "SCT^78961009"
LEFT, RIGHT = "SCT^64033007~SCT^7771000", "SCT^64033007~SCT^24028007"


def _side(names: Mapping[int, str], terms: Mapping[int, str] | None = None) -> Organs:
    return organs_of(labels(names, terms), None, "x")


def _found(moving: Organs, fixed: Organs) -> dict[str, str | None]:
    """The fixed organ that every moving one is matched to, by names."""
    result = matched(moving, fixed)
    return {
        result.name_of(value): fixed.name_of(value) if value in fixed.labels.values() else None
        for value in result.labels.values()
    }


class TestMatched:
    def test_by_name_in_any_case(self) -> None:
        moving, fixed = _side({1: "SPLEEN", 2: "liver", 3: "Aorta"}), _side({1: "Liver", 4: " Spleen"})
        assert _found(moving, fixed) == {"SPLEEN": " Spleen", "liver": "Liver", "Aorta": None}

    def test_voxels_go_along(self) -> None:
        moving, fixed = _side({1: "Spleen", 2: "Liver"}), _side({1: "Liver", 4: "Spleen"})
        result = matched(moving, fixed)
        assert torch.equal(result.labels.data == 1, moving.labels.data == 2)
        assert torch.equal(result.labels.data == 4, moving.labels.data == 1)

    def test_surfaces_go_along(self) -> None:
        moving = organs_of(None, Surfaces([mesh("Liver"), mesh("Spleen", (60, 0, 0), 7.0)]), "moving")
        result = matched(moving, _side({1: "Spleen", 9: "Liver"}))
        assert {value: surface.name for value, surface in result.surfaces.items()} == {1: "Spleen", 9: "Liver"}
        assert result.surface(9).area == pytest.approx(mesh("Liver").area)

    def test_by_term_where_names_differ(self) -> None:
        moving = _side({1: "Leber", 2: "Milz"}, {1: LIVER, 2: SPLEEN})
        fixed = _side({5: "Spleen", 6: "Liver"}, {5: SPLEEN, 6: LIVER})
        assert _found(moving, fixed) == {"Leber": "Liver", "Milz": "Spleen"}

    def test_the_side_of_the_body_is_part_of_the_term(self) -> None:
        moving = _side({1: "Niere 1", 2: "Niere 2"}, {1: RIGHT, 2: LEFT})
        fixed = _side({1: "Left kidney", 2: "Right kidney"}, {1: LEFT, 2: RIGHT})
        assert _found(moving, fixed) == {"Niere 1": "Right kidney", "Niere 2": "Left kidney"}

    def test_by_name_where_a_term_is_not_one_organs_alone(self) -> None:
        """Two segments that are both a 'kidney'."""
        moving = _side({1: "Right", 2: "Left"}, {1: "SCT^64033007", 2: "SCT^64033007"})
        fixed = _side({1: "Left", 2: "Right"}, {1: "SCT^64033007", 2: "SCT^64033007"})
        assert _found(moving, fixed) == {"Right": "Right", "Left": "Left"}

    def test_by_name_where_one_side_has_no_terms(self) -> None:
        moving = _side({1: "Spleen", 2: "Liver"}, {1: SPLEEN, 2: LIVER})
        assert _found(moving, _side({1: "Liver", 2: "Spleen"})) == {"Spleen": "Spleen", "Liver": "Liver"}

    def test_a_term_counts_more_than_a_name(self) -> None:
        """What is called liver by mistake does not take its place, and is matched to nothing."""
        moving = _side({1: "Liver", 2: "Leber"}, {2: LIVER})
        assert _found(moving, _side({7: "Liver"}, {7: LIVER})) == {"Liver": None, "Leber": "Liver"}

    def test_by_number_where_a_side_has_no_names(self) -> None:
        moving, fixed = _side({1: "", 2: ""}), _side({2: "Liver", 3: "Spleen"})
        assert matched(moving, fixed) is moving

    def test_no_number_is_taken_twice(self) -> None:
        moving, fixed = _side({1: "A", 2: "B", 3: "C"}), _side({3: "A", 2: "D", 1: "E"})
        result = matched(moving, fixed)
        assert len(result.labels.values()) == 3
        assert _found(moving, fixed) == {"A": "A", "B": None, "C": None}


class TestTerms:
    @pytest.mark.parametrize(
        ("entry", "term"),
        [
            ("", ""),
            ("Liver", ""),
            ("a~b~c", ""),
            ("Segmentation category~SCT^85756007^Tissue~SCT^85756007^Tissue~^^~Anatomic codes~^^~^^", ""),
            ("Segmentation category~SRT^T-D0050^Tissue~SRT^T-D0050^Tissue~^^~Anatomic codes~^^~^^", ""),
            ("x~SCT^123037004^Anatomical Structure~SCT^10200004^Liver~^^~y~^^~^^", "SCT^10200004"),
            (
                "x~SCT^123037004^Anatomical Structure~SCT^64033007^Kidney~SCT^7771000^Left~y~^^~^^",
                "SCT^64033007~SCT^7771000",
            ),
            (
                "x~SCT^49755003^Altered~SCT^4147007^Mass~^^~y~SCT^64033007^Kidney~SCT^24028007^Right",
                "SCT^4147007~~SCT^64033007~SCT^24028007",
            ),
        ],
    )
    def test_of_entries(self, entry: str, term: str) -> None:
        assert term_of(entry) == term

    def test_what_it_is_called_does_not_matter(self) -> None:
        one, other = (f"{x}~SCT^123037004^{x}~SCT^10200004^{x}~^^~{x}~^^~^^" for x in ("Leber", "Liver"))
        assert term_of(one) == term_of(other) == LIVER


def test_surfaces_far_from_the_segments_are_doubted() -> None:
    """In metres, or of another patient: a grid that held both would be mostly empty."""
    labels = LabelImage.from_array(np.ones((10, 10, 10)), Grid.regular((10, 10, 10), 2.0), {1: "Liver"})
    far = Surface(torch.tensor([[0.0, 0, 0], [5000, 0, 0], [0, 5000, 0]], dtype=torch.float64), name="Spleen")
    with pytest.raises(InputError, match="fixed surfaces lie far from the fixed segments"):
        organs_of(labels, Surfaces([far]), "fixed")


def test_surfaces_keep_their_colours() -> None:
    ball = Surface(torch.rand(30, 3, dtype=torch.float64) * 20, name="Airways", colour=(0.1, 0.9, 0.2))
    found = organs_of(None, Surfaces([ball]), "moving")
    assert [found.labels.colours[value] for value in found.values] == [(0.1, 0.9, 0.2)]

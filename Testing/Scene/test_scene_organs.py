"""Organs as models, markups and segmentations without an image, and how they are seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer
import slicer.util
import vtk
from RegistrationSuiteLib import display, run_headless, samples, scene, views
from RegistrationSuiteLib.logic import MethodLogic, Request
from RegistrationSuiteLib.scene.geometry import grid_of
from RegistrationSuiteLib.scene.labels import segments_on_grid
from RegistrationSuiteLib.scene.organs import organ_names
from RegistrationSuiteLib.scene.surfaces import names_of
from RegistrationSuiteLib.scene.volumes import new_node
from regsuite import io, jobs
from regsuite.errors import InputError
from regsuite.spatial import PointSet

pytestmark = pytest.mark.usefixtures("session")

QUICK = {"points": 120, "device": "cpu"}


def ball(name: str, centre: tuple[float, float, float], radius: float = 20.0) -> Any:
    """A model of a ball."""
    source = vtk.vtkSphereSource()
    source.SetCenter(centre)
    source.SetRadius(radius)
    source.SetThetaResolution(24)
    source.SetPhiResolution(24)
    source.Update()
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode", name)
    node.SetAndObserveMesh(source.GetOutput())
    node.CreateDefaultDisplayNodes()
    return node


def under(node: Any, matrix: np.ndarray) -> None:
    """Puts a node under a linear transform."""
    transform = new_node("vtkMRMLLinearTransformNode", "parent")
    transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
    node.SetAndObserveTransformNodeID(transform.GetID())


SHIFTED = np.array([[0.0, -1, 0, 100], [1, 0, 0, -30], [0, 0, 1, 7], [0, 0, 0, 1]])


def segmentation(name: str, **segments: tuple[float, float, float]) -> Any:
    """Balls as segments, drawn as surfaces, with no volume anywhere."""
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    for title, centre in segments.items():
        model = ball(title, centre)
        node.GetSegmentation().SetSourceRepresentationName(
            slicer.vtkSegmentationConverter.GetSegmentationClosedSurfaceRepresentationName()
        )
        node.AddSegmentFromClosedSurfaceRepresentation(model.GetPolyData(), title, (0.8, 0.3, 0.2))
        slicer.mrmlScene.RemoveNode(model)
    node.CreateDefaultDisplayNodes()
    return node


class TestSurfaces:
    def test_models_are_where_their_transforms_put_them(self) -> None:
        node = ball("Liver", (10, 20, 30))
        under(node, SHIFTED)
        surfaces = scene.surfaces_from_nodes([node])
        middle = surfaces.parts[0].points.numpy().mean(axis=0)
        assert middle == pytest.approx((SHIFTED @ (10, 20, 30, 1))[:3], abs=0.5)
        assert surfaces.parts[0].closed
        assert surfaces.parts[0].name == "Liver"

    def test_organs_keep_the_colours_of_models(self) -> None:
        """In the models and the segments that come of them."""
        models = [ball("Liver", (x, 0, 0)) for x in (0.0, 5.0)]
        for model in models:
            model.GetDisplayNode().SetColor(0.2, 0.8, 0.4)
        nodes = MethodLogic(("mo-bcpd",)).register(fixed_surfaces=models[:1], moving_surfaces=models[1:], **QUICK)
        colours = slicer.util.arrayFromModelPointData(nodes["organs_after"], "organ")
        assert np.unique(colours, axis=0).tolist() == [[51, 204, 102]]
        segment = nodes["warped_labels"].GetSegmentation().GetNthSegment(0)
        assert segment.GetColor() == pytest.approx((0.2, 0.8, 0.4))

    def test_markups_are_points_without_triangles(self) -> None:
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "Airways")
        for place in range(4):
            node.AddControlPoint(vtk.vtkVector3d(place, 2, 3))
        part = scene.surfaces_from_nodes([node]).parts[0]
        assert part.points.tolist() == [[place, 2, 3] for place in range(4)]
        assert len(part.triangles) == 0

    def test_a_number_that_slicer_gave_is_no_part_of_a_name(self) -> None:
        """A second Liver becomes Liver_1; a vertebra L_2 keeps its name where there is no model L, and Rib_1 and Rib_2
        theirs where they would be one."""
        nodes = {name: ball(name, (0, 0, 0)) for name in ("Liver", "Liver_1", "L_2", "Rib", "Rib_1", "Rib_2")}
        new_node("vtkMRMLLinearTransformNode", "L")
        assert names_of([nodes["Liver_1"], nodes["L_2"]]) == ["Liver", "L_2"]
        for names in (["Rib_1", "Rib_2"], ["Liver", "Liver_1"]):
            assert names_of([nodes[name] for name in names]) == names

    def test_what_holds_no_surface(self) -> None:
        empty = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode", "Nothing")
        with pytest.raises(InputError, match="'Nothing' has no points"):
            scene.surfaces_from_nodes([empty])
        solid = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode", "Tetrahedra")
        mesh = vtk.vtkUnstructuredGrid()
        mesh.SetPoints(ball("Ball", (0, 0, 0)).GetPolyData().GetPoints())
        solid.SetAndObserveMesh(mesh)
        with pytest.raises(InputError, match="'Tetrahedra' is a volume mesh"):
            scene.surfaces_from_nodes([solid])

    def test_a_model_keeps_its_values_and_is_hidden_at_first(self) -> None:
        import torch
        from regsuite.spatial import Surface

        points = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]], dtype=torch.float64)
        values = {"distance, mm": torch.tensor([1.0, 2.0, 3.0]), "organ": torch.tensor([[1.0, 0.5, 0.0]] * 3)}
        node = scene.model_from_surface(Surface(points, torch.tensor([[0, 1, 2]]), values=values), "Made")
        assert slicer.util.arrayFromModelPoints(node).tolist() == points.tolist()
        assert slicer.util.arrayFromModelPointData(node, "distance, mm").tolist() == [1, 2, 3]
        assert slicer.util.arrayFromModelPointData(node, "organ").tolist() == [[255, 128, 0]] * 3
        assert not node.GetDisplayNode().GetVisibility()


class TestWithoutAnImage:
    def test_a_segmentation_has_the_grid_it_was_drawn_on(self) -> None:
        nodes = samples.abdomen_3d()
        whole = grid_of(nodes["fixed"])
        slicer.mrmlScene.RemoveNode(nodes["fixed"])
        assert grid_of(nodes["fixed_labels"]).same_as(whole)
        assert scene.labels_from_node(nodes["fixed_labels"]).grid.same_as(whole)

    def test_a_segmentation_that_left_its_volume_loses_no_voxel(self) -> None:
        """40 and 120 mm: the volume it was drawn on stays behind, or both go."""
        nodes = samples.abdomen_3d()
        nodes["moving_labels"].SetReferenceImageGeometryParameterFromVolumeNode(nodes["moving"])
        count = len(np.argwhere(scene.labels_from_node(nodes["moving_labels"]).array()))
        shifted = np.eye(4)
        shifted[:3, 3] = (40, 120, 0)
        under(nodes["moving_labels"], shifted)
        labels = scene.labels_from_node(nodes["moving_labels"])
        assert len(np.argwhere(labels.array())) == count
        moved = np.asarray(labels.grid.origin) - np.asarray(grid_of(nodes["moving"]).origin)
        assert moved == pytest.approx((40, 120, 0))
        nodes["moving"].SetAndObserveTransformNodeID(nodes["moving_labels"].GetTransformNodeID())
        assert grid_of(nodes["moving_labels"]).same_as(grid_of(nodes["moving"]))

    def test_voxels_without_a_geometry_of_their_own_are_all_there(self) -> None:
        nodes = samples.abdomen_3d()
        node = nodes["moving_labels"]
        count = len(np.argwhere(scene.labels_from_node(node).array()))
        slicer.mrmlScene.RemoveNode(nodes["moving"])
        parameter = slicer.vtkSegmentationConverter.GetReferenceImageGeometryParameterName()
        node.GetSegmentation().SetConversionParameter(parameter, "")
        assert len(np.argwhere(scene.labels_from_node(node).array())) == count

    def test_surfaces_alone_get_a_grid_around_them(self) -> None:
        node = segmentation("Drawn", Liver=(10.0, 20.0, 30.0))
        labels = scene.labels_from_node(node)
        voxels = np.argwhere(labels.array() > 0)
        assert labels.grid.to_world(voxels).mean(axis=0) == pytest.approx((10, 20, 30), abs=0.5)
        assert len(voxels) * labels.grid.voxel_volume == pytest.approx(4 / 3 * np.pi * 20**3, rel=0.05)

    def test_an_empty_segmentation(self) -> None:
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Empty")
        with pytest.raises(InputError, match="'Empty' is empty"):
            scene.labels_from_node(node)

    def test_models_meet_models(self) -> None:
        """The transform, put on the moving models, takes them to the fixed ones; nothing of an image is made."""
        fixed = [ball("Liver", (0, 0, 0), 25.0), ball("Spleen", (80, 0, 0), 15.0)]
        moving = [ball("Liver", (10, 6, 0), 22.0), ball("Spleen", (80, -12, 9), 16.0)]
        nodes = MethodLogic(("mo-bcpd",)).register(fixed_surfaces=fixed, moving_surfaces=moving, **QUICK)
        assert "warped" not in nodes
        for model, centre, radius in ((moving[0], (0, 0, 0), 25), (moving[1], (80, 0, 0), 15)):
            model.SetAndObserveTransformNodeID(nodes["transform"].GetID())
            moved = scene.surfaces_from_nodes([model]).parts[0].points.numpy()
            assert np.abs(np.linalg.norm(moved - centre, axis=1) - radius).mean() < 1.0
        assert slicer.util.arrayFromModelPointData(nodes["organs_after"], "distance, mm").mean() < 1.0
        assert slicer.util.arrayFromModelPointData(nodes["organs_before"], "distance, mm").mean() > 4.0

    def test_a_side_with_nothing(self) -> None:
        with pytest.raises(InputError, match="nothing on the moving side: choose one of moving organs"):
            MethodLogic(("mo-bcpd",)).register(fixed_surfaces=[ball("Liver", (0, 0, 0))])

    def test_one_model_is_a_list_of_one(self) -> None:
        logic = MethodLogic(("mo-bcpd",))
        ball("Liver", (0, 0, 0), 25.0)
        nodes = logic.register(fixed_surfaces="Liver", moving_surfaces=ball("Leber", (10, 6, 0), 22.0), **QUICK)
        assert slicer.util.arrayFromModelPointData(nodes["organs_after"], "distance, mm").mean() < 1.0

    def test_what_is_given_for_something_else(self) -> None:
        logic, liver, drawn = (
            MethodLogic(("mo-bcpd",)),
            ball("Liver", (0, 0, 0)),
            segmentation("Drawn", Liver=(0, 0, 0)),
        )
        with pytest.raises(InputError, match="'Fixed organs' takes one node, and a list was given"):
            logic.register(fixed_labels=[drawn], moving_labels=drawn)
        with pytest.raises(InputError, match=r"'Liver' is no segmentation.* give it as one of 'fixed_surfaces'"):
            logic.register(fixed_labels=liver, moving_labels=drawn)
        with pytest.raises(InputError, match="nothing on the fixed side"):
            logic.register(fixed_surfaces=[], moving_labels=drawn)

    def test_surfaces_that_are_gone_at_the_end(self) -> None:
        """Every node of a list is asked for, not the first one alone."""
        fixed, moving = ([ball(name, (x, 0, 0)) for name, x in (("Liver", 0), ("Spleen", 60))] for _ in range(2))
        request = Request("mo-bcpd", {"fixed_surfaces": fixed, "moving_surfaces": moving}, parameters={"points": 60})
        registration = jobs.run(request.job())
        slicer.mrmlScene.RemoveNode(moving[1])
        with pytest.raises(InputError, match=r"The moving surfaces were removed .* load them and run again"):
            request.add(registration)

    def test_headless(self, tmp_path: Path) -> None:
        """Models in files become a scene, a transform and models with their distances in files."""
        for side, place in (("fixed", 0.0), ("moving", 12.0)):
            (tmp_path / side).mkdir()
            for name, x in (("Liver", 0.0), ("Spleen", 70.0)):
                slicer.util.saveNode(ball(name, (x, place, 0)), str(tmp_path / side / f"{name}.vtp"))
        slicer.mrmlScene.Clear(0)
        files = {
            side: [str(tmp_path / side / f"{name}.vtp") for name in ("Liver", "Spleen")] for side in ("fixed", "moving")
        }
        words = ["mo-bcpd", "--fixed-surfaces", *files["fixed"], "--moving-surfaces", *files["moving"]]
        settings = ["--set", "points=100", "--device", "cpu", "--out", str(tmp_path / "out")]
        assert run_headless.main([*words, *settings]) == 0
        assert (tmp_path / "out" / "scene.mrb").exists()
        model = slicer.util.loadModel(str(tmp_path / "out" / "organs_after.vtp"))
        assert slicer.util.arrayFromModelPointData(model, "distance, mm").mean() < 1.0
        assert slicer.util.arrayFromModelPoints(model)[:, 1].mean() == pytest.approx(0, abs=1.0)


def disc(name: str, height: float, x: float) -> Any:
    """A slice of labels, at some height, with a disc that is the Liver."""
    from regsuite.spatial import Grid, LabelImage

    grid = Grid.from_affine((60, 60), np.array([[0.0, 2, -60], [2, 0, -60], [0, 0, 1]]))
    centres = grid.to_world(np.stack(np.meshgrid(range(60), range(60), indexing="ij"), axis=-1).reshape(-1, 2))
    array = (np.linalg.norm(centres - (x, 0), axis=1) < 25).astype(np.int16).reshape(60, 60)
    plane = scene.Plane(frame=np.eye(3)[:, :2], normal=np.eye(3)[2], offset=height, thickness=1.0, axis=0)
    return scene.labelmap_from_labels(LabelImage.from_array(array, grid, {1: "Liver"}), name, plane)


class TestWhatComesBack:
    def test_surfaces_beside_segments_that_overlap(self) -> None:
        """Every organ is among the warped ones, whole, and is what it was in terminology."""
        organs = {"Liver": (0.0, 0.0, 0.0), "Vessel": (12.0, 0.0, 0.0)}
        given: dict[str, Any] = {f"{side}_labels": segmentation(side, **organs) for side in ("fixed", "moving")}
        given |= {f"{side}_surfaces": [ball("Femur", (0, 0, 70))] for side in ("fixed", "moving")}
        entry = "list~SCT^123037004^Structure~SCT^10200004^Liver~^^~list~^^~^^"
        moving = given["moving_labels"].GetSegmentation()
        moving.GetSegment(moving.GetSegmentIdBySegmentName("Liver")).SetTag("TerminologyEntry", entry)
        warped = MethodLogic(("mo-bcpd",)).register(**given, **QUICK)["warped_labels"]
        segments = [warped.GetSegmentation().GetSegment(each) for each in warped.GetSegmentation().GetSegmentIDs()]
        assert [segment.GetName() for segment in segments] == ["Liver", "Vessel", "Femur"]
        found = vtk.reference("")
        assert segments[0].GetTag("TerminologyEntry", found)
        assert str(found) == entry
        volumes = [segment.voxel_count for segment in segments_on_grid(warped, grid_of(warped))]
        assert volumes[1] == pytest.approx(volumes[0], rel=0.05)
        assert volumes[2] == pytest.approx(volumes[0], rel=0.05)

    def test_a_slice_and_points(self) -> None:
        """Points lie in no plane of their own; what comes back lies in that of the slice."""
        points = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "Liver")
        for angle in np.linspace(0, 2 * np.pi, 40, endpoint=False):
            points.AddControlPoint(vtk.vtkVector3d(10 + 25 * np.cos(angle), 25 * np.sin(angle), 3))
        nodes = MethodLogic(("mo-bcpd",)).register(
            fixed_labels=disc("fixed", 7, 0), moving_surfaces=[points], resolution=4, **QUICK
        )
        for name in ("organs_before", "organs_after", "organs_target"):
            assert slicer.util.arrayFromModelPoints(nodes[name])[:, 2] == pytest.approx(7)
        assert slicer.util.arrayFromModelPointData(nodes["organs_after"], "distance, mm").mean() < 1.5

    def test_slices_at_two_heights(self) -> None:
        """Organs are seen before where the moving slice is, and after where the fixed one is."""
        nodes = MethodLogic(("mo-bcpd",)).register(
            fixed_labels=disc("fixed", 7, 0), moving_labels=disc("moving", -20, 10), resolution=4, **QUICK
        )
        for name, height in (("organs_before", -20), ("organs_after", 7), ("organs_target", 7)):
            assert slicer.util.arrayFromModelPoints(nodes[name])[:, 2] == pytest.approx(height)


def label_volume(name: str, values: tuple[int, ...]) -> Any:
    """One voxel a label, in the colours of Grey."""
    node = new_node("vtkMRMLLabelMapVolumeNode", name)
    slicer.util.updateVolumeFromArray(node, np.array(values, dtype=np.int16).reshape(-1, 1, 1) * np.ones((1, 2, 2)))
    node.CreateDefaultDisplayNodes()
    node.GetDisplayNode().SetAndObserveColorNodeID("vtkMRMLColorTableNodeGrey")
    return node


class TestFiles:
    def test_models_are_called_as_on_the_command_line(self, tmp_path: Path) -> None:
        for name in ("ct.liver", "spleen"):
            slicer.util.saveNode(ball(name, (0, 0, 0)), str(tmp_path / f"{name}.vtp"))
        paths = [str(tmp_path / name) for name in ("ct.liver.vtp", "spleen.vtp")]
        loaded = run_headless.load("surfaces", "fixed_surfaces", paths)
        assert [node.GetName() for node in loaded] == ["ct.liver", "spleen"]
        assert [part.name for part in io.read_surfaces(paths).parts] == ["ct.liver", "spleen"]

    @pytest.mark.parametrize("ending", [".csv", ".txt", ".mrk.json", ".fcsv"])
    def test_points_are_where_the_file_says(self, tmp_path: Path, ending: str) -> None:
        positions = np.array([[1.0, 2, 3], [-4, 5, 6], [7, 8, -9]])
        path = tmp_path / f"left.kidney{ending}"
        if ending == ".txt":
            rows = "\n".join(f"{-r} {-a} {s}" for r, a, s in positions)
            path.write_text(f"point\n3\n{rows}\n", encoding="utf-8")
        else:
            io.write_points(path, PointSet.from_array(positions, ["a", "b", "c"]))
        (node,) = run_headless.load("surfaces", "fixed_surfaces", [str(path)])
        assert node.GetName() == "left.kidney"
        assert scene.surfaces_from_nodes([node]).parts[0].points.numpy() == pytest.approx(positions, abs=1e-4)

    def test_points_in_two_dimensions(self, tmp_path: Path) -> None:
        path = tmp_path / "Liver.csv"
        io.write_points(path, PointSet.from_array(np.array([[1.0, 2], [3, 4]])))
        (node,) = run_headless.load("surfaces", "fixed_surfaces", [str(path)])
        assert scene.surfaces_from_nodes([node]).parts[0].points.tolist() == [[1, 2, 0], [3, 4, 0]]

    def test_what_is_no_table_of_points(self, tmp_path: Path) -> None:
        path = tmp_path / "Liver.csv"
        path.write_text("x,y\n1,2\n", encoding="utf-8")
        with pytest.raises(InputError, match="do not say which way they point"):
            run_headless.load("surfaces", "fixed_surfaces", [str(path)])


class TestNames:
    def test_of_segmentations_by_term_and_name(self) -> None:
        """Leber is the Liver by its code, the spleens by their names; the bladder has no counterpart."""
        fixed = segmentation("One", Liver=(0.0, 0.0, 0.0), Spleen=(60.0, 0.0, 0.0), Bladder=(0.0, 60.0, 0.0))
        moving = segmentation("Other", Leber=(0.0, 0.0, 0.0), spleen=(60.0, 0.0, 0.0), Colon=(0.0, 60.0, 0.0))
        for node, name in ((fixed, "Liver"), (moving, "Leber")):
            segment = node.GetSegmentation().GetSegment(node.GetSegmentation().GetSegmentIdBySegmentName(name))
            segment.SetTag("TerminologyEntry", "list~SCT^123037004^Structure~SCT^10200004^Liver~^^~list~^^~^^")
        assert organ_names({"fixed_labels": fixed, "moving_labels": moving}) == ["Liver", "Spleen"]
        labels = scene.labels_from_node(moving)
        assert labels.terms[next(value for value, name in labels.names.items() if name == "Leber")] == "SCT^10200004"

    def test_of_models_beside_segments(self) -> None:
        sides = {side: segmentation(side, Liver=(0.0, 0.0, 0.0)) for side in ("fixed", "moving")}
        given: dict[str, Any] = {f"{side}_labels": node for side, node in sides.items()}
        given |= {f"{side}_surfaces": [ball("Femur", (0, 0, 90))] for side in sides}
        assert organ_names(given) == ["Liver", "Femur"]

    def test_of_label_volumes_without_names(self) -> None:
        """A table such as Grey has none: labels are then matched by value."""
        nodes = {side: label_volume(side, values) for side, values in (("fixed", (1, 2, 5)), ("moving", (2, 3, 5)))}
        assert scene.labels_from_node(nodes["fixed"]).names == {}
        assert organ_names({f"{side}_labels": node for side, node in nodes.items()}) == ["2", "5"]
        named = segmentation("Named", Liver=(0.0, 0.0, 0.0), Spleen=(60.0, 0.0, 0.0))
        for value, each in zip((5, 7), named.GetSegmentation().GetSegmentIDs(), strict=True):
            named.GetSegmentation().GetSegment(each).SetLabelValue(value)
        assert organ_names({"fixed_labels": named, "moving_labels": nodes["moving"]}) == ["Liver"]

    def test_of_one_side_alone(self) -> None:
        assert organ_names({"fixed_labels": segmentation("One", Liver=(0.0, 0.0, 0.0))}) == []


class TestInSpace:
    def test_before_after_and_error(self) -> None:
        """Before, the target lies beside the organ, and after under it; distances are coloured, with a legend."""
        fixed, moving = [ball("Liver", (0, 0, 0), 25.0)], [ball("Liver", (30, 0, 0), 25.0)]
        nodes = MethodLogic(("mo-bcpd",)).register(fixed_surfaces=fixed, moving_surfaces=moving, **QUICK)
        for node in (*fixed, *moving):
            node.GetDisplayNode().SetVisibility(False)
        with views.ThreeDView("1", (300, 300)) as view:
            empty = view.render().astype(int)
            display.show_organs(nodes["organs_before"], nodes["organs_target"])
            view.look_from((0.0, 1.0, 0.0))
            before = view.render().astype(int)
            display.hide_organs(nodes["organs_before"])
            display.show_organs(nodes["organs_after"], nodes["organs_target"])
            after = view.render().astype(int)
            display.show_point_error(nodes["organs_after"], nodes["organs_target"])
            error = view.render().astype(int)
            display.hide_organs(nodes["organs_after"])
            gone = view.render().astype(int)
        drawn = [np.abs(picture - empty).max(axis=2) > 12 for picture in (before, after, error, gone)]
        shapes = [np.ptp(np.argwhere(each), axis=0) + 1 for each in drawn[:2]]
        assert shapes[0][1] > 1.4 * shapes[0][0]  # two balls side by side
        assert shapes[1][1] == pytest.approx(shapes[1][0], rel=0.1)  # one upon the other
        assert not drawn[3].any()
        red = [(picture[..., 0] > 90) & (picture[..., 1] < 40) for picture in (after, error)]
        assert red[1].sum() > 500 > red[0].sum()
        assert (drawn[2] & ~drawn[1]).sum() > 100  # the legend

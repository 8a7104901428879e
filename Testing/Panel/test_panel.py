"""The panel of Tumour Metamorphosis: what it shows, what it keeps in the scene, and what it says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import slicer
import slicer.util
from conftest import contents, wait
from RegistrationSuiteLib import samples
from RegistrationSuiteLib.panel import fields
from regsuite import catalog
from regsuite.errors import InputError
from Rig import simulation

METHODS = ("weighted-metamorphosis", "metamorphosis", "lddmm", "cost-function-masking")


@pytest.fixture
def nodes(session: Any) -> dict[str, Any]:
    """The small head in three dimensions."""
    return samples.tumour_head_3d()


def choose(panel: Any, nodes: dict[str, Any], *roles: str) -> None:
    for role in roles or nodes:
        panel.form.inputs[role].selector.setCurrentNode(nodes[role])


def choose_method(panel: Any, name: str) -> None:
    panel.ui.methodComboBox.currentIndex = METHODS.index(name)


# --- the module ---


def test_what_slicer_shows_of_the_module(module: simulation.LoadedModule) -> None:
    parent = module.parent
    assert (parent.title, parent.categories) == ("Tumour Metamorphosis", ["Registration Suite"])
    assert parent.dependencies == ["RegistrationSuite"]
    assert "https://doi.org/10.1007/978-3-031-11203-4_2" in parent.acknowledgementText
    assert "Glaunès" in parent.acknowledgementText
    assert "href=" in parent.helpText


def test_sample_data_is_made_here(module: simulation.LoadedModule) -> None:
    sources = {each.sampleName: each for each in slicer.modules.sampleDataSources["Registration Suite"]}
    made = sources["TumourHead2D"].customDownloader(sources["TumourHead2D"])
    titles = ("patient", "healthy", "lesion", "patient structures", "healthy structures")
    assert [node.GetName() for node in made] == [f"Flat head {title}" for title in titles]
    assert made[0].GetImageData().GetDimensions() == (96, 112, 1)
    assert {node.GetClassName() for node in made[2:]} == {"vtkMRMLSegmentationNode"}


def test_sample_data_of_two_visits(module: simulation.LoadedModule) -> None:
    """The later lesion is larger, and holds nearly all of the earlier one."""
    sources = {each.sampleName: each for each in slicer.modules.sampleDataSources["Registration Suite"]}
    made = sources["TumourGrowth3D"].customDownloader(sources["TumourGrowth3D"])
    titles = ("later", "earlier", "later lesion", "earlier lesion", "later structures", "earlier structures")
    assert [node.GetName() for node in made] == [f"Growth {title}" for title in titles]
    segments = [node.GetSegmentation().GetNthSegmentID(0) for node in made[2:4]]
    later, earlier = (
        slicer.util.arrayFromSegmentBinaryLabelmap(node, segment, made[0]) > 0
        for node, segment in zip(made[2:4], segments, strict=True)
    )
    assert later.sum() > 2 * earlier.sum()
    assert (later & earlier).sum() > 0.95 * earlier.sum()


# --- what the panel shows ---


@pytest.mark.parametrize("name", METHODS)
def test_every_declared_parameter_has_a_row_with_its_default(panel: Any, name: str) -> None:
    choose_method(panel, name)
    method = catalog.method(name)
    assert panel.form.method is method
    assert panel.ui.summaryLabel.text == method.summary
    assert panel.ui.citationLabel.text.startswith(f'<a href="https://doi.org/{method.citation.doi}">')
    texts = panel.form.forms.texts()
    assert list(texts) == [each.name for each in method.parameters]
    assert method.check_values(texts) == method.check_values(method.presets[0].values)
    for field in panel.form.forms.fields:
        assert field.parameter.help.partition("'")[0].replace("<", "&lt;") in field.widget.toolTip
        assert f"In the console: {field.parameter.name}" in field.widget.toolTip
        assert field.parameter.unit in field.widget.toolTip


def test_advanced_parameters_are_in_the_collapsed_section(panel: Any) -> None:
    assert panel.ui.advancedSection.collapsed
    for field in panel.form.forms.fields:
        home = panel.form.forms.advanced if field.parameter.advanced else panel.form.forms.basic
        assert field.widget.parent() is home


@pytest.mark.parametrize("name", METHODS)
def test_inputs_and_outputs_are_those_of_the_method(panel: Any, name: str) -> None:
    choose_method(panel, name)
    method = catalog.method(name)
    for role, field in panel.form.inputs.items():
        assert field.widget.isHidden() == (role not in {item.role for item in method.inputs})
    for output, field in panel.form.outputs.items():
        assert field.widget.isHidden() == (output not in {item.name for item in method.outputs})


def test_selectors_offer_only_nodes_that_fit(panel: Any, nodes: dict[str, Any]) -> None:
    scene = slicer.mrmlScene
    for class_name in ("vtkMRMLVectorVolumeNode", "vtkMRMLLabelMapVolumeNode", "vtkMRMLModelNode"):
        scene.AddNewNodeByClass(class_name, class_name)
    assert panel.form.inputs["fixed"].selector.nodeCount() == 2
    assert panel.form.inputs["mask"].selector.nodeCount() == 4
    assert not panel.form.inputs["fixed"].selector.addEnabled
    assert not panel.form.inputs["fixed"].selector.removeEnabled


def test_apply_waits_for_the_required_inputs(panel: Any, nodes: dict[str, Any]) -> None:
    assert (panel.ui.applyButton.enabled, panel.ui.applyButton.toolTip) == (False, "Select the fixed image first.")
    choose(panel, nodes, "fixed")
    assert (panel.ui.applyButton.enabled, panel.ui.applyButton.toolTip) == (False, "Select the moving image first.")
    choose_method(panel, "lddmm")
    choose(panel, nodes, "moving")
    assert panel.ui.applyButton.enabled


def test_an_input_may_be_required_by_one_method_and_not_by_another(
    session: Any, stand_in: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from RegistrationSuiteLib.panel import MethodPanel
    from regsuite.catalog import registry

    inputs = tuple(replace(each, required=True) for each in stand_in.METHOD.inputs)
    strict = replace(stand_in.METHOD, name="strict", inputs=inputs)
    monkeypatch.setattr(registry, "_METHODS", (*registry._METHODS, strict))
    nodes = samples.tumour_head_3d()
    made = MethodPanel("Strict", "Strict", ["strict", stand_in.NAME])
    for role in ("fixed", "moving"):
        made.form.inputs[role].selector.setCurrentNode(nodes[role])
    assert (made.ui.applyButton.enabled, made.ui.applyButton.toolTip) == (False, "Select the lesion mask first.")
    made.ui.methodComboBox.currentIndex = 1
    assert made.ui.applyButton.enabled
    made.close()


def test_a_segment_is_chosen_where_there_are_several(panel: Any, nodes: dict[str, Any]) -> None:
    mask = panel.form.inputs["mask"]
    choose(panel, nodes, "mask")
    assert mask.segments.isHidden()
    mask.selector.setCurrentNode(nodes["fixed_labels"])
    assert not mask.segments.isHidden()
    titles = [mask.segments.itemText(index) for index in range(mask.segments.count)]
    assert titles == ["All segments", "Ventricles", "Grey matter", "White matter"]
    assert "mask" not in panel.request().segments
    mask.segments.currentIndex = 2
    segmentation = nodes["fixed_labels"].GetSegmentation()
    assert panel.request().segments == {"mask": segmentation.GetSegmentIdBySegmentName("Grey matter")}


def test_segments_drawn_later_are_offered(panel: Any, nodes: dict[str, Any]) -> None:
    mask = panel.form.inputs["mask"]
    choose(panel, nodes, "mask")
    segmentation = nodes["mask"].GetSegmentation()
    segmentation.AddEmptySegment("oedema", "Oedema")
    assert not mask.segments.isHidden()
    mask.segments.currentIndex = 2
    segmentation.GetSegment("oedema").SetName("Swelling")
    assert (mask.segments.currentText, mask.segment) == ("Swelling", "oedema")
    segmentation.RemoveSegment("oedema")
    assert mask.segments.isHidden()
    assert panel.request().segments == {}


def test_the_chosen_segment_alone_is_the_mask(panel: Any, nodes: dict[str, Any]) -> None:
    choose(panel, nodes, "fixed", "moving")
    mask = panel.form.inputs["mask"]
    mask.selector.setCurrentNode(nodes["fixed_labels"])
    mask.segments.currentIndex = 1
    converted = panel.request().job().inputs["mask"]
    drawn = slicer.util.arrayFromSegmentBinaryLabelmap(nodes["fixed_labels"], mask.segment, nodes["fixed"])
    assert (converted.mask().numpy() == (drawn > 0)).all()


def test_every_mask_has_its_own_segment_and_the_grid_of_its_image(stand_in_panel: Any) -> None:
    """The moving image lies on a coarser grid than the fixed one here; both masks are drawn in one segmentation."""
    from RegistrationSuiteLib import scene

    form, drawn = stand_in_panel.form, slicer.util.getNode("Head patient structures")
    image = scene.image_from_node(slicer.util.getNode("Head healthy"))
    coarse = image.resampled(image.grid.resampled([1.7 * step for step in image.grid.spacing]))
    form.inputs["moving"].selector.setCurrentNode(scene.volume_from_image(coarse, "coarse"))
    for role, index in (("mask", 1), ("moving_mask", 3)):
        form.inputs[role].selector.setCurrentNode(drawn)
        form.inputs[role].segments.currentIndex = index
    ids = list(drawn.GetSegmentation().GetSegmentIDs())
    assert stand_in_panel.request().segments == {"mask": ids[0], "moving_mask": ids[2]}
    inputs = stand_in_panel.request().job().inputs
    for role, image_role, segment in (("mask", "fixed", ids[0]), ("moving_mask", "moving", ids[2])):
        volume = stand_in_panel.request().inputs[image_role]
        assert inputs[role].grid.same_as(scene.grid_of(volume), 1e-6)
        expected = slicer.util.arrayFromSegmentBinaryLabelmap(drawn, segment, volume) > 0
        assert expected.any()
        assert (inputs[role].mask().numpy() == expected).mean() > 0.99
    stand_in_panel.save_state()
    stand_in_panel.show_state()
    assert stand_in_panel.request().segments == {"mask": ids[0], "moving_mask": ids[2]}


# --- presets ---


def test_presets_set_the_parameters_and_reset_brings_them_back(panel: Any) -> None:
    box, method = panel.ui.presetComboBox, panel.form.method
    assert [box.itemText(index) for index in range(box.count)] == [*(each.title for each in method.presets), "Custom"]
    fast = next(index for index, each in enumerate(method.presets) if each.name == "fast")
    box.currentIndex = fast
    values = method.check_values(panel.form.forms.texts())
    assert values == method.check_values(method.presets[fast].values)
    iterations = next(field for field in panel.form.forms.fields if field.parameter.name == "iterations")
    iterations.widget.value = 77
    assert box.currentText == "Custom"
    panel.ui.resetButton.click()
    assert method.check_values(panel.form.forms.texts()) == values
    assert box.currentText == method.presets[fast].title


def test_the_panel_opens_with_the_first_preset_and_says_what_it_is_for(panel: Any) -> None:
    method = panel.form.method
    assert panel.ui.presetComboBox.currentText == method.presets[0].title
    assert method.check_values(panel.form.forms.texts()) == method.check_values(method.presets[0].values)
    assert panel.ui.presetHelpLabel.text == method.presets[0].help
    field_of(panel, "iterations").widget.value = 77
    assert not panel.ui.presetHelpLabel.visible


def test_a_new_scene_does_not_keep_the_preset_of_the_one_before(panel: Any) -> None:
    box, presets = panel.ui.presetComboBox, panel.form.method.presets
    box.currentIndex = 1
    assert box.currentText == presets[1].title
    slicer.mrmlScene.Clear(0)
    assert (box.currentText, panel.ui.presetHelpLabel.text) == (presets[0].title, presets[0].help)


def test_of_presets_with_the_same_values_the_chosen_one_is_shown(panel: Any) -> None:
    box, presets = panel.ui.presetComboBox, panel.form.method.presets
    assert presets[0].values == presets[1].values
    box.currentIndex = 1
    assert (box.currentText, panel.ui.presetHelpLabel.text) == (presets[1].title, presets[1].help)
    panel.show_state()
    assert box.currentText == presets[1].title
    field_of(panel, "iterations").widget.value = 77
    panel.ui.resetButton.click()
    assert box.currentText == presets[1].title


@pytest.mark.parametrize("name", METHODS)
def test_every_preset_can_be_shown_as_it_is(panel: Any, name: str) -> None:
    choose_method(panel, name)
    method = catalog.method(name)
    for index, preset in enumerate(method.presets):
        panel.ui.presetComboBox.currentIndex = index
        panel.ui.resetButton.click()
        assert method.check_values(panel.form.forms.texts()) == method.check_values(preset.values)


@pytest.mark.parametrize(
    ("low", "high", "default", "kind", "digits"),
    [
        (0.0, 50.0, 2.0, fields.SliderField, 2),
        (0.0, 1.0, 0.5, fields.SliderField, 3),
        (0.0, 50.0, 0.125, fields.SliderField, 3),
        (0.0, 1.0, 1e-5, fields.TextField, None),
        (1e-9, 10.0, 1e-4, fields.TextField, None),
    ],
)
def test_numbers_get_a_slider_where_it_resolves_them(
    low: float, high: float, default: float, kind: type, digits: int | None
) -> None:
    declared = catalog.Parameter("x", "float", default, "X", "help", "mm", low, high)
    field = fields.parameter_field(declared, lambda: None)
    assert type(field) is kind
    assert declared.check(field.text()) == default
    if digits is not None:
        assert field.widget.decimals == digits
        assert field.widget.suffix == " mm"


# --- automatic values ---


def field_of(panel: Any, name: str) -> Any:
    return next(each for each in panel.form.forms.fields if each.parameter.name == name)


@pytest.mark.parametrize(
    ("name", "kind", "shown", "value", "given"),
    [
        ("resolution", fields.NumberField, "2.50 mm", 2.5, 2.5),
        ("levels", fields.CountField, "4", 4, 4),
    ],
)
def test_zero_is_shown_as_automatic(panel: Any, name: str, kind: type, shown: str, value: Any, given: float) -> None:
    field = field_of(panel, name)
    assert type(field) is kind
    assert field.widget.text == "automatic"
    assert field.parameter.check(field.text()) == 0
    assert "Default: automatic" in field.widget.toolTip
    field.widget.value = given
    assert field.widget.text == shown
    assert field.parameter.check(field.text()) == value
    assert panel.ui.presetComboBox.currentText == "Custom"
    panel.ui.resetButton.click()
    assert field.widget.text == "automatic"


@pytest.mark.parametrize("text", ["", " ", "automatic", "Automatic", "0"])
def test_an_empty_list_is_automatic(panel: Any, text: str) -> None:
    field = field_of(panel, "kernel_widths")
    assert (field.widget.text, field.widget.placeholderText) == ("", "automatic")
    field.widget.text = "5, 10"
    assert field.parameter.check(field.text()) == (5.0, 10.0)
    assert panel.ui.presetComboBox.currentText == "Custom"
    field.widget.text = text
    assert panel.ui.presetComboBox.currentText == panel.form.method.presets[0].title
    assert field.parameter.check(panel.request().parameters["kernel_widths"]) == (0.0,)


def test_an_empty_number_without_automatic_is_refused() -> None:
    declared = catalog.Parameter("x", "float", 1e-5, "X", "help", "", 0.0, 1.0)
    field = fields.parameter_field(declared, lambda: None)
    field.widget.text = ""
    with pytest.raises(InputError, match="'x' takes a number"):
        declared.check(field.text())


# --- state in the scene ---


def change_everything(panel: Any, nodes: dict[str, Any]) -> None:
    choose_method(panel, "cost-function-masking")
    choose(panel, nodes)
    panel.form.inputs["mask"].selector.setCurrentNode(nodes["fixed_labels"])
    panel.form.inputs["mask"].segments.currentIndex = 3
    values = {each.parameter.name: each for each in panel.form.forms.fields}
    values["steps"].widget.value = 11
    values["kernel"].widget.currentIndex = 1
    values["bias_correction"].widget.checked = False
    panel.ui.deviceComboBox.currentIndex = 1
    panel.ui.seedSpinBox.value = 42
    output = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformNode", "my transform")
    panel.form.outputs["transform"].widget.setCurrentNode(output)


def shown(panel: Any) -> tuple[Any, ...]:
    request = panel.request()
    inputs = {role: node.GetName() for role, node in request.inputs.items()}
    outputs = {name: node.GetName() for name, node in request.outputs.items()}
    return request.method, inputs, request.segments, request.parameters, request.seed, request.device, outputs


def test_a_saved_scene_brings_the_panel_back(panel: Any, nodes: dict[str, Any], tmp_path: Any) -> None:
    untouched = shown(panel)
    change_everything(panel, nodes)
    changed = shown(panel)
    assert changed[0] == "cost-function-masking"
    assert changed[4:] == (42, "cpu", {"transform": "my transform"})
    assert slicer.util.saveScene(str(tmp_path / "scene.mrb"))
    slicer.mrmlScene.Clear(0)
    assert shown(panel) == untouched
    slicer.util.loadScene(str(tmp_path / "scene.mrb"))
    assert shown(panel) == changed


def test_another_panel_shows_the_same_state(module: simulation.LoadedModule, panel: Any, nodes: dict[str, Any]) -> None:
    change_everything(panel, nodes)
    expected = shown(panel)
    module.close()
    assert shown(module.widgetRepresentation().self().panel) == expected


def test_a_node_that_is_removed_is_no_longer_chosen(panel: Any, nodes: dict[str, Any]) -> None:
    choose(panel, nodes)
    slicer.mrmlScene.RemoveNode(nodes["moving"])
    assert "moving" not in panel.request().inputs
    assert not panel.ui.applyButton.enabled


# --- bad input ---


def complaint(panel: Any) -> str:
    """What the panel says when Apply is pressed; the scene is the same afterwards."""
    before = contents()
    panel.ui.applyButton.click()
    wait(lambda: not panel.runner.running)
    assert contents() == before
    assert panel.ui.applyButton.text == "Apply"
    assert not panel.ui.progressBar.visible
    sentence = str(panel.ui.statusLabel.text)
    assert sentence.endswith(".")
    assert "Traceback" not in sentence
    return sentence


def test_a_value_that_is_no_number(panel: Any, nodes: dict[str, Any]) -> None:
    choose(panel, nodes)
    regularity = next(each for each in panel.form.forms.fields if each.parameter.name == "regularity")
    regularity.widget.text = "much"
    assert "'regularity' takes a number" in complaint(panel)
    regularity.widget.text = "-1"
    assert "outside its range" in complaint(panel)


def test_a_volume_without_voxels(panel: Any, nodes: dict[str, Any]) -> None:
    nodes["moving"] = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "hollow")
    choose(panel, nodes)
    assert "'hollow' has no voxels" in complaint(panel)


@pytest.mark.parametrize("method", ["weighted-metamorphosis", "cost-function-masking"])
def test_no_mask_for_a_method_that_needs_one(panel: Any, nodes: dict[str, Any], method: str) -> None:
    choose_method(panel, method)
    choose(panel, nodes, "fixed", "moving")
    assert complaint(panel).startswith("This method needs a lesion mask, the input 'mask' on the fixed image or ")


def test_2d_with_3d(panel: Any, nodes: dict[str, Any]) -> None:
    nodes["moving"] = samples.tumour_head_2d()["moving"]
    choose(panel, nodes)
    assert "slice" in complaint(panel)


def test_an_empty_segmentation(panel: Any, nodes: dict[str, Any]) -> None:
    nodes["mask"] = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "nothing")
    choose(panel, nodes)
    assert "'nothing' has no segments" in complaint(panel)


def _constant(nodes: dict[str, Any]) -> None:
    slicer.util.arrayFromVolume(nodes["moving"])[:] = 3.0


def _not_a_number(nodes: dict[str, Any]) -> None:
    slicer.util.arrayFromVolume(nodes["fixed"])[0, 0, 0] = np.nan


def _infinite(nodes: dict[str, Any]) -> None:
    slicer.util.arrayFromVolume(nodes["moving"])[0, 0, 0] = np.inf


def _apart(nodes: dict[str, Any]) -> None:
    nodes["moving"].SetOrigin(5000.0, 0.0, 0.0)


def _empty_mask(nodes: dict[str, Any]) -> None:
    _set_mask(nodes, 0)


def _full_mask(nodes: dict[str, Any]) -> None:
    _set_mask(nodes, 1)


def _set_mask(nodes: dict[str, Any], value: int) -> None:
    segment = nodes["mask"].GetSegmentation().GetNthSegmentID(0)
    array = np.full(slicer.util.arrayFromVolume(nodes["fixed"]).shape, value, dtype=np.uint8)
    slicer.util.updateSegmentBinaryLabelmapFromArray(array, nodes["mask"], segment, nodes["fixed"])


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_constant, ("moving", "same value")),
        (_not_a_number, ("fixed", "NaN")),
        (_infinite, ("moving", "infinite")),
        (_apart, ("overlap",)),
        (_empty_mask, ("Nothing is marked in the lesion mask",)),
        (_full_mask, ("mask", "covers")),
    ],
    ids=lambda value: value.__name__.strip("_") if callable(value) else "",
)
def test_images_that_cannot_be_registered(panel: Any, spoil: Any, words: tuple[str, ...]) -> None:
    nodes = samples.tumour_head_2d()
    spoil(nodes)
    choose(panel, nodes, "fixed", "moving", "mask")
    field_of(panel, "initial").set_text("none")
    sentence = complaint(panel)
    assert all(word in sentence for word in words), sentence

"""The simulation behaves as PythonQt, ctk and qMRML document, and refuses what they would refuse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ctk
import pytest
import qt
import slicer
import slicer.util
from Rig import ctk_widgets, pythonqt, qmrml_widgets

# What CTK's and Slicer's headers declare in the classes themselves, as far as the stand-ins have it.
HEADERS = {
    ctk_widgets.ctkCollapsibleButton: "collapsed setCollapsed contentsCollapsed childEvent eventFilter sizeHint "
    "minimumSizeHint hitButton paintEvent",
    ctk_widgets.ctkPathLineEdit: "label filters currentPath setCurrentPath currentPathChanged validInputChanged "
    "nameFilters showBrowseButton comboBox Dirs Files Drives AllEntries Readable Writable Executable",
    ctk_widgets.ctkSliderWidget: "valueChanged valueIsChanging value setValue minimum maximum setRange singleStep "
    "pageStep decimals prefix suffix",
    qmrml_widgets.qMRMLWidget: "mrmlSceneChanged setMRMLScene mrmlScene",
    qmrml_widgets.qMRMLNodeComboBox: "currentNodeChanged currentNodeIDChanged nodeActivated nodeAddedByUser "
    "setMRMLScene mrmlScene currentNode setCurrentNode setCurrentNodeID setCurrentNodeIndex nodeCount nodeFromIndex "
    "addNode removeCurrentNode setNodeTypes nodeTypes currentNodeID addEnabled removeEnabled editEnabled renameEnabled "
    "noneEnabled showChildNodeTypes showHidden selectNodeUponCreation noneDisplay baseName",
    qmrml_widgets.qMRMLUtils: "vtkImageDataToQImage",
}


@pytest.mark.parametrize("stand_in", HEADERS, ids=lambda cls: cls.__name__)
def test_stand_ins_have_only_members_of_the_real_widgets(stand_in: type) -> None:
    invented = {name for name in vars(stand_in) if not name.startswith("_")} - set(HEADERS[stand_in].split())
    assert invented - {"staticMetaObject"} == set()


@pytest.mark.parametrize("widget", [ctk.ctkSliderWidget, slicer.qMRMLNodeComboBox, qt.QPushButton])
def test_unknown_members_raise(widget: Any) -> None:
    made = widget()
    with pytest.raises(AttributeError):
        made.colour  # noqa: B018
    with pytest.raises(AttributeError, match="no new attributes"):
        made.colour = "red"
    with pytest.raises(ValueError, match="signal 'painted\\(\\)' does not exist"):
        made.connect("painted()", print)


def test_properties_are_attributes_and_not_methods() -> None:
    button = qt.QPushButton("Apply")
    button.enabled = False
    assert (button.text, button.enabled, button.name) == ("Apply", False, "")
    with pytest.raises(TypeError):
        button.text()


def test_slots_take_as_many_arguments_as_they_can() -> None:
    calls: list[Any] = []
    button = qt.QPushButton()
    button.connect("clicked(bool)", lambda: calls.append(()))
    button.connect("clicked(bool)", lambda checked: calls.append(checked))
    button.click()
    assert calls == [(), False]


def test_disconnected_slots_are_silent() -> None:
    calls: list[int] = []
    button = qt.QPushButton()
    button.connect("clicked()", calls.clear)
    assert button.disconnect("clicked()", calls.clear)
    calls.append(1)
    button.click()
    assert calls == [1]


def test_errors_in_slots_are_kept_and_go_no_further() -> None:
    def fail() -> None:
        raise ValueError("in a slot")

    button = qt.QPushButton()
    button.connect("clicked()", fail)
    button.click()
    assert [str(error) for error in pythonqt.slot_errors] == ["in a slot"]
    pythonqt.slot_errors.clear()


def test_a_ui_file_with_an_unknown_property_is_refused(tmp_path: Path) -> None:
    form = (
        '<ui version="4.0"><widget class="QWidget" name="w">'
        '<property name="{}"><bool>true</bool></property></widget></ui>'
    )
    (tmp_path / "good.ui").write_text(form.format("enabled"))
    (tmp_path / "bad.ui").write_text(form.format("inabled"))
    assert slicer.util.loadUI(str(tmp_path / "good.ui")).enabled
    with pytest.raises(AttributeError, match="QWidget has no property 'inabled'"):
        slicer.util.loadUI(str(tmp_path / "bad.ui"))


def test_a_child_hidden_on_purpose_stays_hidden_when_a_section_opens() -> None:
    section = ctk.ctkCollapsibleButton("Section")
    layout = qt.QVBoxLayout(section)
    shown, hidden = qt.QLabel("shown"), qt.QLabel("hidden")
    layout.addWidget(shown)
    layout.addWidget(hidden)
    hidden.visible = False
    section.show()
    section.collapsed = True
    assert (shown.visible, hidden.visible) == (False, False)
    section.collapsed = False
    assert (shown.visible, hidden.visible) == (True, False)


def test_a_selector_follows_the_scene(session: Any) -> None:
    selector = slicer.qMRMLNodeComboBox()
    selector.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    selector.showChildNodeTypes = False
    selector.noneEnabled = True
    selector.setMRMLScene(session.scene)
    seen: list[Any] = []
    selector.connect("currentNodeChanged(vtkMRMLNode*)", seen.append)
    volume = session.scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "volume")
    session.scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "labels")
    assert (selector.nodeCount(), selector.currentNode(), seen) == (1, None, [])
    selector.setCurrentNode(volume)
    assert selector.currentNodeID == volume.GetID()
    session.scene.RemoveNode(volume)
    assert selector.currentNode() is None
    assert seen == [volume, None]


def test_a_selector_without_none_takes_the_first_node(session: Any) -> None:
    selector = slicer.qMRMLNodeComboBox()
    selector.nodeTypes = ["vtkMRMLTransformNode"]
    selector.setMRMLScene(session.scene)
    node = session.scene.AddNewNodeByClass("vtkMRMLGridTransformNode", "grid")
    assert selector.currentNode() is node


def test_a_selector_of_several_names_what_is_ticked(session: Any) -> None:
    selector = slicer.qMRMLCheckableNodeComboBox()
    selector.nodeTypes = ["vtkMRMLModelNode"]
    selector.setMRMLScene(slicer.mrmlScene)
    nodes = [slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode", name) for name in ("one", "two", "three")]
    shown = selector.findChild(qt.QLineEdit)
    assert shown.text == "None"
    for node, text in zip(nodes, ("one", "one, two", "All"), strict=True):
        selector.check(node)
        assert shown.text == text


def test_slider_and_value_agree() -> None:
    slider = ctk.ctkSliderWidget()
    values: list[float] = []
    slider.connect("valueChanged(double)", values.append)
    slider.maximum = 10.0
    slider.decimals = 1
    slider.value = 2.5
    assert (slider.value, values) == (2.5, [2.5])

"""The part of a panel that a user fills in, made from the declarations of its methods."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import qt
from regsuite import catalog
from regsuite.catalog import Input, Method, Output, Parameter, Preset

from RegistrationSuiteLib.panel.fields import ParameterField, parameter_field, row_title, tooltip, value_text
from RegistrationSuiteLib.panel.nodes import OUTPUT_TYPES, AnyInput, AnyOutput, input_field, output_field
from RegistrationSuiteLib.panel.tables import TableField
from RegistrationSuiteLib.scene.organs import organ_names

CUSTOM = "Custom"


class ParameterForms:
    """The basic and advanced parameters of one method, one widget each that is shown while the method is chosen.

    ``preset``: the one that was chosen last, the first one to begin with; None where the method has none.
    """

    def __init__(self, method: Method, changed: Callable[[], None]) -> None:
        self.method = method
        self.preset = next(iter(method.presets), None)
        self.fields: list[ParameterField] = [self._field(each, changed) for each in method.parameters]
        self._labels: dict[str, Any] = {}
        self._of_inputs: frozenset[str] = frozenset()
        self.basic = self._form(each for each in self.fields if not each.parameter.advanced)
        self.advanced = self._form(each for each in self.fields if each.parameter.advanced)

    def _field(self, parameter: Parameter, changed: Callable[[], None]) -> ParameterField:
        if parameter.type == "table":
            return TableField(parameter, changed, self._value_of)
        return parameter_field(parameter, changed)

    def _value_of(self, name: str) -> float:
        """Of a parameter that is a number."""
        return float(next(each for each in self.fields if each.parameter.name == name).text())

    def _form(self, fields: Iterable[ParameterField]) -> Any:
        widget = qt.QWidget()
        form = qt.QFormLayout(widget)
        for each in fields:
            label = self._labels[each.parameter.name] = qt.QLabel(row_title(each.parameter))
            label.toolTip = each.widget.toolTip
            if isinstance(each, TableField):  # over the whole width
                form.addRow(label)
                form.addRow(each.widget)
            else:
                form.addRow(label, each.widget)
        return widget

    def show(self, visible: bool) -> None:
        self.basic.visible = visible
        self.advanced.visible = visible

    def leave_to_inputs(self, names: Iterable[str]) -> None:
        """Parameters that tell of the inputs at hand, as tables of organs do: presets leave them as they are."""
        self._of_inputs = frozenset(names)

    def hide(self, name: str) -> None:
        """Takes a parameter's row out of sight, where something else in the panel stands for it."""
        self._labels[name].visible = False
        next(each for each in self.fields if each.parameter.name == name).widget.visible = False

    def set_organs(self, names: Sequence[str]) -> None:
        """Fills tables with a row an organ."""
        for each in self.fields:
            if isinstance(each, TableField):
                each.set_rows(names)

    def texts(self) -> dict[str, str]:
        """What the widgets hold, by parameter name."""
        return {each.parameter.name: each.text() for each in self.fields}

    def asked(self) -> dict[str, str]:
        """What a run is to be given, by parameter name."""
        return {each.parameter.name: each.asked() for each in self.fields}

    def set_texts(self, texts: Mapping[str, str]) -> None:
        """Shows texts; a parameter that is not named gets its value of the first preset, and a table is empty."""
        opening = self.preset_texts(next(iter(self.method.presets), None))
        for each in self.fields:
            each.set_text(texts.get(each.parameter.name) or opening.get(each.parameter.name, ""))

    def preset_texts(self, preset: Preset | None) -> dict[str, str]:
        """Every parameter's text under a preset, or its default; what tells of the inputs at hand is of no preset."""
        parameters = [each.parameter for each in self.fields if not isinstance(each, TableField)]
        values = {each.name: each.default for each in parameters if each.name not in self._of_inputs}
        return {name: value_text(value) for name, value in (values | dict(preset.values if preset else {})).items()}

    def choose(self, name: str) -> None:
        """Takes the preset of that name for the one that was chosen last, the first one where there is none."""
        presets = self.method.presets
        self.preset = next((each for each in presets if each.name == name), next(iter(presets), None))

    def matching_preset(self) -> Preset | None:
        """The preset whose values are shown; of several with the same values the one that was chosen last."""
        texts = self.texts()
        matching = [each for each in self.method.presets if self.preset_texts(each).items() <= texts.items()]
        return self.preset if self.preset in matching else next(iter(matching), None)


class MethodForm:
    """Method, inputs, parameters, machine and outputs: reads them, shows them, and says when the user changed one."""

    def __init__(self, ui: Any, method_names: Iterable[str], changed: Callable[[], None]) -> None:
        self._ui = ui
        self._changed = changed
        self._setting = False
        self.methods = [catalog.method(name) for name in method_names]
        self.parameters = {each.name: ParameterForms(each, self.onParameter) for each in self.methods}
        self.inputs = {each.role: input_field(each, self.onInput) for each in _declared_inputs(self.methods)}
        self.outputs = {each.name: output_field(each, changed) for each in _declared_outputs(self.methods)}
        self._input_labels = self._rows(ui.inputsFrame, self.inputs)
        self._output_labels = self._rows(ui.outputsFrame, self.outputs)
        for forms in self.parameters.values():
            ui.parametersFrame.layout().addWidget(forms.basic)
            ui.advancedFrame.layout().addWidget(forms.advanced)
        self._fill_choices()
        self._connect()
        self.set_method(self.methods[0].name)

    def _rows(self, frame: Any, fields: Mapping[str, Any]) -> dict[str, Any]:
        labels = {}
        for name, each in fields.items():
            labels[name] = qt.QLabel(f"{each.declared.title}:")
            labels[name].toolTip = tooltip(each.declared.help)
            frame.layout().addRow(labels[name], each.widget)
        return labels

    def _fill_choices(self) -> None:
        for method in self.methods:
            self._ui.methodComboBox.addItem(method.title, method.name)
        for title, name in (("Automatic", "auto"), ("Processor (CPU)", "cpu"), ("Graphics card (CUDA)", "cuda")):
            self._ui.deviceComboBox.addItem(title, name)

    def _connect(self) -> None:
        self._ui.methodComboBox.connect("currentIndexChanged(int)", self.onMethod)
        self._ui.presetComboBox.connect("currentIndexChanged(int)", self.onPreset)
        self._ui.resetButton.connect("clicked()", self.onReset)
        self._ui.deviceComboBox.connect("currentIndexChanged(int)", self.onMachine)
        self._ui.seedSpinBox.connect("valueChanged(int)", self.onMachine)

    def close(self) -> None:
        """Lets go of the segmentations that are followed."""
        for field in self.inputs.values():
            field.removeObservers()

    # --- reading ---

    @property
    def method(self) -> Method:
        return self.methods[max(0, self._ui.methodComboBox.currentIndex)]

    @property
    def forms(self) -> ParameterForms:
        """The parameters of the chosen method."""
        return self.parameters[self.method.name]

    @property
    def device(self) -> str:
        return str(self._ui.deviceComboBox.currentData)

    @property
    def seed(self) -> int:
        return int(self._ui.seedSpinBox.value)

    def shown_inputs(self) -> dict[str, AnyInput]:
        """The input fields of the chosen method, by role."""
        return {each.role: self.inputs[each.role] for each in self.method.inputs}

    def shown_outputs(self) -> dict[str, AnyOutput]:
        """The output fields of the chosen method, by name."""
        return {each.name: self.outputs[each.name] for each in self.method.outputs if each.kind in OUTPUT_TYPES}

    def missing_input(self) -> str:
        """The title of the first required input that was not chosen, or of the file to be written; empty when all are
        there."""
        empty = [item.title for item in self.method.inputs if item.required and not self.inputs[item.role].node]
        return next(iter(empty), "") or self._missing_side() or self._missing_file()

    def _missing_side(self) -> str:
        """What could tell where a side lies of which nothing was chosen; empty where both sides are there."""
        for side in ("fixed", "moving"):
            items = [item for item in self.method.inputs if item.role.startswith(side)]
            if items and not any(self.inputs[item.role].node for item in items):
                return items[0].title
        return ""

    def _missing_file(self) -> str:
        """What the first output is called that is a file and has no name yet."""
        files = (item for item in self.method.outputs if item.kind == "checkpoint")
        return next((f"file of the {item.title}" for item in files if not self.outputs[item.name].node), "")

    def show_organs(self) -> None:
        """Offers the organs that both sides have to the tables of the parameters."""
        names = organ_names({role: field.node for role, field in self.shown_inputs().items()})
        self.forms.set_organs(names)

    # --- showing ---

    def set_method(self, name: str) -> None:
        """Shows a method; the first one where the name is not known, as in a scene of another version."""
        names = [each.name for each in self.methods]
        self._setting = True
        self._ui.methodComboBox.currentIndex = names.index(name) if name in names else 0
        self._setting = False
        self._show_method()

    def set_machine(self, device: str, seed: int) -> None:
        self._setting = True
        self._ui.deviceComboBox.currentIndex = max(0, self._ui.deviceComboBox.findData(device))
        self._ui.seedSpinBox.value = seed
        self._setting = False

    def show_preset(self) -> None:
        """Lets the preset chooser say which preset the parameters follow."""
        titles = [each.title for each in self.method.presets] + [CUSTOM]
        self._setting = True
        box = self._ui.presetComboBox
        if [box.itemText(index) for index in range(box.count)] != titles:
            box.clear()
            box.addItems(titles)
            for index, preset in enumerate(self.method.presets):
                box.setItemData(index, tooltip(preset.help), qt.Qt.ToolTipRole)
        shown = self.forms.matching_preset()
        box.currentIndex = titles.index(shown.title if shown else CUSTOM)
        self._ui.presetHelpLabel.text = shown.help if shown else ""
        self._ui.presetHelpLabel.visible = shown is not None
        self._setting = False

    def _show_method(self) -> None:
        method = self.method
        self._ui.summaryLabel.text = method.summary
        self._ui.citationLabel.text = citation_link(method)
        self._ui.citationLabel.toolTip = tooltip(f"Please cite: {method.citation.text}")
        for name, forms in self.parameters.items():
            forms.show(name == method.name)
        _show_rows(self._input_labels, self.inputs, self.shown_inputs())
        _show_rows(self._output_labels, self.outputs, self.shown_outputs())
        self.show_preset()
        self.show_organs()

    # --- the user ---

    def onMethod(self, _index: int) -> None:
        if not self._setting:
            self._show_method()
            self._changed()

    def onInput(self) -> None:
        self.show_organs()
        self._changed()

    def onParameter(self) -> None:
        self.show_preset()
        self._changed()

    def onPreset(self, index: int) -> None:
        if not self._setting and index < len(self.method.presets):
            self.forms.choose(self.method.presets[index].name)
            self.change(self.forms.preset_texts(self.forms.preset))

    def onReset(self) -> None:
        """Back to the preset that was chosen last, and to empty tables."""
        self._show_parameters(self.forms.preset_texts(self.forms.preset))

    def change(self, texts: Mapping[str, str]) -> None:
        """Shows other values of some of the chosen method's parameters, as if the user had typed them."""
        self._show_parameters(self.forms.texts() | dict(texts))

    def _show_parameters(self, texts: Mapping[str, str]) -> None:
        self.forms.set_texts(texts)
        self.show_preset()
        self._changed()

    def onMachine(self, _value: int) -> None:
        if not self._setting:
            self._changed()


def citation_link(method: Method) -> str:
    """The paper's title as a link; the authors are before its first colon."""
    title = method.citation.text.partition(": ")[2] or method.citation.text
    return f'<a href="https://doi.org/{method.citation.doi}">{title}</a>'


def _declared_inputs(methods: Iterable[Method]) -> list[Input]:
    """Every input once, in the order in which the methods declare them: each behind the one before it in its method."""
    found: dict[str, Input] = {}
    order: list[str] = []
    for method in methods:
        place = 0
        for item in method.inputs:
            if item.role not in found:
                order.insert(place, item.role)
            found[item.role] = item
            place = order.index(item.role) + 1
    return [found[role] for role in order]


def _declared_outputs(methods: Iterable[Method]) -> list[Output]:
    """Every output that is a node a user may choose, or a file, once."""
    outputs = (item for method in methods for item in method.outputs if item.kind in OUTPUT_TYPES)
    return list({item.name: item for item in outputs}.values())


def _show_rows(labels: Mapping[str, Any], fields: Mapping[str, Any], shown: Mapping[str, Any]) -> None:
    for name, each in fields.items():
        labels[name].visible = name in shown
        each.widget.visible = name in shown

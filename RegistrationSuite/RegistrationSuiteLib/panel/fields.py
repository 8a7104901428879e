"""The rows of a method panel: widgets for one declared parameter.

Every field speaks text, as the panel's state and the command line do; the method's ``check_values`` turns the texts
into values.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import ctk
import qt
from regsuite.catalog import AUTOMATIC, Parameter

MOST_DIGITS = 4
"""Decimals beyond which a spin box is hard to read."""

Changed = Callable[[], None]


def tooltip(text: str) -> str:
    """The text as a tooltip that wraps; Qt wraps rich text only."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace("\n", "<br>")
    return f"<p>{escaped}</p>"


def number_text(value: float) -> str:
    """A number as a person writes it."""
    return f"{value:.10g}"


def value_text(value: Any) -> str:
    """A parameter's value as the state keeps it and the command line takes it; of an empty table or list nothing."""
    if isinstance(value, (tuple, list)):
        return ", ".join(number_text(each) for each in value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return number_text(value) if isinstance(value, float) else str(value)


# --- parameters ---


class ParameterField:
    """The widget of one declared parameter; ``changed`` is called when the user changes it, not when code does."""

    signal = ""

    def __init__(self, parameter: Parameter, changed: Changed) -> None:
        self.parameter = parameter
        self._changed = changed
        self._setting = False
        self.widget = self._make()
        self.widget.toolTip = tooltip(describe(parameter))
        self.widget.name = parameter.name
        self.set_text(value_text(parameter.default))
        self._listen()

    def _listen(self) -> None:
        self.widget.connect(self.signal, self.onChanged)

    def set_text(self, text: str) -> None:
        """Shows a value without telling anyone."""
        self._setting = True
        self._show(text)
        self._setting = False

    def onChanged(self) -> None:
        if not self._setting:
            self._changed()

    def text(self) -> str:
        raise NotImplementedError

    def asked(self) -> str:
        """What a run is to be given."""
        return self.text()

    def _make(self) -> Any:
        raise NotImplementedError

    def _show(self, text: str) -> None:
        raise NotImplementedError


class TextField(ParameterField):
    """Numbers whose range is open or spans many powers of ten, and lists of numbers; automatic where it is empty."""

    signal = "textChanged(QString)"

    def _make(self) -> Any:
        widget = qt.QLineEdit()
        if self.parameter.automatic:
            widget.placeholderText = AUTOMATIC
        return widget

    def _show(self, text: str) -> None:
        self.widget.text = "" if self._is_automatic(text) else text

    def text(self) -> str:
        text = str(self.widget.text)
        return "0" if self._is_automatic(text) else text

    def _is_automatic(self, text: str) -> bool:
        return self.parameter.automatic and text.strip().lower() in ("", "0", AUTOMATIC)


class SliderField(ParameterField):
    """A number with a modest range."""

    signal = "valueChanged(double)"

    def _make(self) -> Any:
        widget = self._empty()
        low, high = float(self.parameter.minimum or 0.0), float(self.parameter.maximum or 0.0)
        widget.decimals = max(decimals(low, high), digits(self.parameter.default))
        widget.minimum, widget.maximum = low, high
        widget.singleStep = 10.0 ** round(math.log10((high - low) / 100))
        widget.suffix = f" {self.parameter.unit}" if self.parameter.unit else ""
        return widget

    def _empty(self) -> Any:
        return ctk.ctkSliderWidget()

    def _show(self, text: str) -> None:
        self.widget.value = float(text)

    def text(self) -> str:
        return number_text(round(self.widget.value, self.widget.decimals))


class NumberField(SliderField):
    """A number with a modest range whose 0 means automatic: a slider has no place for the word."""

    def _empty(self) -> Any:
        widget = qt.QDoubleSpinBox()
        widget.specialValueText = AUTOMATIC
        return widget


class CountField(ParameterField):
    """A whole number."""

    signal = "valueChanged(int)"

    def _make(self) -> Any:
        widget = qt.QSpinBox()
        low, high = self.parameter.minimum, self.parameter.maximum
        widget.minimum = int(low) if low is not None else -2147483647
        widget.maximum = int(high) if high is not None else 2147483647
        widget.specialValueText = AUTOMATIC if self.parameter.automatic else ""
        widget.suffix = f" {self.parameter.unit}" if self.parameter.unit else ""
        return widget

    def _show(self, text: str) -> None:
        self.widget.value = int(text)

    def text(self) -> str:
        return str(self.widget.value)


class SwitchField(ParameterField):
    """Yes or no."""

    signal = "toggled(bool)"

    def _make(self) -> Any:
        return qt.QCheckBox()

    def _show(self, text: str) -> None:
        self.widget.checked = text == "true"

    def text(self) -> str:
        return value_text(bool(self.widget.checked))


class ChoiceField(ParameterField):
    """One of a few words."""

    signal = "currentIndexChanged(int)"

    def _make(self) -> Any:
        widget = qt.QComboBox()
        widget.addItems(list(self.parameter.choices))
        return widget

    def _show(self, text: str) -> None:
        self.widget.currentIndex = self.parameter.choices.index(text)

    def text(self) -> str:
        return str(self.widget.currentText)


def parameter_field(parameter: Parameter, changed: Changed) -> ParameterField:
    """The field that suits a parameter's type and range."""
    kinds = {"int": CountField, "bool": SwitchField, "choice": ChoiceField, "floats": TextField}
    number = NumberField if parameter.automatic else SliderField
    kind = kinds.get(parameter.type) or (number if slides(parameter) else TextField)
    return kind(parameter, changed)


def slides(parameter: Parameter) -> bool:
    """Whether a slider suits: within a factor of a thousand or from zero to a thousand, and no very small default."""
    low, high = parameter.minimum, parameter.maximum
    if low is None or high is None:
        return False
    fine = digits(parameter.default) <= MOST_DIGITS
    return fine and (low * 1000 >= high if low > 0 else high - low <= 1000)


def decimals(low: float, high: float) -> int:
    """Decimals that resolve a thousandth of a range."""
    return max(0, math.ceil(-math.log10((high - low) / 1000)))


def digits(value: float) -> int:
    """Decimals of a number as a person writes it."""
    return max(0, -int(Decimal(number_text(value)).normalize().as_tuple().exponent))


def describe(parameter: Parameter) -> str:
    """What a parameter does, its unit, range, default and name."""
    unit = f" {parameter.unit}" if parameter.unit else ""
    default = f"{value_text(parameter.default)}{unit}"
    facts = [f"Default: {AUTOMATIC if parameter.is_automatic(parameter.default) else default}"]
    if parameter.type == "table":  # it begins empty
        facts = []
    low, high = parameter.minimum, parameter.maximum
    if low is not None and high is not None:
        facts.append(f"Range: {number_text(low)} to {number_text(high)}{unit}")
    elif low is not None:
        facts.append(f"At least {number_text(low)}{unit}")
    facts.append(f"In the console: {parameter.name}")
    return parameter.help + "\n" + "\n".join(facts)


def row_title(parameter: Parameter) -> str:
    """The label of a parameter's row; the unit stands here where the widget has no place for it."""
    unit = parameter.unit if parameter.type == "floats" or (parameter.type == "float" and not slides(parameter)) else ""
    return f"{parameter.title} ({unit}):" if unit else f"{parameter.title}:"

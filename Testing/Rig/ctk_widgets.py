"""A simulation of the ctk widgets the suite's panels use; members as in CTK's headers, looks only roughly."""

from __future__ import annotations

import fnmatch
import re
from typing import Any

from PySide6.QtCore import Property, QEvent, QSize, Qt, Signal
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import (
    QAbstractButton,
    QComboBox,
    QDoubleSpinBox,
    QHBoxLayout,
    QSizePolicy,
    QSlider,
    QStyle,
    QStyleOptionButton,
    QToolButton,
    QWidget,
)

from Rig import pythonqt

_HEADER = 26
_SLIDER_STEPS = 1000


class ctkCollapsibleButton(QAbstractButton):
    """A section that shows or hides its children; a child hidden on purpose stays hidden when the section opens."""

    _simulates = "ctkCollapsibleButton"
    contentsCollapsed = Signal(bool)

    def __init__(self, text: str | QWidget | None = None, parent: QWidget | None = None) -> None:
        super().__init__(parent if isinstance(text, str) else text)
        self.text = text if isinstance(text, str) else ""
        self._hidden_on_purpose: set[QWidget] = set()
        self._forcing = False
        self.setCheckable(True)
        self.checked = True
        self.setContentsMargins(0, _HEADER, 0, 0)
        self.setSizePolicy(QSizePolicy.Policy.Minimum, QSizePolicy.Policy.Preferred)
        self.toggled.connect(self._on_toggled)

    def childEvent(self, event: Any) -> None:
        child = event.child()
        if event.type() == QEvent.Type.ChildAdded and isinstance(child, QWidget):
            child.installEventFilter(self)
            if not self.checked:
                self._show(child)

    def eventFilter(self, watched: Any, event: QEvent) -> bool:
        if not self._forcing and event.type() in (QEvent.Type.ShowToParent, QEvent.Type.HideToParent):
            hidden = event.type() == QEvent.Type.HideToParent
            (self._hidden_on_purpose.add if hidden else self._hidden_on_purpose.discard)(watched)
        return False

    def _on_toggled(self, opened: bool) -> None:
        for child in self.children():
            if isinstance(child, QWidget):
                self._show(child)
        self.setMaximumHeight(16777215 if opened else _HEADER)
        self.contentsCollapsed.emit(not opened)

    def _show(self, child: QWidget) -> None:
        self._forcing = True
        child.setVisible(self.checked and child not in self._hidden_on_purpose)
        self._forcing = False

    def sizeHint(self) -> QSize:
        return super().sizeHint() if self.checked and self.layout() else QSize(_HEADER, _HEADER)

    minimumSizeHint = sizeHint

    def hitButton(self, position: Any) -> bool:
        return position.y() < _HEADER

    def paintEvent(self, _event: QPaintEvent) -> None:
        option = QStyleOptionButton()
        option.initFrom(self)
        option.rect.setHeight(_HEADER)
        painter = QPainter(self)
        self.style().drawControl(QStyle.ControlElement.CE_PushButtonBevel, option, painter, self)
        arrows = QStyle.PrimitiveElement.PE_IndicatorArrowDown, QStyle.PrimitiveElement.PE_IndicatorArrowRight
        option.rect.setRect(6, 6, _HEADER - 12, _HEADER - 12)
        self.style().drawPrimitive(arrows[0 if self.checked else 1], option, painter, self)
        painter.drawText(_HEADER, 0, self.width - _HEADER, _HEADER, Qt.AlignmentFlag.AlignVCenter, self.text)
        painter.end()

    def _collapsed(self) -> bool:
        return not self.checked

    def setCollapsed(self, collapsed: bool) -> None:
        self.checked = not collapsed

    collapsed = Property(bool, _collapsed, setCollapsed, notify=contentsCollapsed)


class ctkSliderWidget(QWidget):
    """A slider and a spin box with one value."""

    _simulates = "ctkSliderWidget"
    valueChanged = Signal(float)
    valueIsChanging = Signal(float)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._slider = QSlider(Qt.Orientation.Horizontal)
        self._slider.maximum = _SLIDER_STEPS
        self._box = QDoubleSpinBox()
        self._box.valueChanged.connect(self._on_box)
        self._slider.valueChanged.connect(self._on_slider)
        self._page_step = 10.0
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._slider, 1)
        row.addWidget(self._box)

    def _span(self) -> float:
        return (self._box.maximum - self._box.minimum) or 1.0

    def _on_box(self, value: float) -> None:
        self._place()
        self.valueChanged.emit(value)

    def _place(self) -> None:
        self._slider.blockSignals(True)
        self._slider.value = round(_SLIDER_STEPS * (self._box.value - self._box.minimum) / self._span())
        self._slider.blockSignals(False)

    def _on_slider(self, position: int) -> None:
        self._box.value = self._box.minimum + self._span() * position / _SLIDER_STEPS

    def _of_box(name: str) -> Any:  # type: ignore[misc]
        def change(self: Any, value: Any) -> None:
            setattr(self._box, name, value)
            self._place()  # a limit moves the handle

        return (lambda self: getattr(self._box, name)), change

    def setValue(self, value: float) -> None:
        self._box.value = value

    def setRange(self, minimum: float, maximum: float) -> None:
        self._box.setRange(minimum, maximum)
        self._on_box(self._box.value)

    def _page(self) -> float:
        return self._page_step

    def _set_page(self, step: float) -> None:
        self._page_step = step

    value = Property(float, *_of_box("value"), notify=valueChanged)
    minimum = Property(float, *_of_box("minimum"))
    maximum = Property(float, *_of_box("maximum"))
    singleStep = Property(float, *_of_box("singleStep"))
    decimals = Property(int, *_of_box("decimals"))
    suffix = Property(str, *_of_box("suffix"))
    prefix = Property(str, *_of_box("prefix"))
    pageStep = Property(float, _page, _set_page)
    del _of_box


class ctkPathLineEdit(QWidget):
    """A line with the path of a file or folder, and a button that browses for it.

    As in CTK, a path that the name filters do not let pass is not told of.
    """

    _simulates = "ctkPathLineEdit"
    Dirs, Files, Drives, AllEntries = 0x001, 0x002, 0x004, 0x007
    Readable, Writable, Executable = 0x010, 0x020, 0x040
    currentPathChanged = Signal(str)
    validInputChanged = Signal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._box = QComboBox()
        self._box.setEditable(True)
        self._box.editTextChanged.connect(self._on_text)
        self._valid = False
        self._browse = QToolButton()
        self._browse.text = "..."
        self._values: dict[str, Any] = {"label": "", "filters": self.AllEntries, "nameFilters": []}
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._box, 1)
        row.addWidget(self._browse)

    def comboBox(self) -> QComboBox:
        return self._box

    def _on_text(self, path: str) -> None:
        was, patterns = self._valid, " ".join(re.findall(r"\((.*?)\)", " ".join(self.nameFilters))).split()
        self._valid = not patterns or any(fnmatch.fnmatch(path, pattern) for pattern in patterns)
        if self._valid:
            self.currentPathChanged.emit(path)
        if self._valid != was:
            self.validInputChanged.emit(self._valid)

    def _path(self) -> str:
        return self._box.currentText

    def setCurrentPath(self, path: str) -> None:
        self._box.setEditText(path)

    def _shows_button(self) -> bool:
        return not self._browse.isHidden()

    def _show_button(self, visible: bool) -> None:
        self._browse.setVisible(visible)

    def _value(name: str) -> Any:  # type: ignore[misc]
        return (lambda self: self._values[name]), (lambda self, value: self._values.update({name: value}))

    currentPath = Property(str, _path, setCurrentPath)
    showBrowseButton = Property(bool, _shows_button, _show_button)
    label = Property(str, *_value("label"))
    filters = Property(int, *_value("filters"))
    nameFilters = Property("QStringList", *_value("nameFilters"))
    del _value


for _widget in (ctkCollapsibleButton, ctkSliderWidget, ctkPathLineEdit):
    pythonqt.QUiLoader.stand_ins[_widget.__name__] = _widget

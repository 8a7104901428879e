"""A simulation of PythonQt's ``qt`` module over PySide6, for running Slicer panels without Slicer.

As in PythonQt, all Qt classes lie flat in one module, Qt properties are Python attributes (``button.text =
"Apply"``), signals are connected by their C++ signature (``button.connect("clicked(bool)", self.onClick)``) and a C++
object takes no new attributes. It is stricter where that catches mistakes: a signal that does not exist, and a
connection line in a ``.ui`` file that cannot be made, raise; exceptions in slots are kept in :data:`slot_errors`, so
that a test can fail on them.

What it cannot show: PythonQt's choice among C++ overloads, who owns (and deletes) which object, members that PySide6
has and PythonQt's generated wrappers lack, Qt 5, and Slicer's styling. Constructors here would also take keyword
arguments; PythonQt's do not.
"""

from __future__ import annotations

import ctypes
import functools
import inspect
import sys
import traceback
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from typing import Any, ClassVar

from PySide6 import QtCore, QtGui, QtUiTools, QtWidgets
from PySide6.QtCore import QObject

_QT_MODULES = (QtCore, QtGui, QtWidgets, QtUiTools)
for _module in _QT_MODULES:
    for _name in dir(_module):
        if _name.startswith("Q"):
            globals()[_name] = getattr(_module, _name)

slot_errors: list[BaseException] = []
"""Exceptions raised in slots since the list was last cleared. PythonQt prints them and goes on; so does this module."""

_plain_get = QObject.__getattribute__


# --- properties as attributes ---


@functools.cache
def _properties(cls: type) -> frozenset[str]:
    meta = cls.staticMetaObject  # type: ignore[attr-defined]
    return frozenset(meta.property(index).name() for index in range(meta.propertyCount()))


_EXTRA: dict[str, Callable[[QObject], Any]] = {
    "name": lambda self: QObject.property(self, "objectName"),
    "className": lambda self: lambda: _plain_get(self, "metaObject")().className(),
    "connect": lambda self: functools.partial(_connect, self),
    "disconnect": lambda self: functools.partial(_disconnect, self),
}


_being_read: set[tuple[int, str]] = set()
# Reading a property may make Qt ask for the Python method that overrides its getter, such as sizeHint.


def _get(self: QObject, name: str) -> Any:
    if name.startswith("_"):
        return _plain_get(self, name)
    if name in _properties(type(self)) and (id(self), name) not in _being_read:
        _being_read.add((id(self), name))
        try:
            return QObject.property(self, name)
        finally:
            _being_read.discard((id(self), name))
    if name in _EXTRA:
        return _EXTRA[name](self)
    return _plain_get(self, name)


def _is_cpp(cls: type) -> bool:
    """Whether a class stands for a C++ class: PySide's own, and the stand-ins of this folder."""
    return cls.__module__.startswith("PySide6") or "_simulates" in vars(cls)


def _set(self: QObject, name: str, value: Any) -> None:
    if isinstance(value, QtCore.SignalInstance) or name.startswith("_"):
        self.__dict__[name] = value
    elif name in _properties(type(self)) or name == "name":
        if not QObject.setProperty(self, "objectName" if name == "name" else name, value):
            raise TypeError(f"{type(self).__name__}.{name} cannot be set to {value!r}")
    elif _is_cpp(type(self)):
        if QUiLoader.loading:  # PySide's loader offers every child as an attribute of the form; PythonQt's does not
            return
        raise AttributeError(f"'{name}' does not exist on {type(self).__name__} and C++ objects take no new attributes")
    else:
        self.__dict__[name] = value


# --- signals by C++ signature ---

_connections: dict[tuple[int, str], list[tuple[Any, Callable[..., None], Any]]] = {}


def _normalised(signature: str) -> str:
    return QtCore.QMetaObject.normalizedSignature(signature).data().decode()


def _bound_signal(self: QObject, signature: str) -> Any:
    """The stand-in's signal of that C++ signature; None where Qt has it itself. ValueError: no such signal."""
    simulated = getattr(type(self), "_signals", {})
    if signature in simulated:
        return getattr(self, simulated[signature])
    if _plain_get(self, "metaObject")().indexOfSignal(signature) < 0:
        raise ValueError(f"signal '{signature}' does not exist on {type(self).__name__}")
    return None


def _slot(function: Callable[..., Any]) -> Callable[..., None]:
    """The callable as PythonQt calls it: with no more arguments than it takes; exceptions go no further."""
    parameters = inspect.signature(function).parameters.values()
    takes_all = any(each.kind is each.VAR_POSITIONAL for each in parameters)
    count = sum(each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD) for each in parameters)

    def call(*arguments: Any) -> None:
        try:
            function(*(arguments if takes_all else arguments[:count]))
        except Exception as error:  # noqa: BLE001 - as PythonQt does, whatever was raised
            slot_errors.append(error)
            traceback.print_exc()

    return call


def _connect(self: QObject, signature: str, receiver: Any, slot: str | None = None) -> bool:
    if slot is not None:
        receiver = getattr(receiver, slot.split("(")[0])
    signature = _normalised(signature)
    signal, call = _bound_signal(self, signature), _slot(receiver)
    if signal is None:
        QObject.connect(self, QtCore.SIGNAL(signature), call)
    else:
        signal.connect(call)
    _connections.setdefault((id(self), signature), []).append((receiver, call, signal))
    return True


def _disconnect(self: QObject, signature: str, receiver: Any = None) -> bool:
    made = _connections.get((id(self), _normalised(signature)), [])
    leaving = [each for each in made if receiver is None or each[0] == receiver]
    for connection in leaving:
        made.remove(connection)
        _, call, signal = connection
        if signal is None:
            QObject.disconnect(self, QtCore.SIGNAL(_normalised(signature)), call)
        else:
            signal.disconnect(call)
    return bool(leaving)


# --- .ui files ---


class QUiLoader(QtUiTools.QUiLoader):
    """Loads ``.ui`` files with the stand-ins; a property or connection that cannot be made raises."""

    stand_ins: ClassVar[dict[str, type]] = {}
    loading = False

    def createWidget(self, class_name: str, parent: Any = None, name: str = "") -> Any:
        if class_name in self.stand_ins:
            widget = self.stand_ins[class_name](parent)
            QObject.setObjectName(widget, name)
            return widget
        if class_name not in QtUiTools.QUiLoader.availableWidgets(self):
            slot_errors.append(LookupError(f"the rig has no stand-in for {class_name}"))
        return QtUiTools.QUiLoader.createWidget(self, class_name, parent, name)

    def load(self, file: QtCore.QIODevice, parent: Any = None) -> Any:
        tree = ElementTree.fromstring(bytes(file.readAll().data()))
        connections = list(tree.iter("connection"))
        for section in tree.findall("connections"):
            tree.remove(section)
        text = QtCore.QBuffer()
        text.setData(ElementTree.tostring(tree))
        text.open(QtCore.QIODevice.OpenModeFlag.ReadOnly)
        QUiLoader.loading = True
        try:
            widget = QtUiTools.QUiLoader.load(self, text, parent)
        finally:
            QUiLoader.loading = False
        named = {child.objectName: child for child in [widget, *widget.findChildren(QObject)]}
        _check_properties(tree, named)
        for connection in connections:
            sender, signal, receiver, slot = (connection.findtext(tag) for tag in _CONNECTION_PARTS)
            _connect(named[sender], signal, named[receiver], slot)
        return widget


_CONNECTION_PARTS = ("sender", "signal", "receiver", "slot")


def _check_properties(tree: ElementTree.Element, named: dict[str, QObject]) -> None:
    for element in tree.iter("widget"):
        known = _properties(type(named[element.attrib["name"]]))
        for item in element.findall("property"):
            if item.attrib["name"] not in known:
                raise AttributeError(f"{element.attrib['class']} has no property '{item.attrib['name']}'")


# --- put in place ---


def _own_setters(cls: type) -> None:
    """Every class generated by PySide brings its own attribute setter, so each is replaced."""
    cls.__setattr__ = _set  # type: ignore[method-assign,assignment]


def _keep_none() -> None:
    """PySide6 lets go of None once with every call that returns nothing, which before Python 3.12 ends in a crash."""
    if sys.version_info < (3, 12):
        ctypes.c_ssize_t.from_address(id(None)).value += 1 << 40


def _paths_alone() -> None:
    """PySide6 gives paths with the filter that was chosen; PythonQt gives the paths."""
    for name in ("getOpenFileName", "getOpenFileNames", "getSaveFileName"):
        both = getattr(QtWidgets.QFileDialog, name)
        setattr(QtWidgets.QFileDialog, name, staticmethod(functools.partial(_first, both)))


def _first(function: Callable[..., Any], *arguments: Any) -> Any:
    return function(*arguments)[0]


def _patch() -> None:
    QObject.__getattribute__ = _get  # type: ignore[method-assign,assignment]
    for module in _QT_MODULES:
        for value in list(vars(module).values()):
            if isinstance(value, type) and issubclass(value, QObject):
                _own_setters(value)


_keep_none()
_paths_alone()
_patch()

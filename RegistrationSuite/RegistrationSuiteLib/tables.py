"""Curves, tables and figures of a result as table nodes and charts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import vtk

from RegistrationSuiteLib.scene.volumes import new_node

if TYPE_CHECKING:
    from regsuite.registration import Curve, Result, Table

    Named = Callable[[str], str]

LINE_COLOURS = ((0.12, 0.29, 0.49), (0.85, 0.37, 0.05), (0.2, 0.55, 0.25), (0.55, 0.25, 0.6), (0.4, 0.4, 0.4))


def add_tables(result: Result, name_of: Named) -> dict[str, Any]:
    """A table node for each curve and each table, and one of the metrics; by output name.

    name_of: the name of the node of an output.
    """
    made = {name: _curve_table(name_of(name), curve) for name, curve in result.curves.items()}
    made |= {name: _plain_table(name_of(name), table) for name, table in result.tables.items()}
    metrics: dict[str, list[Any]] = {"metric": list(result.metrics), "value": list(result.metrics.values())}
    return {**made, "metrics": _table_node(name_of("metrics"), metrics)}


def add_charts(result: Result, made: Mapping[str, Any], name_of: Named) -> dict[str, Any]:
    """A chart node for each curve, by "<curve>_chart"; made: the tables' nodes by output name."""
    return {f"{name}_chart": _chart(name_of(name), curve, made[name]) for name, curve in result.curves.items()}


def rows_of(node: Any) -> list[dict[str, str]]:
    """A table node's rows, as texts by column title."""
    table = node.GetTable()
    titles = [table.GetColumnName(column) for column in range(table.GetNumberOfColumns())]
    return [
        {title: table.GetValue(row, column).ToString() for column, title in enumerate(titles)}
        for row in range(table.GetNumberOfRows())
    ]


def _curve_table(name: str, curve: Curve) -> Any:
    return _table_node(name, {_x_title(curve): curve.x, **curve.values})


def _plain_table(name: str, table: Table) -> Any:
    return _table_node(name, {title: [row[index] for row in table.rows] for index, title in enumerate(table.columns)})


def _chart(name: str, curve: Curve, table: Any) -> Any:
    chart = new_node("vtkMRMLPlotChartNode", f"{name} chart")
    chart.SetTitle(name)
    chart.SetXAxisTitle(_x_title(curve))
    chart.SetYAxisTitle(curve.y_title)
    for index, line in enumerate(curve.values):
        chart.AddAndObservePlotSeriesNodeID(_line(table, _x_title(curve), line, index).GetID())
    return chart


def _line(table: Any, x_title: str, line: str, index: int) -> Any:
    series = new_node("vtkMRMLPlotSeriesNode", line)
    series.SetAndObserveTableNodeID(table.GetID())
    series.SetPlotType(series.PlotTypeScatter)
    series.SetMarkerStyle(series.MarkerStyleNone)
    series.SetXColumnName(x_title)
    series.SetYColumnName(line)
    series.SetColor(*LINE_COLOURS[index % len(LINE_COLOURS)])
    series.SetLineWidth(2)
    return series


def _x_title(curve: Curve) -> str:
    return curve.x_title or "x"


def _table_node(name: str, columns: Mapping[str, Sequence[Any]]) -> Any:
    """A table node; columns of numbers stay numbers."""
    node = new_node("vtkMRMLTableNode", name)
    node.SetUseColumnTitleAsColumnHeader(True)
    for title, values in columns.items():
        node.AddColumn(_column(title, values))
    return node


def _column(title: str, values: Sequence[Any]) -> Any:
    numeric = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)
    column = vtk.vtkDoubleArray() if numeric else vtk.vtkStringArray()
    convert: Callable[[Any], Any] = float if numeric else str
    column.SetName(title)
    for value in values:
        column.InsertNextValue(convert(value))
    return column

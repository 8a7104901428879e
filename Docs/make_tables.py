"""Writes the tables of the method pages from the catalog, and figures from a benchmark's output.

    python Docs/make_tables.py              the method pages
    make -s bench NAME=metamorphosis FULL=1 > bench.txt
    python Docs/make_tables.py bench.txt    and the figures, from the JSON of the file's last line

A page is named after its method. What stands between ``<!-- catalog: NAME -->`` and ``<!-- end -->`` is replaced, and
in methods/figures.md, or methods/figures-NAME.md where a benchmark has a page of its own, what stands between
``<!-- table: NAME -->``, or ``<!-- figures -->`` for the rows, and ``<!-- end -->``. One run of a part (ONLY=TEXT)
replaces its own tables and leaves the others and the rows as they are; the rows of a run in parts are replaced where
the files of all parts are named.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from regsuite import catalog
from regsuite.catalog import Method, Parameter

PAGES = Path(__file__).resolve().parent / "methods"
COMMAND = "python Docs/make_tables.py"
FIGURES = PAGES / "figures.md"
"""Of a benchmark that has no page of its own."""
_FIGURES = re.compile(r"(<!-- figures -->\n).*?(<!-- end -->)", re.DOTALL)
_BENCH_TABLE = re.compile(r"(<!-- table: ([\w ]+) -->\n).*?(<!-- end -->)", re.DOTALL)
_LEFT_OUT = ("platform", "load", "seconds", "command")
_BLOCK = re.compile(r"(<!-- catalog: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def written(text: str, method: Method) -> str:
    """The page with its tables as the catalog has them now."""
    return _BLOCK.sub(lambda found: found[1] + _TABLES[found[2]](method) + found[3], text)


def pages() -> dict[Path, Method]:
    """Every method's page."""
    return {PAGES / f"{name}.md": method for name, method in catalog.methods().items()}


def _table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [titles, ["---"] * len(titles), *rows]
    return "".join(f"| {' | '.join(_cell(cell) for cell in line)} |\n" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _inputs(method: Method) -> str:
    rows = [
        (item.title, f"`{item.role}`", item.kind, "yes" if item.required else "no", item.help) for item in method.inputs
    ]
    return _table(("Input", "Role", "Kind", "Needed", "Meaning"), rows)


def _outputs(method: Method) -> str:
    rows = [(item.title, f"`{item.name}`", item.kind, item.help) for item in method.outputs]
    return _table(("Output", "Name", "Kind", "Meaning"), rows)


def _parameters(method: Method) -> str:
    titles = ("Parameter", "Name", "Default", "Range", "Meaning")
    sections = []
    for heading, advanced in (("Basic", False), ("Advanced", True)):
        rows = [_parameter(item) for item in method.parameters if item.advanced is advanced]
        sections.append(f"\n{heading}:\n\n{_table(titles, rows)}")
    return "".join(sections) + "\n"


def _parameter(item: Parameter) -> tuple[str, ...]:
    unit = f" {item.unit}" if item.unit else ""
    default = catalog.AUTOMATIC if item.is_automatic(item.default) else _value(item.default) + unit
    return item.title, f"`{item.name}`", default, _range(item) + unit, item.help


def _range(item: Parameter) -> str:
    if item.choices:
        return ", ".join(item.choices)
    if item.type == "bool":
        return "true, false"
    if item.columns:
        return ", ".join(f"`{column.name}`" for column in item.columns)
    if item.minimum is None and item.maximum is None:
        return "any"
    low, high = (_value(limit) for limit in (item.minimum, item.maximum))
    return f"{low} to {high}"


def _value(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (tuple, list)):
        return ", ".join(_value(each) for each in value) or "empty"
    return f"{value:g}" if isinstance(value, (int, float)) else str(value)


def _presets(method: Method) -> str:
    rows = []
    for item in method.presets:
        values = ", ".join(f"`{name}={_value(value)}`" for name, value in item.values.items())
        rows.append((item.title, f"`{item.name}`", values or "the defaults", item.help))
    return _table(("Preset", "Name", "Values", "Meaning"), rows)


def _summary(method: Method) -> str:
    return f"{method.summary}\n"


def _citation(method: Method) -> str:
    citation = method.citation
    return f"{citation.text}. [doi:{citation.doi}](https://doi.org/{citation.doi})\n"


_TABLES = {
    "summary": _summary,
    "inputs": _inputs,
    "parameters": _parameters,
    "presets": _presets,
    "outputs": _outputs,
    "citation": _citation,
}


def with_figures(text: str, *parts: Mapping[str, Any]) -> str:
    """The page of figures with those of a benchmark's output, or of that of its parts."""
    for bench in parts:
        text = _with_tables(text, bench.get("tables", {}), _made(bench["environment"]))
    if len(parts) == 1 and "ONLY" in parts[0]["environment"].get("command", ""):
        return text
    titles = ("Figure", "Data", "Ours", "Compared with", "Its value", "Unit", "Goal", "Met")
    rows = _table(titles, [_figure(row) for bench in parts for row in bench["rows"]])
    made = "".join(_made(bench["environment"]) for bench in parts)
    return _FIGURES.sub(lambda found: f"{found[1]}{rows}{made}{found[2]}", text)


def figures_of(bench: str) -> Path:
    """The page of a benchmark's figures."""
    own = PAGES / f"figures-{bench}.md"
    return own if own.exists() else FIGURES


def _with_tables(text: str, tables: Mapping[str, Any], made: str) -> str:
    def replaced(found: re.Match[str]) -> str:
        table = tables.get(found[2])
        return f"{found[1]}{_bench_table(table)}{made}{found[3]}" if table else found[0]

    return _BENCH_TABLE.sub(replaced, text)


def _made(environment: Mapping[str, Any]) -> str:
    """By which command, and on what."""
    facts = [f"{name.replace('_', ' ')} {_value(value)}" for name, value in _flat(environment)]
    command = environment.get("command")
    return f"\nMeasured{f' by `{command}`' if command else ''} with: {', '.join(facts)}.\n"


def _bench_table(table: Mapping[str, Any]) -> str:
    return _table(table["columns"], [[_measured(cell) for cell in row] for row in table["rows"]])


def _measured(cell: object) -> str:
    """A number, or a mean with its standard deviation."""
    if isinstance(cell, list):
        return " ± ".join(_short(each) for each in cell)
    return "" if cell is None else _short(cell)


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) and abs(value) < 100 else _rounded(value)


def _figure(row: Mapping[str, Any]) -> tuple[str, ...]:
    reason = row.get("skipped") or row.get("failed")
    met = reason or {True: "yes", False: "no"}.get(row["met"], "")
    values = (row["claim"], row["data"], row["ours"], row["peer"], row["peer_value"], row["unit"], row["goal"], met)
    return tuple("" if value is None else _rounded(value) for value in values)


def _rounded(value: object) -> str:
    if isinstance(value, float) and abs(value) >= 1000:
        return f"{value:.0f}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _flat(facts: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    """Facts by name; those of a group one by one."""
    for name, value in facts.items():
        if isinstance(value, Mapping):
            yield from _flat(value)
        elif value is not None and name not in _LEFT_OUT:
            yield name, value


def main() -> None:
    """Write every page anew."""
    for page, method in pages().items():
        page.write_text(written(page.read_text(encoding="utf-8"), method), encoding="utf-8")
    parts = [json.loads(Path(file).read_text(encoding="utf-8").splitlines()[-1]) for file in sys.argv[1:]]
    for name in sorted({part["bench"] for part in parts}):
        page, own = figures_of(name), [part for part in parts if part["bench"] == name]
        page.write_text(with_figures(page.read_text(encoding="utf-8"), *own), encoding="utf-8")


if __name__ == "__main__":
    main()

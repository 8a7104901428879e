"""A page that shows a registration to a person: pictures first, then figures, parameters and record.

``report.html`` needs nothing beside it: pictures and style are inside, no link leads out but the citation's.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from regsuite import catalog, wording
from regsuite.catalog import Parameter
from regsuite.pictures import (
    FanSubject,
    Picture,
    Subject,
    all_pictures,
    fan_pictures,
    is_section,
    without_images,
)
from regsuite.registration import Registration, Table
from regsuite.spatial import Image, LabelImage

_UNITS = {"_mm": "mm", "_mb": "MB", "_deg": "°", "_um": "µm"}
_SPELLING = {"dice": "Dice", "sdlogj": "SD log J", "hd95": "HD95", "tre": "TRE"}
_HEADLINES = ("dice_", "true_deformation_error", "tre_", "hd95_", "mutual_information")
_MOST_HEADLINES = 5
_SHOWN_APART = ("parameters", "chosen", "inputs", "versions", "log", "citation", "title")

_STYLE = """
:root { color-scheme: light; --ink: #1d2733; --quiet: #5b6774; --line: #dfe4ea; --accent: #0a7ea4; --page: #f5f7f9; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 2.2rem 1.2rem 4rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .3rem; }
h2 { font-size: 1.25rem; margin: 2.4rem 0 .6rem; }
h3 { font-size: 1.05rem; margin: 1rem 0 .6rem; }
p { margin: .3rem 0; max-width: 75ch; }
.quiet { color: var(--quiet); font-size: .92rem; }
.cards { display: flex; flex-wrap: wrap; gap: .8rem; margin: 1.5rem 0 .5rem; }
.card { flex: 1 1 130px; background: #fff; border: 1px solid var(--line); border-radius: 10px; padding: .7rem .8rem; }
.card b { display: block; font-size: 1.15rem; white-space: nowrap; line-height: 1.25;
  font-variant-numeric: tabular-nums; }
.notes { background: #fff6dc; border: 1px solid #e6cf8b; border-left: 5px solid #d9a406; border-radius: 6px;
  margin: 1.2rem 0; padding: .5rem .9rem; } .notes p { max-width: 90ch; }
.card span { color: var(--quiet); font-size: .88rem; }
figure { margin: 0 0 1.8rem; background: #fff; border: 1px solid var(--line); border-radius: 10px; padding: 1rem; }
figure h3 { margin: 0 0 .6rem; }
figure img { max-width: 100%; display: block; margin: 0 auto; }
figcaption { color: var(--quiet); font-size: .92rem; margin-top: .6rem; max-width: 90ch; }
.tables { display: flex; flex-wrap: wrap; gap: 0 1.6rem; align-items: flex-start; }
.tables > div { flex: 1 1 330px; }
table { border-collapse: collapse; width: 100%; background: #fff; border: 1px solid var(--line); font-size: .93rem; }
th, td { text-align: left; padding: .4rem .7rem; border-bottom: 1px solid var(--line); vertical-align: top; }
th { font-weight: 600; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
tr.changed td:nth-child(-n+2) { font-weight: 600; }
details { margin-top: 1rem; } summary { cursor: pointer; color: var(--accent); }
pre { white-space: pre-wrap; font-size: .85rem; background: #fff; border: 1px solid var(--line); padding: .8rem; }
@media print { body { background: #fff; } figure { break-inside: avoid; } }
"""


def write_report(
    registration: Registration,
    fixed: Image | None,
    moving: Image | None,
    folder: Path | str,
    mask: LabelImage | None = None,
    fixed_labels: LabelImage | None = None,
    moving_labels: LabelImage | None = None,
    pictures: Sequence[Picture] = (),
    slice_labels: LabelImage | None = None,
) -> Path:
    """Write ``report.html`` into ``folder`` and its pictures as PNG files into ``folder/pictures``; needs matplotlib.

    fixed, moving: where one is missing, only what needs no image is shown; mask, fixed_labels, moving_labels: drawn as
    outlines where given; pictures: further ones, shown last; slice_labels: of slices that were placed in the fixed
    image, a stack. Returns the page's path.
    """
    if fixed is not None and fixed_labels is not None and slice_labels is not None:
        fan = FanSubject(registration, fixed, fixed_labels, slice_labels)
        shown = [*fan_pictures(fan), *without_images(registration), *pictures]
    elif fixed is None or moving is None:
        shown = [*without_images(registration), *pictures]
    else:
        subject = Subject(registration, fixed, moving, mask, fixed_labels, moving_labels)
        shown = [*all_pictures(subject), *pictures]
    beside = Path(folder) / "pictures"
    beside.mkdir(parents=True, exist_ok=True)
    for picture in shown:
        (beside / f"{picture.name}.png").write_bytes(picture.png)
    page = Path(folder) / "report.html"
    page.write_text(_page(registration, shown), encoding="utf-8")
    return page


def _page(registration: Registration, pictures: Iterable[Picture]) -> str:
    record = registration.record
    title = escape(str(record.get("title") or record.get("method") or "Registration"))
    sections = [
        f"<h1>{title}</h1>",
        _citation(record),
        _notes(registration.notes),
        _cards(registration),
        f"<h2>Pictures</h2><p class='quiet'>{_view(registration)}</p>",
        *map(_figure, pictures),
        "<h2>Measurements</h2>",
        f"<div class='tables'>{''.join(map(_table, registration.tables.values()))}{_metrics(registration)}</div>",
        "<h2>Parameters</h2>",
        _parameters(record),
        "<h2>Record</h2>",
        _record(record),
    ]
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>{title}</title><style>{_STYLE}</style></head><body><main>{''.join(sections)}</main></body></html>\n"
    )


def _view(registration: Registration) -> str:
    """How the pictures are to be looked at."""
    if "emulated" in registration.sequences:
        return "Slices stand as they were acquired, or upright around their axis where that is said."
    if is_section(registration.fixed_grid):
        return "The section stands as its file shows it; views of the atlas have its right on the left."
    return "Radiological view: the patient's right is on the left of the picture."


def _citation(record: Mapping[str, Any]) -> str:
    citation = record.get("citation", {})
    doi = escape(citation.get("doi", ""))
    link = f" <a href='https://doi.org/{doi}'>doi:{doi}</a>" if doi else ""
    return f"<p class='quiet'>{escape(citation.get('text', ''))}{link}</p>"


def _notes(notes: Sequence[str]) -> str:
    """What the reader should know before the figures."""
    return f"<div class='notes'>{''.join(f'<p>{escape(note)}</p>' for note in notes)}</div>" if notes else ""


def _cards(registration: Registration) -> str:
    """The figures a reader looks for first."""
    metrics, record = registration.metrics, registration.record
    cards = [(f"{old:.2f} → {new:.2f}{unit}", name) for name, old, new, unit in _changes(metrics)]
    cards += _plate_cards(metrics)
    if wording.SHAPE in metrics:
        cards.append(_shape_card(metrics))
    if "folded_fraction" in metrics:
        cards.append((f"{100 * metrics['folded_fraction']:.3g} %", "voxels folded"))
    if "seconds" in record:
        memory = f", {record['peak_memory_mb'] / 1024:.1f} GB" if "peak_memory_mb" in record else ""
        cards.append((_duration(record["seconds"]), f"on {record.get('device', 'cpu')}{memory}"))
    shown = (f"<div class='card'><b>{escape(value)}</b><span>{escape(name)}</span></div>" for value, name in cards)
    meaning = f"<p class='quiet'>{wording.SHAPE_HELP}</p>" if wording.SHAPE in metrics else ""
    return f"<div class='cards'>{''.join(shown)}</div>{meaning}"


def _plate_cards(metrics: Mapping[str, float]) -> list[tuple[str, str]]:
    """Of a section that was found in an atlas."""
    if "plate" not in metrics:
        return []
    cards = [
        (f"{metrics['plate']:.1f}", f"plate, {metrics['depth_mm']:.2f} mm from the middle"),
        (f"{metrics['pitch_deg']:.1f}°, {metrics['yaw_deg']:.1f}°", "pitch, yaw"),
    ]
    sure = metrics.get("confidence")
    return cards if sure is None else [*cards, (f"{sure:.0%}", "sure of the plate")]


def _shape_card(metrics: Mapping[str, float]) -> tuple[str, str]:
    outside = metrics.get(wording.SHAPE_OUTSIDE)
    beside = "" if outside is None else f", {wording.percent(outside)} outside the lesion"
    return wording.percent(metrics[wording.SHAPE]), f"explained by shape{beside}"


def _changes(metrics: Mapping[str, float]) -> list[tuple[str, float, float, str]]:
    """Name, value before, value after, unit of metrics known before and after; no mean Dice beside its parts."""
    found = []
    several = sum(key.startswith("dice_") for key in metrics) > 2
    for key, old in metrics.items():
        afters = (key.replace("_before", ending) for ending in ("_after", "_deformation", ""))
        after = next((name for name in afters if name != key and name in metrics), None)
        if after is not None and key.startswith(_HEADLINES) and not (several and key == "dice_before"):
            name, unit = _named(key.replace("_before", ""))
            found.append((name, old, metrics[after], f" {unit}" if unit else ""))
    return found[:_MOST_HEADLINES]


def _named(key: str) -> tuple[str, str]:
    """A metric's key as a person writes it, and its unit."""
    if key == "seconds":
        return "Time", "s"
    if key in wording.NAMES:
        return wording.NAMES[key], ""
    ending = next((ending for ending in _UNITS if key.endswith(ending)), "")
    words = [_SPELLING.get(word, word) for word in key.removesuffix(ending).split("_")]
    return " ".join([words[0][:1].upper() + words[0][1:], *words[1:]]), _UNITS.get(ending, "")


def _number(value: Any) -> str:
    """With three or four significant digits; whole numbers and text as they are."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, (int, float)):
        return "–" if value is None else str(value)
    if isinstance(value, int) or not math.isfinite(value):
        return str(value)
    return f"{value:.3f}" if 0.01 <= abs(value) < 10 else f"{value:.4g}"


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{int(seconds // 60)} min {seconds % 60:.0f} s"


def _figure(picture: Picture) -> str:
    data = base64.b64encode(picture.png).decode("ascii")
    title, caption = escape(picture.title), escape(picture.caption)
    image = f"<img alt='{title}' src='data:image/png;base64,{data}'>"
    return f"<figure><h3>{title}</h3>{image}<figcaption>{caption}</figcaption></figure>"


def _table(table: Table) -> str:
    body = "".join(_row(row) for row in table.rows)
    head = _head(table.columns, table.rows[0] if table.rows else ())
    return f"<div><h3>{escape(table.title)}</h3><table>{head}{body}</table></div>"


def _head(columns: Sequence[str], first_row: Sequence[Any] = ()) -> str:
    """Titles that stand as the cells of the first row do."""
    like = [*first_row, *[""] * (len(columns) - len(first_row))]
    shown = (f"<th{_side(cell)}>{escape(title)}</th>" for title, cell in zip(columns, like, strict=True))
    return f"<tr>{''.join(shown)}</tr>"


def _row(cells: Sequence[Any], kind: str = "") -> str:
    shown = (f"<td{_side(cell)}>{escape(_number(cell))}</td>" for cell in cells)
    return f"<tr{f' class={kind}' if kind else ''}>{''.join(shown)}</tr>"


def _side(cell: Any) -> str:
    """Numbers stand to the right."""
    return " class=number" if isinstance(cell, (int, float)) and not isinstance(cell, bool) else ""


def _metrics(registration: Registration) -> str:
    rows = [[_named(key)[0], value, _named(key)[1]] for key, value in registration.metrics.items()]
    return _table(Table("All figures", ["figure", "value", "unit"], rows)) if rows else ""


def _parameters(record: Mapping[str, Any]) -> str:
    """Every value with its unit and meaning; those that differ from their default stand out."""
    values = record.get("parameters", {})
    declared = _declared(record.get("method", ""))
    rows = []
    for name, value in values.items():
        parameter = declared.get(name)
        text = _setting(value)
        if parameter is None:
            rows.append(_row([name, text, "", ""]))
            continue
        kind = "" if parameter.check(value) == parameter.default else "changed"
        automatic = parameter.is_automatic(parameter.check(value))
        shown = [_automatic(parameter, record.get("chosen", {})) if automatic else text, parameter.unit]
        rows.append(_row([parameter.title, *shown, parameter.help], kind))
    note = "<p class='quiet'>Bold: differs from the default.</p>"
    return f"{note}<table>{_head(['parameter', 'value', 'unit', 'meaning'])}{''.join(rows)}</table>"


def _automatic(parameter: Parameter, chosen: Mapping[str, Any]) -> str:
    """What the method chose by itself, where it says so."""
    if parameter.name not in chosen:
        return catalog.AUTOMATIC
    value = chosen[parameter.name]
    values = value if isinstance(value, (list, tuple)) else [value]
    return f"{catalog.AUTOMATIC}: {', '.join(f'{each:.3g}' for each in values)}"


def _setting(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_setting, value))
    return f"{value:g}" if isinstance(value, float) else _number(value)


def _declared(method: str) -> dict[str, Parameter]:
    known = catalog.methods()
    return {parameter.name: parameter for parameter in known[method].parameters} if method in known else {}


def _record(record: Mapping[str, Any]) -> str:
    plain = [(key, value) for key, value in record.items() if key not in _SHOWN_APART]
    rows = [[_named(key)[0], f"{_number(value)} {_named(key)[1]}"] for key, value in plain]
    rows += [
        [role.replace("_", " ").capitalize(), _geometry(given)] for role, given in record.get("inputs", {}).items()
    ]
    rows += [["Versions", ", ".join(f"{name} {text}" for name, text in record.get("versions", {}).items())]]
    log = "\n".join(map(str, record.get("log", [])))
    lines = f"<details><summary>Log</summary><pre>{escape(log)}</pre></details>" if log else ""
    return f"<table>{''.join(map(_row, rows))}</table>{lines}"


def _geometry(given: Mapping[str, Any]) -> str:
    """What the record says of one input, in a line."""
    parts = [str(given[key]) for key in ("name", "path") if given.get(key)]
    if "shape" in given:
        parts.append(" × ".join(map(str, reversed(given["shape"]))) + " voxels")
        parts.append(" × ".join(f"{h:.3g}" for h in reversed(given["spacing"])) + " mm")
    if "maps" in given:
        maps = [f"{name} ({unit})" if unit else name for name, unit in given["maps"].items()]
        parts.append(f"{len(given['slices'])} slices, {given['thickness']:.3g} mm thick, of {', '.join(maps)}")
    return ", ".join(parts)

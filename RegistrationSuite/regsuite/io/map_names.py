"""What the images of a DICOM series show: a quantity with a unit, or something to look at.

A weighted image is no map: 'T2' alone in a series' description, or as the flavour of an enhanced image (DICOM PS3.3,
C.8.13.3.1.1), does not make one; a code, a derived image's type, a unit of time or the word 'map' beside it does.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence

from regsuite.io.dicom_frames import Header, unit_code

QUANTITIES = ("T1", "T2", "T2star", "T1rho", "PD")
"""Names of the maps that are known: relaxation times and proton density."""
MILLISECONDS = QUANTITIES[:4]
"""Those that are times."""

_CODES = {"113063": "T1", "113065": "T2", "113064": "T2star", "113058": "PD"}
"""Of DICOM's own terminology, PS3.16 annex D. It has none for T1rho."""

_SPELLINGS = {"T1": "T1", "T2": "T2", "T2STAR": "T2star", "T1RHO": "T1rho", "PD": "PD", "PROTONDENSITY": "PD"}
_JOINED = (
    (re.compile(r"T2[ _-]*(\*|STAR)"), "T2STAR"),
    (re.compile(r"T1[ _-]*(RHO|Ρ)"), "T1RHO"),
    (re.compile(r"PROTON[ _-]*DENSITY"), "PROTONDENSITY"),
)
_NAMED = re.compile(r"(?<![A-Z0-9])(T1RHO|T2STAR|T1|T2|PD|PROTONDENSITY)(?=MAP|QUANT|[^A-Z0-9]|$)")
_MEASURED = re.compile(r"MAP|QUANT|QMR|MRF|FINGERPRINT|RELAXO")
_UNITS = {"ms": "ms", "msec": "ms", "millisecond": "ms", "milliseconds": "ms", "s": "s", "sec": "s", "us": "us"}
_TIMES = ("ms", "s", "us")
_NUMBER = re.compile(r"(?<![A-Za-z0-9])\d+([.,]\d+)?\s*(deg\w*|°)?(?![A-Za-z0-9])")
_COUNTED = re.compile(r"\b(?!T[12])([A-Za-z]+)\d+\b", re.IGNORECASE)
_LONGEST = 40


def unit_of(header: Header) -> str:
    """Of the values: 'ms', 's' or as it is coded (UCUM); '' where it is not told."""
    mapping = header.mapping()
    if mapping is not None:
        code = unit_code(mapping)
        return _UNITS.get(code.lower(), re.sub(r"[^\w/%*^.\[\]{}-]", "", code)[:16])
    # 'US' is how DICOM writes that a rescale's unit is unspecified.
    told = header.text("RescaleType", "PixelValueTransformationSequence").lower()
    return "" if told == "us" else _UNITS.get(told, "")


def quantity_called(name: str) -> str:
    """One of ``QUANTITIES``, or '' for an image to look at, by the name of a file or node: that of the quantity alone,
    or with the word 'map' beside it."""
    joined = _joined(name)
    alone = re.sub(r"[^A-Z0-9]", "", joined)
    return _SPELLINGS.get(alone, "") or (_mentioned(name) if _MEASURED.search(joined) else "")


def without_numbers(name: str) -> str:
    """A name without what counts or turns slices in it, such as the 3 and the angle of 'T2 slice3 60deg'."""
    words = _COUNTED.sub(r"\1", _NUMBER.sub(" ", name.replace("_", " ")))
    return re.sub(r"\W+", " ", words).strip()


def name_frames(headers: Sequence[Header]) -> dict[str, list[Header]]:
    """Frames by the map they belong to, quantities first.

    Images to look at are called as their series is described, and where that is not enough by what else tells them
    apart: type, echo time (TE) and inversion time (TI), both in ms, and flip angle (FA), in degrees. A description
    alone makes no map of series of several of these, nor of frames that are no maps in a series that has some.
    """
    certain = {id(header): _coded(header) or _typed(header) for header in headers}
    sources = _sources([header for header in headers if not certain[id(header)]])
    told = {header.text("SeriesInstanceUID") for header in headers if certain[id(header)]} | sources
    found: dict[str, list[Header]] = {name: [] for name in QUANTITIES}
    looks: list[Header] = []
    for header in headers:
        believed = header.text("SeriesInstanceUID") not in told
        quantity = certain[id(header)] or (_described(header) if believed else "")
        (found[quantity] if quantity else looks).append(header)
    return {name: frames for name, frames in found.items() if frames} | _name_looks(looks)


def _sources(headers: Sequence[Header]) -> set[str]:
    """Series of several echo or inversion times or flip angles: maps are made from such, and called like them."""
    weightings: dict[str, set[tuple[float | None, ...]]] = defaultdict(set)
    for header in headers:
        weightings[header.text("SeriesInstanceUID")].add(tuple(_weighting(header).values()))
    return {series for series, found in weightings.items() if len(found) > 1}


def _weighting(header: Header) -> dict[str, float | None]:
    """Echo time and inversion time, ms, and flip angle, degrees, where they are told."""
    return {
        "TE": header.number("EffectiveEchoTime", "MREchoSequence") or header.number("EchoTime"),
        "TI": header.number("InversionTimes", "MRModifierSequence") or header.number("InversionTime"),
        "FA": header.number("FlipAngle", "MRTimingAndRelatedParametersSequence"),
    }


def safe(text: str) -> str:
    """Fit for a file's name: letters, digits, '_', '-', '+' and '.' within."""
    return re.sub(r"[^\w.+-]+", "_", text).strip("_.")[:_LONGEST]


def _coded(header: Header) -> str:
    mapping = header.mapping()
    for definition in mapping.items("QuantityDefinitionSequence") if mapping is not None else ():
        meaning = definition.text("CodeMeaning", "ConceptCodeSequence")
        found = _CODES.get(definition.text("CodeValue", "ConceptCodeSequence")) or _mentioned(meaning)
        if found and "weighted" not in meaning.lower():
            return found
    return ""


def _typed(header: Header) -> str:
    """From the image type, public or the vendor's own: what stands third in it counts in images that are derived, and
    are not enhanced. Images that were computed to look as if weighted (GE MAGiC: DERIVED, PRIMARY, T2, SYNTHETIC) are
    no maps."""
    for types, plain in ((header.types(), not header.enhanced), (header.vendor_types(), True)):
        certain = (types[:1] == ("DERIVED",) and plain) or _measured(types)
        named = {_mentioned(text) for place, text in enumerate(types) if place > 2 or (place == 2 and certain)} - {""}
        if len(named) == 1 and not _synthetic(types):
            return named.pop()
    return ""


def _synthetic(types: Sequence[str]) -> bool:
    return any("SYNTHETIC" in text for text in types)


def _described(header: Header) -> str:
    text, types = header.text("SeriesDescription"), header.types()
    if _synthetic(types) or (not _measured([text.upper(), *types]) and unit_of(header) not in _TIMES):
        return ""
    return _mentioned(text)


def _measured(texts: Sequence[str]) -> bool:
    return any(_MEASURED.search(text) for text in texts)


def _mentioned(text: str) -> str:
    """The one quantity that a text names; '' for none and for several."""
    named = {_SPELLINGS[each] for each in _NAMED.findall(_joined(text))}
    return named.pop() if len(named) == 1 else ""


def _joined(text: str) -> str:
    text = text.upper()
    for spelling, joined in _JOINED:
        text = spelling.sub(joined, text)
    return text


def _name_looks(headers: Sequence[Header]) -> dict[str, list[Header]]:
    alike = Counter((header.text("SeriesInstanceUID"), _variant(header)) for header in headers)
    bases: dict[str, dict[tuple[str, ...], list[Header]]] = defaultdict(lambda: defaultdict(list))
    for header in headers:
        variant = _variant(header)
        # A series of its own for each orientation is numbered, or has the angle in its description.
        alone = alike[header.text("SeriesInstanceUID"), variant] == 1
        text = header.text("SeriesDescription") or header.text("ProtocolName")
        base = safe(_NUMBER.sub(" ", text) if alone else text) or "image"
        base += "_image" if base.lower() in [each.lower() for each in QUANTITIES] else ""
        bases[base][variant].append(header)
    named: dict[str, list[Header]] = defaultdict(list)
    for base, variants in sorted(bases.items()):
        for variant, frames in sorted(variants.items()):
            named[_with_variant(base, variant, list(variants))] += frames
    return dict(named)


def _variant(header: Header) -> tuple[str, ...]:
    """What tells images of one series apart, in words."""
    weighting = _weighting(header)
    return (*map(safe, header.types()[2:]), *(f"{key}{value:g}" for key, value in weighting.items() if value))


def _with_variant(base: str, variant: tuple[str, ...], all_variants: Sequence[tuple[str, ...]]) -> str:
    shared = set.intersection(*map(set, all_variants))
    return "_".join([base, *(word for word in variant if word not in shared)])

"""The command line: ``python -m regsuite list | run | evaluate``. It is made from the catalog.

Exit codes: 0 done, 1 failed, 2 input that cannot be used, 130 cancelled.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import regsuite
from regsuite import catalog
from regsuite.catalog import Input, Method, Parameter
from regsuite.errors import InputError, JobFailed
from regsuite.jobs.failures import plain_failures

if TYPE_CHECKING:
    from collections.abc import Mapping

    from regsuite.registration import Result

_PROGRAM = "python -m regsuite"
_METAVARS = {
    "section": "PICTURE",
    "sections": "PICTURE",
    "slices": "FOLDER",
    "checkpoint": "CHECKPOINT",
    "weights": "WEIGHTS",
}
_FORMATS = {"section": " PNG, JPEG, TIFF, OME-TIFF, a whole slide, or a volume of one slice."}
"""By the kind of an input: what stands for its file, and what a file of it may be where that is not plain."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message[:1].upper()}{message[1:]}: see '{self.prog} --help'.")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    return exit_code(lambda: _run(words))


def exit_code(action: Callable[[], None]) -> int:
    """The exit code of ``action``; what a user can mend is said in one sentence on standard error."""
    try:
        with plain_failures():
            action()
    except InputError as error:
        return _fail(str(error), 2)
    except JobFailed as error:
        return _fail(str(error), 1)
    except KeyboardInterrupt:
        return _fail("Cancelled; nothing was written.", 130)
    return 0


def _fail(sentence: str, code: int) -> int:
    sys.stderr.write(f"regsuite: {sentence}\n")
    return code


def _run(words: list[str]) -> None:
    if words[:1] == ["run"]:
        _check_method(words[1:])
    chosen = _parser().parse_args(words)
    chosen.command(chosen)


def _parser() -> _Parser:
    parser = _Parser(prog=_PROGRAM, description=regsuite.__doc__)
    parser.add_argument("--version", action="version", version=regsuite.__version__)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_list(commands.add_parser("list", help="the methods"))
    _add_run(commands.add_parser("run", help="register with a method, or train one"))
    _add_evaluate(commands.add_parser("evaluate", help="measure a transform, whoever made it"))
    return parser


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")


# list


def _add_list(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="everything that is declared of every method, as JSON")
    parser.set_defaults(command=_list)


def _list(chosen: argparse.Namespace) -> None:
    methods = catalog.methods().values()
    if chosen.json:
        _say(json.dumps([_described(method) for method in methods], indent=2))
        return
    for method in methods:
        _say(
            f"{method.name}\n  {method.title}. {method.summary}\n  {method.citation.text}. doi:{method.citation.doi}\n"
        )


def _described(method: Method) -> dict[str, Any]:
    return {
        "name": method.name,
        "title": method.title,
        "summary": method.summary,
        "citation": method.citation.text,
        "doi": method.citation.doi,
        "paper": method.citation.paper,
        "dimensions": list(method.dimensions),
        "inputs": [vars(item) for item in method.inputs],
        "parameters": [_described_parameter(item) for item in method.parameters],
        "outputs": [vars(item) for item in method.outputs],
        "presets": [{**vars(item), "values": dict(item.values)} for item in method.presets],
    }


def _described_parameter(item: Parameter) -> dict[str, Any]:
    return {**vars(item), "columns": [column.name for column in item.columns]}


# run


@dataclass(frozen=True)
class Run:
    """What a run was asked for, checked as far as that goes without reading a file.

    inputs: by role, a path or, of surfaces, sections and slices, several.
    """

    method: Method
    inputs: Mapping[str, str | list[str]]
    parameters: Mapping[str, Any]
    seed: int
    device: str
    out: str
    overwrite: bool


def read_run(words: Sequence[str], program: str, description: str) -> Run:
    """The arguments of ``run``, for another program that takes the same; InputError where they are not good."""
    _check_method(words)
    parser = _Parser(prog=program, description=description)
    _add_run(parser)
    return _asked(parser.parse_args(words))


def _check_method(words: Sequence[str]) -> None:
    """A better sentence for an unknown method than the parser's."""
    if words and not words[0].startswith("-"):
        catalog.method(words[0])


def _add_run(parser: argparse.ArgumentParser) -> None:
    methods = parser.add_subparsers(metavar="METHOD", required=True)
    for method in catalog.methods().values():
        one = methods.add_parser(
            method.name,
            help=method.summary,
            description=f"{method.summary}\n\n{method.citation.text}. doi:{method.citation.doi}",
            epilog=_parameters_text(method),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        for item in method.inputs:
            several = {"nargs": "+"} if item.several or item.by_slice else {}
            metavar, meaning = _METAVARS.get(item.kind, "FILE"), _percent(item.help + _FORMATS.get(item.kind, ""))
            one.add_argument(_flag(item), required=item.required, metavar=metavar, help=meaning, **several)
        _add_settings(one, method)
        one.set_defaults(command=_register, method=method)


def _add_settings(parser: argparse.ArgumentParser, method: Method) -> None:
    names = ", ".join(preset.name for preset in method.presets)
    parser.add_argument("--preset", metavar="NAME", help=f"values for a common case: {names}")
    parser.add_argument(
        "--set",
        metavar="NAME=VALUE",
        nargs="+",
        action="extend",
        default=[],
        help="values of parameters, see below; @FILE reads one from a file",
    )
    parser.add_argument("--seed", type=int, default=0, help="makes a run repeatable (0)")
    parser.add_argument("--device", default="auto", help="cpu, cuda, or auto: a GPU where there is one (auto)")
    parser.add_argument("--out", metavar="DIR", required=True, help="folder for the results")
    parser.add_argument("--overwrite", action="store_true", help="replace the results of an earlier run in it")


def _flag(item: Input) -> str:
    return "--" + item.role.replace("_", "-")


def _percent(text: str) -> str:
    return text.replace("%", "%%")


def _parameters_text(method: Method) -> str:
    lines = [f"  {item.name:18} {_default_text(item)}\n      {item.help}" for item in method.parameters]
    return "\n".join(["parameters, for --set:", *lines])


def _default_text(item: Parameter) -> str:
    if item.type == "table":
        return f"none  ({item.wants()})"
    default = ",".join(f"{value:g}" for value in item.default) if item.type == "floats" else item.default
    unit = f" {item.unit}" if item.unit else ""
    limits = [f"{limit:g}" if limit is not None else "" for limit in (item.minimum, item.maximum)]
    span = " | ".join(item.choices) or ("true | false" if item.type == "bool" else " to ".join(limits).strip())
    return f"{catalog.AUTOMATIC if item.is_automatic(item.default) else f'{default}{unit}'}  ({span}{unit})"


def _register(chosen: argparse.Namespace) -> None:
    """Everything that can be wrong with the command is found before the run starts."""
    asked = _asked(chosen)

    from regsuite import jobs, results
    from regsuite.console import ConsoleProgress

    job = jobs.Job(asked.method.name, asked.inputs, asked.parameters, asked.seed, asked.device)
    with results.result_folder(asked.out, asked.overwrite) as folder:
        with contextlib.closing(ConsoleProgress()) as progress:
            result = jobs.execute(job, progress)
        with contextlib.closing(ConsoleProgress()) as progress:
            results.write(result, folder, jobs.read_inputs(job), progress)
    say_done(result, asked.out)


def _asked(chosen: argparse.Namespace) -> Run:
    method: Method = chosen.method
    parameters = _values(method, chosen.preset, chosen.set)
    method.check_values(parameters)
    given = {item.role: getattr(chosen, item.role) for item in method.inputs}
    inputs = {role: path for role, path in given.items() if path is not None}
    return Run(method, inputs, parameters, chosen.seed, chosen.device, chosen.out, chosen.overwrite)


def _values(method: Method, preset: str | None, settings: Sequence[str]) -> dict[str, Any]:
    """The preset's values, then those that were set by hand."""
    values = dict(method.preset(preset).values) if preset is not None else {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals:
            raise InputError(f"'--set {setting}' sets nothing: write --set name=value.")
        values[name] = _from_file(value[1:]) if value.startswith("@") else value
    return values


def _from_file(path: str) -> str:
    """A long value, such as a table, that was written into a file."""
    from regsuite.io.files import existing_file

    try:
        return existing_file(path, "file of values").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise InputError(f"The file of values '{path}' cannot be read as text: check it.") from None


def say_done(result: Result, folder: str) -> None:
    """How the result was made, its metrics and where it is; on standard error, what to know of it."""
    record = result.record
    made = f"{record['title']} on {record['device']} in {record['seconds']:.1f} s, {record['peak_memory_mb']:.0f} MB"
    _say("\n".join([made, *_metric_lines(result.metrics), f"Results in {folder}"]))
    tell_notes(result)


def tell_notes(result: Result) -> None:
    """What a user should know of the result, on standard error."""
    sys.stdout.flush()
    for note in result.notes:
        sys.stderr.write(f"Note: {note}\n")


def _metric_lines(metrics: Mapping[str, float]) -> list[str]:
    width = max(map(len, metrics), default=0)
    return [f"  {name:{width}}  {value:.6g}" for name, value in metrics.items()]


# evaluate


_EVALUATED = (
    ("--moving-labels", "labels of the moving image"),
    ("--fixed-labels", "the same labels in the fixed image: overlap and surface distances before and after"),
    ("--moving-points", "landmarks in the moving image"),
    ("--fixed-points", "the same landmarks in the fixed image: distances before and after"),
    ("--mask", "the part of the fixed image that counts"),
)


def _add_evaluate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--fixed", metavar="FILE", required=True, help="the fixed image; its grid is measured on")
    parser.add_argument("--transform", metavar="FILE", required=True, help="from fixed to moving points, as ITK has it")
    parser.add_argument("--inverse", metavar="FILE", help="the other way: inverse consistency")
    for flag, text in _EVALUATED:
        parser.add_argument(flag, metavar="FILE", help=text)
    parser.add_argument("--json", action="store_true", help="metrics and tables as JSON")
    parser.set_defaults(command=_evaluate)


def _evaluate(chosen: argparse.Namespace) -> None:
    from regsuite.results import as_json

    metrics, tables = _measured(chosen)
    if chosen.json:
        _say(as_json({"metrics": metrics, "tables": tables}))
        return
    for line in _metric_lines(metrics):
        _say(line.strip())


def _measured(chosen: argparse.Namespace) -> tuple[dict[str, float], dict[str, Any]]:
    from regsuite import evaluation, io

    def read(reader: Any, name: str) -> Any:
        path = getattr(chosen, name)
        return None if path is None else reader(path)

    fixed = io.read_image(chosen.fixed)
    transforms = {name: read(io.read_transform, name) for name in ("transform", "inverse")}
    labels = {name: read(io.read_labels, name) for name in ("fixed_labels", "moving_labels", "mask")}
    points = {name: read(io.read_points, name) for name in ("fixed_points", "moving_points")}
    _check_dimensions(fixed.grid.dim, {**transforms, **points})
    _check_dimensions(fixed.grid.dim, {name: value and value.grid for name, value in labels.items()})
    return evaluation.evaluate(grid=fixed.grid, **transforms, **labels, **points)


def _check_dimensions(dim: int, given: Mapping[str, Any]) -> None:
    for name, value in given.items():
        if value is not None and value.dim != dim:
            words = name.replace("_", " ")
            raise InputError(f"The fixed image is {dim}D and the {words} {value.dim}D: give both in the same number.")

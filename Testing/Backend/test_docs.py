"""The documentation: tables are the catalog's, the example runs, commands parse, links and pictures exist."""

from __future__ import annotations

import dataclasses
import importlib.util
import re
import shlex
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from regsuite import catalog, cli, jobs, phantoms
from regsuite.catalog import registry
from regsuite.spatial import Image

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "Docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
LARGEST_PICTURE = 300_000
REPOSITORY = re.compile(
    r"https://(?:github\.com/RegistrationSuite/RegistrationSuite/blob|"
    r"raw\.githubusercontent\.com/RegistrationSuite/RegistrationSuite)/main/([^\s\")>]+)"
)


def loaded(name: str, file: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module in that file, under that name for one test."""
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)
    spec.loader.exec_module(module)
    return module


def blocks(page: Path, language: str = "") -> list[str]:
    """The contents of a page's code blocks in that language, of those that name none without one."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    return [code for named, code in found if named == language]


# --- tables ---


@pytest.mark.parametrize("name", catalog.methods())
def test_tables_are_those_of_the_catalog(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tables = loaded("make_tables", DOCS / "make_tables.py", monkeypatch)
    page = DOCS / "methods" / f"{name}.md"
    text = page.read_text(encoding="utf-8")
    asked = set(re.findall(r"<!-- catalog: (\w+) -->", text))
    assert asked == {"summary", "inputs", "parameters", "presets", "outputs", "citation"}
    fresh = tables.written(text, catalog.method(name))
    assert text == fresh, f"{page.name} differs from the catalog: run '{tables.COMMAND}'"


@pytest.mark.parametrize("name", catalog.methods())
def test_tables_hold_every_parameter(name: str) -> None:
    text = (DOCS / "methods" / f"{name}.md").read_text(encoding="utf-8")
    for item in catalog.method(name).parameters:
        row = next(line for line in text.splitlines() if f"| `{item.name}` |" in line)
        assert item.help in row
        assert item.unit in row


def test_a_changed_declaration_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    tables = loaded("make_tables", DOCS / "make_tables.py", monkeypatch)
    text = (DOCS / "methods" / "lddmm.md").read_text(encoding="utf-8")
    changed = dataclasses.replace(catalog.method("lddmm"), summary="Another one.")
    assert "Another one." in tables.written(text, changed)


def test_figures_are_those_of_a_benchmark(monkeypatch: pytest.MonkeyPatch) -> None:
    tables = loaded("make_tables", DOCS / "make_tables.py", monkeypatch)
    row = {"claim": "ventricles", "data": "demo", "ours": 0.9, "peer": "before", "peer_value": 0.5, "unit": "Dice"}
    missing = {**row, "ours": None, "peer_value": None, "goal": "> peer", "met": None, "skipped": "no data here"}
    rows = [{**row, "goal": "> peer", "met": True}, {**row, "goal": "", "met": None}, missing]
    bench = {"bench": "metamorphosis", "rows": rows, "environment": {"cores": 2, "packages": {"torch": "2.13"}}}
    page = tables.FIGURES.read_text(encoding="utf-8")
    written = tables.with_figures(page, bench)
    assert "| ventricles | demo | 0.9 | before | 0.5 | Dice | > peer | yes |\n" in written
    assert "| ventricles | demo | 0.9 | before | 0.5 | Dice |  |  |\n" in written
    assert "| ventricles | demo |  | before |  | Dice | > peer | no data here |\n" in written
    assert "cores 2, torch 2.13." in written
    assert "ventricles | demo" not in tables.with_figures(written, {**bench, "rows": []})


def test_tables_are_those_of_a_benchmark(monkeypatch: pytest.MonkeyPatch) -> None:
    """Means with their deviations, by the command that measured them; a part leaves what it did not measure."""
    tables = loaded("make_tables", DOCS / "make_tables.py", monkeypatch)
    page = tables.FIGURES.read_text(encoding="utf-8")
    names = re.findall(r"<!-- table: ([\w ]+) -->", page)
    assert {"tumours", "sensitivity", "real pairs", "Demeter"} == set(names)
    table = {"columns": ["method", "Dice", "time"], "rows": [["LDDMM", [0.91234, 0.02], None], ["before", 0.5, 1234.5]]}
    environment = {"command": 'make -s bench NAME=metamorphosis ONLY="tumours"', "cores": 2}
    written = tables.with_figures(page, {"rows": [], "tables": {"tumours": table}, "environment": environment})
    assert "| method | Dice | time |\n| --- | --- | --- |\n| LDDMM | 0.912 ± 0.02 |  |\n" in written
    assert "| before | 0.5 | 1234 |\n" in written
    assert 'Measured by `make -s bench NAME=metamorphosis ONLY="tumours"` with: cores 2.\n' in written
    pieces = [re.split(r"<!-- table: tumours -->.*?<!-- end -->", each, flags=re.DOTALL) for each in (page, written)]
    assert pieces[0] == pieces[1]


def test_figures_of_all_parts_stand_together(monkeypatch: pytest.MonkeyPatch) -> None:
    tables = loaded("make_tables", DOCS / "make_tables.py", monkeypatch)
    row = {"data": "demo", "ours": 0.9, "peer": "", "peer_value": None, "unit": "Dice", "goal": "", "met": None}
    parts = [
        {"rows": [{**row, "claim": each}], "environment": {"command": f'make -s bench ONLY="{each}"'}}
        for each in ("tumours", "sizes")
    ]
    written = tables.with_figures(tables.FIGURES.read_text(encoding="utf-8"), *parts)
    both = written[written.index("<!-- figures -->") :]
    for each in ("tumours", "sizes"):
        assert f"| {each} | demo | 0.9 |  |  | Dice |  |  |\n" in both
        assert f'Measured by `make -s bench ONLY="{each}"`' in both


def test_a_benchmark_may_have_its_own_page(monkeypatch: pytest.MonkeyPatch) -> None:
    tables = loaded("make_tables", DOCS / "make_tables.py", monkeypatch)
    assert tables.figures_of("metamorphosis") == tables.FIGURES
    assert tables.figures_of("mo-bcpd").name == "figures-mo-bcpd.md"


# --- the example of the developers' page ---


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The page's method in the catalog for one test; its name."""
    files = {}
    for code in blocks(DOCS / "developers.md", "python"):
        if code.startswith("# regsuite/"):
            path = code.splitlines()[0][2:]
            files[path] = tmp_path / Path(path).parent.name / Path(path).name
            files[path].parent.mkdir(exist_ok=True)
            files[path].write_text(code, encoding="utf-8")
    declaration, method = (f"regsuite/{room}/phase_correlation.py" for room in ("catalog", "methods"))
    assert set(files) == {declaration, method}
    declared = loaded("regsuite.catalog.phase_correlation", files[declaration], monkeypatch).METHODS
    loaded("regsuite.methods.phase_correlation", files[method], monkeypatch)
    monkeypatch.setattr(registry, "_METHODS", (*registry._METHODS, *declared))
    return str(declared[0].name)


def shifted(image: Image, voxels: tuple[int, ...]) -> tuple[Image, np.ndarray]:
    """The same image moved by whole voxels, and by how many mm (d,)."""
    shift = image.grid.affine[:-1, :-1] @ np.array(voxels)
    origin = tuple(np.array(image.grid.origin) + shift)
    return dataclasses.replace(image, grid=dataclasses.replace(image.grid, origin=origin)), shift


@pytest.mark.parametrize(
    ("fixed", "voxels"),
    [(phantoms.shapes_2d().moving, (5, -3)), (phantoms.small_tumour_3d().moving, (-2, 3, 4))],
    ids=["2D", "3D"],
)
def test_the_example_finds_a_known_shift(example: str, fixed: Image, voxels: tuple[int, ...]) -> None:
    moving, shift = shifted(fixed, voxels)
    result = jobs.run(jobs.Job(example, {"fixed": fixed, "moving": moving}, device="cpu"))
    assert np.allclose(result.transform.matrix[:-1, -1], shift, atol=1e-4)
    assert result.warped is not None
    inner = tuple(slice(8, -8) for _ in voxels)
    assert np.allclose(result.warped.data[0, 0].numpy()[inner], fixed.data[0, 0].numpy()[inner], atol=1e-4)
    assert result.record["method"] == example
    assert result.record["parameters"] == {"smoothing": 0.0}


def test_the_example_is_on_the_command_line(example: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["list"]) == 0
    assert "Reddy" in capsys.readouterr().out


# --- commands ---


def commands() -> list[str]:
    """Every command of the pages that runs a method or the suite's own program, on one line each."""
    found = []
    for page in PAGES:
        for code in blocks(page):
            lines = code.replace("\\\n", " ").splitlines()
            found += [line for line in lines if "-m regsuite " in line or "run_headless.py " in line]
    return found


def test_commands_were_found() -> None:
    assert {"-m regsuite run", "-m regsuite list", "-m regsuite evaluate"} <= {
        match[0] for line in commands() if (match := re.search(r"-m regsuite \w+", line))
    }
    assert any("run_headless.py" in line for line in commands())


@pytest.mark.parametrize("line", commands())
def test_commands_of_the_pages_are_good(line: str) -> None:
    words = shlex.split(line)
    if "regsuite" in words:
        rest = words[words.index("regsuite") + 1 :]
        if "--help" not in rest:
            chosen = cli._parser().parse_args(rest)
            if rest[0] == "run":
                cli._asked(chosen)
        return
    start = next(index for index, word in enumerate(words) if word.endswith("run_headless.py"))
    assert (ROOT / words[start]).is_file()
    cli.read_run([word for word in words[start + 1 :] if word != "--"], "run_headless.py", "")


# --- links and pictures ---


def anchors(page: Path) -> set[str]:
    """The headings of a page as GitHub makes anchors of them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_resolve(page: Path) -> None:
    links = re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8"))
    assert links
    for link in links:
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name} links to '{link}', which is not there"
        if anchor:
            assert anchor in anchors(target), f"{page.name} links to '{link}', and there is no such heading"


@pytest.mark.parametrize(
    ("file", "least"),
    [("CMakeLists.txt", 2), ("RegistrationSuite/TumourMetamorphosis/TumourMetamorphosis.py", 1)],
)
def test_addresses_in_the_repository_exist(file: str, least: int) -> None:
    paths = REPOSITORY.findall((ROOT / file).read_text(encoding="utf-8"))
    assert len(paths) >= least
    for path in paths:
        assert (ROOT / path).is_file(), f"{file} names '{path}', which is not there"


def test_every_page_is_reached_from_the_index() -> None:
    reached, waiting = set(), [DOCS / "README.md"]
    while waiting:
        page = waiting.pop()
        reached.add(page)
        links = re.findall(r"\]\(([^)#]+\.md)", page.read_text(encoding="utf-8"))
        targets = [(page.parent / link).resolve() for link in links if not link.startswith("https://")]
        waiting += [target for target in targets if target not in reached]
    assert set(DOCS.rglob("*.md")) <= reached


def test_screenshots_are_small_and_used() -> None:
    pictures = sorted((ROOT / "Resources" / "Screenshots").iterdir())
    texts = "".join(page.read_text(encoding="utf-8") for page in PAGES) + (ROOT / "CMakeLists.txt").read_text()
    assert pictures
    for picture in pictures:
        assert picture.read_bytes().startswith(b"\x89PNG")
        assert picture.stat().st_size < LARGEST_PICTURE, picture.name
        assert picture.name in texts, f"{picture.name} is shown nowhere"

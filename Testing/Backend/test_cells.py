"""Tables as values of parameters: every way to give one, and every way to give it wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from regsuite import catalog, cli
from regsuite.catalog.cells import Cells, by_row, cells_of, text_of
from regsuite.errors import InputError

CELLS: Cells = (("Liver", "deviation", 5.0), ("Liver", "points", 800.0), ("Left kidney", "range", 12.5))
TEXT = '{"Liver": {"deviation": 5, "points": 800}, "Left kidney": {"range": 12.5}}'
METHOD = catalog.method("mo-bcpd")


class TestCells:
    @pytest.mark.parametrize(
        "given",
        [
            TEXT,
            {"Liver": {"deviation": 5, "points": 800}, "Left kidney": {"range": 12.5}},
            CELLS,
            [["Liver", "deviation", 5], ["Liver", "points", "800"], ["Left kidney", "range", 12.5]],
            {" Liver ": {"deviation ": "5", "points": 800}, "Left kidney": {"range": 12.5}},
        ],
        ids=["JSON", "mapping", "cells", "lists", "texts"],
    )
    def test_however_they_are_given(self, given: Any) -> None:
        assert cells_of(given) == CELLS

    @pytest.mark.parametrize("nothing", ["", "  ", "{}", "[]", {}, (), []])
    def test_nothing(self, nothing: Any) -> None:
        assert cells_of(nothing) == ()

    @pytest.mark.parametrize(
        "cells", [CELLS, (), (("Ä 'ö' \"ü\"", "Milz{}", 0.1),), (("a", "b", 1 / 3), ("a", "c", 1e-7), ("b", "b", 1e6))]
    )
    def test_text_of_and_back(self, cells: Cells) -> None:
        back = cells_of(text_of(cells))
        assert [cell[:2] for cell in back] == [cell[:2] for cell in cells]
        assert [cell[2] for cell in back] == pytest.approx([cell[2] for cell in cells], rel=1e-9)
        assert text_of(back) == text_of(cells)

    def test_text_of_nothing_is_empty(self) -> None:
        assert text_of(()) == ""

    def test_by_row(self) -> None:
        rows = by_row((*CELLS, ("Liver", "range", 3.0)))
        assert rows == {"Liver": {"deviation": 5.0, "points": 800.0, "range": 3.0}, "Left kidney": {"range": 12.5}}


WRONG: dict[str, tuple[Any, str]] = {
    "no JSON": ('{"Liver": ', "Parameter 'organs' takes a table such as"),
    "a word": ("Liver", "Parameter 'organs' takes a table such as"),
    "a number": ("5", "Parameter 'organs' takes a table such as"),
    "null": ("null", "Parameter 'organs' takes a table such as"),
    "a row that is none": ('{"Liver": 5}', "Parameter 'organs' takes a table such as"),
    "a list as row": ('{"Liver": ["deviation", 5]}', "Parameter 'organs' takes a table such as"),
    "a word as number": ('{"Liver": {"deviation": "much"}}', "Parameter 'organs' takes a table such as"),
    "true as number": ('{"Liver": {"deviation": true}}', "Parameter 'organs' takes a table such as"),
    "null as number": ('{"Liver": {"deviation": null}}', "Parameter 'organs' takes a table such as"),
    "no name": ('{"": {"deviation": 5}}', "Parameter 'organs' takes a table such as"),
    "two values": ([("Liver", 5.0)], "Parameter 'organs' takes a table such as"),
    "unknown column": ('{"Liver": {"speed": 5}}', "Parameter 'organs' has no 'speed' for Liver: choose one of points,"),
    "too small": ('{"Liver": {"deviation": 0}}', "In parameter 'organs', for Liver: Parameter 'deviation' is 0"),
    "too large": ('{"Liver": {"outlier_rate": 0.95}}', "In parameter 'organs', for Liver: Parameter 'outlier_rate'"),
    "not whole": ('{"Liver": {"points": 99.5}}', "In parameter 'organs', for Liver: Parameter 'points' takes a whole"),
    "infinite": ('{"Liver": {"range": Infinity}}', "In parameter 'organs', for Liver: Parameter 'range'"),
    "infinite count": ('{"Liver": {"points": Infinity}}', "In parameter 'organs', for Liver: Parameter 'points'"),
    "not a number": ('{"Liver": {"range": NaN}}', "In parameter 'organs', for Liver: Parameter 'range'"),
    "beyond all numbers": ('{"Liver": {"range": 1' + 400 * "0" + "}}", "Parameter 'organs'"),
}


class TestMethod:
    def test_takes_all_columns(self) -> None:
        columns = {column.name for column in next(item for item in METHOD.parameters if item.name == "organs").columns}
        assert columns == {"points", "deviation", "range", "organ_shift", "organ_strain", "outlier_rate"}
        row = {"points": 50, "deviation": 1, "range": 9, "organ_shift": 0, "organ_strain": 0.1, "outlier_rate": 0.2}
        assert by_row(METHOD.check_values({"organs": {"Liver": row}}).organs) == {"Liver": row}

    @pytest.mark.parametrize("case", WRONG)
    def test_wrong_tables(self, case: str) -> None:
        value, sentence = WRONG[case]
        with pytest.raises(InputError) as caught:
            METHOD.check_values({"organs": value})
        assert str(caught.value).startswith(sentence)

    @pytest.mark.parametrize("name", ["organs", "coherence_matrix", "transition_matrix"])
    def test_the_example_in_the_sentence_is_good(self, name: str) -> None:
        with pytest.raises(InputError) as caught:
            METHOD.check_values({name: "?"})
        example = str(caught.value).partition("such as ")[2].partition("}}")[0] + "}}"
        assert len(getattr(METHOD.check_values({name: example}), name)) == 1

    @pytest.mark.parametrize("name", ["coherence_matrix", "transition_matrix"])
    @pytest.mark.parametrize("number", [-0.1, 1.5, "NaN"])
    def test_wrong_matrices(self, name: str, number: Any) -> None:
        with pytest.raises(InputError, match=f"Parameter '{name}' is .*outside its range: give a table .* from 0 to 1"):
            METHOD.check_values({name: f'{{"Liver": {{"Spleen": {number}}}}}'})

    @pytest.mark.parametrize("value", ["inf", "1e400", float("inf"), 10**400])
    def test_a_count_without_end(self, value: Any) -> None:
        with pytest.raises(InputError, match="Parameter 'points'"):
            METHOD.check_values({"points": value})


class TestCommandLine:
    @pytest.mark.parametrize("case", ["no JSON", "unknown column", "too small", "infinite count", "beyond all numbers"])
    def test_wrong_tables(self, case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        value, sentence = WRONG[case]
        words = ["run", "mo-bcpd", "--set", f"organs={value}", "--out", str(tmp_path / "out")]
        assert cli.main(words) == 2
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1
        assert lines[0].startswith(f"regsuite: {sentence}")
        assert not (tmp_path / "out").exists()

    def test_a_value_may_have_an_equals_sign(self, tmp_path: Path) -> None:
        words = ["mo-bcpd", "--set", 'organs={"a=b": {"deviation": 5}}', "--out", str(tmp_path)]
        asked = cli.read_run(words, "x", "")
        assert METHOD.check_values(asked.parameters).organs == (("a=b", "deviation", 5.0),)

    def test_help_says_what_a_table_is(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit):
            cli.main(["run", "mo-bcpd", "--help"])
        lines = [line.split() for line in capsys.readouterr().out.splitlines()]
        (own,) = [line for line in lines if line[:1] == ["organs"]]
        assert '{"Liver": {"points": 600}}' in " ".join(own)
        (matrix,) = [line for line in lines if line[:1] == ["coherence_matrix"]]
        assert '{"Liver": {"Stomach":' in " ".join(matrix)
        assert "()" not in [*own, *matrix]

"""Sweeps of the benchmark: lists for single values, in one table and one plot."""

from __future__ import annotations

import csv
import io
import json
import typing

import numpy as np
import pytest
from rich.text import Text

from reasoning.benchmark import parse, parse_sweep
from reasoning.outcome.metrics import Metrics, RuleKey, RuleTally, Tally
from reasoning.setup import build, commands, sweeps
from reasoning.setup.settings import DatasetSettings
from reasoning.tables import comparison
from reasoning.tables.curves import Mark
from reasoning.tables.plots import write_plot
from vsa.commands import schema, screen
from vsa.errors import SettingsError
from vsa.registry import Registry

SMALL = ("dataset.n=20", "constellation=[center,2x2]")


def values_of(*arguments: str) -> list[dict]:
    return [dict(point.values) for point in sweeps.points("benchmark", arguments)]


def test_points_are_all_combinations() -> None:
    found = values_of(
        "+model=arlc", "backend=crossbar_pcm", "backend.age_seconds=[1,3600]", "perception.p_left=[1.0,.9]"
    )
    assert found == [
        {"backend.age_seconds": age, "perception.p_left": left} for age in (1, 3600) for left in (1.0, 0.9)
    ]
    assert values_of("+model=[nvsa,arlc]", "backend=[digital,crossbar_pcm]")[1] == {
        "model": "nvsa",
        "backend": "crossbar_pcm",
    }


def test_lists_that_are_lists_are_no_sweep() -> None:
    for argument in ("constellation=[center,2x2]", "seeds=[0,1]", "decoder=[none,codebook]"):
        assert values_of("+model=arlc", argument) == [{}]


def test_each_point_is_the_single_setting() -> None:
    arguments = ["+model=nvsa", "backend=[crossbar_pcm,crossbar_reram]", "backend.age_seconds=[1.0,60]", *SMALL]
    for point, settings in parse_sweep(arguments):
        alone = [
            "+model=nvsa",
            f"backend={point.values['backend']}",
            f"backend.age_seconds={point.values['backend.age_seconds']}",
            *SMALL,
        ]
        assert settings == parse(alone)


@pytest.mark.parametrize(
    ("argument", "sentence"),
    [
        ("perception.p_left=[]", "single values"),
        ("perception.p_left=[.9,.9]", "a value twice"),
        ("perception.p_left=[[.9],.8]", "single values"),
        ("perception.p_left=[.9,2]", "p_left"),
        ("perception.p_leftt=[.9,.8]", "did you mean"),
        ("backend=[digital,crossbarr]", "crossbarr"),
        ("dataset.seed=[" + ",".join(map(str, range(1001))) + "]", "1001 points"),
    ],
)
def test_what_is_wrong_at_one_point_is_refused(argument: str, sentence: str, command, tmp_path) -> None:
    code, _, errors = command("benchmark", "+model=nvsa", argument, f"out={tmp_path / 'out'}", *SMALL)
    assert code == 2
    assert sentence in errors
    assert not (tmp_path / "out").exists()


def test_a_sweep_is_the_runs_of_its_points(command, tmp_path) -> None:
    out, picture = tmp_path / "out", tmp_path / "sweep.png"
    line = ["+model=[nvsa,arlc]", "perception.p_left=[1.0,.6]", "seeds=[0,1]", f"out={out}", f"plot={picture}", *SMALL]
    code, screen, errors = command("benchmark", *line)
    assert code == 0, errors
    table = json.loads((out / "table.json").read_text())
    assert len(table["runs"]) == 8
    one = next(run for run in table["runs"] if run["model"] == "arlc-p_left=0.6" and run["seed"] == 1)
    assert one["swept"] == {"model": "arlc", "perception.p_left": 0.6}
    alone = tmp_path / "alone"
    assert command("benchmark", "+model=arlc", "perception.p_left=.6", "seed=1", f"out={alone}", *SMALL)[0] == 0
    results = json.loads((alone / "results.json").read_text())
    assert one["results"] == {name: results[name] for name in ("center_single", "distribute_four")}
    rows = list(csv.DictReader(io.StringIO((out / "table.csv").read_text())))
    chosen = [row for row in rows if row["model"] == "arlc-p_left=0.6" and row["measure"] == "rules named"]
    assert {row["seed"] for row in chosen} == {"0", "1", "mean", "std"}
    assert {row["perception.p_left"] for row in chosen} == {"0.6"}
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "arlc, p_left=0.6" in " ".join(screen.split())
    code, screen, _ = command("benchmark", *line)
    assert code == 0
    assert "16 of 16 results are there already" in screen


def test_settings_are_shown_with_all_values(command) -> None:
    code, screen, _ = command(
        "benchmark", "+model=arlc", "backend=[digital,crossbar_pcm]", "dataset.n=[10,20]", "--cfg"
    )
    assert code == 0
    assert "- crossbar_pcm" in screen
    assert screen.count("- 20") == 1


def counted(right: int, named: int) -> Metrics:
    return Metrics(Tally(right, 10), {RuleKey(0, "Type", "Constant"): RuleTally(named, named, right, 10)})


def test_csv_has_rules_and_intervals(tmp_path) -> None:
    runs = {
        ("arlc", seed): {"center_single": counted(9 - seed, 7), "distribute_four": counted(8, 5)} for seed in (0, 1)
    }
    comparison.write_tables(tmp_path, runs)
    rows = list(csv.DictReader(io.StringIO((tmp_path / "table.csv").read_text())))
    cell = {(row["seed"], row["measure"]): row for row in rows}
    assert cell["0", "answers"]["average"] == "85.0"
    assert cell["1", "Type named"]["distribute_four"] == "50.0"
    assert cell["mean", "rules named"]["average"] == "60.0"
    assert float(cell["std", "answers"]["center_single"]) == pytest.approx(np.std([90, 80], ddof=1), abs=1e-4)
    assert float(cell["0", "answers, low"]["center_single"]) < 90 < float(cell["0", "answers, high"]["center_single"])
    assert cell["0", "answers, low"]["average"] == ""


@pytest.mark.parametrize("values", [(1, 3600, 86400), (0.5, 0.75), ("digital", "crossbar_pcm"), (0, 1), (True, False)])
def test_plots_of_numbers_and_words(values, tmp_path) -> None:
    rows = {f"{value} {seed}": {"center_single": counted(9, 7)} for value in values for seed in (0, 1)}
    marks = [Mark("arlc", {"backend.x": value}) for value in values for _ in (0, 1)]
    write_plot(str(tmp_path / "x.png"), rows, marks)
    assert (tmp_path / "x.png").stat().st_size > 5000


def test_one_line_of_panels_for_each_model_mode_and_decoder(command, tmp_path, monkeypatch) -> None:
    from reasoning.tables import curves

    drawn = []
    monkeypatch.setattr(curves, "_panel", lambda axes, found, tally_of, title: drawn.append((title, len(found))))
    line = ["compare=[arlc,arlc-programmed]", "perception.p_left=[1.0,.6]", f"plot={tmp_path / 'x.png'}", *SMALL]
    code, _, errors = command("benchmark", *line, "seeds=[0,1]", f"out={tmp_path / 'out'}")
    assert code == 0, errors
    assert [title for title, _ in drawn if title.startswith("rules")] == [
        "rules named, %: arlc",
        "rules named, %: arlc-programmed",
    ]
    assert {points for _, points in drawn} == {2}


def test_too_many_points() -> None:
    with pytest.raises(SettingsError, match="1002 points"):
        values_of("+model=[nvsa,arlc]", "dataset.seed=[" + ",".join(map(str, range(501))) + "]")


@pytest.mark.parametrize("width", [60, 80, 120])
def test_tables_of_the_command_in_a_terminal(width, command, tmp_path, monkeypatch) -> None:
    """In a terminal so wide: every table fits, names and numbers are whole."""
    for name, value in (("COLUMNS", str(width)), ("FORCE_COLOR", "1"), ("TERM", "xterm")):
        monkeypatch.setenv(name, value)
    screen._console.cache_clear()
    try:
        code, shown, errors = command("benchmark", "compare=[nvsa,arlc]", "dataset.n=5", f"out={tmp_path / 'out'}")
    finally:
        screen._console.cache_clear()
    assert code == 0, errors
    tables = [line for line in Text.from_ansi(shown).plain.splitlines() if line[:1] in tuple("┏┡┃│└")]
    assert len(tables) > 30
    assert max(map(len, tables)) <= width
    text = "\n".join(tables)
    assert "…" not in text
    for word in ("nvsa,", "arlc,", "center", "out_in_grid", "average", "Position", "100.00", "100.0 (100.0)"):
        assert word in text


MEMBERS = [(section, name) for section, table in commands.registered().items() for name in table]


@pytest.mark.parametrize(("section", "name"), MEMBERS, ids=[f"{section}-{name}" for section, name in MEMBERS])
def test_what_is_declared_as_a_list_is_no_sweep_and_all_else_is(section: str, name: str) -> None:
    """Of every option of every registered learner, front-end, algebra and backend."""
    hints = schema.hints_of(commands.registered()[section].get(name))
    for option in set(hints) - {*build.SUPPLIED.get(section, ()), "return"}:
        is_list = "Sequence" in str(hints[option]) or "tuple" in str(hints[option])
        for key in (f"{section}.{option}", f"{section}.options.{option}"):
            assert sweeps._takes_lists(key, {section: {"name": name}}, {}) == is_list, key
            assert sweeps._takes_lists(key, {}, {section: [name, "another"]}) == is_list, key


class Part:
    registry: typing.ClassVar[Registry] = Registry("part")


class Whole:
    def __init__(self, part: Part) -> None: ...


@Part.registry.register("listed")
class Listed(Part):
    def __init__(self, levels: tuple[float, ...] | None = None, level: float = 1.0) -> None: ...


def test_lists_of_a_part_are_no_sweep(monkeypatch) -> None:
    monkeypatch.setattr(commands, "registered", lambda: {"backend": {"whole": Whole}})
    for part in ("listed", {"name": "listed"}):
        composed = {"backend": {"name": "whole", "part": part}}
        assert sweeps._takes_lists("backend.part.levels", composed, {})
        assert not sweeps._takes_lists("backend.part.level", composed, {})


@pytest.mark.parametrize(
    "line",
    [
        ("+model=fora",),
        ("+model=best",),
        ("+model=[fora,nvsa]",),
        ("compare=[fora-programmed]",),
        ("compare=[nvsa,fora]",),
    ],
)
def test_formulas_are_one_program_however_the_model_is_named(line: tuple[str, ...]) -> None:
    found = sweeps.points("benchmark", [*line, "model.formulas=['x3 = x1 + x2','panel = left']"])
    assert {point.values.get("model.formulas") for point in found} == {None}


def test_lists_of_a_data_set_are_no_sweep() -> None:
    hints = schema.hints_of(DatasetSettings)
    assert not [name for name, hint in hints.items() if schema.takes_lists(hint)], "then sweeps must know it"


def test_a_program_on_the_command_line_is_run(command, tmp_path) -> None:
    out = tmp_path / "out"
    line = ("model.mode=programmed", "model.formulas=['x3 = x1 + x2','panel = left']", "dataset.n=20")
    code, _, errors = command("benchmark", "+model=fora", *line, "constellation=center", f"out={out}")
    assert code == 0, errors
    assert json.loads((out / "rules.json").read_text())["learned"][0].endswith("last = first + between]")


@pytest.mark.parametrize(
    ("hint", "expected"),
    [
        (list[int], True),
        (tuple[int, ...] | None, True),
        (typing.Sequence[str], True),
        (typing.Optional[typing.Sequence[str]], True),  # noqa: UP045
        (typing.Annotated[tuple[int, int], "of a tile"], True),
        (str, False),
        (int | str | None, False),
        (typing.Mapping[str, int], False),
        (typing.Literal["a", "b"], False),
        (None, False),
    ],
)
def test_which_annotations_take_lists(hint: object, expected: bool) -> None:
    assert schema.takes_lists(hint) is expected

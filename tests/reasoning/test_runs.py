"""Run folders: atomic files, metrics cut back to a checkpoint, versions, fingerprints, and the tables."""

from __future__ import annotations

import csv
import io
import json
import os

import numpy as np
import pytest

import datasets
from reasoning.evaluation.cells import Cell, CellResult, CellStore, compute, data_hash
from reasoning.outcome.metrics import Metrics, RuleKey, RuleTally, Tally
from reasoning.records import runs
from reasoning.records.checkpoints import Checkpoint, CheckpointFolder
from reasoning.records.metrics_log import MetricsLog
from reasoning.setup.recipe import FrontEnd, Recipe
from reasoning.setup.settings import ModelSettings, Named
from reasoning.tables import comparison
from reasoning.tables import tables as report
from vsa.commands import WriteError, files
from vsa.errors import CorruptFileError, SettingsError


def test_metrics_log_is_cut_back(tmp_path):
    path = tmp_path / "metrics.jsonl"
    log = MetricsLog(path)
    log.write(step=0)
    point = log.sync()
    log.write(step=1)
    log.close()
    with path.open("ab") as file:
        file.write(b'{"step": 2, "lo')  # what a kill leaves
    log = MetricsLog(path, keep_bytes=point)
    log.write(step=1)
    log.close()
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [0, 1]
    fresh = MetricsLog(path)
    fresh.close()
    assert path.read_bytes() == b""


def test_json_and_settings_files(tmp_path):
    runs.write_json(tmp_path / "a.json", {"x": [1, None]})
    assert runs.read_json(tmp_path / "a.json") == {"x": [1, None]}
    runs.begin_record(tmp_path, {"status": "running"}, {"a": {"b": "é"}})
    assert runs.read_settings(tmp_path) == {"a": {"b": "é"}}
    assert runs.contents(tmp_path) == ["a.json", "run.json", "settings.yaml"]


def test_what_was_changed_since_is_refused(tmp_path):
    runs.begin_record(tmp_path, {"status": "running"}, {"lr": 0.1})
    runs.finish_record(tmp_path, {"results.json": {"x": 1}}, steps=3)
    assert runs.read_result(tmp_path, "results.json") == {"x": 1}
    assert runs.read_record(tmp_path / "run.json")["steps"] == 3
    for name, old, new, read in (
        ("settings.yaml", "0.1", "0.2", lambda: runs.read_settings(tmp_path)),
        ("results.json", "1", "2", lambda: runs.read_result(tmp_path, "results.json")),
        ("run.json", '"steps": 3', '"steps": 4', lambda: runs.read_record(tmp_path / "run.json")),
    ):
        before = (tmp_path / name).read_text()
        (tmp_path / name).write_text(before.replace(old, new))
        with pytest.raises(CorruptFileError, match=r"changed since the run wrote it|checksum denies"):
            read()
        (tmp_path / name).write_text(before)


HOSTILE = [b"[" * 100_000, b'{"a": 1, "a": 2}', b"NaN", b"\xff\xfe", b'{"a": ' + b'{"b": ' * 80 + b"1" + b"}" * 81, b""]


@pytest.mark.parametrize("content", HOSTILE, ids=["brackets", "a key twice", "NaN", "no text", "deep", "nothing"])
def test_strange_json_is_a_sentence(tmp_path, content):
    (tmp_path / "run.json").write_bytes(content)
    with pytest.raises(CorruptFileError, match=r"run.json") as caught:
        runs.read_record(tmp_path / "run.json")
    assert len(str(caught.value)) < 500


def test_only_small_regular_files_are_read(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    for name in ("fifo", "."):
        with pytest.raises(CorruptFileError, match="expected a file"):
            files.read_whole(tmp_path / name)
    (tmp_path / "large").write_bytes(b"x" * 101)
    with pytest.raises(CorruptFileError, match="more than 100 bytes"):
        files.read_whole(tmp_path / "large", 100)


def test_an_output_is_written_by_one_program(tmp_path):
    with (
        files.alone(tmp_path),
        pytest.raises(SettingsError, match="another program is writing to"),
        files.alone(tmp_path),
    ):
        pass
    with files.alone(tmp_path):  # it is free again
        assert runs.contents(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_links_are_not_followed(tmp_path):
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "file").write_text("keep")
    (tmp_path / "run").mkdir()
    for name in ("a.json", "metrics.jsonl", ".lock"):
        (tmp_path / "run" / name).symlink_to(tmp_path / "theirs" / "file")
    runs.write_json(tmp_path / "run" / "a.json", {"x": 1})
    assert json.loads((tmp_path / "run" / "a.json").read_text()) == {"x": 1}
    with pytest.raises(WriteError, match="a link"):
        MetricsLog(tmp_path / "run" / "metrics.jsonl")
    with pytest.raises(WriteError, match="lock"), files.alone(tmp_path / "run"):
        pass
    (tmp_path / "run" / "checkpoints").symlink_to(tmp_path / "theirs")
    with pytest.raises(WriteError, match="a link"):
        CheckpointFolder(tmp_path / "run" / "checkpoints").save(Checkpoint(1, {}, {}))
    CheckpointFolder(tmp_path / "run" / "checkpoints").remove()
    assert [path.name for path in (tmp_path / "theirs").iterdir()] == ["file"]
    assert (tmp_path / "theirs" / "file").read_text() == "keep"


@pytest.mark.parametrize("content", ["{", "[1]", "", "2001-01-01: 3", "3: 4"])
def test_unreadable_settings(tmp_path, content):
    (tmp_path / "settings.yaml").write_text(content)
    with pytest.raises(CorruptFileError, match=r"settings.yaml"):
        runs.read_settings(tmp_path)


def test_missing_files(tmp_path):
    with pytest.raises(SettingsError, match="no such folder; expected the folder of a training run"):
        runs.read_settings(tmp_path / "none")
    with pytest.raises(SettingsError, match=r"a folder without settings.yaml"):
        runs.read_settings(tmp_path)
    with pytest.raises(SettingsError, match="no such file"):
        runs.read_json(tmp_path / "none.json")
    (tmp_path / "bad.json").write_text('{"a": ')
    with pytest.raises(CorruptFileError, match="unreadable content"):
        runs.read_json(tmp_path / "bad.json")


def test_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(WriteError, match="make the folder"):
        runs.prepare_folder(tmp_path / "file" / "run")


def test_environment_names_what_a_result_depends_on():
    record = runs.environment(["+model=arlc", "constellation=[2x2, 3x3]"], "reasoning.train")
    assert record["command"] == "python -m reasoning.train +model=arlc 'constellation=[2x2, 3x3]'"
    assert {"python", "torch", "numpy", "safetensors"} <= set(record["versions"])
    assert len(record["code"]) == 16
    json.dumps(record)


def test_default_out_never_repeats(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = []
    for _ in range(3):
        made.append(runs.default_out("arlc", 0))
        made[-1].mkdir(parents=True)
    assert len(set(made)) == 3
    assert made[0].parts[:2] == ("outputs", "arlc")


def test_data_hash_sees_every_array():
    arrays = datasets.generate("iraven", "distribute_four", n=6, seed=0)
    again = datasets.generate("iraven", "distribute_four", n=6, seed=0)
    assert data_hash(arrays) == data_hash(again)
    again.components[0].attributes["Angle"][3, 2, 1] += 1
    assert data_hash(arrays) != data_hash(again)
    assert data_hash(arrays[:5]) != data_hash(arrays)


def metrics(correct, total):
    """One answer in ten ties; two puzzles in ten have a second answer, of which one is missed, where any is."""
    rules = {RuleKey(0, "Type", "Constant"): RuleTally(correct, total, correct, total)}
    return Metrics(Tally(correct, total), rules, Tally(total // 10, total), Tally(min(correct, 8), 8))


MARKS = {"settings": "s", "code": "c", "data": "d"}


def test_cell_store(tmp_path):
    store = CellStore(tmp_path / "out", overwrite=False)
    assert store.match({"a": MARKS}) == {}
    result = CellResult(metrics(3, 4), ("rule",), 1.5, 100.0)
    store.save("a", MARKS, result)
    assert store.match({"a": MARKS, "b": MARKS}) == {"a": result}
    assert store.match({"b": MARKS}) == {"a": result}, "of the same settings and code, so it stays in results.json"
    for mark in MARKS:
        with pytest.raises(SettingsError, match=f"a result of a made with other {mark}; choose another"):
            store.match({"a": {**MARKS, mark: "x"}})
    with pytest.raises(SettingsError, match="other code"):
        store.match({"b": {**MARKS, "code": "x"}})
    replacing = CellStore(tmp_path / "out", overwrite=True)
    assert replacing.match({"a": {**MARKS, "code": "x"}}) == {}
    replacing.clear(keep={})
    assert store.match({"a": MARKS}) == {}


def test_cell_store_refuses_foreign_folders(tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(SettingsError, match=r"holds thesis.tex, which no benchmark writes"):
        CellStore(tmp_path, overwrite=False).match({"a": MARKS})
    assert CellStore(tmp_path, overwrite=True).match({"a": MARKS}) == {}
    with pytest.raises(SettingsError, match="a file"):
        CellStore(tmp_path / "thesis.tex", overwrite=True).match({"a": MARKS})
    (tmp_path / "thesis.tex").unlink()
    (tmp_path / "cells").mkdir()
    (tmp_path / "cells" / "a.json").write_text("{")
    with pytest.raises(CorruptFileError):
        CellStore(tmp_path, overwrite=False).match({"a": MARKS})
    assert CellStore(tmp_path, overwrite=True).match({"a": MARKS}) == {}


def cell(fake, seed=0, **options):
    puzzles = datasets.PuzzleDataset(datasets.generate("iraven", "center_single", n=20, seed=seed))
    algebra, backend = Named("gsbc", {"dim": 64, "blocks": 4}), Named("digital")
    seen = FrontEnd(Named("oracle"), algebra, backend)
    layout = datasets.Layout.of(puzzles.arrays)
    recipe = Recipe(ModelSettings("fake", options=options), algebra, backend, seen, layout, "learned")
    return Cell(recipe, "center_single", puzzles, 7, "cpu", 1)


def test_marks_change_with_what_matters(fake):
    base = cell(fake).marks()
    assert cell(fake).marks() == base
    assert cell(fake, seed=1).marks() == {**base, "data": cell(fake, seed=1).marks()["data"]} != base
    assert cell(fake, size=5).marks()["settings"] != base["settings"]


def test_batch_size_changes_nothing(fake):
    from dataclasses import replace

    one = compute(cell(fake))
    assert replace(compute(replace(cell(fake), batch_size=20)), seconds=0, memory_mb=0) == replace(
        one, seconds=0, memory_mb=0
    )
    assert one.metrics.answers.total == 20


RUNS = {
    ("arlc", 0): {"center_single": metrics(9, 10), "distribute_four": metrics(7, 10)},
    ("arlc", 1): {"center_single": metrics(10, 10), "distribute_four": metrics(8, 10)},
    ("best", 0): {"center_single": metrics(10, 10)},
}


def test_comparison_tables(tmp_path):
    comparison.write_tables(tmp_path, RUNS)
    table = json.loads((tmp_path / "table.json").read_text())
    arlc, best = table["summary"]
    assert arlc["mean"] == {"center_single": 95.0, "distribute_four": 75.0, "average": 85.0}
    assert arlc["std"]["average"] == pytest.approx(np.std([80, 90], ddof=1))
    assert best["mean"]["average"] is None
    assert table["runs"][0]["results"]["center_single"]["answers"] == {"correct": 9, "total": 10}
    rows = list(csv.reader(io.StringIO((tmp_path / "table.csv").read_text())))
    assert rows[0] == ["model", "seed", "measure", "center_single", "distribute_four", "average"]
    assert rows[1] == ["arlc", "0", "answers", "90.0", "70.0", "80.0"]
    assert ["best", "0", "answers", "100.0", "", ""] in rows
    text = (tmp_path / "table.tex").read_text()
    assert "arlc & 95.0 ± 7.1 & 75.0 ± 7.1 & 85.0 ± 7.1" in text
    assert r"Answers right in \%, mean and standard deviation over 2 seeds" in text
    assert r"out\_in" not in text
    comparison.check_folder(tmp_path)
    (tmp_path / "notes").mkdir()
    comparison.check_folder(tmp_path)
    (tmp_path / "notes" / "mine").mkdir()
    with pytest.raises(SettingsError, match="holds notes"):
        comparison.check_folder(tmp_path)


def test_latex_escapes():
    assert r"a\_b \& 5\%" in report.to_latex(["x", "y"], [["a_b & 5%", None]], "c")


def test_references_are_complete():
    found = report.references()
    assert len(found) > 5
    published = set(datasets.CONSTELLATIONS)
    for reference in found:
        assert reference.conditions
        assert reference.source.split(";")[0] in ("measured", "published")
        assert all(0 <= value <= 100 for value in reference.answers.values())
        if reference.dataset == "iraven":
            assert set(reference.answers) <= published
    arlc = report.references("arlc", "iraven")[0]
    assert sum(arlc.answers.values()) / 7 == pytest.approx(92.3, abs=0.05)
    assert len({(r.name, r.dataset) for r in found}) == len(found)


def test_references_may_be_absent_but_not_wrong(tmp_path):
    assert report.references(path=tmp_path / "none.yaml") == []
    (tmp_path / "x.yaml").write_text("entries: [{name: x}]")
    with pytest.raises(CorruptFileError, match="KeyError"):
        report.references(path=tmp_path / "x.yaml")


def test_tables_on_the_screen():
    from rich.console import Console

    console = Console(width=120, file=io.StringIO())
    console.print(report.answers_table({"ours": RUNS["arlc", 0]}, report.references("arlc", "iraven")))
    console.print(report.rules_table(RUNS["arlc", 0]))
    text = console.file.getvalue()
    assert "90.00" in text
    assert "80.00" in text
    assert "99.65" in text
    assert "90.0 (100.0)" in text

"""``python -m reasoning.benchmark``: its files, reuse of results, checkpoints, comparisons, the user's own puzzles."""

from __future__ import annotations

import json

import pytest

import vsa
from vsa.backends import BACKENDS

SMALL = ("dataset.n=6",)


def run(command, out, *arguments):
    code, screen, err = command("benchmark", *SMALL, f"out={out}", *arguments)
    assert code == 0, err
    return screen, json.loads((out / "results.json").read_text()) if (out / "results.json").is_file() else None


def refused(command, *arguments):
    code, _, err = command("benchmark", *arguments)
    assert code == 2, err
    assert "Traceback" not in err
    return " ".join(err.split())


@pytest.fixture
def trained(command, tmp_path):
    out = tmp_path / "trained"
    code, _, err = command(
        "train",
        "+model=fake",
        "model.size=5",
        "dataset.n=16",
        "dataset.test_n=4",
        "epochs=1",
        "test_constellation=center",
        f"out={out}",
    )
    assert code == 0, err
    return out


def test_programmed_arlc(command, tmp_path):
    screen, results = run(command, tmp_path / "out", "+model=arlc", "model.mode=programmed", "dataset.n=30")
    assert len(results) == 7
    assert all(entry["answers"]["total"] == 30 for entry in results.values())
    assert results["center_single"]["answers"]["correct"] >= 28
    assert set(results["distribute_four"]["rules"]) == {"Type", "Size", "Color", "Number/Position"}
    for entry in results.values():
        for counts in entry["rules"].values():
            assert counts["correct"] <= counts["consistent"] <= counts["total"]
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert record["mode"] == "programmed"
    assert record["status"] == "finished"
    assert set(record["seconds"]) == set(results)
    assert "99.65" in screen, "the authors' code stands beside ours"
    assert "rule 1: x3 =" in screen


def test_nvsa(command, tmp_path):
    screen, results = run(command, tmp_path / "out", "+model=nvsa", "dataset.n=30")
    assert len(results) == 7
    assert all(entry["answers"]["correct"] >= 28 for entry in results.values())
    assert json.loads((tmp_path / "out" / "run.json").read_text())["mode"] == "programmed"
    assert "94.55" in screen, "the authors' code stands beside ours"
    assert "distribute three:" in screen
    code, _, err = command("train", "+model=nvsa", "dataset.n=8", "dataset.test_n=4", f"out={tmp_path / 'trained'}")
    assert code == 2
    assert "nothing to train" in " ".join(err.split())


def test_results_are_reused_or_refused(command, tmp_path, monkeypatch):
    out = tmp_path / "out"
    _, first = run(command, out, "+model=arlc", "constellation=[center,2x2]")
    cells = {path: path.stat().st_mtime_ns for path in (out / "cells").iterdir()}
    screen, again = run(command, out, "+model=arlc", "constellation=[center,2x2]")
    assert "2 of 2 results are there already" in screen
    assert again == first
    assert cells == {path: path.stat().st_mtime_ns for path in (out / "cells").iterdir()}
    _, more = run(command, out, "+model=arlc", "constellation=[center,up_down]")
    assert list(more) == ["center_single", "up_center_single_down_center_single", "distribute_four"]
    (out / "cells" / "center_single.json").unlink()
    assert "1 of 2 results are there already" in run(command, out, "+model=arlc", "constellation=[center,2x2]")[0]
    same = ("+model=arlc", f"out={out}", "constellation=center")
    assert "made with other data" in refused(command, *same, "dataset.n=7")
    assert "made with other settings" in refused(command, *same, *SMALL, "algebra.dim=512")
    assert "made with other settings" in refused(command, *same, *SMALL, "perception.smoothing=0.2")
    from reasoning.records import runs

    monkeypatch.setattr(runs, "code_version", lambda: "other")
    assert "made with other code" in refused(command, *same, *SMALL)
    _, only = run(command, out, *same[:1], "constellation=center", "overwrite=true")
    assert list(only) == ["center_single"], "results that do not match are gone"


def test_foreign_folder(command, tmp_path):
    (tmp_path / "mine.txt").write_text("x")
    text = refused(command, "+model=arlc", *SMALL, f"out={tmp_path}", "constellation=center")
    assert "holds mine.txt, which no benchmark writes" in text
    run(command, tmp_path, "+model=arlc", "constellation=center", "overwrite=true")
    assert (tmp_path / "mine.txt").read_text() == "x"


def test_checkpoint(command, trained, tmp_path):
    """The run brings model and options; its weights are those evaluated."""
    screen, _ = run(command, tmp_path / "a", f"checkpoint={trained}", "constellation=center")
    learned = json.loads((trained / "rules.json").read_text())["learned"][0]
    assert learned in screen.replace("\n", "")
    run(command, tmp_path / "b", "+model=fake", f"checkpoint={trained}", "constellation=center", "model.mode=learned")
    assert json.loads((tmp_path / "b" / "rules.json").read_text())["learned"] == [learned]
    record = json.loads((tmp_path / "b" / "run.json").read_text())
    assert record["checkpoint"].endswith("weights.safetensors")
    small = (*SMALL, "constellation=center", f"out={tmp_path / 'c'}")
    assert "a run of fake; expected one of arlc" in refused(command, "+model=arlc", f"checkpoint={trained}", *small)
    text = refused(command, "+model=fake", "model.size=4", f"checkpoint={trained}", *small)
    assert "weights that differ in weights" in text
    assert "expected one of the two" in refused(
        command, "+model=fake", f"checkpoint={trained}", "model.mode=programmed", *small
    )
    assert not (tmp_path / "c").exists()


def test_unfinished_or_missing_checkpoints(command, trained, tmp_path):
    (trained / "weights.safetensors").unlink()
    text = refused(command, f"checkpoint={trained}")
    assert "a run that is not finished" in text
    assert "resume=" in text
    assert "no such folder" in refused(command, f"checkpoint={tmp_path / 'none'}")
    assert "no training run" in refused(command, f"checkpoint={tmp_path}")
    (trained / "weights.safetensors").write_bytes(b"x" * 100)
    assert "unreadable content" in refused(command, f"checkpoint={trained}")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "received no model; expected one of: arlc"),
        (["+model=arlc", "model.mode=learned"], "received no checkpoint; expected checkpoint=RUN_DIR"),
        (["+model=arlc", "model.mode=programed"], "did you mean 'programmed'"),
        (["+model=arlc", "compare=[arlc]"], "received +model=arlc as well"),
        (["compare=[arl]"], "did you mean +model=arlc?"),
        (["compare=[arlc]", "checkpoint=x"], "write 'checkpoint={NAME:RUN_DIR}'"),
        (["compare=[arlc]", "checkpoint={best:x}"], "checkpoint.best"),
        (["+model=arlc", "executor=threads"], "expected one of serial, processes, ray, slurm"),
        (["+model=arlc", "dataset.test_n=3"], "expected dataset.n"),
        (["+model=arlc", "epochs=3"], "setting epochs: received an unknown key"),
        (["+model=arlc", "+model.typo=3"], "model.typo: received an unknown key"),
        (["+model=arlc", "dataset.split=tests"], "expected one of train, val, test, all"),
        (["+model=arlc", "dataset=files", "dataset.path=/nowhere/at/all"], "/nowhere/at/all"),
    ],
)
def test_mistakes(command, tmp_path, monkeypatch, arguments, sentence):
    monkeypatch.chdir(tmp_path)
    text = refused(command, *arguments)
    assert text.startswith("error: ")
    assert sentence in text
    assert list(tmp_path.iterdir()) == [], "nothing is written before everything has been checked"


def test_compare_models_and_seeds(command, tmp_path):
    out = tmp_path / "out"
    arguments = ("compare=[arlc]", "seeds=[0,3]", "constellation=[center,left_right]", f"out={out}", *SMALL)
    assert command("benchmark", *arguments)[0] == 0
    assert sorted(str(path.relative_to(out)) for path in out.glob("*/*/results.json")) == [
        "arlc/0/results.json",
        "arlc/3/results.json",
    ]
    table = json.loads((out / "table.json").read_text())
    assert [(row["model"], row["seed"]) for row in table["runs"]] == [("arlc", 0), ("arlc", 3)]
    assert table["summary"][0]["std"]["average"] is not None
    assert (out / "table.csv").read_text().startswith("model,seed,measure,center_single,")
    assert r"\toprule" in (out / "table.tex").read_text()
    seeds = [json.loads((out / "arlc" / s / "cells" / "center_single.json").read_text())["marks"] for s in "03"]
    assert seeds[0]["data"] != seeds[1]["data"], "every seed has its own puzzles"
    code, screen, _ = command("benchmark", *arguments)
    assert code == 0
    assert "4 of 4 results are there already" in screen


def test_a_model_beside_itself(command, tmp_path):
    """compare names a mode where it is not the default one."""
    run(command, tmp_path / "out", "compare=[arlc,arlc-programmed]", "constellation=2x2", "dataset.n=40")
    modes = {
        name: json.loads((tmp_path / "out" / name / "0" / "run.json").read_text())["mode"]
        for name in ("arlc", "arlc-programmed")
    }
    assert modes == {"arlc": "pretrained", "arlc-programmed": "programmed"}
    assert "expected one of" in refused(command, "compare=[arlc-programed]", "constellation=center", *SMALL)


def test_executors_agree(command, tmp_path):
    one = run(command, tmp_path / "a", "+model=arlc", "constellation=[center,2x2]")[1]
    two = run(command, tmp_path / "b", "+model=arlc", "constellation=[center,2x2]", "executor=processes", "workers=2")[
        1
    ]
    assert one == two


def test_files_npz_and_xml(command, tmp_path, reference):
    _, results = run(
        command,
        tmp_path / "out",
        "+model=arlc",
        "dataset=files",
        f"dataset.path={reference / 'I-RAVEN'}",
        "dataset.n=null",
    )
    assert len(results) == 7
    assert all(entry["answers"]["total"] == 30 for entry in results.values())
    _, split = run(
        command,
        tmp_path / "split",
        "+model=arlc",
        "dataset=files",
        f"dataset.path={reference / 'I-RAVEN'}",
        "dataset.n=null",
        "dataset.split=test",
        "constellation=2x2",
    )
    assert {name: entry["answers"]["total"] for name, entry in split.items()} == {"distribute_four": 6}


def test_files_json(command, tmp_path, reference):
    path = reference / "I-RAVEN-json"
    _, results = run(
        command, tmp_path / "out", "+model=arlc", "dataset=files", f"dataset.path={path}", "dataset.n=null"
    )
    assert set(results) == {file.stem for file in path.glob("*.json")}
    assert all(entry["answers"]["total"] == 5 for entry in results.values())
    name = sorted(results)[0]
    few = ("dataset.n=5", f"constellation={name}")
    _, one = run(command, tmp_path / "one", "+model=arlc", "dataset=files", f"dataset.path={path}", *few)
    assert list(one) == [name]
    text = refused(
        command, "+model=arlc", "dataset=files", f"dataset.path={path}", "constellation=5x5", f"out={tmp_path / 'no'}"
    )
    assert "puzzle set '5x5'" in text


def test_truncated_json(command, tmp_path, reference):
    source = sorted((reference / "I-RAVEN-json").glob("*.json"))[0]
    broken = tmp_path / "in" / source.name
    broken.parent.mkdir()
    broken.write_text(source.read_text()[:-200])
    text = refused(command, "+model=arlc", "dataset=files", f"dataset.path={broken.parent}", f"out={tmp_path / 'out'}")
    assert source.name in text
    assert not (tmp_path / "out").exists()


def test_the_picture(command, tmp_path):
    """Answers and rules as a picture; what could not be written is refused before the work."""
    pytest.importorskip("matplotlib", reason="pictures need the extra `plots`")
    picture = tmp_path / "benchmark.png"
    arguments = ("compare=[symbolic,arlc]", "dataset.n=12", "constellation=[center,2x2]", f"plot={picture}")
    run(command, tmp_path / "out", *arguments)
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert len(picture.read_bytes()) > 10_000
    for wrong, words in ((tmp_path / "a.txt", "ends in .png"), (tmp_path / "no" / "a.png", "a folder that exists")):
        code, _, error = command("benchmark", "+model=symbolic", f"plot={wrong}", f"out={tmp_path / 'other'}")
        assert code == 2
        assert words in error
        assert not (tmp_path / "other").exists()


PRICED = [name for name in BACKENDS.names() if getattr(vsa.backends.get(name), "cost_model", None) is not None]


@pytest.mark.parametrize("name", PRICED)
def test_modelled_hardware_reports_its_cost(command, tmp_path, name):
    screen, results = run(command, tmp_path / "out", "+model=nvsa", f"backend={name}", "constellation=center")
    assert results["center_single"]["answers"]["correct"] >= results["center_single"]["answers"]["total"] - 1
    words = " ".join(screen.split())
    assert f"on {name}, all else digital" in words
    assert "uJ and" in words
    hardware = json.loads((tmp_path / "out" / "run.json").read_text())["hardware"]["center_single"]
    assert hardware["energy_joules"] > 0 < hardware["latency_seconds"]
    assert hardware["analog"] == ["PMFs to vectors, and back"]
    screen, _ = run(command, tmp_path / "exact", "+model=nvsa", "constellation=center")
    assert "uJ" not in screen

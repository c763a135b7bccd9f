"""``python -m reasoning.train_perception``: a run of labels alone, killed and resumed, used by a reasoner, refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import reasoning
from reasoning.outcome.sight import Sight
from reasoning.records.checkpoints import read_tensors
from reasoning.setup.weights import read_header
from tests.command_line import call
from vsa.errors import SettingsError

pytest.importorskip("cv2", reason="pixels need OpenCV (extra `images`)")
MODULE = "reasoning.train_perception"
SMALL = ("dataset.n=8", "dataset.test_n=2", "constellation=[center,2x2]", "test_constellation=[center,2x2]")
SMALL += ("epochs=2", "batch_size=4", "checkpoints.every_seconds=1e-9")


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("seen") / "run"
    code, out, err = call(MODULE, ["perception=slot", *SMALL, f"out={folder}"])
    assert code == 0, err
    assert "like sizes" in out and f"perception.checkpoint={folder}" in out
    return folder


def test_a_run_leaves_weights_counts_and_what_shaped_them(run_folder: Path) -> None:
    header = read_header(run_folder / "weights.safetensors")
    assert header.model is None and header.perception.perception.name == "slot" and header.parts == ("perception",)
    assert header.layout.constellations == ("center_single", "distribute_four")
    record = json.loads((run_folder / "run.json").read_text())
    assert record["status"] == "finished" and record["perception"] == "slot"
    results = json.loads((run_folder / "results.json").read_text())
    sights = {name: Sight.from_dict(entry) for name, entry in results.items()}
    assert {name: sight.panels.total for name, sight in sights.items()} == {"center_single": 32, "distribute_four": 32}
    assert all(sight.layouts.total == 2 for sight in sights.values())
    lines = [json.loads(line) for line in (run_folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [0] * 4 + [1] * 4


def test_reasoners_see_with_it(run_folder: Path) -> None:
    small = ["+model=symbolic", f"perception.checkpoint={run_folder}", "dataset.n=2", "constellation=center"]
    code, out, err = call(
        "reasoning.benchmark",
        [*small, f"out={run_folder.parent / 'answers'}"],
    )
    assert code == 0, err
    assert "center" in out


def test_a_second_call_shows_what_is_there(run_folder: Path) -> None:
    code, out, _ = call(MODULE, ["perception=slot", *SMALL, f"out={run_folder}"])
    assert code == 0 and "finished" in out
    code, out, _ = call(MODULE, [f"resume={run_folder}"])
    assert code == 0 and "finished already" in out
    code, _, err = call(MODULE, [f"resume={run_folder}", "lr=0.5"])
    assert code == 2 and "changed settings" in err


def test_killed_and_resumed_bit_for_bit(run_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "killed"
    process = subprocess.Popen(
        [sys.executable, "-m", MODULE, "perception=slot", *SMALL, f"out={out}"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    end = time.monotonic() + 120
    while not list(out.glob("checkpoints/*")) and process.poll() is None and time.monotonic() < end:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    code, _, err = call(MODULE, [f"resume={out}"])
    assert code == 0, err
    for name, tensor in read_tensors(run_folder / "weights.safetensors")[0].items():
        assert tensor.equal(read_tensors(out / "weights.safetensors")[0][name]), name
    assert (run_folder / "results.json").read_bytes() == (out / "results.json").read_bytes()


def test_more_epochs_and_weights_to_go_on_from(run_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "on"
    code, _, err = call(MODULE, [f"perception.checkpoint={run_folder}", *SMALL, "epochs=1", "seed=3", f"out={out}"])
    assert code == 0, err
    code, _, err = call(MODULE, [f"resume={out}", "more_epochs=1"])
    assert code == 0, err
    assert len((out / "metrics.jsonl").read_text().splitlines()) == 8


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["perception=oracle"], "without weights"),
        (["perception=slit"], "slot"),
        (["perception.frozen=true"], "frozen"),
        (["perception.width=0"], "width"),
        (["perception.layout=manual"], "auto"),
        (["dataset=iraven_x"], "values alone"),
        (["epochs=0"], "at least 1"),
        (["perception=nvsa", "perception.body=mind"], "glimpses"),
        (["perception.checkpoint=nowhere"], "nowhere"),
        (["+model=arlc"], "model"),
        (["constellation=4x4"], "constellation"),
        (["device=gpu"], "device"),
    ],
)
def test_mistakes_are_sentences(arguments: list[str], words: str, tmp_path: Path) -> None:
    named = {argument.partition("=")[0] for argument in arguments}
    small = [argument for argument in SMALL if argument.partition("=")[0] not in named]
    if "dataset=iraven_x" in arguments:
        small = [argument.replace("[center,2x2]", "center") for argument in small]
    code, _, err = call(MODULE, [*small, f"out={tmp_path / 'run'}", *arguments])
    assert code == 2, err
    assert words in err and "Traceback" not in err
    assert not (tmp_path / "run").exists()


def test_labels_beside_answers(tmp_path: Path) -> None:
    """In a reasoner's training: both losses count, and a front-end without weights is refused."""
    small = ["dataset.n=4", "dataset.test_n=2", "constellation=center", "test_constellation=center", "epochs=1"]
    small += ["batch_size=4", "algebra.dim=256", "+model=nvsa"]
    losses = []
    for labels in (0.0, 2.0):
        out = tmp_path / str(labels)
        code, _, err = call("reasoning.train", [*small, "perception=slot", f"perception.labels={labels}", f"out={out}"])
        assert code == 0, err
        losses.append(json.loads((out / "metrics.jsonl").read_text().splitlines()[0])["loss"])
    assert losses[1] > losses[0] + 2
    arlc = [*small[:-1], "+model=arlc", "perception.labels=1", f"out={tmp_path / 'none'}"]
    code, _, err = call("reasoning.train", arlc)
    assert code == 2 and "without a free weight" in err


def test_weights_that_come_along_are_asked_for_by_name() -> None:
    solver = reasoning.make_solver("symbolic", "perception=slot")
    assert solver.recipe is not None and str(solver.recipe.perception.weights).endswith("slot.safetensors")
    with pytest.raises(SettingsError, match="no weights"):
        reasoning.make_solver("symbolic", "perception=slot", "perception.width=24")

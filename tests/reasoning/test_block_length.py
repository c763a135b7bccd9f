"""Blocks are as long as a learner needs them for the puzzles at hand, unless the user says how many there are."""

from __future__ import annotations

import json

import pytest

import datasets
import reasoning
from datasets.layout import Layout
from reasoning import learners
from reasoning.setup import build, commands
from reasoning.setup.settings import Named
from vsa.commands import schema

WIDE = ("dataset=iraven_x", "dataset.n=40")
COUNTING = ["fora", "arlc", "nvsa"]


def rows(maxval: int | None, columns: int = 10) -> Layout:
    return Layout("iraven_x" if maxval else "iraven", ("center_single",), columns, maxval)


def results(out) -> tuple[dict, dict]:
    record = json.loads((out / "run.json").read_text())
    (entry,) = json.loads((out / "results.json").read_text()).values()
    return record["recipe"]["algebra"]["options"], entry["answers"]


@pytest.mark.parametrize("name", COUNTING)
def test_range_1000_is_answered_as_the_command_stands(name: str, command, tmp_path) -> None:
    """With 4 blocks of 256 all values that differ by 256 share an atom: FORA answered by chance."""
    code, _, err = command("benchmark", f"+model={name}", "model.mode=programmed", *WIDE, f"out={tmp_path / 'out'}")
    assert code == 0, err
    used, answers = results(tmp_path / "out")
    assert used == {"dim": 1024, "blocks": 1}
    assert answers["correct"] >= 38
    assert "share an atom" not in " ".join(err.split())


def test_what_the_user_says_of_blocks_stays_and_is_warned_of(command, tmp_path) -> None:
    line = ("+model=fora", "model.mode=programmed", *WIDE, "algebra.blocks=4", f"out={tmp_path / 'out'}")
    code, _, err = command("benchmark", *line)
    assert code == 0, err
    used, answers = results(tmp_path / "out")
    assert used["blocks"] == 4
    assert answers["correct"] < 20
    assert "algebra.blocks=1, or a larger algebra.dim" in " ".join(err.split())


def test_training_keeps_what_it_used_and_the_benchmark_of_it_is_right(command, tmp_path) -> None:
    run, out = tmp_path / "run", tmp_path / "out"
    line = (
        *WIDE,
        "dataset.maxval=50",
        "dataset.test_maxval=[50,1000]",
        "dataset.test_n=40",
        "test_constellation=center",
    )
    assert command("train", "+model=fora", "dataset.n=100", *line[:1], *line[2:], f"out={run}")[0] == 0
    assert json.loads((run / "run.json").read_text())["recipe"]["algebra"]["options"]["blocks"] == 1
    assert "blocks: 1" in (run / "settings.yaml").read_text()
    for entry in json.loads((run / "results.json").read_text()).values():
        assert entry["answers"]["correct"] >= 38
    assert command("train", f"resume={run}")[0] == 0
    code, _, err = command("benchmark", f"checkpoint={run}", *WIDE, "dataset.maxval=1000", f"out={out}")
    assert code == 0, err
    used, answers = results(out)
    assert used["blocks"] == 1 and answers["correct"] >= 38


def test_from_python_too() -> None:
    puzzles = datasets.generate("iraven_x", "center", n=40, seed=5, columns=3, maxval=1000)
    solver = reasoning.make_solver("fora", "model.mode=programmed", "dataset=iraven_x", "dataset.columns=3")
    assert solver.recipe.algebra.options["blocks"] == 1
    assert reasoning.evaluate(solver, puzzles).answers.correct >= 38
    training = datasets.generate("iraven_x", "center", n=100, seed=6, columns=3, maxval=1000)
    learned = reasoning.fit("fora", training, epochs=0)
    assert learned.recipe.algebra.options["blocks"] == 1
    assert reasoning.evaluate(learned, puzzles).answers.correct >= 38
    kept = reasoning.fit("fora", training[:20], "algebra.blocks=2", epochs=0)
    assert kept.recipe.algebra.options["blocks"] == 2


@pytest.mark.parametrize("name", sorted(learners.LEARNERS))
def test_blocks_are_as_long_as_declared_and_no_longer_than_needed(name: str) -> None:
    """Of every registered learner and every algebra with blocks."""
    algebras = commands.registered()["algebra"]
    for section in [one for one in algebras if "blocks" in schema.parameters(algebras.get(one))]:
        for dim, blocks, maxval in ((1024, 4, 10), (1024, 4, 200), (1024, 4, 1000), (4096, 16, 100), (512, 4, 1000)):
            before = Named(section, {"dim": dim, "blocks": blocks})
            made = build.long_enough(name, before, rows(maxval))
            need = learners.get(name).block_length(maxval + 1, 10)
            length = dim // made.options["blocks"]
            assert dim % made.options["blocks"] == 0
            assert length >= need or made.options["blocks"] == 1
            if dim // blocks >= need:
                assert made is before
            shorter = [one for one in range(made.options["blocks"] + 1, blocks + 1) if dim % one == 0]
            assert not [one for one in shorter if dim // one >= need]


@pytest.mark.parametrize("name", sorted(learners.LEARNERS))
def test_puzzles_without_a_range_and_algebras_without_blocks_stay_as_they_are(name: str) -> None:
    gsbc, other = Named("gsbc", {"dim": 64, "blocks": 16}), Named("fhrr", {"dim": 64})
    assert build.long_enough(name, gsbc, rows(None)) is gsbc
    assert build.long_enough(name, other, rows(1000)) is other

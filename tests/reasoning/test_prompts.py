"""Puzzles as text, and answers in text: golden prompts, nothing given away, the round trip, hostile files."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest

import datasets
from reasoning.prompting import text as prompt_text
from reasoning.prompting.answers import choice, numbers
from reasoning.prompting.files import read_sidecar
from reasoning.prompting.text import Form, answer_values
from vsa.commands.files import sealed
from vsa.errors import SettingsError, UnsupportedError

GOLDEN = Path(__file__).parents[1] / "fixtures" / "prompts"
SMALL = {
    "predictive_confounded_doubtful": (
        "form=predictive",
        "order=shuffled",
        "dataset.n=2",
        "dataset.columns=4",
        "dataset.maxval=50",
        "dataset.confounders=2",
        "perception.stress=published",
        "perception.p_left=0.51",
        "seed=3",
    ),
    "discriminative_rows_of_ten": ("dataset.n=1", "dataset.columns=10", "dataset.maxval=1000"),
    "iraven_discriminative": (
        "dataset=iraven",
        "constellation=[center,2x2,left_right,out_in_grid]",
        "dataset.n=1",
        "order=shuffled",
    ),
    "iraven_predictive": ("dataset=iraven", "constellation=[center,up_down]", "form=predictive", "dataset.n=1"),
}


def export(command, path, *arguments):
    code, _, err = command("prompts", f"out={path}", *arguments)
    assert code == 0, err
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def refused(command, name, *arguments):
    code, _, err = command(name, *arguments)
    assert code == 2, err
    assert "Traceback" not in err
    return " ".join(err.split())


@pytest.mark.parametrize("name", SMALL)
def test_golden_prompts(command, tmp_path, name):
    """A new wording changes what language models answer, so it must be meant."""
    export(command, tmp_path / "prompts.jsonl", *SMALL[name])
    golden = (GOLDEN / f"{name}.jsonl").read_text(encoding="utf-8")
    assert (tmp_path / "prompts.jsonl").read_text(encoding="utf-8") == golden


@pytest.mark.parametrize("name", SMALL)
def test_prompts_hold_no_target(command, tmp_path, name):
    lines = export(command, tmp_path / "prompts.jsonl", *SMALL[name])
    for line in lines:
        assert set(line) == {"id", "form", "prompt"}
    settings, sets = read_sidecar(tmp_path / "prompts.jsonl")
    texts = []
    for part, puzzles in sets.items():
        arrays = puzzles.arrays
        components = tuple(dataclasses.replace(c, rules=(c.rules + 1) % 4) for c in arrays.components)
        other = dataclasses.replace(arrays, target=(arrays.target + 3) % 8, components=components)
        texts += [prompt.text for prompt in prompt_text.prompts(part, other, settings.text_form())]
    assert texts == [line["prompt"] for line in lines], "neither targets nor rules are looked at"


def panels(text):
    """The tuples of a prompt's rows as text, row by row."""
    return [re.findall(r"\(([^()]*)\)", line) for line in text.splitlines() if line.startswith("row ")]


def test_numbers_are_the_puzzles():
    arrays = datasets.generate("iraven_x", "center", n=5, seed=1, columns=6, maxval=300, confounders=3)
    component = arrays.components[0]
    names = ["Type", "Size", "Color", "Confounder0", "Confounder1", "Confounder2"]
    levels = np.stack([component.attributes[name][..., 0] for name in names], axis=-1)  # (N, P, A)
    for form in ("predictive", "discriminative"):
        for item, prompt in enumerate(prompt_text.prompts("x", arrays, Form(form=form))):
            rows = [[list(map(int, panel.split(","))) for panel in row] for row in panels(prompt.text)]
            assert list(map(len, rows)) == [6, 6, 5]
            shown = [panel for row in rows for panel in row]
            assert shown == levels[item, 18:35].tolist()  # the last three of six rows
            candidates = re.findall(r"^([1-8]): \((.*)\)$", prompt.text, re.MULTILINE)
            if form == "predictive":
                assert not candidates
                continue
            assert [name for name, _ in candidates] == list("12345678")
            assert [list(map(int, numbers.split(","))) for _, numbers in candidates] == levels[item, 35:].tolist()


def test_sizes_are_the_magnitudes_that_rules_add():
    arrays = datasets.generate("iraven", "center", n=20, seed=1)
    component = arrays.components[0]
    for item, prompt in enumerate(prompt_text.prompts("x", arrays, Form(form="predictive"))):
        first = list(map(int, panels(prompt.text)[0][0].split(",")))
        levels = [int(component.attributes[name][item, 0, 0]) for name in ("Type", "Size", "Color")]
        assert first == [levels[0], levels[1] + 1, levels[2]]


def test_shuffled_order_is_new_for_every_puzzle_and_the_same_again():
    arrays = datasets.generate("iraven_x", "center", n=30, seed=1, columns=3, maxval=50, confounders=5)
    given, shuffled = Form(form="predictive"), Form(form="predictive", order="shuffled", seed=4)
    orders = set()
    for plain, mixed in zip(*(prompt_text.prompts("x", arrays, form) for form in (given, shuffled)), strict=True):
        a, b = panels(plain.text)[0][0].split(", "), panels(mixed.text)[0][0].split(", ")
        assert sorted(a) == sorted(b)
        orders.add(tuple(b.index(value) for value in a))
    assert len(orders) >= 25
    again = list(prompt_text.prompts("x", arrays[10:12], shuffled))  # by number, not by place
    assert again == list(prompt_text.prompts("x", arrays, shuffled))[10:12]
    truths, values = answer_values(arrays, shuffled), answer_values(arrays, given)
    assert all(sum(value is None for value in truth) == 5 for truth in truths)
    key = [sorted(value for value in part if value is not None) for part in truths]
    assert key == [sorted(value for value in part if value is not None) for part in values]


@pytest.mark.parametrize("stress", ["published", "calibrated"])
def test_uncertainty_is_that_of_the_oracle(stress):
    """A text says of a value what a Scene says of it, rounded; values ascend, so that no place gives truth away."""
    from datasets.pmf import oracle_pmfs

    arrays = datasets.generate("iraven_x", "center", n=4, seed=1, columns=4, maxval=60, confounders=1)
    form = Form(stress=stress, p_left=0.4, stress_seed=9, digits=4)
    pmfs = oracle_pmfs(arrays, stress=stress, p_left=0.4, seed=9).pmfs
    names = ["Type", "Size", "Color", "Confounder0"]
    for item, prompt in enumerate(prompt_text.prompts("x", arrays, form)):
        lines = [*panels(prompt.text), re.findall(r"^[1-8]: \((.*)\)$", prompt.text, re.MULTILINE)]
        found = [re.findall(r"\{([^{}]*)\}", panel) for line in lines for panel in line]
        assert len(found) == 11 + 8
        for place, values in enumerate(found):
            for name, value in zip(names, values, strict=True):
                read = {int(v): float(p) for v, p in re.findall(r"(\d+)::([\d.]+)", value)}
                assert list(read) == sorted(read)
                pmf = pmfs[0, name][item, place]
                assert set(read) == set(np.flatnonzero(pmf).tolist())
                assert all(abs(pmf[v] - p) <= 0.5e-4 + 1e-9 for v, p in read.items())


def test_batches_of_probabilities_change_nothing(monkeypatch):
    arrays = datasets.generate("iraven_x", "center", n=7, seed=1, columns=3, maxval=60, confounders=2)
    form = Form(stress="published", p_left=0.6)
    whole = list(prompt_text.prompts("x", arrays, form))
    monkeypatch.setattr(prompt_text, "_WORDS", 61 * 5 * 16 * 2)
    assert list(prompt_text.prompts("x", arrays, form)) == whole


def test_confounders_can_be_left_out(command, tmp_path):
    few = ("dataset.n=2", "dataset.columns=3", "dataset.maxval=20")
    with_noise = export(command, tmp_path / "a.jsonl", *few, "dataset.confounders=4")
    without = export(command, tmp_path / "b.jsonl", *few, "dataset.confounders=4", "perception.confounders=false")
    plain = export(command, tmp_path / "c.jsonl", *few)
    assert [line["prompt"] for line in without] == [line["prompt"] for line in plain]
    assert "noise" in with_noise[0]["prompt"] and "noise" not in plain[0]["prompt"]


# -- answers -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3", 2), ("  (3) ", 2), ("C", 2), ("answer: 8", 7), ("Answer: **B**", 1), ("The answer is (C).", 2),
        ("answer: \\boxed{4}", 3), ("Answer = $7$", 6), ("**Answer:** 2", 1), ("answer: option (D)", 3),
        ("answer: candidate 7.", 6), ("answer:\n6", 5), ("answer: c", 2), ("answer: 3 because 4 + 5 = 9", 2),
        ("first answer: 3\nno: answer: 4", 3), ("The rows add up.\n5", 4),
        ("", None), ("answer:", None), ("I think 3 or 5", None), ("answer: 3 or 5", None), ("answer: 3, 4", None),
        ("answer: a panel that I cannot name", None), ("answer: 0", None), ("answer: 9", None), ("answer: 12", None),
        ("answer: 3.5", None), ("answer: -3", None), ("answer: I", None), ("none of them", None),
        ("answer: none", None), ("answer: (177, 820, 227)", None),
    ],
)  # fmt: skip
def test_choices_are_read(text, expected):
    assert choice(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("answer: (1, 2, 3)", [1, 2, 3]), ("(1,2,3)", [1, 2, 3]), ("answer: 1, 2, 3.", [1, 2, 3]),
        ("answer: [1 2 3]", [1, 2, 3]), ("answer:\n\n(1, 2, 3)", [1, 2, 3]), ("Answer: $(1, 2, 3)$", [1, 2, 3]),
        ("row (4,5,6)\n**answer: (7, 8, 9)**", [7, 8, 9]), ("The answer is (4, 5, 6).", [4, 5, 6]),
        ("answer: (1, ?, 3)", [1, None, 3]), ("answer: (1) / (2, 3)", [1, 2, 3]),
        ("answer: (1, 2, 3) (a progression)", [1, 2, 3]), ("answer: (-1, 2, 3)", [-1, 2, 3]),
        ("answer: (1, 2)", None), ("answer: (1, 2, 3, 4)", None), ("answer: (1.5, 2, 3)", None), ("", None),
        ("answer: (n1, n2, n3)", None), ("answer: (1, 2, " + "9" * 5000 + ")", None), ("no idea", None),
    ],
)  # fmt: skip
def test_numbers_are_read(text, expected):
    assert numbers(text, 3) == expected


def right_answers(path):
    """id -> what would be right, as a language model might say it."""
    settings, sets = read_sidecar(path)
    form, found = settings.text_form(), {}
    for name, puzzles in sets.items():
        arrays = puzzles.arrays
        if form.form == "predictive":
            values = [["?" if v is None else str(v) for v in part] for part in answer_values(arrays, form)]
            texts = [f"({', '.join(part)})" for part in values]
        else:
            texts = [str(int(target) + 1) for target in arrays.target]
        found.update({f"{name}-{number}": text for number, text in zip(arrays.index, texts, strict=True)})
    return found


def spoiled(text):
    """A wrong answer of the same form."""
    if text.startswith("("):
        return re.sub(r"\d+", lambda number: str(int(number.group()) + 1), text, count=1)
    return str(int(text) % 8 + 1)


def write(path, answers):
    path.write_text("".join(json.dumps({"id": name, "answer": text}) + "\n" for name, text in answers.items()))


FORMS = {
    "predictive": ("form=predictive",),
    "discriminative": (),
    "confounded": ("form=predictive", "order=shuffled", "dataset.confounders=5"),
    "doubtful": ("perception.stress=calibrated", "perception.p_left=0.3", "order=shuffled"),
    "both": (
        "form=predictive",
        "dataset.confounders=3",
        "perception.stress=published",
        "perception.p_left=0.51",
        "order=shuffled",
    ),
    "iraven": ("dataset=iraven", "constellation=all"),
    "iraven predictive": ("dataset=iraven", "constellation=[center,left_right,up_down,out_in]", "form=predictive"),
}


@pytest.mark.parametrize("form", FORMS)
def test_round_trip(command, tmp_path, form):
    """The right answers give 100 %, wrong ones 0, and the results look like a model's."""
    size = () if "iraven" in form else ("dataset.columns=4", "dataset.maxval=40")
    lines = export(command, tmp_path / "prompts.jsonl", "dataset.n=6", *size, *FORMS[form])
    right = right_answers(tmp_path / "prompts.jsonl")
    assert list(right) == [line["id"] for line in lines]
    write(tmp_path / "good.jsonl", {name: f"So I get (9, 9).\nAnswer: {text}" for name, text in right.items()})
    write(tmp_path / "bad.jsonl", {name: spoiled(text) for name, text in right.items()})
    for model, correct in (("good", 6), ("bad", 0)):
        out = tmp_path / model
        code, screen, err = command("benchmark", f"answers={tmp_path / model}.jsonl", f"out={out}")
        assert code == 0, err
        results = json.loads((out / "results.json").read_text())
        for entry in results.values():
            assert entry["answers"] == {"correct": correct, "total": 6} and entry["rules"] == {}
        assert list(results) == list(dict.fromkeys(name.rpartition("-")[0] for name in right))
        record = json.loads((out / "run.json").read_text())
        assert (record["model"], record["mode"], record["status"]) == (model, "prompted", "finished")
        assert f"{model}," in screen and "prompted" in screen


def test_missing_and_unreadable_answers_count_as_wrong_and_are_counted(command, tmp_path):
    export(command, tmp_path / "prompts.jsonl", "dataset.n=10", "dataset.columns=3", "dataset.maxval=40")
    right = list(right_answers(tmp_path / "prompts.jsonl").items())
    given = {**dict(right[:4]), right[4][0]: "no idea", right[5][0]: None, right[6][0]: "3 or 4"}
    write(tmp_path / "o3.jsonl", given)
    out = tmp_path / "out"
    code, screen, err = command("benchmark", f"answers={tmp_path / 'o3.jsonl'}", f"out={out}")
    assert code == 0, err
    assert json.loads((out / "results.json").read_text())["center_single"]["answers"] == {"correct": 4, "total": 10}
    counts = {"center_single": {"prompts": 10, "understood": 4, "right": 4, "missing": 4, "unreadable": 2}}
    assert json.loads((out / "run.json").read_text())["answered"] == counts
    assert (
        "4 of 10 answers understood (4 of these right, 100.0 %), 4 missing" in " ".join(screen.split())
        and "these count as wrong" in screen
    )


def test_a_table_of_models_and_language_models(command, tmp_path):
    export(command, tmp_path / "prompts.jsonl", "dataset.n=12", "dataset.columns=10", "dataset.maxval=100")
    write(tmp_path / "lm.jsonl", right_answers(tmp_path / "prompts.jsonl"))
    answers = f"answers={{o3-mini:{tmp_path / 'lm.jsonl'}}}"
    out = tmp_path / "out"
    asked = ("compare=[arlc]", answers, f"prompts={tmp_path / 'prompts.jsonl'}", f"out={out}")
    code, _, err = command("benchmark", *asked)
    assert code == 0, err
    table = json.loads((out / "table.json").read_text())
    assert [row["model"] for row in table["runs"]] == ["arlc", "o3-mini"]
    assert table["runs"][1]["results"]["center_single"]["answers"] == {"correct": 12, "total": 12}
    cells = [json.loads((out / m / "0" / "cells" / "center_single.json").read_text()) for m in ("arlc", "o3-mini")]
    assert cells[0]["marks"]["data"] == cells[1]["marks"]["data"], "both answered the same puzzles"
    assert "o3-mini" in (out / "table.csv").read_text()
    assert "2 of 2 results are there already" in command("benchmark", *asked)[1]
    write(tmp_path / "lm.jsonl", {})
    assert "made with other settings" in refused(command, "benchmark", *asked)


def test_published_language_models_stand_beside(command, tmp_path):
    hard = (
        "dataset.n=1",
        "dataset.confounders=10",
        "perception.stress=published",
        "perception.p_left=0.51",
        "dataset.columns=10",
        "dataset.maxval=1000",
    )
    export(command, tmp_path / "hard" / "prompts.jsonl", *hard)
    export(command, tmp_path / "plain" / "prompts.jsonl", *hard[:1], *hard[-2:])
    export(command, tmp_path / "iraven" / "prompts.jsonl", "dataset=iraven", "constellation=2x2", "dataset.n=1")
    screens = {}
    for name in ("hard", "plain", "iraven"):
        write(tmp_path / name / "mine.jsonl", {})
        code, screens[name], err = command(
            "benchmark", f"answers={tmp_path / name / 'mine.jsonl'}", f"out={tmp_path / name / 'out'}"
        )
        assert code == 0, err
    assert "17.00" in screens["hard"] and "23.20" in screens["hard"] and "88.00" in screens["hard"]
    assert "o3-mini" not in screens["plain"]
    assert "83.20" in screens["iraven"] and "GPT-3" in screens["iraven"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b'{"id": "center_single-8", "answer": "1"}\n{"id": ', "line 2: received no JSON"),
        (b"[1, 2]\n", "line 1: received no id (text) or no answer"),
        (b'{"id": 8, "answer": "1"}\n', "no id (text) or no answer"),
        (b'{"id": "center_single-8"}\n', "no id (text) or no answer"),
        (b'{"id": "center_single-8", "answer": {"a": 1}}\n', "an answer that is a dict"),
        (b'{"id": "center_single-8", "answer": true}\n', "an answer that is a bool"),
        (b'\n{"id": "center_single-7", "answer": "1"}\n', "line 2: received id 'center_single-7', which no prompt has"),
        (b'{"id": "center_single-8", "answer": "1"}\n{"id": "center_single-8", "answer": "2"}\n', "a second answer"),
        (b"\xff\xfe\x00", "unreadable content"),
        (b"[" * 100_000, "no JSON"),
        (b'{"id": "center_single-8", "answer": ' + b"9" * 6000 + b"}", "no JSON"),
        (None, "no such file"),
    ],
)
def test_hostile_answer_files(command, tmp_path, content, sentence):
    export(command, tmp_path / "prompts.jsonl", "dataset.n=2", "dataset.columns=3", "dataset.maxval=40")
    if content is not None:
        (tmp_path / "answers.jsonl").write_bytes(content)
    out = tmp_path / "out"
    assert sentence in refused(command, "benchmark", f"answers={tmp_path / 'answers.jsonl'}", f"out={out}")
    assert not out.exists()


def test_forms_of_json_that_are_fine(command, tmp_path):
    few = ("dataset.n=2", "dataset.columns=3", "dataset.maxval=40")
    export(command, tmp_path / "prompts.jsonl", *few, "form=predictive")
    right = right_answers(tmp_path / "prompts.jsonl")
    lists = [{"id": name, "answer": json.loads(f"[{text[1:-1]}]"), "model": "x"} for name, text in right.items()]
    content = "\ufeff" + "\r\n".join(map(json.dumps, lists)) + "\r\n\r\n"
    (tmp_path / "answers.jsonl").write_bytes(content.encode())
    assert command("benchmark", f"answers={tmp_path / 'answers.jsonl'}", f"out={tmp_path / 'out'}")[0] == 0
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["center_single"]["answers"] == {"correct": 2, "total": 2}


def test_the_settings_must_still_make_the_same_puzzles(command, tmp_path):
    export(command, tmp_path / "prompts.jsonl", "dataset.n=2", "dataset.columns=3", "dataset.maxval=40")
    write(tmp_path / "answers.jsonl", {})
    where = tmp_path / "prompts.settings.json"
    content = json.loads(where.read_text())
    same = (f"answers={tmp_path / 'answers.jsonl'}", f"out={tmp_path / 'out'}")
    for change, sentence in (
        (
            {"settings": {**content["settings"], "seed": 5, "dataset": {**content["settings"]["dataset"], "seed": 5}}},
            "settings whose puzzles are others now: center_single",
        ),
        ({"settings": {**content["settings"], "form": "predictiv"}}, "expected one of predictive, discriminative"),
        ({"settings": None}, "what python -m reasoning.prompts wrote"),
        ({"sets": 3}, "what python -m reasoning.prompts wrote"),
    ):
        where.write_text(json.dumps(sealed({**content, **change})))
        assert sentence in refused(command, "benchmark", *same)
    where.write_text("{")
    assert "unreadable content" in refused(command, "benchmark", *same)


def test_which_prompts(command, tmp_path):
    write(tmp_path / "answers.jsonl", {})
    answers = f"answers={tmp_path / 'answers.jsonl'}"
    assert "received 0 files *.settings.json" in refused(command, "benchmark", answers)
    for name in ("a", "b"):
        export(command, tmp_path / f"{name}.jsonl", "dataset.n=1", "dataset.columns=3", "dataset.maxval=40")
    assert "received 2 files *.settings.json" in refused(command, "benchmark", answers)
    chosen = (answers, f"prompts={tmp_path / 'b.jsonl'}")
    assert command("benchmark", *chosen, f"out={tmp_path / 'out'}")[0] == 0
    assert "no such file" in refused(command, "benchmark", answers, f"prompts={tmp_path / 'c.jsonl'}")
    assert "neither puzzles nor seeds" in refused(command, "benchmark", *chosen, "dataset.n=3")
    assert "neither puzzles nor seeds" in refused(command, "benchmark", *chosen, "seeds=[0,1]")
    assert "expected answers=FILE.jsonl" in refused(command, "benchmark", chosen[1], "+model=arlc")
    named = f"answers={{arlc:{tmp_path / 'answers.jsonl'}}}"
    assert "a model of ours" in refused(command, "benchmark", named, chosen[1], "+model=arlc")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "setting out: received nothing"),
        (["out=x.jsonl", "form=predict"], "expected one of predictive, discriminative"),
        (["out=x.jsonl", "order=random"], "expected one of given, shuffled"),
        (["out=x.jsonl", "digits=0"], "expected 1 to 6"),
        (["out=x.jsonl", "frm=predictive"], "did you mean 'form'"),
        (["out=x.jsonl", "dataset=iraven", "constellation=2x2", "form=predictive"], "expected form=discriminative"),
        (
            [
                "out=x.jsonl",
                "dataset=iraven",
                "constellation=3x3",
                "perception.stress=published",
                "perception.p_left=0.7",
            ],
            "expected stress=none",
        ),
        (["out=x.jsonl", "perception.smoothing=0.2"], "prompts hold the labels"),
        (["out=x.jsonl", "perception.stress=publishd", "perception.p_left=0.7"], "publishd"),
        (["out=x.jsonl", "dataset.maxval=3"], "maxval=3"),
        (["out=x.jsonl", "dataset=files", "dataset.path=/nowhere/at/all"], "/nowhere/at/all"),
    ],
)
def test_mistakes(command, tmp_path, monkeypatch, arguments, sentence):
    monkeypatch.chdir(tmp_path)
    assert sentence in refused(command, "prompts", *arguments, "dataset.n=2")
    assert list(tmp_path.iterdir()) == []


def test_files_are_not_replaced(command, tmp_path):
    few = ("dataset.n=1", "dataset.columns=3", "dataset.maxval=40")
    export(command, tmp_path / "a.jsonl", *few)
    assert command("prompts", f"out={tmp_path / 'a.jsonl'}", *few)[0] == 0  # these very prompts are there
    assert "which exists" in refused(command, "prompts", f"out={tmp_path / 'a.jsonl'}", "dataset.n=2", *few[1:])
    assert len(export(command, tmp_path / "a.jsonl", "dataset.n=2", *few[1:], "overwrite=true")) == 2
    assert "which exists" in refused(command, "prompts", f"out={tmp_path}", *few, "overwrite=true")
    code, screen, _ = command("prompts", "--cfg")
    assert code == 0 and "form: discriminative" in screen
    assert command("prompts", "--help")[0] == 0


def test_forms_refuse_what_they_cannot_write():
    grids = datasets.generate("iraven", "2x2", n=1, seed=0)
    with pytest.raises(UnsupportedError, match="more than one panel"):
        answer_values(grids, Form(form="predictive"))
    with pytest.raises(SettingsError, match="predictive, discriminative"):
        Form(form="both")

"""The tasks of Inspect, run with its mock model: prompts, marking, metrics, and their logs in our tables."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import datasets
from datasets.arrays import GOVERNED
from datasets.judging.defensible import defensible
from reasoning.prompting import text as prompt_text
from reasoning.prompting.answers import AnswerSet, ids
from reasoning.prompting.named_rules import labels, read_rules, rule_names
from reasoning.prompting.text import Form, written_places

NEEDS = "language models need the extra: pip install -e '.[llm]'"


def words_of(arrays, form, item):
    """The rules of a puzzle as a language model might name them."""
    names = {code: name for name, code in rule_names(arrays).items()}
    slots = [slot for _, slot in written_places(arrays, form, item)]
    found = []
    for slot, label in zip(slots, labels(arrays, form, item), strict=True):
        governed = f"{GOVERNED[label.governed].split('/')[0].lower()} " if slot == "Number/Position" else ""
        found.append(f"{governed}{names.get(label.code, 'noise')}")
    return "rules: " + ", ".join(found)


def answered(arrays, form, spoil=False):
    texts = []
    for item, target in enumerate(arrays.target):
        rules = words_of(arrays, form, item)
        rules = "rules: unknown" + ", unknown" * rules.count(",") if spoil else rules
        texts.append(f"Let me see.\n{rules.replace('rules', 'Rules')}\nanswer: {int(target) + 1}")
    return dict(zip(ids("x", arrays), texts, strict=True))


@pytest.mark.parametrize("constellation", ["center", "2x2", "left_right", "out_in_grid"])
@pytest.mark.parametrize("order", ["given", "shuffled"])
def test_rules_named_rightly_count_as_named_and_unknown_ones_do_not(constellation, order):
    arrays = datasets.generate("iraven", constellation, n=40, seed=2)
    form = Form(order=order, rules=True)
    for spoil in (False, True):
        rules = AnswerSet("x", arrays, form, answered(arrays, form, spoil)).compute().metrics.by_slot()
        assert set(rules) == {"Type", "Size", "Color"} | (
            {"Number/Position"} if "2x2" in constellation or "grid" in constellation else set()
        )
        for slot, tally in rules.items():
            assert tally.total == 40 * (1 if slot == "Number/Position" else len(arrays.components))
            assert tally.named == (0 if spoil else tally.total), (slot, tally)
            assert tally.answers == tally.total


def test_half_of_the_rules_are_counted_one_by_one():
    arrays = datasets.generate("iraven", "center", n=30, seed=4)
    form = Form(rules=True)
    right, unknown = answered(arrays, form), answered(arrays, form, spoil=True)
    mixed = {name: (right if k % 3 == 0 else unknown)[name] for k, name in enumerate(right)}
    found = AnswerSet("x", arrays, form, mixed).compute().metrics.by_slot()
    assert {slot: tally.named for slot, tally in found.items()} == dict.fromkeys(("Type", "Size", "Color"), 10)
    wrong = {
        name: text.replace("constant", "cOnStAnT").replace("progression", "constant") for name, text in right.items()
    }
    found = AnswerSet("x", arrays, form, wrong).compute().metrics
    lost = sum(tally.total for key, tally in found.rules.items() if key.rule == "Progression")
    assert sum(tally.named for tally in found.by_slot().values()) == 90 - lost and lost > 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rules: constant, progression, arithmetic\nanswer: 3", [0, 1, 2]),
        ("**Rules:** Constant, Distribute Three, unknown", [0, 3, -1]),
        ("- rules: constant; distribute_three; arithmetic", [0, 3, 2]),
        ("rules = constant, constant or progression, not arithmetic", [0, -1, -1]),
        ("rules: constant, progression", None),
        ("The rule is constant.", None),
        ("<think>rules: constant, constant, constant</think>", None),
        ("", None),
    ],
)  # fmt: skip
def test_lines_of_rules_are_read(text, expected):
    names = rule_names(datasets.generate("iraven", "center", n=1, seed=0))
    found = read_rules(text, 3, names)
    assert (None if found is None else [rule.code for rule in found]) == expected


def test_prompts_say_where_more_than_one_candidate_can_be_defended():
    arrays = datasets.generate("iraven", "center", n=1000, seed=0)
    several = defensible(arrays).sum(axis=1) > 1
    assert 0 < several.sum() < 30
    texts = [prompt.text for prompt in prompt_text.prompts("x", arrays, Form())]
    assert [("More than one candidate can be defended" in text) for text in texts] == several.tolist()
    assert [("Exactly one candidate" in text) for text in texts] == (~several).tolist()


def test_prompts_ask_for_rules_where_they_are_told_to():
    arrays = datasets.generate("iraven", "out_in_grid", n=1, seed=0)
    (plain,), (asking,) = (list(prompt_text.prompts("x", arrays, Form(rules=rules))) for rules in (False, True))
    assert "Name the rules" not in plain.text and "a colon and 7 names of rules" in asking.text
    assert "distribute three" in asking.text and asking.text.endswith("answer: 8")


# -- Inspect ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def inspect():
    pytest.importorskip("inspect_ai", reason=NEEDS)
    from reasoning import language_models

    return language_models


def run(task, tmp_path, say):
    """Inspect's mock model, which says for each sample what ``say`` does."""
    from inspect_ai import eval as evaluate
    from inspect_ai.model import ModelOutput, ModelUsage, get_model

    def output(sample):
        found = ModelOutput.from_content("mockllm/model", say(sample))
        found.usage = ModelUsage(
            input_tokens=1, output_tokens=1, total_tokens=2
        )  # else it asks the net for a tokenizer
        return found

    texts = {sample.input: output(sample) for sample in task.dataset}
    model = get_model(
        "mockllm/model", custom_outputs=lambda messages, tools, choice, config: texts[messages[0].text], memoize=False
    )
    (log,) = evaluate(task, model=model, log_dir=str(tmp_path / "logs"), display="none", log_format="eval")
    assert log.status == "success", log.error
    metrics = {name: metric.value for score in log.results.scores for name, metric in score.metrics.items()}
    return log.location.removeprefix("file://"), metrics


@pytest.mark.filterwarnings("ignore")  # what its event loop leaves open is not ours
@pytest.mark.parametrize("form", ["discriminative", "predictive"])
def test_iraven_x_with_confounders_and_uncertainty(inspect, tmp_path, command, form):
    pytest.importorskip("inspect_ai", reason=NEEDS)
    asked = {"n": 12, "columns": 4, "maxval": 50, "confounders": 2, "stress": "published", "p_left": 0.6}
    task = inspect.iraven_x(**asked, form=form, rules=True, order="shuffled")
    said = [
        "<think>answer: 8, (9, 9, 9, 9, 9)</think>answer: {}",
        "I cannot tell.",
        "answer: {}\n\nHope this helps!",
        "answer: 0",
    ]

    def say(sample):
        number = int(sample.id.rpartition("-")[2]) % 4
        names = {code: name for name, code in sample.metadata["names"].items()}
        named = ", ".join(names.get(code, "noise") for code, _ in sample.metadata["rules"])
        return f"rules: {named}\n{said[number].format(sample.target)}"

    log, metrics = run(task, tmp_path, say)
    numbers = [int(sample.id.rpartition("-")[2]) % 4 for sample in task.dataset]
    right = sum(number in (0, 2) for number in numbers)
    assert metrics["accuracy"] == pytest.approx(right / 12)
    assert metrics["stderr"] > 0
    assert metrics["not_understood"] == pytest.approx(1 - right / 12)
    assert metrics["rule_accuracy"] == 1.0
    assert metrics["center_single"] == pytest.approx(right / 12)
    code, screen, err = command("benchmark", f"answers={{mock:{log}}}", "compare=[symbolic]", f"out={tmp_path / 'out'}")
    assert code == 0, err
    table = json.loads((tmp_path / "out" / "table.json").read_text())
    assert [row["model"] for row in table["runs"]] == ["symbolic", "mock"]
    found = table["runs"][1]["results"]["center_single"]
    assert found["answers"] == {"correct": right, "total": 12}
    assert {slot: (tally["correct"], tally["total"]) for slot, tally in found["rules"].items()} == dict.fromkeys(
        ("Type", "Size", "Color"), (12, 12)
    )
    assert f"{right} of 12 answers understood" in screen


@pytest.mark.filterwarnings("ignore")  # what its event loop leaves open is not ours
def test_iraven_by_constellation(inspect, tmp_path, command):
    task = inspect.iraven(n=3, constellation="center,2x2,out_in_grid")
    log, metrics = run(
        task,
        tmp_path,
        lambda sample: f"\\boxed{{{sample.target}}}" if sample.id.startswith("center_single-") else "Candidate 3 or 4.",
    )
    assert metrics["center_single"] == 1.0
    assert metrics["distribute_four"] == metrics["in_distribute_four_out_center_single"] == 0.0
    assert metrics["accuracy"] == pytest.approx(1 / 3) and metrics["not_understood"] == pytest.approx(2 / 3)
    code, _, err = command("benchmark", f"answers={log}", f"out={tmp_path / 'out'}")
    assert code == 0, err
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert {name: entry["answers"]["correct"] for name, entry in results.items()} == {
        "center_single": 3, "distribute_four": 0, "in_distribute_four_out_center_single": 0,
    }  # fmt: skip
    answered = json.loads((tmp_path / "out" / "run.json").read_text())["answered"]["distribute_four"]
    assert answered == {"prompts": 3, "understood": 0, "right": 0, "missing": 0, "unreadable": 3}


@pytest.mark.parametrize("task", ["reasoning/iraven_x", "reasoning/language_models.py@iraven_x"])
def test_inspect_finds_the_tasks_by_name_and_by_file(tmp_path, task):
    pytest.importorskip("inspect_ai", reason=NEEDS)
    from importlib.metadata import entry_points

    if "reasoning" not in {point.name for point in entry_points(group="inspect_ai")}:
        pytest.skip("the entry point is not installed here: pip install -c constraints.txt -e '.[test,llm]'")
    code = f"""
from inspect_ai._eval.loader import load_tasks
(task,) = load_tasks([{task!r}], {{"n": 2, "columns": 3, "maxval": 40}})
print(len(task.dataset), task.dataset[0].id)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split()[:2] == ["2", "center_single-8"] or done.stdout.startswith("2 center_single-")


def test_logs_that_are_none(command, tmp_path):
    pytest.importorskip("inspect_ai", reason=NEEDS)
    (tmp_path / "broken.eval").write_bytes(b"no log")
    for name, sentence in (("broken.eval", "no log of Inspect"), ("none.eval", "no such file")):
        code, _, err = command("benchmark", f"answers={tmp_path / name}", f"out={tmp_path / 'out'}")
        assert code == 2 and sentence in " ".join(err.split())

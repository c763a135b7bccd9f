"""Tasks of Inspect (``inspect_ai``, extra ``llm``): I-RAVEN and I-RAVEN-X as text, for any model that Inspect reaches.

``inspect eval reasoning/iraven_x --model openai/gpt-4o -T n=200 -T confounders=10``. The prompts are those of
``python -m reasoning.prompts``, answers are marked as ``python -m reasoning.benchmark answers=LOG.eval`` marks them.
See docs/language_models.md.
"""

from __future__ import annotations

from typing import Any

from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.scorer import (
    CORRECT,
    INCORRECT,
    NOANSWER,
    Metric,
    SampleScore,
    Score,
    Scorer,
    Target,
    accuracy,
    grouped,
    metric,
    scorer,
    stderr,
)
from inspect_ai.solver import TaskState, generate

from datasets.arrays import UNKNOWN
from reasoning.prompting.answers import agrees, read, truths
from reasoning.prompting.files import puzzle_sets, record_of
from reasoning.prompting.inspect_logs import METADATA
from reasoning.prompting.named_rules import Named, labels, read_rules, right, rule_names, still_rules
from reasoning.prompting.text import Form, prompts
from reasoning.prompts import parse

__all__ = ["iraven", "iraven_x"]

NAMED, ASKED = "rules_named", "rules_asked"  # keys of a score's metadata


@task
def iraven(
    n: int = 100,
    constellation: str = "all",
    form: str = "discriminative",
    order: str = "given",
    rules: bool = False,
    seed: int = 0,
) -> Task:
    """I-RAVEN as text.

    Args:
        n: puzzles of each constellation.
        constellation: one, several with commas between, or all.
        form: "discriminative" (choose a candidate) or, without grids, "predictive" (say the numbers).
        order: of the properties: "given" or "shuffled".
        rules: whether the rules are asked for, too.
        seed: of the puzzles.
    """
    chosen = "all" if constellation == "all" else f"[{constellation}]"
    return _task(
        f"dataset=iraven dataset.n={n} constellation={chosen} form={form} order={order} rules={rules} seed={seed}"
    )


@task
def iraven_x(
    n: int = 100,
    columns: int = 10,
    maxval: int = 1000,
    confounders: int = 0,
    stress: str = "none",
    p_left: float = 1.0,
    form: str = "discriminative",
    order: str = "given",
    rules: bool = False,
    seed: int = 0,
) -> Task:
    """I-RAVEN-X as text, with confounders and uncertainty.

    Args:
        n: puzzles.
        columns: panels of a row.
        maxval: largest value.
        confounders: properties without a rule.
        stress: "none", "published" or "calibrated" uncertainty.
        p_left: lowest probability that it leaves at the centre value.
        form: "discriminative" (choose a candidate) or "predictive" (say the numbers).
        order: of the properties: "given" or "shuffled".
        rules: whether the rules are asked for, too.
        seed: of the puzzles.
    """
    return _task(
        f"dataset=iraven_x dataset.n={n} dataset.columns={columns} dataset.maxval={maxval}"
        f" dataset.confounders={confounders} perception.stress={stress}"
        f" perception.p_left={p_left} form={form} order={order} rules={rules} seed={seed}"
    )


def _task(arguments: str) -> Task:
    """The prompts of a command line."""
    settings = parse(arguments.split())
    form, sets = settings.text_form(), puzzle_sets(settings)
    samples = [sample for name, puzzles in sets.items() for sample in _samples(name, puzzles.arrays, form)]
    metadata = {METADATA: record_of(settings, sets)}
    return Task(MemoryDataset(samples), solver=generate(), scorer=marked(form.form, form.rules), metadata=metadata)


def _samples(name: str, arrays: Any, form: Form) -> list[Sample]:
    """The prompts of a set, with what their answers are marked by."""
    names, still, samples = rule_names(arrays), still_rules(arrays), []
    for item, (prompt, truth) in enumerate(zip(prompts(name, arrays, form), truths(arrays, form), strict=True)):
        if form.form == "predictive":
            target = f"({', '.join('?' if value is None else str(value) for value in truth)})"
        else:
            target = str(1 + (truth[0] or 0))
        about: dict[str, Any] = {"constellation": name, "truth": truth}
        if form.rules:
            about |= {"rules": [list(label) for label in labels(arrays, form, item)], "names": names, "still": still}
        samples.append(Sample(prompt.text, target=target, id=prompt.id, metadata=about))
    return samples


@metric
def not_understood() -> Metric:
    """The share of answers that could not be understood; they count as wrong."""

    def share(scores: list[SampleScore]) -> float:
        unread = [not (one.score.metadata or {}).get("understood", False) for one in scores]
        return sum(unread) / len(unread) if unread else 0.0

    return share


@metric
def rule_accuracy() -> Metric:
    """The share of rules that were named as the generator drew them, of those that the prompts ask for."""

    def share(scores: list[SampleScore]) -> float:
        counts = [one.score.metadata or {} for one in scores]
        asked = sum(part.get(ASKED, 0) for part in counts)
        return sum(part.get(NAMED, 0) for part in counts) / asked if asked else 0.0

    return share


@scorer(
    metrics=[
        accuracy(),
        stderr(),
        not_understood(),
        rule_accuracy(),
        grouped(accuracy(), "constellation", all=False),
    ]
)
def marked(form: str, rules: bool) -> Scorer:
    """Our marking.

    Args:
        form: of the prompts.
        rules: whether they ask for the rules.
    """
    written = Form(form=form, rules=rules)

    async def score(state: TaskState, target: Target) -> Score:
        about = state.metadata
        text = state.output.completion
        given = read(text, written, len(about["truth"]))
        value = NOANSWER if given is None else CORRECT if agrees(given, about["truth"]) else INCORRECT
        detail: dict[str, Any] = {"understood": given is not None}
        if rules:
            wanted = [Named(*label) for label in about["rules"]]
            found = read_rules(text, len(wanted), about["names"]) or [Named(UNKNOWN, 0)] * len(wanted)
            pairs = [
                (one, label) for one, label in zip(found, wanted, strict=True) if label.code in about["names"].values()
            ]
            detail[ASKED] = len(pairs)
            detail[NAMED] = sum(right(one, label, about["still"]) for one, label in pairs)
        shown = None if given is None else str(given[0] + 1 if form != "predictive" and given[0] is not None else given)
        return Score(value=value, answer=shown, metadata=detail)

    return score

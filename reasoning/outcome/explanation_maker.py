"""From a learner's tensors to an :class:`reasoning.outcome.explanation.Explanation`: names, levels, runners-up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from torch import Tensor

from reasoning.learners.base import EXPLAINED, Prediction, component_rules, constant_code
from reasoning.outcome.expectation import Expected, capped, expect
from reasoning.outcome.explanation import AttributeExplanation, Explanation
from reasoning.outcome.statements import Fault
from reasoning.scene import CANDIDATES, AttributeKey, Scene
from reasoning.sparse import dense

if TYPE_CHECKING:
    from datasets.arrays import PuzzleArrays
    from datasets.puzzle import Puzzle
    from datasets.scans.pictured import PicturedPuzzle

__all__ = ["make_explanation"]

_COUNTED = ("Number", "Position")  # which share one rule
_SAID = 0.005  # probability of a rule below which it is not claimed: it would be printed as 0.00


def make_explanation(
    puzzle: Puzzle | PicturedPuzzle,
    arrays: PuzzleArrays | PicturedPuzzle,
    item: int,
    prediction: Prediction,
    scene: Scene,
    expected: Mapping[AttributeKey, Tensor],
    labels: list[str],
    rules: list[str],
) -> Explanation:
    """Put a learner's output into words.

    Args:
        puzzle: the one puzzle.
        arrays: what tells of it, and of those solved with it: components, levels and the rules that may be at work.
        item: which one it is.
        prediction: for the B puzzles.
        scene: what the learner saw of the one puzzle.
        expected: of the one puzzle: attribute -> (1, V) or (1, S); attributes may be missing.
        labels: short names of the learner's R rules.
        rules: its rules in words.

    Returns:
        The explanation; it does not know the target.
    """
    layouts, grammar = arrays.layouts, [rule.name for rule in arrays.grammar]
    constant = constant_code(grammar)
    named = {layout.name: _named(prediction, number, item, grammar) for number, layout in enumerate(layouts)}
    shown: list[list[Expected]] = []
    entries, keys = [], sorted(prediction.keys, key=lambda key: key.component)
    for key in keys:
        names = named[layouts[key.component].name]
        entry = _entry(arrays, item, prediction, key, expected.get(key), labels, names, constant)
        shown.append(_candidates(arrays, scene, key))
        if entry.expected is not None and all(one.decided and one.value != entry.expected.value for one in shown[-1]):
            # The answer is among the candidates: what none of them shows is not to be expected.
            entry = replace(entry, expected=capped(entry.expected, 0.0))
        entries.append(entry)
    entries = _agreeing(entries)
    answer = int(prediction.answers[item])
    best = prediction.best[item].nonzero().flatten().tolist()
    compared = [_compare(entries, [every[candidate] for every in shown]) for candidate in range(CANDIDATES)]
    return Explanation(
        puzzle=puzzle,
        answer=answer,
        scores=tuple(prediction.scores[item].tolist()),
        attributes=tuple(entries),
        named=named,
        rules=tuple(rules),
        faults=tuple(faults for faults, _ in compared),
        unsure=tuple(unsure for _, unsure in compared),
        tied=tuple(candidate for candidate in best if candidate != answer),
        certainty=None if prediction.certainty is None else float(prediction.certainty[item]),
        probabilities=None if prediction.probabilities is None else tuple(prediction.probabilities[item].tolist()),
    )


def _named_by(attribute: str, named: Mapping[str, str | None]) -> str | None:
    """Under which name a component's rule on an attribute is; None: of Number and Position, the other one governs."""
    names = (attribute, "Number/Position") if attribute in _COUNTED else (attribute,)
    return next((name for name in names if name in named), None)


def _entry(
    arrays: PuzzleArrays | PicturedPuzzle,
    item: int,
    prediction: Prediction,
    key: AttributeKey,
    expected: Tensor | None,
    labels: list[str],
    named: Mapping[str, str | None],
    constant: int,
) -> AttributeExplanation:
    """One attribute. What is expected is no surer than the rule that it comes from."""
    column = prediction.keys.index(key)
    weights, layout = prediction.rule_weights[item, column].tolist(), arrays.layouts[key.component]
    best = int(prediction.rule_index[item, column])
    second = max((rule for rule in range(len(weights)) if rule != best), key=weights.__getitem__, default=None)
    confidence, code = float(prediction.confidence[item, column]), int(prediction.families[item, column])
    entities = layout.slots > 1 and key.name not in _COUNTED
    place = _named_by(key.name, named)
    governed = place is not None
    agreement = tuple(prediction.agreement[item, column].tolist())
    free = entities and code == constant and (confidence < EXPLAINED or max(agreement) < 0.5)
    said: Expected | None = None
    # Of Number and Position, what does not govern follows from the other where the learner decides on both at once.
    if expected is not None and not free and (governed or prediction.governed is not None):
        ceiling = 1.0 if place is None else confidence * (named[place] is not None)
        said = expect(arrays, key, expected[0].double().tolist(), ceiling)
    return AttributeExplanation(
        component=layout.name,
        attribute=key.name,
        family=named[place] if place is not None and (weights[best] >= _SAID or free) else None,
        rule=labels[best],
        probability=weights[best],
        runner_up=None if second is None else labels[second],
        runner_up_probability=None if second is None else weights[second],
        confidence=confidence,
        expected=said,
        agreement=agreement,
        governed=governed,
        free=free,
    )


def _agreeing(entries: Sequence[AttributeExplanation]) -> list[AttributeExplanation]:
    """The same, without what follows from nothing, and without a Number and a Position that contradict each other."""
    pair = [entry for entry in entries if entry.attribute in _COUNTED]
    # What does not govern follows from what does.
    baseless = {entry.component for entry in pair if entry.governed and not entry.fixed}
    counts = {entry.component: entry.expected for entry in pair if entry.attribute == "Number" and entry.fixed}
    sets = {entry.component: entry.expected for entry in pair if entry.attribute == "Position" and entry.fixed}
    denied = {
        component
        for component in counts.keys() & sets.keys()
        if isinstance(slots := getattr(sets[component], "value", None), tuple)
        and len(slots) != getattr(counts[component], "value", None)
    }

    def stands(entry: AttributeExplanation) -> bool:
        return entry.component not in denied and (entry.governed or entry.component not in baseless)

    return [
        entry
        if entry.attribute not in _COUNTED or entry.expected is None or stands(entry)
        else replace(entry, expected=capped(entry.expected, 0.0))
        for entry in entries
    ]


def _candidates(arrays: PuzzleArrays | PicturedPuzzle, scene: Scene, key: AttributeKey) -> list[Expected]:
    """What each candidate shows of an attribute, as the learner sees it."""
    seen = dense(scene.pmfs[key]) if key in scene.pmfs else scene.sets[key]
    return [expect(arrays, key, values) for values in seen[0, scene.context_panels :].double().tolist()]


def _compare(entries: Sequence[AttributeExplanation], shows: Sequence[Expected]) -> tuple[tuple[Fault, ...], bool]:
    """Where a candidate is not as expected; and whether anything about it is not known."""
    unnamed = {entry.component for entry in entries if entry.governed and (entry.claimed or 0.0) < EXPLAINED}
    faults, unsure = [], False
    for entry, shown in zip(entries, shows, strict=True):
        if not entry.governed and not entry.fixed:
            unsure |= entry.component in unnamed  # else it follows from its rule's attribute, or is free
            continue
        wanted = entry.expected
        if wanted is None or not wanted.decided or not shown.decided:
            unsure = True
        elif shown.value != wanted.value:
            faults.append(Fault(entry.component, entry.attribute, shown, wanted))
        else:  # entities that differ may be others than those which are expected
            unsure |= not (shown.certain and wanted.certain) or wanted.value is None
    wrong = {(fault.component, fault.attribute) for fault in faults}
    # Another number is another set of slots: that is one fault.
    kept = tuple(f for f in faults if f.attribute != "Position" or (f.component, "Number") not in wrong)
    return kept, unsure


def _named(prediction: Prediction, component: int, item: int, grammar: Sequence[str]) -> dict[str, str | None]:
    """The rules of a component as the benchmark counts them."""
    from datasets.arrays import GOVERNED

    found = dict(component_rules(prediction, component, grammar))
    governed = found.pop("governed", None)
    result = {}
    for slot, codes in found.items():
        is_first = slot == "Number/Position" and governed is not None
        name = GOVERNED[int(governed[item])] if is_first and governed is not None else slot
        result[name] = _family(int(codes[item]))
    return result


def _family(code: int) -> str | None:
    from datasets.arrays import UNKNOWN
    from datasets.rules import rule_name

    return None if code == UNKNOWN else rule_name(code)

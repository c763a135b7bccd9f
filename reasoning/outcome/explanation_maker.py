"""From a learner's tensors to an :class:`reasoning.outcome.explanation.Explanation`: names, levels, runners-up."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from reasoning.learners.base import Prediction, component_rules
from reasoning.outcome.explanation import AttributeExplanation, Expected, Explanation
from reasoning.scene import AttributeKey

if TYPE_CHECKING:
    from datasets.arrays import PuzzleArrays

__all__ = ["make_explanation"]

_SURE = 0.5  # probability from which a slot counts as occupied


def make_explanation(
    arrays: PuzzleArrays,
    item: int,
    prediction: Prediction,
    expected: Mapping[AttributeKey, Tensor],
    labels: list[str],
    rules: list[str],
) -> Explanation:
    """Put a learner's output into words.

    Args:
        arrays: B puzzles.
        item: which one.
        prediction: for the B puzzles.
        expected: of the one puzzle: attribute -> (1, V) or (1, S); attributes may be missing.
        labels: short names of the learner's R rules.
        rules: its rules in words.

    Returns:
        The explanation; it does not know the target.
    """
    from datasets.puzzle import Puzzle

    layouts = arrays.layouts
    entries = []
    for column, key in sorted(enumerate(prediction.keys), key=lambda pair: pair[1].component):
        weights = prediction.rule_weights[item, column].tolist()
        best = int(prediction.rule_index[item, column])
        second = max((rule for rule in range(len(weights)) if rule != best), key=weights.__getitem__, default=None)
        entries.append(
            AttributeExplanation(
                component=layouts[key.component].name,
                attribute=key.name,
                family=_family(int(prediction.families[item, column])),
                rule=labels[best],
                probability=weights[best],
                runner_up=None if second is None else labels[second],
                runner_up_probability=None if second is None else weights[second],
                confidence=float(prediction.confidence[item, column]),
                expected=_expect(arrays, key, expected[key][0]) if key in expected else None,
                agreement=tuple(prediction.agreement[item, column].tolist()),
            )
        )
    grammar = [rule.name for rule in arrays.grammar]
    named = {layout.name: _named(prediction, number, item, grammar) for number, layout in enumerate(layouts)}
    return Explanation(
        puzzle=Puzzle.from_arrays(arrays, item),
        answer=int(prediction.answers[item]),
        scores=tuple(prediction.scores[item].tolist()),
        attributes=tuple(entries),
        named=named,
        rules=tuple(rules),
    )


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


def _expect(arrays: PuzzleArrays, key: AttributeKey, values: Tensor) -> Expected:
    """From magnitudes to levels and words."""
    from datasets.attributes import ATTRIBUTES

    shares = tuple(values.double().tolist())
    if key.name == "Position":
        slots = tuple(slot for slot, share in enumerate(shares) if share >= _SURE)
        if not slots:
            return Expected(None, "no set of slots", 1 - max(shares), shares)
        probability = math.prod(max(share, 1 - share) for share in shares)
        words = f"slot{'s' if len(slots) > 1 else ''} {', '.join(map(str, slots))}"
        return Expected(slots, words, probability, shares)
    lowest = 0
    if arrays.maxval is None and key.name in ATTRIBUTES:
        lowest = -ATTRIBUTES[key.name].offset
    value = max(range(len(shares)), key=shares.__getitem__)
    missing = max(0.0, 1.0 - sum(shares))
    if missing > shares[value]:
        return Expected(None, "no single value in range", missing, shares, lowest)
    level = value + lowest
    words = str(level)
    if arrays.maxval is None and key.name == "Type" and 0 <= level < len(ATTRIBUTES["Type"].values):
        words = str(ATTRIBUTES["Type"].values[level])
    return Expected(level, words, shares[value], shares, lowest)

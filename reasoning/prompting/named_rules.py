"""The rules that a language model names, where its prompt asks for them, counted as those of learners are."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from reasoning.prompting.plain_text import clean
from reasoning.prompting.text import Form, written_places

if TYPE_CHECKING:
    from datasets.arrays import PuzzleArrays
    from reasoning.outcome.metrics import RuleKey, RuleTally

__all__ = ["Named", "count_rules", "labels", "read_rules", "right", "rule_names", "still_rules"]

_LINE = re.compile(r"^[\W_]*(?:the )?rules?\b[^:=\n]{0,40}[:=](.*)$", re.IGNORECASE | re.MULTILINE)


class Named(NamedTuple):
    """A rule as a model names it.

    Attributes:
        code: of the rule; UNKNOWN where it named none.
        governed: code into ``datasets.GOVERNED``, of what is governed among the filled places of a grid.
    """

    code: int
    governed: int


def read_rules(text: str, count: int, names: Mapping[str, int]) -> list[Named] | None:
    """The rules that an answer names.

    Args:
        text: free text; the last line that begins with "rules" and a colon counts.
        count: how many rules were asked for.
        names: name in lower case, words apart -> code.

    Returns:
        As many rules; None: there is no such line, or it names more or fewer.
    """
    from datasets.arrays import BOTH, NUMBER, POSITION, UNKNOWN

    lines = _LINE.findall(clean(text))
    words = re.split(r"[,;|/]", lines[-1]) if lines else []
    if len(words) != count:
        return None
    found = []
    for word in words:
        plain = " ".join(re.findall(r"[^\W\d_]+", word.lower()))
        codes = {code for name, code in names.items() if re.search(rf"\b{re.escape(name)}\b", plain)}
        refused = re.search(r"\b(?:not|or|unknown|maybe|perhaps)\b", plain)
        governed = NUMBER if "number" in plain.split() else POSITION if "position" in plain.split() else BOTH
        found.append(Named(codes.pop() if len(codes) == 1 and not refused else UNKNOWN, governed))
    return found


def rule_names(arrays: PuzzleArrays) -> dict[str, int]:
    """The rules that prompts list: name in words -> code."""
    return {rule.name.replace("_", " ").lower(): rule.code for rule in arrays.grammar}


def labels(arrays: PuzzleArrays, form: Form, item: int) -> list[Named]:
    """The rules of one puzzle as its generator drew them, in the order in which a prompt asks for them.

    Args:
        arrays: the puzzles.
        form: how they are written.
        item: which puzzle.

    Returns:
        One for each place; ``code`` is UNKNOWN for noise.
    """
    from datasets.arrays import BOTH, RULE_SLOTS, UNKNOWN

    found = []
    for component, slot in written_places(arrays, form, item):
        part = arrays.components[component]
        if slot not in RULE_SLOTS:
            found.append(Named(UNKNOWN, BOTH))
            continue
        column = RULE_SLOTS.index(slot)
        found.append(Named(int(part.rules[item, column]), int(part.governed[item]) if column == 0 else BOTH))
    return found


def still_rules(arrays: PuzzleArrays) -> list[int]:
    """Codes of the rules that govern number and position alike, so that which of them need not be said."""
    from datasets.arrays import RULE_SLOTS

    return [rule.code for rule in arrays.grammar if RULE_SLOTS[0] in rule.governs]


def right(named: Named, label: Named, still: Sequence[int]) -> bool:
    """Whether a rule is named as its generator drew it.

    Args:
        named: what was said.
        label: the generator's.
        still: of :func:`still_rules`.
    """
    return named.code == label.code and (label.code in still or named.governed == label.governed)


def count_rules(
    arrays: PuzzleArrays, form: Form, texts: Sequence[str | None], marks: Sequence[bool]
) -> Mapping[RuleKey, RuleTally]:
    """The counts of rules as :func:`reasoning.outcome.metrics.observe` makes them.

    Args:
        arrays: N puzzles.
        form: how they were written.
        texts: N answers; None where there is none.
        marks: N, whether the answers are right.

    Returns:
        The detailed table.
    """
    import torch

    from datasets.arrays import BOTH, CANDIDATES, POSITION, UNKNOWN
    from reasoning.learners.base import Prediction
    from reasoning.outcome.metrics import observe
    from reasoning.scene import AttributeKey

    n, names = len(arrays), rule_names(arrays)
    keys = [
        AttributeKey(component, name)
        for component, slot in dict.fromkeys(written_places(arrays, form, 0))
        for name in slot.split("/")
        if not slot.startswith("Confounder")
    ]
    columns = {key: column for column, key in enumerate(keys)}
    families = torch.full((n, len(keys)), UNKNOWN, dtype=torch.int8)
    governed = torch.full((n, len(arrays.components)), BOTH, dtype=torch.int8)
    for item, text in enumerate(texts):
        places = written_places(arrays, form, item)
        found = None if text is None else read_rules(text, len(places), names)
        for (component, slot), rule in zip(places, found or (), strict=found is not None):
            for name in slot.split("/"):
                if (column := columns.get(AttributeKey(component, name))) is not None:
                    families[item, column] = rule.code
            if "/" in slot:
                governed[item, component] = rule.governed
    for component, part in enumerate(arrays.components):
        if part.slots > 1:  # a constant rule, and none named, govern nothing in particular
            constant = [rule.code for rule in arrays.grammar if rule.constant]
            column = columns[AttributeKey(component, "Position")]
            vague = (governed[:, component] == BOTH) & ~torch.isin(families[:, column], torch.tensor(constant))
            governed[vague, component] = POSITION
            families[vague, column] = UNKNOWN
    chosen = np.where(np.asarray(marks, dtype=np.bool_), arrays.target, (arrays.target + 1) % CANDIDATES)
    scores = torch.nn.functional.one_hot(torch.from_numpy(chosen.astype(np.int64)), CANDIDATES).float()
    empty = torch.zeros(n, len(keys))
    prediction = Prediction(
        scores=scores, keys=tuple(keys), rule_index=empty.long(), rule_weights=empty[..., None],
        agreement=torch.zeros(n, len(keys), CANDIDATES), confidence=empty, families=families, governed=governed,
    )  # fmt: skip
    return observe(arrays, prediction).rules

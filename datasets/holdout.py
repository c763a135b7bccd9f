"""Attribute-rule pairs that are held out: training never shows them, the test shows nothing else.

Reference: Hersche et al., "Probabilistic abduction for visual abstract reasoning via learning rules in vector-symbolic
architectures", 2023 (eleven pairs of center: Type, Size and Color with each of their rules).
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, NamedTuple

from vsa.errors import SettingsError, UnknownNameError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .arrays import PuzzleArrays

__all__ = ["ATTRIBUTES", "Pair", "draw", "follows", "parse", "select"]

ATTRIBUTES = ("Number/Position", "Number", "Position", "Type", "Size", "Color")
_WHAT = "setting dataset.holdout"
_RARE = 100  # puzzles looked at for each one wanted (and a thousand more) before a pair counts as never occurring


class Pair(NamedTuple):
    """An attribute and the rule that governs it, by their published names."""

    attribute: str
    rule: str

    def __str__(self) -> str:
        return f"{self.attribute}/{self.rule}"


def parse(text: str, rules: Collection[str] | None = None) -> Pair:
    """A pair from its name.

    Args:
        text: ``Type/Progression``; attributes are those of :data:`ATTRIBUTES`.
        rules: names of those that may be at work; None: of every data set.

    Returns:
        The pair.

    Raises:
        SettingsError: not of that form.
        UnknownNameError: no such attribute or rule.
    """
    from .data_sets import listed_rules

    attribute, slash, rule = text.rpartition("/")
    if not slash:
        raise SettingsError(
            _WHAT, received=repr(text), expected="ATTRIBUTE/RULE", hint="for example dataset.holdout=Type/Progression"
        )
    known_rules = tuple(listed_rules() if rules is None else rules)
    for name, known, kind in ((attribute, ATTRIBUTES, "attribute"), (rule, known_rules, "rule")):
        if name not in known:
            raise UnknownNameError(_WHAT, name=name, known=known, kind=kind)
    return Pair(attribute, rule)


def follows(pair: Pair, arrays: PuzzleArrays) -> NDArray[np.bool_]:
    """Which puzzles have a component in which the pair is at work.

    Args:
        pair: the pair.
        arrays: N puzzles.

    Returns:
        bool (N,).
    """
    import numpy as np

    from .arrays import GOVERNED, RULE_SLOTS
    from .rules import rule_code

    slot = pair.attribute if pair.attribute in RULE_SLOTS else RULE_SLOTS[0]
    found = np.zeros(len(arrays), dtype=np.bool_)
    for component in arrays.components:
        if slot == RULE_SLOTS[0] and component.slots == 1:  # a single entity has no such rule
            continue
        at_work = component.rules[:, RULE_SLOTS.index(slot)] == rule_code(pair.rule)
        if pair.attribute != slot:
            at_work &= component.governed == GOVERNED.index(pair.attribute)
        found |= at_work
    return found


def select(pair: Pair, arrays: PuzzleArrays, only: bool) -> PuzzleArrays:
    """The puzzles with the pair, or those without.

    Args:
        pair: the pair.
        arrays: N puzzles.
        only: whether to keep those with it.
    """
    return arrays[follows(pair, arrays) == only]


def draw(pair: Pair, n: int, only: bool, load: Callable[[int], PuzzleArrays]) -> PuzzleArrays:
    """The first n puzzles with (or without) the pair: a function of the sequence alone, however much is looked at.

    Args:
        pair: the pair.
        n: how many.
        only: whether those with it are wanted.
        load: gives the first k puzzles of a sequence.

    Returns:
        n puzzles.

    Raises:
        SettingsError: there are none.
    """
    count = n
    while True:
        kept = select(pair, load(count), only)
        if len(kept) >= n:
            return kept[:n]
        most = _RARE * n + 1000
        if count >= most:
            raise SettingsError(
                f"{_WHAT}={pair}",
                received=f"{len(kept)} of {count} puzzles {'with' if only else 'without'} it",
                expected=f"{n}",
                hint="this constellation may not have the pair",
            )
        count = min(most, count * 10, 1 + int(1.1 * count * n / max(len(kept), 1)))

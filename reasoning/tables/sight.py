"""The table of what a front-end sees."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from operator import add

from reasoning.outcome.metrics import Tally
from reasoning.outcome.sight import Sight
from reasoning.tables.tables import short_name
from vsa.commands import Grid

__all__ = ["sight_table"]


def sight_table(found: Mapping[str, Sight]) -> Grid:
    """One row for each puzzle set.

    Args:
        found: puzzle set -> counts.

    Returns:
        Panels all right; the same with sizes that have the same pixels counted as one; each attribute; calibration.
    """
    names = next(iter(found.values())).attributes
    heads = ("panels", "like sizes merged", *names, "layout", "nats a panel", "ECE")
    grid = Grid("What is seen rightly, in %", heads, emphasis=heads[:2])
    for name, sight in found.items():
        grid.add(short_name(name), _cells(sight))
    if len(found) > 1:
        grid.add("all", _cells(reduce(add, found.values())))
    return grid


def _cells(sight: Sight) -> list[str]:
    tallies = (sight.panels, sight.merged, *sight.attributes.values(), sight.layouts)
    error = sight.certainty.error
    return [*map(_percent, tallies), f"{sight.nats:.4f}", "" if error is None else f"{100 * error:.3f}"]


def _percent(tally: Tally) -> str:
    return "" if tally.percent is None else f"{tally.percent:.2f}"

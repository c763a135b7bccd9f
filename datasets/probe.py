"""``python -m datasets.probe``: what answer sets give away without their matrices."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

from vsa.commands import quoted, run_command, schema, show
from vsa.commands.schema import Between, Seed
from vsa.errors import SettingsError, UnknownNameError

from .constellations import CONSTELLATIONS
from .data_sets import DATA_SETS
from .judging.context_blind import Network, majority_vote
from .making.generation import generate

_KINDS = {"n": Annotated[int, Between(1, 10**7)], "seed": Seed}
_DIGITS = 20

__all__ = ["main", "probe"]

USAGE = """python -m datasets.probe [n=1000] [seed=0] [dataset=NAME]

Prints the accuracy of two solvers that see the eight candidates only: a majority vote, and a small network trained on
n other puzzles. Chance is 12.5 %. Without a data set: those that have all constellations."""


def probe(dataset: str, constellation: str, n: int, seed: int) -> tuple[float, float]:
    """Both probes on one constellation.

    Args:
        dataset: name of a registered data set.
        constellation: a published or a short name.
        n: puzzles to learn from, and as many to test.
        seed: of puzzles and network.

    Returns:
        Accuracy of the majority vote and of the network.
    """
    learned = generate(dataset, constellation, n=n, seed=seed)
    tested = generate(dataset, constellation, n=n, seed=seed, start=n)
    return majority_vote(tested), Network(seed).fit(learned).accuracy(tested)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command.

    Args:
        arguments: by default those of the process.

    Returns:
        0, or 2 for a mistake of the user.
    """
    return run_command(_run, arguments, USAGE)


def _run(given: list[str]) -> None:
    from rich.table import Column, Table

    settings = {"n": 1000, "seed": 0}
    every = [DATA_SETS.get(name) for name in DATA_SETS.names()]
    shown = [data for data in every if data.constellations == tuple(CONSTELLATIONS)]
    for argument in given:
        key, _, value = argument.partition("=")
        if key == "dataset" and value in DATA_SETS:
            shown = [DATA_SETS.get(value)]
            continue
        if key == "dataset":
            raise UnknownNameError("probe puzzles", name=value, known=DATA_SETS.names(), kind="data set")
        if key not in settings or not (value.isdecimal() and value.isascii()) or len(value) > _DIGITS:
            expected = "n=1000, seed=0 or dataset=NAME"
            raise SettingsError(f"argument {quoted(argument)}", expected=expected, hint="see --help")
        settings[key] = schema.coerce(_KINDS[key], int(value), key)
    heads = (f"{data.label or data.name} {kind}" for data in shown for kind in ("vote", "network"))
    table = Table(Column("%", no_wrap=True), *heads)
    for name, constellation in CONSTELLATIONS.items():
        having = [data for data in shown if name in data.constellations]
        cells = [f"{100 * value:.1f}" for data in having for value in probe(data.name, name, **settings)]
        if cells:
            table.add_row(constellation.short, *cells)
    show(table)


if __name__ == "__main__":
    sys.exit(main())

"""``python -m datasets.probe``: what answer sets give away without their matrices, for all three data sets."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from vsa.errors import SettingsError, VSAError

from .constellations import CONSTELLATIONS
from .context_blind import Network, majority_vote
from .generation import generate

__all__ = ["main", "probe"]

USAGE = """python -m datasets.probe [n=1000] [seed=0]

Prints the accuracy of two solvers that see the eight candidates only: a majority vote, and a small network trained on
n other puzzles. Chance is 12.5 %."""
DATA_SETS = {"raven": "RAVEN", "iraven": "I-RAVEN", "raven_fair": "FAIR"}


def probe(dataset: str, constellation: str, n: int, seed: int) -> tuple[float, float]:
    """Both probes on one constellation.

    Args:
        dataset: raven, iraven or raven_fair.
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
    from rich.console import Console
    from rich.table import Column, Table

    given = list(sys.argv[1:] if arguments is None else arguments)
    console = Console(highlight=False)
    if {"-h", "--help"} & set(given):
        console.print(USAGE, markup=False)
        return 0
    try:
        settings = {"n": 1000, "seed": 0}
        for argument in given:
            key, _, value = argument.partition("=")
            if key not in settings or not value.isdecimal() or (key == "n" and int(value) < 1):
                raise SettingsError(f"argument {argument!r}", expected="n=1000 or seed=0", hint="see --help")
            settings[key] = int(value)
        heads = (f"{label} {kind}" for label in DATA_SETS.values() for kind in ("vote", "network"))
        table = Table(Column("%", no_wrap=True), *heads)
        for name, constellation in CONSTELLATIONS.items():
            cells = [f"{100 * value:.1f}" for dataset in DATA_SETS for value in probe(dataset, name, **settings)]
            table.add_row(constellation.short, *cells)
        console.print(table)
    except VSAError as error:
        Console(stderr=True, soft_wrap=True).print(str(error), markup=False)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

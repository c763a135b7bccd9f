"""One entry to all generators."""

from __future__ import annotations

import operator

import numpy as np

from vsa.errors import DtypeError, SettingsError, UnknownNameError, VSAError

from ..arrays import PuzzleArrays
from ..constellations import resolve_constellation
from ..data_sets import DATA_SETS

__all__ = ["MOST_NUMBER", "generate"]

MOST_NUMBER = 10**18  # numbers have at most 18 digits in the names of files


def generate(
    name: str,
    constellation: str = "center_single",
    *,
    n: int,
    seed: int = 0,
    start: int = 0,
    columns: int = 3,
    maxval: int | None = None,
    confounders: int = 0,
) -> PuzzleArrays:
    """Makes puzzles; the same call gives the same puzzles on any machine.

    Puzzle k of a seed does not depend on n, start or what else is generated: ``generate(n=100)[37:38]`` equals
    ``generate(start=37, n=1)``.

    Args:
        name: raven, iraven, raven_fair, iraven_x, or another registered data set.
        constellation: a published or a short name.
        n: how many, at least 1.
        seed: any integer.
        start: the first puzzle's place in the seed's sequence.
        columns: of the matrix (iraven_x and its like).
        maxval: the value range (iraven_x and its like, 1000 by default).
        confounders: attributes without a rule (iraven_x and its like).

    Returns:
        The puzzles.

    Raises:
        UnknownNameError: no such dataset or constellation.
        SettingsError: an option that the dataset does not have.
        VSAError: a number out of range.
    """
    if name not in DATA_SETS:
        raise UnknownNameError("generate puzzles", name=name, known=DATA_SETS.names(), kind="data set")
    data = DATA_SETS.get(name)
    for label, value, least in (("n", n, 1), ("start", start, 0), ("seed", seed, None)):
        try:
            number = operator.index(value)
        except TypeError:
            raise DtypeError(f"generate {name}", received=f"{label}={value!r}", expected="an integer") from None
        if least is not None and number < least:
            raise VSAError(f"generate {name}", received=f"{label}={number}", expected=f"at least {least}")
    if start + n > MOST_NUMBER:
        raise VSAError(f"generate {name}", received=f"start={start}, n={n}", expected="numbers below 10 ** 18")
    place = resolve_constellation(constellation)
    index = np.arange(start, start + n, dtype=np.int64)
    if place not in data.constellations:
        raise SettingsError(
            f"generate {name}", received=f"constellation {constellation!r}", expected=", ".join(data.constellations)
        )
    data.check_options(f"generate {name}", columns, maxval, confounders)
    extent = {"columns": columns, "maxval": data.maxval if maxval is None else maxval, "confounders": confounders}
    return data.generate(place, index, seed, **(extent if data.ranged else {}))

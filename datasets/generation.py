"""One entry to all generators."""

from __future__ import annotations

import operator

import numpy as np

from vsa.errors import DtypeError, SettingsError, UnknownNameError, VSAError

from .arrays import PuzzleArrays
from .constellations import resolve_constellation
from .iraven_x import generate_iraven_x
from .raven import ANSWER_SETS, generate_raven

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
        name: raven, iraven, raven_fair or iraven_x.
        constellation: a published or a short name.
        n: how many, at least 1.
        seed: any integer.
        start: the first puzzle's place in the seed's sequence.
        columns: of the matrix (iraven_x only).
        maxval: the value range (iraven_x only, 1000 by default).
        confounders: attributes without a rule (iraven_x only).

    Returns:
        The puzzles.

    Raises:
        UnknownNameError: no such dataset or constellation.
        SettingsError: an option that the dataset does not have.
        VSAError: a number out of range.
    """
    known = (*ANSWER_SETS, "iraven_x")
    if name not in known:
        raise UnknownNameError("generate puzzles", name=name, known=known, kind="dataset")
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
    if name == "iraven_x":
        if place != "center_single":
            raise SettingsError(
                "generate iraven_x", received=f"constellation {constellation!r}", expected="center_single"
            )
        return generate_iraven_x(index, seed, columns, 1000 if maxval is None else maxval, confounders)
    if columns != 3 or maxval is not None or confounders:
        raise SettingsError(
            f"generate {name}",
            received=f"columns={columns}, maxval={maxval}, confounders={confounders}",
            expected="columns=3 and neither maxval nor confounders",
            hint="these are options of iraven_x",
        )
    return generate_raven(name, place, index, seed)

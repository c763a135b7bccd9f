"""What is wrong with files, one by one: raised at once, or gathered while the others are read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vsa.errors import CorruptFileError, VSAError

from ..arrays import PuzzleArrays
from ..judging.possible import contradictions

__all__ = ["Fault", "consistent", "gathered"]


@dataclass(frozen=True)
class Fault:
    """What is wrong with a file.

    Args:
        path: the file.
        error: the sentence.
    """

    path: Path
    error: VSAError


@contextmanager
def gathered(faults: list[Fault] | None, path: Path) -> Iterator[None]:
    """Lets a block fail for one file or puzzle without stopping the others.

    Args:
        faults: where its error goes; None: it is raised.
        path: the file.
    """
    try:
        yield
    except VSAError as error:
        if faults is None:
            raise
        faults.append(Fault(path, error))


def consistent(
    arrays: PuzzleArrays, paths: Sequence[Path], sound: NDArray[np.bool_], faults: list[Fault] | None
) -> PuzzleArrays:
    """Those puzzles whose labels agree with one another: the answer, and it alone, follows the rules.

    Args:
        arrays: N puzzles.
        paths: N files, or the one that holds all.
        sound: bool (N,), False for those that were found faulty before.
        faults: where faults go; None: the first is raised.

    Returns:
        The sound ones.

    Raises:
        CorruptFileError: the answer breaks a rule, another candidate follows them too, or the grammar has no such rule.
    """
    sound = sound.copy()
    for kind, bad in contradictions(arrays).items():
        for i in np.flatnonzero(bad & sound).tolist():
            path = paths[i % len(paths)]
            with gathered(faults, path):
                sound[i] = False
                raise CorruptFileError(
                    f"read {path}, puzzle {arrays.index[i]}",
                    received=f"target {arrays.target[i]} and labels that contradict each other: {kind}",
                    expected="exactly one candidate that follows the rules, the target",
                    hint="copy or make it again; python -m datasets.check DIR lists all such files",
                )
    return arrays if sound.all() else arrays[sound]

"""RAVEN, I-RAVEN and RAVEN-FAIR puzzles as arrays: the same matrices, three kinds of answer sets.

Reference:
    Zhang et al. 2019, "RAVEN"; Hu et al. 2021 (I-RAVEN); Benny et al. 2021, "Scale-Localized Abstract Reasoning"
    (RAVEN-FAIR).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from vsa.errors import UnknownNameError

from .answers import AnswerSet
from .arrays import ComponentArrays, PuzzleArrays
from .constellations import CONSTELLATIONS, Component
from .distractors import bisect
from .growing import grow_fair, grow_original
from .sampling import Matrix, sample_component
from .streams import Stream

__all__ = ["ANSWER_SETS", "generate_raven"]

Maker = Callable[[Stream, Sequence[Matrix], Sequence[Component]], AnswerSet]
ANSWER_SETS: dict[str, Maker] = {"raven": grow_original, "iraven": bisect, "raven_fair": grow_fair}

_CHUNK = 4096  # puzzles at a time: the arrays of a chunk stay in the cache


def generate_raven(name: str, constellation: str, index: np.ndarray, seed: int) -> PuzzleArrays:
    """Makes puzzles.

    Args:
        name: raven, iraven or raven_fair.
        constellation: a published name.
        index: int64 (N,), which puzzles of the seed's sequence.
        seed: the run's seed.

    Returns:
        The puzzles, each depending on (seed, name, constellation, its index) alone.
    """
    if name not in ANSWER_SETS:
        raise UnknownNameError("generate puzzles", name=name, known=ANSWER_SETS, kind="dataset")
    if len(index) > _CHUNK:
        chunks = [index[k : k + _CHUNK] for k in range(0, len(index), _CHUNK)]
        return PuzzleArrays.concatenate([generate_raven(name, constellation, chunk, seed) for chunk in chunks])
    layouts = CONSTELLATIONS[constellation].components
    stream = Stream(seed, (name, constellation), index)
    matrices = [sample_component(stream, layout) for layout in layouts]
    answers = ANSWER_SETS[name](stream, matrices, layouts)
    components = []
    for matrix, candidates in zip(matrices, answers.components, strict=True):
        attributes = {
            key: np.concatenate([levels[:, :8], candidates.attributes[key].astype(np.int16)], axis=1)
            for key, levels in matrix.attributes.items()
        }
        components.append(
            ComponentArrays(
                exists=np.concatenate([matrix.exists[:, :8], candidates.exists], axis=1),
                attributes=attributes,
                uniformity=np.repeat(matrix.uniformity[:, None], 16, axis=1),
                rules=matrix.rules,
                governed=matrix.governed,
                parameters=matrix.parameters,
            )
        )
    return PuzzleArrays(
        dataset=name,
        constellation=constellation,
        columns=3,
        maxval=None,
        components=tuple(components),
        target=answers.target.astype(np.int8),
        index=np.asarray(index, dtype=np.int64),
        modified=answers.modified,
    )

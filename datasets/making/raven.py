"""RAVEN, I-RAVEN and RAVEN-FAIR puzzles as arrays: the same matrices, three kinds of answer sets.

Reference:
    Zhang et al. 2019, "RAVEN"; Hu et al. 2021 (I-RAVEN); Benny et al. 2021, "Scale-Localized Abstract Reasoning"
    (RAVEN-FAIR).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from ..arrays import ComponentArrays, PuzzleArrays
from ..constellations import CONSTELLATIONS, Component
from ..data_sets import DATA_SETS, DataSet
from ..streams import Stream
from .answers import AnswerSet
from .distractors import bisect
from .growing import grow_fair, grow_original
from .sampling import Matrix, sample_component

__all__ = ["generate_raven", "raven_like"]

Maker = Callable[[Stream, Sequence[Matrix], Sequence[Component]], AnswerSet]
_CHUNK = 4096  # puzzles at a time: the arrays of a chunk stay in the cache


def generate_raven(answer_set: Maker, data: DataSet, constellation: str, index: np.ndarray, seed: int) -> PuzzleArrays:
    """Makes puzzles.

    Args:
        answer_set: makes the candidates.
        data: the data set, for its name and its rules.
        constellation: a published name.
        index: int64 (N,), which puzzles of the seed's sequence.
        seed: the run's seed.

    Returns:
        The puzzles, each depending on (seed, the data set's name and rules, constellation, its index) alone.
    """
    if len(index) > _CHUNK:
        chunks = [index[k : k + _CHUNK] for k in range(0, len(index), _CHUNK)]
        return PuzzleArrays.concatenate(
            [generate_raven(answer_set, data, constellation, chunk, seed) for chunk in chunks]
        )
    layouts = CONSTELLATIONS[constellation].components
    stream = Stream(seed, (data.name, constellation), index)
    grammar = data.grammar
    matrices = [sample_component(stream, layout, grammar) for layout in layouts]
    answers = answer_set(stream, matrices, layouts)
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
        dataset=data.name,
        constellation=constellation,
        columns=3,
        maxval=None,
        components=tuple(components),
        target=answers.target.astype(np.int8),
        index=np.asarray(index, dtype=np.int64),
        modified=answers.modified,
    )


def raven_like(answer_set: Maker) -> Callable[..., PuzzleArrays]:
    """How a data set with RAVEN's matrices is made.

    Args:
        answer_set: makes the candidates.

    Returns:
        For ``DataSet.make``.
    """
    return partial(generate_raven, answer_set)


DATA_SETS.register("raven")(DataSet("raven", raven_like(grow_original), near=True, marked=False, label="RAVEN"))
DATA_SETS.register("iraven")(DataSet("iraven", raven_like(bisect), tree=True, label="I-RAVEN"))
DATA_SETS.register("raven_fair")(DataSet("raven_fair", raven_like(grow_fair), label="FAIR"))

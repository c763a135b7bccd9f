"""What an answer set gives away to somebody who never looks at the matrix.

Two probes. The majority vote scores a candidate by how many candidates share its value, for every attribute. The small
network sees nothing but how the candidates compare with one another, and learns: a linear score of each candidate's
counts, trained by maximum likelihood over the eight. One in eight is what chance gives.

Reference:
    Hu et al. 2021 (I-RAVEN), who showed the shortcut in RAVEN; Benny et al. 2021 (RAVEN-FAIR).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vsa.errors import VSAError

from ..arrays import CANDIDATES, PuzzleArrays
from ..panels import attribute_keys

__all__ = ["Network", "majority_vote", "shared_counts"]

Counts = NDArray[np.int64]
_HIDDEN, _STEPS, _RATE = 16, 400, 0.05


def shared_counts(arrays: PuzzleArrays) -> Counts:
    """How many candidates share each candidate's value.

    Args:
        arrays: N puzzles.

    Returns:
        int64 (N, 8, A), 1 to 8 for each attribute: Type, Size, Color of each component, in grids the set of slots and
        the number of entities. A panel's value is the levels of its entities in the order of their slots.
    """
    columns = []
    for c, name in attribute_keys(arrays, confounders=False):
        component = arrays.components[c]
        exists = component.exists[:, arrays.context :]
        if name == "Number":
            values = [exists, exists.sum(axis=-1, keepdims=True)]
        else:
            levels = np.where(exists, component.attributes[name][:, arrays.context :], -1)
            first = np.argsort(~exists, axis=-1, kind="stable")  # the slots taken, then the others
            values = [np.take_along_axis(levels, first, axis=-1)]
        columns += [(v[:, :, None] == v[:, None, :]).all(axis=-1).sum(axis=2) for v in values]
    return np.stack(columns, axis=-1)


def majority_vote(arrays: PuzzleArrays) -> float:
    """The accuracy of the candidate that shares most; ties are shared.

    Args:
        arrays: N puzzles.

    Returns:
        The expected share of right answers.
    """
    votes = shared_counts(arrays).sum(axis=-1)
    best = votes == votes.max(axis=1, keepdims=True)
    right = best[np.arange(len(arrays)), arrays.target.astype(np.int64)]
    return float((right / best.sum(axis=1)).mean())


@dataclass
class Network:
    """One hidden layer over a candidate's counts, a softmax over the eight candidates; trained by Adam.

    Args:
        seed: of the first weights.
        hidden: width.
    """

    seed: int = 0
    hidden: int = _HIDDEN

    def fit(self, arrays: PuzzleArrays, steps: int = _STEPS) -> Network:
        """Learns from puzzles.

        Args:
            arrays: N puzzles.
            steps: of the optimiser, each over all of them.

        Returns:
            Itself.
        """
        x, target = self._inputs(arrays), arrays.target.astype(np.int64)
        generator = np.random.default_rng(self.seed)
        width = x.shape[-1]
        self._weights = [
            generator.normal(0, width**-0.5, (width, self.hidden)),
            np.zeros(self.hidden),
            generator.normal(0, self.hidden**-0.5, (self.hidden,)),
        ]
        first = [np.zeros_like(w) for w in self._weights]
        second = [np.zeros_like(w) for w in self._weights]
        onehot = np.eye(CANDIDATES)[target]
        for step in range(1, steps + 1):
            active = np.tanh(x @ self._weights[0] + self._weights[1])
            scores = active @ self._weights[2]
            chances = np.exp(scores - scores.max(axis=1, keepdims=True))
            chances /= chances.sum(axis=1, keepdims=True)
            error = (chances - onehot) / len(x)
            inner = error[..., None] * self._weights[2] * (1 - active**2)
            slopes = [np.einsum("nkw,nkh->wh", x, inner), inner.sum((0, 1)), np.einsum("nk,nkh->h", error, active)]
            for k, slope in enumerate(slopes):
                first[k] = 0.9 * first[k] + 0.1 * slope
                second[k] = 0.999 * second[k] + 0.001 * slope**2
                ahead = first[k] / (1 - 0.9**step) / (np.sqrt(second[k] / (1 - 0.999**step)) + 1e-8)
                self._weights[k] = self._weights[k] - _RATE * ahead
        return self

    def accuracy(self, arrays: PuzzleArrays) -> float:
        """The share of right answers; ties are shared.

        Args:
            arrays: N puzzles of the constellation it learned.

        Returns:
            0 to 1.

        Raises:
            VSAError: it has not learned yet.
        """
        if not hasattr(self, "_weights"):
            raise VSAError("accuracy of a probe", received="a network that has learned nothing", hint="call fit first")
        scores = np.tanh(self._inputs(arrays) @ self._weights[0] + self._weights[1]) @ self._weights[2]
        best = scores > scores.max(axis=1, keepdims=True) - 1e-9
        right = best[np.arange(len(arrays)), arrays.target.astype(np.int64)]
        return float((right / best.sum(axis=1)).mean())

    @staticmethod
    def _inputs(arrays: PuzzleArrays) -> NDArray[np.float64]:
        counts = shared_counts(arrays)
        total = counts.sum(axis=-1, keepdims=True)
        return np.concatenate([counts, total], axis=-1) / CANDIDATES - 0.5

"""Whether certainty means what it says: answers counted by how certain they were, and answers withheld.

Reference: Naeini, Cooper, Hauskrecht, "Obtaining well calibrated probabilities using Bayesian binning", AAAI 2015 (the
expected calibration error); Guo et al., "On calibration of modern neural networks", ICML 2017 (15 bins).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vsa.errors import SettingsError, ShapeError, VSAError

if TYPE_CHECKING:
    from reasoning.learners.base import Learner

__all__ = ["BINS", "Reliability", "check_abstain", "uncalibrated"]

BINS = 15  # of equal width; bin k holds certainties above k / 15, up to and with (k + 1) / 15
_UNITS = 10**9  # certainties are added as whole billionths: the order in which workers finish changes nothing
_NONE = (0,) * BINS


@dataclass(frozen=True)
class Reliability:
    """Answers by how certain they were. ``a + b`` is what counting both at once would have given.

    Attributes:
        total: answers in each bin.
        correct: right ones among them.
        billionths: the sum of their certainties, each rounded to a whole billionth.
    """

    total: tuple[int, ...] = _NONE
    correct: tuple[int, ...] = _NONE
    billionths: tuple[int, ...] = _NONE

    def __post_init__(self) -> None:
        parts = (self.correct, self.total, self.billionths)
        fits = all(len(part) == BINS for part in parts) and all(
            0 <= right <= count and 0 <= certain <= count * _UNITS for right, count, certain in zip(*parts, strict=True)
        )
        if not fits:
            raise VSAError(
                "Reliability",
                received=str(self),
                expected=f"{BINS} bins with 0 <= correct <= total and certainties from 0 to 1",
            )

    @staticmethod
    def of(certainty: NDArray[np.floating[Any]], right: NDArray[np.bool_]) -> Reliability:
        """Count answers.

        Args:
            certainty: (B,) the probability of each that it is right.
            right: (B,) whether it is.

        Returns:
            The counts.

        Raises:
            ShapeError: not one certainty for each answer.
            VSAError: one that is no probability.
        """
        if certainty.shape != right.shape or certainty.ndim != 1:
            raise ShapeError(
                "Reliability.of", received=f"{certainty.shape} and {right.shape}", expected="(B,) and (B,)"
            )
        if not bool(((certainty >= 0) & (certainty <= 1)).all()):
            raise VSAError("Reliability.of", received="a certainty that is no probability", expected="from 0 to 1")
        units = np.rint(certainty.astype(np.float64) * _UNITS).astype(np.int64)
        bins = np.maximum((units * BINS - 1) // _UNITS, 0)
        sums = np.zeros((3, BINS), dtype=np.int64)
        for row, values in zip(sums, (np.ones_like(units), right.astype(np.int64), units), strict=True):
            np.add.at(row, bins, values)
        total, correct, billionths = (tuple(row) for row in sums.tolist())
        return Reliability(total, correct, billionths)

    def __add__(self, other: Reliability) -> Reliability:
        def added(one: tuple[int, ...], two: tuple[int, ...]) -> tuple[int, ...]:
            return tuple(a + b for a, b in zip(one, two, strict=True))

        return Reliability(
            added(self.total, other.total),
            added(self.correct, other.correct),
            added(self.billionths, other.billionths),
        )

    @property
    def count(self) -> int:
        """Answers; none where the learner does not say how certain it is."""
        return sum(self.total)

    @property
    def mean(self) -> float | None:
        """Mean certainty."""
        return sum(self.billionths) / _UNITS / self.count if self.count else None

    @property
    def error(self) -> float | None:
        """The expected calibration error: how far certainty and share of right answers are apart, on average.

        Chance alone keeps it above zero: by up to .4 sqrt(K / n) where n answers are spread over K bins.
        """
        if not self.count:
            return None
        apart = (abs(right - certain / _UNITS) for right, certain in zip(self.correct, self.billionths, strict=True))
        return sum(apart) / self.count

    def above(self, edge: int) -> tuple[int, int]:
        """Right answers, and answers, with a certainty above ``edge / 15``."""
        return sum(self.correct[edge:]), sum(self.total[edge:])

    def bins(self) -> list[tuple[float, int, int]]:
        """Of each bin that holds answers: mean certainty, right answers, answers."""
        parts = zip(self.billionths, self.correct, self.total, strict=True)
        return [(certain / _UNITS / count, right, count) for certain, right, count in parts if count]

    def as_dict(self) -> dict[str, list[int]]:
        """The JSON form."""
        return {name: list(getattr(self, name)) for name in self.__dataclass_fields__}

    @staticmethod
    def from_dict(stored: Any) -> Reliability:
        """Back from the JSON form.

        Raises:
            KeyError: a row is missing.
            TypeError: something else than whole numbers.
            VSAError: impossible counts.
        """
        rows = [tuple(stored[name]) for name in Reliability.__dataclass_fields__]
        if any(type(value) is not int for row in rows for value in row):
            raise TypeError(f"{str(stored)[:80]} for counts of certainty")
        return Reliability(*rows)


def check_abstain(abstain: float | None) -> None:
    """Refuse what is no threshold.

    Args:
        abstain: the certainty below which answers are withheld; None: none are.

    Raises:
        SettingsError: it does not lie between 0 and 1.
    """
    if abstain is not None and not (math.isfinite(abstain) and 0 < abstain < 1):
        raise SettingsError("setting abstain", received=str(abstain), expected="between 0 and 1, as 0.99, or null")


def uncalibrated(what: str, learner: Learner) -> SettingsError:
    """What to tell whoever asks a learner how certain it is that does not say.

    Args:
        what: the setting that asks.
        learner: its scores are no log likelihoods.

    Returns:
        An error to be raised.
    """
    return SettingsError(
        f"setting {what}",
        received=f"learner {type(learner).__name__}, whose scores are no log likelihoods",
        expected="one that says how certain its answers are (Learner.calibrated)",
        hint="where a model has the setting, model.scoring=likelihood makes it one",
    )

"""Context-blind probes: they see RAVEN's shortcut and none in I-RAVEN and RAVEN-FAIR."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import datasets
from datasets.constellations import CONSTELLATIONS
from datasets.judging.context_blind import Network, majority_vote, shared_counts
from datasets.probe import main, probe
from vsa.errors import VSAError

N = 500


@pytest.mark.parametrize("constellation", CONSTELLATIONS)
def test_the_vote_is_as_right_as_in_the_original(reference_statistics: dict[str, Any], constellation: str) -> None:
    """Ours 5,000 puzzles, theirs 500 (I-RAVEN 2,000): within three standard errors of the difference."""
    for name, key in (("raven", "RAVEN"), ("iraven", "I_RAVEN")):
        table = reference_statistics[key][constellation]
        ours = majority_vote(datasets.generate(name, constellation, n=5_000, seed=3))
        error = np.sqrt(ours * (1 - ours) * (1 / 5_000 + 1 / table["n"]))
        assert abs(ours - table["context_blind_acc"]) <= 3 * error + 1e-9


@pytest.mark.parametrize("constellation", CONSTELLATIONS)
def test_raven_gives_its_answers_away_and_iraven_does_not(constellation: str) -> None:
    # 92 % in the plain grids, 100 % elsewhere; four standard errors of N = 500
    assert majority_vote(datasets.generate("raven", constellation, n=N, seed=3)) > 0.92 - 4 * np.sqrt(0.92 * 0.08 / N)
    fair = majority_vote(datasets.generate("iraven", constellation, n=N, seed=3))
    if constellation in ("center_single", "left_center_single_right_center_single"):
        assert fair == pytest.approx(1 / 8)  # all candidates tie
    assert abs(fair - 1 / 8) < 4 * np.sqrt(1 / 8 * 7 / 8 / N)  # four standard errors of chance, N = 500


def test_the_network_learns_what_is_there() -> None:
    assert probe("raven", "center", N, 0)[1] > 0.9
    assert abs(probe("iraven", "center", N, 0)[1] - 1 / 8) < 4 * np.sqrt(1 / 8 * 7 / 8 / N)


def test_counts_are_of_the_candidates_alone() -> None:
    arrays = datasets.generate("iraven", "2x2", n=20)
    counts = shared_counts(arrays)
    assert counts.min() >= 1
    assert counts.max() <= 8
    for component in arrays.components:
        component.exists[:, :8] = True
        for levels in component.attributes.values():
            levels[:, :8] = 1
    np.testing.assert_array_equal(shared_counts(arrays), counts)


def test_a_network_that_learned_nothing_says_so() -> None:
    with pytest.raises(VSAError, match="call fit first"):
        Network().accuracy(datasets.generate("iraven", n=1))


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["n=20"]) == 0
    assert "left_right" in capsys.readouterr().out
    assert main(["n=0"]) == 2
    assert "expected at least 1" in capsys.readouterr().err

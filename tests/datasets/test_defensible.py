"""Second answers that can be defended: found by completions, and the slow way, by trying every matrix."""

from __future__ import annotations

import numpy as np
import pytest

import datasets
from datasets.judging.defensible import ambiguous, defensible
from datasets.judging.possible import follows
from datasets.rules.consistency import panel_values
from datasets.rules.domains import Values

SHORT = ("center", "2x2", "3x3", "left_right", "up_down", "out_in", "out_in_grid")


@pytest.mark.parametrize("dataset", ["iraven", "raven", "raven_fair"])
@pytest.mark.parametrize("constellation", SHORT)
def test_the_answer_is_defensible(dataset, constellation):
    puzzles = datasets.generate(dataset, constellation, n=400, seed=4)
    found = defensible(puzzles)
    assert found[np.arange(400), puzzles.target].all()
    assert (follows(puzzles) <= found).all(), "whatever follows the rules that were meant"
    assert ambiguous(puzzles).sum() <= 20


@pytest.mark.parametrize(
    ("dataset", "constellation"), [("iraven", "center"), ("raven", "out_in"), ("iraven", "up_down")]
)
def test_by_trying_every_matrix(dataset, constellation):
    """Of single entities: a candidate is defensible if its matrix follows some rule in every attribute."""
    puzzles = datasets.generate(dataset, constellation, n=1500, seed=6)
    wanted = np.ones((1500, 8), dtype=bool)
    for c, layout in enumerate(puzzles.layouts):
        for name, offset in (("Type", 0), ("Size", 1), ("Color", 0)):
            values = panel_values(puzzles, c, name) + offset
            low, high = layout.range(name)
            for k in range(8):
                matrix = np.concatenate([values[:, :8], values[:, 8 + k : 9 + k]], axis=1).reshape(-1, 3, 3)
                domain = Values(low + offset, high + offset)
                rules = [rule for rule in puzzles.grammar if name in rule.governs]
                wanted[:, k] &= np.any([rule.fits(matrix, domain) for rule in rules], axis=0)
    assert (defensible(puzzles) == wanted).all()
    assert wanted.sum() > 1500, "some have a second answer"


def test_their_share():
    """About five in a thousand center puzzles of I-RAVEN."""
    count = int(ambiguous(datasets.generate("iraven", "center", n=10_000, seed=1)).sum())
    assert abs(count - 50) < 3 * 50**0.5


def test_other_labels_change_nothing():
    import dataclasses

    puzzles = datasets.generate("iraven", "out_in_grid", n=300, seed=2)
    parts = [
        dataclasses.replace(part, rules=(part.rules + 1) % 4, governed=part.governed * 0) for part in puzzles.components
    ]
    other = dataclasses.replace(puzzles, components=tuple(parts))
    assert (defensible(puzzles) == defensible(other)).all()


def test_rows_of_ten():
    puzzles = datasets.generate("iraven_x", "center", n=50, seed=0, columns=10, maxval=1000)
    assert defensible(puzzles)[np.arange(50), puzzles.target].all()


def test_the_check_lists_them(tmp_path, capsys):
    from datasets import check

    puzzles = datasets.generate("iraven", "center", n=600, seed=5)
    second = puzzles.index[ambiguous(puzzles)]
    assert len(second)
    datasets.write_json(puzzles, tmp_path / "center_single.json")
    assert check.main([str(tmp_path), "pixels=false"]) == 0
    words = " ".join(capsys.readouterr().out.split())
    assert f"{len(second)} have a second answer that can be defended" in words
    assert str(second[0]) in words

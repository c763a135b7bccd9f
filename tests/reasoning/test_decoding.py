"""Predicted product vectors, decoded by comparing with every product and by factorizers."""

from __future__ import annotations

import json

import pytest
import torch

import datasets
import vsa
from datasets.loaders import PuzzleBatch
from reasoning.learners.decoding import Decoded, check_decoder
from reasoning.learners.symbolic import Symbolic
from reasoning.perception.oracle import Oracle
from reasoning.solver import Solver
from vsa.errors import UnknownNameError, VSAError

ALGEBRA = vsa.get("gsbc", dim=1024, blocks=4)


def batch(constellation, n, seed=3, name="iraven", **options):
    return PuzzleBatch.of(datasets.generate(name, constellation, n=n, seed=seed, **options))


@pytest.mark.parametrize("decoder", ["codebook", "factorizer", "exhaustive"])
@pytest.mark.parametrize("constellation", ["center", "2x2", "left_right"])
def test_decoded_answers_are_those_of_the_prediction(decoder, constellation):
    part = batch(constellation, 60)
    found = Solver(Oracle(), Decoded(Symbolic(), ALGEBRA, decoder)).solve(part)
    assert (found.answers == part.target).sum() >= 58
    assert found.scores.shape == (60, 8)


def test_the_values_are_read_from_the_vector():
    """Every pair of sharp PMFs comes back, and of a soft one the likelier value."""
    generator = torch.Generator().manual_seed(0)
    truth = torch.stack([torch.randint(0, size, (50,), generator=generator) for size in (6, 7, 10)], dim=-1)
    pmfs = [
        torch.nn.functional.one_hot(truth[:, place], size).float() * 0.7 + 0.3 / size
        for place, size in enumerate((6, 7, 10))
    ]
    for decoder in ("codebook", "block_code"):
        assert torch.equal(Decoded(Symbolic(), ALGEBRA, decoder)._decode(pmfs), truth), decoder


def test_more_products_than_can_be_listed_are_decoded_by_factorizer():
    """I-RAVEN-X at range 100: a million products are not listed, three codebooks are."""
    part = batch("center", 12, name="iraven_x", columns=10, maxval=100)
    wide = vsa.get("gsbc", dim=4096, blocks=8)
    found = Solver(Oracle(), Decoded(Symbolic(), wide, "factorizer")).solve(part)
    assert (found.answers == part.target).all()
    with pytest.raises(VSAError, match=r"1\.06e\+06 products.*use decoder=factorizer"):
        Solver(Oracle(), Decoded(Symbolic(), wide, "codebook")).solve(part)


def test_a_candidates_score_depends_on_itself_alone():
    model = Solver(Oracle(), Decoded(Symbolic(), ALGEBRA, "factorizer"))
    scene = model.scene(batch("center", 10))
    other = {key: value.clone() for key, value in scene.pmfs.items()}
    for value in other.values():
        value[:, scene.context_panels + 1 :] = value[:, scene.context_panels + 1 :].roll(3, 1)
    changed = type(scene)(scene.columns, other, scene.sets, scene.entities)
    torch.testing.assert_close(model.learner(changed).scores[:, 0], model.learner(scene).scores[:, 0])


def test_wrong_names_are_sentences(command):
    with pytest.raises(UnknownNameError, match="codebook"):
        check_decoder("cookbook")
    code, _, error = command("benchmark", "+model=symbolic", "decoder=block_cod")
    assert code == 2
    assert "block_code" in error


def test_both_decoders_stand_in_one_table(command, tmp_path):
    out = tmp_path / "out"
    arguments = ("+model=symbolic", "constellation=center", "dataset.n=20", f"dataset.cache_dir={tmp_path / 'cache'}")
    code, screen, _ = command("benchmark", *arguments, "decoder=[none,codebook,factorizer]", f"out={out}")
    assert code == 0
    for name in ("symbolic", "symbolic-codebook", "symbolic-factorizer"):
        assert name in screen
        assert json.loads((out / name / "0" / "results.json").read_text())["center_single"]["answers"]["correct"] >= 19
    runs = json.loads((out / "table.json").read_text())["runs"]
    assert all(run["costs"]["center_single"]["seconds_per_1000"] > 0 for run in runs)
    assert "Seconds for 1,000 puzzles" in screen

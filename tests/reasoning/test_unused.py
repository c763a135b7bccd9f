"""Settings that nothing would use are refused where the user names them; the files' defaults are silent."""

from __future__ import annotations

import pytest

from reasoning import benchmark, train
from reasoning.setup import commands, training_settings
from vsa.errors import SettingsError, UnknownNameError


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["+model=symbolic", "algebra=map"], "'algebra=map': received model symbolic and perception oracle"),
        (["+model=symbolic", "algebra.dim=256"], r"'algebra.dim=256': .*expected no algebra; leave it out"),
        (["compare=[symbolic]", "algebra.dim=256"], "model symbolic and perception oracle"),
        (["+model=symbolic", "decoder=none", "algebra.dim=256"], "use no algebra"),
        (["+model=arlc", "model.training.lr=1.0"], "which does not train; expected python -m reasoning.train"),
        (["+model=arlc", "model.training={lr:1.0}"], "which does not train"),
    ],
)
def test_what_a_benchmark_would_not_use(arguments, words):
    with pytest.raises(SettingsError, match=words):
        benchmark.parse(arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        ["+model=symbolic"],
        ["+model=symbolic", "experiment=ravenx_stress_published"],  # which says algebra.dim, for any model
        ["+model=symbolic", "decoder=codebook", "algebra.dim=256"],
        ["+model=symbolic", "decoder=[none,codebook]", "algebra.dim=256"],
        ["compare=[symbolic,arlc]", "algebra.dim=256"],
        ["+model=symbolic", "perception.checkpoint=FILE", "algebra.dim=256"],  # a front-end that may have one
        ["+model=arlc", "algebra.dim=256", "model.rules=6"],
    ],
)
def test_what_it_does_use(arguments):
    assert commands.compose_settings("benchmark", arguments)["algebra"]["name"] == "gsbc"


def test_a_model_without_training_is_not_trained():
    with pytest.raises(SettingsError, match=r"\+model=symbolic: received python -m reasoning.train; .*benchmark \+mod"):
        train.parse(["+model=symbolic", "dataset.n=2"])
    composed = commands.compose_settings("train", ["+model=arlc", "model.training.epochs=2"])
    assert training_settings.parse(composed).epochs == 2


def test_an_unknown_model_is_said_to_be_unknown():
    with pytest.raises(UnknownNameError, match="symbolical"):
        benchmark.parse(["+model=symbolical", "algebra.dim=256"])

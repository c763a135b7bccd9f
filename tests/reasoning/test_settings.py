"""Settings: wrong keys, types and values are refused with a sentence; right ones come through unchanged."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import pytest

from reasoning.setup import build, commands, training_settings
from reasoning.setup.settings import BenchmarkSettings, DatasetSettings, TrainingDatasetSettings
from vsa.commands import schema
from vsa.errors import DtypeError, SettingsError, UnknownNameError


@dataclass(frozen=True)
class Inner:
    depth: int = 1


@dataclass(frozen=True)
class Sample:
    count: int
    rate: float = 0.5
    on: bool = False
    name: str | None = None
    kind: Literal["a", "b"] = "a"
    many: tuple[int, ...] = ()
    inner: Inner = field(default_factory=Inner)
    either: str | tuple[str, ...] = "x"


def test_build_and_back():
    values = {"count": 3, "rate": 1, "on": True, "name": "n", "kind": "b", "many": [1, 2], "inner": {"depth": 4}}
    built = schema.build(Sample, values)
    assert built == Sample(3, 1.0, True, "n", "b", (1, 2), Inner(4))
    assert isinstance(built.rate, float)
    assert schema.build(Sample, schema.plain(built)) == built
    assert schema.build(Sample, {"count": 1e4}).count == 10_000
    assert schema.build(Sample, {"count": 1, "either": ["p", "q"]}).either == ("p", "q")
    assert schema.build(Sample, {"count": 1, "name": 2024}).name == "2024"


@pytest.mark.parametrize(
    ("values", "error", "sentence"),
    [
        ({}, SettingsError, "setting count: received nothing; expected an integer"),
        ({"count": 1, "cuont": 2}, SettingsError, "setting cuont: received an unknown key; .*did you mean 'count'"),
        ({"count": 1.5}, DtypeError, r"setting count: received 1.5 \(a number\); expected an integer"),
        ({"count": True}, DtypeError, "setting count: received True"),
        ({"count": "3"}, DtypeError, r"received '3' \(text\); expected an integer; for example count=3"),
        ({"count": None}, DtypeError, r"received None \(null\)"),
        ({"count": 1, "rate": "x"}, DtypeError, "setting rate: received 'x'"),
        ({"count": 1, "on": "yes"}, DtypeError, "expected true or false"),
        ({"count": 1, "on": 1}, DtypeError, "expected true or false"),
        ({"count": 1, "kind": "c"}, SettingsError, "setting kind: received 'c'; expected one of a, b"),
        ({"count": 1, "many": [1, "x"]}, DtypeError, r"setting many\[1\]"),
        ({"count": 1, "many": 3}, DtypeError, "expected a list of values, each an integer"),
        ({"count": 1, "inner": {"dpeth": 1}}, SettingsError, "setting inner.dpeth: .*did you mean 'depth'"),
        ({"count": 1, "inner": 3}, DtypeError, "setting inner: .*expected a mapping"),
        ({"count": 1, "name": [1]}, DtypeError, "setting name"),
        ({"count": 1, "either": {"a": 1}}, DtypeError, "expected text or a list"),
    ],
)
def test_refusals(values, error, sentence):
    with pytest.raises(error, match=sentence):
        schema.build(Sample, values)


def construct(*, width: int, name: str = "x", algebra: object = None) -> tuple[int, str, object]:
    return width, name, algebra


def test_call_uses_the_signature_as_schema():
    assert schema.call(construct, "model", {"width": 3}, {"algebra": "A", "columns": 3}, "m") == (3, "x", "A")
    with pytest.raises(
        SettingsError, match=r"setting of m, model.typo: received an unknown key; expected one of name, width"
    ):
        schema.call(construct, "model", {"width": 3, "typo": 7}, {"algebra": "A"}, "m")
    with pytest.raises(SettingsError, match="algebra"):
        schema.call(construct, "model", {"width": 3, "algebra": "mine"}, {"algebra": "A"}, "m")
    with pytest.raises(DtypeError, match=r"setting model.width: received 'w'"):
        schema.call(construct, "model", {"width": "w"}, {}, "m")
    with pytest.raises(SettingsError, match=r"setting model.width: received nothing"):
        schema.call(construct, "model", {}, {}, "m")


@pytest.mark.parametrize(
    ("cls", "values", "sentence"),
    [
        (DatasetSettings, {"name": "files"}, "dataset=files: received dataset.path=null"),
        (DatasetSettings, {"name": "iraven", "path": "x"}, "dataset=iraven: received dataset.path=x"),
        (DatasetSettings, {"name": "raven", "maxval": 10}, "these are options of iraven_x"),
        (DatasetSettings, {"name": "iraven", "n": 0}, "dataset.n: received 0; expected at least 1"),
        (DatasetSettings, {"name": "iraven_x", "columns": 2}, "dataset.columns: received 2; expected at least 3"),
        (DatasetSettings, {"name": "irave"}, "did you mean 'iraven'"),
        (DatasetSettings, {"name": "iraven", "split": "tset"}, "expected one of train, val, test, all"),
        (TrainingDatasetSettings, {"name": "iraven", "split": "test"}, "training takes the split train"),
        (TrainingDatasetSettings, {"name": "iraven", "test_n": 0}, "dataset.test_n: received 0"),
    ],
)
def test_dataset_refusals(cls, values, sentence):
    with pytest.raises(SettingsError, match=sentence):
        schema.build(cls, values, "dataset")


@pytest.mark.parametrize(
    ("argument", "sentence"),
    [
        ("epochs=-1", "epochs: received -1; expected at least 0"),
        ("lr=0", "lr: received 0.0; expected a positive, finite number"),
        ("lr=inf", "a finite number"),
        ("weight_decay=-1", "at least 0"),
        ("threads=0", "threads"),
        ("device=tpu", "device: received 'tpu'; expected cpu, cuda"),
        ("schedule=linear", "expected one of constant, cosine"),
        ("checkpoints.keep=1", "checkpoints.keep: received 1; expected at least 2"),
        ("checkpoints.every_seconds=0", "checkpoints.every_seconds"),
        ("model.mode=lerned", "did you mean 'learned'"),
        ("constellation=2x3", "did you mean"),
        ("constellation=[]", "an empty list"),
        ("test_constellation=[center,centre]", "'centre'"),
        ("algebra=null", "must be a string"),
        ("~algebra", "setting algebra: received nothing"),
    ],
)
def test_train_refusals(argument, sentence):
    with pytest.raises((SettingsError, UnknownNameError), match=sentence):
        training_settings.parse(commands.compose_settings("train", ["+model=arlc", argument]))


def test_settings_survive_yaml(tmp_path):
    from reasoning.records import runs

    line = ["+model=arlc", "constellation=[2x2,center]", "lr=1e-3"]
    settings = training_settings.parse(commands.compose_settings("train", line))
    runs.begin_record(tmp_path, {}, schema.plain(settings))
    assert training_settings.parse(runs.read_settings(tmp_path)) == settings


def test_constellations():
    iraven, x = DatasetSettings("iraven"), DatasetSettings("iraven_x", columns=10)
    assert build.constellations("2x2", iraven) == ("distribute_four",)
    assert build.constellations(("2x2", "distribute_four", "center"), iraven) == ("distribute_four", "center_single")
    assert len(build.constellations("all", iraven)) == 7
    assert build.constellations("all", x) == ("center_single",)
    with pytest.raises(SettingsError, match="expected constellation=center"):
        build.constellations("2x2", x)


def test_benchmark_lists_need_different_entries():
    from reasoning import benchmark

    for argument in ("seeds=[0,0]", "seeds=[]"):
        with pytest.raises(SettingsError, match="different entries, at least one"):
            benchmark.parse(["+model=arlc", argument])
    assert isinstance(benchmark.parse(["+model=arlc"]), BenchmarkSettings)

"""A default lives once: every file of conf/ says what the constructor says, and leaves none of its parameters out."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

import conf
import datasets
import factorizers
import vsa
from datasets.files.production import Order
from datasets.splits import SPLITS
from factorizers import capacity
from reasoning import learners, perception, prompts
from reasoning.setup import build, commands, settings
from vsa.backends import BACKENDS
from vsa.commands import schema

CONF = Path(conf.__file__).parent
REGISTRIES = {
    "model": learners.LEARNERS,
    "perception": perception.PERCEPTIONS,
    "algebra": vsa.ALGEBRAS,
    "backend": BACKENDS,
    "factorizer": factorizers.FACTORIZERS,
}
FILES = [(group, path.stem) for group in REGISTRIES for path in sorted((CONF / group).glob("*.yaml"))]
# What the framework gives to a constructor, so that no file says it.
SUPPLIED = {group: set(names) for group, names in build.SUPPLIED.items()}
SUPPLIED["factorizer"] = {"books", "optional", "seed"}
# What cannot be said in a file, or is said by another setting of it.
PYTHON_ALONE = {
    "backend": {"cost_model": "the figures of a chip, an object"},
    "factorizer": {
        "as_published": "set by published=true",
        "second_noise": "of the published dynamics of in_memory, set by published=true",
    },
}
# Settings of a file that no constructor has: `published` chooses another one.
ELSEWHERE = {"factorizer": {"published": False}}


def own_fields(group):
    """Settings of a section that are the command's own, not the constructor's."""
    hints = typing.get_type_hints(settings.TrainSettings) | typing.get_type_hints(settings.BenchmarkSettings)
    hint = hints.get(group, settings.Named)
    found = [member for member in (hint, *typing.get_args(hint)) if dataclasses.is_dataclass(member)]
    return {field.name for field in dataclasses.fields(found[0])} - {"options"}


def composed(group, name):
    """A file's settings as a command gets them, inherited and interpolated."""
    if group == "factorizer":
        return capacity.compose_settings([f"+factorizer={name}"])["factorizer"]
    chosen = [f"+model={name}"] if group == "model" else ["+model=arlc", f"{group}={name}"]
    return commands.compose_settings("benchmark", chosen)[group]


def disagreements(group, values, cls):
    """What a file and a constructor say differently, in words."""
    parameters = inspect.signature(cls).parameters
    said = {key: value for key, value in values.items() if key not in own_fields(group)}
    for key, default in ELSEWHERE.get(group, {}).items():
        if key not in parameters and said.pop(key, default) != default:
            yield f"{key}: the file changes what is constructed"
    for key, value in said.items():
        if key not in parameters:
            yield f"{key}: no parameter of {cls.__name__}"
            continue
        short = value["name"] if isinstance(value, Mapping) and set(value) == {"name"} else value
        if short != parameters[key].default or type(short) is not type(parameters[key].default):
            yield f"{key}: {value!r} in the file, {parameters[key].default!r} in {cls.__name__}"
    hidden = SUPPLIED.get(group, set()) | set(PYTHON_ALONE.get(group, {}))
    for key in parameters:
        if key not in said and key not in hidden:
            yield f"{key}: not in the file"


@pytest.mark.parametrize(("group", "name"), FILES)
def test_a_file_says_what_the_constructor_says(group, name):
    values = composed(group, name)
    canonical = {"model": learners.LEARNERS.canonical, "perception": perception.PERCEPTIONS.canonical}
    assert values["name"] == canonical.get(group, str)(name)  # best is another's
    assert list(disagreements(group, values, REGISTRIES[group].get(name))) == []


def test_disagreements_are_found():
    class Made:
        def __init__(self, *, size: int = 3, rate: float = 1.0, part: str = "a", seed: int = 0) -> None: ...

    right = {"name": "made", "size": 3, "rate": 1.0, "part": {"name": "a"}}
    assert list(disagreements("model", right, Made)) == []
    for key, value in (("size", 4), ("rate", 1), ("part", "b"), ("part", {"name": "a", "x": 1}), ("sizes", 3)):
        assert len(list(disagreements("model", {**right, key: value}, Made))) == 1
    assert list(disagreements("model", {"name": "made", "size": 3, "rate": 1.0}, Made)) == ["part: not in the file"]


@pytest.mark.parametrize("group", REGISTRIES)
def test_nothing_is_excused_in_vain(group):
    """Each exception above is a parameter, or a setting, of some member."""
    names = [name for kind, name in FILES if kind == group]
    parameters = {key for name in names for key in inspect.signature(REGISTRIES[group].get(name)).parameters}
    settings_ = {key for name in names for key in composed(group, name)}
    assert set(PYTHON_ALONE.get(group, {})) <= parameters
    assert set(ELSEWHERE.get(group, {})) <= settings_
    if group != "perception":  # what is offered to front-ends is for those with weights, which are others'
        assert SUPPLIED.get(group, set()) <= parameters


@pytest.mark.parametrize("name", [name for group, name in FILES if group == "backend"])
def test_a_preset_in_yaml_is_the_preset_in_python(name):
    values = composed("backend", name)
    options = {key: value for key, value in values.items() if key != "name"}
    assert schema.call(BACKENDS.get(name), "backend", options, {}, name) == vsa.backends.get(name)


# -- settings of commands ----------------------------------------------------------------------------------------

COMMANDS = {
    "train": settings.TrainSettings,
    "benchmark": settings.BenchmarkSettings,
    "explain": settings.ExplainSettings,
    "prompts": prompts.PromptSettings,
    "generate": Order,
}
RENAMED = {"generate": {"format": "form"}}  # `format` is a word of Python's


def with_defaults(cls):
    """field -> default, of a dataclass's fields that have one."""
    found = {}
    for field in dataclasses.fields(cls):
        if field.default is not dataclasses.MISSING:
            found[field.name] = field.default
        elif field.default_factory is not dataclasses.MISSING:
            found[field.name] = field.default_factory()
    return found


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_says_what_its_dataclass_says(command):
    written = yaml.safe_load((CONF / f"{command}.yaml").read_text(encoding="utf-8"))
    names = RENAMED.get(command, {})
    written = {names.get(key, key): value for key, value in written.items()}
    shared = with_defaults(COMMANDS[command]).keys() & written.keys()
    assert {key: written[key] for key in shared} == {key: with_defaults(COMMANDS[command])[key] for key in shared}


def test_when_runs_are_saved():
    written = yaml.safe_load((CONF / "train.yaml").read_text(encoding="utf-8"))["checkpoints"]
    assert written == with_defaults(settings.CheckpointSettings)


DATASETS = sorted(path.stem for path in (CONF / "dataset").glob("*.yaml"))


def dataset_file(name):
    return yaml.safe_load((CONF / "dataset" / f"{name}.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", DATASETS)
def test_a_data_set_says_what_its_dataclass_says(name):
    """What the files of one data set hold is all the dataclass's; n, columns and maxval of generated sets are below."""
    written, defaults = dataset_file(name), with_defaults(settings.TrainingDatasetSettings)
    assert written.pop("name") == name
    assert written.pop("seed", "${seed}") == "${seed}"
    generated = {} if name == "files" else {"n", "test_n"} | ({"columns", "maxval"} if name == "iraven_x" else set())
    shared = written.keys() - generated
    assert {key: written[key] for key in shared} == {key: defaults[key] for key in shared}
    options = {"columns", "maxval", "confounders", "test_maxval"}
    needed = {"n", "test_n", "holdout", "split"} | (
        {"path", "maxval", "on_error"} if name == "files" else {"cache_dir"}
    )
    assert written.keys() == needed | (options if name == "iraven_x" else set())


@pytest.mark.parametrize("name", [name for name in DATASETS if name != "files"])
def test_a_data_set_is_of_the_size_that_python_makes(name, tmp_path):
    written = dataset_file(name)
    size = datasets.DATA_SETS.get(name).size * len(SPLITS["test"]) // len(SPLITS["all"])
    assert written["n"] == size
    made = datasets.load(name, n=1, cache_dir=tmp_path).arrays
    assert made.columns == written.get("columns", 3)
    assert made.maxval == written.get("maxval")
    assert len(made.components) == 1
    if name == "iraven_x":
        assert datasets.generate(name, n=1).maxval == written["maxval"]


def test_the_seed_is_that_of_the_dataclasses():
    """`seed: ${seed}` in files stands for the command's seed, which is the constructors' default, too."""
    for command in ("train", "benchmark", "explain", "prompts", "generate", "capacity"):
        assert yaml.safe_load((CONF / f"{command}.yaml").read_text(encoding="utf-8"))["seed"] == 0
    assert settings.DatasetSettings("iraven").seed == 0

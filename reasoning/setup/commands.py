"""What the commands of this package share beside vsa.commands: models, front-ends, puzzles, experiments."""

from __future__ import annotations

import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from reasoning.setup.unused import refuse_unused
from vsa.commands import (
    INTERRUPTED,
    StoppedError,
    composing,
    constructor_defaults,
    flatten,
    named_keys,
    parse,
    quoted,
    resolved,
    schema,
    settle,
    value_of,
)
from vsa.commands import run_command as run_any_command
from vsa.errors import SettingsError
from vsa.plugins import offers

__all__ = [
    "NoModelError",
    "compose_evaluation",
    "compose_settings",
    "constructor_options",
    "going_on",
    "model_and_mode",
    "model_names",
    "names_options",
    "no_model",
    "part_options",
    "registered",
    "resumed",
    "run_command",
    "said",
    "separate",
]

SECTIONS = ("model", "dataset", "perception", "algebra", "backend", "experiment")
_OF_TRAINING = {"test_n": "n", "test_maxval": "maxval"}  # settings of reasoning.train -> those to use elsewhere
_MEMBERS = ("algebras", "backends", "factorizers", "learners", "perceptions")


class NoModelError(SettingsError):
    """No model was asked for."""


def run_command(
    main: Callable[[list[str]], None],
    arguments: Sequence[str] | None,
    usage: str,
    parsed: Callable[[list[str]], Any],
    after_interruption: str = "the same command goes on where it stopped",
) -> int:
    """:func:`vsa.commands.run_command` for a command of this package.

    Args:
        main: takes the overrides.
        arguments: the command line; None: that of the process.
        usage: the help text.
        parsed: overrides -> the settings dataclass, for ``--cfg``.
        after_interruption: what the user can do then.

    Returns:
        The exit code.
    """
    return run_any_command(
        main,
        arguments,
        usage,
        settings=lambda overrides: schema.plain(parsed(overrides)),
        members=_MEMBERS,
        after_interruption=after_interruption,
    )


def compose_settings(config: str, arguments: Sequence[str]) -> dict[str, Any]:
    """Compose a command's settings.

    Args:
        config: ``train`` or ``benchmark``.
        arguments: overrides. ``experiment=NAME`` is applied after the model it changes, wherever it stands.

    Returns:
        The composed, interpolated settings; ``model`` is None where no model was asked for.

    Raises:
        SettingsError: an unknown key, a malformed override.
        UnknownNameError: an unknown file of conf/.
    """
    with composing() as loader:
        composed = settle(config, _arrange(arguments, loader.repository), _without_file)
        without = OmegaConf.is_missing(composed, "model")
        if without:
            # Interpolations into the model cannot be resolved; the caller lists the models or does without.
            composed.model = {"name": None, "training": {}}
        settings = _lenient(composed) | ({"model": None} if without else {})
        refuse_unused(config, named_keys(arguments), settings)  # before what a model lacks is missed
        if without:
            return settings
        whole: dict[str, Any] = resolved(composed)
        return whole


def compose_evaluation(config: str, arguments: Sequence[str]) -> dict[str, Any]:
    """Compose the settings of a command that does not train: without what is for training alone.

    Args:
        config: ``benchmark``, ``explain`` or ``prompts``.
        arguments: overrides.

    Returns:
        As :func:`compose_settings`.

    Raises:
        SettingsError: a setting of training is given.
    """
    named = named_keys(arguments)
    for key, instead in _OF_TRAINING.items():
        if f"dataset.{key}" in named:
            raise SettingsError(
                f"setting dataset.{key}", received=f"python -m reasoning.{config}", expected=f"dataset.{instead}"
            )
    composed = compose_settings(config, arguments)
    if isinstance(composed.get("dataset"), Mapping):
        composed["dataset"] = {key: value for key, value in composed["dataset"].items() if key not in _OF_TRAINING}
    return composed


def separate(settings: dict[str, Any], cls: type[Any]) -> dict[str, Any]:
    """Give every section the form of its dataclass: own fields, and ``options`` for a constructor.

    Args:
        settings: as composed.
        cls: the settings dataclass of the command, whose annotations name the sections' dataclasses.

    Returns:
        For :func:`vsa.commands.schema.build`.
    """
    from reasoning.setup.settings import ModelSettings, Named, named

    result = dict(settings)
    for section, hint in typing.get_type_hints(cls).items():
        found = [member for member in (hint, *typing.get_args(hint)) if isinstance(member, type)]
        member = next((m for m in found if issubclass(m, Named | ModelSettings)), None)
        missing = result.get(section) is None and (section not in result or member is ModelSettings)
        if member is not None and not missing:
            result[section] = named(section, result[section], member)
    return result


def said(arguments: Sequence[str]) -> dict[str, str]:
    """Which keys a user sets: those of the command line, and those of the experiments that it names.

    Args:
        arguments: overrides.

    Returns:
        key -> the argument that sets it. A choice of a file (``perception=oracle``) is the section's key.
    """
    named = named_keys(arguments)
    found: dict[str, str] = {}
    for key, argument in named.items():
        if key == "experiment":
            with composing() as loader:
                loaded = loader.repository.load_config(f"experiment/{argument.partition('=')[2]}")
            if loaded is None:
                continue
            values: dict[str, Any] = OmegaConf.to_container(loaded.config, resolve=False)  # type: ignore[assignment]
            for entry in values.pop("defaults", ()):
                for choice in entry if isinstance(entry, Mapping) else ():
                    found[choice.rpartition("/")[2]] = argument
            found.update(dict.fromkeys(flatten(values), argument))
    return {**found, **named}


def resumed(arguments: Sequence[str]) -> Path | None:
    """The run that ``resume=`` names.

    Args:
        arguments: overrides.

    Returns:
        Its folder; None where none is named.
    """
    named = named_keys(arguments)
    return Path(str(value_of(named["resume"]))).expanduser() if "resume" in named else None


@contextmanager
def going_on(module: str, folder: Path) -> Iterator[None]:
    """Say which run it was that was stopped, and how to go on with it.

    Args:
        module: the command that goes on.
        folder: the run's.
    """
    words = f"go on with python -m {module} resume={folder}"
    try:
        yield
    except KeyboardInterrupt:
        raise StoppedError(f"interrupted; {words}", INTERRUPTED) from None
    except StoppedError as stopped:
        raise StoppedError(f"{stopped.words}; {words}", stopped.code) from None


def names_options(arguments: Sequence[str]) -> bool:
    """Whether a user says how a part of a solver is to be made: what the files say is right already.

    Args:
        arguments: overrides.
    """
    sections = ("perception", "algebra", "backend")
    return any(
        key in sections or (key.partition(".")[0] in (*sections, "model") and "." in key) for key in said(arguments)
    )


def model_names() -> list[str]:
    """The models that have a settings file or are another package's."""
    with composing() as loader:
        return sorted({*loader.get_group_options("model"), *offers("vsa_reasoning.learners")})


def model_and_mode(entry: str) -> tuple[str, str | None]:
    """What an entry of ``compare`` asks for.

    Args:
        entry: ``arlc`` or ``arlc-programmed``.

    Returns:
        The model, and the mode if it is named.
    """
    from reasoning.setup.settings import Mode

    name, _, mode = str(entry).rpartition("-")
    return (name, mode) if name and mode in typing.get_args(Mode) else (entry, None)


def no_model(module: str) -> NoModelError:
    """The error that lists the models.

    Args:
        module: the module that was run.
    """
    names = model_names()
    return NoModelError(
        f"python -m {module}",
        received="no model",
        expected=f"one of: {', '.join(names)}",
        hint=f"write python -m {module} +model={'arlc' if 'arlc' in names else names[0]}",
    )


def _without_file(group: str, name: str) -> dict[str, Any] | None:
    """Settings of a member that comes without a file, a notebook's or another package's: its constructor's defaults."""
    from datasets.data_sets import settings_without_file

    if group == "dataset":
        return settings_without_file(name)
    tables = registered()
    if group not in tables or name not in tables[group]:
        return None
    own: dict[str, Any] = {"mode": None, "training": {}} if group == "model" else {}
    return {"name": name, **own, **constructor_options(group, name)}


def constructor_options(section: str, name: str) -> dict[str, Any]:
    """The options of a member as its constructor has them by default.

    Args:
        section: model, perception, algebra or backend.
        name: registered name.

    Returns:
        option -> default.

    Raises:
        UnknownNameError: nothing has this name.
    """
    from reasoning.setup import build

    return constructor_defaults(registered()[section].get(name), build.SUPPLIED.get(section, ()))


def part_options(section: str, name: str, part: str, part_name: str) -> dict[str, Any]:
    """The options of a part of a member, such as the device of a backend, as the part's constructor has them.

    Args:
        section: model, perception, algebra or backend.
        name: of the member.
        part: the parameter that holds the part; its annotation names a class with a ``registry``.
        part_name: registered name of the part.

    Returns:
        option -> default; empty where nothing is known of the part.
    """
    cls = registered()[section].get(name)
    hint = typing.get_type_hints(cls.__init__).get(part)
    for member in (hint, *typing.get_args(hint)):
        registry = getattr(member, "registry", None)
        if registry is not None and part_name in registry:
            return constructor_defaults(registry.get(part_name), ())
    return {}


def registered() -> dict[str, Any]:
    """Section -> the registry of its members."""
    from reasoning import learners, perception
    from vsa import backends, models

    return {
        "model": learners.LEARNERS,
        "perception": perception.PERCEPTIONS,
        "algebra": models.ALGEBRAS,
        "backend": backends.BACKENDS,
    }


def _arrange(arguments: Sequence[str], repository: Any) -> list[str]:
    """Experiments last, with the plus that hydra wants; the model of an experiment where the user names none."""
    last: dict[str, str] = {}
    experiments = []
    for override, argument in zip(parse(arguments), arguments, strict=True):
        key, value = override.key_or_group, override.value()
        if key == "model" and not override.is_add() and isinstance(value, str):
            raise SettingsError(
                f"argument {quoted(argument)}",
                received="no plus",
                expected=f"+model={value}",
                hint="a model is added to the settings, so it takes a plus",
            )
        if key == "experiment":
            experiments.append(f"+experiment={value}")
        elif key in SECTIONS and last.get(key, argument) != argument:
            raise SettingsError(
                f"argument {quoted(argument)}", received=f"{quoted(last[key])} as well", expected="one of the two"
            )
        else:
            last[key] = argument
    ordered = list(last.values())
    for experiment in experiments:
        found = repository.load_config(f"experiment/{experiment.partition('=')[2]}")
        model = OmegaConf.select(found.config, "model.name") if found else None
        if model and "model" not in last:
            ordered.append(f"+model={model}")
        elif model and not last["model"].endswith(f"model={model}"):
            raise SettingsError(
                f"argument {quoted(experiment[1:])}",
                received=quoted(last["model"]),
                expected=f"+model={model}, which it is about",
            )
    # Values named on the command line still win over the experiment: hydra applies them after all files.
    return ordered + experiments


def _lenient(composed: Any) -> dict[str, Any]:
    """Plain settings, with None for what interpolates into what the model lacks."""
    result: dict[str, Any] = {}
    for key in composed:
        try:
            value = composed[key]
        except OmegaConfBaseException:
            value = None
        result[str(key)] = resolved(value) if OmegaConf.is_config(value) else value
    return result

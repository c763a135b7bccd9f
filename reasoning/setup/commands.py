"""What the commands share: composing settings, and telling the user in a sentence what is wrong.

hydra composes the files of ``conf/`` and the overrides; it neither changes the folder nor writes anything.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException, MissingConfigException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from reasoning.records import console
from reasoning.setup import schema
from reasoning.setup.unused import refuse_unused
from vsa.commands import compose, composing, constructor_defaults
from vsa.errors import CorruptFileError, SettingsError, UnknownNameError, VSAError, closest
from vsa.parts import compose_with_parts
from vsa.plugins import offered_words, offers

__all__ = [
    "NoModelError",
    "compose_evaluation",
    "compose_settings",
    "constructor_options",
    "model_names",
    "named_keys",
    "no_model",
    "parse",
    "part_options",
    "run_command",
    "said",
    "separate",
    "show_settings",
]

SECTIONS = ("model", "dataset", "perception", "algebra", "backend", "experiment")
_OF_TRAINING = {"test_n": "n", "test_maxval": "maxval"}  # settings of reasoning.train -> those to use elsewhere
_USER_ERROR = 2
_INTERRUPTED = 130


class NoModelError(SettingsError):
    """No model was asked for."""


def run_command(
    main: Callable[[list[str]], int | None], arguments: Sequence[str] | None = None, usage: str = ""
) -> int:
    """Run a command: mistakes of the user give a sentence on stderr and exit code 2, bugs give a traceback.

    Args:
        main: takes the overrides.
        arguments: the command line; by default that of the process. ``--debug`` (or HYDRA_FULL_ERROR=1) shows the
            traceback of mistakes too, ``--help`` prints ``usage``.
        usage: the help text.

    Returns:
        The exit code.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given or os.environ.get("HYDRA_FULL_ERROR", "0") not in ("", "0")
    given = [argument for argument in given if argument != "--debug"]
    console.configure_logging(logging.DEBUG if debug else logging.INFO)
    if {"-h", "--help"} & set(given):
        known = ("algebras", "backends", "factorizers", "learners", "perceptions")
        console.say("\n\n".join(filter(None, (usage, offered_words(*known)))))
        return 0
    try:
        return main(given) or 0
    except (VSAError, OSError) as error:
        if debug:
            raise
        console.complain(str(error))
        return _USER_ERROR
    except KeyboardInterrupt:
        console.complain("interrupted; a training run goes on from its last checkpoint with resume=RUN_DIR")
        return _INTERRUPTED


def parse(arguments: Sequence[str]) -> list[Override]:
    """The overrides of a command line.

    Args:
        arguments: ``key=value``, ``+model=arlc``.

    Returns:
        One parsed override each.

    Raises:
        SettingsError: one is not of that form, or is a sweep.
    """
    parser = OverridesParser.create()
    parsed = []
    for argument in arguments:
        try:
            override = parser.parse_override(argument)
        except HydraException as error:
            raise SettingsError(
                f"argument {argument!r}", received=str(error).splitlines()[0], expected="key=value", hint="see --help"
            ) from error
        if override.is_sweep_override():
            key, _, value = argument.partition("=")
            raise SettingsError(
                f"argument {argument!r}",
                received="a sweep",
                expected="one value or a list",
                hint=f"write {key}=[{value}]",
            )
        parsed.append(override)
    return parsed


def named_keys(arguments: Sequence[str]) -> dict[str, str]:
    """Which keys a command line sets.

    Args:
        arguments: overrides.

    Returns:
        key without ``+`` -> the argument; the last one where a key is set twice.
    """
    return {override.key_or_group: argument for override, argument in zip(parse(arguments), arguments, strict=True)}


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
        try:
            ordered = _arrange(arguments, loader.repository)
            composed = compose_with_parts(lambda some: compose(config, some, _without_file), ordered, parse(ordered))
        except VSAError:
            raise
        except MissingConfigException as error:
            raise _unknown_file(error) from error
        except yaml.YAMLError as error:
            where = " ".join(str(error).split())
            raise CorruptFileError(
                f"compose {config}", received=f"a settings file that is no YAML ({where})"
            ) from error
        except HydraException as error:
            raise _refused(config, error, ordered) from error
        except (OmegaConfBaseException, ValueError) as error:  # hydra refuses some overrides with a plain ValueError
            raise SettingsError(f"compose {config}", received=str(error).splitlines()[0], hint="see --help") from error
        if OmegaConf.is_missing(composed, "model"):
            # Interpolations into the model cannot be resolved; the caller lists the models or does without.
            composed.model = {"name": None, "training": {}}
            without = {**_lenient(composed), "model": None}
            refuse_unused(config, named_keys(arguments), without)
            return without
        try:
            refuse_unused(config, named_keys(arguments), _lenient(composed))
            return OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)  # type: ignore[return-value]
        except OmegaConfBaseException as error:
            key = getattr(error, "full_key", None) or "?"
            raise SettingsError(f"setting {key}", received=str(error).splitlines()[0], expected="a value") from error


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


def show_settings(settings: Any) -> None:
    """What ``--cfg`` prints: the settings as YAML.

    Args:
        settings: a settings dataclass.
    """
    console.say(str(yaml.safe_dump(schema.plain(settings), sort_keys=False)))


def separate(settings: dict[str, Any], cls: type[Any]) -> dict[str, Any]:
    """Give every section the form of its dataclass: own fields, and ``options`` for a constructor.

    Args:
        settings: as composed.
        cls: the settings dataclass of the command, whose annotations name the sections' dataclasses.

    Returns:
        For :func:`reasoning.setup.schema.build`.
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
            found.update(dict.fromkeys(schema.flatten(values), argument))
    return {**found, **named}


def model_names() -> list[str]:
    """The models that have a settings file or are another package's."""
    with composing() as loader:
        return sorted({*loader.get_group_options("model"), *offers("vsa_reasoning.learners")})


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
    tables = _tables()
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

    return constructor_defaults(_tables()[section].get(name), build.SUPPLIED.get(section, ()))


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
    cls = _tables()[section].get(name)
    hint = typing.get_type_hints(cls.__init__).get(part)
    for member in (hint, *typing.get_args(hint)):
        registry = getattr(member, "registry", None)
        if registry is not None and part_name in registry:
            return constructor_defaults(registry.get(part_name), ())
    return {}


def _tables() -> dict[str, Any]:
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
                f"argument {argument!r}",
                received="no plus",
                expected=f"+model={value}",
                hint="a model is added to the settings, so it takes a plus",
            )
        if key == "experiment":
            experiments.append(f"+experiment={value}")
        elif key in SECTIONS and last.get(key, argument) != argument:
            raise SettingsError(f"argument {argument!r}", received=f"{last[key]} as well", expected="one of the two")
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
                f"argument {experiment[1:]!r}", received=last["model"], expected=f"+model={model}, which it is about"
            )
    # Values named on the command line still win over the experiment: hydra applies them after all files.
    return ordered + experiments


def _lenient(composed: Any) -> dict[str, Any]:
    """Plain settings, with None for what interpolates into the missing model."""
    result: dict[str, Any] = {}
    for key in composed:
        try:
            value = composed[key]
        except OmegaConfBaseException:
            value = None
        result[str(key)] = OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
    return result


def _unknown_file(error: MissingConfigException) -> VSAError:
    group, _, name = (error.missing_cfg_file or "").partition("/")
    plus = "+" if group == "model" else ""
    known = tuple(error.options or ())
    near = closest(name, known)
    hint = f"did you mean {plus}{group}={near[0]}?" if near else ""
    return UnknownNameError(f"argument {plus}{group}={name}", name=name, known=known, kind=group, hint=hint)


def _refused(config: str, error: HydraException, arguments: Sequence[str]) -> SettingsError:
    """hydra's refusal of a key as our sentence, with the keys that exist."""
    text = " ".join(str(error).split())
    doubled = re.search(r"An item is already at '([^']+)'", text)
    if doubled:
        key = doubled.group(1)
        return SettingsError(
            f"argument +{key}", received="a plus", expected="none, since the setting exists", hint=f"write {key}=VALUE"
        )
    match = re.search(r"Could not override '([^']+)'|Key '([^']+)' is not in struct", str(error))
    if not match:
        return SettingsError(f"compose {config}", received=text)
    key = match.group(1) or match.group(2)
    group, _, _ = key.partition("@")
    if group in SECTIONS and "No match in the defaults list" in text:
        return SettingsError(f"argument {group}", received="a choice that takes a plus", hint=f"write +{group}=NAME")
    kept = [
        argument
        for override, argument in zip(parse(arguments), arguments, strict=True)
        if override.key_or_group in SECTIONS or override.key_or_group.startswith("hydra.")
    ]
    known = list(schema.flatten(OmegaConf.to_container(compose(config, kept, _without_file), resolve=False)))  # type: ignore[arg-type]
    section = key.rpartition(".")[0]
    nearby = [name for name in known if name.rpartition(".")[0] == section] or known
    near = closest(key, known) or closest(key.rpartition(".")[2], known)
    return SettingsError(
        f"setting {key}",
        received="an unknown key",
        expected=f"one of {', '.join(sorted(nearby))}",
        hint=f"did you mean {' or '.join(repr(name) for name in near)}?" if near else "",
    )

"""Composing settings: the files of ``conf/`` and the overrides of a command line.

hydra composes; it neither changes the folder nor writes anything. What it refuses is said in a sentence of ours.
"""

from __future__ import annotations

import inspect
import json
import re
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import CorruptFileError, SettingsError, UnknownNameError, VSAError, closest
from ..plugins import PREFIX, offers
from .arguments import parse
from .folders import clashes, conf_folder, folders_of_others, refuse_clash
from .parts import compose_with_parts

__all__ = ["compose", "composing", "constructor_defaults", "flatten", "resolved", "settle"]

Defaults = Callable[[str, str], Mapping[str, Any] | None]
_LAST = "experiment"  # applied after all others with a plus that the user does not write
_KINDS = {"model": "learners"}  # groups of conf that are called otherwise than the members they are about


@contextmanager
def composing() -> Iterator[Any]:
    """hydra with our settings files and those of other packages, leaving nothing global behind; may be entered twice.

    Yields:
        hydra's config loader.
    """
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    if GlobalHydra.instance().is_initialized():
        yield GlobalHydra.instance().config_loader()
        return
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        loader: Any = GlobalHydra.instance().config_loader()
        path = loader.get_search_path()
        for whose, folder in folders_of_others():
            path.prepend(whose, f"file://{folder}", anchor="schema")  # behind ours; hydra wants its schemas last
        loader.repository.initialize_sources(path)
        yield loader


def compose(config: str, overrides: Sequence[str], defaults: Defaults | None = None) -> Any:
    """Compose settings.

    Args:
        config: a file of conf, such as ``train``.
        overrides: as hydra wants them.
        defaults: asked for the settings of a (group, name) that has no file: those of a member that comes without one,
            or None.

    Returns:
        The settings, an omegaconf.DictConfig, not interpolated.

    Raises:
        SettingsError: a file that is asked for is there twice.
        HydraException: hydra refuses them; OmegaConfBaseException and ValueError are among its refusals, too.
    """
    import hydra
    from hydra.errors import MissingConfigException
    from hydra.types import RunMode

    with composing() as loader:
        doubled = clashes()
        try:
            if doubled:
                listed = loader.compute_defaults_list(config, list(overrides), RunMode.RUN)
                for chosen in (str(default.config_path) for default in listed.defaults):
                    if chosen in doubled:
                        refuse_clash(chosen, doubled[chosen])
            return hydra.compose(config, overrides=list(overrides))
        except MissingConfigException as error:
            group, _, name = (error.missing_cfg_file or "").partition("/")
            content = defaults(group, name) if defaults and name.isidentifier() else None
            if content is None:
                raise
            with _generated(loader, group, name, content):
                return compose(config, overrides, defaults)


def settle(config: str, arguments: Sequence[str], defaults: Defaults | None = None) -> Any:
    """Compose a command's settings, parts with options of their own included.

    Args:
        config: a file of conf, such as ``train``.
        arguments: overrides, in the order in which hydra applies them.
        defaults: as :func:`compose` has it.

    Returns:
        The settings, an omegaconf.DictConfig, not interpolated.

    Raises:
        SettingsError: an unknown key, a malformed override.
        UnknownNameError: an unknown file of conf.
        CorruptFileError: a file that is no YAML.
    """
    import yaml
    from hydra.errors import HydraException, MissingConfigException
    from omegaconf.errors import OmegaConfBaseException

    with composing() as loader:
        try:
            parsed = parse(arguments)
            return compose_with_parts(lambda some: compose(config, some, defaults), arguments, parsed)
        except VSAError:
            raise
        except MissingConfigException as error:
            raise _unknown_file(error, arguments) from error
        except yaml.YAMLError as error:
            where = " ".join(str(error).split())
            raise CorruptFileError(
                f"compose {config}", received=f"a settings file that is no YAML ({where})"
            ) from error
        except HydraException as error:
            raise _refused(config, error, arguments, loader.list_groups(""), defaults) from error
        except (OmegaConfBaseException, ValueError) as error:  # hydra refuses some overrides with a plain ValueError
            raise SettingsError(f"compose {config}", received=str(error).splitlines()[0], hint="see --help") from error


def resolved(composed: Any) -> Any:
    """Composed settings as plain ones, interpolated.

    Args:
        composed: an omegaconf.DictConfig.

    Returns:
        Nested dicts and lists.

    Raises:
        SettingsError: a value that is missing or cannot be interpolated.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        return OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        key = getattr(error, "full_key", None) or "?"
        raise SettingsError(f"setting {key}", received=str(error).splitlines()[0], expected="a value") from error


def _unknown_file(error: Any, arguments: Sequence[str]) -> VSAError:
    group, _, name = (error.missing_cfg_file or "").partition("/")
    plus = "+" if f"+{group}={name}" in arguments and group != _LAST else ""
    known = dict.fromkeys((*(error.options or ()), *offers(f"{PREFIX}{_KINDS.get(group, group + 's')}")))
    near = closest(name, known)
    hint = f"did you mean {plus}{group}={near[0]}?" if near else ""
    return UnknownNameError(f"argument {plus}{group}={name}", name=name, known=tuple(known), kind=group, hint=hint)


def _refused(
    config: str, error: Exception, arguments: Sequence[str], groups: Collection[str], defaults: Defaults | None
) -> SettingsError:
    """hydra's refusal of a key as our sentence, with the keys that exist."""
    from omegaconf import OmegaConf

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
    if group in groups and "No match in the defaults list" in text:
        return SettingsError(f"argument {group}", received="a choice that takes a plus", hint=f"write +{group}=NAME")
    kept = [
        argument
        for override, argument in zip(parse(arguments), arguments, strict=True)
        if override.key_or_group in groups or override.key_or_group.startswith("hydra.")
    ]
    known = list(flatten(OmegaConf.to_container(compose(config, kept, defaults), resolve=False)))  # type: ignore[arg-type]
    section = key.rpartition(".")[0]
    nearby = [name for name in known if name.rpartition(".")[0] == section] or known
    near = closest(key, known) or closest(key.rpartition(".")[2], known)
    return SettingsError(
        f"setting {key}",
        received="an unknown key",
        expected=f"one of {', '.join(sorted(nearby))}",
        hint=f"did you mean {' or '.join(repr(name) for name in near)}?" if near else "",
    )


def constructor_defaults(cls: type[Any], supplied: Collection[str]) -> dict[str, Any]:
    """The options of a class as a settings file would say them: parameters whose default is plain.

    Args:
        cls: of a member.
        supplied: parameters that are no options, since the framework gives them.

    Returns:
        option -> default.
    """
    found = {}
    for name, parameter in inspect.signature(cls).parameters.items():
        plain = parameter.default is None or isinstance(parameter.default, bool | int | float | str)
        if name not in supplied and plain and parameter.default is not inspect.Parameter.empty:
            found[name] = parameter.default
    return found


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mapping to dotted keys.

    Args:
        values: nested mappings.
        prefix: put before every key.

    Returns:
        dotted key -> leaf.
    """
    flat: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{prefix}.{key}" if prefix else str(key)
        if isinstance(value, Mapping) and value:
            flat.update(flatten(value, name))
        else:
            flat[name] = value
    return flat


@contextmanager
def _generated(loader: Any, group: str, name: str, content: Mapping[str, Any]) -> Iterator[None]:
    """A settings file more, for a while."""
    path = loader.get_search_path()
    before = list(path.get_path())
    with tempfile.TemporaryDirectory(prefix="vsa-reasoning-") as folder:
        (Path(folder) / group).mkdir()
        (Path(folder) / group / f"{name}.yaml").write_text(json.dumps(content), encoding="utf-8")  # JSON is YAML
        path.prepend("constructor", f"file://{folder}", anchor="schema")
        loader.repository.initialize_sources(path)
        try:
            yield
        finally:
            path.get_path()[:] = before
            loader.repository.initialize_sources(path)

"""The overrides of a command line: ``key=value``, ``+model=arlc``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..errors import SettingsError

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override

__all__ = ["named_keys", "parse", "value_of"]


def parse(arguments: Sequence[str]) -> list[Override]:
    """The overrides of a command line.

    Args:
        arguments: ``key=value``, ``+model=arlc``.

    Returns:
        One parsed override each.

    Raises:
        SettingsError: one is not of that form, or is a sweep.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

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


def value_of(argument: str) -> Any:
    """What an override sets its key to: ``value_of("n=3")`` is 3."""
    return parse([argument])[0].value()

"""``python -m datasets.generate``: folders of puzzles, made by any number of processes.

The function ``datasets.generate`` lives in :mod:`datasets.making.generation`; this module answers to a call like it,
because importing a module of a package binds its name there.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from vsa.commands import parse, progress, resolved, run_command, say, settle
from vsa.errors import SettingsError

from .constellations import CONSTELLATIONS, resolve_constellation
from .data_sets import DATA_SETS, data_set, settings_without_file
from .files.production import FORMS, Order, produce
from .making.generation import generate

__all__ = ["main", "order_of"]

_PUBLISHED = "raven|iraven|raven_fair|iraven_x"
USAGE = f"""python -m datasets.generate dataset=iraven constellation=all n=1000 seed=0 out=DIR [key=value ...]

Makes puzzles: files of the published forms, or shards. The same settings give the same files for any number of workers.
An interrupted command goes on where it stopped; puzzles of other settings are never replaced silently.

  dataset={_PUBLISHED}
  constellation=all                  published or short name, or a list: [center,2x2]
  n=1000 start=0 seed=0              puzzles of each constellation, number of the first
  format={"|".join(FORMS)}           npz + xml as published, JSON as published, or arrays
  images=true                        pixels (not for json)
  workers=2                          processes
  overwrite=true                     remove the puzzles of other settings that are in DIR
  dataset.columns=10 dataset.maxval=1000 dataset.confounders=0   (iraven_x)
  --cfg                              print the settings and stop
  --debug                            tracebacks for mistakes too

Every setting is in conf/generate.yaml."""

_USED = ("name", "columns", "maxval", "confounders")


def order_of(arguments: Sequence[str]) -> tuple[Order, dict[str, Any]]:
    """Reads a command line.

    Args:
        arguments: hydra overrides.

    Returns:
        What is to be made, and the settings of the making: out, workers, overwrite.

    Raises:
        SettingsError: an unknown key or a value that makes no sense.
    """
    composed = compose_settings(arguments)
    dataset = composed["dataset"]
    if not data_set(str(dataset["name"]), "generate puzzles").made:
        raise SettingsError(
            "generate puzzles", received=f"dataset={dataset['name']}", expected=" or ".join(DATA_SETS.names())
        )
    if not composed["out"]:
        raise SettingsError("generate puzzles", received="no out", expected="a folder", hint="add out=DIR")
    for key, kind in (("n", int), ("start", int), ("seed", int), ("workers", int), ("images", bool)):
        value = composed[key]
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise SettingsError(f"setting {key}", received=repr(value), expected=f"{kind.__name__}")
    order = Order(
        dataset=dataset["name"],
        constellations=_constellations(composed["constellation"], dataset["name"]),
        n=composed["n"],
        start=composed["start"],
        seed=composed["seed"],
        columns=dataset.get("columns", 3),
        maxval=dataset.get("maxval"),
        confounders=dataset.get("confounders", 0),
        form=str(composed["format"]),
        images=composed["images"],
    )
    return order, {"out": composed["out"], "workers": composed["workers"], "overwrite": bool(composed["overwrite"])}


def _constellations(asked: Any, dataset: str) -> tuple[str, ...]:
    if asked == "all":
        return data_set(dataset).constellations
    every = tuple(CONSTELLATIONS)
    names = [resolve_constellation(str(name)) for name in (asked if isinstance(asked, list) else [asked])]
    return tuple(name for name in every if name in names)


def compose_settings(arguments: Sequence[str]) -> dict[str, Any]:
    """Composes conf/generate.yaml.

    Args:
        arguments: hydra overrides.

    Returns:
        Plain settings.

    Raises:
        SettingsError: hydra refuses them.
    """
    for override in parse(arguments):
        section, _, key = override.key_or_group.partition(".")
        if section == "dataset" and key and key not in _USED[1:]:
            raise SettingsError(
                f"setting {override.key_or_group}",
                received="a key that has no effect here",
                expected="dataset.columns, dataset.maxval or dataset.confounders",
                hint=f"did you mean {key}?",
            )
    settings: dict[str, Any] = resolved(settle("generate", arguments, _without_file))
    return settings


def _without_file(group: str, name: str) -> dict[str, Any] | None:
    return settings_without_file(name) if group == "dataset" else None


def main(arguments: Sequence[str] | None = None) -> int:
    """The command.

    Args:
        arguments: by default those of the process.

    Returns:
        0, 2 for a mistake of the user, 130 when interrupted.
    """
    usage = USAGE.replace(_PUBLISHED, "|".join(DATA_SETS.names()))
    return run_command(_run, arguments, usage, settings=compose_settings)


def _run(overrides: list[str]) -> None:
    order, making = order_of(overrides)
    out = Path(making.pop("out"))
    total = order.n * len(order.constellations)
    with progress(f"{order.dataset} as {order.form}", total) as bar:
        produce(order, out, **making, progress=bar)
    say(f"{total} puzzles in {out}")


class _Module(ModuleType):
    """A module that may be called: ``datasets.generate(...)`` works whether or not this module was imported."""

    __signature__ = inspect.signature(generate)

    def __call__(self, *args: Any, **options: Any) -> Any:
        return generate(*args, **options)


sys.modules[__name__].__class__ = _Module

if __name__ == "__main__":
    sys.exit(main())

"""``python -m datasets.generate``: folders of puzzles, made by any number of processes.

The function ``datasets.generate`` lives in :mod:`datasets.making.generation`; this module answers to a call like it,
because importing a module of a package binds its name there.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

from vsa.commands import parse, progress, resolved, run_command, say, schema, settle
from vsa.commands.schema import Between, Seed, Workers
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
  --version                          print the version and stop

Every setting is in conf/generate.yaml."""

_EXTENT = {
    "columns": Annotated[int, Between(3, 1000)],
    "maxval": Annotated[int, Between(1, 10**6)] | None,
    "confounders": Annotated[int, Between(0, 10**6)],
}


@dataclass(frozen=True)
class GenerateSettings:
    """``python -m datasets.generate``."""

    dataset: Mapping[str, Any]
    constellation: str | tuple[str, ...]
    n: Annotated[int, Between(1, 10**9)]
    start: Annotated[int, Between(0, 10**18)]
    seed: Seed
    out: str | None
    format: str
    images: bool
    workers: Workers
    overwrite: bool

    def order(self) -> Order:
        """What is to be made.

        Raises:
            VSAError: an unknown name, an option that the data set does not have.
        """
        name = schema.coerce(str, self.dataset.get("name"), "dataset.name")
        if not data_set(name, "generate puzzles").made:
            raise SettingsError("generate puzzles", received=f"dataset={name}", expected=" or ".join(DATA_SETS.names()))
        given = {key: self.dataset[key] for key in _EXTENT if key in self.dataset}
        extent = {key: schema.coerce(_EXTENT[key], value, f"dataset.{key}") for key, value in given.items()}
        data_set(name).check_options(
            f"dataset={name}", extent.get("columns", 3), extent.get("maxval"), extent.get("confounders", 0)
        )
        return Order(
            dataset=name,
            constellations=_constellations(self.constellation, name),
            n=self.n,
            start=self.start,
            seed=self.seed,
            form=self.format,
            images=self.images,
            **extent,
        )


def settings_of(arguments: Sequence[str]) -> GenerateSettings:
    """Reads a command line.

    Args:
        arguments: hydra overrides.

    Returns:
        Its settings; what is to be made may still be impossible.

    Raises:
        VSAError: an unknown key, a wrong type, a value out of range.
    """
    return schema.build(GenerateSettings, compose_settings(arguments))


def _checked(arguments: list[str]) -> dict[str, Any]:
    """Settings for ``--cfg``."""
    settings = settings_of(arguments)
    settings.order()
    plain: dict[str, Any] = schema.plain(settings)
    return plain


def order_of(arguments: Sequence[str]) -> tuple[Order, dict[str, Any]]:
    """Reads a command line.

    Args:
        arguments: hydra overrides.

    Returns:
        What is to be made, and the settings of the making: out, workers, overwrite.

    Raises:
        SettingsError: an unknown key or a value that makes no sense.
    """
    settings = settings_of(arguments)
    if not settings.out:
        raise SettingsError("generate puzzles", received="no out", expected="a folder", hint="add out=DIR")
    making = {"out": settings.out, "workers": settings.workers, "overwrite": settings.overwrite}
    return settings.order(), making


def _constellations(asked: Any, dataset: str) -> tuple[str, ...]:
    if asked == "all":
        return data_set(dataset).constellations
    every = tuple(CONSTELLATIONS)
    names = [resolve_constellation(str(name)) for name in ((asked,) if isinstance(asked, str) else asked)]
    if not names:
        raise SettingsError("setting constellation", received="an empty list", expected="at least one name, or all")
    return tuple(name for name in every if name in names)


_OWN = tuple(field.name for field in fields(GenerateSettings))


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
        if section == "dataset" and key and key not in (*_EXTENT, "name"):
            raise SettingsError(
                f"setting {override.key_or_group}",
                received="a key that has no effect here",
                expected="dataset.columns, dataset.maxval or dataset.confounders",
                hint=f"did you mean {key}?" if key in _OWN else "",
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
    return run_command(_run, arguments, usage, settings=_checked)


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

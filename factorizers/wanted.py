"""The settings of ``python -m factorizers.capacity``, and whether they make sense, before anything is computed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import vsa
from vsa import SettingsError

__all__ = ["SWEPT", "CapacitySettings", "check_settings"]

SWEPT = ("dim", "factors", "size", "blocks", "noise", "seed")  # settings that may be lists
PICTURES = (".png", ".pdf", ".svg")
Between = vsa.commands.schema.Between
Count: TypeAlias = vsa.commands.schema.Count
Seed: TypeAlias = vsa.commands.schema.Seed
Workers: TypeAlias = vsa.commands.schema.Workers
Width = Annotated[int, Between(1, 2**24)]
Factors = Annotated[int, Between(1, 64)]
Level = Annotated[float, Between(0, 1e6)]
Task = Annotated[int, Between(1, 10**6)]


@dataclass(frozen=True)
class SlurmSettings:
    """What a task of executor=slurm is given."""

    folder: str
    partition: str | None
    time_minutes: Task
    memory_gb: Task
    cpus_per_task: Workers
    array_parallelism: Task


@dataclass(frozen=True)
class CapacitySettings:
    """``python -m factorizers.capacity``. What may be a list makes a cell of every combination."""

    factorizer: Mapping[str, Any]  # name, and options of its constructor
    algebra_name: str | None
    algebra_options: Mapping[str, Any]
    backend: Mapping[str, Any]  # name, and options of its constructor
    dim: Width | tuple[Width, ...]
    factors: Factors | tuple[Factors, ...]
    size: Count | tuple[Count, ...]
    blocks: Width | tuple[Width, ...]
    queries: Count
    draws: Count
    seed: Seed | tuple[Seed, ...]
    noise: Level | tuple[Level, ...]
    damage: str
    threads: Workers
    executor: str
    workers: Workers | None
    slurm: SlurmSettings
    out: str | None
    plot: str | None
    overwrite: bool

    def __post_init__(self) -> None:
        for key in SWEPT:
            if getattr(self, key) == ():
                raise SettingsError(f"setting {key}", received="[]", expected="at least one value")
        for key, value in self.factorizer.items():
            if value == []:
                raise SettingsError(f"setting factorizer.{key}", received="[]", expected="a value, or a list of some")
        for section in ("factorizer", "backend"):
            name = getattr(self, section).get("name")
            if not isinstance(name, str):
                received = "no name" if name is None else repr(name)
                raise SettingsError(f"setting {section}.name", received=received, expected=f"a file of conf/{section}")
        for key in ("out", "plot"):
            value = getattr(self, key)
            if value is not None and (not value.strip() or Path(value).is_dir()):
                raise SettingsError(f"setting {key}", received=repr(value), expected="a file's name")
        if self.plot is not None and Path(self.plot).suffix.lower() not in PICTURES:
            expected = f"a file's name that ends in {', '.join(PICTURES)}"
            raise SettingsError("setting plot", received=repr(self.plot), expected=expected)


def check_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Refuse values of a wrong type or out of range.

    Args:
        settings: as composed.

    Returns:
        The same, numbers in the type that is meant.

    Raises:
        SettingsError: a value that makes no sense.
        DtypeError: a value of a wrong type.
    """
    checked: dict[str, Any] = vsa.commands.schema.plain(vsa.commands.schema.build(CapacitySettings, settings))
    return checked

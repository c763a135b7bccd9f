"""The settings of a training run: from what is composed, or from a run's file. Loads no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar

from reasoning.setup import build, commands, restoring
from reasoning.setup.settings import PerceptionTrainSettings, RunSettings, TrainSettings
from vsa.commands import schema

__all__ = ["parse", "parse_perception"]

S = TypeVar("S", bound=RunSettings)


def parse(composed: Mapping[str, Any], said: Mapping[str, str] | None = None) -> TrainSettings:
    """Settings from their composed form (or from a run's settings.yaml).

    Args:
        composed: nested mapping.
        said: what the user sets, by key; None: the settings are complete (a run's).

    Returns:
        Validated settings, the constellation and the mode filled in.

    Raises:
        VSAError: an unknown key, a wrong type, a value that makes no sense.
    """
    settings = schema.build(TrainSettings, commands.separate(dict(composed), TrainSettings))
    model = settings.model if settings.model.mode else replace(settings.model, mode="learned")
    settings = replace(_settled(settings, said), model=model)
    if said is not None and settings.dataset.maxval is not None and "algebra.blocks" not in said:
        widest = max(settings.dataset.maxval, *(settings.dataset.test_maxval or (0,)))
        rows = replace(build.layout(settings.dataset, settings.constellation or "all"), maxval=widest)
        settings = replace(settings, algebra=build.long_enough(model.name, settings.algebra, rows))
    return settings


def parse_perception(composed: Mapping[str, Any], said: Mapping[str, str] | None = None) -> PerceptionTrainSettings:
    """The same for a run in which a front-end alone is trained.

    Args:
        composed: nested mapping.
        said: what the user sets, by key; None: the settings are complete (a run's).

    Returns:
        Validated settings, the constellation filled in.

    Raises:
        VSAError: as :func:`parse`.
    """
    chosen = commands.separate(dict(composed), PerceptionTrainSettings)
    return _settled(schema.build(PerceptionTrainSettings, chosen), said)


def _settled(settings: S, said: Mapping[str, str] | None) -> S:
    constellation: str | tuple[str, ...] | None = settings.constellation
    if constellation is None:
        constellation = settings.dataset.kind.training_constellation
    build.constellations(constellation, settings.dataset)
    build.constellations(settings.test_constellation, settings.dataset)
    if said is not None:
        settings = restoring.adopt_front_end(settings, said)
    return replace(settings, constellation=constellation)

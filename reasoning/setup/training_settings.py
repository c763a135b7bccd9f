"""The settings of a training run: from what is composed, or from a run's file. Loads no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from reasoning.setup import build, commands, restoring
from reasoning.setup.settings import TrainSettings
from vsa.commands import schema

__all__ = ["parse"]


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
    constellation: str | tuple[str, ...] | None = settings.constellation
    if constellation is None:
        constellation = settings.dataset.kind.training_constellation
    build.constellations(constellation, settings.dataset)
    build.constellations(settings.test_constellation, settings.dataset)
    if said is not None:
        settings = restoring.adopt_front_end(settings, said)
    if said is not None and settings.dataset.maxval is not None and "algebra.blocks" not in said:
        widest = max(settings.dataset.maxval, *(settings.dataset.test_maxval or (0,)))
        rows = replace(build.layout(settings.dataset, constellation), maxval=widest)
        settings = replace(settings, algebra=build.long_enough(settings.model.name, settings.algebra, rows))
    return replace(settings, model=model, constellation=constellation)

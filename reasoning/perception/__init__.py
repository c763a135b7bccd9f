"""Perception front-ends: from a batch of puzzles to a Scene. ``perception.get("oracle")`` gives the class."""

from __future__ import annotations

from reasoning.perception.base import Perception
from vsa.registry import Registry

PERCEPTIONS: Registry[type[Perception]] = Registry(
    "perception",
    package=__name__,
    entry_points="vsa_reasoning.perceptions",
    base="reasoning.perception.base:Perception",
)
get = PERCEPTIONS.get
names = PERCEPTIONS.names

__all__ = ["PERCEPTIONS", "Perception", "get", "names"]

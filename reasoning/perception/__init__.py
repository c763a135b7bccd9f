"""Perception front-ends: from a batch of puzzles to a Scene. ``perception.get("oracle")`` gives the class."""

from __future__ import annotations

from reasoning.perception.base import Perception
from vsa.registry import Registry

_MODULES = {"oracle": "reasoning.perception.oracle"}

PERCEPTIONS: Registry[type[Perception]] = Registry("perception", modules=_MODULES)
get = PERCEPTIONS.get
names = PERCEPTIONS.names

__all__ = ["PERCEPTIONS", "Perception", "get", "names"]

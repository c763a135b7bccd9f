"""Puzzles: RAVEN, I-RAVEN, RAVEN-FAIR and I-RAVEN-X, made here or read from the published files.

>>> import datasets
>>> puzzles = datasets.generate("iraven", "2x2", n=100, seed=0)
>>> puzzles.components[0].attributes["Color"].shape
(100, 16, 4)
"""

from __future__ import annotations

import importlib
from typing import Any

__all__ = [
    "CONSTELLATIONS",
    "DATA_SETS",
    "GOVERNED",
    "RULE_NAMES",
    "ComponentArrays",
    "DataSet",
    "Layout",
    "PicturedPuzzle",
    "Puzzle",
    "PuzzleArrays",
    "PuzzleBatch",
    "PuzzleDataset",
    "Shards",
    "generate",
    "like",
    "load",
    "read",
    "read_images",
    "resolve_constellation",
    "show",
    "write_json",
    "write_raven",
]

_HOME = {
    "CONSTELLATIONS": "constellations",
    "resolve_constellation": "constellations",
    "GOVERNED": "arrays",
    "RULE_NAMES": "arrays",
    "ComponentArrays": "arrays",
    "PuzzleArrays": "arrays",
    "Layout": "layout",
    "DATA_SETS": "data_sets",
    "DataSet": "data_sets",
    "like": "data_sets",
    "generate": "making.generation",
    "Puzzle": "puzzle",
    "PicturedPuzzle": "scans.pictured",
    "read": "files.read",
    "read_images": "files.images",
    "Shards": "files.shards",
    "show": "pixels.showing",
    "write_json": "files.read",
    "write_raven": "files.raven",
    "PuzzleBatch": "loaders",
    "PuzzleDataset": "loaders",
    "load": "loaders",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOME[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)

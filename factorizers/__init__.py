"""Factorizers: split a product vector into its factors without comparing it with every product.

>>> import vsa, factorizers
>>> algebra = vsa.get("map", dim=256)
>>> shapes, colors = (vsa.Codebook.random(algebra, 50, seed=seed) for seed in (0, 1))
>>> product = algebra.bind(shapes[7], colors[21])
>>> factorizers.InMemory([shapes, colors])(product).labels
(7, 21)
"""

from __future__ import annotations

import importlib
import inspect
from typing import TYPE_CHECKING, Any

from vsa import Registry, UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vsa import Algebra, Codebook

    from .asymmetric import Asymmetric
    from .base import Factorizer
    from .block_code import BlockCode
    from .checks import check_factorizer
    from .exhaustive import Exhaustive
    from .group_search import GroupSearch
    from .in_memory import InMemory
    from .join import Join
    from .resonator import Resonator
    from .result import Factorization, Trace
    from .superposed import explain_away

__all__ = [
    "FACTORIZERS",
    "Asymmetric",
    "BlockCode",
    "Exhaustive",
    "Factorization",
    "Factorizer",
    "GroupSearch",
    "InMemory",
    "Join",
    "Resonator",
    "Trace",
    "check_factorizer",
    "damage",
    "explain_away",
    "get",
    "needs",
    "takers",
    "theory",
]

_LAZY = {
    "Asymmetric": "factorizers.asymmetric",
    "BlockCode": "factorizers.block_code",
    "Exhaustive": "factorizers.exhaustive",
    "Factorization": "factorizers.result",
    "Factorizer": "factorizers.base",
    "GroupSearch": "factorizers.group_search",
    "InMemory": "factorizers.in_memory",
    "Join": "factorizers.join",
    "Resonator": "factorizers.resonator",
    "Trace": "factorizers.result",
    "check_factorizer": "factorizers.checks",
    "explain_away": "factorizers.superposed",
}
_MODULES = ("activations", "damage", "needs", "theory")

FACTORIZERS: Registry[type[Factorizer]] = Registry(
    "factorizer",
    package=__name__,
    besides=("capacity", "cells", "measuring", "screen", "wanted"),  # of the command, which needs hydra and rich
    entry_points="vsa_reasoning.factorizers",
    base="factorizers.base:Factorizer",
)


def get(name: str, books: Sequence[Codebook], **options: Any) -> Factorizer:
    """A factorizer by name.

    Args:
        name: a registered name, such as ``"in_memory"``.
        books: F codebooks of one algebra.
        **options: further arguments of that factorizer's constructor.

    Returns:
        The factorizer.

    Raises:
        UnknownNameError: no factorizer has this name, or the factorizer has no such option.
    """
    cls = FACTORIZERS.get(name)
    known = tuple(parameter for parameter in inspect.signature(cls).parameters if parameter != "books")
    for option in options:
        if option not in known:
            raise UnknownNameError(f"get {name}", name=option, known=known, kind="option")
    return cls(books, **options)


def takers(algebra: Algebra) -> tuple[str, ...]:
    """The factorizers whose needs an algebra meets by what it declares.

    Args:
        algebra: of the codebooks.

    Returns:
        Names, in the order of the registry.
    """
    return tuple(name for name in FACTORIZERS.names() if FACTORIZERS.get(name).takes(algebra))


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"factorizers.{name}")
    if name not in _LAZY:
        raise AttributeError(f"module 'factorizers' has no attribute {name!r}; it has {', '.join(__all__)}")
    value = getattr(importlib.import_module(_LAZY[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

"""The vector-symbolic models, one file each; a file that registers an ``Algebra`` is found by itself."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from ..errors import UnknownNameError
from ..registry import Registry

if TYPE_CHECKING:
    from ..algebra import Algebra

__all__ = ["ALGEBRAS", "get"]

ALGEBRAS: Registry[type[Algebra]] = Registry(
    "algebra", package=__name__, entry_points="vsa_reasoning.algebras", base="vsa.algebra:Algebra"
)


def get(name: str, **options: Any) -> Algebra:
    """An algebra by name.

    Args:
        name: a registered name or alias, such as ``"gsbc"`` or ``"block_codes"``.
        **options: the arguments of that algebra's constructor (``dim=1024, blocks=4``).

    Returns:
        The algebra: frozen, comparable, hashable.

    Raises:
        UnknownNameError: no algebra has this name, or the algebra has no such option.
        VSAError: an option's value is out of range.
    """
    cls = ALGEBRAS.get(name)
    known = tuple(inspect.signature(cls).parameters)
    for option in options:
        if option not in known:
            raise UnknownNameError(f"get {name}", name=option, known=known, kind="option")
    return cls(**options)

"""Where codebooks live: :class:`~vsa.backends.base.Backend` and its members, one file or folder each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..registry import Registry
from .places import array_seed, array_seeds

if TYPE_CHECKING:
    from .base import Backend

__all__ = ["BACKENDS", "array_seed", "array_seeds", "get"]

BACKENDS: Registry[type[Backend]] = Registry(
    "backend", package=__name__, entry_points="vsa_reasoning.backends", base="vsa.backends.base:Backend"
)


def get(name: str = "digital", **options: Any) -> Backend:
    """A backend by name.

    Args:
        name: a registered name, such as ``"digital"``.
        **options: the arguments of that backend's constructor.

    Returns:
        The backend.

    Raises:
        UnknownNameError: no backend has this name, or the backend has no such option.
    """
    made: Backend = BACKENDS.make({"name": name, **options})
    return made

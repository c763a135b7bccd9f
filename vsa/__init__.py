"""Vector-symbolic algebra: high-dimensional vectors that bind, bundle and are cleaned up against codebooks.

The public page. Names load on first use: ``import vsa`` alone imports nothing outside the standard library.

>>> import vsa
>>> algebra = vsa.get("block_codes", dim=512, blocks=4)
>>> shapes = vsa.Codebook.random(algebra, ["square", "circle", "star"], seed=0)
>>> colors = vsa.Codebook.random(algebra, ["red", "green", "blue"], seed=1)
>>> product = algebra.bind(shapes["circle"], colors["blue"])
>>> shapes.cleanup(algebra.unbind(product, colors["blue"])).labels
'circle'
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from .axes import AXES
from .errors import (
    CorruptFileError,
    DtypeError,
    SettingsError,
    ShapeError,
    UnknownNameError,
    UnsupportedError,
    VSAError,
)
from .registry import Registry
from .seeding import child_seed

if TYPE_CHECKING:
    from .accumulator import Accumulator
    from .algebra import Algebra
    from .backends.base import Backend, Cost, DeviceHandle, StoredMatrix
    from .checks import check_algebra, check_backend, check_device
    from .codebook import Cleanup, Codebook
    from .laws import Embedding, Form, Laws
    from .learnable import LearnableCodebook
    from .models import ALGEBRAS, get
    from .models._spectral import Spectral
    from .slots import SlotSets

__all__ = [
    "ALGEBRAS",
    "AXES",
    "Accumulator",
    "Algebra",
    "Backend",
    "Cleanup",
    "Codebook",
    "CorruptFileError",
    "Cost",
    "DeviceHandle",
    "DtypeError",
    "Embedding",
    "Form",
    "Laws",
    "LearnableCodebook",
    "Registry",
    "SettingsError",
    "ShapeError",
    "SlotSets",
    "Spectral",
    "StoredMatrix",
    "UnknownNameError",
    "UnsupportedError",
    "VSAError",
    "check_algebra",
    "check_backend",
    "check_device",
    "child_seed",
    "get",
]

_LAZY = {
    "ALGEBRAS": "vsa.models",
    "Accumulator": "vsa.accumulator",
    "Algebra": "vsa.algebra",
    "Backend": "vsa.backends.base",
    "Cleanup": "vsa.codebook",
    "Codebook": "vsa.codebook",
    "Cost": "vsa.backends.base",
    "DeviceHandle": "vsa.backends.base",
    "Embedding": "vsa.laws",
    "Form": "vsa.laws",
    "Laws": "vsa.laws",
    "LearnableCodebook": "vsa.learnable",
    "SlotSets": "vsa.slots",
    "Spectral": "vsa.models._spectral",
    "StoredMatrix": "vsa.backends.base",
    "check_algebra": "vsa.checks",
    "check_backend": "vsa.checks",
    "check_device": "vsa.checks",
    "get": "vsa.models",
}


_MODULES = (
    "accumulator", "algebra", "arithmetic", "backends", "checks", "codebook", "commands", "encoding", "executors",
    "laws", "learnable", "models", "nn", "plugins", "slots", "statistics", "validation",
)  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"vsa.{name}")
    if name not in _LAZY:
        raise AttributeError(f"module 'vsa' has no attribute {name!r}; it has {', '.join(__all__)}")
    value = getattr(importlib.import_module(_LAZY[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

"""Codebooks as safetensors files: atoms, and in the header algebra, labels and a checksum."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Hashable, Sequence
from dataclasses import asdict
from numbers import Integral, Real
from os import PathLike
from typing import Any

import torch
from torch import Tensor

from . import models
from .algebra import Algebra
from .errors import CorruptFileError, DtypeError

__all__ = ["content", "digest", "fingerprint", "load", "save"]

_FORMAT = "vsa.codebook/1"


def fingerprint(algebra: Algebra, labels: Sequence[Hashable], atoms: Tensor) -> str:
    """SHA-256 of algebra, labels and atoms.

    Args:
        algebra: whose vectors the atoms are.
        labels: N strings, numbers, None, or tuples of these.
        atoms: (..., N, D).

    Returns:
        64 hexadecimal digits.
    """
    digest = hashlib.sha256(_header(algebra, labels).encode())
    digest.update(content(atoms))
    return digest.hexdigest()


def content(atoms: Tensor) -> bytes:
    """Dtype, shape and values of a tensor as bytes."""
    flat = atoms.detach().cpu().contiguous().flatten()
    values: bytes = flat.view(torch.uint8).numpy().tobytes()
    return f"{atoms.dtype}{tuple(atoms.shape)}".encode() + values


def digest(data: bytes) -> Tensor:
    """SHA-256 as a tensor (32,), uint8, as state dicts hold it."""
    return torch.tensor(list(hashlib.sha256(data).digest()), dtype=torch.uint8)


def save(path: str | PathLike[str], algebra: Algebra, labels: Sequence[Hashable], atoms: Tensor) -> None:
    """Write a codebook.

    Args:
        path: the file.
        algebra: whose vectors the atoms are.
        labels: N strings, numbers, None, or tuples of these.
        atoms: (..., N, D).
    """
    from safetensors.torch import save_file

    checksum = fingerprint(algebra, labels, atoms)
    metadata = {"format": _FORMAT, "header": _header(algebra, labels), "sha256": checksum}
    save_file({"atoms": atoms.detach().cpu().contiguous()}, path, metadata)


def load(path: str | PathLike[str]) -> tuple[Algebra, tuple[Hashable, ...], Tensor]:
    """Read a codebook.

    Args:
        path: the file.

    Returns:
        The algebra, the labels, the atoms (..., N, D).

    Raises:
        CorruptFileError: the file is damaged, or no codebook.
        FileNotFoundError: there is no such file.
    """
    from safetensors import SafetensorError, safe_open

    operation = f"load codebook {path}"
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != _FORMAT:
                raise CorruptFileError(
                    operation, received=f"format {metadata.get('format')!r}", expected=f"{_FORMAT!r}, as save writes"
                )
            atoms = file.get_tensor("atoms")
        header = json.loads(metadata["header"])
        algebra = models.get(header["algebra"], **header["options"])
        labels = tuple(_read(label) for label in header["labels"])
    except FileNotFoundError:
        raise
    except CorruptFileError:
        raise
    except (SafetensorError, AttributeError, LookupError, OSError, RecursionError, TypeError, ValueError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise CorruptFileError(operation, received=reason, expected="a file written by Codebook.save") from error
    if metadata.get("sha256") != fingerprint(algebra, labels, atoms):
        raise CorruptFileError(
            operation,
            received="contents that do not match their checksum",
            expected="the file as it was written",
            hint="copy it again",
        )
    return algebra, labels, atoms


def _header(algebra: Algebra, labels: Sequence[Hashable]) -> str:
    content = {"algebra": algebra.name, "options": asdict(algebra), "labels": [_written(label) for label in labels]}
    return json.dumps(content, sort_keys=True)


def _written(label: Any) -> Any:
    """A label as JSON: text and numbers as they are (numpy's too), a tuple in a mapping."""
    if isinstance(label, tuple):
        return {"tuple": [_written(part) for part in label]}
    if isinstance(label, str) or label is None:
        return label
    if not isinstance(label, bool) and isinstance(label, Real):
        number = int(label) if isinstance(label, Integral) else float(label)
        if math.isfinite(number):
            return number
    raise DtypeError(
        "save codebook", received=f"label {label!r}", expected="strings, numbers, None, or tuples of these"
    )


def _read(label: Any) -> Hashable:
    if isinstance(label, dict):
        return tuple(_read(part) for part in label["tuple"])
    read: Hashable = label
    return read

"""Codebooks: labelled atoms behind a backend. Nothing else multiplies by atoms."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any

import torch
from torch import Tensor, nn

from . import codebook_files
from .algebra import Algebra
from .backends import get as get_backend
from .backends.base import Backend, DeviceHandle, StoredMatrix
from .errors import CorruptFileError, DtypeError, ShapeError, UnknownNameError, VSAError
from .validation import check_count, check_device, check_float, describe, make_generator

__all__ = ["Cleanup", "Codebook"]

_DEVICE = "device."  # prefix, in the state dict, of the state of the device that holds the atoms
_IDENTITY = "identity"  # in the state dict: a hash of algebra and labels, which must be those of the reader
_CHECKSUM = "checksum"  # in the state dict: a hash of the atoms, which must have arrived as they were sent


@dataclass(frozen=True)
class Cleanup:
    """The atoms nearest to some vectors.

    Args:
        indices: (...), int64, the row of the best atom.
        similarities: (...), its similarity.
        names: the codebook's labels.
    """

    indices: Tensor
    similarities: Tensor
    names: tuple[Hashable, ...]

    @property
    def labels(self) -> Any:
        """The label of each best atom: one label, or lists nested like the leading axes."""

        def look_up(index: Any) -> Any:
            return [look_up(i) for i in index] if isinstance(index, list) else self.names[index]

        return look_up(self.indices.tolist())


class Codebook(nn.Module):
    """Labelled atoms of an algebra, stored on a backend and read from there.

    Atoms keep the form they are given in: block codes in index form are stored as positions. They are a buffer, not
    a parameter; ``.to(device)`` moves them.

    Args:
        algebra: whose vectors the atoms are.
        atoms: (..., N, D) in any form of the algebra. Leading axes make a stack of codebooks that share labels.
        labels: N distinct names. Default: 0 to N - 1.
        backend: where the atoms are stored. Default: digital, exact.
        seed: of the stored array, for backends where storing is random. Default: its own, so that no two arrays have
            the same errors (see ``vsa.backends.places``).
    """

    atoms: Tensor

    def __init__(
        self,
        algebra: Algebra,
        atoms: Tensor,
        *,
        labels: Sequence[Hashable] | None = None,
        backend: Backend | None = None,
        seed: int | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(algebra, Algebra):
            raise DtypeError("Codebook", received=describe(algebra), expected="an algebra", hint="see vsa.get")
        if backend is not None and not isinstance(backend, Backend):
            raise DtypeError("Codebook", received=describe(backend), expected="a backend", hint="see vsa.backends.get")
        algebra.check_values("Codebook", atoms)
        if atoms.ndim < 2 or atoms.shape[-2] == 0:
            raise ShapeError("Codebook", received=f"atoms {describe(atoms)}", expected="(..., N, D), N at least 1")
        self.algebra = algebra
        self.backend = get_backend("digital") if backend is None else backend
        self.seed = self.backend.seed_of(seed)
        self.labels = _check_labels(labels, atoms.shape[-2])
        self._rows = {label: row for row, label in enumerate(self.labels)}
        self.register_buffer("atoms", atoms.detach().clone())
        self._stored = self._store()

    # ------------------------------------------------------------------ constructors

    @classmethod
    def random(
        cls,
        algebra: Algebra,
        labels: Sequence[Hashable] | int,
        *,
        generator: torch.Generator | None = None,
        seed: int | None = None,
        dtype: torch.dtype | None = None,
        backend: Backend | None = None,
    ) -> Codebook:
        """Independent random atoms.

        Args:
            algebra: whose vectors the atoms are.
            labels: N names, or N itself.
            generator: the source of randomness; or
            seed: of a new one.
            dtype: it chooses the form. Default: the algebra's most compact exact form.
            backend: where the atoms are stored.

        Returns:
            The codebook.
        """
        source = make_generator("Codebook.random", generator, seed)
        names = _names("Codebook.random", labels)
        atoms = algebra.random(len(names), generator=source, dtype=dtype or algebra.compact_dtype)
        return cls(algebra, atoms, labels=names, backend=backend)

    @classmethod
    def fractional_power(
        cls,
        algebra: Algebra,
        labels: Sequence[Hashable] | int,
        *,
        generator: torch.Generator | None = None,
        seed: int | None = None,
        base: Tensor | None = None,
        allow_repeats: bool = False,
        backend: Backend | None = None,
    ) -> Codebook:
        """Powers of one vector: atom v is ``power(base, v)``, so binding adds values and atom 0 is the identity.

        Atoms v and w coincide exactly when v - w is a multiple of ``algebra.power_period(base)``. For block codes with
        a base at positions p this is the least common multiple over blocks of L / gcd(p, L), at most L; the default
        base has only positions without a common factor with L, so the first L atoms differ in every block.

        Args:
            algebra: whose vectors the atoms are.
            labels: N names, or N itself.
            generator: the source of randomness of the base; or
            seed: of a new one; neither when ``base`` is given.
            base: (D,), atom 1. Default: ``algebra.power_base``.
            allow_repeats: accept atoms that coincide.
            backend: where the atoms are stored.

        Returns:
            The codebook.

        Raises:
            VSAError: atoms coincide and ``allow_repeats`` is false.
        """
        names = _names("Codebook.fractional_power", labels)
        if base is None:
            base = algebra.power_base(generator=make_generator("Codebook.fractional_power", generator, seed))
        elif generator is not None or seed is not None:
            raise VSAError("Codebook.fractional_power", received="a base and a seed", expected="one of them")
        period = algebra.power_period(base)
        if period is not None and len(names) > period and not allow_repeats:
            raise VSAError(
                "Codebook.fractional_power",
                received=f"{len(names)} atoms from a base that repeats after {period}",
                expected=f"at most {period} atoms, else atom v + {period} equals atom v",
                hint="use longer blocks (a larger dim or fewer blocks), or allow_repeats=True",
            )
        atoms = algebra.power(base, torch.arange(len(names), device=base.device))
        return cls(algebra, atoms, labels=names, backend=backend)

    # ------------------------------------------------------------------ reading

    def similarity(self, x: Tensor) -> Tensor:
        """Similarity of vectors to every atom.

        Args:
            x: (..., D); (..., *stack, D) for a stack of codebooks.

        Returns:
            (..., N); (..., *stack, N) for a stack.
        """
        return self._affine(self.stored.matvec(self._query("similarity", x)))

    def block_similarity(self, x: Tensor) -> Tensor:
        """Inner product of vectors with every atom, block by block (block codes).

        Args:
            x: (..., D).

        Returns:
            (..., N, K).
        """
        return self.stored.block_matvec(self._query("block_similarity", x))

    def linf_similarity(self, x: Tensor) -> Tensor:
        """The least block similarity: the L-infinity similarity to one-hot atoms (block codes).

        Args:
            x: (..., D).

        Returns:
            (..., N).
        """
        return self.stored.block_min(self._query("linf_similarity", x))

    def superpose(self, weights: Tensor) -> Tensor:
        """Weighted superposition of the atoms; a PMF over values becomes a vector.

        Args:
            weights: (..., N); (..., *stack, N) for a stack.

        Returns:
            (..., D), in the algebra's canonical form.
        """
        check_float("Codebook.superpose", weights, len(self))
        return self.algebra.unembed(self.stored.rmatvec(weights))

    def topk(self, x: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """The k most similar atoms, most similar first, in bounded memory.

        Args:
            x: (..., D).
            k: at most N.

        Returns:
            Similarities (..., k) and rows (..., k), int64.
        """
        values, rows = self.stored.topk(self._query("topk", x), k)
        return self._affine(values), rows

    def cleanup(self, x: Tensor) -> Cleanup:
        """The most similar atom.

        Args:
            x: (..., D).

        Returns:
            Rows, similarities and labels.
        """
        values, rows = self.topk(x, 1)
        return Cleanup(rows.squeeze(-1), values.squeeze(-1), self.labels)

    def row(self, label: Hashable) -> int:
        """The row of a label.

        Args:
            label: one of ``labels``.

        Returns:
            Its row.
        """
        if label not in self._rows:
            raise UnknownNameError("Codebook", name=label, known=map(str, self.labels), kind="label")
        return self._rows[label]

    def __getitem__(self, label: Hashable) -> Tensor:
        """The atom of a label, (..., D), in the form it is kept in; unlike a read, without a backend's noise."""
        return self.atoms[..., self.row(label), :]

    def __len__(self) -> int:
        return int(self.atoms.shape[-2])

    # ------------------------------------------------------------------ where it lives

    @property
    def stored(self) -> StoredMatrix:
        """The matrix on the backend. A codebook whose atoms change overrides this."""
        return self._stored

    def on(self, backend: Backend, *, seed: int | None = None) -> Codebook:
        """A snapshot of these atoms, stored on a backend.

        Args:
            backend: where to.
            seed: of the stored array, for backends where storing is random. Default: its own.

        Returns:
            A new codebook, detached from this one.
        """
        return Codebook(self.algebra, self.atoms, labels=self.labels, backend=backend, seed=seed)

    def _store(self) -> StoredMatrix:
        wanted = self.algebra.storage(self.atoms)
        return self.backend.store(wanted.atoms, wanted.kind, block_length=wanted.block_length, seed=self.seed)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Codebook:
        before = (self.atoms.device, self.atoms.dtype)
        super()._apply(fn, recurse)
        if (self.atoms.device, self.atoms.dtype) != before:
            if not self.backend.exact:
                raise VSAError(
                    "Codebook.to",
                    received=f"a move of an array programmed on {self.backend.name}",
                    expected="an array that stays where it was programmed",
                    hint="move the codebook first, then call .on(backend)",
                )
            self._stored = self._store()
        return self

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        destination[prefix + _IDENTITY] = codebook_files.digest(f"{self.algebra!r} {self.labels!r}".encode())
        destination[prefix + _CHECKSUM] = codebook_files.digest(codebook_files.content(self.atoms))
        for name, value in self._handle().state_dict().items():
            destination[f"{prefix}{_DEVICE}{name}"] = value

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *args: Any, **kwargs: Any) -> None:
        start = f"{prefix}{_DEVICE}"
        device = {key[len(start) :]: state_dict.pop(key) for key in list(state_dict) if key.startswith(start)}
        identity, checksum = (state_dict.pop(prefix + key, None) for key in (_IDENTITY, _CHECKSUM))
        expected = codebook_files.digest(f"{self.algebra!r} {self.labels!r}".encode())
        if identity is not None and not torch.equal(identity.cpu(), expected):
            raise VSAError(
                "Codebook.load_state_dict",
                received="the state of a codebook with another algebra or other labels",
                expected=f"one of {self.algebra} with the labels of this codebook",
                hint="make the codebook as it was when the state was saved",
            )
        sent = state_dict.get(prefix + "atoms")
        found = codebook_files.digest(codebook_files.content(sent)) if isinstance(sent, Tensor) else None
        if checksum is not None and found is not None and not torch.equal(checksum.cpu(), found):
            raise CorruptFileError(
                "Codebook.load_state_dict",
                received="atoms that do not match their checksum",
                expected="the atoms as they were saved",
                hint="copy the file again; if you changed the atoms on purpose, leave out the entry checksum",
            )
        self._handle().check_state(device)  # before anything changes
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)
        self._stored = self._store()
        self._handle().load_state_dict(device)

    def _handle(self) -> DeviceHandle:
        """The devices whose state is saved and restored with the atoms."""
        return self.stored.handle

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        if self.backend.exact:
            del state["_stored"]  # made again from the atoms, with which it may share memory
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "_stored" not in state:
            self._stored = self._store()

    def extra_repr(self) -> str:
        """Algebra, size, backend."""
        return f"{self.algebra}, {len(self)} atoms, {self.backend.name}"

    # ------------------------------------------------------------------ files

    def fingerprint(self) -> str:
        """SHA-256 of algebra, labels and atoms."""
        return codebook_files.fingerprint(self.algebra, self.labels, self.atoms)

    def save(self, path: str | PathLike[str]) -> None:
        """Write a safetensors file with a checksum. Labels must be strings or integers.

        Args:
            path: the file.
        """
        codebook_files.save(path, self.algebra, self.labels, self.atoms)

    @classmethod
    def load(cls, path: str | PathLike[str], *, backend: Backend | None = None) -> Codebook:
        """Read what :meth:`save` wrote.

        Args:
            path: the file.
            backend: where the atoms are stored.

        Returns:
            The codebook.

        Raises:
            CorruptFileError: the file is damaged or no codebook.
        """
        algebra, labels, atoms = codebook_files.load(path)
        return cls(algebra, atoms, labels=labels, backend=backend)

    # ------------------------------------------------------------------ helpers

    def _query(self, operation: str, x: Tensor) -> Tensor:
        stored = self.stored
        self.algebra._check(operation, x)
        check_device("Codebook", operation, x, self.atoms)
        integers = stored.kind == "bipolar" and self.backend.exact and operation in ("similarity", "topk")
        if integers and not (x.is_floating_point() or x.is_complex()):
            return self.algebra._embed(x, torch.int8)  # read as integers: exact, and faster where the processor can
        return self.algebra._embed(x, stored.dtype)

    def _affine(self, products: Tensor) -> Tensor:
        embedding = self.algebra.embedding
        scaled = products * embedding.scale
        return scaled + embedding.offset if embedding.offset else scaled


def _names(operation: str, labels: Sequence[Hashable] | int) -> tuple[Hashable, ...]:
    if isinstance(labels, int):
        check_count(operation, "n", labels)
        return tuple(range(labels))
    return tuple(labels)


def _check_labels(labels: Sequence[Hashable] | None, count: int) -> tuple[Hashable, ...]:
    names = tuple(range(count)) if labels is None else tuple(labels)
    if len(names) != count or len(set(names)) != count:
        raise VSAError(
            "Codebook",
            received=f"{len(names)} labels, {len(set(names))} distinct, for {count} atoms",
            expected=f"{count} distinct labels",
        )
    return names

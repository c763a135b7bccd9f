"""Codebooks: labelled atoms behind a backend. Nothing else multiplies by atoms."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from os import PathLike
from typing import Any, Literal

import torch
from torch import Tensor, nn

from . import arithmetic, codebook_files
from .algebra import Algebra
from .backends import get as get_backend
from .backends.base import Backend, DeviceHandle, StoredMatrix
from .codebook_labels import Cleanup, check_labels, label_names, warn_of_alike
from .codebook_reads import Question, ask
from .errors import CorruptFileError, DtypeError, ShapeError, UnknownNameError, VSAError
from .validation import (
    check_device,
    check_float,
    check_kind,
    check_number,
    check_rows,
    describe,
    make_generator,
    refuse_nan,
)

__all__ = ["Cleanup", "Codebook"]

_DEVICE = "device."  # prefix, in the state dict, of the state of the device that holds the atoms
_IDENTITY = "identity"  # in the state dict: a hash of algebra and labels, which must be those of the reader
_FEW_VOTES = 2**14  # entries of a vote up to which it is first taken as if there were no ties
_CHECKSUM = "checksum"  # in the state dict: a hash of the atoms, which must have arrived as they were sent


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
        unrelated: whether atoms are meant to be unrelated: a warning then names the pair that is most alike, if any is.
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
        unrelated: bool = True,
    ) -> None:
        super().__init__()
        check_kind("Codebook", algebra, Algebra, "an algebra", "see vsa.get")
        if backend is not None:
            check_kind("Codebook", backend, Backend, "a backend", "see vsa.backends.get")
        algebra.check_values("Codebook", atoms)
        if atoms.ndim < 2 or atoms.shape[-2] == 0:
            raise ShapeError("Codebook", received=f"atoms {describe(atoms)}", expected="(..., N, D), N at least 1")
        self.algebra = algebra
        self._linear = algebra.laws.linear  # known before anything is compiled, where laws cannot be worked out
        self.backend = get_backend("digital") if backend is None else backend
        self.seed = self.backend.seed_of(seed)
        self.labels = check_labels(labels, atoms.shape[-2])
        self._rows = {label: row for row, label in enumerate(self.labels)}
        self.register_buffer("atoms", atoms.detach().clone())
        self._stored = self._store()
        if unrelated:
            warn_of_alike(algebra, atoms, self.labels)

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
        check_kind("Codebook.random", algebra, Algebra, "an algebra", "see vsa.get")
        source = make_generator("Codebook.random", generator, seed)
        names = label_names("Codebook.random", labels)
        atoms = algebra.random(len(names), generator=source, dtype=algebra.compact_dtype if dtype is None else dtype)
        return cls(algebra, atoms, labels=names, backend=backend, unrelated=False)

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
        check_kind("Codebook.fractional_power", algebra, Algebra, "an algebra", "see vsa.get")
        names = label_names("Codebook.fractional_power", labels)
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
        if base.ndim != 1:
            raise ShapeError("Codebook.fractional_power", received=f"a base {describe(base)}", expected="one vector")
        atoms = algebra.power(base, torch.arange(len(names), device=base.device))
        return cls(algebra, atoms, labels=names, backend=backend, unrelated=False)

    # ------------------------------------------------------------------ reading

    def similarity(self, x: Tensor) -> Tensor:
        """Similarity of vectors to every atom.

        Args:
            x: (..., D); (..., *stack, D) for a stack of codebooks.

        Returns:
            (..., N); (..., *stack, N) for a stack.
        """
        asked = self._asked("similarity", x)
        return asked.answer(self._affine(asked.products(asked.stored.matvec(asked.query))))

    def block_similarity(self, x: Tensor) -> Tensor:
        """Inner product of vectors with every atom, block by block (block codes).

        Args:
            x: (..., D).

        Returns:
            (..., N, K).
        """
        asked = self._asked("block_similarity", x)
        found = asked.stored.block_matvec(asked.query)
        products = asked.products(found.flatten(-2))
        return asked.answer(products.unflatten(-1, found.shape[-2:]))

    def linf_similarity(self, x: Tensor) -> Tensor:
        """The least block similarity: the L-infinity similarity to one-hot atoms (block codes).

        Args:
            x: (..., D).

        Returns:
            (..., N).
        """
        asked = self._asked("linf_similarity", x)
        return asked.answer(asked.products(asked.stored.block_min(asked.query)))

    def superpose(self, weights: Tensor) -> Tensor:
        """Weighted superposition of the atoms; a PMF over values becomes a vector. Where bundling is a vote, the same.

        Args:
            weights: (..., N); (..., *stack, N) for a stack.

        Returns:
            (..., D), in the algebra's canonical form.
        """
        check_float("Codebook.superpose", weights, len(self))
        if self._linear:
            return self.algebra.unembed(self.stored.rmatvec(weights))
        return self._vote(weights)

    def superpose_some(self, rows: Tensor, weights: Tensor) -> Tensor:
        """Weighted superposition of some atoms: :meth:`superpose` of weights that are zero elsewhere.

        A PMF with mass on few of many values takes a gather of few atoms. It is differentiable in the weights where
        ``superpose`` is.

        Args:
            rows: int64 (..., K), rows of atoms; (..., *stack, K) for a stack. One that is named twice counts twice.
            weights: (..., K), float; (..., *stack, K) for a stack.

        Returns:
            (..., D), in the algebra's canonical form.

        Raises:
            DtypeError: weights that are no floats.
            ShapeError: rows that do not fit the weights, or that the codebook does not have.
        """
        check_float("Codebook.superpose_some", weights, weights.shape[-1] if weights.ndim else 1)
        if self._linear:
            return self.algebra.unembed(self.stored.rmatvec_some(rows, weights))
        check_rows("Codebook.superpose_some", rows, weights, len(self))
        shape = (*weights.shape[:-1], len(self))
        return self._vote(weights.new_zeros(shape).scatter_add(-1, rows, weights))

    def _vote(self, weights: Tensor) -> Tensor:
        """The vote that ``bundle`` would take of the atoms."""
        algebra, stored, weights = self.algebra, self.stored, arithmetic.widened(weights)
        votes = weights.numel() // len(self) * stored.width
        if stored.exact and votes <= _FEW_VOTES:  # among more, some are nearly tied
            settled = algebra._settled(stored.rmatvec(weights), arithmetic.vote_margin(weights))
            if settled is not None:
                return settled
        refuse_nan("Codebook.superpose", weights - weights)  # a vote would hide it
        equal = arithmetic.all_equal(weights)
        counted = torch.ones_like(weights) if equal else arithmetic.integral_weights(weights)
        tally = stored.rmatvec(counted)
        # What a noisy backend answers is no integer.
        return algebra._from_tally(tally if stored.exact or not algebra.settles else tally.round(), counted.sum(-1))

    def topk(self, x: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """The k most similar atoms, most similar first, in bounded memory.

        Args:
            x: (..., D).
            k: at most N.

        Returns:
            Similarities (..., k) and rows (..., k), int64.
        """
        asked = self._asked("topk", x)
        values, rows = asked.stored.topk(asked.query, k)
        return asked.answer(self._affine(asked.products(values))), rows

    def cosine(self, x: Tensor) -> Tensor:
        """Cosine of the angle between embedded vectors and every atom: what long and short atoms are compared by.

        Args:
            x: (..., D).

        Returns:
            (..., N); 0 for a vector of zeros.
        """
        asked = self._asked("cosine", x)
        query, size = arithmetic.sized(asked.query)
        found = arithmetic.widened(asked.stored.matvec(query))
        sizes = arithmetic.norms(self.algebra._embed(self.atoms, found.dtype)).squeeze(-1)
        for norms in (size, sizes):
            found = torch.where(norms == 0, 0.0, found / torch.where(norms == 0, 1.0, norms))
        return asked.answer(found)

    def cleanup(
        self, x: Tensor, *, threshold: float | None = None, measure: Literal["similarity", "cosine"] = "similarity"
    ) -> Cleanup:
        """The most similar atom.

        Args:
            x: (..., D).
            threshold: the least similarity (or cosine) at which an atom is an answer; below it the row is -1 and the
                label None. Default: there is always an answer.
            measure: what decides: the similarity, or the cosine, in a book of sums, say, whose norms differ.

        Returns:
            Rows, similarities and labels.

        Raises:
            VSAError: a vector holds NaN.
        """
        if not isinstance(measure, str) or measure not in ("similarity", "cosine"):
            raise UnknownNameError("Codebook.cleanup", name=measure, known=("similarity", "cosine"), kind="measure")
        if measure == "cosine":
            values, rows = self.cosine(x).max(-1)
        else:
            values, rows = (part.squeeze(-1) for part in self.topk(x, 1))
        refuse_nan("Codebook.cleanup", values)
        if threshold is not None:
            check_number("Codebook.cleanup", "threshold", threshold)
            rows = torch.where(values >= float(threshold), rows, -1)
        return Cleanup(rows, values, self.labels)

    def row(self, label: Hashable) -> int:
        """The row of a label.

        Args:
            label: one of ``labels``.

        Returns:
            Its row.
        """
        if label not in self:
            raise UnknownNameError("Codebook", name=label, known=map(str, self.labels), kind="label")
        return self._rows[label]

    def __contains__(self, label: object) -> bool:
        """Whether an atom has this label."""
        try:
            return label in self._rows
        except TypeError:  # what cannot be a label
            return False

    def __iter__(self) -> Iterator[Hashable]:
        """The labels, in the order of the rows."""
        return iter(self.labels)

    def __getitem__(self, label: Any) -> Tensor:
        """Atoms in the form they are kept in; unlike a read, without a backend's noise.

        Args:
            label: one label, which gives (..., D); a list of labels, or a slice or an integer tensor (N,) of rows,
                which give (..., N, D).
        """
        atoms = self._vectors()
        if isinstance(label, slice):
            try:
                rows = range(*label.indices(len(self)))
            except (TypeError, ValueError):
                raise DtypeError("Codebook", received=f"rows {label!r}"[:80], expected="a slice of integers") from None
            return atoms[..., rows.start : rows.stop : rows.step, :] if rows.step > 0 else atoms[..., list(rows), :]
        if isinstance(label, Tensor):
            if label.ndim != 1 or label.is_floating_point() or label.is_complex() or label.dtype == torch.bool:
                raise DtypeError("Codebook", received=f"rows {describe(label)}", expected="integers (N,), or a label")
            if label.numel() and not (int(label.min()) >= 0 and int(label.max()) < len(self)):
                raise ShapeError(
                    "Codebook",
                    received=f"rows from {int(label.min())} to {int(label.max())}",
                    expected=f"rows from 0 to {len(self) - 1}",
                )
            return atoms.index_select(-2, label.to(atoms.device))
        if isinstance(label, list):
            return atoms[..., [self.row(one) for one in label], :]
        return atoms[..., self.row(label), :]

    def _vectors(self) -> Tensor:
        """The atoms as they are handed out."""
        return self.atoms

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
        return Codebook(self.algebra, self.atoms, labels=self.labels, backend=backend, seed=seed, unrelated=False)

    def _store(self) -> StoredMatrix:
        wanted = self.algebra.storage(self.atoms)
        return self.backend.store(wanted.atoms, wanted.kind, block_length=wanted.block_length, seed=self.seed)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Codebook:
        before = (self.atoms.device, self.atoms.dtype)
        if not self.backend.exact:
            moved = fn(self.atoms[..., :0, :])
            if (moved.device, moved.dtype) != before:
                raise VSAError(
                    "Codebook.to",
                    received=f"a move of an array programmed on {self.backend.name}",
                    expected="an array that stays where it was programmed",
                    hint="move the codebook first, then call .on(backend)",
                )
        super()._apply(fn, recurse)
        if (self.atoms.device, self.atoms.dtype) != before:
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
        """Write a safetensors file with a checksum. Labels must be strings, numbers, None, or tuples of these.

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
        return cls(algebra, atoms, labels=labels, backend=backend, unrelated=False)

    # ------------------------------------------------------------------ helpers

    def _asked(self, operation: str, x: Tensor) -> Question:
        stored = self.stored
        self.algebra._check(operation, x)
        check_device("Codebook", operation, x, self.atoms)
        integers = stored.kind == "bipolar" and self.backend.exact and operation in ("similarity", "topk")
        if integers and not (x.is_floating_point() or x.is_complex()):
            # Read as integers: exact, and faster where the processor can.
            return ask(stored, self.algebra._embed(x, torch.int8), x)
        return ask(stored, self.algebra._embed(x, stored.dtype), x)

    def _affine(self, products: Tensor) -> Tensor:
        embedding = self.algebra.embedding
        scaled = products * embedding.scale
        return scaled + embedding.offset if embedding.offset else scaled

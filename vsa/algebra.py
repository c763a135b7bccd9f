"""The base of all vector-symbolic models: public methods validate and delegate, subclasses provide the mathematics.

An :class:`Algebra` is a frozen value without state: two with the same fields are equal, it pickles, and it can be a
dictionary key. Vectors are plain tensors whose last axis is the vector; every operation broadcasts over leading axes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from . import arithmetic, validation
from .errors import DtypeError, ShapeError, VSAError
from .laws import Storage
from .operations import Operations

__all__ = ["Algebra"]

_FAR = 2**62  # integers that no tensor holds
_SMALL = 2**16  # entries up to which a weighted vote is first taken as if there were no ties


@dataclass(frozen=True)
class Algebra(Operations):
    """A vector-symbolic model of dimension ``dim``.

    Subclasses define the class attribute ``name``, the properties ``forms``, ``embedding`` and ``laws``, and the
    underscore methods; where it applies, ``block_length``, ``phases`` and ``relaxed``. Operations they leave out are
    listed in ``laws.lacks`` and raise :class:`UnsupportedError`.

    Args:
        dim: D, the dimension.
    """

    dim: int

    def __post_init__(self) -> None:
        validation.check_count(self.name, "dim", self.dim)

    # ------------------------------------------------------------------ making vectors

    def random(
        self,
        *batch: int,
        generator: torch.Generator | None = None,
        seed: int | None = None,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> Tensor:
        """Independent random vectors.

        Args:
            *batch: leading axes; none makes a single vector.
            generator: the source of randomness. Draws are made on its device. Or
            seed: of a new one.
            dtype: of the result; it chooses the form. Default: the canonical form in torch's default dtype.
            device: of the result. Default: the generator's.

        Returns:
            (*batch, D), or the width of the form that ``dtype`` chooses.

        Raises:
            VSAError: neither a generator nor a seed was given, or both.
            DtypeError: no form has this dtype.
        """
        generator = validation.make_generator(f"{self.name} random", generator, seed)
        for size in batch:
            validation.check_count(f"{self.name} random", "batch", size, least=0)
        form = validation.form_for(self.name, "random", dtype, self.forms)
        if device is not None:
            validation.check_place(f"{self.name} random", device)
        vectors = self._random(batch, generator, form, dtype or validation.default_dtype(form))
        return vectors if device is None else vectors.to(device)

    def identity(
        self, *batch: int, dtype: torch.dtype | None = None, device: torch.device | str | None = None
    ) -> Tensor:
        """The vector that changes nothing when bound.

        Args:
            *batch: leading axes; none makes a single vector.
            dtype: of the result; it chooses the form. Default: the canonical form in torch's default dtype.
            device: of the result.

        Returns:
            (*batch, D), or the width of the form that ``dtype`` chooses.
        """
        form = validation.form_for(self.name, "identity", dtype, self.forms)
        for size in batch:
            validation.check_count(f"{self.name} identity", "batch", size, least=0)
        if device is not None:
            validation.check_place(f"{self.name} identity", device)
        return self._identity(form, dtype or validation.default_dtype(form), device).expand(*batch, -1).clone()

    # ------------------------------------------------------------------ operations

    def bind(self, x: Tensor, y: Tensor, *more: Tensor) -> Tensor:
        """Bind vectors into one that resembles none of them.

        Args:
            x: (..., D).
            y: (..., D), broadcast against ``x``.
            more: further vectors, bound in their order.

        Returns:
            (..., D).
        """
        if more:
            return self.bind(self.bind(x, y), *more)
        self._check("bind", x, y)
        return self._bind(x, y)

    def unbind(self, x: Tensor, y: Tensor) -> Tensor:
        """Take ``y`` out of ``x``: ``unbind(bind(x, y), y)`` is ``x``, exactly or nearly, as ``laws`` says.

        Args:
            x: (..., D), the product.
            y: (..., D), the key, broadcast against ``x``.

        Returns:
            (..., D).
        """
        self._check("unbind", x, y)
        return self._unbind(x, y)

    def inverse(self, x: Tensor) -> Tensor:
        """Invert a vector under binding, so that ``unbind(z, x) = bind(z, inverse(x))``.

        Args:
            x: (..., D).

        Returns:
            (..., D).
        """
        self._check("inverse", x)
        return self._inverse(x)

    def bind_all(self, vectors: Tensor, dim: int = -2) -> Tensor:
        """Bind the vectors along an axis, in their order.

        Args:
            vectors: (..., N, D), N at least 1.
            dim: the axis of N.

        Returns:
            (..., D).
        """
        self._check("bind_all", vectors)
        return self._bind_all(validation.axis_to_front(self.name, "bind_all", vectors, dim))

    def bundle(self, vectors: Tensor, weights: Tensor | None = None, *more: Tensor, dim: int = -2) -> Tensor:
        """Superpose vectors into one that resembles each. A sum is not normalised.

        Args:
            vectors: (..., N, D), N at least 1: those along an axis. Or (..., D), the first of several arguments.
            weights: (..., N), broadcast against the vectors once ``dim`` is their last axis but one.
                Default: all 1. Or (..., D), the second of several vectors: what has no N entries is a vector.
            more: (..., D), further vectors; then the second argument is one, too.
            dim: the axis of N.

        Returns:
            (..., D): the weighted sum; where ``laws.linear`` is false, the vector that wins the weighted vote.

        Reference:
            Kanerva, "Hyperdimensional computing", Cognitive Computation 2009.
        """
        self._check("bundle", vectors)
        if more or self._is_second_vector(vectors, weights, dim):
            vectors, weights, dim = self._stacked(vectors, weights, *more), None, -2
        stacked = validation.axis_to_front(self.name, "bundle", vectors, dim).movedim(0, -2)
        if weights is not None:
            validation.check_weights(self.name, "bundle", weights, stacked)
            if not self.laws.linear:
                return self._weighted_vote(stacked, weights)
        return self._bundle(stacked, weights)

    def _weighted_vote(self, vectors: Tensor, weights: Tensor) -> Tensor:
        if arithmetic.all_equal(weights):
            if weights.ndim > 1:
                lead = torch.broadcast_shapes(vectors.shape[:-2], weights.shape[:-1])
                vectors = vectors.expand(*lead, -1, -1)
            return self._bundle(vectors, None)
        weights = arithmetic.widened(weights)
        if vectors.numel() <= _SMALL:  # among more some are nearly tied
            settled = self._settled_bundle(vectors, weights, arithmetic.vote_margin(weights))
            if settled is not None:
                return settled
        return self._bundle(vectors, arithmetic.integral_weights(weights))

    def _is_second_vector(self, vectors: Tensor, weights: Tensor | None, dim: int) -> bool:
        """Whether ``bundle(a, b)`` is meant: the second argument has the width of a vector, and not N entries."""
        if not isinstance(weights, Tensor) or weights.dtype not in self._dtypes or weights.is_nested:
            return False
        if not weights.ndim:
            return False
        single = vectors.ndim == 1
        return weights.shape[-1] in self._widths and (single or weights.shape[-1] != vectors.shape[dim])

    @cached_property
    def _dtypes(self) -> frozenset[torch.dtype]:
        return frozenset(dtype for form in self.forms for dtype in form.dtypes)

    @cached_property
    def _widths(self) -> frozenset[int]:
        return frozenset(form.width for form in self.forms)

    def _stacked(self, *vectors: Tensor | None) -> Tensor:
        given = [vector for vector in vectors if vector is not None]
        self._check("bundle", *given)
        if len({vector.shape[-1] for vector in given}) > 1:
            shapes = ", ".join(map(validation.describe, given))
            raise ShapeError(f"{self.name} bundle", received=shapes, expected="vectors in one form")
        return torch.stack(torch.broadcast_tensors(*given), -2)

    def negative(self, x: Tensor) -> Tensor:
        """The vector that cancels ``x`` in a bundle.

        Args:
            x: (..., D).

        Returns:
            (..., D), of similarity -1 with an atom ``x``.
        """
        self._check("negative", x)
        return self._negative(x)

    def permute(self, x: Tensor, shifts: int | Tensor = 1) -> Tensor:
        """Reorder the entries of a vector: by the algebra's fixed permutation, or by one of your own.

        Args:
            x: (..., D).
            shifts: how often the fixed one is applied; negative undoes. Or the order itself, (N,) int64 with N =
                ``laws.permutation_order``, of :meth:`random_permutation`; its ``argsort()`` undoes.

        Returns:
            (..., D).
        """
        self._check("permute", x)
        if type(shifts) is int:
            return self._permute(x, shifts if abs(shifts) < _FAR else shifts % self.laws.permutation_order)
        if isinstance(shifts, Tensor):
            moved = self.laws.permutation_order
            every = torch.arange(moved, device=shifts.device)
            if shifts.dtype != torch.int64 or shifts.shape != (moved,) or not torch.equal(shifts.sort().values, every):
                raise ShapeError(
                    f"{self.name} permute",
                    received=f"an order {validation.describe(shifts)}",
                    expected=f"the numbers from 0 to {moved - 1} in some order",
                    hint="see random_permutation",
                )
            self._permute(x, 0)  # refused where the algebra does not permute
            return self._reorder(x, shifts)
        raise DtypeError(f"{self.name} permute", received=f"shifts {shifts!r}"[:80], expected="an integer")

    def random_permutation(self, *, generator: torch.Generator | None = None, seed: int | None = None) -> Tensor:
        """A permutation beside the fixed one, for :meth:`permute`.

        Args:
            generator: the source of randomness; or
            seed: of a new one.

        Returns:
            (N,), int64, with N = ``laws.permutation_order``: what moves are entries, or whole blocks.
        """
        source = validation.make_generator(f"{self.name} random_permutation", generator, seed)
        return torch.randperm(self.laws.permutation_order, generator=source, device=source.device)

    def power(self, base: Tensor, exponents: Tensor | float) -> Tensor:
        """Bind a vector with itself ``exponents`` times, also for exponents between the integers.

        Args:
            base: (..., D).
            exponents: a number, or (...), broadcast against the leading axes of ``base``.

        Returns:
            (..., D).

        Reference:
            Plate, "Holographic reduced representations", IEEE TNN 1995; Frady, Kleyko, Kymn, Olshausen, Sommer,
            "Computing on functions using randomized vector representations", 2021.
        """
        self._check("power", base)
        if not isinstance(exponents, Tensor):
            validation.check_number(f"{self.name} power", "exponents", exponents)
            if isinstance(exponents, int) and abs(exponents) >= _FAR:
                raise VSAError(
                    f"{self.name} power", received="an exponent of more than 62 bits", expected="a smaller one"
                )
            inexact = base.is_floating_point() or base.is_complex()
            wide = torch.float64 if inexact and isinstance(exponents, float) else None
            exponents = torch.as_tensor(exponents, dtype=wide, device=base.device)
        validation.check_computable(f"{self.name} power", exponents)
        exponents = arithmetic.widened(exponents)
        if exponents.is_complex() or exponents.dtype == torch.bool:
            raise DtypeError(f"{self.name} power", received=f"exponents of {exponents.dtype}", expected="real numbers")
        validation.check_device(self.name, "power", base, exponents)
        validation.check_broadcast(self.name, "power", base.shape[:-1], exponents.shape)
        return self._power(base, exponents)

    def normalize(self, x: Tensor) -> Tensor:
        """Scale a vector (a bundle, say) back to where the algebra's vectors live.

        Args:
            x: (..., D).

        Returns:
            (..., D).
        """
        self._check("normalize", x)
        return self._normalize(x)

    def quantize(self, x: Tensor, temperature: float | None = None) -> Tensor:
        """The nearest vector that :meth:`random` could have made, hard or soft.

        Args:
            x: (..., D).
            temperature: None is hard. A positive number gives a smooth form with a gradient, which becomes the hard one
                as the temperature falls to zero.

        Returns:
            (..., D), without gradient when hard.
        """
        self._check("quantize", x)
        if temperature is None:
            return self._quantize(x)
        validation.check_number(f"{self.name} quantize", "temperature", temperature)
        if not 0 < temperature < math.inf:
            raise VSAError(f"{self.name} quantize", received=f"temperature {temperature}", expected="a positive number")
        return self._soften(x, temperature)

    def flatten(self, x: Tensor) -> Tensor:
        """Every entry (every frequency, where binding is a convolution) to magnitude one: its sign or its phase.

        It commutes with binding. Where a few large entries decide an inner product of products, chance is far from
        normal; that of a flattened product with any vector is not.

        Args:
            x: (..., D).

        Returns:
            (..., D).
        """
        self._check("flatten", x)
        return self._flatten(x)

    # ------------------------------------------------------------------ comparing

    def similarity(self, x: Tensor, y: Tensor) -> Tensor:
        """How alike two vectors are, pair by pair: 1 for equal atoms.

        Args:
            x: (..., D).
            y: (..., D), broadcast against ``x``.

        Returns:
            (...).
        """
        self._check("similarity", x, y)
        return self._similarity(x, y)

    def similarity_to_set(self, x: Tensor, atoms: Tensor) -> Tensor:
        """How alike a vector is to each vector of a set. A codebook that is asked often is a ``Codebook``.

        Args:
            x: (..., D).
            atoms: (N, D).

        Returns:
            (..., N).
        """
        self._check("similarity_to_set", x)
        self._check("similarity_to_set", atoms)
        if atoms.ndim != 2 or atoms.shape[0] == 0:
            raise ShapeError(
                f"{self.name} similarity_to_set",
                received=f"atoms of shape {tuple(atoms.shape)}",
                expected="(N, D) with N at least 1",
            )
        validation.check_device(self.name, "similarity_to_set", x, atoms)
        if x.dtype != atoms.dtype and all(part.is_floating_point() or part.is_complex() for part in (x, atoms)):
            received = f"{validation.describe(x)} and atoms {validation.describe(atoms)}"
            raise DtypeError(f"{self.name} similarity_to_set", received=received, expected="one dtype")
        return self._similarity_to_set(x, atoms)

    def cosine(self, x: Tensor, y: Tensor) -> Tensor:
        """Cosine of the angle between the real embeddings, pair by pair; 0 where one of them is zero.

        Args:
            x: (..., D).
            y: (..., D), broadcast against ``x``.

        Returns:
            (...).
        """
        self._check("cosine", x, y)
        return arithmetic.cosine(*self._embed_pair(x, y))

    def vote_similarity(self, items: int) -> tuple[float, float]:
        """Similarity of a bundle of random atoms to one of them, where bundling is a vote.

        Args:
            items: how many atoms are bundled.

        Returns:
            Mean and standard deviation.
        """
        validation.check_count(self.name, "items", items)
        return self._vote_similarity(items)

    # ------------------------------------------------------------------ the bridge to arrays

    def embed(self, x: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        """The real vector that is stored in, or applied to, an array.

        Args:
            x: (..., D).
            dtype: of the result, for forms that have no float dtype of their own. Default: torch's default.

        Returns:
            (..., E), such that similarity is an affine function of the inner product (see :attr:`embedding`).
        """
        self._check("embed", x)
        if dtype is not None and not (isinstance(dtype, torch.dtype) and dtype.is_floating_point):
            raise DtypeError(f"{self.name} embed", received=f"dtype {dtype!r}"[:80], expected="a float dtype")
        return self._embed(x, dtype)

    def unembed(self, e: Tensor) -> Tensor:
        """The vector behind an embedding, or behind a weighted sum of embeddings.

        Args:
            e: (..., E), real.

        Returns:
            (..., D) in the canonical form.
        """
        width = self.embedding.width
        validation.check_float(f"{self.name} unembed", e, width)
        return self._unembed(e)

    def binding_matrix(self, x: Tensor) -> Tensor:
        """Binding as a matrix, so that ``bind(x, y) = binding_matrix(x) @ y``.

        Args:
            x: (..., D).

        Returns:
            (..., D, D).
        """
        self._check("binding_matrix", x)
        return self._binding_matrix(x)

    def storage(self, atoms: Tensor) -> Storage:
        """What to ask of a backend so that it holds these atoms as compactly as their values allow.

        Args:
            atoms: (..., N, D) in any form.

        Returns:
            The array, its kind, and its block length.
        """
        self._check("storage", atoms)
        return self._storage(atoms)

    @property
    def relaxed(self) -> Algebra:
        """The algebra in which sums of embeddings stay sums: this one, unless bundling is a vote.

        It has the same embedding and binds and unbinds embedded vectors alike. A vote without a relaxed algebra is its
        own, and what needs sums refuses it.
        """
        return self

    @property
    def room_for_sums(self) -> str:
        """What to do where a vote is no use: the hint of a refusal, empty where no algebra is known."""
        return f"use {self.relaxed.name}, whose bundle keeps weights" if self.relaxed.laws.linear else ""

    # ------------------------------------------------------------------ values

    def check_values(self, operation: str, x: Tensor) -> None:
        """Refuse values that no operation can handle: NaN, infinities, positions out of range. Reads every entry.

        Args:
            operation: for the error message.
            x: (..., D).

        Raises:
            VSAError: a value is out of range.
        """
        self._check(operation, x)
        if (x.is_floating_point() or x.is_complex()) and not arithmetic.all_finite(x):
            bad = int((~torch.isfinite(x)).sum())
            raise VSAError(
                f"{self.name} {operation}",
                received=f"{bad} NaN or infinite of {x.numel()} entries",
                expected="finite values",
                hint="look for a division by zero or an overflow upstream",
            )

    def is_valid(self, x: Tensor, tolerance: float = 1e-5) -> Tensor:
        """Whether vectors are normalised as the algebra's vectors are.

        Args:
            x: (..., D).
            tolerance: by how much sums and signs may be off.

        Returns:
            (...), bool.
        """
        self._check("is_valid", x)
        validation.check_number(f"{self.name} is_valid", "tolerance", tolerance)
        return self._is_valid(x, float(tolerance))

    def power_base(self, *, generator: torch.Generator) -> Tensor:
        """A random vector whose powers are as distinct as the algebra allows.

        Args:
            generator: the source of randomness.

        Returns:
            (D,), or the width of the form that is exact under powers.
        """
        return self.random(generator=generator)

    def cyclic_base(self, period: int, *, generator: torch.Generator) -> Tensor:
        """A random vector whose powers repeat after ``period``: binding moves around a circle of that many places.

        Args:
            period: S.
            generator: the source of randomness.

        Returns:
            (D,), or the width of the form that is exact under powers.

        Raises:
            VSAError: the algebra has no vector of this period.
        """
        self._refuse("cyclic_base")

    def from_phases(self, phases: Tensor) -> Tensor:
        """A vector from its phases, which add up when vectors are bound.

        Args:
            phases: (..., P), radians, with P = :attr:`phases`.

        Returns:
            (..., D).

        Raises:
            UnsupportedError: vectors have no phases.
        """
        self._refuse("from_phases")

    def power_period(self, base: Tensor) -> int | None:
        """The smallest n > 0 with ``power(base, n) = identity``; None when the powers never repeat.

        Two integer powers coincide exactly when their exponents differ by a multiple of it.

        Args:
            base: (D,).
        """
        self._check("power_period", base)
        return self._power_period(base)

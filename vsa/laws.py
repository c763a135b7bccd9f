"""What an algebra declares about itself: the forms of its vectors, its embedding, its storage, its laws."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

__all__ = ["Embedding", "Form", "Laws", "Storage"]


@dataclass(frozen=True)
class Form:
    """One way to write a vector down: the dtype of a tensor tells which form it is in.

    Args:
        name: such as ``"dense"`` or ``"index"``.
        width: length of the last axis.
        dtypes: the dtypes that belong to this form.
    """

    name: str
    width: int
    dtypes: tuple[torch.dtype, ...]

    def __str__(self) -> str:
        dtypes = "/".join(str(dtype).removeprefix("torch.") for dtype in self.dtypes)
        return f"{self.name} (..., {self.width}) of {dtypes}"


@dataclass(frozen=True)
class Embedding:
    """How similarity becomes a real inner product: ``similarity(x, y) = scale * <embed(x), embed(y)> + offset``.

    Args:
        width: E, the length of ``embed(x)``.
        scale: factor of the inner product.
        offset: what is added.
    """

    width: int
    scale: float
    offset: float


@dataclass(frozen=True)
class Storage:
    """What a backend is asked to hold for a set of atoms; see :meth:`vsa.backends.base.Backend.store`.

    Args:
        atoms: (..., N, E) real, or (..., N, K) positions for ``"onehot_blocks"``.
        kind: ``"dense"``, ``"bipolar"`` or ``"onehot_blocks"``.
        block_length: L, where the embedding has blocks.
    """

    atoms: Tensor
    kind: Literal["dense", "bipolar", "onehot_blocks"]
    block_length: int | None = None


@dataclass(frozen=True)
class Laws:
    """What an algebra claims; :func:`vsa.checks.check_algebra` holds it to every claim.

    Args:
        commutative: bind(x, y) = bind(y, x).
        associative: bind(bind(x, y), z) = bind(x, bind(y, z)).
        distributive: bind(x, y + z) = bind(x, y) + bind(x, z).
        self_inverse: bind(bind(x, y), y) = x for random x, y.
        exact_keys: the vectors y for which unbind(bind(x, y), y) = x for all x: ``"all"``, ``"random"`` (those that
            :meth:`Algebra.random` makes), or ``"none"``.
        unbinding_similarity: expected similarity of unbind(bind(x, y), y) to x for random x, y; 1 where exact.
        unbinding_cosine: expected cosine of unbind(bind(x, y), y) to x, in the limit of large D; 1 where exact.
        adjoint: <bind(x, y), z> = <y, unbind(z, x)>, inner products of embeddings: one read of a codebook then compares
            a vector with the products of all its atoms.
        signs: what :meth:`Algebra.random` makes embeds to +1 and -1 in every form, which multiply when bound or
            unbound; so does every vector whose dtype is neither float nor complex.
        sign_pairs: bind(-x, -y) = bind(x, y), and of scalars only signs cancel so: a strongly negative similarity then
            tells as much as a positive one.
        products: what is known of the cosine of unrelated products of random vectors: ``"normal"``: it is normal, far
            out as well, of variance 1 / E; ``"flattened"``: it is so once one of them went through
            :meth:`Algebra.flatten`; ``"unknown"``: nothing, so that only an equal product is certified.
        crosstalk_mean: expected similarity of two independent random vectors.
        crosstalk_std: its standard deviation.
        permutation_distributes: permute(bind(x, y)) = bind(permute(x), permute(y)).
        permutation_order: the number of permutations after which every vector is itself again.
        linear: bundling is the weighted sum; otherwise it is a vote, whose result is again a vector that
            :meth:`Algebra.random` could have made.
        lacks: operations that the algebra does not have, each with the reason.
    """

    commutative: bool
    associative: bool
    distributive: bool
    self_inverse: bool
    exact_keys: Literal["all", "random", "none"]
    unbinding_similarity: float
    crosstalk_mean: float
    crosstalk_std: float
    permutation_distributes: bool
    permutation_order: int
    lacks: tuple[tuple[str, str], ...] = ()
    linear: bool = True
    unbinding_cosine: float = 1.0
    adjoint: bool = False
    signs: bool = False
    sign_pairs: bool = False
    products: Literal["normal", "flattened", "unknown"] = "unknown"

    def reason(self, operation: str) -> str | None:
        """Why an operation is missing; None when the algebra has it."""
        return dict(self.lacks).get(operation)

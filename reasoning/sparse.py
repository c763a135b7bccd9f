"""PMFs with mass on few of many values: the values and their weights, instead of a table over all of them.

Whoever reads values and weights saves time and memory; for everything else a SparsePMF is as good as its tensor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

from vsa import StoredMatrix
from vsa.errors import DtypeError, ShapeError, VSAError

__all__ = ["PMF", "SparsePMF", "dense", "stack", "superposed_rows", "with_missing"]


@dataclass(frozen=True, eq=False, repr=False)
class SparsePMF:
    """PMFs (..., V) of which at most K entries are not zero.

    Sizes, sums and maxima over values, and indices on the leading axes are found without a table. Operators, functions
    of torch and all other methods of tensors take :meth:`dense` and give tensors. A gradient passes through weights.

    Args:
        values: int64 (..., K), places on the axis of V values. Those with a weight that is not zero are distinct.
        weights: float (..., K), their probabilities. An entry of weight zero is padding.
        width: V.

    Raises:
        DtypeError: what are no tensors of integers and floats.
        ShapeError: weights of another shape than values, or no axis.
        VSAError: a value outside the axis, or one twice.
    """

    values: Tensor
    weights: Tensor
    width: int

    def __post_init__(self) -> None:
        whole = isinstance(self.width, int) and not isinstance(self.width, bool) and self.width > 0
        if not whole:
            raise DtypeError(
                "SparsePMF", received=f"width={self.width!r}", expected="a positive int, the number of values"
            )
        if not isinstance(self.values, Tensor) or self.values.dtype != torch.int64:
            raise DtypeError("SparsePMF", received=f"values {_told(self.values)}", expected="a tensor of int64")
        if not isinstance(self.weights, Tensor) or not self.weights.is_floating_point():
            raise DtypeError("SparsePMF", received=f"weights {_told(self.weights)}", expected="a tensor of floats")
        if self.values.shape != self.weights.shape or not self.values.ndim or not self.values.shape[-1]:
            raise ShapeError(
                "SparsePMF",
                received=f"values {tuple(self.values.shape)} and weights {tuple(self.weights.shape)}",
                expected="(..., K) both, K at least 1",
            )
        if self.values.device != self.weights.device:
            received = f"values on {self.values.device}, weights on {self.weights.device}"
            raise DtypeError("SparsePMF", received=received, expected="one device")
        self.check_values("SparsePMF")

    def check_values(self, what: str) -> None:
        """Refuse values outside the axis, and those that have weight twice.

        Args:
            what: for messages.

        Raises:
            VSAError: there is one.
        """
        if not self.values.numel():
            return
        low, high = torch.stack(torch.aminmax(self.values)).tolist()
        if low < 0 or high >= self.width:
            expected = f"values from 0 to {self.width - 1}"
            raise VSAError(what, received=f"values from {low} to {high}", expected=expected)
        if self.values.shape[-1] == 1:
            return
        own = torch.arange(self.values.shape[-1], device=self.values.device) - self.values.shape[-1]  # below all values
        named = torch.where(self.weights.detach() != 0, self.values, own).sort(-1).values
        twice = named[..., 1:][named[..., 1:] == named[..., :-1]]
        if twice.numel():
            raise VSAError(
                what,
                received=f"value {int(twice[0])} twice in one PMF",
                expected="each value once",
                hint="add the weights",
            )

    # -- what it is ---------------------------------------------------------------------------------------------

    @property
    def shape(self) -> torch.Size:
        """(..., V), as of the tensor."""
        return torch.Size((*self.weights.shape[:-1], self.width))

    @property
    def ndim(self) -> int:
        """The number of axes, that of the values included."""
        return self.weights.ndim

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights."""
        return self.weights.dtype

    @property
    def device(self) -> torch.device:
        """Where values and weights are."""
        return self.weights.device

    @property
    def requires_grad(self) -> bool:
        """Whether a gradient reaches the weights."""
        return self.weights.requires_grad

    def is_inference(self) -> bool:
        """Whether it was made in inference mode."""
        return self.weights.is_inference() or self.values.is_inference()

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        kind = str(self.dtype).removeprefix("torch.")
        return f"SparsePMF({tuple(self.shape)} of {kind}, {self.values.shape[-1]} values each)"

    # -- the same, otherwise ------------------------------------------------------------------------------------

    def dense(self) -> Tensor:
        """The tensor (..., V); its gradient reaches the weights."""
        whole = self.weights.new_zeros(self.shape)
        return whole.scatter_add(-1, self.values, self.weights)

    def to(self, to: torch.device | str | torch.dtype) -> SparsePMF:
        """Weights of another precision, or all on another device; the very same where nothing changes."""
        weights = self.weights.to(to)
        values = self.values.to(weights.device)
        return self if weights is self.weights and values is self.values else self._made(values, weights)

    def double(self) -> SparsePMF:
        """In double precision."""
        return self.to(torch.float64)

    def detach(self) -> SparsePMF:
        """Without gradient."""
        return self._made(self.values, self.weights.detach())

    def __getitem__(self, index: Any) -> Any:
        """Some of the PMFs, by an index on the leading axes; other indices give tensors."""
        parts = index if isinstance(index, tuple) else (index,)
        masks = sum(part.ndim - 1 for part in parts if isinstance(part, Tensor) and part.dtype == torch.bool)
        if len(parts) + masks >= self.ndim or any(part is None or part is Ellipsis for part in parts):
            return self.dense()[index]
        return self._made(self.values[index], self.weights[index])

    def flatten(self, start: int = 0, end: int = -1) -> Any:
        """Axes made one; a tensor where that of the values is among them."""
        if not 0 <= start <= end < self.ndim - 1:
            return self.dense().flatten(start, end)
        return self._made(self.values.flatten(start, end), self.weights.flatten(start, end))

    def _made(self, values: Tensor, weights: Tensor, width: int | None = None) -> SparsePMF:
        """One of what was checked already."""
        made = object.__new__(type(self))
        for name, value in (("values", values), ("weights", weights), ("width", width or self.width)):
            object.__setattr__(made, name, value)
        return made

    # -- reads --------------------------------------------------------------------------------------------------

    def sum(self, dim: int = -1, keepdim: bool = False) -> Tensor:
        """The mass, (...)."""
        if dim not in (-1, self.ndim - 1):
            return self.dense().sum(dim, keepdim=keepdim)
        return self.weights.sum(-1, keepdim=keepdim)

    def amax(self, dim: int = -1, keepdim: bool = False) -> Tensor:
        """The highest probability, (...)."""
        if dim not in (-1, self.ndim - 1):
            return self.dense().amax(dim, keepdim=keepdim)
        best = self.weights.amax(-1, keepdim=keepdim)
        return best if self.weights.shape[-1] == self.width else best.clamp_min(0)

    def max(self, dim: int = -1, keepdim: bool = False) -> torch.return_types.max:
        """The highest probability and the first value that has it."""
        if dim not in (-1, self.ndim - 1):
            return self.dense().max(dim, keepdim=keepdim)
        best = self.amax(dim, keepdim=True)
        first = torch.where((self.weights == best) & (best > 0), self.values, self.width).amin(-1, keepdim=True)
        first = torch.where(best > 0, first, 0)
        return torch.return_types.max((best, first) if keepdim else (best.squeeze(-1), first.squeeze(-1)))

    def at(self, values: Tensor) -> Tensor:
        """The probabilities of some values.

        Args:
            values: long (..., N), with the leading axes of the PMFs, or what broadcasts against them.

        Returns:
            (..., N); zero where there is no mass.
        """
        same = values.unsqueeze(-1) == self.values.unsqueeze(-2)
        return torch.where(same, self.weights.unsqueeze(-2), 0.0).sum(-1)

    # -- as a tensor --------------------------------------------------------------------------------------------

    @classmethod
    def __torch_function__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """A function of torch, given tensors."""
        return function(*_tensors(args), **_tensors(kwargs or {}))

    if not TYPE_CHECKING:  # our own readers say ``dense()``

        def __getattr__(self, name: str) -> Any:
            in_place = name.endswith("_")  # it would change a copy
            if in_place or name.startswith("_") or not hasattr(Tensor, name):
                raise AttributeError(f"SparsePMF has no {name}; its tensor is dense()")
            return getattr(self.dense(), name)


def _tensors(value: Any) -> Any:
    """The same with a tensor for every SparsePMF."""
    if isinstance(value, SparsePMF):
        return value.dense()
    if isinstance(value, tuple | list):
        return type(value)(_tensors(one) for one in value)
    return {key: _tensors(one) for key, one in value.items()} if isinstance(value, dict) else value


def _operator(name: str) -> Callable[..., Any]:
    def apply(self: SparsePMF, *others: Any) -> Any:
        return getattr(self.dense(), name)(*_tensors(others))

    return apply


for _name in ("add", "sub", "mul", "truediv", "pow", "matmul"):
    for _side in (f"__{_name}__", f"__r{_name}__"):
        setattr(SparsePMF, _side, _operator(_side))
for _name in ("neg", "abs", "lt", "le", "gt", "ge"):
    setattr(SparsePMF, f"__{_name}__", _operator(f"__{_name}__"))


def stack(pmfs: Sequence[SparsePMF], dim: int) -> SparsePMF:
    """PMFs side by side, along a new leading axis; the narrower ones have values without mass.

    Args:
        pmfs: (..., V) each, V and the number of their values as they are.
        dim: where the new axis stands.

    Returns:
        (..., V) of the widest.
    """
    count = max(pmf.values.shape[-1] for pmf in pmfs)

    def together(parts: Iterable[Tensor]) -> Tensor:
        return torch.stack([functional.pad(part, (0, count - part.shape[-1])) for part in parts], dim=dim)

    values, weights = together(pmf.values for pmf in pmfs), together(pmf.weights for pmf in pmfs)
    return SparsePMF(values, weights, max(pmf.width for pmf in pmfs))


PMF: TypeAlias = Tensor | SparsePMF


def dense(pmf: PMF) -> Tensor:
    """The tensor (..., V) of a PMF of either kind; the very one that was given where it is one."""
    return pmf.dense() if isinstance(pmf, SparsePMF) else pmf


def superposed_rows(array: StoredMatrix, pmf: PMF) -> Tensor:
    """The sum of the rows that an array stores, weighted by PMFs: a transposed read.

    Args:
        array: (V, E).
        pmf: (..., V).

    Returns:
        (..., E).
    """
    return array.rmatvec_some(pmf.values, pmf.weights) if isinstance(pmf, SparsePMF) else array.rmatvec(pmf)


def with_missing(pmf: PMF) -> PMF:
    """PMFs (..., V + 1): the mass that they lack to one as a value of its own, the last one."""
    missing = (1 - pmf.sum(-1, keepdim=True)).clamp_min(0)
    if not isinstance(pmf, SparsePMF):
        return torch.cat([pmf, missing], dim=-1)
    rows = functional.pad(pmf.values, (0, 1), value=pmf.width)
    return pmf._made(rows, torch.cat([pmf.weights, missing], dim=-1), pmf.width + 1)


def _told(value: object) -> str:
    return f"of {value.dtype}" if isinstance(value, Tensor) else f"of type {type(value).__name__}"

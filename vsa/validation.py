"""Checks that every algebra shares. Each costs microseconds and reads no values, so that it may stay on in training."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from .errors import DtypeError, ShapeError, VSAError
from .laws import Form

__all__ = [
    "are_signs",
    "axis_to_front",
    "check_broadcast",
    "check_computable",
    "check_count",
    "check_device",
    "check_float",
    "check_generator",
    "check_kind",
    "check_place",
    "check_rows",
    "check_vectors",
    "check_weights",
    "default_dtype",
    "describe",
    "form_for",
    "form_of",
    "make_generator",
    "real_dtype",
    "refuse_nan",
]


def are_signs(x: Tensor) -> bool:
    """Whether every entry is +1 or -1; integers are not copied for it."""
    if x.is_floating_point():
        return bool((x.abs() == 1).all())
    low, high = torch.aminmax(x)
    if int(low) < -1 or int(high) > 1:
        return False
    if x.dtype == torch.int8:  # read as 1 and 255, without a copy
        return int(x.view(torch.uint8).min()) > 0
    return int(torch.count_nonzero(x)) == x.numel()


def describe(x: object) -> str:
    """Shape and dtype of a tensor, or the type of what is not one."""
    if isinstance(x, Tensor):
        shape = "nested" if x.is_nested else tuple(x.shape)  # which has no shape
        return f"{shape} of {str(x.dtype).removeprefix('torch.')}"
    return f"an object of type {type(x).__name__}"


def check_count(owner: str, field: str, value: object, least: int = 1) -> None:
    """Refuse what is not an integer of at least ``least``."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise DtypeError(f"{owner} {field}", received=f"{value!r} of type {type(value).__name__}", expected="an int")
    if value < least:
        raise VSAError(f"{owner} {field}", received=value, expected=f"at least {least}")
    if value >= 2**62:
        raise VSAError(f"{owner} {field}", received="a number of more than 62 bits", expected="what memory could hold")


def check_number(owner: str, field: str, value: object) -> None:
    """Refuse what is not a number; its range is for the caller to check."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise DtypeError(f"{owner} {field}", received=f"{value!r} of type {type(value).__name__}", expected="a number")


def check_kind(operation: str, value: object, kind: type | tuple[type, ...], expected: str, hint: str = "") -> None:
    """Refuse what is not of a class; ``expected`` says it in words."""
    if not isinstance(value, kind):
        raise DtypeError(operation, received=describe(value), expected=expected, hint=hint)


def check_generator(operation: str, generator: object, hint: str = "pass torch.Generator().manual_seed(seed)") -> None:
    """Refuse what is not a source of randomness."""
    check_kind(operation, generator, torch.Generator, "a torch.Generator", hint)


def check_place(operation: str, device: object) -> None:
    """Refuse what does not name a device, before torch does."""
    try:
        torch.device(device)  # type: ignore[call-overload]
    except (RuntimeError, TypeError, ValueError, OverflowError):
        raise DtypeError(operation, received=f"device {device!r}"[:80], expected="a torch device") from None


_ARITHMETIC = frozenset(
    (
        torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.float16, torch.bfloat16,
        torch.float32, torch.float64, torch.complex32, torch.complex64, torch.complex128,
    )
)  # fmt: skip


def check_computable(operation: str, x: object) -> None:
    """Refuse what one cannot compute with: sparse, meta, nested and quantized tensors, dtypes without arithmetic."""
    if not isinstance(x, Tensor) or x.layout is not torch.strided or x.is_meta or x.is_nested:
        raise _uncomputable(operation, x)
    if x.dtype not in _ARITHMETIC:
        raise _uncomputable(operation, x)


def _uncomputable(operation: str, x: object) -> DtypeError:
    if not isinstance(x, Tensor):
        return DtypeError(operation, received=describe(x), expected="a tensor", hint="use torch.as_tensor")
    if x.layout is torch.strided and not (x.is_quantized or x.is_meta or x.is_nested):
        return DtypeError(operation, received=describe(x), expected="a dtype that has arithmetic", hint="use .float()")
    kind = "a nested" if x.is_nested else "a meta" if x.is_meta else "a quantized" if x.is_quantized else "a sparse"
    return DtypeError(operation, received=f"{kind} tensor", expected="a dense one, with its entries")


LARGEST = 1e12  # of a quantity: beyond it, squares and their sums leave float32


def check_quantity(owner: str, field: str, value: object, *, positive: bool = False) -> None:
    """Refuse what is not a number from 0 on, or above it, up to ``LARGEST``."""
    check_number(owner, field, value)
    if not 0 <= value <= LARGEST or (positive and value == 0):  # type: ignore[operator]  # a number by now
        shown = repr(value) if len(repr(value)) < 40 else "a longer number"
        kind = "positive" if positive else "not negative"
        raise VSAError(f"{owner} {field}", received=shown, expected=f"a number, {kind}, up to {LARGEST:g}")


def form_of(owner: str, operation: str, x: object, forms: Sequence[Form]) -> Form:
    """The form that a tensor is in; refuse one that is in none."""
    if not isinstance(x, Tensor) or x.layout is not torch.strided or x.is_meta or x.is_nested:
        raise _uncomputable(f"{owner} {operation}", x)
    dtype, shape = x.dtype, x.shape
    for form in forms:
        if dtype in form.dtypes:
            if shape and shape[-1] == form.width:
                return form
            raise ShapeError(
                f"{owner} {operation}",
                received=describe(x),
                expected=str(form),
                hint="check that the vector was made by an algebra of the same dimension and blocks",
            )
    raise DtypeError(f"{owner} {operation}", received=describe(x), expected=" or ".join(str(form) for form in forms))


def form_for(owner: str, operation: str, dtype: torch.dtype | None, forms: Sequence[Form]) -> Form:
    """The form that a requested dtype chooses; the canonical one for None."""
    if dtype is not None and not isinstance(dtype, torch.dtype):
        raise DtypeError(f"{owner} {operation}", received=f"dtype {dtype!r}"[:80], expected="a torch dtype")
    if dtype is None:
        return forms[0]
    for form in forms:
        if dtype in form.dtypes:
            return form
    raise DtypeError(
        f"{owner} {operation}",
        received=f"dtype {str(dtype).removeprefix('torch.')}",
        expected=" or ".join(str(form) for form in forms),
    )


def default_dtype(form: Form) -> torch.dtype:
    """Torch's default dtype where the form admits it, else the form's first."""
    dtype = torch.get_default_dtype()
    for wanted in (dtype, dtype.to_complex()):
        if wanted in form.dtypes:
            return wanted
    return form.dtypes[0]


def real_dtype(dtype: torch.dtype) -> torch.dtype:
    """The float dtype that goes with a dtype: of its parts if complex, torch's default for booleans and integers."""
    if dtype.is_complex:
        return dtype.to_real()
    return dtype if dtype.is_floating_point else torch.get_default_dtype()


def check_vectors(owner: str, operation: str, vectors: Sequence[Tensor], forms: Sequence[Form], mix: bool) -> None:
    """Refuse tensors that are no vectors, or that differ in form, dtype or device, or do not broadcast."""
    first = vectors[0]
    form = form_of(owner, operation, first, forms)
    for other in vectors[1:]:
        other_form = form_of(owner, operation, other, forms)
        if (other_form is form or not mix) and other.dtype != first.dtype:
            raise DtypeError(
                f"{owner} {operation}",
                received=f"{describe(first)} and {describe(other)}",
                expected="one dtype",
                hint="convert one of them with .to(dtype)",
            )
        check_device(owner, operation, first, other)
        if first.shape != other.shape:
            check_broadcast(owner, operation, first.shape[:-1], other.shape[:-1])


def check_device(owner: str, operation: str, x: Tensor, y: Tensor) -> None:
    """Refuse tensors on two devices."""
    if x.device != y.device:
        raise DtypeError(
            f"{owner} {operation}",
            received=f"tensors on {x.device} and {y.device}",
            expected="one device",
            hint="move one of them with .to(device)",
        )


def check_broadcast(owner: str, operation: str, a: Sequence[int], b: Sequence[int]) -> None:
    """Refuse leading axes that do not broadcast."""
    if a != b and any(m != n and m != 1 and n != 1 for m, n in zip(reversed(a), reversed(b), strict=False)):
        raise ShapeError(
            f"{owner} {operation}",
            received=f"leading axes {tuple(a)} and {tuple(b)}",
            expected="leading axes that broadcast",
            hint="insert axes of length 1 with unsqueeze",
        )


def axis_to_front(owner: str, operation: str, vectors: Tensor, dim: int) -> Tensor:
    """(..., N, ..., D) -> (N, ..., D); refuse the vector axis, a missing axis, and N = 0."""
    if isinstance(dim, bool) or not isinstance(dim, int):
        raise DtypeError(f"{owner} {operation}", received=f"dim {dim!r}", expected="an integer")
    if not -vectors.ndim <= dim < vectors.ndim or dim % vectors.ndim == vectors.ndim - 1:
        raise ShapeError(
            f"{owner} {operation}",
            received=f"dim {dim} for {describe(vectors)}",
            expected=f"a leading axis, from {-vectors.ndim} to -2" if vectors.ndim > 1 else "at least two axes",
        )
    if vectors.shape[dim] == 0:
        raise ShapeError(
            f"{owner} {operation}",
            received=f"{describe(vectors)}, no vectors along axis {dim}",
            expected="at least one",
        )
    return vectors.movedim(dim, 0)


def check_weights(owner: str, operation: str, weights: object, vectors: Tensor) -> None:
    """Refuse weights that are no float (..., N) beside vectors (..., N, D)."""
    check_computable(f"{owner} {operation}", weights)
    if not isinstance(weights, Tensor) or not weights.is_floating_point():
        raise DtypeError(f"{owner} {operation}", received=f"weights {describe(weights)}", expected="a float tensor")
    if weights.ndim == 0 or weights.shape[-1] != vectors.shape[-2]:
        raise ShapeError(
            f"{owner} {operation}",
            received=f"weights {describe(weights)} for {vectors.shape[-2]} vectors",
            expected=f"(..., {vectors.shape[-2]})",
        )
    inexact = vectors.is_floating_point() or vectors.is_complex()
    if inexact and weights.dtype != real_dtype(vectors.dtype):
        raise DtypeError(
            f"{owner} {operation}",
            received=f"weights {describe(weights)} and vectors {describe(vectors)}",
            expected="one dtype",
            hint="convert one of them with .to(dtype)",
        )
    check_device(owner, operation, weights, vectors)
    check_broadcast(owner, operation, weights.shape[:-1], vectors.shape[:-2])
    if not inexact:  # a vote would hide it
        refuse_nan(f"{owner} {operation}", weights - weights)


def check_float(operation: str, x: object, width: int) -> None:
    """Refuse what is not a float tensor (..., width)."""
    check_computable(operation, x)
    if not isinstance(x, Tensor) or not x.is_floating_point():
        raise DtypeError(operation, received=describe(x), expected=f"a float tensor (..., {width})")
    if x.ndim == 0 or x.shape[-1] != width:
        raise ShapeError(operation, received=describe(x), expected=f"(..., {width})")


def check_rows(operation: str, rows: Tensor, weights: Tensor, count: int) -> None:
    """Refuse rows that do not fit their weights, or that are not among so many; reads them."""
    if not isinstance(rows, Tensor) or rows.dtype != torch.int64:
        raise DtypeError(operation, received=f"rows {describe(rows)}", expected="rows in int64")
    if rows.shape != weights.shape or rows.device != weights.device:
        received = f"rows {describe(rows)} on {rows.device} for weights {describe(weights)} on {weights.device}"
        raise ShapeError(operation, received=received, expected="one for each weight, on the same device")
    if not rows.numel():
        return
    low, high = torch.stack(torch.aminmax(rows)).tolist()
    if low < 0 or high >= count:
        raise ShapeError(operation, received=f"rows from {low} to {high}", expected=f"rows from 0 to {count - 1}")


def make_generator(operation: str, generator: torch.Generator | None, seed: int | None) -> torch.Generator:
    """The generator given, or a new one from the seed given; refuse neither and both."""
    if (generator is None) == (seed is None):
        raise VSAError(
            operation,
            received="no randomness" if seed is None else "a generator and a seed",
            expected="either generator= or seed=",
        )
    if generator is not None:
        check_generator(operation, generator, "pass torch.Generator().manual_seed(seed), or seed=")
        return generator
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise DtypeError(operation, received=f"seed {seed!r}", expected="an integer")
    if not -(2**63) <= seed < 2**64:
        raise VSAError(operation, received=f"seed {seed}", expected="an integer of 64 bits")
    return torch.Generator().manual_seed(seed)


def refuse_nan(operation: str, x: Tensor) -> None:
    """Refuse NaN where the result could not show it; on the CPU, outside of compiled code and transforms."""
    if torch.compiler.is_compiling() or x.device.type != "cpu" or not x.is_floating_point():
        return
    try:
        total = x.item() if x.numel() == 1 else x.detach().sum(dtype=torch.float32).item()
        found = math.isnan(total) and bool(x.isnan().any())
    except RuntimeError:  # inside a transform
        return
    if found:
        raise VSAError(operation, received="entries that are no number", expected="numbers", hint="look upstream")

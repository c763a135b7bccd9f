"""Arithmetic that keeps what plain formulas lose: half precision, very small and very large entries, far powers."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .errors import VSAError

__all__ = [
    "HALVES",
    "STEPS",
    "above",
    "all_equal",
    "all_finite",
    "cosine",
    "few",
    "in_units",
    "integral_weights",
    "near_one",
    "never",
    "norms",
    "phasor_power",
    "poison",
    "signs",
    "sized",
    "to_norm",
    "vote_margin",
    "widened",
    "within",
]

HALVES = (torch.float16, torch.bfloat16)
_PLAIN = 1e-15, 1e15  # norms whose squares no float32 loses
_NEAR = 64.0  # exponents up to which float32 phases are kept as they are
STEPS = 2**22  # to which the weights of a vote sum: float32 adds them exactly
_CLOSE = 1e-6  # weights are multiples within this: .3 and three times .1 tie in float32, too
_PARTS, _DECIMALS = 16, (1.0, 0.1, 0.01, 1e-3, 1e-4)  # of the smallest weight; of one: units that weights may have
_FEW = 4  # weights that are asked first whether they are multiples of a unit
_FAR = 2.0**40  # exponents beyond which a phase in double precision means nothing


def never(mask: Tensor) -> bool:
    """Whether no entry is true, where that can be asked at little cost: on the CPU, outside of transforms."""
    if torch.compiler.is_compiling() or mask.device.type != "cpu":
        return False
    try:
        return not mask.numel() or not mask.view(torch.uint8).max().item()  # bytes, which torch reads far faster
    except RuntimeError:  # a tensor inside a transform, such as vmap
        return False


def few(mask: Tensor) -> Tensor | None:
    """In which rows an entry is true, (..., N) -> (...), where those are less than half of all and it can be asked."""
    if torch.compiler.is_compiling() or mask.device.type != "cpu" or not mask.numel():
        return None
    try:
        rows = mask.view(torch.uint8).amax(-1).bool()
        return rows if 2 * int(rows.count_nonzero()) < rows.numel() else None
    except RuntimeError:  # a tensor inside a transform, such as vmap
        return None


def above(x: Tensor, bound: float) -> bool:
    """Whether all entries lie above a bound; none does of NaN, nor where it cannot be asked."""
    if math.isnan(bound) or not x.numel():
        return False
    try:
        return x.amin().item() > bound
    except RuntimeError:  # a tensor inside a transform, such as vmap
        return False


def within(x: Tensor, low: float, high: float) -> bool:
    """Whether all entries lie strictly between, where that can be asked at little cost; NaN does not."""
    if torch.compiler.is_compiling() or x.device.type != "cpu" or not x.numel():
        return False
    try:
        if x.numel() == 1:
            return bool(low < x.item() < high)
        least, most = torch.aminmax(x)
        return bool(low < least.item() and most.item() < high)
    except RuntimeError:  # a tensor inside a transform, such as vmap
        return False


def signs(x: Tensor) -> Tensor:
    """+1 and -1; the sign of 0 is +1, that of NaN is NaN. Without gradient."""
    x = x.detach()
    plain = torch.where(x < 0, -1.0, 1.0).to(x.dtype)
    if not x.is_floating_point() or within(x.sum(dtype=torch.float32), -math.inf, math.inf):
        return plain
    return torch.where(x.isnan(), x, plain)


def all_finite(x: Tensor) -> bool:
    """Whether every entry is a finite number; one sum tells in all but the strangest cases."""
    x = x.detach()
    wide = torch.float32 if x.dtype in HALVES else None
    return bool(torch.isfinite(x.sum(dtype=wide))) or bool(torch.isfinite(x).all())


def poison(x: Tensor) -> Tensor | None:
    """Where vectors (..., D) hold what is no number, (..., 1), for results that might not read it; None: nowhere."""
    if not x.is_floating_point() or within(x.detach().sum(dtype=torch.float32), -math.inf, math.inf):
        return None
    return x.isnan().any(-1, keepdim=True)


def widened(x: Tensor) -> Tensor:
    """Half precision in float32, in which sums of thousands neither overflow nor stand still; others as they are."""
    return x.float() if x.dtype in HALVES else x


def _scaled(x: Tensor) -> tuple[Tensor, Tensor]:
    """(..., D) with its largest magnitude taken to 1, and its norm (..., 1); no entry under- or overflows."""
    peak = x.detach().abs().amax(-1, keepdim=True)
    scaled = x / torch.where((peak > 0) & peak.isfinite(), peak, 1.0)
    return scaled, torch.linalg.vector_norm(scaled, dim=-1, keepdim=True)


def norms(x: Tensor) -> Tensor:
    """Norms of real vectors, in float32 for half precision; no square under- or overflows.

    Args:
        x: (..., D), real.

    Returns:
        (..., 1).
    """
    size = torch.linalg.vector_norm(widened(x), dim=-1, keepdim=True)
    if within(size, *_PLAIN):
        return size
    peak = widened(x).detach().abs().amax(-1, keepdim=True)
    return _scaled(widened(x))[1] * torch.where((peak > 0) & peak.isfinite(), peak, 1.0)


def near_one(x: Tensor) -> tuple[Tensor, Tensor]:
    """Vectors with their norm taken between a half and one, by a power of two, which no entry's digits notice.

    Args:
        x: (..., D), real.

    Returns:
        (..., D) of the dtype of ``x``, and the power (..., 1); that of zeros, and of what is not finite, is one.
    """
    size = norms(x).detach()
    sized = (size > 0) & size.isfinite()
    power = torch.exp2(-torch.where(sized, size, 1.0).log2().ceil().clamp(-126, 126))
    return (widened(x) * power).to(x.dtype), power


def sized(x: Tensor) -> tuple[Tensor, Tensor]:
    """Vectors, and their norms; tiny and huge ones near norm one instead, whose inner products are numbers.

    Args:
        x: (..., D), real.

    Returns:
        (..., D), and norms (..., 1).
    """
    size = norms(x)
    if within(size, *_PLAIN):
        return x, size
    x = near_one(x)[0]
    return x, norms(x)


def to_norm(x: Tensor, norm: float) -> Tensor:
    """Scale real vectors to a norm. One of zeros stays as it is.

    Args:
        x: (..., D), real.
        norm: of the result.

    Returns:
        (..., D), of the dtype of ``x``.
    """
    if x.dtype in HALVES:
        return to_norm(x.float(), norm).to(x.dtype)
    size = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    if within(size, *_PLAIN):
        return x * (norm / size)
    scaled, size = _scaled(x)
    return scaled * (norm / torch.where(size == 0, 1.0, size))


def cosine(x: Tensor, y: Tensor) -> Tensor:
    """Cosine of the angle between real vectors; 0 where one of them is zero.

    Args:
        x: (..., D), real.
        y: (..., D), broadcast against ``x``.

    Returns:
        (...), of the dtype of ``x``.
    """
    if x.dtype in HALVES:
        return cosine(x.float(), y.float()).to(x.dtype)
    m, n = (torch.linalg.vector_norm(part, dim=-1) for part in (x, y))
    if within(m, *_PLAIN) and within(n, *_PLAIN):
        return (x * y).sum(-1) / (m * n)
    (x, m), (y, n) = _scaled(x), _scaled(y)
    product = (m * n).squeeze(-1)
    return (x * y).sum(-1) / torch.where(product == 0, 1.0, product)


def phasor_power(base: Tensor, exponents: Tensor, operation: str) -> Tensor:
    """Powers of complex numbers on the principal branch; |exponent| of the magnitude, so that power -1 is the inverse.

    Far powers are computed in double precision, and magnitudes of one stay one: a rounding of the base, raised to the
    power of a million, would be all that is left.

    Args:
        base: (..., M), complex.
        exponents: (...), real.
        operation: for messages.

    Returns:
        (..., M), of the dtype of ``base``.

    Raises:
        VSAError: an exponent so large that no digit of the phase is left.
    """
    near = within(exponents, -_NEAR, _NEAR)
    if not near and not torch.compiler.is_compiling() and exponents.device.type == "cpu":
        _refuse_far(exponents.to(torch.float64), operation)
    if base.dtype == torch.complex64 and near:
        exponents = exponents.to(base.real.dtype).unsqueeze(-1)
        return torch.polar(base.abs().pow(exponents.abs()), base.angle() * exponents)
    kept, base, exponents = base.dtype, base.to(torch.complex128), exponents.to(torch.float64).unsqueeze(-1)
    magnitude = base.abs()
    off = (1 - magnitude).detach()
    magnitude = magnitude + torch.where(off.abs() <= 8 * torch.finfo(kept).eps, off, 0.0)
    return torch.polar(magnitude.pow(exponents.abs()), base.angle() * exponents).to(kept)


def _refuse_far(exponents: Tensor, operation: str) -> None:
    try:
        largest = float(exponents.abs().nan_to_num(0.0, torch.inf).max()) if exponents.numel() else 0.0
    except RuntimeError:  # inside a transform
        return
    if largest > _FAR:
        raise VSAError(
            operation,
            received=f"an exponent of {largest:.3g}",
            expected=f"at most {_FAR:.3g} in magnitude, where a phase still has digits",
            hint="take the exponent modulo the period of the base, where it has one",
        )


def vote_margin(weights: Tensor) -> float:
    """How far apart two sums of these weights must be for :func:`integral_weights` and rounding not to matter.

    Args:
        weights: (..., N), real.

    Returns:
        The margin of the largest sum; NaN, above which there is nothing, where that cannot be asked at little cost.
    """
    if torch.compiler.is_compiling() or weights.device.type != "cpu" or not weights.numel():
        return math.nan
    try:
        size = torch.linalg.vector_norm(weights, 1, dim=-1).max().item()
    except RuntimeError:  # a tensor inside a transform, such as vmap
        return math.nan
    return size * (1.2 * _close(weights.dtype) + weights.shape[-1] / STEPS)


def all_equal(weights: Tensor) -> bool:
    """Whether all are one positive number, so that a vote needs no weights; False where that cannot be asked."""
    if torch.compiler.is_compiling() or weights.device.type != "cpu" or not weights.numel():
        return False
    try:
        least, most = torch.aminmax(weights)
        return 0 < least.item() == most.item()
    except RuntimeError:  # a tensor inside a transform, such as vmap
        return False


def integral_weights(weights: Tensor) -> Tensor:
    """Weights as integers, whose sums are exact in every order: then rounding decides no tie.

    Weights that are multiples of a part of the smallest (1/1 to 1/16), or decimals, become these multiples; others are
    rounded to 2^-22 of their sum.

    Args:
        weights: (..., N), real and finite.

    Returns:
        (..., N), integral, in float64 where the weights are, else in float32.
    """
    exact = weights.to(torch.float64)
    size = exact.abs()
    counted = in_units(exact, size, size.sum(-1, keepdim=True), _close(weights.dtype))
    return counted.to(torch.float64 if weights.dtype == torch.float64 else torch.float32)


def in_units(values: Tensor, weights: Tensor, total: Tensor, close: float = _CLOSE) -> Tensor:
    """Sums of weights as multiples of the largest unit that is tried and fits, else in steps of 2^-22 of the total.

    Args:
        values: (..., N), float64.
        weights: (..., M), the magnitudes that must be multiples, of parts of the smallest that is not 0, or decimals.
        total: (..., 1), the sum of all magnitudes.
        close: how far a weight may be off, relative to itself.

    Returns:
        (..., N), integral.
    """
    least = torch.where(weights > 0, weights, torch.inf).amin(-1, keepdim=True)
    parts = torch.arange(1, _PARTS + 1, dtype=torch.float64, device=values.device)
    decimals = torch.tensor(_DECIMALS, dtype=torch.float64, device=values.device).expand(*least.shape[:-1], -1)
    units = torch.cat((torch.where(least.isinf(), 1.0, least) / parts, decimals), -1)
    step = (total / STEPS).clamp_min(torch.finfo(torch.float64).tiny)
    fits = total <= STEPS * units
    for asked in (weights[..., :_FEW], weights):  # a few tell, by and large
        multiples = asked.unsqueeze(-2) / units.unsqueeze(-1)  # (..., units, M)
        fits = fits & ((multiples - multiples.round()).abs() <= close * multiples).all(-1)
        if never(fits):
            return (values / step).round()
    first = fits.to(torch.int8).argmax(-1, keepdim=True)
    return (values / torch.where(fits.gather(-1, first), units.gather(-1, first), step)).round()


def _close(dtype: torch.dtype) -> float:
    """Weights are multiples within this: .3 and three times .1 tie, in half precision, too."""
    return max(_CLOSE, torch.finfo(dtype).eps) if dtype in HALVES else _CLOSE

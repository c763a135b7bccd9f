"""Arithmetic that keeps what plain formulas lose: half precision, very small and very large entries, far powers."""

from __future__ import annotations

import torch
from torch import Tensor

from .errors import VSAError

__all__ = ["cosine", "never", "phasor_power", "to_norm", "widened"]

_PLAIN = 1e-15, 1e15  # norms whose squares no float32 loses
_NEAR = 64.0  # exponents up to which float32 phases are kept as they are
_FAR = 2.0**40  # exponents beyond which a phase in double precision means nothing


def never(mask: Tensor) -> bool:
    """Whether no entry is true, where that can be asked at little cost: on the CPU, outside of transforms."""
    if torch.compiler.is_compiling() or mask.device.type != "cpu":
        return False
    try:
        return not bool(mask.any())
    except RuntimeError:  # a tensor inside a transform, such as vmap
        return False


def widened(x: Tensor) -> Tensor:
    """Half precision in float32, in which sums of thousands neither overflow nor stand still; others as they are."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def _scaled(x: Tensor) -> tuple[Tensor, Tensor]:
    """(..., D) with its largest magnitude taken to 1, and its norm (..., 1); no entry under- or overflows."""
    peak = x.detach().abs().amax(-1, keepdim=True)
    scaled = x / torch.where((peak > 0) & peak.isfinite(), peak, 1.0)
    return scaled, torch.linalg.vector_norm(scaled, dim=-1, keepdim=True)


def to_norm(x: Tensor, norm: float) -> Tensor:
    """Scale real vectors to a norm. One of zeros stays as it is, with a gradient of zeros' neighbours.

    Args:
        x: (..., D), real.
        norm: of the result.

    Returns:
        (..., D), of the dtype of ``x``.
    """
    wide = widened(x)
    size = torch.linalg.vector_norm(wide, dim=-1, keepdim=True)
    if never(~((size > _PLAIN[0]) & (size < _PLAIN[1]))):
        return (wide * (norm / size)).to(x.dtype)
    scaled, size = _scaled(wide)
    return (scaled * (norm / torch.where(size == 0, 1.0, size))).to(x.dtype)


def cosine(x: Tensor, y: Tensor) -> Tensor:
    """Cosine of the angle between real vectors; 0 where one of them is zero.

    Args:
        x: (..., D), real.
        y: (..., D), broadcast against ``x``.

    Returns:
        (...), of the dtype of ``x``.
    """
    a, b = widened(x), widened(y)
    sizes = [torch.linalg.vector_norm(part, dim=-1) for part in (a, b)]
    if never(~((sizes[0] > _PLAIN[0]) & (sizes[0] < _PLAIN[1]))) and never(
        ~((sizes[1] > _PLAIN[0]) & (sizes[1] < _PLAIN[1]))
    ):
        return ((a * b).sum(-1) / (sizes[0] * sizes[1])).to(x.dtype)
    (a, m), (b, n) = _scaled(a), _scaled(b)
    product = (m * n).squeeze(-1)
    return ((a * b).sum(-1) / torch.where(product == 0, 1.0, product)).to(x.dtype)


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
    size = exponents.abs()
    if not torch.compiler.is_compiling() and size.device.type == "cpu" and not never(~(size <= _FAR) & ~size.isnan()):
        raise VSAError(
            operation,
            received=f"an exponent of {float(size.max()):.3g}",
            expected=f"at most {_FAR:.3g} in magnitude, where a phase still has digits",
            hint="take the exponent modulo the period of the base, where it has one",
        )
    if base.dtype == torch.complex128 or not never(size > _NEAR):
        kept, base, exponents = base.dtype, base.to(torch.complex128), exponents.to(torch.float64)
        exponents = exponents.unsqueeze(-1)
        magnitude = base.abs()
        rounding = 8 * torch.finfo(kept).eps
        off = (1 - magnitude).detach()
        magnitude = magnitude + torch.where(off.abs() <= rounding, off, 0.0)
        return torch.polar(magnitude.pow(exponents.abs()), base.angle() * exponents).to(kept)
    exponents = exponents.to(base.real.dtype).unsqueeze(-1)
    return torch.polar(base.abs().pow(exponents.abs()), base.angle() * exponents)

"""How many panels may miss what a formula predicts.

Of a panel that is misread, what is predicted and what follows from it are missed. That happens to few panels of an
attribute. A formula that misses more is not a rule with mistakes but no rule: in a long row of arithmetic most panels
are zeros, each of them is evidence for "as the panel to the left", and together they outweigh any number of panels that
contradict it, as long as each of these is forgiven for itself.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["followed", "softened", "tolerated"]

_EACH = 2  # panels that are missed where one is misread: itself, and what follows from it
_FEW = 4  # misread panels that are tolerated in any case
_TIMES = 10  # as many are as are expected
_LEAST = 1e-300


def softened(evidence: Tensor, eps: float) -> Tensor:
    """A panel follows the formula but for a share ``eps`` of all panels, which follow nothing."""
    return (1 - eps) * evidence + eps


def tolerated(panels: int, eps: float) -> int:
    """How many panels of an attribute may miss what is predicted.

    Args:
        panels: how many are predicted.
        eps: share of panels that follow nothing.

    Returns:
        Two for each that may be misread.
    """
    return _EACH * max(_FEW, int(_TIMES * eps * panels))


def followed(evidence: Tensor, eps: float) -> Tensor:
    """Evidence of panels that follow a formula, but for few of them.

    Each panel follows nothing with probability ``eps``, and is then as likely as by chance; that more than
    :func:`tolerated` panels do so is left out. The panels that follow nothing are counted exactly, by products of
    polynomials of that degree.

    Args:
        evidence: float64 (B, N), how much likelier each panel is by the formula than by chance.
        eps: share of panels that follow nothing.

    Returns:
        (B,) log.
    """
    panels = evidence.shape[1]
    shares = softened(evidence, eps)
    total = shares.log().sum(1)  # with any number of panels that follow nothing
    most = tolerated(panels, eps)
    if most >= panels:
        return total
    terms = torch.stack([(1 - eps) * evidence / shares, eps / shares], -1)  # follows, or follows nothing
    terms = torch.nn.functional.pad(terms, (0, most - 1))
    while terms.shape[1] > 1:
        if terms.shape[1] % 2:
            one = torch.nn.functional.one_hot(torch.tensor(0, device=terms.device), most + 1).to(terms)
            terms = torch.cat([terms, one.expand(len(terms), 1, -1)], 1)
        left, right = terms[:, ::2], terms[:, 1::2]
        parts = [
            torch.nn.functional.pad(left[..., k : k + 1] * right[..., : most + 1 - k], (k, 0)) for k in range(most + 1)
        ]
        terms = torch.stack(parts).sum(0)
    share = terms.sum((1, 2))
    nothing = panels * math.log(eps)
    return torch.where(share > _LEAST, total + share.clamp(_LEAST, 1.0).log(), nothing)

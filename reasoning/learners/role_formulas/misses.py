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

__all__ = ["followed", "missed", "softened", "tolerated"]

_EACH = 2  # panels that are missed where one is misread: itself, and what follows from it
_FEW = 4  # misread panels that are tolerated in any case
_TIMES = 10  # as many are as are expected


def softened(evidence: Tensor, eps: float) -> Tensor:
    """A panel follows the formula but for a share ``eps`` of all panels, which follow nothing."""
    return (1 - eps) * evidence + eps


def missed(evidence: Tensor) -> Tensor:
    """(B,): how many of N panels (B, N) are likelier by chance than by the formula."""
    return (evidence.detach() < 1).sum(1)


def tolerated(panels: int, eps: float) -> int:
    """How many panels of an attribute may be missed.

    Args:
        panels: how many are predicted.
        eps: share of panels that follow nothing.

    Returns:
        Two for each that may be misread. In rows of three these are all.
    """
    return _EACH * max(_FEW, int(_TIMES * eps * panels))


def followed(evidence: Tensor, eps: float) -> Tensor:
    """Evidence of panels that follow a formula, but for few of them.

    Args:
        evidence: (B, N), how much likelier each panel is by the formula than by chance.
        eps: share of panels that follow nothing.

    Returns:
        (B,) log; where more than :func:`tolerated` panels are missed, as if all of them were.
    """
    panels = evidence.shape[1]
    total = softened(evidence, eps).log().sum(1)
    return torch.where(missed(evidence) <= tolerated(panels, eps), total, panels * math.log(eps))

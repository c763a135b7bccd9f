"""From predicted panels to answers: similarities in the spectral domain and the weights of attributes."""

from __future__ import annotations

import torch
from torch import Tensor

from vsa.errors import UnknownNameError

ATTRIBUTE_WEIGHTINGS = ("none", "entropy", "confidence")
SCORINGS = ("similarity", "likelihood")
_CHANCE = 3e-3  # share of the chance of two random panels to be alike that is left where none is seen
_SMALL = 1e-6  # product of norms below which squares may be too small for their precision
_NOISE = 1e-3  # prior probability that no rule explains an attribute, relative to a rule's


def cosine(u: Tensor, v: Tensor, weights: Tensor) -> Tensor:
    """Cosines of the vectors behind two sets of spectra, whatever their size; 0 beside a vector of zeros.

    What 22 soft terms bind may be as small as 1e-16: its direction counts, in the gradient, too.

    Args:
        u: complex (..., M, W).
        v: complex (..., N, W); leading axes broadcast.
        weights: real (W,), how much each frequency counts (``GSBC.spectral_weights`` for every block or a part).

    Returns:
        real (..., M, N).
    """
    double = weights.repeat_interleave(2)
    u, v = (torch.view_as_real(x.resolve_conj()).flatten(-2) for x in (u, v))
    norms = _norms(u, double).unsqueeze(-1) * _norms(v, double).unsqueeze(-2)
    if bool((norms < _SMALL).any()):
        u, v = _enlarged(u), _enlarged(v)
        norms = _norms(u, double).unsqueeze(-1) * _norms(v, double).unsqueeze(-2)
    return (u @ (v * double).transpose(-1, -2)) / norms


def _norms(x: Tensor, weights: Tensor) -> Tensor:
    return (x.square() @ weights).clamp_min(torch.finfo(x.dtype).tiny).sqrt()


def _enlarged(x: Tensor) -> Tensor:
    """With largest entries between 1/2 and 1: times a power of two, which changes no bit of a cosine."""
    exponent = torch.frexp(x.detach().abs().amax(-1, keepdim=True)).exponent
    return x * torch.ldexp(torch.ones_like(exponent, dtype=x.dtype), -exponent.clamp_min(-120))


def log_ratios(u: Tensor, v: Tensor, weights: Tensor, values: Tensor) -> Tensor:
    """How much likelier than by chance it is that two panels show one value: the inner product of what they may show.

    Args:
        u: complex (..., M, W), superpositions of atoms by their probabilities.
        v: complex (..., N, W); leading axes broadcast.
        weights: real (W,), how much each frequency counts.
        values: (...), of how many values an attribute has one by chance.

    Returns:
        real (..., M, N): logarithms, never minus infinity.
    """
    u, v = (torch.view_as_real(x.resolve_conj()).flatten(-2) for x in (u, v))
    alike = u @ (v * weights.repeat_interleave(2)).transpose(-1, -2) / weights.sum()
    return (values[..., None, None] * alike.clamp(0, 1) + _CHANCE).log()


def candidate_likelihoods(evidence: Tensor, ratios: Tensor) -> Tensor:
    """What each candidate is worth: rules added up by their probabilities, and that none is at work.

    Args:
        evidence: (..., R) log of each rule's prior and of how likely it makes the complete rows.
        ratios: (..., R, 8), :func:`log_ratios` of its prediction with the candidates.

    Returns:
        (..., 8) logarithms.
    """
    ruled = torch.logsumexp(evidence.unsqueeze(-1) + ratios, dim=-2)
    return torch.logaddexp(ruled, ruled.new_tensor(_NOISE).log())


def attribute_weights(kind: str, rule_weights: Tensor, confidence: Tensor) -> Tensor:
    """How much each attribute counts in the answer, puzzle by puzzle.

    Args:
        kind: "none" (all alike), "entropy" (divided by the entropy of the rule weights, clipped to [0.1, 10], as
            ARLC; per puzzle, so that a puzzle's score does not depend on its neighbours) or "confidence" (the
            square of how well the rules explain the complete rows: an attribute that no rule explains is noise).
        rule_weights: (..., R) probabilities of the rules.
        confidence: (...) mean similarity on the complete rows.

    Returns:
        (...) non-negative weights.
    """
    if kind == "none":
        return torch.ones_like(confidence)
    if kind == "entropy":
        entropy = torch.special.entr(rule_weights).sum(-1)
        return 1 / entropy.clamp(0.1, 10.0)
    if kind == "confidence":
        return confidence.clamp(0, 1).square()
    raise UnknownNameError("attribute_weights", name=kind, known=ATTRIBUTE_WEIGHTINGS, kind="weighting")

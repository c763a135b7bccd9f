"""Choosing among rules: mixtures, the best of several populations, and how often each rule is right."""

from __future__ import annotations

import logging

import torch
from torch import Tensor

log = logging.getLogger(__name__)

__all__ = ["choose_rules", "fit_prior", "mixture", "sample_rules"]


def mixture(weights: Tensor, spectra: Tensor) -> Tensor:
    """Weighted sum over the rules.

    Args:
        weights: real (..., R).
        spectra: complex (..., R, W).

    Returns:
        complex (..., W).
    """
    planar = torch.view_as_real(spectra).flatten(-2)
    return torch.view_as_complex((weights.unsqueeze(-2) @ planar).squeeze(-2).unflatten(-1, (-1, 2)))


def sample_rules(probabilities: Tensor, generator: torch.Generator) -> Tensor:
    """One rule each, drawn.

    Args:
        probabilities: (..., R).
        generator: of the draws.

    Returns:
        (..., R), one-hot.
    """
    cumulative = probabilities.cumsum(-1)
    draws = torch.rand(probabilities.shape[:-1], generator=generator).to(probabilities)
    drawn = (cumulative < draws.unsqueeze(-1) * cumulative[..., -1:]).sum(-1)
    return torch.nn.functional.one_hot(drawn, probabilities.shape[-1]).to(probabilities)


def choose_rules(explained: Tensor, count: int) -> Tensor:
    """Greedy choice of the rules that together explain most.

    Args:
        explained: (cases, rules) similarities.
        count: how many to choose.

    Returns:
        long (count,).
    """
    explained = explained.clamp_min(0)
    best = torch.zeros_like(explained[:, :1])
    chosen: list[int] = []
    for _ in range(count):
        gain = torch.maximum(best, explained).mean(0)
        gain[chosen] = -1
        chosen.append(int(gain.argmax()))
        best = torch.maximum(best, explained[:, chosen[-1:]])
    log.info("kept %d of %d formulas, which explain %.4f of the training rows", count, explained.shape[1], best.mean())
    return torch.tensor(chosen, device=explained.device)


def fit_prior(evidence: Tensor, outcome: Tensor, steps: int = 200, shrinkage: float = 1e-4) -> Tensor:
    """Log weights of the rules under which the rules chosen on two rows predict the third best.

    Args:
        evidence: (cases, R) similarity on the first two rows over the temperature.
        outcome: (cases, R) similarity on the third row over the temperature.
        steps: of gradient ascent (the objective is smooth and has R parameters).
        shrinkage: of the weights towards zero.

    Returns:
        (R,), mean zero.
    """
    prior = torch.zeros(evidence.shape[-1], device=evidence.device, requires_grad=True)
    optimizer = torch.optim.Adam([prior], lr=0.1)
    for _ in range(steps):
        with torch.enable_grad():
            joint = torch.logsumexp(evidence + outcome + prior, -1) - torch.logsumexp(evidence + prior, -1)
            loss = shrinkage * prior.square().sum() - joint.mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    prior = prior.detach()
    return prior - prior.mean()

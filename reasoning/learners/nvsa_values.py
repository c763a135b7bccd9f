"""NVSA on attributes with values: rule probability and rule execution on vectors."""

from __future__ import annotations

import torch
from torch import Tensor

from reasoning.learners.nvsa_codes import BlockSpectra
from reasoning.learners.nvsa_rules import STEPS, Evidence

__all__ = ["FLOOR", "values_evidence"]

FLOOR = 1e-6  # least similarity: a comparison excludes nothing for good
_MARGIN = max(abs(step) for step in STEPS)


def values_evidence(codes: BlockSpectra, context: Tensor, allowed: Tensor, columns: int) -> Evidence:
    """Evidence for the rules of values.

    Args:
        codes: the codebooks.
        context: (N, 3 n - 1, V) PMFs row by row; missing mass: the entities of the panel differ.
        allowed: (N, V) or (1, V) one for the values that the attribute has, else zero.
        columns: n.

    Returns:
        Evidence with (N, R) agreements and (N, R, V + 1) predicted PMFs, the last entry for entities that differ.
    """
    n, values = columns, context.shape[-1]
    missing = (1 - context.sum(-1, keepdim=True)).clamp_min(0)
    powers = codes.encode_powers(context, _MARGIN)  # (N, P, W)
    names = codes.encode_names(torch.cat([context, missing], dim=-1))
    powers_rows, powers_last = powers[:, : 2 * n].unflatten(1, (2, n)), powers[:, 2 * n :]
    names_rows, names_last = names[:, : 2 * n].unflatten(1, (2, n)), names[:, 2 * n :]

    # Neighbours in a row are alike, or they are not.
    alike = torch.cat(
        [
            codes.similarity(names_rows[:, :, 1:], names_rows[:, :, :-1]).flatten(1),
            codes.similarity(names_last[:, 1:], names_last[:, :-1]),
        ],
        dim=1,
    )
    constant = _log(alike).sum(-1)
    distinct = _log(1 - alike).sum(-1)

    # Progressions: differences of neighbours against the step, of first and last against n - 1 steps, and no standstill.
    inverse = powers.conj().resolve_conj()
    inverse_rows, inverse_last = inverse[:, : 2 * n].unflatten(1, (2, n)), inverse[:, 2 * n :]
    steps = (0, *STEPS)
    moves = torch.cat(
        [
            codes.read_steps(codes.bind(powers_rows[:, :, 1:], inverse_rows[:, :, :-1]), steps).flatten(1, 2),
            codes.read_steps(codes.bind(powers_last[:, 1:], inverse_last[:, :-1]), steps),
        ],
        dim=1,
    )
    travel = codes.bind(powers_rows[:, :, -1], inverse_rows[:, :, 0])
    travelled = codes.read_steps(travel, [step * (n - 1) for step in STEPS])
    progressions = (
        _log(moves[..., 1:]).sum(1) + _log(travelled).sum(1) + _log(1 - moves[..., :1]).sum(1)
    )

    # Sums and differences hold in the complete rows, and the third must end in a value.
    total = codes.bind_all(powers_rows[:, :, :-1])
    rest = codes.bind_all(powers_rows[:, :, 1:])
    total_last = codes.bind_all(powers_last)
    rest_last = codes.bind(powers_last[:, 0], codes.bind_all(inverse_last[:, 1:]))
    plus = _log(codes.similarity(total, powers_rows[:, :, -1])).sum(-1)
    minus = _log(codes.similarity(rest, powers_rows[:, :, 0])).sum(-1)
    ends = codes.read_powers(torch.stack([powers_last[:, -1], total_last, rest_last], dim=1), values, _MARGIN)
    arithmetic = _allowed(ends[:, 1:, _MARGIN:-_MARGIN], allowed.unsqueeze(1))  # (N, 2, V)
    legal = _log(arithmetic.sum(-1))

    # Distribute_Three: rows have the same values, and so have columns where they are as long.
    bundles = codes.bind_all(names_rows)  # (N, 2, W)
    distribute = _log(codes.similarity(bundles[:, 0], bundles[:, 1])) + distinct
    if n == 3:
        down = codes.bind(names_rows[:, 0, :-1], names_rows[:, 1, :-1], names_last)
        distribute = distribute + _log(codes.similarity(down[:, 0], down[:, 1]))
    left_over = codes.bind(bundles[:, 0], codes.bind_all(names_last).conj().resolve_conj())
    found = codes.read_names(torch.stack([names_last[:, -1], left_over], dim=1), values + 1)
    named = torch.cat([_allowed(found[..., :-1], allowed.unsqueeze(1)), found[..., -1:].clamp_min(0)], dim=-1)

    # Binding with the power of a step moves what is read.
    moved = torch.stack([ends[:, 0, _MARGIN - step : _MARGIN - step + values] for step in STEPS], dim=1)
    added = torch.cat([_allowed(moved, allowed.unsqueeze(1)), arithmetic], dim=1)
    added = torch.nn.functional.pad(added, (0, 1))
    predicted = _normalised(torch.cat([named[:, :1], added, named[:, 1:]], dim=1))
    agreement = torch.cat(
        [
            constant.unsqueeze(-1), progressions, torch.stack([plus, minus], dim=-1) + legal, distribute.unsqueeze(-1)
        ],
        dim=-1,
    )  # fmt: skip
    pairs = alike.shape[-1]
    factors = torch.tensor([pairs, *(2 * pairs + 2,) * len(STEPS), 3, 3, pairs + 1 + (n == 3)], device=context.device)
    return Evidence(agreement, factors, predicted)


def _log(similarity: Tensor) -> Tensor:
    return similarity.clamp(FLOOR, 1.0).log()


def _allowed(read: Tensor, allowed: Tensor) -> Tensor:
    return read.clamp_min(0) * allowed


def _normalised(weights: Tensor) -> Tensor:
    return weights / weights.sum(-1, keepdim=True).clamp_min(FLOOR)

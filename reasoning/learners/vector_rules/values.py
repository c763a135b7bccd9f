"""NVSA on attributes with values: rule probability and rule execution, on vectors."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor
from torch.nn import functional

from reasoning.learners.vector_rules.codes import BlockSpectra, Names, Powers
from reasoning.learners.vector_rules.rules import STEPS, Evidence
from reasoning.sparse import PMF, with_missing

__all__ = ["ENTRIES", "FLOOR", "log_similarity", "values_evidence"]

FLOOR = 1e-6  # least similarity: no comparison excludes a rule for good
_MARGIN = max(abs(step) for step in STEPS)
_VECTORS = 2**20  # spectral entries of vectors that are read at a time: enough that atoms are not waited for
_Codes = TypeVar("_Codes", bound=BlockSpectra)
ENTRIES = 200_000  # spectral entries of panels that are worked on at a time: a few megabytes stay in fast memory


def values_evidence(powers: Powers, names: Names, context: PMF, allowed: Tensor, columns: int) -> Evidence:
    """Evidence for the rules of values, in matrices of three rows.

    Args:
        powers: the codebook in which binding adds values.
        names: the codebook of unrelated atoms.
        context: (N, 3 n - 1, V) PMFs row by row; missing mass: the entities of the panel differ.
        allowed: (N, V), one for each value that the attribute has, else zero.
        columns: n.

    Returns:
        Evidence with (N, R) agreements and (N, R, V + 1) predicted PMFs, the last entry for entities that differ.
    """
    size = max(1, _VECTORS // names.width)
    if len(context) > size:
        pieces = [slice(start, start + size) for start in range(0, len(context), size)]
        parts = [values_evidence(powers, names, context[piece], allowed[piece], columns) for piece in pieces]
        agreement, predicted = (
            torch.cat([getattr(part, name) for part in parts]) for name in ("agreement", "predicted")
        )
        return Evidence(agreement, parts[0].factors, predicted)
    named, added = _by_name(names, context, allowed, columns), _by_sum(powers, context, allowed, columns)
    # In the order of the rules: constant, progressions, sum and difference, distribute three.
    agreement = torch.cat([named.agreement[:, :1], added.agreement, named.agreement[:, 1:]], dim=-1)
    factors = torch.cat([named.factors[:1], added.factors, named.factors[1:]])
    sums = functional.pad(added.predicted, (0, 1))
    predicted = torch.cat([named.predicted[:, :1], sums, named.predicted[:, 1:]], dim=1)
    return Evidence(agreement, factors, predicted / predicted.sum(-1, keepdim=True).clamp_min(FLOOR))


def log_similarity(similarity: Tensor) -> Tensor:
    """Log of a similarity, which is never quite zero."""
    return similarity.clamp(FLOOR, 1.0).log()


def _in_pieces(
    work: Callable[[_Codes, PMF, int], tuple[Tensor, Tensor]], codes: _Codes, context: PMF, n: int
) -> tuple[Tensor, Tensor]:
    """Agreements, and the vectors to be read: these together, since a read of few vectors waits for the atoms."""
    size = max(1, ENTRIES // (context.shape[1] * codes.width))
    if len(context) <= size:
        return work(codes, context, n)
    parts = [work(codes, context[start : start + size], n) for start in range(0, len(context), size)]
    agreement, ends = zip(*parts, strict=True)
    return torch.cat(agreement), torch.cat(ends)


def _by_name(names: Names, context: PMF, allowed: Tensor, n: int) -> Evidence:
    """Constant and distribute three; the predicted weights are not normalised yet."""
    values = context.shape[-1]
    agreement, ends = _in_pieces(_named, names, context, n)
    found = names.read(ends, range(values + 1)).clamp_min(0)
    predicted = torch.cat([found[..., :-1] * allowed.unsqueeze(1), found[..., -1:]], dim=-1)
    pairs = 3 * (n - 1) - 1
    factors = torch.tensor([pairs, pairs + (2 if n == 3 else 2 * n - 1)], device=context.device)
    return Evidence(agreement, factors, predicted)


def _named(names: Names, context: PMF, n: int) -> tuple[Tensor, Tensor]:
    """(N, 2) agreements of the rules by name, and the vectors (N, 2, W) that they predict."""
    rows, last = _rows(names.encode(with_missing(context)), n)
    alike = torch.cat(
        [names.similarity(rows[:, :, 1:], rows[:, :, :-1]).flatten(1), names.similarity(last[:, 1:], last[:, :-1])], 1
    )
    constant = log_similarity(alike).sum(-1)
    found, distribute = _distributed(names, rows, last)
    agreement = torch.stack([constant, log_similarity(1 - alike).sum(-1) + distribute.sum(-1)], dim=-1)
    return agreement, torch.stack([last[:, -1], found], dim=1)


def _distributed(names: Names, rows: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
    """The vector (N, W) that distribute three predicts, and the logs (N, C) of the similarities it asks for.

    Three columns, as published: rows hold the same values, and so do columns, whatever the order. With more columns
    theirs differ: then rows are compared panel by panel, shifted to the right or to the left.
    """
    n = rows.shape[2]
    if n == 3:
        whole = names.bind_all(rows)  # (N, 2, W)
        down = names.bind(rows[:, 0, :-1], rows[:, 1, :-1], last)
        alike = [names.similarity(both[:, 0], both[:, 1]) for both in (whole, down)]
        return names.bind(whole[:, 0], names.bind_all(last).conj()), log_similarity(torch.stack(alike, dim=-1))
    logs = []
    for shift in (1, -1):
        second = names.similarity(rows[:, 0].roll(shift, 1), rows[:, 1])
        third = names.similarity(rows[:, 1].roll(shift, 1)[:, :-1], last)
        logs.append(log_similarity(torch.cat([second, third], dim=-1)))
    both = torch.stack(logs, dim=1)  # (N, 2, C)
    share = both.sum(-1).softmax(-1)
    predicted = share[:, :1] * rows[:, 1, -2] + share[:, 1:] * rows[:, 1, 0]
    return predicted, (share.unsqueeze(-1) * both).sum(1)


def _by_sum(powers: Powers, context: PMF, allowed: Tensor, n: int) -> Evidence:
    """Progressions, sum and difference; the predicted weights are not normalised yet."""
    values, allowed = context.shape[-1], allowed.unsqueeze(1)
    agreement, ends = _in_pieces(_added, powers, context, n)
    found = powers.read(ends, range(-_MARGIN, values + _MARGIN)).clamp_min(0)
    # To bind with the power of a step is to move what is read by that step.
    after = [found[:, 0, _MARGIN - step : _MARGIN - step + values] for step in STEPS]
    predicted = torch.cat([torch.stack(after, dim=1), found[:, 1:, _MARGIN:-_MARGIN]], dim=1) * allowed
    pairs = 3 * (n - 1) - 1
    factors = torch.tensor([*(2 * pairs + 3,) * len(STEPS), 3, 3], device=context.device)
    # The third row ends in a value that the attribute has.
    return Evidence(agreement + log_similarity(predicted.sum(-1)), factors, predicted)


def _added(powers: Powers, context: PMF, n: int) -> tuple[Tensor, Tensor]:
    """(N, 6) agreements of the complete rows with the rules that add, and the vectors (N, 3, W) that they end in."""
    vectors = powers.encode(context)
    rows, last = _rows(vectors, n)
    rows_inverse, last_inverse = _rows(vectors.conj().resolve_conj(), n)

    # Differences of neighbours are the step and not zero; that of first and last is n - 1 steps.
    complete = powers.bind(rows[:, :, 1:], rows_inverse[:, :, :-1]).flatten(1, 2)
    moved = powers.read(torch.cat([complete, powers.bind(last[:, 1:], last_inverse[:, :-1])], dim=1), (0, *STEPS))
    travelled = powers.read(powers.bind(rows[:, :, -1], rows_inverse[:, :, 0]), [step * (n - 1) for step in STEPS])
    steady = log_similarity(moved[..., 1:]).sum(1) + log_similarity(travelled).sum(1)
    progressions = steady + log_similarity(1 - moved[..., :1]).sum(1)

    # The complete rows add up.
    plus = powers.similarity(powers.bind_all(rows[:, :, :-1]), rows[:, :, -1])
    minus = powers.similarity(powers.bind_all(rows[:, :, 1:]), rows[:, :, 0])
    ends = torch.stack(
        [last[:, -1], powers.bind_all(last), powers.bind(last[:, 0], powers.bind_all(last_inverse[:, 1:]))], dim=1
    )
    return torch.cat([progressions, log_similarity(torch.stack([plus, minus], dim=-1)).sum(1)], dim=-1), ends


def _rows(vectors: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """(N, 3 n - 1, W) -> the complete rows (N, 2, n, W) and the third (N, n - 1, W)."""
    return vectors[:, : 2 * n].unflatten(1, (2, n)), vectors[:, 2 * n :]

"""How well each rule explains sets of slots: exact sums over all sets, slot by slot, without a table of the sets.

A set is drawn by its size and then at random, and slots are seen independently, so sums over sets are coefficients of
polynomials whose variable counts the occupied slots.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

from datasets.rules import SlotSets
from datasets.rules.base import RULES
from datasets.rules.forms import ALIKE, PATTERNS, SHIFTS, STEPS, TOTALS
from reasoning.learners.grammar.values import Hypothesis, general_kernel
from vsa.errors import VSAError

__all__ = ["every_set", "set_evidence", "set_sizes", "set_table"]

Panel = tuple[Tensor, Tensor]  # (..., S): how probable what is seen is if the slot is occupied, and if it is empty


def set_sizes(panel: Panel) -> Tensor:
    """Sums over all sets of one size.

    Args:
        panel: (..., S) each.

    Returns:
        (..., S + 1): by the number of occupied slots.
    """
    occupied, empty = panel
    found = torch.ones_like(occupied[..., :1])
    for s in range(occupied.shape[-1]):  # nothing is written over: a gradient passes
        one, none = occupied[..., s, None], empty[..., s, None]
        found = functional.pad(found * none, (0, 1)) + functional.pad(found * one, (1, 0))
    return found


def every_set(slots: int) -> Tensor:
    """float64 (N, S): all sets of slots but the empty one, N = 2**S - 1; set k - 1 has the bits of k."""
    return ((torch.arange(1, 2**slots)[:, None] >> torch.arange(slots)) & 1).double()


def set_table(context: Panel, rule: str, parameter: int) -> Tensor:
    """As :func:`set_evidence`, for the last panel being each of all sets.

    Args:
        context: (B, 8, S) each.
        rule: its name.
        parameter: of the rule.

    Returns:
        (B, N), in the order of :func:`every_set`.
    """
    slots = context[0].shape[-1]
    if RULES.get(rule).pattern != TOTALS:
        sets = every_set(slots).to(context[0]).expand(len(context[0]), -1, -1)
        return set_evidence(context, (sets, 1 - sets), rule, parameter)
    weight = _pair_weight(rule, slots, parameter).to(context[0])
    pairs = [(_panel(context, 3 * r, True), _panel(context, 3 * r + 1, True)) for r in range(3)]
    whole = [_pairs(*pairs[r], _panel(context, 3 * r + 2, True), parameter, weight) for r in range(2)]
    last = _pair_table(*pairs[2], parameter, weight, False) - _pair_table(*pairs[2], parameter, weight, True)
    return whole[0] * whole[1] * last


def _pair_table(first: Panel, second: Panel, sign: int, weight: Tensor, mute: bool) -> Tensor:
    """(B, N): sum over all pairs of sets with this union or difference; one slot after the other doubles the table."""
    slots = first[0].shape[-1]
    found = first[0].new_ones((len(first[0]), 1, 1, 1))  # by the set so far and the sizes of the two
    for s in range(slots):
        empty = found.new_zeros((*found.shape[:2], s + 2, s + 2))
        states = [empty, empty]  # by whether the slot is in the set
        for x, y, z in _combinations(sign, mute):
            factor = first[0 if x else 1][..., s] * second[0 if y else 1][..., s]
            states[z] = states[z] + functional.pad(found * factor[..., None, None], (y, 1 - y, x, 1 - x))
        found = torch.cat(states, dim=1)
    return (found * weight).sum((-1, -2))[:, 1:]


def _combinations(sign: int, mute: bool) -> list[tuple[int, int, int]]:
    """A slot in two panels and in their union or difference; ``mute``: only pairs that tell nothing."""
    pairs = [(x, y) for x in (0, 1) for y in (0, 1) if not (mute and (x, y) == ((0, 1) if sign > 0 else (1, 0)))]
    return [(x, y, int(x or y) if sign > 0 else int(x and not y)) for x, y in pairs]


def set_evidence(context: Panel, candidates: Panel, rule: str, parameter: int) -> Tensor:
    """Likelihood of context and candidate if the rule governs the positions.

    Args:
        context: (B, 8, S) each.
        candidates: (B, C, S) each; ones for a panel that is not seen.
        rule: its name.
        parameter: of the rule.

    Returns:
        (B, C).
    """
    slots = context[0].shape[-1]
    pattern = RULES.get(rule).pattern
    if pattern is None:
        return _general(context, candidates, Hypothesis(rule, RULES.get(rule).code, parameter, 1.0))
    low, high = RULES.get(rule).first_count(slots, parameter)
    sizes = torch.arange(slots + 1)
    allowed = ((sizes >= low) & (sizes <= high)).to(context[0]) / (high - low + 1)
    ways = torch.tensor([math.comb(slots, k) for k in range(slots + 1)]).to(context[0])
    if pattern in (ALIKE, STEPS):
        weight = allowed / ways
        whole = [(set_sizes(_along(context, 3 * r, parameter)) * weight).sum(-1, keepdim=True) for r in range(2)]
        shown = _moved(_along(context, 6, parameter, 2), 0)
        last = _moved(candidates, 2 * parameter)
        final = set_sizes((shown[0].unsqueeze(1) * last[0], shown[1].unsqueeze(1) * last[1]))
        return whole[0] * whole[1] * (final * weight).sum(-1)
    if pattern == TOTALS:
        weight = _pair_weight(rule, slots, parameter).to(context[0])
        result = torch.ones_like(candidates[0][..., 0])
        for r in range(3):
            first, second = _panel(context, 3 * r, True), _panel(context, 3 * r + 1, True)
            third = candidates if r == 2 else _panel(context, 3 * r + 2, True)
            result = result * _pairs(first, second, third, parameter, weight)
        return result
    if pattern == SHIFTS:
        return _distribute(context, candidates, parameter, allowed, ways)
    raise VSAError(f"symbolic: rule {rule} on Position", received=f"pattern {pattern!r}", expected=f"one of {PATTERNS}")


def _general(context: Panel, candidates: Panel, rule: Hypothesis) -> Tensor:
    """(B, C): a rule without a pattern, by a table of all sets."""
    slots = context[0].shape[-1]
    sets = tuple(range(1, 1 << slots))
    members = ((torch.tensor(sets)[:, None] >> torch.arange(slots)) & 1).bool().to(context[0].device)

    def table(panel: Panel) -> Tensor:
        """(..., S) each -> (..., W): of each set."""
        found = torch.ones((*panel[0].shape[:-1], len(sets)), dtype=panel[0].dtype, device=panel[0].device)
        for s in range(slots):
            found = found * torch.where(members[:, s], panel[0][..., s, None], panel[1][..., s, None])
        return found

    ways = torch.tensor([1.0 / math.comb(slots, set_.bit_count()) for set_ in sets], dtype=torch.float64)
    kernel = general_kernel(table(context), 3, rule, SlotSets(slots), sets, ways)
    return (table(candidates) @ kernel.unsqueeze(-1)).squeeze(-1)


def _panel(panels: Panel, index: int, keep: bool = False) -> Panel:
    chosen = slice(index, index + 1) if keep else index
    return panels[0][:, chosen], panels[1][:, chosen]


def _moved(panel: Panel, by: int) -> Panel:
    """The panel as the slots of the row's first panel see it: slot s was moved to slot s + by."""
    return panel[0].roll(-by, -1), panel[1].roll(-by, -1)


def _along(context: Panel, start: int, step: int, count: int = 3) -> Panel:
    """The product of a row's panels, by the slots of its first."""
    occupied, empty = _panel(context, start)
    for j in range(1, count):
        more = _moved(_panel(context, start + j), step * j)
        occupied, empty = occupied * more[0], empty * more[1]
    return occupied, empty


@lru_cache(maxsize=32)
def _pair_weight(rule: str, slots: int, sign: int) -> Tensor:
    """float64 (S + 1, S + 1): probability of two sets, by their sizes, under a union or a difference that tells."""
    low, high = RULES.get(rule).first_count(slots, sign)
    weight = torch.zeros(slots + 1, slots + 1, dtype=torch.float64)
    seconds = range(low, slots)
    for first in range(low, high + 1):
        # The second set is drawn again while a union adds nothing, or while a difference leaves nothing.
        if sign > 0:
            refused = sum(math.comb(first, k) / math.comb(slots, k) for k in seconds) / len(seconds)
        else:
            refused = sum(
                math.comb(slots - first, k - first) / math.comb(slots, k) for k in seconds if k >= first
            ) / len(seconds)
        for second in seconds:
            pairs = math.comb(slots, first) * math.comb(slots, second)
            weight[first, second] = 1 / (high - low + 1) / len(seconds) / pairs / (1 - refused)
    return weight


def _pairs(first: Panel, second: Panel, third: Panel, sign: int, weight: Tensor) -> Tensor:
    """(B, C): sum over all pairs of sets that tell, times the third panel."""
    total = (_pair_sizes(first, second, third, sign, False) * weight).sum((-1, -2))
    return total - (_pair_sizes(first, second, third, sign, True) * weight).sum((-1, -2))


def _pair_sizes(first: Panel, second: Panel, third: Panel, sign: int, mute: bool) -> Tensor:
    """(B, C, S + 1, S + 1): by the sizes of the two sets; ``mute``: only pairs that tell nothing."""
    slots = first[0].shape[-1]
    shape = torch.broadcast_tensors(first[0], third[0])[0].shape[:-1]
    found = first[0].new_zeros((*shape, slots + 1, slots + 1))
    found[..., 0, 0] = 1
    for s in range(slots):
        new = torch.zeros_like(found)
        for x, y, z in _combinations(sign, mute):
            factor = first[0 if x else 1][..., s] * second[0 if y else 1][..., s] * third[0 if z else 1][..., s]
            upper = found[..., : slots + 1 - x, : slots + 1 - y]
            new[..., x:, y:] += upper * factor[..., None, None]
        found = new
    return found


def _distribute(context: Panel, candidates: Panel, shift: int, allowed: Tensor, ways: Tensor) -> Tensor:
    chains: list[Panel] = []
    for k in range(3):
        occupied, empty = torch.ones_like(candidates[0]), torch.ones_like(candidates[0])
        for r in range(3):
            place = 3 * r + (k + shift * r) % 3
            panel = candidates if place == 8 else _panel(context, place, True)
            occupied, empty = occupied * panel[0], empty * panel[1]
        chains.append((occupied, empty))

    def sizes(*which: int) -> Tensor:
        occupied, empty = chains[which[0]]
        for k in which[1:]:
            occupied, empty = occupied * chains[k][0], empty * chains[k][1]
        return set_sizes((occupied, empty))

    apart = sizes(0) * sizes(1) * sizes(2) + 2 * sizes(0, 1, 2)
    apart = apart - sizes(0, 1) * sizes(2) - sizes(0, 2) * sizes(1) - sizes(1, 2) * sizes(0)
    orders = ways * (ways - 1) * (ways - 2)
    weight = torch.where(orders > 0, allowed / orders.clamp_min(1), torch.zeros_like(allowed))
    return (apart * weight).sum(-1).clamp_min(0)

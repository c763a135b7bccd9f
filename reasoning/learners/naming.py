"""Names for formulas, from what they compute on synthetic rows; the order of the rule slots plays no part."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor

from datasets.arrays import RULE_NAMES
from reasoning.scoring import cosine
from vsa.seeding import child_seed

# The rule families, also in the order in which ties are broken: a constant row is a progression by zero, too.
FAMILIES = RULE_NAMES

_SAMPLES = 64
_FREQUENCIES = 64
_RIGHT = 0.9  # cosine above which a soft formula's prediction counts as the value


def _synthetic(variant: str, columns: int, generator: torch.Generator) -> Tensor:
    """Integer matrices (_SAMPLES, 3, n) whose rows follow one variant of a family."""
    shape = (_SAMPLES, 3, columns)
    values = torch.randint(0, 50, shape, generator=generator)
    if variant == "constant":
        return values[..., :1].expand(shape).clone()
    if variant == "progression":
        step = torch.tensor([-2, -1, 1, 2])[torch.randint(0, 4, (_SAMPLES, 1, 1), generator=generator)]
        return values[..., :1] + step * torch.arange(columns)
    if variant.startswith("plus"):
        values[..., -1] = values[..., :-1].sum(-1) + int(variant[-1])
        return values
    if variant.startswith("minus"):
        values[..., -1] = values[..., 0] - values[..., 1:-1].sum(-1) - int(variant[-1])
        return values
    order = torch.stack([torch.randperm(50, generator=generator)[:columns] for _ in range(_SAMPLES)])
    shift = 1 if variant == "distribute_right" else -1
    return torch.stack([order.roll(shift * row, -1) for row in range(3)], dim=1)


# Offsets 0 and 1: Color adds levels, Size and Number add counts (level + 1).
_VARIANTS = {
    "Constant": ("constant",),
    "Progression": ("progression",),
    "Arithmetic": ("plus0", "plus1", "minus0", "minus1"),
    "Distribute_Three": ("distribute_right", "distribute_left"),
}


@lru_cache(maxsize=8)
def _spectra(columns: int) -> tuple[tuple[int, Tensor], ...]:
    """(family code, spectra (_SAMPLES, 3n, W)) of every variant, at random frequencies."""
    result = []
    for code, family in enumerate(FAMILIES):
        for variant in _VARIANTS[family]:
            generator = torch.Generator().manual_seed(child_seed(0, "naming", variant, columns))
            frequencies = 2 * torch.pi * torch.rand(_FREQUENCIES, generator=generator)
            values = _synthetic(variant, columns, generator).flatten(1)
            angles = values.unsqueeze(-1) * frequencies
            result.append((code, torch.polar(torch.ones_like(angles), angles)))
    return tuple(result)


def computed_families(
    predict: Callable[[Tensor], Tensor], columns: int, rows: slice = slice(None)
) -> Tensor:
    """Which rule families each formula computes.

    Args:
        predict: the formulas: complex (B, 3n, W), panels of whole matrices, to complex (B, 3, R, W), their rows' last
            panels.
        columns: n, panels in a row.
        rows: which rows' predictions count.

    Returns:
        bool (R, 4), columns in the order of :data:`FAMILIES`. A formula computes a family if it predicts the
        last panel of those rows of at least one of its variants (plus or minus, either direction of a shift).
    """
    ones = torch.ones(_FREQUENCIES)
    able = []
    for code, spectra in _spectra(columns):
        predicted = predict(spectra)[:, rows]
        truth = spectra[:, columns - 1 :: columns][:, rows].unsqueeze(-2)
        able.append((code, (cosine(predicted, truth, ones) > _RIGHT).squeeze(-1).flatten(0, 1).all(0)))
    result = torch.zeros(len(able[0][1]), len(FAMILIES), dtype=torch.bool)
    for code, yes in able:
        result[:, code] |= yes
    return result


def name_choice(computed: Tensor, rule_index: Tensor, constant: Tensor, progresses: Tensor) -> Tensor:
    """Family code of each chosen rule.

    Args:
        computed: bool (R, 4) from :func:`computed_families`.
        rule_index: long (...), the chosen rules.
        constant: bool (...), whether the complete rows are constant.
        progresses: bool (...), whether the complete rows have equal steps.

    Returns:
        int8 (...): the first family in order that the rule computes, where Constant counts only if the rows are
        constant, and Progression after the others unless the rows progress; -1 if it computes none.
    """
    able = computed.to(rule_index.device)[rule_index].clone()
    able[..., 0] &= constant
    seen = able.clone()
    seen[..., 1] &= progresses
    able = torch.where(seen.any(-1, keepdim=True), seen, able)
    code = able.to(torch.int8).argmax(-1).to(torch.int8)
    return torch.where(able.any(-1), code, torch.full_like(code, -1))

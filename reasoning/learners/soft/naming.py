"""Names for formulas, from what they compute on synthetic rows; the order of the rule slots plays no part."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from datasets.arrays import UNKNOWN
from datasets.rules import Values
from datasets.rules.base import PUBLISHED, RULES, Rule, rules_named
from datasets.rules.forms import ALIKE, SHIFTS, STEPS, TOTALS, PanelForm
from datasets.streams import Ints, Stream
from reasoning.learners.soft.scoring import cosine
from vsa.errors import VSAError
from vsa.seeding import child_seed

_VALUES = 50  # that panels of synthetic rows are drawn from
_DRAWN = 4 * 64  # rows that are drawn, so that enough of them follow the rule
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
    ALIKE: ("constant",),
    STEPS: ("progression",),
    TOTALS: ("plus0", "plus1", "minus0", "minus1"),
    SHIFTS: ("distribute_right", "distribute_left"),
}


def _matrices(rule: Rule, parameter: int, columns: int, generator: torch.Generator) -> Tensor:
    """Integer matrices (_SAMPLES, 3, n) that follow a rule without a pattern: made by its form, or drawn by itself."""
    form = rule.form(columns, parameter)
    if form is not None:
        found = _made(form, generator)
    else:
        seed = int(torch.randint(2**31, (1,), generator=generator))
        rows = np.arange(_DRAWN)
        found = rule.draw(
            Stream(seed, ("naming",), rows), 0, _VALUES - 1, np.full(_DRAWN, parameter, dtype=np.int64), rows, columns
        )
    reach = int(np.abs(found).max(initial=0))
    found = found[:, :3]  # a data set has as many rows as columns
    found = found[rule.holds(found, parameter, Values(-reach, reach, white=False))]
    if not len(found):
        raise VSAError(
            f"name formulas by the rule {rule.name}",
            received=f"no matrix of {columns} columns that it holds for",
            expected="matrices that Rule.form or Rule.draw make and Rule.holds accepts",
        )
    return torch.from_numpy(found[np.arange(_SAMPLES) % len(found)])


def _made(form: PanelForm, generator: torch.Generator) -> Ints:
    """int64 (_DRAWN, 3, n): free panels drawn, the others by the form's relations."""
    values = torch.randint(0, _VALUES, (_DRAWN, 3 * form.columns), generator=generator)
    for relation in form.relations:
        total = values[:, list(relation.plus)].sum(-1) - values[:, list(relation.minus)].sum(-1)
        values[:, relation.panel] = total + relation.step
    return values.unflatten(1, (3, form.columns)).numpy()


@lru_cache(maxsize=16)
def _spectra(columns: int, grammar: tuple[str, ...]) -> tuple[tuple[int, Tensor], ...]:
    """(place of a rule in the grammar, spectra (_SAMPLES, 3n, W)) of every variant, at random frequencies."""
    result = []
    for place, name in enumerate(grammar):
        rule = RULES.get(name)
        variants: tuple[str | int, ...] = rule.parameters if rule.pattern is None else _VARIANTS[rule.pattern]
        for variant in variants:
            label = variant if isinstance(variant, str) else f"{name} {variant}"
            generator = torch.Generator().manual_seed(child_seed(0, "naming", label, columns))
            frequencies = 2 * torch.pi * torch.rand(_FREQUENCIES, generator=generator)
            if isinstance(variant, str):
                values = _synthetic(variant, columns, generator).flatten(1)
            else:
                values = _matrices(rule, variant, columns, generator).flatten(1)
            angles = values.unsqueeze(-1) * frequencies
            result.append((place, torch.polar(torch.ones_like(angles), angles)))
    return tuple(result)


def computed_families(
    predict: Callable[[Tensor], Tensor], columns: int, rows: slice = slice(None), grammar: Sequence[str] = PUBLISHED
) -> Tensor:
    """Which rule families each formula computes.

    Args:
        predict: the formulas: complex (B, 3n, W), panels of whole matrices, to complex (B, 3, R, W), their rows' last
            panels.
        columns: n, panels in a row.
        rows: which rows' predictions count.
        grammar: names of the rules that may be at work, in the order of their codes.

    Returns:
        bool (R, F), columns in the order of ``grammar``. A formula computes a family if it predicts the
        last panel of those rows of at least one of its variants (plus or minus, either direction of a shift).
    """
    ones = torch.ones(_FREQUENCIES)
    able = []
    for code, spectra in _spectra(columns, tuple(grammar)):
        predicted = predict(spectra)[:, rows]
        truth = spectra[:, columns - 1 :: columns][:, rows].unsqueeze(-2)
        able.append((code, (cosine(predicted, truth, ones) > _RIGHT).squeeze(-1).flatten(0, 1).all(0)))
    result = torch.zeros(len(able[0][1]), len(grammar), dtype=torch.bool)
    for code, yes in able:
        result[:, code] |= yes
    return result


def name_choice(
    computed: Tensor, rule_index: Tensor, constant: Tensor, progresses: Tensor, grammar: Sequence[str] = PUBLISHED
) -> Tensor:
    """Family code of each chosen rule.

    Args:
        computed: bool (R, F) from :func:`computed_families`.
        rule_index: long (...), the chosen rules.
        constant: bool (...), whether the complete rows are constant.
        progresses: bool (...), whether the complete rows have equal steps.
        grammar: names of the rules, as for :func:`computed_families`; ties are broken in their order, since a constant
            row is a progression by zero, too.

    Returns:
        int8 (...): the first family in order that the rule computes, where a constant rule counts only if the rows
        are constant, and one of steps after the others unless the rows progress; UNKNOWN if it computes none.
    """
    rules = rules_named(grammar)
    codes = torch.tensor([rule.code for rule in rules], dtype=torch.int8, device=rule_index.device)
    able = computed.to(rule_index.device)[rule_index].clone()
    for place, rule in enumerate(rules):
        if rule.constant:
            able[..., place] &= constant
    seen = able.clone()
    for place, rule in enumerate(rules):
        if rule.pattern == STEPS:
            seen[..., place] &= progresses
    able = torch.where(seen.any(-1, keepdim=True), seen, able)
    code = codes[able.to(torch.int8).argmax(-1)]
    return torch.where(able.any(-1), code, torch.full_like(code, UNKNOWN))


def steps_tell(computed: Tensor, grammar: Sequence[str] = PUBLISHED) -> bool:
    """Whether it matters for a name if rows have equal steps: a formula computes steps and a rule named after them.

    Args:
        computed: bool (R, F) from :func:`computed_families`.
        grammar: names of the rules, as there.

    Returns:
        Whether it does.
    """
    steps = [place for place, rule in enumerate(rules_named(grammar)) if rule.pattern == STEPS]
    return any(bool((computed[:, place] & computed[:, place + 1 :].any(-1)).any()) for place in steps)


def order_of(codes: Tensor, grammar: Sequence[str] = PUBLISHED) -> Tensor:
    """The order in which ties are broken.

    Args:
        codes: int8 (...), of rules of the grammar, or UNKNOWN.
        grammar: names of the rules.

    Returns:
        Long (...), the place in the grammar; UNKNOWN stands behind all of them.
    """
    known = torch.tensor([rule.code for rule in rules_named(grammar)], dtype=torch.int8, device=codes.device)
    return torch.where(codes == UNKNOWN, len(known), (codes.unsqueeze(-1) == known).to(torch.int8).argmax(-1))

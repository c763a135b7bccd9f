"""Each ingredient left out; and a family of formulas taken off the page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch

from datasets import holdout
from fora_parts.common import (
    GRIDS,
    SETS,
    SHORT,
    TRAIN,
    TWO,
    Page,
    block_codes,
    calibration,
    count,
    fora,
    formulas_of,
    known_page,
    puzzles,
    stressed,
    symbolic,
    taught,
    wide,
    without,
)
from reasoning.learners.fora import FORA
from reasoning.learners.role_formulas.abduction import Abduced
from reasoning.learners.role_formulas.naming import names_of
from reasoning.learners.role_formulas.roles import ROLES
from reasoning.scene import Scene

_P_LEFT = 0.51
_READERS: dict[str, dict[str, Any]] = {
    "no reading of sets": {"readings": ("value", "bundle", "layout")},
    "no reading of bundles": {"readings": ("value", "layout", "set")},
    "no reading of layouts": {"readings": ("value", "bundle", "set")},
    "values alone": {"readings": ("value",)},
    "predicted panels made no surer": {"filtered": False},
    "not divided by the share of valid predictions": {"normed": False},
}


class LikeliestOnly(FORA):
    """The likeliest hypothesis alone predicts."""

    def _abduce(self, scene: Scene) -> Iterator[Abduced]:
        for found in super()._abduce(scene):
            each = torch.stack([one.candidates.log() - one.mass.log().unsqueeze(1) for one in found.evidence], -1)
            each = torch.nn.functional.pad(each.unflatten(0, found.ratios.shape[:2]), (0, 1))
            best = found.weights.argmax(-1)[..., None, None].expand(*each.shape[:-1], 1)
            yield replace(found, adds=each.gather(-1, best).squeeze(-1).sum(0))


def ablation(n: int, seeds: int) -> Iterator[dict[str, Any]]:
    """Certain puzzles of the seven constellations; calibrated rows of ten at range 100.

    What the reader leaves out is left out of learning too. About 8 minutes of one core at 500 puzzles.
    """
    del seeds
    two, ten = known_page("2x2"), known_page("ten")
    yield _exact(n)
    yield _case("all of it", n, two, ten)
    for name, options in _READERS.items():
        learned = taught([puzzles(TWO, 200, TRAIN)], fora(reader=options))
        wide_solver = fora(algebra=block_codes(1024), columns=10, reader=options)
        at_ten = ten if "reading" in name else taught([wide(300, TRAIN, maxval=100)], wide_solver)
        yield _case(name, n, learned, at_ten, reader=options)
    yield _case("panels of a row need not differ", n, *(_set(page, -1, 0) for page in (two, ten)))
    yield _case("last panels alone follow", n, *(_set(page, -2, 1) for page in (two, ten)))
    yield _case("nothing is added", n, *(_without(page, lambda one: one.offset != 0) for page in (two, ten)))
    for role in ROLES:
        place = ROLES.index(role)
        pages = [_without(page, lambda one, place=place: one.coefficients[place] != 0) for page in (two, ten)]
        if pages[0] is not two or pages[1] is not ten:
            yield _case(f"no formula of {role!r}", n, *pages)
    yield _case("likeliest hypothesis alone", n, two, ten, kind=LikeliestOnly)
    yield _case("all formulas equally likely", n, *(_texts(page) for page in (two, ten)))


def _case(name: str, n: int, two: Any, ten: Any, **options: Any) -> dict[str, Any]:
    sharp = {SHORT[one]: count(fora(two, **options), puzzles(one, n), rules=False).percent for one in SETS}
    center = count(fora(two, stressed(0.7), **options), puzzles(SETS[0], n), rules=False)
    solver = fora(ten, stressed(_P_LEFT), algebra=block_codes(1024), columns=10, **options)
    rows = count(solver, wide(n, maxval=100), rules=False)
    return {
        "without": name,
        **sharp,
        "average": round(sum(sharp.values()) / len(sharp), 3),
        "center_at_.7": center.percent,
        "rows_of_ten_at_.51": rows.percent,
        "ece_rows_of_ten": calibration(rows)["ece"],
    }


def _exact(n: int) -> dict[str, Any]:
    """Exact inference on the same puzzles."""
    sharp = {SHORT[one]: count(symbolic(), puzzles(one, n), rules=False).percent for one in SETS}
    rows = count(symbolic(stressed(_P_LEFT)), wide(n, maxval=100), rules=False)
    center = count(symbolic(stressed(0.7)), puzzles(SETS[0], n), rules=False)
    return {
        "without": "(symbolic)",
        **sharp,
        "average": round(sum(sharp.values()) / len(sharp), 3),
        "center_at_.7": center.percent,
        "rows_of_ten_at_.51": rows.percent,
        "ece_rows_of_ten": calibration(rows)["ece"],
    }


def _set(page: Page, column: int, value: int) -> Page:
    """A page whose formulas have one property alike."""
    coefficients = page["coefficients"].clone()
    coefficients[:, column] = value * coefficients.any(1)
    return {**page, "coefficients": coefficients}


def _without(page: Page, idle: Any) -> Page:
    dropped = [number for number, one in enumerate(formulas_of(page)) if idle(one)]
    return without(page, dropped) if dropped else page


def _texts(page: Page) -> list[str]:
    return [str(one) for one in formulas_of(page)]


def family(n: int, seeds: int) -> Iterator[dict[str, Any]]:
    """All formulas of one rule taken off the page: how often it still answers above .99, and how often that is wrong.

    The puzzles are those in which that rule governs something. About 2 minutes of one core at 500 puzzles.
    """
    del seeds
    for name in ("Constant", "Progression", "Arithmetic", "Distribute_Three"):
        for size, p_left in ((3, 1.0), (3, 0.7), (10, 1.0), (10, 0.51)):
            yield _removed(name, size, p_left, n)


def _removed(name: str, columns: int, p_left: float, n: int) -> dict[str, Any]:
    page = known_page("2x2" if columns == 3 else "ten")
    dropped = [number for number, one in enumerate(formulas_of(page)) if name in names_of(one, columns)]
    algebra = None if columns == 3 else block_codes(1024)
    ours, whole = (
        fora(one, stressed(p_left), algebra=algebra, columns=columns) for one in (without(page, dropped), page)
    )
    parts = []
    sets = [("center_single", n)] if columns == 10 else [(one, n // 4 if one in GRIDS else n) for one in SETS]
    for constellation, size in sets:
        arrays = wide(size, maxval=100) if columns == 10 else puzzles(constellation, size)
        governed = sum(
            holdout.follows(holdout.Pair(attribute, name), arrays) for attribute in ("Type", "Size", "Color")
        )
        chosen = arrays[governed > 0]
        if len(chosen):
            parts.append((count(ours, chosen, rules=False), count(whole, chosen, rules=False)))
    confidence = torch.cat([part.confidence for part, _ in parts])
    right = torch.cat([part.right for part, _ in parts])
    complete = torch.cat([part.right for _, part in parts])
    sure = confidence > 0.99
    return {
        "removed": name,
        "formulas": len(dropped),
        "columns": columns,
        "p_left": p_left,
        "puzzles": len(right),
        "right": round(100 * float(right.float().mean()), 2),
        "right_with_all": round(100 * float(complete.float().mean()), 2),
        "sure": round(100 * float(sure.float().mean()), 2),
        "sure_and_wrong": round(100 * float((sure & ~right).float().mean()), 2),
        "mean_confidence": round(100 * float(confidence.mean()), 2),
    }

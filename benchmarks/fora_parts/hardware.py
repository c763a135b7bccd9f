"""On simulated arrays; and the errors of certain puzzles one by one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from datasets import PuzzleArrays
from datasets.arrays import RULE_SLOTS, UNKNOWN
from datasets.loaders import PuzzleDataset
from datasets.rules import rule_name
from fora_parts.common import (
    BATCH,
    GRIDS,
    SETS,
    SHORT,
    TEST,
    block_codes,
    count,
    fora,
    known_page,
    puzzles,
    stressed,
    symbolic,
    wide,
)
from reasoning.learners.base import Prediction, component_rules
from vsa import backends

_AGES = {"fresh": 1.0, "1 hour": 3600.0, "1 year": 365 * 86400.0}
_MANY = 20
_TIE = 1e-3  # nats


def arrays(n: int, seeds: int) -> Iterator[dict[str, Any]]:
    """Reads of codebooks on phase-change memory, fresh (a second old) and after a year, beside digital.

    About 5 minutes of one core at 60 puzzles and 2 device seeds.
    """
    algebras = {"gsbc, 4 blocks": None, "gsbc, 1 block": block_codes(1024)}
    for label, algebra in algebras.items():
        yield {"algebra": label, "case": "digital", **_on("digital", {}, n, 0, algebra)}
        for age, seconds in _AGES.items():
            for seed in range(min(seeds, 2)):
                found = _on("crossbar_pcm", {"age_seconds": seconds}, n, seed, algebra)
                yield {"algebra": label, "case": f"crossbar_pcm, {age}", "seed": seed, **found}


def _on(name: str, options: dict[str, Any], n: int, seed: int, algebra: Any) -> dict[str, Any]:
    backend = backends.get(name, **options)
    ours = fora(known_page("2x2"), algebra=algebra, backend=backend, seed=seed)
    row = {SHORT[one]: count(ours, puzzles(one, n), rules=False).percent for one in SETS}
    row["average"] = round(sum(row.values()) / len(row), 3)
    unsure = fora(known_page("2x2"), stressed(0.7), algebra=algebra, backend=backend, seed=seed)
    row["center_at_.7"] = count(unsure, puzzles(SETS[0], n), rules=False).percent
    for p_left in (1.0, 0.51):
        solver = fora(
            known_page("ten"), stressed(p_left), algebra=block_codes(1024), backend=backend, columns=10, seed=seed
        )
        row[f"ten_at_{p_left}"] = count(solver, wide(n, maxval=100), rules=False, batch_size=50).percent
    return row


def errors(n: int, seeds: int) -> Iterator[dict[str, Any]]:
    """The first 20 wrong answers to certain I-RAVEN grids, with what went wrong.

    At most 40 times ``n`` puzzles of each grid are looked at. About 2 minutes of one core at 500.
    """
    del seeds
    ours, exact = fora(known_page("2x2")), symbolic()
    left = dict.fromkeys(GRIDS, _MANY)
    looked = dict.fromkeys(GRIDS, 0)
    for block in range(40):
        for one in GRIDS:
            if left[one] <= 0 or sum(_MANY - many for many in left.values()) >= _MANY:
                continue
            data = PuzzleDataset(puzzles(one, n, TEST + 1 + block))
            looked[one] += n
            for number, batch in enumerate(data.batches(BATCH)):
                with torch.no_grad():
                    found, beside = ours.solve(batch), exact.solve(batch)
                for row in (found.answers != batch.target).nonzero().flatten().tolist():
                    left[one] -= 1
                    about = {"set": SHORT[one], "seed": TEST + 1 + block, "puzzle": number * BATCH + row}
                    yield {**about, **_what(row, batch.arrays, found, beside)}
    for one, many in left.items():
        yield {"set": SHORT[one], "errors": _MANY - many, "puzzles": looked[one]}


def _what(row: int, arrays: PuzzleArrays, found: Prediction, beside: Prediction) -> dict[str, Any]:
    from datasets.judging.defensible import ambiguous

    answer, target = int(found.answers[row]), int(arrays.target[row])
    ratio = torch.logit(found.agreement[row].double().clamp(1e-12, 1 - 1e-12))  # (A, 8)
    against = ratio[:, answer] - ratio[:, target]
    worst = int(against.argmax())
    key = found.keys[worst]
    slot = "Number/Position" if key.name in ("Number", "Position") else key.name
    column = RULE_SLOTS.index(slot)
    meant = rule_name(int(arrays.components[key.component].rules[row, column]))
    code = int(component_rules(found, key.component)[slot][row])
    believed = "no rule" if code == UNKNOWN else rule_name(code)
    sure = float(found.scores[row].double().softmax(-1)[answer])
    second = bool(ambiguous(arrays[row : row + 1])[0])
    nats = round(float(against[worst]), 1)
    exact = "errs, too" if int(beside.answers[row]) != target else "is right"
    if int(beside.answers[row]) == answer:
        exact += ", with the same candidate"
    said = f"{key.name} speaks for candidate {answer + 1} by {nats} nats: it believed {believed}, the generator {meant}"
    tied = float(against[worst]) < _TIE
    if tied:
        moved = _exchanged(row, arrays, answer, target)
        said = f"a tie with the right candidate, which shows the same entities in other slots ({moved} exchanged)"
    if second:
        said += "; the panels allow a second answer"
    return {
        "said": f"{said}; symbolic {exact}.",
        "confidence": round(sure, 3),
        "attribute": key.name,
        "believed": believed,
        "meant": meant,
        "second_answer": second,
        "tied": tied,
        "symbolic_errs": int(beside.answers[row]) != target,
    }


def _exchanged(row: int, arrays: PuzzleArrays, answer: int, target: int) -> str:
    """The attributes that two candidates show in other slots."""
    found = []
    for component in arrays.components:
        for name in ("Type", "Size", "Color"):
            shown = [component.attributes[name][row, arrays.context + candidate] for candidate in (answer, target)]
            one, other = (values[values >= 0].tolist() for values in shown)
            if shown[0].tolist() != shown[1].tolist():
                found.append(name if sorted(one) == sorted(other) else f"{name}, which is not the same")
    return " and ".join(found) or "nothing"

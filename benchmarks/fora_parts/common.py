"""What all parts need: puzzles, a page learned from some, solvers that use it, counts."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

import datasets
import reasoning
import vsa
from datasets import PuzzleArrays
from datasets.loaders import PuzzleBatch, PuzzleDataset
from reasoning.learners.fora import FORA
from reasoning.learners.role_formulas.views import Reader
from reasoning.learners.symbolic import Symbolic
from reasoning.outcome.metrics import Metrics, observe
from reasoning.perception.oracle import Oracle
from reasoning.solver import Solver

TEST, TRAIN = 918273, 555000  # seeds of the puzzles; training puzzles of run s have the seed TRAIN + s
SETS = tuple(datasets.CONSTELLATIONS)
SHORT = {name: datasets.CONSTELLATIONS[name].short for name in SETS}
GRIDS = tuple(name for name in SETS if "distribute" in name)
CENTER, TWO, THREE = "center_single", "distribute_four", "distribute_nine"
DIM, BLOCKS = 1024, 4  # the default algebra
WIDE = 16384  # length of a block that holds all sums of a row of ten at range 1000
BATCH = 250
Page = dict[str, Tensor]


@lru_cache(maxsize=64)
def puzzles(
    constellation: str, n: int, seed: int = TEST, name: str = "iraven", options: tuple[tuple[str, int], ...] = ()
) -> PuzzleArrays:
    """Puzzles, made once a process.

    Args:
        constellation: which; of I-RAVEN-X, "center_single".
        n: how many.
        seed: of the puzzles.
        name: of the data set.
        options: of the generator.
    """
    return datasets.generate(name, constellation, n=n, seed=seed, **dict(options))


def wide(n: int, seed: int = TEST, columns: int = 10, maxval: int = 1000, confounders: int = 0) -> PuzzleArrays:
    """I-RAVEN-X puzzles."""
    options = (("columns", columns), ("maxval", maxval), ("confounders", confounders))
    return puzzles(CENTER, n, seed, "iraven_x", options)


def block_codes(length: int) -> vsa.Algebra:
    """One one-hot block: values add up modulo its length, and no two values are alike."""
    return vsa.get("gsbc", dim=length, blocks=1)


def stressed(p_left: float) -> Oracle:
    """Labels as calibrated distributions; certain at 1."""
    return Oracle(stress="calibrated", p_left=p_left) if p_left < 1 else Oracle()


def fora(
    page: Page | Sequence[str] | None = None,
    oracle: Oracle | None = None,
    *,
    algebra: vsa.Algebra | None = None,
    backend: vsa.Backend | None = None,
    columns: int = 3,
    seed: int = 0,
    reader: Mapping[str, Any] | None = None,
    kind: type[FORA] = FORA,
    roles: str = "relative",
    examples: int = 600,
) -> Solver:
    """A solver.

    Args:
        page: learned formulas and priors; or texts of formulas, all equally likely; None: nothing is known.
        oracle: perception. Default: certain.
        algebra: of the vectors.
        backend: where codebooks are stored.
        columns: n.
        seed: of the atoms.
        reader: options of the reader, to leave an ingredient out.
        kind: the learner's class.
        roles: how formulas name panels.
        examples: puzzles that it learns from, at most.
    """
    texts = page if isinstance(page, list | tuple) else None
    algebra = vsa.get("gsbc", dim=DIM, blocks=BLOCKS) if algebra is None else algebra
    learner = kind(
        algebra,
        backend=backend,
        columns=columns,
        seed=seed,
        mode="learned" if texts is None else "programmed",
        formulas=texts,
        roles=roles,
        examples=examples,
    )
    if page is not None and texts is None:
        learner.load_state_dict(dict(page))  # type: ignore[arg-type]
    if reader is not None:
        learner.reader = Reader(learner.alphabet, learner.reader.eps, **reader)
    return Solver(oracle or Oracle(), learner).eval()


def symbolic(oracle: Oracle | None = None) -> Solver:
    """Exact inference over the generator's rules."""
    return Solver(oracle or Oracle(), Symbolic()).eval()


def page_of(solver: Solver) -> Page:
    """What a learner found, without what it needed to find it."""
    state = solver.learner.state_dict()
    return {name: state[name].clone() for name in ("coefficients", "prior")}


def formulas_of(page: Page, roles: str = "relative") -> tuple[Any, ...]:
    """The formulas of a page."""
    learner = fora(page, roles=roles).learner
    assert isinstance(learner, FORA)  # noqa: S101
    return learner.formulas


def taught(
    sets: Iterable[PuzzleArrays],
    solver: Solver | None = None,
    *,
    wrong: float = 0.0,
    seed: int = 0,
) -> Page:
    """A page learned by enumeration.

    Args:
        sets: puzzles of one constellation each.
        solver: with nothing known yet. Default: as :func:`fora` makes it.
        wrong: share of the puzzles that are given a wrong answer as the right one.
        seed: of these.
    """
    solver = fora() if solver is None else solver
    generator = torch.Generator().manual_seed(seed)

    def shown() -> Iterator[tuple[Any, Tensor]]:
        for arrays in sets:
            for batch in PuzzleDataset(arrays).batches(50):
                target = batch.target
                if wrong:
                    spoilt = torch.rand(len(target), generator=generator) < wrong
                    moved = (target + torch.randint(1, 8, target.shape, generator=generator)) % 8
                    target = torch.where(spoilt, moved, target)
                yield solver.scene(batch), target

    solver.learner.finish(shown())
    return page_of(solver)


@lru_cache(maxsize=8)
def known_page(name: str, seed: int = 0) -> Page:
    """The page that most parts use: learned from 200 puzzles of 2x2, or from 300 rows of ten at range 100."""
    if name == "2x2":
        return taught([puzzles(TWO, 200, TRAIN + seed)])
    return taught([wide(300, TRAIN + seed, maxval=100)], fora(algebra=block_codes(1024), columns=10))


def without(page: Page, dropped: Iterable[int]) -> Page:
    """A page whose formulas of some numbers are never at work."""
    prior = page["prior"].clone()
    room = (prior.shape[1] - 1) // 3
    for number in dropped:
        prior[:, 1 + number :: room] = -1e4
    return {**page, "prior": prior}


@dataclass
class Count:
    """What became of some puzzles.

    Attributes:
        metrics: answers and rules.
        confidence: of the answer of each puzzle, softmax of its scores.
        right: whether it is right.
        cpu_seconds: perception included.
    """

    metrics: Metrics = field(default_factory=Metrics)
    confidence: Tensor = field(default_factory=lambda: torch.zeros(0))
    right: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.bool))
    answers: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.long))
    cpu_seconds: float = 0.0

    @property
    def percent(self) -> float:
        """Answers right."""
        return round(100 * float(self.right.float().mean()), 3)

    @property
    def named(self) -> float:
        """Rules named as the generator named them, in %."""
        return round(100 * self.metrics.rule.named / max(self.metrics.rule.total, 1), 2)


@torch.no_grad()
def count(solver: Solver, arrays: PuzzleArrays, *, rules: bool = True, batch_size: int = BATCH) -> Count:
    """Solve puzzles.

    Args:
        solver: which.
        arrays: N puzzles.
        rules: whether rules are counted too.
        batch_size: puzzles at a time.
    """
    found = Count()
    confidence, right, answers = [], [], []
    for batch in PuzzleDataset(arrays).batches(batch_size):
        start = time.process_time()
        prediction = solver.solve(batch)
        found.cpu_seconds += time.process_time() - start
        if rules:
            found.metrics = found.metrics + observe(batch.arrays, prediction)
        confidence.append(prediction.scores.double().softmax(-1).gather(1, prediction.answers.unsqueeze(1)).squeeze(1))
        right.append(prediction.answers == batch.target)
        answers.append(prediction.answers)
    found.confidence, found.right, found.answers = torch.cat(confidence), torch.cat(right), torch.cat(answers)
    return found


def seven(solver: Solver, n: int, seed: int = TEST, name: str = "iraven") -> dict[str, float]:
    """Answers right (%) on each constellation, and their average."""
    found = {SHORT[one]: count(solver, puzzles(one, n, seed, name), rules=False).percent for one in SETS}
    return {**found, "average": round(sum(found.values()) / len(found), 3)}


def calibration(found: Count, bins: int = 15) -> dict[str, Any]:
    """How far confidence is from accuracy.

    Args:
        found: counts.
        bins: how many.

    Returns:
        Expected calibration error (%) over bins of equal width, and of equally many puzzles; mean confidence; what is
        answered above .99 and how much of it is right; the points of a reliability plot.
    """
    confidence, right = found.confidence, found.right.double()
    place = (confidence * bins).long().clamp_max(bins - 1)
    points = []
    for one in range(bins):
        chosen = place == one
        if bool(chosen.any()):
            points.append([int(chosen.sum()), float(confidence[chosen].mean()), float(right[chosen].mean())])
    order = confidence.argsort()
    equal = [[len(part), float(confidence[part].mean()), float(right[part].mean())] for part in order.chunk(bins)]

    def error(parts: list[list[float]]) -> float:
        return round(100 * sum(size * abs(said - was) for size, said, was in parts) / len(right), 3)

    sure = confidence > 0.99
    return {
        "ece": error(points),
        "ece_adaptive": error(equal),
        "mean_confidence": round(100 * float(confidence.mean()), 2),
        "sure": round(100 * float(sure.double().mean()), 2),
        "sure_count": int(sure.sum()),
        "sure_wrong": int((sure & ~found.right).sum()),
        "reliability": [[size, round(said, 4), round(was, 4)] for size, said, was in points],
    }


def batch_of(arrays: PuzzleArrays) -> PuzzleBatch:
    """All puzzles as one batch."""
    return next(iter(PuzzleDataset(arrays).batches(len(arrays))))


def fitted(sets: Sequence[PuzzleArrays], seed: int, epochs: int, *overrides: str) -> Page:
    """A page learned as ``python -m reasoning.train`` does."""
    return page_of(reasoning.fit("fora", list(sets), *overrides, epochs=epochs, seed=seed))

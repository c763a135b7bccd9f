"""Two processes of one command on one folder: what is left must be what one after the other would have left."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .jobs import JOBS, OUT
from .outputs import difference, snapshot
from .trials import Ended, start

__all__ = ["ROUNDS", "play"]

# name -> job, and the job whose unfinished or finished output both of them find
ROUNDS = {
    "train": "train",
    "train resume": "train more_epochs",
    **{name: name for name in ("train seeds", "benchmark", "benchmark compare", "capacity", "generate raven")},
    **{name: name for name in ("generate json", "generate shards", "prompts", "explain")},
}


class _Field:
    """The folder of a round."""

    def __init__(self, root: Path, name: str) -> None:
        self.root, self.job = root.resolve(), JOBS[ROUNDS[name]]
        shutil.rmtree(self.root, ignore_errors=True)
        self.reset()

    @property
    def out(self) -> Path:
        return self.root / OUT

    def reset(self) -> None:
        shutil.rmtree(self.root / "work", ignore_errors=True)
        self.out.parent.mkdir(parents=True, exist_ok=True)
        if self.job.before is not None:
            before = JOBS[self.job.before]
            start(self.root, before.module, before.arguments(), None)()

    def arguments(self, seed: int) -> list[str]:
        return self.job.arguments(seed)

    def in_turn(self, *seeds: int) -> tuple[tuple[bool, ...], dict[str, Any]]:
        """What processes that follow each other leave, and which of them go through."""
        self.reset()
        ended = [start(self.root, self.job.module, self.arguments(seed), None)() for seed in seeds]
        return tuple(end.code == 0 for end in ended), snapshot(self.out)

    def at_once(self, first: int, second: int, wait_seconds: float) -> tuple[list[Ended], dict[str, Any]]:
        self.reset()
        one = start(self.root, self.job.module, self.arguments(first), None)
        time.sleep(wait_seconds)
        other = start(self.root, self.job.module, self.arguments(second), None)
        ended = [one(), other()]
        return ended, snapshot(self.out)


def play(root: Path, name: str, rounds: int, seed: int = 0) -> list[dict[str, Any]]:
    """Rounds of two processes, by turns with the same settings and with another seed.

    Args:
        root: where they work; emptied.
        name: of ROUNDS.
        rounds: how many.
        seed: of the pauses between the two starts.

    Returns:
        For each its outcome: ``sound``; ``mixed`` where what is left is not what one of them, or both one after the
        other, would have left, or where both went through that could not both have; ``traceback``.
    """
    field, draw = _Field(root, name), random.Random(seed)
    begun = time.monotonic()
    references = {(0,): field.in_turn(0)}
    alone_seconds = time.monotonic() - begun
    differ = "seed=" in " ".join(field.arguments(0)) or "seeds=" in " ".join(field.arguments(0))
    found = []
    for number in range(rounds):
        second = number % 2 if differ else 0
        for seeds in ((0,), (second,), (0, second), (second, 0)):
            if seeds not in references:
                references[seeds] = field.in_turn(*seeds)
        ended, left = field.at_once(0, second, draw.uniform(0, 0.6) * alone_seconds * (number % 3 > 0))
        codes = [end.code for end in ended]
        found.append({"seeds": [0, second], "codes": codes, **_judged((0, second), ended, left, references)})
    return found


def _judged(pair: Sequence[int], ended: Sequence[Ended], left: Any, references: Any) -> dict[str, str]:
    broken = next((end for end in ended if end.traceback), None)
    if broken is not None:
        return {"outcome": "traceback", "said": broken.said[-1500:]}
    through = [seed for seed, end in zip(pair, ended, strict=True) if end.code == 0]
    allowed = []
    if len(through) == 1:
        allowed = [references[through[0],][1]]
    if len(through) == 2:
        orders = (tuple(pair), tuple(pair[::-1]))
        allowed = [references[order][1] for order in orders if all(references[order][0])]
    unlike = [difference(left, wanted) for wanted in allowed]
    if "" in unlike:
        return {"outcome": "sound"}
    words = "; ".join(unlike) or f"{len(through)} went through"
    return {"outcome": "mixed", "said": f"{words}; {' | '.join(end.said[-600:] for end in ended)}"}

"""Puzzles to PMFs: the vectorised form beside a loop over puzzles, panels, entities and values.

``python benchmarks/pmf.py [--puzzles N]`` prints one line per setting: microseconds per puzzle of both (median of five
runs, taken in turn) and their ratio. The loop makes one small tensor per panel and attribute, as loaders that read
puzzle after puzzle do; both give the same numbers, which is checked. Reading or making the puzzles is not included.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable

import torch

import datasets
from datasets.arrays import PuzzleArrays
from datasets.pmf import oracle_pmfs, shown_panels
from datasets.puzzle import Panel, Puzzle

SMOOTHING = 0.2
REPEATS = 5
LOOPED = 10  # puzzles in a run of the loop


def one_value(value: int, count: int) -> torch.Tensor:
    """The smoothed PMF of a value."""
    weights = [math.exp(-abs(other - value) / SMOOTHING) for other in range(count)]
    total = sum(weights)
    return torch.tensor([weight / total for weight in weights])


def panel_pmfs(panel: Panel, puzzle: Puzzle) -> dict[tuple[int, str], torch.Tensor]:
    """The PMFs of one panel, entity after entity."""
    pmfs = {}
    for c, entities in enumerate(panel.components):
        slots = len(datasets.CONSTELLATIONS[puzzle.constellation].components[c].boxes)
        for name, low, count in (("Type", 1, 5), ("Size", 0, 6), ("Color", 0, 10)):
            if puzzle.maxval is not None:
                low, count = 0, puzzle.maxval + 1
            levels = [entity.level(name) for entity in entities]
            alike = all(level == levels[0] for level in levels)
            pmfs[c, name] = one_value((levels[0] or 0) - low, count) if alike else torch.zeros(count)
        for k in range(len(entities[0].confounders)):
            pmfs[c, f"Confounder{k}"] = one_value(entities[0].confounders[k], (puzzle.maxval or 0) + 1)
        if slots > 1:
            pmfs[c, "Number"] = one_value(len(entities) - 1, slots)
            occupied = [0.0] * slots
            for entity in entities:
                occupied[entity.slot] = 1.0
            pmfs[c, "Position"] = torch.stack([one_value(int(there), 2)[1] for there in occupied])
    return pmfs


def looped(puzzles: list[Puzzle]) -> list[dict[tuple[int, str], torch.Tensor]]:
    """The PMFs of puzzles, one puzzle after the other."""
    result = []
    for puzzle in puzzles:
        panels = [panel_pmfs(p, puzzle) for p in (*puzzle.context, *puzzle.candidates)[shown_panels(puzzle.columns)]]
        result.append({key: torch.stack([panel[key] for panel in panels]) for key in panels[0]})
    return result


def seconds(work: Callable[[], object]) -> float:
    """The time that some work takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def compare(title: str, arrays: PuzzleArrays, batch_size: int) -> None:
    """Checks that both forms agree, times them, prints a line."""
    puzzles = [Puzzle.from_arrays(arrays, i) for i in range(min(LOOPED, len(arrays)))]
    batches = [arrays[k : k + batch_size] for k in range(0, len(arrays), batch_size)]
    ours = oracle_pmfs(batches[0], smoothing=SMOOTHING)
    for i, pmfs in enumerate(looped(puzzles[: len(batches[0])])):
        for key, pmf in pmfs.items():
            seen = (ours.sets if key[1] == "Position" else ours.pmfs)[key][i]
            torch.testing.assert_close(torch.from_numpy(seen), pmf)

    def vectorised() -> None:
        for batch in batches:
            oracle_pmfs(batch, smoothing=SMOOTHING)

    vectorised()  # the first run touches new memory
    pairs = [
        (seconds(vectorised) / len(arrays), seconds(lambda: looped(puzzles)) / len(puzzles)) for _ in range(REPEATS)
    ]
    fast, slow = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(b / a for a, b in pairs)
    print(f"{title:<42} {fast * 1e6:>10.1f} {slow * 1e6:>12.0f} {ratio:>8.0f}x")


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="puzzles to PMFs, vectorised and looped")
    parser.add_argument("--puzzles", type=int, default=1000, help="per setting (I-RAVEN-X: a tenth)")
    n = parser.parse_args().puzzles
    torch.set_num_threads(1)
    print(f"{'':<42} {'us/puzzle':>10} {'loop us':>12} {'ratio':>9}")
    for constellation in datasets.CONSTELLATIONS:
        compare(constellation, datasets.generate("iraven", constellation, n=n), 1000)
    for maxval, confounders in ((100, 0), (1000, 0), (1000, 10)):
        arrays = datasets.generate("iraven_x", n=max(n // 10, 10), columns=10, maxval=maxval, confounders=confounders)
        compare(f"iraven_x 3 x 10, range {maxval}, {confounders} confounders", arrays, 10)


if __name__ == "__main__":
    main()

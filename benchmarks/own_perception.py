"""What makes reasoners robust to unsure PMFs: a small CNN's, as it is, and four times as sure as it has a reason to be.

    python benchmarks/own_perception.py [--seeds 0 1 2] [--epochs 6] [--test 1000] [--out FILE]

For each seed a CNN is trained on 300 center puzzles of I-RAVEN (one core, about a minute), and its PMFs of other
puzzles go to every model: as they are; with a floor; at the temperature that the contexts tell; and scored by
likelihood. The table is that of docs/own_perception.md. Answers right in %, mean over the seeds; and how often the CNN
is right about a panel.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import torch
from torch import nn

import datasets
import reasoning
from datasets.pmf import oracle_pmfs
from reasoning.perception.calibration import fit_temperature
from reasoning.scene import Scene

WIDTHS = {"Type": 5, "Size": 6, "Color": 10}
MODELS = {
    "symbolic": ("symbolic",),
    "nvsa": ("nvsa",),
    "nvsa, likelihood": ("nvsa", "model.scoring=likelihood"),
    "arlc": ("arlc",),
    "arlc, likelihood": ("arlc", "model.scoring=likelihood"),
    "learn_vrf": ("learn_vrf",),
    "learn_vrf, likelihood": ("learn_vrf", "model.scoring=likelihood"),
}
FLOOR = 0.01


def images(puzzles: datasets.PuzzleArrays) -> torch.Tensor:
    """uint8 (B * 16, 1, 160, 160)."""
    return datasets.PuzzleBatch.of(puzzles).images().flatten(0, 1).unsqueeze(1)


def labels(puzzles: datasets.PuzzleArrays) -> dict[str, torch.Tensor]:
    """Values of the panels in the data set's own order, (B * 16,) each."""
    return {name: torch.from_numpy(pmf).argmax(-1).flatten() for (_, name), pmf in oracle_pmfs(puzzles).pmfs.items()}


def make() -> nn.Sequential:
    """About 230,000 weights."""
    return nn.Sequential(
        nn.AvgPool2d(2),
        nn.Conv2d(1, 16, 5, 2, 2),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, 2, 1),
        nn.ReLU(),
        nn.Conv2d(32, 32, 3, 2, 1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(3200, 64),
        nn.ReLU(),
        nn.Linear(64, sum(WIDTHS.values())),
    )


def train(seed: int, epochs: int, pixels: torch.Tensor, truth: dict[str, torch.Tensor]) -> nn.Sequential:
    """A CNN that names type, size and color of a panel's entity."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = make()
    order = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(net.parameters(), 1e-3)
    for _ in range(epochs):
        for some in torch.randperm(len(pixels), generator=order).split(64):
            parts = net(pixels[some].float() / 255).split(list(WIDTHS.values()), -1)
            losses = [
                nn.functional.cross_entropy(part, truth[name][some]) for name, part in zip(WIDTHS, parts, strict=True)
            ]
            optimizer.zero_grad()
            torch.stack(losses).sum().backward()
            optimizer.step()
    return net


@torch.no_grad()
def look(net: nn.Sequential, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
    """Logits (B, 16, V)."""
    seen = torch.cat([net(part.float() / 255) for part in pixels.split(512)]).unflatten(0, (-1, 16))
    return dict(zip(WIDTHS, seen.split(list(WIDTHS.values()), -1), strict=True))


def measure(logits: dict[str, torch.Tensor], target: torch.Tensor) -> dict[str, dict[str, float]]:
    """How the PMFs are treated -> model -> % right."""
    raw = Scene.from_pmfs(logits, "center", logits=True)
    fitted = fit_temperature(raw)
    scenes = {
        "as they are": raw,
        f"floor {FLOOR}": raw.softened(floor=FLOOR),
        "temperature told by the contexts": raw.softened(fitted),
        "both": raw.softened(fitted, FLOOR),
    }
    solvers = {name: reasoning.make_solver(*made) for name, made in MODELS.items()}
    result = {
        what: {
            name: round(100 * float((solver.predict(scene).answers == target).double().mean()), 2)
            for name, solver in solvers.items()
        }
        for what, scene in scenes.items()
    }
    result["temperatures"] = {str(key): round(value, 3) for key, value in fitted.items()}
    return result


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--test", type=int, default=1000)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "own_perception.json")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    shown = datasets.generate("iraven", "center", n=300, seed=1)
    fresh = datasets.generate("iraven", "center", n=chosen.test, seed=2)
    target, truth = datasets.PuzzleBatch.of(fresh).target, labels(fresh)
    learned, seen, cells = images(shown), images(fresh), []
    for seed in chosen.seeds:
        start = time.process_time()
        net = train(seed, chosen.epochs, learned, labels(shown))
        spent = time.process_time() - start
        logits = look(net, seen)
        right = {
            name: float((part.argmax(-1).flatten() == truth[name]).double().mean()) for name, part in logits.items()
        }
        for sure in (1, 4):
            cell = measure({name: sure * part for name, part in logits.items()}, target)
            panels = {name: round(100 * share, 2) for name, share in right.items()}
            cells.append({"seed": seed, "times as sure": sure, "training CPU-seconds": spent, "panels": panels, **cell})
        chosen.out.write_text(
            json.dumps({"epochs": chosen.epochs, "test": chosen.test, "cells": cells}, indent=1) + "\n"
        )
    chosen.out.with_suffix(".md").write_text(table(cells), encoding="utf-8")
    print(table(cells))


def table(cells: list[dict]) -> str:
    """Means over the seeds."""
    lines = ["| PMFs | " + " | ".join(MODELS) + " |", "|---|" + "---|" * len(MODELS)]
    for sure in (1, 4):
        mine = [cell for cell in cells if cell["times as sure"] == sure]
        for what in ("as they are", f"floor {FLOOR}", "temperature told by the contexts", "both"):
            means = [sum(cell[what][model] for cell in mine) / len(mine) for model in MODELS]
            head = what if sure == 1 else f"logits times {sure}: {what}"
            lines.append(f"| {head} | " + " | ".join(f"{mean:.1f}" for mean in means) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()

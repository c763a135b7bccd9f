"""RAVEN on simulated arrays: NVSA and ARLC over device seeds, ages, converter bits and noise.

    python benchmarks/crossbar_reasoning.py --puzzles 500 --seeds 5 --out benchmarks/results/crossbar_reasoning

What is analog: the reads of stored codebooks (PMFs to vectors; of NVSA also vectors to PMFs, which score the
candidates; with ``decoder=codebook`` ARLC's product vectors are decoded on arrays as well). Binding and rules are
digital. Each row is what ``python -m reasoning.benchmark +model=nvsa backend=crossbar_pcm backend.age_seconds=3600``
would print with ``seeds=[...]``.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
from datetime import date
from pathlib import Path

import torch

import datasets
import reasoning
from reasoning.evaluation.cells import hardware_cost

AGES = {"1 s": 1.0, "1 hour": 3600.0, "1 day": 86400.0, "1 year": 365 * 86400.0}
MODELS = {
    "nvsa": ("nvsa", ()),
    "arlc": ("arlc", ("model.mode=programmed",)),
    "arlc, decoded on arrays": ("arlc", ("model.mode=programmed", "decoder=codebook")),
}
VARIANTS = {
    **{f"crossbar_pcm, {age}": ("crossbar_pcm", (f"backend.age_seconds={seconds}",)) for age, seconds in AGES.items()},
    "crossbar_pcm, 1 year, no compensation": (
        "crossbar_pcm",
        (f"backend.age_seconds={AGES['1 year']}", "backend.compensation=none"),
    ),
    **{
        f"crossbar_pcm, {bits} bits": ("crossbar_pcm", (f"backend.dac_bits={bits}", f"backend.adc_bits={bits}"))
        for bits in (4, 6)
    },
    "crossbar_pcm, 4 bits, full range": (
        "crossbar_pcm",
        ("backend.dac_bits=4", "backend.adc_bits=4", "backend.adc_range=full"),
    ),
    **{
        f"crossbar_pcm, output noise {noise}": ("crossbar_pcm", (f"backend.output_noise={noise}",))
        for noise in (0.2, 1.0)
    },
    "crossbar_hermes, 1 s": ("crossbar_hermes", ()),
    "crossbar_reram": ("crossbar_reram", ()),
}


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--puzzles", type=int, default=500)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--models", nargs="*", choices=tuple(MODELS), default=tuple(MODELS))
    parser.add_argument("--variants", nargs="*", choices=tuple(VARIANTS), default=tuple(VARIANTS))
    parser.add_argument("--out", type=Path, help="a path without ending; .json and .md are written")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    count = arguments.puzzles
    puzzles = {name: datasets.generate("iraven", name, n=count, seed=11) for name in datasets.CONSTELLATIONS}
    rows = []
    for model in arguments.models:
        name, settings = MODELS[model]
        cases = {"digital": ("digital", ()), **{variant: VARIANTS[variant] for variant in arguments.variants}}
        for case, (backend, options) in cases.items():
            right: dict[str, list[float]] = {constellation: [] for constellation in puzzles}
            energy = digital = 0.0
            seeds = 1 if case == "digital" else arguments.seeds
            for seed in range(seeds):
                solver = reasoning.make_solver(name, *settings, f"backend={backend}", *options, f"seed={seed}")
                for constellation, arrays in puzzles.items():
                    right[constellation].append(float(reasoning.evaluate(solver, arrays).answers.percent or 0.0))
                cost = hardware_cost(solver)
                if cost is not None:
                    energy += cost["energy_joules"] / (seeds * len(puzzles) * count)
                    digital += cost["digital_joules"] / (seeds * len(puzzles) * count)
            row = {
                "model": model,
                "case": case,
                "mean": {c: round(statistics.fmean(values), 2) for c, values in right.items()},
                "std": {c: round(statistics.stdev(values), 2) if seeds > 1 else None for c, values in right.items()},
                "average": round(statistics.fmean(value for values in right.values() for value in values), 2),
                "microjoules_per_puzzle": round(1e6 * energy, 3),
                "digital_microjoules": round(1e6 * digital, 3),
            }
            rows.append(row)
            print(json.dumps(row), flush=True)
    if arguments.out:
        about = {
            "command": f"python benchmarks/crossbar_reasoning.py --puzzles {count} --seeds {arguments.seeds}",
            "date": str(date.today()),
            "machine": platform.machine(),
            "torch": torch.__version__,
        }
        arguments.out.with_suffix(".json").write_text(json.dumps({**about, "rows": rows}, indent=1) + "\n")
        arguments.out.with_suffix(".md").write_text(table(rows, about["command"], arguments.seeds))


def table(rows: list[dict[str, object]], command: str, seeds: int) -> str:
    """Markdown: answers right in percent, mean over device seeds."""
    names = [datasets.CONSTELLATIONS[name].short for name in datasets.CONSTELLATIONS]
    lines = [
        "# RAVEN on simulated arrays",
        "",
        f"`{command}`: I-RAVEN, answers right in %, mean and standard deviation over {seeds} device seeds.",
        "",
        f"| model | arrays | {' | '.join(names)} | average | uJ per puzzle | digital |",
        "|---" * (len(names) + 5) + "|",
    ]
    for row in rows:
        cells = []
        for constellation in datasets.CONSTELLATIONS:
            mean, std = row["mean"][constellation], row["std"][constellation]  # type: ignore[index]
            cells.append(f"{mean}" if std is None else f"{mean} ± {std}")
        energy = [row["microjoules_per_puzzle"] or "-", row["digital_microjoules"] or "-"]
        cells = [str(row["model"]), str(row["case"]), *cells, str(row["average"]), *map(str, energy)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()

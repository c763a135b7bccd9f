"""The commands that are disturbed, on tiny settings: how they are started, and what a user does afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["JOBS", "OUT", "Job"]

OUT = "work/out"  # below the folder of the trials
_PUZZLES = "dataset.n=6"
_TRAIN = ("+model=arlc", "constellation=center", "test_constellation=center", "dataset.n=12", "dataset.test_n=4",
          "epochs=2", "batch_size=4", "checkpoints.every_seconds=1e-9", "algebra.dim=64",
          "algebra.blocks=2")  # fmt: skip
_DRAWN = ("dataset=iraven", "constellation=[center,2x2]", "n=2")


@dataclass(frozen=True)
class Job:
    """A command.

    Args:
        module: what is run.
        line: its arguments; the seed is ``seed=0`` unless another is asked for.
        out: the output, a folder or a file in a folder of its own.
        before: a job that ran undisturbed before, on the same output; of a name in JOBS.
        resumed: the arguments that go on with it; tried before the command itself.
        again: whether the command itself is tried after ``resumed`` went through.
        reader: who reads the output, of :mod:`.outputs`.
    """

    module: str
    line: tuple[str, ...]
    out: str = OUT
    before: str | None = None
    resumed: tuple[str, ...] | None = None
    again: bool = False
    reader: str = "run"

    def arguments(self, seed: int = 0) -> list[str]:
        """The command line.

        Args:
            seed: of the command.
        """
        named = any(argument.startswith(("seed=", "seeds=", "resume=")) for argument in self.line)
        lines = [argument.replace("SEED+1", str(seed + 1)).replace("SEED", str(seed)) for argument in self.line]
        return [*lines, *(() if named else (f"seed={seed}",)), *(() if self.resumes else (f"out={self.out}",))]

    @property
    def resumes(self) -> bool:
        """Whether it goes on with a run, so that ``out`` is known."""
        return any(argument.startswith("resume=") for argument in self.line)


def _generate(form: str, *more: str) -> Job:
    return Job("datasets.generate", (*_DRAWN, f"format={form}", *more), reader="puzzles")


_GO_ON = (f"resume={OUT}",)
JOBS: Mapping[str, Job] = {
    "train": Job("reasoning.train", _TRAIN, resumed=_GO_ON),
    "train seeds": Job("reasoning.train", (*_TRAIN, "epochs=1", "seeds=[SEED,SEED+1]"), resumed=_GO_ON),
    "train overwrite": Job("reasoning.train", (*_TRAIN, "seed=5", "overwrite=true"), before="train", resumed=_GO_ON,
                           again=True),
    "train more_epochs": Job("reasoning.train", (*_GO_ON, "more_epochs=1"), before="train", resumed=_GO_ON, again=True),
    "benchmark": Job("reasoning.benchmark", ("+model=arlc", "constellation=[center,2x2]", _PUZZLES)),
    "benchmark compare": Job("reasoning.benchmark", ("compare=[symbolic,arlc]", "constellation=center", _PUZZLES)),
    "capacity": Job("factorizers.capacity", ("+factorizer=resonator", "algebra=map", "dim=64", "factors=2",
                                             "size=[4,5]", "queries=10", "draws=2"), out=f"{OUT}/cells.json",
                    reader="json"),
    "generate raven": _generate("raven"),
    "generate json": _generate("json"),
    "generate shards": _generate("shards", "images=true"),
    "generate overwrite": Job("datasets.generate", (*_DRAWN, "format=json", "overwrite=true", "seed=7"),
                              before="generate raven", reader="puzzles"),
    "prompts": Job("reasoning.prompts", ("dataset=iraven_x", "dataset.n=3"), out=f"{OUT}/prompts.jsonl", reader="json"),
    "explain": Job("reasoning.explain", ("+model=symbolic", "constellation=center", "index=1", "dataset.n=4"),
                   reader="json"),
}  # fmt: skip

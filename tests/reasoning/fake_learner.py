"""A learner of four weights whose result depends on everything a checkpoint must hold, and a driver for killing runs.

python tests/reasoning/fake_learner.py [--die-in-write N] train ARGUMENTS: the real command, with model ``fake`` and the
front-end ``foggy`` (fake_front_end.py) known;
with --die-in-write it kills itself (SIGKILL) in the middle of writing its N-th checkpoint.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import torch
from torch import nn

from reasoning.learners.base import Learner, Prediction
from reasoning.learners.registry import LEARNERS
from reasoning.scene import CANDIDATES

CONF = Path(__file__).parent / "fake_conf"


@LEARNERS.register("fake")
class Fake(Learner):
    def __init__(self, *, size: int = 4, pause: float = 0.0, nan_at: int = -1, mode: str = "learned", seed: int = 0):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.weights = nn.Parameter(torch.randn(size, generator=generator), requires_grad=mode != "programmed")
        self.register_buffer("annealed", torch.zeros(()))
        self.pause, self.nan_at, self.scale, self.calls = pause, nan_at, 1.0, 0

    def begin_epoch(self, epoch, epochs):
        self.scale = 1.0 + epoch / epochs
        with torch.no_grad():  # like a restart: must not happen twice when a run goes on within an epoch
            self.weights.mul_(1.01)

    def training_loss(self, scene, target, generator):
        time.sleep(self.pause)
        self.calls += 1
        if self.calls - 1 == self.nan_at:
            return self.weights.sum() * float("nan")
        level = torch.stack([_means(value).mean() for value in (*scene.pmfs.values(), *scene.sets.values())]).mean()
        noise = torch.randn(self.weights.shape, generator=generator)
        return ((self.weights * noise).sum() * level * self.scale - target.float().mean()).square()

    def finish(self, scenes):
        self.annealed.fill_(sum(float(_means(next(iter(scene.pmfs.values()))).sum()) for scene, _ in scenes))

    def forward(self, scene):
        keys = scene.keys
        agreement = torch.stack([_means(v)[:, -CANDIDATES:] for v in (*scene.pmfs.values(), *scene.sets.values())], 1)
        shape = (len(scene), len(keys))
        scores = (agreement * self.weights.sum()).sum(1)
        index = torch.zeros(shape, dtype=torch.long)
        return Prediction(
            scores, keys, index, torch.ones(*shape, 1), agreement, torch.ones(shape), index.to(torch.int8)
        )

    def describe(self):
        return [f"weights {self.weights.tolist()}"]


def _means(values):
    weights = torch.arange(1.0, values.shape[-1] + 1)
    return (values * weights).mean(-1)


def _die_in_write(number: int) -> None:
    """SIGKILL when the number-th checkpoint is half on the disk."""
    from vsa.commands import files

    real, seen = files.os.fsync, [0]

    def fsync(handle):
        name = os.readlink(f"/proc/self/fd/{handle}")
        if "step-" in name:
            seen[0] += 1
            if seen[0] == number:
                os.ftruncate(handle, os.fstat(handle).st_size // 2)
                os.kill(os.getpid(), signal.SIGKILL)
        return real(handle)

    files.os.fsync = fsync


if __name__ == "__main__":
    arguments = sys.argv[1:]
    if arguments[0] == "--die-in-write":
        _die_in_write(int(arguments[1]))
        arguments = arguments[2:]
    import fake_front_end  # noqa: F401  # registers the front-end; it lies beside this file

    from reasoning import benchmark, train

    module = {"train": train, "benchmark": benchmark}[arguments[0]]
    extra = [] if any(a.startswith("resume=") for a in arguments) else [f"hydra.searchpath=[file://{CONF}]"]
    sys.exit(module.main([*arguments[1:], *extra]))

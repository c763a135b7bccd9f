"""Training and evaluation: the loops, without files' names, screens or command lines.

A training run is a function of its settings: the order of the puzzles depends on seed and epoch alone, every random
draw comes from one stored generator, and a checkpoint holds all that the next step needs. A run that was killed and
continued therefore ends with the same bits as one that was not (same machine, same number of threads).
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

from reasoning.checked import check_loss
from reasoning.checkpoints import Checkpoint, CheckpointFolder, load_weights
from reasoning.metrics import Metrics, observe
from reasoning.plan import Plan, learning_rate
from reasoning.runs import MetricsLog
from reasoning.scene import Scene
from vsa.errors import SettingsError, VSAError
from vsa.seeding import child_seed

if TYPE_CHECKING:
    from datasets.loaders import PuzzleBatch
    from reasoning.solver import Solver

__all__ = ["Outcome", "PuzzleSource", "Trainer", "TrainingError", "evaluate"]

log = logging.getLogger(__name__)
_GENERATOR = "generator.training"


class PuzzleSource(Protocol):
    """What the engine needs of a dataset (``datasets.PuzzleDataset`` is one)."""

    def __len__(self) -> int: ...

    def batches(
        self, batch_size: int, *, shuffle: bool = False, seed: int = 0, epoch: int = 0, start: int = 0
    ) -> Iterator[PuzzleBatch]:
        """Batches in an order that depends on seed and epoch alone, from batch ``start`` on."""
        ...


class TrainingError(VSAError):
    """Training cannot go on."""


@dataclass(frozen=True)
class Outcome:
    """A finished training.

    Attributes:
        steps: optimiser steps.
        seconds: time spent in training over all the lives of the run.
        loss: mean loss of the last epoch (of its part since the last resume); None if none was left to do.
    """

    steps: int
    seconds: float
    loss: float | None


class Trainer:
    """Trains the learner of a solver, from the start or from the newest checkpoint.

    Args:
        solver: perception (used as it is) and the learner to train.
        puzzles: the training set.
        plan: epochs, batch size, learning rate, checkpoint period.
        checkpoints: where states are kept.
        metrics: the file of JSON lines.
        device: where to compute.
        watch: called after each step with (epoch, batch, loss), for a progress bar.
    """

    def __init__(
        self,
        solver: Solver,
        puzzles: PuzzleSource,
        plan: Plan,
        checkpoints: CheckpointFolder,
        metrics: Path,
        device: str = "cpu",
        watch: Callable[[int, int, float], None] | None = None,
    ) -> None:
        self.solver = solver.to(device)
        self.learner = solver.learner
        self.puzzles, self.plan, self.checkpoints, self.device = puzzles, plan, checkpoints, device
        self.metrics_path, self.watch = metrics, watch
        trained = [parameter for parameter in self.learner.parameters() if parameter.requires_grad]
        if not trained:
            raise SettingsError(
                "train",
                received=f"a {type(self.learner).__name__} without a free weight",
                expected="model.mode=learned or programmed_then_learned",
                hint="python -m reasoning.benchmark evaluates programmed rules",
            )
        if not len(puzzles):
            raise SettingsError(
                "train", received="an empty training set", hint="raise dataset.n, or check dataset.path"
            )
        self.optimizer = torch.optim.AdamW(trained, lr=plan.lr, weight_decay=plan.weight_decay)
        self.generator = torch.Generator().manual_seed(child_seed(plan.seed, "training"))
        # Entries made later (codebooks on first use) follow from the seed and need not be stored.
        self._stored = tuple(self.learner.state_dict())
        self.batches_per_epoch = math.ceil(len(puzzles) / plan.batch_size)
        self.epoch = self.batch = self.step = 0
        self.finished = False
        self._spent = 0.0
        self._started = self._saved = time.monotonic()

    def run(self) -> Outcome:
        """Train to the end, going on from the newest checkpoint where there is one.

        Returns:
            What was done.

        Raises:
            TrainingError: the loss is no longer finite.
            RunWriteError: a file could not be written; the last checkpoint is intact.
            CorruptFileError: all checkpoints are damaged, or they belong to another model.
        """
        self._started = self._saved = time.monotonic()
        self.checkpoints.clean()
        newest = self.checkpoints.newest()
        metrics = MetricsLog(self.metrics_path, keep_bytes=int(newest.state["metrics_bytes"]) if newest else 0)
        try:
            if newest:
                self._restore(newest)
            loss = None
            self.learner.train()
            while self.epoch < self.plan.epochs and not self.finished:
                loss = self._run_epoch(metrics)
            if not self.finished:
                self.learner.eval()
                self.learner.finish(self._scenes())
                self.finished = True
                self._save(metrics)
            self.learner.eval()
            return Outcome(self.step, self._seconds(), loss)
        finally:
            metrics.close()

    def weights(self) -> dict[str, Tensor]:
        """The learner's weights, by name."""
        state = self.learner.state_dict()
        return {name: state[name].detach().cpu() for name in self._stored}

    def _run_epoch(self, metrics: MetricsLog) -> float:
        plan, losses = self.plan, []
        if self.batch == 0:
            self.learner.begin_epoch(self.epoch, plan.epochs)
        for batch in self.puzzles.batches(
            plan.batch_size, shuffle=True, seed=plan.seed, epoch=self.epoch, start=self.batch
        ):
            rate = learning_rate(plan, self.step, plan.epochs * self.batches_per_epoch)
            losses.append(self._train_step(batch, rate))
            metrics.write(
                stage="train", epoch=self.epoch, batch=self.batch, step=self.step, loss=losses[-1], lr=rate,
                seconds=round(self._seconds(), 3),
            )  # fmt: skip
            if self.watch:
                self.watch(self.epoch, self.batch, losses[-1])
            self.step += 1
            self.batch += 1
            if self.batch < self.batches_per_epoch and time.monotonic() - self._saved >= plan.every_seconds:
                self._save(metrics)
        self.epoch, self.batch = self.epoch + 1, 0
        if self.epoch % plan.every_epochs == 0:
            self._save(metrics)
        return sum(losses) / len(losses)

    def _train_step(self, batch: PuzzleBatch, rate: float) -> float:
        scene, target = self._perceive(batch)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        loss = check_loss(self.learner.training_loss(scene, target, self.generator), self.learner)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise TrainingError(
                f"training step {self.step} (epoch {self.epoch}, batch {self.batch})",
                received=f"a loss of {value}",
                expected="a finite one",
                hint=f"lower lr (now {rate:g})",
            )
        loss.backward()
        self.optimizer.step()
        return value

    def _perceive(self, batch: PuzzleBatch) -> tuple[Scene, Tensor]:
        moved = batch.to(self.device)
        with torch.no_grad():
            return self.solver.scene(moved), moved.target

    def _scenes(self) -> Iterator[tuple[Scene, Tensor]]:
        for batch in self.puzzles.batches(max(self.plan.batch_size, 64)):
            yield self._perceive(batch)

    # -- state -------------------------------------------------------------------------------------------------

    def _seconds(self) -> float:
        return self._spent + time.monotonic() - self._started

    def _save(self, metrics: MetricsLog) -> None:
        optimizer = self.optimizer.state_dict()
        tensors = {f"learner.{name}": tensor for name, tensor in self.weights().items()}
        scalars: dict[str, dict[str, Any]] = {}
        for index, entries in optimizer["state"].items():
            for name, value in entries.items():
                if isinstance(value, Tensor):
                    tensors[f"optimizer.{index}.{name}"] = value
                else:
                    scalars.setdefault(str(index), {})[name] = value
        tensors[_GENERATOR] = self.generator.get_state()
        state = {
            "epoch": self.epoch,
            "batch": self.batch,
            "finished": self.finished,
            "seconds": self._seconds(),
            "metrics_bytes": metrics.sync(),
            "optimizer": {"groups": optimizer["param_groups"], "scalars": scalars},
        }
        # Through JSON and back now, so that what cannot be stored fails here and not at the next start.
        self.checkpoints.save(Checkpoint(self.step, tensors, json.loads(json.dumps(state))))
        self._saved = time.monotonic()

    def _restore(self, checkpoint: Checkpoint) -> None:
        state, tensors = checkpoint.state, checkpoint.tensors
        self.epoch, self.batch, self.step = int(state["epoch"]), int(state["batch"]), checkpoint.step
        self.finished, self._spent = bool(state["finished"]), float(state["seconds"])
        if self.batch:  # schedules first: what they did to the weights is in the stored weights
            self.learner.begin_epoch(self.epoch, self.plan.epochs)
        prefix = "learner."
        weights = {name[len(prefix) :]: tensor for name, tensor in tensors.items() if name.startswith(prefix)}
        load_weights(self.learner, weights, "resume")
        entries: dict[int, dict[str, Any]] = {
            int(index): dict(values) for index, values in state["optimizer"]["scalars"].items()
        }
        for name, tensor in tensors.items():
            kind, _, rest = name.partition(".")
            if kind == "optimizer":
                index, _, entry = rest.partition(".")
                entries.setdefault(int(index), {})[entry] = tensor
        self.optimizer.load_state_dict({"state": entries, "param_groups": state["optimizer"]["groups"]})
        self.generator.set_state(tensors[_GENERATOR])
        log.info("continuing at epoch %d, batch %d", self.epoch, self.batch)


@torch.no_grad()
def evaluate(
    solver: Solver,
    puzzles: PuzzleSource,
    batch_size: int,
    device: str = "cpu",
    watch: Callable[[int], None] | None = None,
) -> Metrics:
    """Solve every puzzle and count.

    Args:
        solver: perception and learner.
        puzzles: one set.
        batch_size: puzzles at a time; bounds the memory, changes nothing else.
        device: where to compute.
        watch: called with the number of puzzles of each batch done.

    Returns:
        The counts.
    """
    solver.to(device).eval()
    metrics = Metrics()
    for batch in puzzles.batches(batch_size):
        prediction = solver.solve(batch.to(device))
        metrics = metrics + observe(batch.arrays, prediction)
        if watch:
            watch(len(batch.arrays))
    return metrics

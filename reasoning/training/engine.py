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
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

from reasoning.outcome.checked import check_loss
from reasoning.outcome.metrics import Metrics, observe
from reasoning.outcome.reliability import check_abstain, uncalibrated
from reasoning.records.checkpoints import Checkpoint, CheckpointFolder, load_weights
from reasoning.records.draws import seeded
from reasoning.records.metrics_log import MetricsLog
from reasoning.scene import Scene
from reasoning.training.joined import MixedBatch
from reasoning.training.plan import Plan, learning_rate
from vsa.backends.stored import read_noise
from vsa.commands import StoppedError
from vsa.commands.files import taking_apart
from vsa.errors import CorruptFileError, SettingsError, VSAError
from vsa.nn import without_arrays
from vsa.seeding import child_seed

if TYPE_CHECKING:
    from datasets.loaders import PuzzleBatch
    from reasoning.solver import Solver

__all__ = ["Outcome", "PuzzleSource", "Trainer", "TrainingError", "evaluate", "free_weights", "refuse_no_epochs"]

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
    """Trains perception and learner of a solver as one, from the start or from the newest checkpoint.

    Args:
        solver: perception and learner; what has a free weight is trained.
        puzzles: the training set.
        plan: epochs, batch size, learning rate, checkpoint period.
        checkpoints: where states are kept; None: nowhere.
        metrics: the file of JSON lines; None: none is written.
        device: where to compute.
        watch: called after each step with (epoch, batch, loss), for a progress bar.
        identity: of the run; a checkpoint of another one is refused.
    """

    def __init__(
        self,
        solver: Solver,
        puzzles: PuzzleSource,
        plan: Plan,
        checkpoints: CheckpointFolder | None = None,
        metrics: Path | None = None,
        device: str = "cpu",
        watch: Callable[[int, int, float], None] | None = None,
        identity: str = "",
    ) -> None:
        self.solver = solver.to(device)
        self.learner = solver.learner
        self.puzzles, self.plan, self.checkpoints, self.device = puzzles, plan, checkpoints, device
        self.metrics_path, self.watch, self.identity = metrics, watch, identity
        seen, learned = free_weights(solver)
        refuse_no_epochs(solver, plan.epochs)
        if plan.labels and not seen:
            raise SettingsError(
                "train",
                received=f"labels for a front-end {type(solver.perception).__name__} without a free weight",
                expected="one that learns to see, or perception.labels=0",
            )
        self._sees_differently, self._learns = bool(seen), bool(learned)  # what is trained: front-end, learner
        self._free = [*seen, *learned]
        if not len(puzzles):
            raise SettingsError(
                "train", received="an empty training set", hint="raise dataset.n, or check dataset.path"
            )
        # One group, unless the front-end has a learning rate of its own: then each has its starting rate beside it.
        apart = plan.perception_lr is not None and bool(seen)
        groups = [(plan.perception_lr, seen), (None, learned)] if apart else [(None, [*seen, *learned])]
        groups = [(lr, weights) for lr, weights in groups if weights]
        self._rates = [lr for lr, _ in groups]
        self.optimizer = torch.optim.AdamW(
            [{"params": weights} for _, weights in groups], lr=plan.lr, weight_decay=plan.weight_decay
        )
        self.generator = torch.Generator().manual_seed(child_seed(plan.seed, "training"))
        # Entries made later (codebooks on first use) follow from the seed and need not be stored.
        self._stored = tuple(without_arrays(solver.state_dict()))
        self.batches_per_epoch = math.ceil(len(puzzles) / plan.batch_size)
        self.epoch = self.batch = self.step = 0
        self.finished = self._asked_to_stop = False
        self._spent = 0.0
        self._started = self._saved = time.monotonic()

    def run(self) -> Outcome:
        """Train to the end, going on from the newest checkpoint where there is one.

        Returns:
            What was done.

        Raises:
            TrainingError: the loss, a gradient or a weight is no longer finite.
            StoppedError: :meth:`stop` was called; the state is saved.
            WriteError: a file could not be written; the last checkpoint is intact.
            CorruptFileError: all checkpoints are damaged, or they belong to another model.
        """
        self._started = self._saved = time.monotonic()
        newest = None
        if self.checkpoints is not None:
            self.checkpoints.clean()
            newest = self.checkpoints.newest()
            with taking_apart("the checkpoint"):
                ended_early = newest and newest.finished and int(newest.state["epoch"]) < self.plan.epochs
            if ended_early:  # more epochs were asked for
                newest = self.checkpoints.newest(finished=False)
        with taking_apart("the checkpoint"):
            keep = int(newest.state["metrics_bytes"]) if newest else 0
        metrics = None if self.metrics_path is None else MetricsLog(self.metrics_path, keep_bytes=keep)
        try:
            if newest:
                self._restore(newest)
            loss = None
            self.solver.train()
            if not self._sees_differently:  # as it will be used: nothing of it is drawn or counted anew
                self.solver.perception.eval()
            while self.epoch < self.plan.epochs and not self.finished:
                loss = self._run_epoch(metrics)
            self.solver.eval()
            if not self.finished:
                if self._learns:
                    with self._own_draws():
                        self.learner.finish(self._scenes())
                self.finished = True
                self._save(metrics)
            elif self.checkpoints is not None:
                self.checkpoints.prune()  # it may have been killed between writing its last and removing older ones
            return Outcome(self.step, self._seconds(), loss)
        finally:
            if metrics is not None:
                metrics.close()

    def stop(self) -> None:
        """Ask a training that is under way to save and to end after the step at hand."""
        self._asked_to_stop = True

    def _stop_if_asked(self, metrics: MetricsLog | None) -> None:
        if self._asked_to_stop:
            self._save(metrics)
            kept = "saved" if self.checkpoints is not None else "nothing is saved"
            raise StoppedError(f"asked to stop; {kept} after step {self.step} (epoch {self.epoch}, batch {self.batch})")

    def weights(self) -> dict[str, Tensor]:
        """The weights of perception and learner, by name: ``perception.*`` and ``learner.*``."""
        state = self.solver.state_dict()
        return {name: state[name].detach().cpu() for name in self._stored}

    def _run_epoch(self, metrics: MetricsLog | None) -> float:
        plan, losses = self.plan, []
        if self.batch == 0:
            self._begin_epoch()
        for batch in self.puzzles.batches(
            plan.batch_size, shuffle=True, seed=plan.seed, epoch=self.epoch, start=self.batch
        ):
            steps = plan.epochs * self.batches_per_epoch
            for group, lr in zip(self.optimizer.param_groups, self._rates, strict=True):
                group["lr"] = learning_rate(plan, self.step, steps, lr)
            losses.append(self._train_step(batch))
            if metrics is not None:
                metrics.write(
                    stage="train",
                    epoch=self.epoch,
                    batch=self.batch,
                    step=self.step,
                    loss=losses[-1],
                    lr=learning_rate(plan, self.step, steps),
                    seconds=round(self._seconds(), 3),
                )
            if self.watch:
                self.watch(self.epoch, self.batch, losses[-1])
            self.step += 1
            self.batch += 1
            if self.batch < self.batches_per_epoch:
                self._stop_if_asked(metrics)
            if self.batch < self.batches_per_epoch and time.monotonic() - self._saved >= plan.every_seconds:
                self._save(metrics)
        self.epoch, self.batch = self.epoch + 1, 0
        self._stop_if_asked(metrics)
        if self.epoch % plan.every_epochs == 0 or self.epoch == plan.epochs:
            self._save(metrics)
        return sum(losses) / len(losses)

    def _begin_epoch(self) -> None:
        for part in (self.solver.perception, self.learner):
            part.begin_epoch(self.epoch, self.plan.epochs)

    def _train_step(self, batch: PuzzleBatch | MixedBatch) -> float:
        with self._own_draws():
            return self._seeded_step(batch)

    @contextmanager
    def _own_draws(self) -> Iterator[None]:
        """Draws of no generator of ours (dropout, read noise of simulated arrays) follow from seed and step alone."""
        reads = torch.Generator(self.device).manual_seed(child_seed(self.plan.seed, "training", "reads", self.step))
        with seeded(child_seed(self.plan.seed, "training", "unnamed draws", self.step), self.device), read_noise(reads):
            yield

    def _seeded_step(self, batch: PuzzleBatch | MixedBatch) -> float:
        moved = batch.to(self.device)
        self.optimizer.zero_grad(set_to_none=True)
        loss = self._loss(moved)
        self._refuse_late_weights()
        value = float(loss.detach())
        if not math.isfinite(value):
            raise TrainingError(
                f"training step {self.step} (epoch {self.epoch}, batch {self.batch})",
                received=f"a loss of {value}",
                expected="a finite one",
                hint=f"lower lr (now {self.optimizer.param_groups[-1]['lr']:g})",
            )
        loss.backward()
        self._refuse_infinite([weight.grad for weight in self._free if weight.grad is not None], "gradients")
        self.optimizer.step()
        return value

    def _loss(self, batch: PuzzleBatch | MixedBatch) -> Tensor:
        """What answers cost, what labels cost, or both."""
        plan, costs = self.plan, []
        parts = batch.parts if isinstance(batch, MixedBatch) else (batch,)
        if plan.answers and not isinstance(batch, MixedBatch):
            scene = self.solver.scene(batch, self.generator if self._sees_differently else None)
            lost = check_loss(self.learner.training_loss(scene, batch.target, self.generator), self.learner)
            costs.append(lost if plan.answers == 1 else plan.answers * lost)
        if plan.labels:
            seen = self.solver.perception
            costs.append(plan.labels * check_loss(seen.label_loss(parts, self.generator), seen))
        return costs[0] if len(costs) == 1 else torch.stack(costs).sum()

    def _refuse_infinite(self, tensors: Sequence[Tensor], what: str) -> None:
        if tensors and not bool(torch.stack([tensor.isfinite().all() for tensor in tensors]).all()):
            raise TrainingError(
                f"training step {self.step} (epoch {self.epoch}, batch {self.batch})",
                received=f"{what} that are not finite",
                expected="finite ones",
                hint=f"lower lr (now {self.optimizer.param_groups[-1]['lr']:g}); the last checkpoint is whole",
            )

    def _refuse_late_weights(self) -> None:
        """A weight that the first forward made is neither optimised nor saved."""
        late = [name for name, _ in self.solver.named_parameters() if name not in self._stored]
        if late:
            raise SettingsError(
                "train",
                received=f"the weight {late[0]}, which was made after the training had begun",
                expected="all weights made by the constructor, which is given layout and columns",
                hint="torch.nn.LazyLinear and its kind hold the place of weights whose shape is not known yet",
            )

    def _scenes(self) -> Iterator[tuple[Scene, Tensor]]:
        """The training set as it is seen once training is over."""
        for batch in self.puzzles.batches(max(self.plan.batch_size, 64)):
            moved = batch.to(self.device)
            with torch.no_grad():
                scene = self.solver.scene(moved)
            yield scene, moved.target

    # -- state -------------------------------------------------------------------------------------------------

    def _seconds(self) -> float:
        return self._spent + time.monotonic() - self._started

    def _save(self, metrics: MetricsLog | None) -> None:
        self._refuse_infinite([weight.detach() for weight in self._free], "weights")
        if self.checkpoints is None:
            return
        optimizer = self.optimizer.state_dict()
        tensors = self.weights()
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
            "run": self.identity,
            "seconds": self._seconds(),
            "metrics_bytes": 0 if metrics is None else metrics.sync(),
            "optimizer": {"groups": optimizer["param_groups"], "scalars": scalars},
        }
        # Through JSON and back now, so that what cannot be stored fails here and not at the next start.
        self.checkpoints.save(Checkpoint(self.step, tensors, json.loads(json.dumps(state))))
        self._saved = time.monotonic()

    def _restore(self, checkpoint: Checkpoint) -> None:
        if checkpoint.state.get("run", self.identity) != self.identity:
            raise CorruptFileError(
                "resume",
                received=f"a checkpoint of another run (step {checkpoint.step})",
                expected="those that this run wrote",
                hint="remove it, or start a new run",
            )
        with taking_apart(f"the checkpoint of step {checkpoint.step}"):
            self._take_over(checkpoint)
        log.info("continuing at epoch %d, batch %d", self.epoch, self.batch)

    def _take_over(self, checkpoint: Checkpoint) -> None:
        state, tensors = checkpoint.state, checkpoint.tensors
        if not 0 <= int(state["epoch"]) <= self.plan.epochs:
            raise SettingsError(
                "resume",
                received=f"a checkpoint at epoch {state['epoch']} of a run of {self.plan.epochs}",
                expected="the settings that the run began with",
            )
        self.epoch, self.batch, self.step = int(state["epoch"]), int(state["batch"]), checkpoint.step
        self.finished, self._spent = bool(state["finished"]), float(state["seconds"])
        if self.batch:  # schedules first: what they did to the weights is in the stored weights
            self._begin_epoch()
        weights = {name: tensor for name, tensor in tensors.items() if name.startswith(("learner.", "perception."))}
        load_weights(self.solver, weights, "resume")
        entries: dict[int, dict[str, Any]] = {
            int(index): dict(values) for index, values in state["optimizer"]["scalars"].items()
        }
        for name, tensor in tensors.items():
            kind, _, rest = name.partition(".")
            if kind == "optimizer":
                index, _, entry = rest.partition(".")
                entries.setdefault(int(index), {})[entry] = tensor
        self.optimizer.load_state_dict({"state": entries, "param_groups": state["optimizer"]["groups"]})
        if tensors[_GENERATOR].shape != self.generator.get_state().shape:
            raise ValueError("a generator of another kind")
        self.generator.set_state(tensors[_GENERATOR])


def free_weights(solver: Solver) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """What training can change.

    Args:
        solver: perception and learner.

    Returns:
        The free weights of the front-end and those of the learner.

    Raises:
        SettingsError: there are none, or the learner cannot teach the front-end.
    """
    seen, learned = (
        [parameter for parameter in part.parameters() if parameter.requires_grad]
        for part in (solver.perception, solver.learner)
    )
    names = type(solver.learner).__name__, type(solver.perception).__name__
    if not seen and not learned:
        raise SettingsError(
            "train",
            received="a {} and a front-end {} without a free weight: nothing to train".format(*names),
            expected="model.mode=learned or programmed_then_learned, or a front-end with weights",
            hint="python -m reasoning.benchmark evaluates what is not trained",
        )
    if seen and not solver.learner.teaches:
        raise SettingsError(
            "train",
            received="a front-end {1} with weights before a {0}, through which nothing learns".format(*names),
            expected="a model whose training loss reaches the front-end",
            hint="nvsa, arlc and learn_vrf have one",
        )
    return seen, learned


def refuse_no_epochs(solver: Solver, epochs: int) -> None:
    """Refuse to train what learns step by step without a step.

    Args:
        solver: perception and learner.
        epochs: over the puzzles.

    Raises:
        SettingsError: there are none, and something needs them.
    """
    seen, learned = free_weights(solver)
    part = solver.perception if seen else solver.learner
    if not epochs and (seen or (learned and solver.learner.steps)):
        raise SettingsError(
            "train", received=f"epochs=0 for a {type(part).__name__}, which learns step by step", expected="at least 1"
        )


@torch.no_grad()
def evaluate(
    solver: Solver,
    puzzles: PuzzleSource,
    batch_size: int,
    device: str = "cpu",
    watch: Callable[[int], None] | None = None,
    abstain: float | None = None,
) -> Metrics:
    """Solve every puzzle and count.

    Args:
        solver: perception and learner.
        puzzles: one set.
        batch_size: puzzles at a time; bounds the memory, changes nothing else.
        device: where to compute.
        watch: called with the number of puzzles of each batch done.
        abstain: the certainty below which answers are withheld; None: none are.

    Returns:
        The counts.

    Raises:
        SettingsError: ``abstain`` is not between 0 and 1, or the learner does not say how certain it is.
    """
    check_abstain(abstain)
    if abstain is not None and not solver.learner.calibrated:
        raise uncalibrated(f"abstain={abstain}", solver.learner)
    solver.to(device).eval()
    metrics = Metrics()
    for batch in puzzles.batches(batch_size):
        prediction = solver.solve(batch.to(device))
        metrics = metrics + observe(batch.arrays, prediction, abstain)
        if watch:
            watch(len(batch.arrays))
    return metrics

"""Cells of a benchmark: one model, one seed, one puzzle set. Each leaves a file by which it is known again."""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from reasoning.outcome.metrics import Metrics
from reasoning.records import runs
from vsa.backends import array_seeds
from vsa.commands import is_stray, sweep
from vsa.commands.files import read_json, taking_apart
from vsa.errors import CorruptFileError, SettingsError, VSAError
from vsa.seeding import child_seed

if TYPE_CHECKING:
    from datasets.loaders import PuzzleDataset
    from reasoning.setup.recipe import Recipe
    from reasoning.solver import Solver

__all__ = ["Cell", "CellResult", "CellStore", "Evaluation", "compute", "data_hash", "hardware_cost"]

_OWN = ("cells", "results.json", "rules.json", runs.RECORD, runs.SETTINGS)


class Evaluation(Protocol):
    """What a benchmark computes, in whatever process, and knows again in a folder."""

    @property
    def name(self) -> str:
        """Puzzle set, as in results.json."""
        ...

    def marks(self) -> dict[str, str]:
        """What must agree for a stored result to be this one's: settings, code version, data hash."""
        ...

    def compute(self) -> CellResult:
        """Counts and costs."""
        ...


@dataclass(frozen=True)
class Cell:
    """One evaluation of a solver.

    Attributes:
        recipe: of the solver.
        name: puzzle set, as in results.json.
        puzzles: the set.
        batch_size: puzzles at a time.
        device: where to compute.
        threads: of torch.
        abstain: the certainty below which answers are withheld; None: none are.
    """

    recipe: Recipe
    name: str
    puzzles: PuzzleDataset
    batch_size: int
    device: str
    threads: int
    abstain: float | None = None

    def marks(self) -> dict[str, str]:
        chosen = runs.fingerprint([self.recipe.fingerprint(), self.device])
        plugins = self.recipe.plugins()
        return {
            "settings": chosen,
            "code": runs.code_version(),
            "data": data_hash(self.puzzles.arrays),
            **({"plugins": runs.fingerprint(plugins)} if plugins else {}),
            **({} if self.abstain is None else {"abstain": str(self.abstain)}),
        }

    def compute(self) -> CellResult:
        import torch

        from reasoning.training.engine import evaluate

        torch.set_num_threads(self.threads)
        solver = self.recipe.solver()
        began = time.perf_counter()
        with array_seeds(child_seed(self.recipe.seed, "evaluation")):  # of arrays whose learner names none
            metrics = evaluate(solver, self.puzzles, self.batch_size, self.device, abstain=self.abstain)
        seconds = time.perf_counter() - began
        described = tuple(solver.learner.describe())
        return CellResult(metrics, described, round(seconds, 3), runs.peak_memory_mb(), hardware_cost(solver))


@dataclass(frozen=True)
class CellResult:
    """Counts and costs of a cell.

    Attributes:
        metrics: the counts.
        described: the learner's rules in words; of a language model, how many answers were understood.
        seconds: wall-clock time of the evaluation.
        memory_mb: peak memory of the process that did it.
        hardware: what :func:`hardware_cost` found; None where the backend models no hardware.
    """

    metrics: Metrics
    described: tuple[str, ...]
    seconds: float
    memory_mb: float
    hardware: Mapping[str, Any] | None = None

    @property
    def seconds_per_1000(self) -> float:
        """Time for 1,000 puzzles: seeing, solving and counting."""
        return 1000 * self.seconds / max(self.metrics.answers.total, 1)


def hardware_cost(solver: Solver) -> dict[str, Any] | None:
    """What the reads of stored codebooks would have cost on the modelled hardware.

    Args:
        solver: after its work.

    Returns:
        Energy (programming included), time, area, reads, the energy of the same reads on a digital processor, and what
        was read; None where the backend models no costs.
    """
    arrays = solver.arrays()
    costs = [cost for part in arrays.values() for matrix in part if (cost := matrix.handle.cost()) is not None]
    if not costs:
        return None
    names = ("energy_joules", "latency_seconds", "area_mm2", "reads", "digital_joules")
    return {**{name: sum(getattr(cost, name) for cost in costs) for name in names}, "analog": sorted(arrays)}


def compute(cell: Evaluation) -> CellResult:
    """Evaluate a cell. A function of the module, so that other processes can import it."""
    return cell.compute()


def data_hash(arrays: Any) -> str:
    """Hash of puzzles: every array, name and number in them.

    Args:
        arrays: PuzzleArrays.

    Returns:
        A short hash; puzzles that differ anywhere differ in it.
    """
    digest = hashlib.sha256()

    def feed(item: Any) -> None:
        if dataclasses.is_dataclass(item):
            for field in dataclasses.fields(item):
                digest.update(field.name.encode())
                feed(getattr(item, field.name))
        elif isinstance(item, Mapping):
            for key in sorted(item):
                digest.update(str(key).encode())
                feed(item[key])
        elif isinstance(item, tuple | list):
            for part in item:
                feed(part)
        elif isinstance(item, np.ndarray):
            digest.update(f"{item.dtype}{item.shape}".encode() + np.ascontiguousarray(item).tobytes())
        else:
            digest.update(repr(item).encode())

    feed(arrays)
    return digest.hexdigest()[:16]


class CellStore:
    """``out/cells``: results that a later benchmark with the same settings, code and data need not repeat.

    Args:
        folder: ``out`` of one model and seed.
        overwrite: whether what does not match may be replaced.
    """

    def __init__(self, folder: Path, overwrite: bool) -> None:
        self.folder, self.overwrite = folder, overwrite

    def match(self, marks: Mapping[str, Mapping[str, str]]) -> dict[str, CellResult]:
        """The results that are there already.

        Args:
            marks: puzzle set -> :meth:`Evaluation.marks` of the cells wanted.

        Returns:
            puzzle set -> result, of the wanted cells that need not be computed, and of others in the folder that
            were made with the same settings and code.

        Raises:
            SettingsError: the folder holds something else, and ``overwrite`` is not set.
        """
        if not self.folder.exists():
            return {}
        if not self.folder.is_dir():
            raise SettingsError(f"out={self.folder}", received="a file", expected="a folder")
        found = [path for path in sorted((self.folder / "cells").glob("*.json")) if not is_stray(path.name)]
        foreign = [name for name in runs.contents(self.folder) if name not in _OWN]
        if foreign and not self.overwrite:
            raise SettingsError(
                f"out={self.folder}",
                received=f"a folder that holds {foreign[0]}, which no benchmark writes",
                hint="choose another, or say overwrite=true",
            )
        matching = {}
        common = next(iter(marks.values()))
        for path in found:
            stored = self._read(path)
            wanted = marks.get(path.stem, {**common, "data": stored["marks"].get("data", "") if stored else ""})
            if stored and stored["marks"] == dict(wanted):
                matching[path.stem] = self._result(path, stored)
            elif not self.overwrite:
                old = stored["marks"] if stored else {}
                differing = ", ".join(name for name in {**wanted, **old} if old.get(name) != wanted.get(name))
                raise SettingsError(
                    f"out={self.folder}",
                    received=f"a result of {path.stem} made with other {differing}",
                    hint="choose another folder, or say overwrite=true",
                )
        return matching

    def clear(self, keep: Mapping[str, Any]) -> None:
        """Remove results that do not match, before others take their place, and what a killed program left."""
        folder = runs.prepare_folder(self.folder / "cells", inner=True)
        sweep(folder)
        for path in folder.glob("*.json"):
            if path.stem not in keep and _is_ours(path):
                path.unlink()

    def save(self, name: str, marks: Mapping[str, str], result: CellResult) -> None:
        """Keep one result.

        Args:
            name: puzzle set.
            marks: of the cell.
            result: of the cell.

        Raises:
            WriteError: it could not be written.
        """
        content = {
            "marks": dict(marks),
            **result.metrics.counts(),
            "rules": result.metrics.detail(),
            "described": list(result.described),
            "seconds": result.seconds,
            "memory_mb": result.memory_mb,
            "hardware": result.hardware,
        }
        runs.write_record(runs.prepare_folder(self.folder / "cells", inner=True) / f"{name}.json", content)

    def _read(self, path: Path) -> dict[str, Any] | None:
        try:
            stored = runs.read_record(path)
        except CorruptFileError:
            if not self.overwrite:
                raise
            return None
        if not isinstance(stored.get("marks"), dict):
            if self.overwrite:
                return None
            raise CorruptFileError(f"read {path}", received="no result of a benchmark", hint="say overwrite=true")
        return stored

    @staticmethod
    def _result(path: Path, stored: Mapping[str, Any]) -> CellResult:
        with taking_apart(path, hint="say overwrite=true"):
            metrics = Metrics.from_json(stored, list(stored["rules"]), path)
            described = tuple(map(str, stored["described"]))
            seconds, memory_mb = float(stored["seconds"]), float(stored["memory_mb"])
            hardware = stored.get("hardware")
            return CellResult(metrics, described, seconds, memory_mb, None if hardware is None else dict(hardware))


def _is_ours(path: Path) -> bool:
    """Whether a file is a result that a benchmark wrote: nothing else is removed."""
    try:
        return "marks" in read_json(path)
    except (VSAError, TypeError):
        return False

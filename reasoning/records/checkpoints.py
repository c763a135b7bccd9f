"""Checkpoints that survive a kill at any moment: one safetensors file each, replaced atomically, verified by a hash.

A file holds tensors (weights, optimiser, generators) and a JSON state in its header. It is written under a temporary
name, flushed to the disk and renamed; the one before it stays. A damaged newest one is passed over with a warning.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.parameter import is_lazy

from reasoning.records.runs import prepare_folder
from vsa.commands.files import json_of, sweep, taking_apart, write_whole
from vsa.errors import CorruptFileError, SettingsError
from vsa.nn import without_arrays

__all__ = [
    "Checkpoint",
    "CheckpointFolder",
    "load_weights",
    "read_tensors",
    "refuse_not_a_number",
    "write_tensors",
]

log = logging.getLogger(__name__)
_NAME = re.compile(r"(step|finished)-(\d{9})\.safetensors")


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint holds.

    Attributes:
        step: optimiser steps done.
        tensors: name -> tensor.
        state: everything else, JSON.
    """

    step: int
    tensors: Mapping[str, Tensor]
    state: Mapping[str, Any]

    @property
    def finished(self) -> bool:
        """Whether the training was over, and the learner's last touch done."""
        return bool(self.state.get("finished"))


def write_tensors(path: Path, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
    """Write tensors and a JSON state as one safetensors file, atomically.

    Args:
        path: where to.
        tensors: name -> tensor.
        state: JSON-able; kept in the header together with a SHA-256 of everything.

    Raises:
        WriteError: the file could not be written.
    """
    from safetensors.torch import save

    # Clones, because safetensors refuses tensors that share storage.
    kept = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    text = json.dumps(state, sort_keys=True)
    header = json.dumps({"sha256": _digest(kept, text), "state": text})
    write_whole(path, save(kept, metadata={"run": header}))


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read a file of :func:`write_tensors`.

    Args:
        path: where from.

    Returns:
        tensors and state.

    Raises:
        SettingsError: there is no such file.
        CorruptFileError: it is truncated, altered or something else.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise SettingsError(f"read {path}", received="no such file", expected="weights written by a training run")
    whole = "a complete file of a training run"
    try:
        with taking_apart(path, whole), safe_open(path, framework="pt", device="cpu") as file:
            header = json_of((file.metadata() or {})["run"], str(path))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no mapping
            text, expected = header["state"], header["sha256"]
            state = dict(json_of(text, str(path)))
    except (SafetensorError, OSError, MemoryError) as error:
        raise CorruptFileError(f"read {path}", received=f"unreadable content ({error})", expected=whole) from error
    if _digest(tensors, text) != expected:
        raise CorruptFileError(
            f"read {path}", received="content that its checksum denies", hint="restore it from a copy"
        )
    return tensors, state


def load_weights(learner: torch.nn.Module, weights: dict[str, Tensor], operation: str) -> None:
    """Put stored weights into a learner of the same kind.

    Args:
        learner: freshly constructed.
        weights: name -> tensor.
        operation: for messages.

    Raises:
        CorruptFileError: names or shapes are another model's.
    """
    own, weights = without_arrays(learner.state_dict()), without_arrays(weights)
    known = {name: tuple(tensor.shape) for name, tensor in own.items() if not is_lazy(tensor)}  # lazy: any shape
    wrong = sorted(set(own) ^ set(weights)) or [name for name in known if known[name] != weights[name].shape]
    if wrong:
        raise CorruptFileError(
            f"{operation}: load weights into {type(learner).__name__}",
            received=f"weights that differ in {', '.join(wrong[:4])}",
            expected=", ".join(f"{name} {known.get(name, 'of any shape')}" for name in own),
            hint="the model's settings must be those of the run",
        )
    refuse_not_a_number(weights, operation)
    for name, parameter in learner.named_parameters():
        if not is_lazy(parameter) and not bool(weights[name].isfinite().all()):
            raise CorruptFileError(operation, received=f"{name} with infinite entries", expected="finite weights")
    learner.load_state_dict(weights)


def refuse_not_a_number(tensors: Mapping[str, Tensor], operation: str) -> None:
    """Refuse tensors that hold NaN: nothing good comes of them.

    Args:
        tensors: name -> tensor.
        operation: for messages.

    Raises:
        CorruptFileError: one does.
    """
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not is_lazy(tensor) and bool(tensor.isnan().any()):
            raise CorruptFileError(operation, received=f"{name} with entries that are not a number", expected="numbers")


class CheckpointFolder:
    """The newest checkpoints of a run.

    Args:
        folder: created on first use.
        keep: how many are kept.
    """

    def __init__(self, folder: Path, keep: int = 2) -> None:
        self.folder, self.keep = folder, keep

    def save(self, checkpoint: Checkpoint) -> Path:
        """Write a checkpoint, then remove those older than the last ``keep``.

        Args:
            checkpoint: what to keep.

        Returns:
            The file.

        Raises:
            WriteError: it could not be written; the earlier ones are intact.
        """
        prepare_folder(self.folder, inner=True)
        kind = "finished" if checkpoint.finished else "step"
        path = self.folder / f"{kind}-{checkpoint.step:09d}.safetensors"
        write_tensors(path, checkpoint.tensors, {**checkpoint.state, "step": checkpoint.step})
        self.prune(path)
        return path

    def prune(self, newest: Path | None = None) -> None:
        """Remove those older than the last ``keep``.

        Args:
            newest: one that stays, whatever its name says.
        """
        files = self.files()
        going_on = [old for old in files if old.name.startswith("step")]  # from these more epochs can be trained
        for old in {*files[self.keep :], *going_on[self.keep :]} - {newest, *going_on[:1]}:
            old.unlink(missing_ok=True)

    def files(self) -> list[Path]:
        """The checkpoint files, newest first."""
        if not self.folder.is_dir():
            return []
        found = [(match, path) for path in self.folder.iterdir() if (match := _NAME.fullmatch(path.name))]
        found.sort(key=lambda pair: (pair[0][2], pair[0][1] == "finished"), reverse=True)
        return [path for _, path in found]

    def newest(self, *, finished: bool = True) -> Checkpoint | None:
        """The newest checkpoint that is whole, and whose numbers are numbers.

        Args:
            finished: whether those of a training that was over count.

        Returns:
            The checkpoint; None if there is none yet.

        Raises:
            CorruptFileError: there are checkpoints, and all are damaged.
        """
        files = [path for path in self.files() if finished or path.name.startswith("step")]
        for path in files:
            try:
                tensors, state = read_tensors(path)
                refuse_not_a_number(tensors, f"read {path}")
                with taking_apart(path):
                    step = int(state["step"])
            except CorruptFileError as error:
                log.warning("%s; going back to the checkpoint before it", error)
                continue
            return Checkpoint(step, tensors, state)
        if files:
            raise CorruptFileError(
                f"resume from {self.folder}", received=f"{len(files)} checkpoints, all damaged", hint="start a new run"
            )
        return None

    def clean(self) -> None:
        """Remove what a killed write left behind."""
        sweep(self.folder)

    def remove(self) -> None:
        """Remove the checkpoints and nothing else; a link that took the folder's place is removed, not followed."""
        if self.folder.is_symlink():
            self.folder.unlink()
            return
        self.clean()
        for path in self.files():
            path.unlink(missing_ok=True)
        if self.folder.is_dir() and not any(self.folder.iterdir()):
            self.folder.rmdir()


def _digest(tensors: Mapping[str, Tensor], text: str) -> str:
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"\n{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        # Bytes of any dtype, bfloat16 included, which numpy does not know.
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()

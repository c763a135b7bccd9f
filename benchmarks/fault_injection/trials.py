"""One trial: a command is disturbed in a process of its own, the user goes on, and the outputs are compared.

The process that runs trials has imported everything before, so that a trial costs two or three forks.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import re
import runpy
import shutil
import signal
import subprocess
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .jobs import JOBS, OUT, Job
from .operations import Operations
from .outputs import READERS, difference, snapshot

__all__ = ["OUTCOMES", "Ended", "Stage", "start"]

OUTCOMES = ("equal", "stuck", "unreadable", "different", "traceback")
_DAMAGED = re.compile(r"checksum denies|changed since|unreadable content|damaged|hash is not|ends too early")
_PATIENCE_SECONDS = 120


@dataclass(frozen=True)
class Ended:
    """How a process ended.

    Args:
        code: exit code; negative: of a signal.
        said: stdout and stderr.
        told: what it told through its pipe, line by line.
    """

    code: int
    said: str
    told: tuple[str, ...] = ()

    @property
    def traceback(self) -> bool:
        """Whether it ended in a mistake of ours."""
        return "Traceback (most recent call last)" in self.said


class Stage:
    """A folder for trials.

    Args:
        root: the folder; emptied. Trials work in it, so that paths in outputs are the same for all.
        name: of the job.
        job: the job itself; by default that of the name.
    """

    def __init__(self, root: Path, name: str, job: Job | None = None) -> None:
        self.root, self.name, self.job = root.resolve(), name, job or JOBS[name]
        shutil.rmtree(self.root, ignore_errors=True)
        self.root.mkdir(parents=True)
        self._prepared: Path | None = None
        if self.job.before is not None:
            self._run_clean(JOBS[self.job.before].module, JOBS[self.job.before].arguments())
            self._prepared = self.root / "prepared"
            shutil.move(self.root / "work", self._prepared)
        self._reset()
        counted = self._run_clean(self.job.module, self.job.arguments(), watch=True)
        self.operations = [line for line in counted.told if line.partition(" ")[0] not in ("unseen", "module")]
        self.unseen = [line.removeprefix("unseen ") for line in counted.told if line.startswith("unseen ")]
        for line in counted.told:  # imported now, so that no trial has to
            if line.startswith("module "):
                with contextlib.suppress(ImportError):
                    importlib.import_module(line.removeprefix("module "))
        gc.collect()
        gc.freeze()  # a child that collects would copy all memory
        self.wanted = snapshot(self.out)
        read = self._read()
        if read:
            raise RuntimeError(f"{self.name}: the reader refuses an undisturbed output: {read}")

    @property
    def out(self) -> Path:
        """The folder that is compared."""
        return self.root / OUT

    def _reset(self) -> None:
        shutil.rmtree(self.root / "work", ignore_errors=True)
        if self._prepared is not None:
            shutil.copytree(self._prepared, self.root / "work", symlinks=True)
        self.out.parent.mkdir(parents=True, exist_ok=True)

    def _run_clean(self, module: str, arguments: Sequence[str], watch: bool = False) -> Ended:
        operations = (lambda tell: Operations(self.root / "work", tell=tell)) if watch else None
        self.out.parent.mkdir(parents=True, exist_ok=True)
        ended = start(self.root, module, arguments, operations)()
        if ended.code:
            raise RuntimeError(f"{self.name}: {module} {' '.join(arguments)} ended with {ended.code}: {ended.said}")
        return ended

    def run(self, arguments: Sequence[str]) -> Ended:
        """Start the job's module undisturbed and wait for it."""
        return start(self.root, self.job.module, arguments, None)()

    def _read(self) -> str:
        """What the reader of the output says against it."""
        out = self.root / self.job.out
        try:
            READERS[self.job.reader](out)
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        return ""

    def try_one(self, at: int, fault: str) -> dict[str, Any]:
        """One trial.

        Args:
            at: the number of the operation, from 1.
            fault: one of FAULTS.

        Returns:
            outcome, the operation, and what was said where it is not equal.
        """
        self._reset()
        command = self.job.arguments()
        disturbed = start(
            self.root, self.job.module, command, lambda tell: Operations(self.root / "work", at, fault, tell)
        )()
        operation = disturbed.told[0] if disturbed.told else "none"
        found = {"at": at, "fault": fault, "operation": operation, "code": disturbed.code}
        if disturbed.traceback:
            return {**found, "outcome": "traceback", "said": disturbed.said[-1500:]}
        if disturbed.code == 0:  # a user has nothing left to do
            unlike = difference(snapshot(self.out), self.wanted)
            said = {"said": f"exit 0, but {unlike}; {disturbed.said[-800:]}"} if unlike else {}
            return {**found, "outcome": "different" if unlike else "equal", **said}
        outcome, said = self._go_on(command)
        return {**found, "outcome": outcome, **({"said": said} if outcome != "equal" else {})}

    def _go_on(self, command: Sequence[str]) -> tuple[str, str]:
        """What a user does: go on with the run, else the same command; and what comes of it."""
        unlike, said = "", ""
        for arguments in filter(None, (self.job.resumed, command)):
            ended = self.run(arguments)
            said += f"{' '.join(arguments)}: exit {ended.code}: {ended.said[-700:]}\n"
            if ended.traceback:
                return "traceback", said
            if ended.code == 0:
                unlike = difference(snapshot(self.out), self.wanted)
                refusal = self._read()
                if not unlike and not refusal:
                    return "equal", ""
                if not (self.job.again and arguments is not command):
                    return ("unreadable" if refusal else "different"), f"{unlike or refusal}; {said}"
        return ("unreadable" if _DAMAGED.search(" ".join(said.split())) else "stuck"), said


def start(
    root: Path, module: str, arguments: Sequence[str], watch: Callable[[Callable[[str], None]], Operations] | None
) -> Callable[[], Ended]:
    """Fork a process that runs a command.

    Args:
        root: where it works.
        module: with a function ``main``.
        arguments: the command line.
        watch: makes what counts and disturbs its file operations, given where to tell them; None: nothing does.

    Returns:
        Waits for its end.
    """
    reading, writing = os.pipe()
    words = root / f"said-{time.monotonic_ns()}"
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        os.close(reading)
        code = 1
        try:
            _become(root, words)
            code = _run(module, list(arguments), watch, writing, root)
        finally:
            os._exit(code)
    os.close(writing)

    def wait() -> Ended:
        deadline, status = time.monotonic() + _PATIENCE_SECONDS, 0
        told = b""
        with os.fdopen(reading, "rb") as pipe:
            os.set_blocking(reading, False)
            while True:
                told += pipe.read() or b""
                ended, status = os.waitpid(child, os.WNOHANG)
                if ended:
                    break
                if time.monotonic() > deadline:
                    os.kill(child, signal.SIGKILL)
                    _, status = os.waitpid(child, 0)
                    break
                time.sleep(0.002)
            told += pipe.read() or b""
        said = words.read_text("utf-8", "replace")
        words.unlink()
        return Ended(os.waitstatus_to_exitcode(status), said, tuple(told.decode().splitlines()))

    return wait


def _become(root: Path, words: Path) -> None:
    """A process as a user starts it: its own screen, folder and cache; without git, which is asked twice a run."""
    handle = os.open(words, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for number in (1, 2):
        os.dup2(handle, number)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", buffering=1, closefd=False) for number in (1, 2))
    os.chdir(root)
    os.environ["RAVEN_CACHE"] = str(root / "work" / "cache")
    subprocess.Popen = _no_programs  # type: ignore[assignment, misc]


def _no_programs(*_: Any, **__: Any) -> Any:
    raise FileNotFoundError("no programs in a trial")


def _run(module: str, arguments: list[str], watch: Any, writing: int, root: Path) -> int:
    real_write = os.write
    tell = lambda line: real_write(writing, f"{line}\n".encode())  # noqa: E731
    operations = None if watch is None else watch(tell)
    if operations is not None:
        operations.watch()
    sys.argv[1:], code = arguments, 0
    try:
        warnings.filterwarnings("ignore", module="runpy")  # it was imported before
        runpy.run_module(module, run_name="__main__", alter_sys=True)  # what python -m does
    except SystemExit as ending:
        code = ending.code if isinstance(ending.code, int) else int(ending.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    modules = list(sys.modules)
    gc.collect()  # what is still open is closed, as the interpreter does at its end
    if operations is not None and not operations.at:
        for name in operations.unseen(root / "work"):
            tell(f"unseen {name}")
        for name in modules:
            tell(f"module {name}")
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    return code or 0

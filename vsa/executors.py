"""Where independent cells are computed. The result is the same whatever the executor; only the time differs.

Serial and processes need the standard library alone. ``ray`` and ``slurm`` (through submitit) are optional extras;
where they are missing, a sentence says so and nothing is computed.
"""

from __future__ import annotations

import importlib
import itertools
import multiprocessing
import multiprocessing.connection
import os
import re
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from .errors import SettingsError, VSAError, closest

__all__ = ["EXECUTORS", "SLURM", "check", "execute", "slurm_parameters"]

C = TypeVar("C")
R = TypeVar("R")

# Settings of executor=slurm and what they are unless given; the names are submitit's without their prefix.
SLURM: Mapping[str, Any] = {
    "folder": "slurm",
    "partition": None,
    "time_minutes": 60,
    "memory_gb": 4,
    "cpus_per_task": 1,
    "array_parallelism": 32,
}
_RETRIES = 5  # of a cell whose worker died
_GRACE_SECONDS = 30  # for a worker whose parent has gone
_AHEAD = 4  # cells handed to each process beforehand


def _serial(
    function: Callable[[C], R], cells: Sequence[C], workers: int | None, slurm: Mapping[str, Any]
) -> Iterator[tuple[int, R]]:
    for number, cell in enumerate(cells):
        yield number, function(cell)


def _processes(
    function: Callable[[C], R], cells: Sequence[C], workers: int | None, slurm: Mapping[str, Any]
) -> Iterator[tuple[int, R]]:
    # Spawned, because a forked child of a process that has used torch's threads or CUDA can hang.
    if getattr(multiprocessing.current_process(), "_inheriting", False):  # a new process that is importing the script
        raise SettingsError(
            "executor=processes",
            received="a script that starts processes while one of them imports it",
            expected="a line `if __name__ == '__main__':` around what the script does",
        )
    context = multiprocessing.get_context("spawn")
    count = _count(workers, cells)
    with ProcessPoolExecutor(count, mp_context=context, initializer=_begin_worker) as pool:
        waiting = iter(enumerate(cells))
        running: dict[Future[R], int] = {}
        try:
            while True:
                for number, cell in itertools.islice(waiting, count * _AHEAD - len(running)):
                    running[pool.submit(function, cell)] = number
                if not running:
                    return
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    yield running.pop(future), future.result()
        except BrokenProcessPool as error:
            what = (
                "a worker that was killed, often for want of memory; or a script without `if __name__ == '__main__':`"
            )
            raise _died("processes", what) from error
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _begin_worker() -> None:
    """A worker ends with its parent, and leaves Ctrl-C to it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_follow_parent, daemon=True).start()


def _follow_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)  # a training saves first
        time.sleep(_GRACE_SECONDS)
        os._exit(1)


def _ray(
    function: Callable[[C], R], cells: Sequence[C], workers: int | None, slurm: Mapping[str, Any]
) -> Iterator[tuple[int, R]]:
    """Tasks of Ray: a cell whose worker dies is computed again, by another."""
    ray = _optional("ray", "ray")
    began = not ray.is_initialized()
    if began:
        path = {"env_vars": {"PYTHONPATH": os.pathsep.join(_import_path())}}
        options: dict[str, Any] = {"include_dashboard": False, "log_to_driver": False, "runtime_env": path}
        if "RAY_ADDRESS" not in os.environ:
            options["num_cpus"] = _count(workers, cells)
        ray.init(**options)
    try:
        task = ray.remote(num_cpus=1, max_retries=_RETRIES)(function)
        waiting = {task.remote(cell): number for number, cell in enumerate(cells)}
        while waiting:
            (done,), _ = ray.wait(list(waiting), num_returns=1)
            try:
                result = ray.get(done)
            except ray.exceptions.RayTaskError as error:  # of the function: it is raised as elsewhere
                raise (error.cause if isinstance(error.cause, Exception) else error) from None
            except ray.exceptions.RayError as error:
                raise _died("ray", f"a cell whose worker died {_RETRIES + 1} times, or a Ray that is gone") from error
            yield waiting.pop(done), result
    finally:
        if began:
            ray.shutdown()


def _slurm(
    function: Callable[[C], R], cells: Sequence[C], workers: int | None, slurm: Mapping[str, Any]
) -> Iterator[tuple[int, R]]:
    """A job array of SLURM, one task for each cell."""
    submitit = _optional("slurm", "submitit")
    if shutil.which("sbatch") is None:
        raise SettingsError(
            "executor=slurm",
            received="a machine without sbatch",
            expected="a machine that can submit to SLURM",
            hint="use executor=processes here; nothing was computed",
        )
    parameters = slurm_parameters(slurm, workers)
    executor = submitit.SlurmExecutor(folder=parameters.pop("folder"), max_num_timeout=_RETRIES)
    executor.update_parameters(**parameters)
    failures = (submitit.core.utils.FailedSubmissionError, submitit.core.utils.FailedJobError)
    try:
        jobs = executor.map_array(function, list(cells))
    except failures as error:
        said = " ".join(str(error).split())
        raise VSAError("executor=slurm", received=f"a refusal of sbatch: {said}", hint="check slurm.*") from error
    numbers = {job.job_id: number for number, job in enumerate(jobs)}
    for job in submitit.helpers.as_completed(jobs):
        try:
            result = job.result()
        except (*failures, submitit.core.utils.UncompletedJobError) as error:
            named = re.findall(r"^[\w.]+: .+", str(error), re.MULTILINE)  # the last line of a traceback
            reason = named[-1] if named else "no result"
            raise _died("slurm", f"job {job.job_id}, which failed: {reason} (log in {executor.folder})") from error
        yield numbers[job.job_id], result


EXECUTORS = {"serial": _serial, "processes": _processes, "ray": _ray, "slurm": _slurm}


def check(executor: str) -> None:
    """Refuse an executor that is not there; none takes another's place in silence.

    Args:
        executor: its name.

    Raises:
        SettingsError: there is no such executor, or what it needs is not installed.
    """
    if executor not in EXECUTORS:
        near = closest(executor, EXECUTORS)
        raise SettingsError(
            f"executor={executor}",
            received="an executor that this version does not have",
            expected=f"one of {', '.join(EXECUTORS)}",
            hint=f"did you mean {near[0]!r}? nothing was computed" if near else "nothing was computed",
        )
    if executor == "ray":
        _optional("ray", "ray")
    if executor == "slurm":
        _optional("slurm", "submitit")
        if shutil.which("sbatch") is None:
            next(_slurm(len, [()], None, {}))


def execute(
    executor: str,
    function: Callable[[C], R],
    cells: Sequence[C],
    workers: int | None = None,
    slurm: Mapping[str, Any] | None = None,
) -> Iterator[tuple[int, R]]:
    """Apply a function to every cell.

    Args:
        executor: serial, processes, ray or slurm.
        function: importable, for other processes.
        cells: picklable, for other processes.
        workers: of ``processes`` and of a Ray that this starts: None is one per available core. Of ``slurm``: how many
            tasks of the array run at once.
        slurm: settings of ``slurm``, see ``SLURM``.

    Yields:
        (number of the cell, its result), in the order in which they are done.

    Raises:
        SettingsError: an executor that is not there.
    """
    check(executor)
    if cells:
        yield from EXECUTORS[executor](function, cells, workers, slurm or {})


def slurm_parameters(settings: Mapping[str, Any], workers: int | None = None) -> dict[str, Any]:
    """What is submitted, in submitit's names for SLURM.

    Args:
        settings: some of ``SLURM``.
        workers: overrides ``array_parallelism``.

    Returns:
        The parameters, and the folder of the logs.

    Raises:
        SettingsError: an unknown setting, or one that is no positive number.
    """
    for key in settings:
        if key not in SLURM:
            near = closest(key, SLURM)
            raise SettingsError(
                f"setting slurm.{key}",
                received="an unknown key",
                expected=f"one of {', '.join(SLURM)}",
                hint=f"did you mean {near[0]!r}?" if near else "",
            )
    chosen = {**SLURM, **settings}
    for key in ("time_minutes", "memory_gb", "cpus_per_task", "array_parallelism"):
        if isinstance(chosen[key], bool) or not isinstance(chosen[key], int) or chosen[key] < 1:
            raise SettingsError(f"setting slurm.{key}", received=repr(chosen[key]), expected="a positive integer")
    result = {
        "folder": str(chosen["folder"]),
        "job_name": "vsa-reasoning",
        "time": chosen["time_minutes"],
        "mem": f"{chosen['memory_gb']}GB",
        "cpus_per_task": chosen["cpus_per_task"],
        "array_parallelism": workers or chosen["array_parallelism"],
    }
    if chosen["partition"]:
        result["partition"] = str(chosen["partition"])
    return result


def _count(workers: int | None, cells: Sequence[Any]) -> int:
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(workers or available, len(cells)))


def _died(executor: str, what: str) -> VSAError:
    return VSAError(
        f"executor={executor}",
        received=what,
        expected="workers that finish their cells",
        hint="cells that were done are kept where they are written to a file; the same command goes on from there",
    )


def _import_path() -> list[str]:
    """Where workers find our packages: the folder that holds them, and what the caller had set."""
    home = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    return [home, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]


def _optional(executor: str, package: str) -> Any:
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise SettingsError(
            f"executor={executor}",
            received=f"no package {package}",
            expected="it installed",
            hint="pip install -c constraints.txt 'vsa-reasoning[clusters]'; nothing was computed",
        ) from error

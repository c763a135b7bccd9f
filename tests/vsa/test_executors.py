"""Executors give the same results; one that is not there says so; a killed worker of Ray loses nothing."""

from __future__ import annotations

import operator
import os
import signal
from pathlib import Path

import pytest

from vsa.errors import SettingsError
from vsa.executors import EXECUTORS, SLURM, check, execute, slurm_parameters


def double(x: int) -> int:
    if x < 0:
        raise SettingsError("double", received=str(x), expected="a natural number")
    return 2 * x


def test_serial_and_processes_agree() -> None:
    assert dict(execute("serial", double, [1, 2, 3])) == {0: 2, 1: 4, 2: 6}
    assert dict(execute("processes", operator.neg, [1, 2, 3], workers=2)) == {0: -1, 1: -2, 2: -3}
    assert list(execute("processes", operator.neg, [])) == []
    with pytest.raises(SettingsError, match="a natural number"):
        list(execute("serial", double, [1, -1]))


def test_what_is_not_there_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match=f"expected one of {', '.join(EXECUTORS)}; nothing was computed"):
        list(execute("threads", double, [1]))
    with pytest.raises(SettingsError, match="did you mean 'slurm'"):
        check("slrm")
    for executor, package in (("ray", "ray"), ("slurm", "submitit")):
        with monkeypatch.context() as patch:
            patch.setitem(__import__("sys").modules, package, None)
            with pytest.raises(SettingsError, match=f"executor={executor}: received no package {package}; expected it"):
                check(executor)


def test_slurm_is_composed_and_says_where_there_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    chosen = slurm_parameters({"partition": "long", "memory_gb": 8, "folder": str(tmp_path)}, workers=5)
    assert chosen == {
        "folder": str(tmp_path), "job_name": "vsa-reasoning", "time": 60, "mem": "8GB", "cpus_per_task": 1,
        "array_parallelism": 5, "partition": "long",
    }  # fmt: skip
    assert set(slurm_parameters({})) == {"folder", "job_name", "time", "mem", "cpus_per_task", "array_parallelism"}
    assert SLURM["time_minutes"] == 60
    with pytest.raises(SettingsError, match=r"slurm\.patition: received an unknown key; .*mean 'partition'"):
        slurm_parameters({"patition": "long"})
    with pytest.raises(SettingsError, match=r"setting slurm.memory_gb: received '8G'; expected a positive integer"):
        slurm_parameters({"memory_gb": "8G"})
    pytest.importorskip("submitit", reason="executor=slurm needs the extra: pip install -e '.[clusters]'")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SettingsError, match=r"a machine without sbatch; .*use executor=processes here; nothing was"):
        list(execute("slurm", double, [1]))


@pytest.mark.filterwarnings("ignore")
def test_the_job_script_of_slurm(tmp_path: Path) -> None:
    submitit = pytest.importorskip("submitit", reason="executor=slurm needs the extra: pip install -e '.[clusters]'")
    chosen = slurm_parameters({"partition": "long", "folder": str(tmp_path)})
    folder = chosen.pop("folder")
    names = set(submitit.SlurmExecutor._valid_parameters())
    assert set(chosen) <= names
    script = submitit.slurm.slurm._make_sbatch_string(command="run", folder=folder, **chosen)
    for line in ("--partition=long", "--mem=4GB", "--time=60", "--cpus-per-task=1", "--job-name=vsa-reasoning"):
        assert f"#SBATCH {line}" in script


def die_once(cell: tuple[int, str]) -> int:
    """The first time, cell 2 kills its own worker."""
    number, marker = cell
    if number == 2 and not Path(marker).exists():
        Path(marker).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_killed_worker_of_ray_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray", reason="executor=ray needs the extra: pip install -e '.[clusters]'")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    import test_executors as importable  # by a name that workers can import

    cells = [(number, str(tmp_path / "died")) for number in range(6)]
    found = dict(execute("ray", importable.die_once, cells, workers=2))
    assert (tmp_path / "died").exists()
    assert found == {number: number * number for number in range(6)}

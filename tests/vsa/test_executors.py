"""Executors give the same results; one that is not there says so; a killed worker of Ray loses nothing."""

from __future__ import annotations

import operator
import os
import signal
import sys
import textwrap
from pathlib import Path

import pytest

from vsa.errors import SettingsError, VSAError
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


def test_a_killed_process_is_a_sentence() -> None:
    with pytest.raises(VSAError, match="executor=processes: received a worker that was killed"):
        list(execute("processes", signal.raise_signal, [signal.SIGKILL], workers=1))


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
        "folder": str(tmp_path),
        "job_name": "vsa-reasoning",
        "time": 60,
        "mem": "8GB",
        "cpus_per_task": 1,
        "array_parallelism": 5,
        "partition": "long",
    }
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


# Programs that stand in for SLURM's: they run what was submitted on this machine. No cluster is tested.
STAND_INS = {
    "sbatch": """
        import os, re, subprocess, sys
        text = open(sys.argv[-1]).read()
        if "partition=full" in text:
            sys.exit("sbatch: error: invalid partition specified: full")
        last = int(re.search(r"--array=0-(\\d+)", text).group(1))
        for task in range(last + 1):
            job = {"SLURM_ARRAY_JOB_ID": "77", "SLURM_ARRAY_TASK_ID": str(task), "SLURM_JOB_ID": str(9000 + task),
                   "SLURM_NTASKS": "1", "SLURM_JOB_NUM_NODES": "1", "SLURM_NODEID": "0", "SLURM_PROCID": "0",
                   "SLURM_LOCALID": "0", "SLURM_JOB_NODELIST": ""}
            subprocess.Popen(["bash", sys.argv[-1]], env={**os.environ, **job}, start_new_session=True,
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        print("Submitted batch job 77")
    """,
    "srun": """
        import os, sys
        given = sys.argv[1:]
        while given[0].startswith("--"):
            given = given[2:] if given[0] in ("--output", "--error") else given[1:]
        os.execvp(given[0], given)
    """,
    "sacct": """
        print("JobID|State|NodeList")
        for task in range(9):
            print(f"77_{task}|RUNNING|here")
    """,
    "scancel": "",
}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_jobs_of_slurm_come_back_and_failures_are_sentences(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("submitit", reason="executor=slurm needs the extra: pip install -e '.[clusters]'")
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, source in STAND_INS.items():
        (programs / name).write_text(f"#!{sys.executable}\n{textwrap.dedent(source)}")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", os.pathsep.join((str(programs), os.environ["PATH"])))
    done, failed = {"folder": str(tmp_path / "done")}, {"folder": str(tmp_path / "failed")}
    assert dict(execute("slurm", operator.neg, [1, 2, 3], 2, done)) == {0: -1, 1: -2, 2: -3}
    with pytest.raises(VSAError, match=r"executor=slurm: received job 77_1, which failed: TypeError: bad operand"):
        list(execute("slurm", operator.neg, [1, "x"], 2, failed))
    with pytest.raises(VSAError, match=r"executor=slurm: received a refusal of sbatch: .*invalid partition"):
        list(execute("slurm", operator.neg, [1, 2], 1, {**failed, "partition": "full"}))


def die_once(cell: tuple[int, str]) -> int:
    """The first time, cell 2 kills its own worker."""
    number, marker = cell
    if number == 2 and not Path(marker).exists():
        Path(marker).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number


def die(number: int) -> None:
    signal.raise_signal(number)


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
    with pytest.raises(SettingsError) as raised:
        list(execute("ray", importable.double, [1, -1], workers=2))
    assert str(raised.value) == "double: received -1; expected a natural number"
    with pytest.raises(VSAError, match="executor=ray: received a cell whose worker died 6 times"):
        list(execute("ray", importable.die, [signal.SIGKILL], workers=1))

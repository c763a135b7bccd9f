"""`python -m factorizers.capacity`: results, resume, executors, experiments, and every mistake as a sentence."""

from __future__ import annotations

import inspect
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

import conf
import factorizers
import vsa
from factorizers import capacity, measuring, screen
from factorizers import cells as cells_module
from factorizers.cells import Cell, code_version, fingerprint
from vsa import CorruptFileError, VSAError
from vsa.backends import BACKENDS
from vsa.commands import files

ROOT = Path(__file__).resolve().parents[2]
CONF = Path(conf.__file__).parent
METHODS = sorted(path.stem for path in (CONF / "factorizer").glob("*.yaml"))
EXPERIMENTS = [
    path.stem for path in sorted((CONF / "experiment").glob("*.yaml")) if "\nfactorizer:" in path.read_text()
]
SMALL = ("dim=512", "factors=2", "size=[5,9]", "queries=12", "draws=3", "seed=7")
FIELDS = {"factorizer", "dim", "factors", "size", "queries", "right", "valid", "iterations_mean", "ms_per_query",
          "exhaustive_ms_per_query", "ceiling"}  # fmt: skip
TIMES = ("ms_per_query", "exhaustive_ms_per_query", "exhaustive_scaled", "peak_memory_mb")


def timeless(cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
    lines = [{key: value for key, value in cell.items() if key not in TIMES} for cell in cells]
    return sorted(lines, key=lambda line: line["settings"])


def run(*arguments: str) -> list[dict[str, Any]]:
    return measuring.run(capacity.compose_settings(list(arguments)))


def test_there_is_a_file_for_every_factorizer_and_its_values_are_the_defaults() -> None:
    assert set(METHODS) == set(factorizers.FACTORIZERS.names())
    for method in METHODS:
        written = yaml.safe_load((CONF / "factorizer" / f"{method}.yaml").read_text())
        assert written.pop("name") == method
        assert written.pop("published", False) is False
        parameters = inspect.signature(factorizers.FACTORIZERS.get(method)).parameters
        known = {key: p.default for key, p in parameters.items() if key not in ("books", "optional", "seed")}
        hidden = {"in_memory": {"second_noise", "as_published"}, "block_code": {"as_published"}}.get(method, set())
        assert written == {key: value for key, value in known.items() if key not in hidden}


@pytest.mark.parametrize("method", METHODS)
def test_every_factorizer_is_measured(method: str, tmp_path: Path) -> None:
    out = tmp_path / "cells.json"
    cells = run(f"+factorizer={method}", *SMALL, f"out={out}")
    assert cells == screen.read_cells(out)
    assert [cell["size"] for cell in cells] == [5, 9]
    for cell in cells:
        assert set(cell) >= FIELDS
        assert cell["right"] == cell["valid"] == cell["queries"] == 12
        assert cell["right_interval"][0] < 1 == cell["right_interval"][1]
        assert (cell["ceiling"] is None) == (method != "block_code")
        assert cell["iterations_mean"] >= 1
        assert min(cell["ms_per_query"], cell["exhaustive_ms_per_query"]) > 0


def test_results_do_not_depend_on_the_executor() -> None:
    asked = ("+factorizer=in_memory", "dim=256", "factors=3", "size=[10,20]", "queries=20", "noise=[0.0,0.05]")
    here = run(*asked)
    there = run(*asked, "executor=processes", "workers=2")
    assert timeless(here) == timeless(there)
    assert len(here) == 4
    options = tuple(sorted(here[0]["options"].items()))
    backend = tuple(sorted(here[0]["backend"].items()))
    cell = Cell("in_memory", options, "map", 256, None, 3, 10, 20, 10, 0, 0.0, "flips", 1, backend)
    assert here[0]["settings"] == fingerprint(cell)


PRICED = [name for name in BACKENDS.names() if getattr(vsa.backends.get(name), "cost_model", None) is not None]


@pytest.mark.parametrize("name", PRICED)
def test_codebooks_on_simulated_devices(name: str) -> None:
    """One key puts the codebooks on arrays; a seed repeats them; their costs are counted."""
    common = ("+factorizer=in_memory", "factorizer.noise=0.0", "size=20", "queries=20", "draws=2")
    exact, noisy, again, aged = (
        run(*common, *more)[0]
        for more in ((), (f"backend={name}",), (f"backend={name}",), (f"backend={name}", "backend.age_seconds=86400.0"))
    )
    assert exact["microjoules_per_query"] is None
    assert exact["backend"] == {"name": "digital", "topk_elements": 2**22}
    assert noisy["backend"]["name"] == name
    assert noisy["backend"]["device"] == {"name": vsa.backends.get(name).cell.name}  # type: ignore[attr-defined]
    assert noisy["right"] >= 19
    assert noisy["microjoules_per_query"] > 0 < noisy["digital_microjoules_per_query"]
    assert noisy["iterations_mean"] == again["iterations_mean"] != exact["iterations_mean"]
    assert aged["settings"] != noisy["settings"]


def test_cells_are_reused_added_and_guarded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "cells.json"
    first = run("+factorizer=resonator", *SMALL, f"out={out}")
    with monkeypatch.context() as patch:
        patch.setattr(measuring, "compute", lambda cell: pytest.fail("measured again"))
        assert run("+factorizer=resonator", *SMALL, f"out={out}") == first
    more = run("+factorizer=exhaustive", *SMALL, f"out={out}")
    assert screen.read_cells(out) == first + more
    with monkeypatch.context() as patch:
        patch.setattr(measuring, "code_version", lambda: "other")
        with pytest.raises(capacity.SettingsError, match="2 of these cells, made by other code"):
            run("+factorizer=resonator", *SMALL, f"out={out}")
        assert screen.read_cells(out) == first + more
    assert timeless(run("+factorizer=resonator", *SMALL, f"out={out}", "overwrite=true")) == timeless(first)


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_experiment_states_its_command_and_runs_small(experiment: str) -> None:
    head = (CONF / "experiment" / f"{experiment}.yaml").read_text().splitlines()[:5]
    assert head[1].startswith(f"# python -m factorizers.capacity experiment={experiment} out=")
    assert any(word in " ".join(head) for word in ("Published", "Measured", "Expected"))
    settings = capacity.compose_settings([f"experiment={experiment}"])
    cells = measuring.cells_of(settings)
    assert len(cells) >= 2
    small = {"queries": 2, "draws": 1, "size": min(settings["size"]) if isinstance(settings["size"], list) else 12}
    settings["factorizer"] |= {"budget": 20}
    if "noise" in settings["factorizer"] and isinstance(settings["factorizer"]["noise"], list):
        settings["factorizer"]["noise"] = settings["factorizer"]["noise"][:2]
    results = measuring.run({**settings, **small})
    assert results
    for cell in results:
        assert cell["queries"] == 2
        assert {cell["right"], cell["valid"]} <= {0, 1, 2}
        assert 1 <= cell["iterations_mean"] <= 20


def test_noise_levels_of_the_chip_experiment() -> None:
    published = measuring.cells_of(capacity.compose_settings(["experiment=langenegger2023"]))
    ours = measuring.cells_of(capacity.compose_settings(["experiment=langenegger2023_ours"]))
    assert len(published) == len(ours) >= 12
    for one, other in zip(published, ours, strict=True):
        assert dict(other.options)["noise"] == pytest.approx(16 * dict(one.options)["noise"])
        assert (one.queries, one.size, one.dim, one.factors) == (256, 256, 256, 3)


WRONG = [
    ([], "no factorizer; expected one of: asymmetric, block_code, exhaustive, group_search, in_memory, join, reson"),
    (["factorizer=join"], "argument 'factorizer=join': received no plus; expected +factorizer=join"),
    (["+factorizer=joint"], "did you mean +factorizer=join?"),
    (["+factorizer=join", "sizes=3"], "sizes"),
    (["+factorizer=join", "factorizer.budget=3"], "budget"),
    (
        ["+factorizer=join", "+factorizer.budget=3"],
        "setting of factorizer join, factorizer.budget: received an unknown key; expected one of",
    ),
    (["+factorizer=join", "size=0"], "setting size: received 0; expected at least 1"),
    (
        ["+factorizer=join", "size=[5,x]"],
        "setting size: received [5, 'x'] (a list); expected an integer or a list of values",
    ),
    (["+factorizer=join", "queries=0"], "setting queries: received 0"),
    (["+factorizer=join", "noise=-1"], "setting noise: received -1.0; expected at least 0"),
    (["+factorizer=join", "noise=0.1", "damage=rust"], "damage: received damage 'rust'; expected one of flips"),
    (["+factorizer=join", "algebra=fhrr"], "join: received codebooks of fhrr, which does not declare laws."),
    (["+factorizer=block_code", "dim=100", "blocks=3"], "gsbc blocks: received dim 100 and blocks 3"),
    (["+factorizer=block_code", "factorizer.published=true", "size=50"], "block_code published: received (D, K, F, N)"),
    (["+factorizer=join", "executor=threads"], "executor=threads: received an executor that this version does not"),
    (
        ["+factorizer=join", "slurm.memory_gb=none"],
        "setting slurm.memory_gb: received 'none' (text); expected an integer",
    ),
    (["experiment=arlc_published"], "received experiment 'arlc_published'; expected one of hersche2024"),
    (["+factorizer=join", "size=[]"], "setting size: received []; expected at least one value"),
    (["+factorizer=in_memory", "factorizer.noise=[]"], "setting factorizer.noise: received []; expected a value"),
    (["+factorizer=join", "seed=x"], "setting seed: received 'x' (text); expected an integer or a list"),
    (["+factorizer=join", "workers=0"], "setting workers: received 0; expected at least 1"),
    (["+factorizer=join", "workers=two"], "setting workers: received 'two' (text); expected an integer"),
    (["+factorizer=join", "overwrite=maybe"], "setting overwrite: received 'maybe' (text); expected true or false"),
    (
        ["+factorizer=join", "slurm=3"],
        "setting slurm: received 3 (an integer); expected a mapping; write slurm.folder=VALUE",
    ),
    (["+factorizer=join", "out=''"], "setting out: received ''; expected a file's name"),
    (["+factorizer=join", "plot=a.xyz"], "setting plot: received 'a.xyz'; expected a file's name that ends in .png"),
    (["+factorizer=join", "++quiries=3"], "setting quiries: received setting 'quiries'; expected one of"),
    (["+factorizer=join", "=3"], "argument '=3': received what is no setting; expected key=value"),
    (["+factorizer=join", "algebra=3"], "get algebra: received algebra '3'; expected one of bsc"),
    (
        ["+factorizer=join", "size=3,4"],
        "received several values; expected one value or a list; write 'size=[3,4]' for a list",
    ),
]


@pytest.mark.parametrize("arguments,sentence", WRONG, ids=[" ".join(arguments) for arguments, _ in WRONG])
def test_mistakes_are_sentences(arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert capacity.main(arguments) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    "content,sentence",
    [
        ("{", "unreadable content"),
        ("{}", "received other JSON; expected a list of cells"),
        ("[3]", "received other JSON"),
    ],
)
def test_a_file_that_is_no_list_of_cells_is_left_alone(
    content: str, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "mine.json"
    out.write_text(content)
    assert capacity.main(["+factorizer=join", *SMALL, f"out={out}"]) == 2
    assert sentence in capsys.readouterr().err
    assert out.read_text() == content


def test_an_unwritable_place_is_known_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(measuring, "compute", lambda cell: pytest.fail("measured"))
    (tmp_path / "file").write_text("")
    assert capacity.main(["+factorizer=join", *SMALL, f"out={tmp_path / 'file' / 'cells.json'}"]) == 2
    assert capacity.main(["+factorizer=join", *SMALL, f"out={tmp_path}"]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_too_little_memory_is_a_sentence(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def too_large(cell: Cell) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 25600000000 bytes")

    monkeypatch.setattr(measuring, "compute", too_large)
    assert capacity.main(["+factorizer=join", *SMALL]) == 2
    assert "out of memory; choose smaller sizes" in capsys.readouterr().err


def test_an_unwritable_picture_loses_no_cells(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    out = tmp_path / "cells.json"
    assert capacity.main(["+factorizer=join", *SMALL, f"out={out}", f"plot={tmp_path / 'file' / 'a.png'}"]) == 2
    assert "plot=" in capsys.readouterr().err
    assert len(json.loads(out.read_text())) == 2


def test_a_changed_cell_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "cells.json"
    run("+factorizer=join", *SMALL, f"out={out}")
    out.write_text(out.read_text().replace('"right": 12', '"right": 11', 1))
    with pytest.raises(CorruptFileError, match="cell 0: received content that its checksum denies"):
        run("+factorizer=join", *SMALL, f"out={out}")


def test_a_second_run_on_the_same_file_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "cells.json"
    with files.alone(out), pytest.raises(VSAError, match="an output that another program is writing to"):
        run("+factorizer=join", *SMALL, f"out={out}")
    assert not out.exists()
    assert len(run("+factorizer=join", *SMALL, f"out={out}")) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["cells.json"]


def test_what_is_measured_again_stays_until_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "cells.json"
    first = run("+factorizer=join", *SMALL, f"out={out}")

    def interrupted(cell: Cell) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(measuring, "code_version", lambda: "other")
    monkeypatch.setattr(measuring, "compute", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run("+factorizer=join", *SMALL, f"out={out}", "overwrite=true")
    assert screen.read_cells(out) == first


def test_a_full_disk_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "cells.json"
    first = run("+factorizer=join", *SMALL, f"out={out}")

    def full(*arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(VSAError, match=r"write .*: received the system.s refusal: No space left on device"):
        run("+factorizer=exhaustive", *SMALL, f"out={out}")
    assert screen.read_cells(out) == first
    assert [path.name for path in tmp_path.iterdir()] == ["cells.json"]


def test_the_screen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "plots" / "capacity.png"
    arguments = ["+factorizer=resonator", "dim=256", "size=22", "queries=6", "factorizer.budget=200", f"plot={picture}"]
    assert capacity.main(arguments) == 0
    shown = capsys.readouterr().out
    for word in ("resonator", "brute", "baseline resonator .94 right (measured)"):
        assert word in shown
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert capacity.main(["--help"]) == 0
    assert "python -m factorizers.capacity +factorizer=NAME" in capsys.readouterr().out


def test_brute_force_is_timed_in_part_where_it_is_too_long(capsys: pytest.CaptureFixture[str]) -> None:
    """6.4e13 products of 1,024 entries: to search them all would take days."""
    large = ["+factorizer=in_memory", "dim=1024", "factors=6", "size=200", "queries=1", "factorizer.budget=2"]
    (cell,) = run(*large)
    assert cell["exhaustive_scaled"] > 1e3
    assert cell["exhaustive_ms_per_query"] > 1e6
    screen.show([cell])
    assert f"~{cell['exhaustive_ms_per_query']:.3g}" in capsys.readouterr().out
    (small,) = run("+factorizer=join", "dim=256", "factors=2", "size=20", "queries=4")
    assert small["exhaustive_scaled"] == 1
    screen.show([small])
    assert "~" not in capsys.readouterr().out


def test_a_part_of_brute_force_has_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without time only the first part is searched: at most 2^10 of 40^3 products, each codebook cut by half, twice."""
    searched: list[list[int]] = []

    def note(cell: Cell, books: Any, sizes: list[int], queries: int, seed: int) -> float:
        searched.append(sizes)
        return 1.0

    monkeypatch.setattr(cells_module, "_EXHAUSTIVE_PART", 64 << 10)
    monkeypatch.setattr(cells_module, "_EXHAUSTIVE_SECONDS", 0.0)
    monkeypatch.setattr(cells_module, "_search_part", note)
    cell = Cell("join", (), "map", 64, None, 3, 40, 1, 1, 0, 0.0, "flips", 1)
    books = [vsa.Codebook.random(cell.make_algebra(), 40, seed=factor) for factor in range(3)]
    assert cells_module._brute_force(cell, books, 4, 0) == (1.0, 40**3 / 10**3)
    assert searched == [[10, 10, 10]]


def test_a_killed_sweep_goes_on(tmp_path: Path) -> None:
    out = tmp_path / "cells.json"
    sizes = ",".join(str(size) for size in range(20, 44, 2))
    command = [
        sys.executable,
        "-m",
        "factorizers.capacity",
        "+factorizer=in_memory",
        "dim=256",
        f"size=[{sizes}]",
        "queries=60",
        f"out={out}",
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (out.exists() and len(json.loads(out.read_text())) >= 2):
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = json.loads(out.read_text())
    assert len(before) >= 2
    subprocess.run(command, env=environment, check=True, capture_output=True)
    after = json.loads(out.read_text())
    assert after[: len(before)] == before
    assert [cell["size"] for cell in after] == list(range(20, 44, 2))
    assert {cell["code"] for cell in after} == {code_version()}

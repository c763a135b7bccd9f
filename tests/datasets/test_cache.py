"""The cache of generated puzzles: what is kept, what damage does to it, and who may write at once."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

import datasets
from datasets.arrays import PuzzleArrays, equal
from datasets.files import cache
from datasets.files.cache import cache_root, cached, generator_version
from vsa.errors import VSAError


class Counter:
    """Counts the puzzles that are generated."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.made: list[tuple[int, int]] = []
        original = cache._Kind.generate

        def generate(kind: cache._Kind, start: int, n: int) -> PuzzleArrays:
            self.made.append((start, n))
            return original(kind, start, n)

        monkeypatch.setattr(cache._Kind, "generate", generate)
        monkeypatch.setattr(cache, "SHARD_PUZZLES", 50)


@pytest.fixture
def counter(monkeypatch: pytest.MonkeyPatch) -> Counter:
    return Counter(monkeypatch)


def folder_of(root: Path) -> Path:
    return next(root.rglob("manifest.json")).parent


@pytest.mark.parametrize("constellation", ["center_single", "in_distribute_four_out_center_single"])
def test_the_second_use_reads_what_the_first_made(tmp_path: Path, counter: Counter, constellation: str) -> None:
    numbers = np.arange(120)
    first = cached("iraven", constellation, numbers, seed=3, root=tmp_path)
    assert counter.made == [(0, 50), (50, 50), (100, 50)]
    again = cached("iraven", constellation, numbers, seed=3, root=tmp_path)
    assert len(counter.made) == 3
    assert equal(first, again)
    assert equal(again, datasets.generate("iraven", constellation, n=120, seed=3))
    manifest = json.loads((folder_of(tmp_path) / "manifest.json").read_text())
    assert manifest["generator"] == generator_version()
    assert manifest["settings"]["seed"] == 3
    assert set(manifest["shards"]) == {"00000.npz", "00001.npz", "00002.npz"}
    assert all(len(digest) == 64 for digest in manifest["shards"].values())


def test_numbers_in_any_order(tmp_path: Path, counter: Counter) -> None:
    numbers = np.array([130, 2, 51, 49, 2, 131])
    arrays = cached("iraven", "distribute_four", numbers, root=tmp_path)
    np.testing.assert_array_equal(arrays.index, numbers)
    assert equal(arrays, datasets.generate("iraven", "2x2", n=150)[numbers])


def test_every_setting_has_its_own_folder(tmp_path: Path, counter: Counter) -> None:
    one = np.arange(2)
    wide = {"columns": 4, "maxval": 40}
    a = cached("iraven_x", "center_single", one, root=tmp_path, **wide)
    b = cached("iraven_x", "center_single", one, root=tmp_path, **wide, confounders=3)
    c = cached("iraven_x", "center_single", one, root=tmp_path, columns=4, maxval=41)
    d = cached("iraven_x", "center_single", one, seed=1, root=tmp_path, **wide)
    cached("raven", "center_single", one, root=tmp_path)
    cached("iraven", "center_single", one, root=tmp_path)
    assert len(counter.made) == 6
    assert len(b.components[0].attributes) == 7
    assert c.maxval == 41
    assert not equal(a, d)
    assert equal(a, cached("iraven_x", "center_single", one, root=tmp_path, **wide))


def test_large_puzzles_come_in_small_shards() -> None:
    small = cache._Kind("iraven_x", "center_single", 0, 10, 1000, 300)
    assert small.shard_puzzles == 120
    assert cache._Kind("iraven", "distribute_nine", 0, 3, None, 0).shard_puzzles == 1000


@pytest.mark.parametrize("damage", ["flip", "cut", "gone", "empty"])
def test_a_damaged_shard_is_noticed_and_made_again(
    tmp_path: Path, counter: Counter, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    first = cached("iraven", "center_single", np.arange(100), root=tmp_path)
    path = folder_of(tmp_path) / "00001.npz"
    data = bytearray(path.read_bytes())
    if damage == "gone":
        path.unlink()
    else:
        data[len(data) // 2] ^= 1
        path.write_bytes({"flip": bytes(data), "cut": bytes(data[:-9]), "empty": b""}[damage])
    with caplog.at_level(logging.WARNING, "datasets.files.cache"):
        again = cached("iraven", "center_single", np.arange(100), root=tmp_path)
    assert equal(first, again)
    assert counter.made[2:] == [(50, 50)]
    assert str(path) in caplog.text
    assert "made again" in caplog.text
    caplog.clear()
    cached("iraven", "center_single", np.arange(100), root=tmp_path)
    assert len(counter.made) == 3
    assert not caplog.text


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 1}', '{"format": 99, "shards": {}}', "\x00"])
def test_a_damaged_manifest_costs_time_only(
    tmp_path: Path, counter: Counter, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    first = cached("iraven", "center_single", np.arange(10), root=tmp_path)
    (folder_of(tmp_path) / "manifest.json").write_text(text)
    assert equal(first, cached("iraven", "center_single", np.arange(10), root=tmp_path))
    assert "made again" in caplog.text
    assert len(counter.made) == 2


def test_a_new_generator_makes_new_puzzles(tmp_path: Path, counter: Counter, monkeypatch: pytest.MonkeyPatch) -> None:
    cached("iraven", "center_single", np.arange(10), root=tmp_path)
    monkeypatch.setattr(cache, "generator_version", lambda: "0" * 12)
    cached("iraven", "center_single", np.arange(10), root=tmp_path)
    assert len(counter.made) == 2
    assert len(list(tmp_path.iterdir())) == 2


def test_an_interruption_while_writing_breaks_nothing(
    tmp_path: Path, counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped before each of the renames in turn: the next run has what was finished and makes the rest."""
    replace, wanted = os.replace, datasets.generate("iraven", n=100)
    for stop in range(4):
        root, calls = tmp_path / str(stop), 0

        def interrupted(a: object, b: object, stop: int = stop) -> None:
            nonlocal calls
            calls += 1
            if calls > stop:
                raise KeyboardInterrupt
            replace(a, b)  # type: ignore[arg-type]

        monkeypatch.setattr(os, "replace", interrupted)
        with pytest.raises(KeyboardInterrupt):
            cached("iraven", "center_single", np.arange(100), root=root)
        monkeypatch.setattr(os, "replace", replace)
        assert not list(root.rglob(".tmp-*"))
        counter.made.clear()
        assert equal(cached("iraven", "center_single", np.arange(100), root=root), wanted)
        assert len(counter.made) == 2 - stop // 2


def test_what_killed_processes_leave_is_swept(tmp_path: Path, counter: Counter) -> None:
    cached("iraven", "center_single", np.arange(10), root=tmp_path)
    old, new = folder_of(tmp_path) / ".tmp-old", folder_of(tmp_path) / ".tmp-new"
    old.write_bytes(b"half a shard")
    new.write_bytes(b"another process is writing this")
    os.utime(old, (time.time() - 7200,) * 2)
    cached("iraven", "center_single", np.arange(60), root=tmp_path)
    assert not old.exists()
    assert new.exists()


def run(code: str, root: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "RAVEN_CACHE": str(root), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )


def test_two_processes_at_once(tmp_path: Path) -> None:
    code = """
        import numpy as np
        from datasets.files import cache
        cache.SHARD_PUZZLES = 20
        for _ in range(3):
            arrays = cache.cached("iraven", "center_single", np.arange(200), seed=7)
        print(int(arrays.target.sum()), int(arrays.components[0].attributes["Angle"].sum()))
    """
    processes = [run(code, tmp_path) for _ in range(3)]
    answers = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], answers
    assert len({out for out, _ in answers}) == 1
    wanted = datasets.generate("iraven", n=200, seed=7)
    assert answers[0][0].split() == [str(wanted.target.sum()), str(wanted.components[0].attributes["Angle"].sum())]
    assert not list(tmp_path.rglob(".tmp-*"))


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on file sizes")
def test_a_full_disk_is_one_warning_and_loses_nothing(tmp_path: Path) -> None:
    """A limit on the size of files stands for the full disk: the system's own error, in the middle of a write."""
    kept = cached("iraven", "center_single", np.arange(10), root=tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    code = """
        import resource
        import numpy as np
        from datasets.files.cache import cached
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
        cached("iraven", "center_single", np.arange(10))  # is there
        for _ in range(2):
            print(cached("iraven", "distribute_nine", np.arange(10)).target.tolist())
    """
    process = run(code, tmp_path)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    wanted = str(datasets.generate("iraven", "distribute_nine", n=10).target.tolist())
    assert out.splitlines() == [wanted, wanted]
    assert err.count("cached puzzles can't be written") == 1
    assert "(File too large): they are made anew each time; free some space, or name another folder" in err
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert equal(kept, cached("iraven", "center_single", np.arange(10), root=tmp_path))


def test_a_cache_that_cannot_be_written_costs_time_only(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A folder that is a file stands for a read-only one, which root could write to."""
    (tmp_path / "cache").write_text("")
    wanted = datasets.generate("iraven", n=3)
    for _ in range(3):
        assert equal(cached("iraven", "center_single", np.arange(3), root=tmp_path / "cache"), wanted)
    assert caplog.text.count("can't be written") == 1


def test_numbers_must_be_numbers(tmp_path: Path) -> None:
    for wrong in (np.array([], dtype=np.int64), np.array([-1])):
        with pytest.raises(VSAError, match="puzzle numbers; expected at least one, >= 0"):
            cached("iraven", "center_single", wrong, root=tmp_path)


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert cache_root(tmp_path / "mine") == tmp_path / "mine"
    monkeypatch.setenv("RAVEN_CACHE", str(tmp_path))
    assert cache_root() == tmp_path
    monkeypatch.delenv("RAVEN_CACHE")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_root() == tmp_path / "xdg" / "raven-puzzles"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert cache_root() == tmp_path / ".cache" / "raven-puzzles"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert cache_root() == tmp_path / "Library" / "Caches" / "raven-puzzles"
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert cache_root() == tmp_path / "local" / "raven-puzzles"

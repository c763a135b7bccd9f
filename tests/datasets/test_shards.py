"""Shards and ``python -m datasets.generate``: whole, the same for any number of workers, never replaced silently."""

from __future__ import annotations

import hashlib
import importlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import datasets
from datasets.arrays import equal
from datasets.files import production
from datasets.files.production import Order, produce, units
from datasets.files.read import read
from datasets.files.shards import Shards
from datasets.generate import main, order_of
from datasets.pixels.render import render
from vsa.errors import CorruptFileError, SettingsError, UnknownNameError, VSAError

ROOT = Path(__file__).resolve().parents[2]


def contents(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(production, "RAVEN_PUZZLES", 3)
    monkeypatch.setattr(production, "SHARD_PUZZLES", 3)


CENTER = ("center_single", "distribute_four")


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("images", [True, False])
def test_shards_hold_the_puzzles(tmp_path: Path, images: bool) -> None:
    order = Order("iraven", CENTER, n=7, start=4, seed=9, form="shards", images=images)
    produce(order, tmp_path)
    shards = Shards(tmp_path)
    assert shards.constellations == CENTER
    for name in CENTER:
        arrays = datasets.generate("iraven", name, n=7, start=4, seed=9)
        assert equal(shards.arrays(name), arrays)
        assert equal(read(tmp_path)[name], arrays)
        np.testing.assert_array_equal(shards.images(name), render(arrays))
        chosen = np.array([6, 0, 3, 3])
        np.testing.assert_array_equal(shards.images(name, chosen), render(arrays)[chosen])
    assert (tmp_path / "center_single" / "00000.images.npy").is_file() == images


@pytest.mark.usefixtures("small")
def test_an_epoch_of_batches(tmp_path: Path) -> None:
    produce(Order("raven", CENTER[:1], n=10, form="shards"), tmp_path)
    shards = Shards(tmp_path)
    plain = list(shards.batches("center", 4))
    assert [len(arrays) for arrays, _ in plain] == [4, 4, 2]
    epochs = [list(shards.batches("center", 4, shuffle=True, seed=3, epoch=k)) for k in (0, 0, 1)]
    orders = [np.concatenate([arrays.index for arrays, _ in epoch]).tolist() for epoch in epochs]
    assert orders[0] == orders[1] != orders[2]
    assert sorted(orders[2]) == list(range(10))
    for arrays, images in epochs[0]:
        np.testing.assert_array_equal(images, render(arrays))
        assert images.flags.c_contiguous
    with pytest.raises(SettingsError, match="batch_size = 0"):
        next(shards.batches("center", 0))
    with pytest.raises(UnknownNameError, match="one of center_single"):
        shards.arrays("3x3")


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("name", ["00001.npz", "00001.images.npy"])
@pytest.mark.parametrize("damage", ["flipped", "short", "gone"])
def test_a_damaged_shard_is_one_sentence(tmp_path: Path, name: str, damage: str) -> None:
    produce(Order("iraven", CENTER[:1], n=7, form="shards"), tmp_path)
    path = tmp_path / "center_single" / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(data if damage == "flipped" else data[:-1])
    with pytest.raises(CorruptFileError, match=rf"center_single/{name}: received .*; make it again"):
        Shards(tmp_path).images("center_single")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "unreadable content .* overwrite=true"),
        ("[]", "received list; expected a manifest"),
        ('{"format": 9, "form": "shards", "settings": {}, "units": {}}', "received 9"),
        ('{"format": 1, "form": "shards", "settings": {"dataset": "x"}, "units": {}}', "dataset 'x'"),
        (
            '{"format": 1, "form": "shards", "settings": {"dataset": "raven"}, "units": {"../etc/0": {"files": {}}}}',
            "expected <constellation>/<number>",
        ),
    ],
)
def test_a_wrong_manifest_is_one_sentence(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(CorruptFileError, match=words):
        Shards(tmp_path)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("form", ["raven", "shards", "json"])
def test_an_interrupted_production_goes_on(tmp_path: Path, form: str) -> None:
    order = Order("iraven", CENTER, n=8, form=form)
    whole, part = tmp_path / "whole", tmp_path / "part"
    produce(order, whole)

    class StopError(Exception):
        pass

    def stop(more: int) -> None:
        done.append(more)
        if sum(done) >= 6:
            raise StopError

    done: list[int] = []
    with pytest.raises(StopError):
        produce(order, part, progress=stop)
    made = len(json.loads((part / "manifest.json").read_text())["units"])
    assert 0 < made < len(list(units(order)))
    seen: list[int] = []
    produce(order, part, progress=seen.append)
    assert seen[0] > 0  # what was done is not done again
    assert contents(part) == contents(whole)
    before = {path: path.stat().st_mtime_ns for path in part.rglob("*") if path.is_file()}
    produce(order, part)
    assert {path: path.stat().st_mtime_ns for path in part.rglob("*") if path.is_file()} == before


@pytest.mark.usefixtures("small")
def test_a_missing_file_is_made_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    order = Order("iraven", CENTER[:1], n=8)
    produce(order, tmp_path)
    before = contents(tmp_path)
    (tmp_path / "center_single" / "RAVEN_4_train.xml").unlink()
    produce(order, tmp_path)
    assert contents(tmp_path) == before
    assert "RAVEN_4_train.xml is gone: made again" in caplog.text


def test_other_settings_are_refused_and_only_ours_is_removed(tmp_path: Path) -> None:
    order = Order("iraven", CENTER[:1], n=3, form="shards", images=False)
    produce(order, tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    other = Order("iraven", CENTER[:1], n=3, seed=1)
    with pytest.raises(VSAError, match="overwrite=true"):
        produce(other, tmp_path)
    assert equal(read(tmp_path)["center_single"], datasets.generate("iraven", n=3))
    produce(other, tmp_path, overwrite=True)
    assert not list(tmp_path.glob("*/*.npy"))
    assert sorted(path.name for path in (tmp_path / "center_single").iterdir())[:2] == [
        *("RAVEN_0_train.npz", "RAVEN_0_train.xml")
    ]
    assert (tmp_path / "notes.txt").read_text() == "mine"
    (tmp_path / "else").mkdir()
    (tmp_path / "else" / "file").write_text("")
    with pytest.raises(VSAError, match="a folder that holds file"):
        produce(order, tmp_path / "else", overwrite=True)


def test_the_command_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "datasets.generate", "dataset=iraven", "constellation=[center,2x2]", "n=120"]
    for workers in (1, 2):
        done = subprocess.run(
            [*command, "images=false", f"workers={workers}", f"out={tmp_path / str(workers)}"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=200,
        )
        assert done.returncode == 0, done.stderr
        assert "240 puzzles in" in done.stdout
    assert contents(tmp_path / "1") == contents(tmp_path / "2")
    assert len(contents(tmp_path / "1")) == 2 * 240 + 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["n=1"], "received no out"),
        (["out=x", "n=0"], "setting n: received 0"),
        (["out=x", "n=many"], "setting n: received 'many'"),
        (["out=x", "format=yaml"], "one of raven, json, shards"),
        (["out=x", "dataset.n=5"], "did you mean n?"),
        (["out=x", "tables=1"], "setting tables: received an unknown key"),
        (["out=x", "dataset=files"], "dataset=files"),
        (["out=x", "constellation=2x3"], "did you mean"),
        (["out=x", "dataset=iraven_x"], "I-RAVEN-X has no pixels"),
        (["out=x", "a b"], "see --help"),
    ],
)
def test_wrong_settings_are_one_sentence(
    arguments: list[str],
    words: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    assert words in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_every_data_set_and_form(tmp_path: Path) -> None:
    for k, arguments in enumerate(
        (
            ["dataset=raven", "constellation=all", "n=2"],
            ["dataset=raven_fair", "constellation=out_in", "n=2", "format=shards"],
            ["dataset=iraven_x", "n=2", "format=json", "dataset.columns=4", "dataset.maxval=50"],
            ["dataset=iraven_x", "n=2", "format=shards", "images=false", "dataset.confounders=3"],
            ["dataset=iraven", "n=2", "format=json"],
        )
    ):
        assert main([*arguments, f"out={tmp_path / str(k)}"]) == 0
        found = read(tmp_path / str(k))
        assert all(len(arrays.validate()) == 2 for arrays in found.values())
    assert len(read(tmp_path / "0")) == len(read(tmp_path / "4")) == 7
    (wide,) = read(tmp_path / "2").values()
    assert (wide.columns, wide.maxval) == (4, 50)
    order, _ = order_of(["dataset=iraven_x", "out=x", "format=json"])
    assert (order.columns, order.maxval, order.constellations) == (10, 1000, ("center_single",))


def test_the_function_survives_the_import_of_the_command() -> None:
    module = importlib.import_module("datasets.generate")
    assert datasets.generate is module
    assert equal(datasets.generate("iraven", n=1), datasets.generate("iraven", "center", n=1, seed=0))

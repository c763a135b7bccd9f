"""What is read is what was written: labels that agree, a npz of its xml, the files' own pixels, no file lost unsaid."""

from __future__ import annotations

import json
import logging
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import datasets
from datasets.check import check, main
from datasets.files.images import images_of, read_images
from datasets.files.production import Order, produce
from datasets.files.raven import write_raven
from datasets.files.read import read, write_json
from datasets.loaders import PuzzleBatch
from datasets.pixels.render import render
from datasets.puzzle import Puzzle
from datasets.puzzle_arrays import arrays_of
from vsa.commands.files import alone, sealed
from vsa.errors import CorruptFileError, SettingsError, VSAError

ROOT = Path(__file__).parents[2]
GRID = "in_distribute_four_out_center_single"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    write_raven(datasets.generate("iraven", "left_right", n=12), folder / "left_right")
    return folder


def npz(tree: Path) -> list[Path]:
    return sorted(tree.rglob("RAVEN_*.npz"))


def edit(path: Path, **members: Any) -> None:
    with np.load(path) as file:
        held = {name: file[name] for name in file.files}
    np.savez(path, **{**held, **members})


# ------------------------------------------------------------------------------------------------------------- labels


def test_every_reference_puzzle_is_sound(reference: Path) -> None:
    for kind, count in (("RAVEN", 70), ("I-RAVEN", 210), ("I-RAVEN-json", 35), ("I-RAVEN-X", 150)):
        assert check(reference / kind) == (count, [])


def test_rotated_npz_are_noticed(tree: Path) -> None:
    """Each npz beside the next puzzle's xml: reading refuses, skipping leaves out all whose labels differ."""
    files = npz(tree)
    data = [path.read_bytes() for path in files]
    for path, moved in zip(files, data[1:] + data[:1], strict=True):
        path.write_bytes(moved)
    with pytest.raises(CorruptFileError, match=r"the two files are of different puzzles|answer breaks a rule"):
        read(tree)
    sound, faults = check(tree)
    assert (sound, len(faults)) == (0, 12)


def test_one_rotated_npz_with_the_same_labels_shows_in_its_picture(tree: Path) -> None:
    arrays = datasets.generate("iraven", "left_right", n=12)
    other = render(arrays)[3]
    edit(npz(tree)[0], image=other)
    assert len(read(tree)["left_center_single_right_center_single"]) == 12
    sound, faults = check(tree)
    assert sound == 11
    assert [fault.path.name for fault in faults] == [npz(tree)[0].name]
    assert "not that of the labels" in str(faults[0].error)
    assert check(tree, pixels=False) == (12, [])


def _target(puzzle: dict[str, Any]) -> None:
    puzzle["target"] = (int(puzzle["target"]) + 1) % 8


def _reversed(puzzle: dict[str, Any]) -> None:
    panels = puzzle["rpm"]
    puzzle["rpm"] = panels[:-8] + panels[:-9:-1]


def _copied(puzzle: dict[str, Any]) -> None:
    first = len(puzzle["rpm"]) - 8
    wrong = (int(puzzle["target"]) + 1) % 8
    puzzle["rpm"][first + wrong] = puzzle["rpm"][first + int(puzzle["target"])]


def _unknown(puzzle: dict[str, Any]) -> None:
    puzzle["rules"][0]["Type"] = "Arithmetic"  # which the grammar has on Size and Color only


@pytest.mark.parametrize("change", [_target, _reversed, _copied, _unknown])
@pytest.mark.parametrize("constellation", ["center_single", GRID])
def test_labels_that_contradict_each_other(
    tmp_path: Path, constellation: str, change: Callable[[dict[str, Any]], None]
) -> None:
    path = write_json(datasets.generate("iraven", constellation, n=8), tmp_path)
    content = json.loads(path.read_text())
    change(content["5"])
    path.write_text(json.dumps(content))
    with pytest.raises(CorruptFileError, match=r"puzzle 5: received target \d and labels that contradict each other"):
        read(path)
    kept = read(path, on_error="skip")[constellation]
    assert kept.index.tolist() == [0, 1, 2, 3, 4, 6, 7]


@pytest.mark.parametrize("old, new", [('"3": {', '"2": {'), ('"Angle": "', '"Type": "1", "Angle": "')])
def test_a_key_twice_is_refused(tmp_path: Path, old: str, new: str) -> None:
    path = write_json(datasets.generate("iraven", "center_single", n=5), tmp_path)
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(CorruptFileError, match=r"the key '(2|Type)' twice in one object|a puzzle number twice"):
        read(path)


def test_the_same_number_written_twice(tmp_path: Path) -> None:
    path = write_json(datasets.generate("iraven", "center_single", n=5), tmp_path)
    path.write_text(path.read_text().replace('"3": {', '"02": {', 1))
    with pytest.raises(CorruptFileError, match="a puzzle number twice"):
        read(path)


def test_a_blank_panel_is_refused(tree: Path) -> None:
    image = render(datasets.generate("iraven", "left_right", n=12))[0].copy()
    image[5] = 255
    edit(npz(tree)[0], image=image)
    puzzles = read(tree)["left_center_single_right_center_single"]
    with pytest.raises(CorruptFileError, match="image: received panel 5, which is blank"):
        images_of(puzzles)
    assert check(tree)[0] == 11


def test_what_the_generator_makes_is_never_refused(tmp_path: Path) -> None:
    for name in ("raven", "iraven", "raven_fair"):
        for constellation in ("distribute_nine", GRID, "center_single"):
            arrays = datasets.generate(name, constellation, n=300, seed=7)
            write_raven(arrays, tmp_path / name / "tree" / constellation, images=False)
            write_json(arrays, tmp_path / name)
        assert sum(map(len, read(tmp_path / name / "tree").values())) == 900
        assert sum(len(read(path)[path.stem]) for path in (tmp_path / name).glob("*.json")) == 900


# ------------------------------------------------------------------------------------------------------------- pixels


def test_pixels_are_those_of_the_files(tree: Path) -> None:
    """A user's own drawing is kept through slices, batches, objects and writing again; drawing anew is asked for."""
    name = "left_center_single_right_center_single"
    drawn = render(datasets.generate("iraven", "left_right", n=12))
    for path in npz(tree):
        with np.load(path) as file:
            own = file["image"].copy()
        own[:, 80, 80] = int(path.stem.split("_")[1])
        edit(path, image=own)
    puzzles = read(tree)[name]
    batch = PuzzleBatch.of(puzzles[np.array([7, 2])])
    assert batch.images()[:, 0, 80, 80].tolist() == puzzles.index[[7, 2]].tolist()
    np.testing.assert_array_equal(batch.images(draw=True).numpy(), drawn[puzzles.index[[7, 2]]])
    puzzle = Puzzle.from_arrays(puzzles, 4)
    assert images_of(arrays_of(puzzle))[0, 3, 80, 80] == puzzle.index
    assert puzzle._repr_png_() != replace(puzzle, pixels=None)._repr_png_()
    write_raven(puzzles, tree.parent / "again")
    np.testing.assert_array_equal(read_images(tree.parent / "again", puzzles), images_of(puzzles))
    loaded = datasets.load("files", path=tree, constellation="left_right")
    assert next(loaded.batches(12)).images()[:, 9, 80, 80].tolist() == puzzles.index.tolist()


def test_pixels_are_read_when_they_are_asked_for(tree: Path) -> None:
    puzzles = read(tree)["left_center_single_right_center_single"]
    npz(tree)[1].write_bytes(npz(tree)[0].read_bytes())
    with pytest.raises(CorruptFileError, match=r"as in the puzzle's arrays|other rules than the xml"):
        images_of(puzzles)
    npz(tree)[1].unlink()
    with pytest.raises(VSAError, match="which does not exist"):
        images_of(puzzles)
    assert images_of(puzzles, draw=True).shape == (12, 16, 160, 160)


def test_files_without_pixels_are_drawn_and_mixed_ones_are_not(tree: Path) -> None:
    name = "left_center_single_right_center_single"
    arrays = datasets.generate("iraven", "left_right", n=12)
    write_raven(arrays[:4], tree / "left_right", images=False, overwrite=True)
    with pytest.raises(SettingsError, match=r"whose file has none, .* images\(draw=True\)"):
        images_of(read(tree)[name])
    write_raven(arrays, tree / "left_right", images=False, overwrite=True)
    np.testing.assert_array_equal(images_of(read(tree)[name]), render(arrays))


def test_pixels_of_shards(tmp_path: Path) -> None:
    produce(Order("iraven", ("center_single",), n=5, form="shards"), tmp_path)
    puzzles = read(tmp_path)["center_single"]
    np.testing.assert_array_equal(images_of(puzzles[1:4]), render(puzzles[1:4]))
    assert puzzles.pixels is not None
    path = tmp_path / "center_single" / "00000.images.npy"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(CorruptFileError, match=r"00000.images.npy: .*make it again: python -m datasets.generate"):
        images_of(puzzles)


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda image: image.astype(np.uint16), r"image.astype\(numpy.uint8\)"),
        (lambda image: image.astype(np.uint16) * 257, r"numpy.uint8\(image // 257\)"),
        (lambda image: image / 255.0, r"numpy.uint8\(numpy.round\(255.0 \* image\)\)"),
        (lambda image: image.astype(np.float32), r"image.astype\(numpy.uint8\)"),
        (lambda image: image == 255, r"numpy.uint8\(numpy.round\(255.0 \* image\)\)"),
        (lambda image: image.transpose(1, 2, 0), "move the panels to the first axis"),
    ],
)
def test_the_hint_for_an_image_makes_it_right(tree: Path, change: Callable[[Any], Any], words: str) -> None:
    path = npz(tree)[0]
    with np.load(path) as file:
        image = file["image"]
    edit(path, image=change(image))
    with pytest.raises(CorruptFileError, match=words) as caught:
        read_images(tree, read(tree)["left_center_single_right_center_single"])
    if "numpy" in str(caught.value):
        remedy = caught.value.hint.partition(": ")[2]
        mended = eval(remedy, {"numpy": np, "image": change(image)})  # noqa: S307 - our own sentence
        assert mended.dtype == np.uint8
        assert ((mended == 255) == (image == 255)).all()


# ------------------------------------------------------------------------------------------------------------- strays


def test_strays_do_not_stop_a_tree(tree: Path) -> None:
    good = read(tree)
    some = sorted(tree.rglob("*.xml"))[0]
    for name in (
        "._RAVEN_0_train.xml",
        ".tmp-4711-RAVEN_0_train.xml",
        ".tmp-0123456789ab-RAVEN_1_train.npz",
        ".DS_Store",
    ):
        (some.parent / name).write_bytes(b"\x00\x05\x16\x07")
    checkpoints = some.parent / ".ipynb_checkpoints"
    checkpoints.mkdir()
    shutil.copy(some, checkpoints / "RAVEN_0_train-checkpoint.xml")
    shutil.copy(some, checkpoints / some.name)
    (tree / "features.npz").write_bytes(b"mine")
    again = read(tree)
    assert again.keys() == good.keys()
    assert all((again[name].index == good[name].index).all() for name in good)
    assert read_images(tree, again["left_center_single_right_center_single"]).shape[0] == 12
    folder = tree.parent / "json"
    folder.mkdir()
    write_json(datasets.generate("iraven", n=3), folder)
    (folder / "._center_single.json").write_bytes(b"\x00")
    assert list(read(folder)) == ["center_single"]


def test_a_npz_without_xml_is_an_error_as_the_reverse_is(tree: Path) -> None:
    xml = sorted(tree.rglob("*.xml"))
    xml[2].unlink()
    with pytest.raises(CorruptFileError, match="received no xml beside it"):
        read(tree)
    npz(tree)[5].unlink()
    with pytest.raises(CorruptFileError, match=r"received no (xml|npz) beside it"):
        read(tree)
    assert len(read(tree, on_error="skip")["left_center_single_right_center_single"]) == 10
    for path in xml:
        path.unlink(missing_ok=True)
    with pytest.raises(CorruptFileError, match="received no xml beside it"):
        read(tree)


def test_skipping_counts(tree: Path, caplog: pytest.LogCaptureFixture) -> None:
    xml = sorted(tree.rglob("*.xml"))
    xml[0].write_text("<Data>")
    npz(tree)[3].write_bytes(b"")
    with caplog.at_level(logging.WARNING):
        assert len(read(tree, on_error="skip")["left_center_single_right_center_single"]) == 10
    assert "2 damaged, left out, of 12 in" in caplog.text
    assert xml[0].name in caplog.text
    for path in xml:
        path.write_text("<Data>")
    with pytest.raises(CorruptFileError, match="xml that breaks"):
        read(tree, on_error="skip")
    with pytest.raises(SettingsError, match="on_error = 'ignore'; expected raise or skip"):
        read(tree, on_error="ignore")  # type: ignore[arg-type]


def test_images_are_searched_as_labels_are(tmp_path: Path) -> None:
    """Two constellations, numbered alike, mixed in folders of any depth and name."""
    sets = {name: datasets.generate("iraven", name, n=6) for name in ("center_single", "distribute_four")}
    for name, arrays in sets.items():
        write_raven(arrays[:3], tmp_path / "a" / "b" / name[:3])
        write_raven(arrays[3:], tmp_path / "c" / name[:3])
    for name, arrays in read(tmp_path).items():
        np.testing.assert_array_equal(read_images(tmp_path, arrays), render(sets[name]))
    with pytest.raises(SettingsError, match="0 npz files of puzzle 3 of center_single"):
        read_images(tmp_path / "a", sets["center_single"])


def test_a_file_named_after_another_constellation(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_json(datasets.generate("iraven", "center_single", n=4), tmp_path)
    path.rename(tmp_path / "distribute_four.json")
    assert list(read(tmp_path)) == ["center_single"]
    assert "distribute_four.json holds center_single" in caplog.text
    write_json(datasets.generate("iraven", "center_single", n=2), tmp_path)
    assert {name: len(part) for name, part in read(tmp_path).items()} == {
        "center_single": 2,
        "center_single (distribute_four)": 4,
    }


# ---------------------------------------------------------------------------------------------------------- manifests


@pytest.mark.parametrize(
    "form, file", [("raven", "*.xml"), ("raven", "*.npz"), ("json", "*.json"), ("shards", "*.npz")]
)
def test_the_command_of_a_sentence_makes_the_file_again(tmp_path: Path, form: str, file: str) -> None:
    order = Order("iraven", ("center_single", "distribute_four"), n=4, seed=3, form=form, images=False)
    out = tmp_path / "a b"
    produce(order, out)
    path = next(path for path in sorted(out.rglob(file)) if path.name != "manifest.json")
    written = path.read_bytes()
    if form == "raven":  # changed so that nothing but a hash can tell
        changed = written.replace(b'real_bbox="[0', b'real_bbox="[1', 1) if file == "*.xml" else written + b"\0"
    else:
        changed = written[:-2] + b" " + written[-2:]
    assert changed != written
    path.write_bytes(changed)
    _, faults = check(out)
    assert [fault.path for fault in faults] == [path]
    command = faults[0].error.hint.partition("make it again: ")[2]
    assert command.startswith("python -m datasets.generate ")
    done = subprocess.run([sys.executable, *shlex.split(command)[1:]], cwd=ROOT, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert path.read_bytes() == written
    assert check(out) == (8, [])


@pytest.mark.parametrize("form", ["raven", "json", "shards"])
def test_a_flipped_manifest_is_noticed_and_made_again(tmp_path: Path, form: str) -> None:
    order = Order("iraven", ("center_single",), n=3, form=form, images=False)
    produce(order, tmp_path)
    path = tmp_path / "manifest.json"
    text = path.read_text()
    path.write_text(text.replace('"seed": 0', '"seed": 1'))
    for work in (lambda: read(tmp_path), lambda: produce(order, tmp_path)):
        with pytest.raises(CorruptFileError, match=r"its checksum denies; .*overwrite=true"):
            work()
    produce(order, tmp_path, overwrite=True)
    assert path.read_text() == text
    assert len(read(tmp_path)["center_single"]) == 3


@pytest.mark.parametrize("form", ["raven", "json", "shards"])
@pytest.mark.parametrize(
    "key", ["n", "start", "seed", "columns", "maxval", "confounders", "constellations", "dataset", "images"]
)
def test_settings_of_a_manifest_that_are_none(tmp_path: Path, form: str, key: str) -> None:
    """The checksum is right: written by hand, not damaged."""
    produce(Order("iraven", ("center_single",), n=3, form=form, images=False), tmp_path)
    path = tmp_path / "manifest.json"
    manifest = json.loads(path.read_text())
    for value in ({}, [[]], 10**30, "x", 1.5, True):
        if (key, value) in (("images", True), ("dataset", "x")):
            continue
        path.write_text(json.dumps(sealed({**manifest, "settings": {**manifest["settings"], key: value}})))
        with pytest.raises(CorruptFileError, match=f"manifest.json, settings, {key}: received"):
            read(tmp_path)


def test_a_stranger_s_manifest_does_not_matter(tree: Path) -> None:
    (tree / "manifest.json").write_text('{"license": "mine"}')
    assert len(read(tree)) == 1


def test_a_file_that_the_manifest_misses(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    produce(Order("iraven", ("center_single",), n=6, images=False), tmp_path)
    for path in tmp_path.rglob("RAVEN_3_*"):
        path.unlink()
    with pytest.raises(CorruptFileError, match=r"RAVEN_3_train.npz: received a file that is gone"):
        read(tmp_path)
    assert len(read(tmp_path, on_error="skip")["center_single"]) == 5


def test_one_program_a_folder_and_strays_are_swept(tmp_path: Path) -> None:
    order = Order("iraven", ("center_single",), n=3, images=False)
    with alone(tmp_path), pytest.raises(SettingsError, match="another program is writing to"):
        produce(order, tmp_path)
    stray = tmp_path / ".tmp-0123456789ab-manifest.json"
    stray.write_text("half")
    produce(order, tmp_path)  # a folder that holds strays alone is empty
    assert not stray.exists()
    inner = tmp_path / "center_single" / ".tmp-0123456789ab-RAVEN_0_train.xml"
    inner.write_text("half")
    produce(order, tmp_path)
    assert not inner.exists()
    assert not (tmp_path / ".lock").exists()


# -------------------------------------------------------------------------------------------------------------- check


def test_the_command_lists_and_moves(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tree)]) == 0
    assert "12 puzzles are sound, 0 faults" in capsys.readouterr().out
    xml = sorted(tree.rglob("*.xml"))
    xml[4].write_text("<Data>")
    npz(tree)[6].unlink()
    image = render(datasets.generate("iraven", "left_right", n=12))[0]
    edit(npz(tree)[8], image=image)
    assert main([str(tree)]) == 1
    out = capsys.readouterr().out
    assert "9 puzzles are sound, 3 faults" in out
    assert main([str(tree), "move_aside=true"]) == 1
    assert main([str(tree)]) == 0
    assert "9 puzzles are sound, 0 faults" in capsys.readouterr().out
    moved = sorted(path.name for path in tree.with_name("tree.aside").rglob("*") if path.is_file())
    assert len(moved) == 5
    assert len(read(tree)["left_center_single_right_center_single"]) == 9


@pytest.mark.parametrize(
    "arguments, words",
    [(["nowhere"], "does not exist"), ([], "0 folders"), (["a", "b"], "2 folders"), (["x=1"], "DIR")],
)
def test_the_command_refuses(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert words in capsys.readouterr().err

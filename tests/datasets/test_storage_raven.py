"""npz + xml: written in the published form, read back whole, and refused in one sentence where something is wrong."""

from __future__ import annotations

import io
import json
import re
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import datasets
from datasets.arrays import PuzzleArrays, equal
from datasets.constellations import CONSTELLATIONS
from datasets.files.images import read_images
from datasets.files.npz import file_stem, read_npz
from datasets.files.raven import npz_bytes, write_raven, xml_texts
from datasets.files.read import read, write_json
from datasets.pixels.render import render
from vsa.errors import CorruptFileError, VSAError


def sorted_children(text: str) -> str:
    """The published files shuffle the entities of a grid and the attributes of a candidate."""
    for parent, child in (("Layout", "Entity"), ("Candidate", "Attribute")):
        text = re.sub(
            rf"(?:<{child} [^>]*/>)+(?=</{parent}>)",
            lambda found: "".join(sorted(re.findall(r"<[^>]*/>", found[0]))),
            text,
        )
    return text


@pytest.mark.parametrize("kind", ["I-RAVEN", "RAVEN"])
def test_the_reference_is_written_again(reference: Path, kind: str) -> None:
    """xml: byte for byte but for shuffled children; npz: every member, its dtype and its place in the file."""
    identical = 0
    for constellation, arrays in read(reference / kind).items():
        if kind == "RAVEN":
            assert arrays.modified is None
        images = read_images(reference / kind, arrays)
        for i, (text, data) in enumerate(zip(xml_texts(arrays), npz_bytes(arrays, images), strict=True)):
            path = reference / kind / constellation / file_stem(int(arrays.index[i]))
            published = path.with_suffix(".xml").read_text()
            identical += published == text
            assert sorted_children(published) == sorted_children(text), path
            with np.load(path.with_suffix(".npz")) as theirs, np.load(io.BytesIO(data)) as ours:
                assert theirs.files == ours.files
                for name in theirs.files:
                    assert theirs[name].dtype == ours[name].dtype
                    np.testing.assert_array_equal(theirs[name], ours[name])
    assert identical >= (40 if kind == "RAVEN" else 1)


@pytest.mark.parametrize("constellation", CONSTELLATIONS)
@pytest.mark.parametrize("name", ["raven", "iraven", "raven_fair"])
def test_what_is_written_is_read_back(tmp_path: Path, name: str, constellation: str) -> None:
    arrays = datasets.generate(name, constellation, n=6, seed=2, start=8)
    files = write_raven(arrays, tmp_path / constellation)
    assert [path.name for path in files[:4]] == [
        *("RAVEN_8_test.npz", "RAVEN_8_test.xml", "RAVEN_9_test.npz", "RAVEN_9_test.xml")
    ]
    back = read(tmp_path)[constellation].validate()
    unknown = [replace(c, parameters=np.zeros_like(c.parameters)) for c in arrays.components]  # xml has no place for it
    modified = None if name == "raven" else arrays.modified
    assert equal(back, replace(arrays, dataset="files", components=tuple(unknown), modified=modified))
    np.testing.assert_array_equal(read_images(tmp_path, back), render(arrays))


def test_the_same_puzzles_give_the_same_bytes(tmp_path: Path) -> None:
    arrays = datasets.generate("iraven", "3x3", n=3)
    for folder in ("a", "b"):
        write_raven(arrays, tmp_path / folder)
    for path in sorted((tmp_path / "a").iterdir()):
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_nothing_is_overwritten_silently(tmp_path: Path) -> None:
    arrays = datasets.generate("iraven", n=2)
    write_raven(arrays, tmp_path, images=False)
    before = (tmp_path / "RAVEN_0_train.npz").read_bytes()
    with pytest.raises(VSAError, match=r"RAVEN_0_train.npz: received a file that exists; .* overwrite=True"):
        write_raven(arrays, tmp_path)
    assert (tmp_path / "RAVEN_0_train.npz").read_bytes() == before
    write_raven(arrays, tmp_path, overwrite=True)
    assert len((tmp_path / "RAVEN_0_train.npz").read_bytes()) > len(before)
    assert not list(tmp_path.glob(".tmp-*"))


def test_files_without_images_say_so(tmp_path: Path) -> None:
    arrays = datasets.generate("iraven", n=1)
    write_raven(arrays, tmp_path, images=False)
    with pytest.raises(CorruptFileError, match="made without images: draw them"):
        read_images(tmp_path, arrays)
    assert read_npz(tmp_path / "RAVEN_0_train.npz", image=False).target == arrays.target[0]


def test_puzzles_without_uniformity_have_no_xml(tmp_path: Path) -> None:
    path = write_json(datasets.generate("iraven", n=1), tmp_path)
    with pytest.raises(VSAError, match="puzzles read from JSON do not have it"):
        xml_texts(read(path)[path.stem])


# ------------------------------------------------------------------------------------------------- hostile and broken


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    write_raven(datasets.generate("iraven", "left_right", n=1), tmp_path)
    return tmp_path / "RAVEN_0_train.npz"


def edited(path: Path, **members: Any) -> Path:
    """The npz with members replaced, or removed where None."""
    with np.load(path) as file:
        held = {name: file[name] for name in file.files}
    held.update(members)
    np.savez(path, **{name: value for name, value in held.items() if value is not None}, allow_pickle=True)
    return path


def test_structure_of_python_3_is_read(tree: Path) -> None:
    with np.load(tree) as file:
        tokens = np.array([t.decode() for t in file["structure"]])
    assert read_npz(edited(tree, structure=tokens)).structure[1] == "Left_Right"


IMAGE = np.full((16, 160, 160), 255, dtype=np.uint8)
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"image": IMAGE.transpose(1, 2, 0)}, r"image: received uint8 of shape \(160, 160, 16\).* move the panels to the"),
    ({"image": 255 - IMAGE}, "image: received a black background; .*invert it: 255 - image"),
    ({"image": IMAGE.astype(np.float32)}, "image: received float32 of shape"),
    ({"image": IMAGE[:15]}, r"image: received uint8 of shape \(15, 160, 160\); expected uint8 of shape"),
    ({"image": IMAGE * 0 + 7}, "a corner of grey level 7"),
    ({"image": None}, "image: received no such member"),
    ({"target": None}, "target: received no such member; expected one number"),
    ({"target": np.array(8)}, "target: received 8; expected 0 to 7"),
    ({"predict": np.array([1, 2])}, r"predict: received int64 of shape \(2,\)"),
    ({"meta_matrix": np.zeros((9, 8), np.uint8)}, r"meta_matrix: received uint8 of shape \(9, 8\)"),
    ({"meta_target": np.zeros(9, np.uint8)}, "meta_target: .* expected the rows of meta_matrix, or-ed"),
    ({"meta_structure": np.zeros(21, np.uint8)}, "meta_structure: .* expected the nodes that structure names"),
    ({"structure": np.array([b"Scene"])}, "structure: received Scene; expected the tree of one of the seven"),
    ({"structure": np.array([b"\xff"] * 12)}, "structure: received bytes that are no text"),
    ({"structure": np.zeros(8)}, "structure: received float64"),
]


@pytest.mark.parametrize(("members", "words"), WRONG)
def test_a_wrong_member_is_one_sentence(tree: Path, members: dict[str, Any], words: str) -> None:
    with pytest.raises(CorruptFileError, match=words) as caught:
        read_npz(edited(tree, **members))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["image", "structure", "target"])
def test_a_pickle_is_not_run(tree: Path, tmp_path: Path, name: str) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "ran",)

    bomb = np.empty(1, dtype=object)
    bomb[0] = Bomb()
    with pytest.raises(CorruptFileError, match=rf"{name}: received pickled objects, which are not loaded"):
        read_npz(edited(tree, **{name: bomb}))
    assert not (tmp_path / "ran").exists()


def test_a_member_that_claims_gigabytes_is_not_unpacked(tree: Path) -> None:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("target.npy", b"\0" * 50_000_000)
    tree.write_bytes(data.getvalue())
    with pytest.raises(CorruptFileError, match="received 50000000 bytes; expected at most"):
        read_npz(tree)


def test_a_damaged_directory_of_the_zip_stays_a_short_sentence(tree: Path) -> None:
    """zipfile quotes the whole name that a local header claims: up to 64 kB of bytes."""
    data = bytearray(tree.read_bytes())
    assert data[:4] == b"PK\x03\x04"
    data[26:28] = b"\xff\xff"  # the length of the first member's name
    tree.write_bytes(data)
    for read_it in (lambda: read_npz(tree), lambda: read(tree.parent)):
        with pytest.raises(CorruptFileError) as caught:
            read_it()
        assert len(str(caught.value)) < 1000


def test_files_of_different_puzzles_do_not_pass_for_one(tmp_path: Path) -> None:
    for name in ("left_right", "up_down"):
        arrays = datasets.generate("iraven", name, n=1)
        write_raven(arrays, tmp_path / name)
    (tmp_path / "left_right" / "RAVEN_0_train.npz").write_bytes(
        (tmp_path / "up_down" / "RAVEN_0_train.npz").read_bytes()
    )
    left = datasets.generate("iraven", "left_right", n=1)
    with pytest.raises(CorruptFileError, match="structure: received Scene Up_Down"):
        read_images(tmp_path / "left_right", left)

    def other(arrays: PuzzleArrays) -> PuzzleArrays:
        return replace(arrays, target=(arrays.target + 1) % 8)

    write_raven(other(left), tmp_path / "other")
    with pytest.raises(CorruptFileError, match="as in the puzzle's arrays"):
        read_images(tmp_path / "other", left)


def test_a_missing_npz(tmp_path: Path) -> None:
    with pytest.raises(VSAError, match="which does not exist"):
        read_npz(tmp_path / "RAVEN_0_train.npz")
    with pytest.raises(VSAError, match="a folder or a device"):
        read_npz(tmp_path)


def test_json_and_xml_of_the_same_puzzles_agree(tmp_path: Path) -> None:
    arrays = datasets.generate("iraven", "2x2", n=4)
    path = write_json(arrays, tmp_path)
    write_raven(arrays, tmp_path / "tree", images=False)
    a, b = read(path)["distribute_four"], read(tmp_path / "tree")["distribute_four"]
    for name in ("Type", "Size", "Color", "Angle"):
        np.testing.assert_array_equal(a.components[0].attributes[name], b.components[0].attributes[name])
    assert json.loads(path.read_text())

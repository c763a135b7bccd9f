"""Files made to hurt: whatever is done to a file, every reader answers with puzzles or with one printable sentence.

A few hundred drawn cases of every reader by default, about 20 s; ``pytest -m slow`` draws thousands.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import random
import shutil
import struct
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import datasets
from datasets.check import check
from datasets.files.images import images_of, read_images
from datasets.files.npz import read_npz
from datasets.files.production import Order, produce
from datasets.files.raven import write_raven
from datasets.files.read import read, write_json
from datasets.files.shards import Shards
from vsa.commands.files import checksum, sealed
from vsa.errors import VSAError

MOST_MEMORY = 64 << 20  # bytes
FOUR = "distribute_four"


def sentence(work: Callable[[], Any]) -> str:
    """The sentence that a call ends in, empty where it ends well; anything else fails."""
    try:
        work()
    except VSAError as error:
        text = str(error)
        assert text.isprintable(), repr(text)
        assert text.encode("utf-8")
        assert len(text) < 3000
        return text
    return ""


def within_memory(work: Callable[[], Any]) -> str:
    tracemalloc.start()
    try:
        return sentence(work)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < MOST_MEMORY, f"{peak >> 20} MiB"


def readers(path: Path) -> list[Callable[[], Any]]:
    """Every way to read what is at a path."""
    return [
        lambda: [arrays.validate() for arrays in read(path).values()],
        lambda: read(path, on_error="skip"),
        lambda: check(path),
        lambda: [images_of(arrays) for arrays in read(path).values()],
        lambda: datasets.load("files", path=path, constellation="2x2"),
        lambda: read_images(path, datasets.generate("iraven", "2x2", n=1)),
        lambda: Shards(path).images("2x2"),
        lambda: read_npz(path / FOUR / "RAVEN_0_train.npz" if path.is_dir() else path),
    ]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("good")
    arrays = datasets.generate("iraven", FOUR, n=2, seed=1)
    write_raven(arrays, folder / "tree" / FOUR)
    (folder / "json").mkdir()
    write_json(arrays, folder / "json")
    for form in ("raven", "json", "shards"):
        produce(Order("iraven", (FOUR,), n=2, seed=1, form=form, images=form != "json"), folder / f"made-{form}")
    return folder


# ------------------------------------------------------------------------------------------------------- named attacks


def lying_zip(name: str, claimed: int, real: int, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip whose member inflates to more than its directory says."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive, archive.open(name, "w", force_zip64=False) as member:
        for _ in range(real >> 20):
            member.write(bytes(1 << 20))
    data = bytearray(buffer.getvalue())
    for signature, at in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        place = data.rindex(signature) + at
        data[place : place + 4] = struct.pack("<I", claimed)
    return bytes(data)


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
@pytest.mark.parametrize("name", ["target.npy", "image.npy", "meta_matrix.npy"])
def test_a_member_that_lies_about_its_size(good: Path, tmp_path: Path, name: str, method: int) -> None:
    shutil.copytree(good / "tree", tmp_path / "tree")
    path = tmp_path / "tree" / FOUR / "RAVEN_0_train.npz"
    lie = lying_zip(name, 500, 100 << 20, method)
    with zipfile.ZipFile(path) as archive:
        members = {member: archive.read(member) for member in archive.namelist() if member != name}
    path.write_bytes(lie)
    if name != "target.npy":  # a whole npz around it: the members before it are sound
        with zipfile.ZipFile(path, "a") as archive:
            for member, data in members.items():
                archive.writestr(member, data)
    assert within_memory(lambda: read_npz(path))
    assert within_memory(lambda: read_images(tmp_path / "tree", datasets.generate("iraven", FOUR, n=2, seed=1)))
    if name != "image.npy":
        assert within_memory(lambda: read(tmp_path / "tree"))


def with_member(data: bytes, name: str, content: bytes, method: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO(data)
    with zipfile.ZipFile(buffer, "a", method) as archive:
        archive.writestr(name, content)
    return buffer.getvalue()


def npy(shape: str, descr: str = "|u1") -> bytes:
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode()


def vouched(folder: Path, file: str, data: bytes) -> None:
    """Puts a file into a folder of shards, and into its manifest."""
    (folder / FOUR / file).write_bytes(data)
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["units"][f"{FOUR}/00000"]["files"][file] = checksum(data)
    path.write_text(json.dumps(sealed(manifest)))


@pytest.mark.parametrize(
    "name, content, method",
    [
        ("extra.npy", b"\0" * 100, zipfile.ZIP_STORED),
        ("0.exists.txt", b"", zipfile.ZIP_STORED),
        ("../../x.npy", npy("(1,)") + b"\0", zipfile.ZIP_STORED),
        ("0.attributes.Weight.npy", npy("(1,)") + b"\0", zipfile.ZIP_STORED),
        ("0.attributes.Confounder0.npy", npy("(99999999999,)"), zipfile.ZIP_STORED),
        ("0.attributes.Confounder0.npy", bytes(100 << 20), zipfile.ZIP_DEFLATED),
        ("1.exists.npy", npy("(1,)", "|O") + b"\0", zipfile.ZIP_STORED),
    ],
)
def test_an_unexpected_member_of_a_shard(good: Path, tmp_path: Path, name: str, content: bytes, method: int) -> None:
    folder = tmp_path / "shards"
    shutil.copytree(good / "made-shards", folder)
    data = (folder / FOUR / "00000.npz").read_bytes()
    vouched(folder, "00000.npz", with_member(data, name, content, method))
    said = within_memory(lambda: read(folder))
    assert said or name == "1.exists.npy"  # a second component that the constellation has not is passed over


@pytest.mark.parametrize(
    "shape, descr", [("(10**9, 16, 160, 160)", "|u1"), ("(2, 16, 160, 160)", "|O"), ("(0,)", "|u1")]
)
def test_pixels_of_a_shard_that_lie(good: Path, tmp_path: Path, shape: str, descr: str) -> None:
    folder = tmp_path / "shards"
    shutil.copytree(good / "made-shards", folder)
    vouched(folder, "00000.images.npy", npy(shape, descr) + bytes(100))
    assert within_memory(lambda: images_of(read(folder)[FOUR]))
    assert within_memory(lambda: Shards(folder).images("2x2"))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs FIFOs")
@pytest.mark.parametrize("kind", ["fifo", "device", "folder", "dangling"])
@pytest.mark.parametrize(
    "file",
    [
        *(f"tree/{FOUR}/RAVEN_0_train.xml", f"tree/{FOUR}/RAVEN_0_train.npz", f"json/{FOUR}.json"),
        *("made-shards/manifest.json", f"made-shards/{FOUR}/00000.npz", f"made-shards/{FOUR}/00000.images.npy"),
    ],
)
def test_what_is_no_file_neither_hangs_nor_breaks(good: Path, tmp_path: Path, file: str, kind: str) -> None:
    top = tmp_path / file.partition("/")[0]
    shutil.copytree(good / top.name, top)
    path = tmp_path / file
    path.unlink()
    match kind:
        case "fifo":
            os.mkfifo(path)
        case "device":
            path.symlink_to("/dev/zero")
        case "folder":
            path.mkdir()
        case _:
            path.symlink_to(tmp_path / "nowhere")
    said = [sentence(work) for work in readers(top)]
    assert said[0] or said[3]


def test_json_of_any_depth_and_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "distribute_four.json"
    for text in ("[" * 100_000, '{"0":' * 100_000, '{"0": {"rules": ' + "[" * 5000 + "]" * 5000 + "}}", "1" * 10_000):
        path.write_text(text)
        assert sentence(lambda: read(path))
    from datasets.files import form
    from datasets.files import json as json_files

    for module in (form, json_files):
        monkeypatch.setattr(module, "MOST_JSON_BYTES", 1000)
    path.write_text(" " * 1001)
    assert "more than 1000 bytes" in sentence(lambda: read(path))


@pytest.mark.parametrize("content", [b"<a>" * 1_000_000, b"<Data>" + b"<a/>" * 900_000 + b"</Data>", b"x" * (5 << 20)])
def test_xml_of_any_depth_and_size(good: Path, tmp_path: Path, content: bytes) -> None:
    shutil.copytree(good / "tree", tmp_path / "tree")
    (tmp_path / "tree" / FOUR / "RAVEN_0_train.xml").write_bytes(content)
    assert within_memory(lambda: read(tmp_path / "tree"))


def test_a_zip_of_a_hundred_thousand_members(good: Path, tmp_path: Path) -> None:
    shutil.copytree(good / "tree", tmp_path / "tree")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for k in range(30_000):
            archive.writestr(f"{k}.npy", b"")
    path = tmp_path / "tree" / FOUR / "RAVEN_0_train.npz"
    path.write_bytes(buffer.getvalue())
    assert "directory of more than" in within_memory(lambda: read(tmp_path / "tree"))
    assert "directory of more than" in within_memory(lambda: read_npz(path))


NAMES = [
    b"distribute_four_\xff\xfe.json",
    b"distribute_four\n.json",
    b"distribute_four\x1b[31m.json",
    "ü…‮.json".encode(),
]


@pytest.mark.skipif(os.name != "posix", reason="names are bytes")
@pytest.mark.parametrize("name", NAMES)
def test_names_of_any_bytes(good: Path, tmp_path: Path, name: bytes) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))
    shutil.copy(good / "json" / f"{FOUR}.json", path)
    (held,) = read(tmp_path)
    assert held.isprintable()
    assert held.encode("utf-8")
    path.write_bytes(b"{")
    for work in readers(tmp_path):
        sentence(work)
    assert sentence(lambda: read(path))


def test_text_of_any_kind_within(good: Path, tmp_path: Path) -> None:
    text = (good / "json" / f"{FOUR}.json").read_text()
    path = tmp_path / f"{FOUR}.json"
    for strange in ("\\ud800", "\\u0000", "\\u202e", "\\n\\u001b[2J", "\\udfff" * 3000):
        for old in ('"0"', '"Type"', '"Constant"', '"target"', '"Angle": "'):
            path.write_text(
                text.replace(old, f'"{strange}"' if old[-1:] == '"' and ":" not in old else f'"Angle": "{strange}')
            )
            for work in readers(path)[:4]:
                sentence(work)


# -------------------------------------------------------------------------------------------------------- drawn attacks


def flip(data: bytes, draw: random.Random) -> bytes:
    out = bytearray(data)
    for _ in range(draw.choice((1, 1, 1, 3, 20))):
        at = draw.randrange(len(out))
        match draw.randrange(4):
            case 0:
                out[at] ^= 1 << draw.randrange(8)
            case 1:
                del out[at : at + draw.choice((1, 4, 300, 1 << 16))]
            case 2:
                out[at:at] = draw.randbytes(draw.choice((1, 4, 300)))
            case _:
                out[at : at + 4] = draw.choice((b"\xff\xff\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\x7f", b"PK\x01\x02"))
        if not out:
            break
    return bytes(out)


def deflated(data: bytes, draw: random.Random) -> bytes:
    """The members compressed, one of them exchanged; sizes and checksums in the directory changed."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
    except (zipfile.BadZipFile, zlib.error):
        return flip(data, draw)
    names = sorted(members)
    members[draw.choice(names)] = draw.choice((members[draw.choice(names)], b"", npy("(9,)", "|O"), npy("(2**62,)")))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", draw.choice((zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2))) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    out = bytearray(buffer.getvalue())
    at = out.index(b"PK\x01\x02", len(out) // 2 if b"PK\x01\x02" in out[len(out) // 2 :] else 0)
    place = at + draw.choice((6, 8, 10, 16, 20, 24, 28, 42))
    out[place : place + 4] = draw.choice((b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x01\0\0\0", draw.randbytes(4)))
    return bytes(out)


def words(data: bytes, draw: random.Random) -> bytes:
    """A token of a text exchanged for another."""
    tokens = [b'"', b"{", b"}", b"[", b"]", b":", b",", b"<", b">", b"/", b"=", b"0", b"1", b"null", b"1e999", b"-1"]
    out = data
    for _ in range(draw.choice((1, 1, 2))):
        old = draw.choice([token for token in tokens if token in out] or [out[:1]])
        parts = out.split(old)
        at = draw.randrange(max(len(parts) - 1, 1))
        middle = draw.choice([*tokens, b"", b"\\ud800", b"\xff", b"true", b'"Type"', b"9" * 400])
        out = old.join(parts[: at + 1]) + middle + old.join(parts[at + 1 :])
    return out or b" "


def attack(good: Path, folder: Path, seed: int) -> bool:
    """One file of one form changed, and read in every way; whether any reader refused."""
    draw = random.Random(seed)
    form = draw.choice(("tree", "json", "made-raven", "made-json", "made-shards"))
    top = folder / form
    shutil.rmtree(top, ignore_errors=True)
    shutil.copytree(good / form, top)
    path = draw.choice([path for path in sorted(top.rglob("*")) if path.is_file()])
    data = path.read_bytes()
    change = draw.choice((flip, deflated) if path.suffix in (".npz", ".npy") else (flip, words, words))
    path.write_bytes(change(data, draw))
    if form == "made-shards" and path.suffix != ".json" and draw.random() < 0.7:
        vouched(top, path.name, path.read_bytes())
    if draw.random() < 0.1:
        with contextlib.suppress(FileNotFoundError):
            draw.choice([path for path in sorted(top.rglob("*")) if path.is_file()]).unlink()
    works = readers(top)
    said = [sentence(work) for work in (works[0], works[2], *draw.sample(works, 2))]
    return any(said)


def run(good: Path, tmp_path: Path, cases: int, first: int) -> None:
    logging.disable(logging.WARNING)
    try:
        refused = sum(attack(good, tmp_path, seed) for seed in range(first, first + cases))
    finally:
        logging.disable(logging.NOTSET)
    assert cases / 2 < refused <= cases  # the attacks hurt


def test_drawn_attacks_on_every_reader(good: Path, tmp_path: Path) -> None:
    run(good, tmp_path, 500, 0)


@pytest.mark.slow
@pytest.mark.parametrize("first", [10_000, 20_000, 30_000])
def test_thousands_of_drawn_attacks(good: Path, tmp_path: Path, first: int) -> None:
    run(good, tmp_path, 2500, first)


def test_flips_of_our_own_trees_do_not_pass(good: Path, tmp_path: Path) -> None:
    """Every flipped bit of a folder with a manifest shows in ``check``, and of labels when they are read."""
    draw = random.Random(5)
    for form in ("made-raven", "made-json", "made-shards"):
        shutil.copytree(good / form, tmp_path / form)
        files = [path for path in sorted((tmp_path / form).rglob("*")) if path.is_file()]
        for _ in range(25):
            path = draw.choice(files)
            data = bytearray(path.read_bytes())
            if path.name == "manifest.json":
                at = data.index(b'"seed"') + 8  # in a number; white space of a manifest means nothing
                data[at : at + 1] = b"7"
            else:
                data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
            kept, _ = path.read_bytes(), path.write_bytes(data)
            shown = sentence(lambda top=tmp_path / form: check(top)) or check(tmp_path / form)[1]
            assert shown, path
            if path.suffix in (".xml", ".json") or (form == "made-shards" and path.suffix == ".npz"):
                assert sentence(lambda top=tmp_path / form: read(top)), path
            path.write_bytes(kept)


def test_the_readers_read(good: Path) -> None:
    """Otherwise the laws above would be empty."""
    for form in ("tree", "json", "made-raven", "made-json", "made-shards"):
        works = readers(good / form)
        assert not sentence(works[0])
        assert check(good / form) == (2, [])
        assert not sentence(works[3])
        assert not sentence(works[4])
    assert np.array_equal(
        read_npz(good / "tree" / FOUR / "RAVEN_0_train.npz").image, images_of(read(good / "tree")[FOUR])[0]
    )

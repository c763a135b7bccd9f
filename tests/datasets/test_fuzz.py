"""Broken and hostile files: whatever is done to a file, it is read as valid puzzles or refused in one sentence.

The default run makes a few hundred cases; ``pytest -m slow`` makes more than 5,000 (six mutators, 1,000 each).
"""

from __future__ import annotations

import copy
import io
import json
import random
import tracemalloc
import warnings
import xml.etree.ElementTree as ET
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import datasets
from datasets.files.images import read_images
from datasets.files.npz import read_npz
from datasets.files.production import Order, produce
from datasets.files.raven import write_raven
from datasets.files.read import read, write_json
from datasets.files.shards import Shards
from vsa.errors import VSAError

QUICK, LONG = 60, 1000
MOST_MEMORY = 64 << 20  # bytes that reading a small broken file may take

Mutator = Callable[[bytes, random.Random], bytes]


# ------------------------------------------------------------------------------------------------------------ mutators


def bytes_of(data: bytes, draw: random.Random) -> bytes:
    """Bits flipped, bytes cut out, repeated, overwritten; the end missing."""
    out = bytearray(data)
    for _ in range(draw.randint(1, 4)):
        if not out:
            break
        at, n = draw.randrange(len(out)), draw.choice((1, 1, 2, 7, 64, 4096))
        match draw.randrange(5):
            case 0:
                out[at] ^= 1 << draw.randrange(8)
            case 1:
                del out[at:]
            case 2:
                del out[at : at + n]
            case 3:
                out[at:at] = out[at : at + n]
            case _:
                out[at : at + n] = draw.randbytes(min(n, len(out) - at))
    return bytes(out)


VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 3, 7, 8, 99, 10**30, 1.5, float("nan"), float("inf"), "", "0", "3", "-1", "99"),
    *("٣", "1e3", "0x1", "Type", "Constant", "Arithmetic", "\u0000", "x" * 5000),
    *([], [[]], {}, {"Type": "1"}, [0.5, 0.5, 1, 1], [0.5] * 400),
)


def json_of(data: bytes, draw: random.Random) -> bytes:
    """A node of a JSON tree replaced, removed, repeated or renamed."""
    tree = json.loads(data)
    for _ in range(draw.randint(1, 3)):
        node: Any = tree
        while True:
            keys = list(node) if isinstance(node, dict) else list(range(len(node)))
            if not keys:
                break
            key = draw.choice(keys)
            deeper = isinstance(node[key], (dict, list)) and node[key] and draw.random() < 0.9
            if deeper:
                node = node[key]
                continue
            match draw.randrange(4):
                case 0:
                    del node[key]
                case 1 if isinstance(node, list):
                    node.insert(key, node[key])
                case 2 if isinstance(node, dict):
                    node[str(draw.choice(VALUES))] = node.pop(key)
                case _:
                    node[key] = copy.deepcopy(draw.choice(VALUES))
            break
    return json.dumps(tree).encode()


def xml_of(data: bytes, draw: random.Random) -> bytes:
    """Elements of an xml tree removed, repeated, moved, renamed; attributes replaced."""
    root = ET.fromstring(data)  # our own file
    for _ in range(draw.randint(1, 3)):
        parents = [node for node in root.iter() if len(node)]
        parent = draw.choice(parents) if parents else root
        child = draw.choice(list(parent)) if len(parent) else parent
        match draw.randrange(6):
            case 0 if child is not parent:
                parent.remove(child)
            case 1 if child is not parent:
                parent.append(child)
            case 2 if child is not parent:
                inside = set(child.iter())  # an element within itself would have no end
                draw.choice([node for node in parents if node not in inside]).append(child)
            case 3:
                child.tag = draw.choice(("Data", "Panel", "Entity", "Rule", "Layout", "Nothing"))
            case 4 if child.attrib:
                del child.attrib[draw.choice(list(child.attrib))]
            case _:
                name = draw.choice([*child.attrib, "Type", "name", "bbox"])
                child.set(name, str(draw.choice(VALUES)).replace("\u0000", ""))
        if sum(1 for _ in root.iter()) > 5000:
            break
    return ET.tostring(root)


def hostile_xml(data: bytes, draw: random.Random) -> bytes:
    """Document types, entities, external files, deep nesting and odd encodings around a good file."""
    bomb = "".join(f'<!ENTITY a{k} "{f"&a{k - 1};" * 10}">' for k in range(1, 12))
    head = draw.choice(
        (
            f'<!DOCTYPE Data [<!ENTITY a0 "ha">{bomb}]>',
            '<!DOCTYPE Data [<!ENTITY x SYSTEM "file:///etc/hostname">]>',
            '<!DOCTYPE Data SYSTEM "http://127.0.0.1:9/none.dtd">',
            '<!DOCTYPE Data [<!ENTITY % p SYSTEM "file:///etc/hostname"> %p;]>',
            '<?xml version="1.0" encoding="utf-16"?>',
            '<?xml version="1.0" encoding="nonsense"?>',
            '<?xml version="1.1"?>',
            "<a>" * draw.choice((10, 1000, 20000)),
            "\ufeff" * draw.randint(1, 3),
        )
    ).encode()
    reference = draw.choice((b"&a11;", b"&x;", b"&#0;", b"&#x110000;", b"", b"<![CDATA[x]]>"))
    return head + data.replace(b"<Panels>", reference + b"<Panels>", draw.randint(0, 1))


def npz_of(data: bytes, draw: random.Random) -> bytes:
    """Members replaced by other arrays, pickles, lying headers; left out, repeated, compressed."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = draw.choice(list(members))
    shapes = ((), (0,), (1,), (9,), (21,), (8, 9), (16, 160, 160), (160, 160, 16), (4, 4, 4, 4))
    kinds = ("u1", "i8", "<f4", ">i4", "?", "S3", "U3", "c8", "M8[s]", "i2,i2")
    replaced = io.BytesIO()
    match draw.randrange(6):
        case 0:
            array = np.zeros(draw.choice(shapes), dtype=draw.choice(kinds))
            np.lib.format.write_array(replaced, array, allow_pickle=False)
        case 1:
            array = np.empty(draw.choice(((), (1,), (8,))), dtype=object)
            np.lib.format.write_array(replaced, array, allow_pickle=True)
        case 2:
            lie = draw.choice(("(99999999999,)", "(-1,)", "(16, 160)", "(2**70,)", "None", "(((((", "(16, 160, 1e3)"))
            header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {lie}, }}".ljust(117) + "\n"
            replaced.write(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode())
        case 3:
            replaced.write(bytes_of(members[name][:300], draw) + members[name][300:])
        case 4:
            replaced.write(members[draw.choice(list(members))])
        case _:
            replaced.write(b"")
    members[name] = replaced.getvalue()
    if draw.random() < 0.2:
        del members[draw.choice(list(members))]
    out = io.BytesIO()
    kind = draw.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
    with zipfile.ZipFile(out, "w", kind) as archive:
        for member, content in members.items():
            archive.writestr(member, content)
    return out.getvalue()


# ----------------------------------------------------------------------------------------------------------------- law


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small set of good files of every form."""
    folder = tmp_path_factory.mktemp("good")
    for name in ("center_single", "distribute_four", "in_distribute_four_out_center_single"):
        arrays = datasets.generate("iraven", name, n=2, seed=1)
        write_raven(arrays, folder / "tree" / name, images=False)
        write_json(arrays, folder)
    write_raven(datasets.generate("iraven", "left_right", n=1), folder / "pixels")
    write_json(datasets.generate("iraven_x", n=2, columns=3, maxval=40, confounders=2), folder)
    produce(Order("iraven", ("distribute_four",), n=3, form="shards", images=False), folder / "shards")
    return folder


def refuses_or_reads(work: Callable[[], Any], memory: bool = False) -> bool:
    """True when it was read; a sentence otherwise; anything else is a failure. Measuring memory costs time."""
    if memory:
        tracemalloc.start()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            work()
    except VSAError as error:
        sentence = str(error)
        assert sentence
        assert "\n" not in sentence
        assert len(sentence) < 2000, len(sentence)
        return False
    finally:
        if memory:
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert peak < MOST_MEMORY, f"{peak >> 20} MiB"
    return True


def read_all(path: Path) -> None:
    for arrays in read(path).values():
        arrays.validate()


def case(good: Path, folder: Path, form: str, seed: int) -> None:
    draw = random.Random(seed)
    mutator: dict[str, Mutator] = {"json": json_of, "xml": xml_of, "hostile": hostile_xml, "npz": npz_of}
    if form in ("json", "json-bytes"):
        source = draw.choice(sorted(good.glob("*.json")))
        path = folder / source.name
        path.write_bytes(mutator.get(form, bytes_of)(source.read_bytes(), draw))
        refuses_or_reads(lambda: read_all(path))
    elif form in ("xml", "hostile", "xml-bytes"):
        source = draw.choice(sorted(good.glob("tree/*/*.xml")))
        path = folder / source.name
        path.write_bytes(mutator.get(form, bytes_of)(source.read_bytes(), draw))
        path.with_suffix(".npz").write_bytes(source.with_suffix(".npz").read_bytes())
        refuses_or_reads(lambda: read_all(path), memory=form == "hostile")
    else:
        source = good / "pixels" / "RAVEN_0_train.npz"
        path = folder / source.name
        path.write_bytes((npz_of if form == "npz" and draw.random() < 0.7 else bytes_of)(source.read_bytes(), draw))
        path.with_suffix(".xml").write_bytes(source.with_suffix(".xml").read_bytes())
        refuses_or_reads(lambda: read_npz(path), memory=True)
        refuses_or_reads(lambda: read_all(path))
        left = datasets.generate("iraven", "left_right", n=1)
        refuses_or_reads(lambda: read_images(folder, left))


FORMS = ("json", "json-bytes", "xml", "xml-bytes", "hostile", "npz")
quiet = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=QUICK, deadline=None, derandomize=True, suppress_health_check=quiet)
@given(seed=st.integers(0, 2**32))
def test_a_broken_file_is_refused_or_read(good: Path, tmp_path: Path, form: str, seed: int) -> None:
    case(good, tmp_path, form, seed)


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=LONG, deadline=None, suppress_health_check=quiet)
@given(seed=st.integers(0, 2**32))
def test_thousands_of_broken_files(good: Path, tmp_path: Path, form: str, seed: int) -> None:
    case(good, tmp_path, form, seed)


@settings(max_examples=QUICK, deadline=None, derandomize=True, suppress_health_check=quiet)
@given(seed=st.integers(0, 2**32))
def test_broken_shards_are_noticed_always(good: Path, tmp_path: Path, seed: int) -> None:
    """A shard's hash lets nothing pass that is not what was written."""
    draw = random.Random(seed)
    folder = tmp_path / "shards" / "distribute_four"
    folder.mkdir(parents=True, exist_ok=True)
    manifest = (good / "shards" / "manifest.json").read_bytes()
    data = (good / "shards" / "distribute_four" / "00000.npz").read_bytes()
    broken = bytes_of(data, draw)
    (folder / "00000.npz").write_bytes(broken)
    (folder.parent / "manifest.json").write_bytes(manifest)
    assert refuses_or_reads(lambda: Shards(folder.parent).arrays("2x2")) == (broken == data)
    (folder / "00000.npz").write_bytes(data)
    (folder.parent / "manifest.json").write_bytes(json_of(manifest, draw))
    refuses_or_reads(lambda: Shards(folder.parent).arrays("2x2"))


def test_the_mutators_break_most_files_but_not_all(good: Path) -> None:
    """Otherwise the law above would be empty."""
    source = sorted(good.glob("*.json"))[0]
    data = source.read_bytes()
    assert len({bytes_of(data, random.Random(k)) for k in range(50)}) > 45
    assert len({json_of(data, random.Random(k)) for k in range(50)}) > 40
    read_all(source)

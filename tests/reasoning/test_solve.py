"""``python -m reasoning.solve``: from pictures in any form to the same answer, or to one sentence."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

import datasets
import reasoning
from datasets.pixels.picture import page, png
from reasoning.solver import Solver
from reasoning.solving import making as solve
from reasoning.solving.solution import Solution
from tests.command_line import call
from vsa.errors import DtypeError, SettingsError, ShapeError, VSAError

SCRIPT = Path(__file__).with_name("fake_looking.py")
SHORT = ("center", "2x2", "3x3", "left_right", "up_down", "out_in", "out_in_grid")


@pytest.fixture(scope="module")
def known():
    """Puzzles that the front-end ``by_heart`` knows: short name -> (arrays, images)."""
    if SCRIPT.stem not in sys.modules:
        spec = importlib.util.spec_from_file_location(SCRIPT.stem, SCRIPT)
        sys.modules[SCRIPT.stem] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[SCRIPT.stem])
    module = sys.modules[SCRIPT.stem]
    return lambda name: module.known(datasets.resolve_constellation(name))[:2]


def run(*arguments):
    return call("reasoning.solve", [*map(str, arguments), "perception=by_heart", "+model=symbolic"])


def solved(*arguments):
    code, out, err = run(*arguments, "--json")
    assert code == 0, err
    return json.loads(out)


def refused(*arguments):
    code, out, err = run(*arguments)
    assert code == 2, (code, out)
    assert out == "" and "Traceback" not in err and err.count("error:") == 1
    return " ".join(err.split())


def saved(path, array):
    assert cv2.imwrite(str(path), array)
    return path


def bare(found):
    """Without what tells the forms apart."""
    return {key: value for key, value in found.items() if key not in ("name", "notes")}


def npz(path, images, **others):
    np.savez(path, image=images, **others)
    return path


@pytest.mark.parametrize("name", SHORT)
def test_a_sheet_of_every_layout(known, tmp_path, name):
    arrays, images = known(name)
    for item in range(2):
        path = tmp_path / f"{item}.png"
        path.write_bytes(png(page(images[item])))
        found = solved(path)
        assert found["answer"] == arrays.target[item]
        assert found["layout"]["name"] == name and found["layout"]["probability"] > 0.9
        assert found["notes"] == []


def test_the_json(known, tmp_path):
    """Its keys and types, for whoever reads it with a program."""
    _, images = known("left_right")
    found = solved(npz(tmp_path / "a.npz", images[0]))
    assert list(found) == ["name", "answer", "confidence", "layout", "rules", "candidates", "notes"]
    assert type(found["answer"]) is int and 0 <= found["answer"] <= 7
    assert 0.9 < found["confidence"] <= 1
    assert set(found["layout"]) == {"name", "probability"}
    assert {(rule["component"], rule["attribute"]) for rule in found["rules"]} == {
        (side, name) for side in ("Left", "Right") for name in ("Type", "Size", "Color")
    }
    for rule in found["rules"]:
        assert set(rule) == {"component", "attribute", "rule", "confidence"}
        assert rule["rule"] and 0 <= rule["confidence"] <= 1
    assert len(found["candidates"]) == 8
    assert sum(candidate["probability"] for candidate in found["candidates"]) == pytest.approx(1, abs=1e-4)
    for number, candidate in enumerate(found["candidates"]):
        assert set(candidate) == {"score", "probability", "wrong_because"}
        assert (candidate["wrong_because"] == []) == (number == found["answer"])
        assert all("which should be" in fault for fault in candidate["wrong_because"])
    assert found["candidates"][found["answer"]]["probability"] == pytest.approx(found["confidence"])


def test_every_form_gives_the_same(known, tmp_path):
    """Bit for bit where the pixels are the same; the same answer where they were resized."""
    arrays, images = known("2x2")
    target, panels, sheet = int(arrays.target[0]), images[0], page(images[0])
    base = solved(npz(tmp_path / "a.npz", panels))
    grey = sheet[..., 0]
    clear = np.dstack([sheet, np.where(grey == 255, 0, 255).astype(np.uint8)])
    clear[grey == 255, :3] = 0  # transparent and black below
    same = {
        "rgb": sheet,
        "grey": grey,
        "16 bit": grey.astype(np.uint16) * 257,
        "transparent": clear,
        "marked": page(panels, (target + 3) % 8)[..., ::-1],
        "margins": np.pad(grey, ((90, 11), (7, 160)), constant_values=255),
        "grey paper": np.where(np.pad(grey, 20) == 0, np.uint8(0), np.pad(grey, 20)),
    }
    for name, picture in same.items():
        found = solved(saved(tmp_path / f"{name}.png", picture))
        assert bare(found) == bare(base), name
        assert found["notes"] == [], name
    files = [saved(tmp_path / f"panel_{k:02}.png", panel) for k, panel in enumerate(panels)]
    assert bare(solved(*files)) == bare(base)
    found = solved(saved(tmp_path / "black.png", 255 - grey))
    assert bare(found) == bare(base) and "turned round" in found["notes"][0]
    words = sheet.copy()
    for k in range(8):
        cv2.putText(words, str(k + 1), (90 + 176 * (k % 4), 542 + 176 * (k // 4)), cv2.FONT_HERSHEY_PLAIN, 0.7, 0)
    assert bare(solved(saved(tmp_path / "words.png", words))) == bare(base)
    for scale in (0.5, 1.5, 2.0):
        found = solved(saved(tmp_path / "scaled.png", cv2.resize(grey, None, fx=scale, fy=scale)))
        assert found["answer"] == base["answer"] == target, scale
        assert "resized" in found["notes"][0]
    half = np.stack([cv2.resize(panel, (80, 80), interpolation=cv2.INTER_AREA) for panel in panels])
    assert solved(npz(tmp_path / "half.npz", half))["answer"] == target
    assert solved(npz(tmp_path / "black.npz", 255 - panels))["notes"] == ["white on black: turned round"]
    faint = np.rint(60 + panels.astype(float) * 0.7).astype(np.uint8)
    found = solved(npz(tmp_path / "faint.npz", faint))
    assert found["answer"] == target and "stretched" in found["notes"][0]


def test_a_palette(known, tmp_path):
    """Indexed colors, one bit: what drawing programs make of black and white."""
    import struct
    import zlib

    _, images = known("center")
    sheet = (page(np.where(images[0] < 128, 0, 255).astype(np.uint8))[..., 0] > 128).astype(np.uint8)
    rows = b"".join(b"\0" + np.packbits(line).tobytes() for line in sheet)

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", sheet.shape[1], sheet.shape[0], 1, 3, 0, 0, 0)
    palette = chunk(b"PLTE", bytes([0, 0, 0, 255, 255, 255]))
    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + palette
    (tmp_path / "p.png").write_bytes(content + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
    code, out, err = run(tmp_path / "p.png", "layout=center", "--json")
    assert code == 0, err
    assert json.loads(out)["layout"] == {"name": "center", "probability": 1.0}


def test_a_table_of_panels(known, tmp_path):
    """Panels that share their lines, as papers print them; a frame around the whole."""
    arrays, images = known("up_down")

    def table(panels, columns):
        rows = len(panels) // columns
        sheet = np.zeros((162 * rows + 2, 162 * columns + 2), np.uint8)
        for k, panel in enumerate(panels):
            y, x = 2 + 162 * (k // columns), 2 + 162 * (k % columns)
            sheet[y : y + 160, x : x + 160] = panel
        return sheet

    sheet = np.full((960, 700), 255, np.uint8)
    top, below = table([*images[0][:8], np.full((160, 160), 255, np.uint8)], 3), table(images[0][8:], 4)
    sheet[20 : 20 + top.shape[0], 100 : 100 + top.shape[1]] = top
    sheet[560 : 560 + below.shape[0], 20 : 20 + below.shape[1]] = below
    assert solved(saved(tmp_path / "a.png", sheet))["answer"] == arrays.target[0]
    sheet[2:4] = sheet[-4:-2] = 0
    sheet[2:-2, 2:4] = sheet[2:-2, -4:-2] = 0
    assert solved(saved(tmp_path / "b.png", sheet))["answer"] == arrays.target[0]


def test_labels_are_not_looked_at(known, tmp_path):
    """An npz whose labels are scrambled, or missing, or no labels at all."""
    arrays, _ = known("out_in")
    folder = tmp_path / "puzzles"
    datasets.write_raven(arrays, folder)
    path = next(iter(sorted(folder.rglob("*.npz"))))
    with np.load(path) as archive:
        members = {name: archive[name] for name in archive.files}
    one = solved(path)
    members["target"] = (members["target"] + 3) % 8
    members["predict"] = np.array(99)
    members["meta_matrix"] = 1 - members["meta_matrix"]
    members["structure"] = np.array([b"nonsense"])
    other = tmp_path / path.name
    np.savez(other, **members)
    assert solved(other) == one
    assert bare(solved(npz(tmp_path / "bare.npz", members["image"]))) == bare(one)
    assert "target" not in json.dumps(one) and "right" not in run(path)[1].replace("right in all but", "")


def test_several_npz(known, tmp_path):
    paths = [npz(tmp_path / f"{name}.npz", known(name)[1][0]) for name in ("center", "3x3")]
    found = solved(*paths)
    assert [one["name"] for one in found] == ["center.npz", "3x3.npz"]
    assert [one["layout"]["name"] for one in found] == ["center", "3x3"]
    code, out, err = run(*paths)
    assert code == 0, err
    assert out.count("answer: candidate") == 2 and "\n\n3x3.npz\n" in out


def test_the_words(known, tmp_path):
    arrays, images = known("left_right")
    code, out, err = run(npz(tmp_path / "a.npz", images[0]))
    assert code == 0, err
    lines = out.splitlines()
    assert lines[0] == "a.npz"
    assert lines[1].startswith(f"answer: candidate {arrays.target[0] + 1} (confidence ")
    assert lines[2].startswith("layout: left_right (")
    assert sum(line.startswith("candidate ") for line in lines) == 7


@pytest.mark.parametrize(
    ("words", "order"),
    [
        ("the candidates come first", [*range(8, 16), *range(8)]),
        ("column by column", [0, 3, 6, 1, 4, 7, 2, 5, *range(8, 16)]),
        ("is the order of the pictures right", [5, 12, 0, 9, 3, 15, 7, 1, 14, 2, 11, 6, 8, 4, 13, 10]),
    ],
)
def test_another_order_is_noticed(known, tmp_path, words, order):
    _, images = known("center")
    notes = solved(npz(tmp_path / "a.npz", images[0][order]))["notes"]
    assert any(words in note for note in notes), notes


def pictures(tmp_path, known):
    """What is refused: name -> (files, a word of the sentence)."""
    _, images = known("center")
    sheet = page(images[0])
    panels = [saved(tmp_path / f"p{k}.png", panel) for k, panel in enumerate(images[0])]
    whole = saved(tmp_path / "whole.png", sheet).read_bytes()
    yy, xx = np.mgrid[:600, :800]
    photo = np.dstack([(xx / 4) % 256, (yy / 3) % 256, (xx + yy) / 6 % 256]).astype(np.uint8)
    colored = sheet.copy()
    colored[30:80, 120:170] = (40, 60, 220)
    mixed = images[0].copy()
    mixed[3] = 255 - mixed[3]
    blank = images[0].copy()
    blank[5] = 255
    lines = np.full((16, 160, 160), 255, np.uint8)
    for k in range(16):
        cv2.line(lines[k], (5, 10 + 7 * k), (155, 150 - 7 * k), 0, 9)
    (tmp_path / "cut.png").write_bytes(whole[:-200])
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 255
    (tmp_path / "flipped.png").write_bytes(flipped)
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "text.png").write_bytes(b"no picture")
    (tmp_path / "text.npz").write_bytes(b"no archive")
    (tmp_path / "folder").mkdir()
    wide = saved(tmp_path / "wide.png", np.pad(images[0][0], ((0, 0), (0, 60)), constant_values=255))
    return {
        "no file": ([], "no file"),
        "missing": ([tmp_path / "nowhere.png"], "no such file"),
        "missing npz": ([tmp_path / "nowhere.npz"], "does not exist"),
        "a folder": ([tmp_path / "folder"], "a folder"),
        "cut": ([tmp_path / "cut.png"], "damaged or missing parts"),
        "flipped": ([tmp_path / "flipped.png"], "damaged or missing parts"),
        "empty": ([tmp_path / "empty.png"], "no PNG"),
        "text": ([tmp_path / "text.png"], "no PNG"),
        "no archive": ([tmp_path / "text.npz"], "a whole npz"),
        "15 files": (panels[:15], "15 files"),
        "17 files": ([*panels, panels[0]], "17 files"),
        "two sheets": ([tmp_path / "whole.png"] * 2, "2 files"),
        "both kinds": ([npz(tmp_path / "a.npz", images[0]), panels[0]], "1 npz and 1 other"),
        "one panel": ([panels[0]], "0 panels"),
        "a photo": ([saved(tmp_path / "photo.png", photo)], "panels"),
        "colors": ([saved(tmp_path / "colored.png", colored)], "in colors"),
        "many puzzles": ([saved(tmp_path / "two.png", np.hstack([sheet, sheet]))], "panels in rows of"),
        "white": ([saved(tmp_path / "white.png", np.full((500, 400), 255, np.uint8))], "0 panels"),
        "not square": ([wide, *panels[1:]], "expected a square"),
        "two polarities": ([npz(tmp_path / "mixed.npz", mixed)], "panel 4"),
        "blank": ([npz(tmp_path / "blank.npz", blank)], "panel 6"),
        "15 panels": ([npz(tmp_path / "15.npz", images[0][:15])], "shape (15, 160, 160)"),
        "axes": ([npz(tmp_path / "axes.npz", np.moveaxis(images[0], 0, 2))], "move axis 2 to the front"),
        "no image": ([npz(tmp_path / "none.npz", images[0]), tmp_path / "text.npz"], "a whole npz"),
        "no puzzle": ([npz(tmp_path / "lines.npz", lines)], "do not look like any layout"),
    }


def test_what_is_refused(known, tmp_path):
    """One sentence and exit code 2, which names the file or what was found."""
    for name, (files, word) in pictures(tmp_path, known).items():
        sentence = refused(*files)
        assert word in sentence, (name, sentence)
        assert len(sentence) < 600, (name, sentence)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["layout=4x4"], "4x4"),
        (["--fast"], "unknown option"),
        (["typo=3"], "typo"),
        (["out=a.jpg"], "NAME.svg"),
        (["device=moon"], "moon"),
    ],
)
def test_settings_that_make_no_sense(known, tmp_path, arguments, word):
    path = npz(tmp_path / "a.npz", known("center")[1][0])
    assert word in refused(path, *arguments)


def test_a_front_end_that_reads_labels(known, tmp_path):
    path = npz(tmp_path / "a.npz", known("center")[1][0])
    code, _, err = call("reasoning.solve", [str(path), "+model=symbolic", "perception=oracle"])
    assert code == 2 and "looks at pixels" in " ".join(err.split())


def test_a_layout_that_is_said(known, tmp_path):
    _, images = known("2x2")
    path = npz(tmp_path / "a.npz", images[0])
    assert solved(path, "layout=2x2")["layout"] == {"name": "2x2", "probability": 1.0}
    code, out, err = run(path, "layout=center", "--json")
    assert code == 2 or "do not trust" in json.loads(out)["notes"][0], err


@pytest.mark.parametrize("form", ["png", "svg"])
def test_the_picture(known, tmp_path, form):
    path, out = npz(tmp_path / "a.npz", known("out_in_grid")[1][0]), tmp_path / "new" / f"b.{form}"
    code, said, err = run(path, f"out={out}")
    assert code == 0, err
    assert said.rstrip().endswith(f"picture in {out}")
    first = out.read_bytes()
    assert first.startswith(b"\x89PNG" if form == "png" else b"<?xml")
    assert run(path, f"out={out}")[0] == 0 and out.read_bytes() == first
    out.write_bytes(b"mine")
    assert "exists" in refused(path, f"out={out}")
    assert out.read_bytes() == b"mine"
    assert run(path, f"out={out}", "overwrite=true")[0] == 0 and out.read_bytes() == first


def test_pictures_of_several(known, tmp_path):
    paths = [npz(tmp_path / f"{k}.npz", known("center")[1][k]) for k in range(2)]
    assert "a folder" in refused(*paths, f"out={tmp_path / 'a.png'}")
    assert run(*paths, f"out={tmp_path / 'drawn'}")[0] == 0
    assert sorted(path.name for path in (tmp_path / "drawn").iterdir()) == ["0.png", "1.png"]


def test_in_python(known):
    """The same from an array, of any size and polarity."""
    arrays, images = known("2x2")
    found = reasoning.solve_images(images[0], "+model=symbolic", "perception=by_heart")
    assert isinstance(found, Solution) and found.answer == arrays.target[0]
    assert str(found).startswith("pictures\nanswer: candidate ") and found._repr_png_().startswith(b"\x89PNG")
    other = reasoning.solve_images(1 - images[0] / 255.0, "+model=symbolic", "perception=by_heart")
    assert other.answer == found.answer and other.notes == ("white on black: turned round",)
    settings, _ = solve.parse(["+model=symbolic", "perception=by_heart"])
    solver = solve.solver_of(settings, ["+model=symbolic", "perception=by_heart"])
    assert isinstance(solver, Solver)
    explanation = solver.explain_images(images[0])
    assert explanation.answer == found.answer and explanation.target is explanation.right is None
    assert explanation.title == "pictures, distribute_four" and explanation.plot() is not None
    assert json.loads(json.dumps(explanation.as_dict()))["puzzle"]["constellation"] == "distribute_four"
    assert reasoning.solve_images(images[0], solver=solver).as_dict() == found.as_dict()
    with pytest.raises(ShapeError, match="16, 160, 160"):
        reasoning.solve_images(images, solver=solver)
    with pytest.raises(DtypeError, match="numbers from"):
        reasoning.solve_images(images[0].astype(float) * 9, solver=solver)
    with pytest.raises(VSAError, match="looks at pixels"):
        reasoning.make_solver("symbolic").explain_images(images[0])
    with pytest.raises(SettingsError, match=r"blank|background|do not look like"):
        reasoning.solve_images(np.random.default_rng(0).integers(0, 2, (16, 160, 160)) * 255, solver=solver)

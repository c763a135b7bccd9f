"""Pixels, masks and boxes: exactly those of the published generator."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import datasets
from datasets.constellations import CONSTELLATIONS
from datasets.files.read import read
from datasets.loaders import PuzzleBatch
from datasets.pixels import drawing
from datasets.pixels.drawing import draw, draw_colors, mask_of, real_box, run_lengths
from datasets.pixels.render import entity_codes, render, split_code
from vsa.errors import UnsupportedError, VSAError

ROOT = Path(__file__).resolve().parents[2]
ENTITY = re.compile(
    r'<Entity Angle="(\d)" Color="\d" Size="(\d)" Type="(\d)" bbox="([^"]+)" mask="([^"]+)" real_bbox="([^"]+)" />'
)


@pytest.mark.parametrize("kind", ["I-RAVEN", "RAVEN"])
@pytest.mark.parametrize("constellation", CONSTELLATIONS)
def test_every_panel_of_the_reference(reference: Path, kind: str, constellation: str) -> None:
    folder = reference / kind / constellation
    arrays = read(folder)[constellation]
    images = render(arrays)
    for i, number in enumerate(arrays.index.tolist()):
        (file,) = folder.glob(f"RAVEN_{number}_*.npz")
        with np.load(file) as published:
            differ = (published["image"] != images[i]).sum(axis=(1, 2))
        assert not differ.any(), f"{file.name}: pixels that differ by panel: {differ.tolist()}"
    assert len(arrays) == (30 if kind == "I-RAVEN" else 10)


@pytest.mark.parametrize("constellation", CONSTELLATIONS)
def test_masks_and_boxes_of_the_reference(reference: Path, constellation: str) -> None:
    found: set[tuple[str, ...]] = set()
    for file in sorted((reference / "I-RAVEN" / constellation).glob("*.xml")):
        found |= set(ENTITY.findall(file.read_text()))
    assert len(found) > 100
    for angle, size, type_, box, mask, real in found:
        levels = (tuple(json.loads(box)), int(type_), int(size), int(angle))
        assert run_lengths(mask_of(*levels)) == mask
        assert json.dumps(real_box(*levels)) == real


def test_a_whole_panel_is_its_entities_one_above_the_other() -> None:
    """The sprites of render, against plain drawing of whole panels."""
    for name, constellation in CONSTELLATIONS.items():
        arrays = datasets.generate("iraven", name, n=2, seed=5)
        images = render(arrays)
        for i in range(2):
            for p in range(16):
                canvas = np.full((160, 160), 255, dtype=np.uint8)
                for component, layout in zip(arrays.components, constellation.components, strict=True):
                    for s in component.exists[i, p].nonzero()[0]:
                        levels = [int(component.attributes[a][i, p, s]) for a in ("Type", "Size", "Color", "Angle")]
                        one = draw(layout.boxes[s], *levels)
                        canvas = np.where(one < 255, one, canvas)
                if constellation.structure == "Left_Right":
                    canvas[:, 80] = 0
                elif constellation.structure == "Up_Down":
                    canvas[80, :] = 0
                np.testing.assert_array_equal(images[i, p], canvas)


def test_batches_and_order_do_not_matter() -> None:
    arrays = datasets.generate("raven", "out_in_grid", n=70, seed=3)
    whole = render(arrays)
    backwards = np.arange(70)[::-1]
    np.testing.assert_array_equal(render(arrays[backwards]), whole[backwards])
    np.testing.assert_array_equal(render(arrays[13:14])[0], whole[13])
    assert whole.shape == (70, 16, 160, 160)
    assert (whole[:, :, ::159, ::159] == 255).all()
    np.testing.assert_array_equal(PuzzleBatch.of(arrays[3:5]).images().numpy(), whole[3:5])


@pytest.mark.parametrize("type_", range(1, 6))
def test_colors_drawn_together_are_those_drawn_alone(type_: int) -> None:
    for box in (CONSTELLATIONS["center_single"].components[0].boxes[0], (0.83, 0.16, 0.33, 0.33)):
        for size, angle in ((0, 1), (2, 4), (3, 0), (5, 6)):
            together = draw_colors(box, type_, size, range(10), angle)
            alone = [draw(box, type_, size, color, angle) for color in range(10)]
            np.testing.assert_array_equal(together, np.stack(alone))


def test_levels_2_and_3_of_small_squares_look_the_same() -> None:
    """The one ambiguity of the pixels: the inner grid of O-IG."""
    box = CONSTELLATIONS["in_distribute_four_out_center_single"].components[1].boxes[0]
    np.testing.assert_array_equal(draw(box, 2, 2, 4, 1), draw(box, 2, 3, 4, 1))
    assert (draw(box, 2, 3, 4, 1) != draw(box, 2, 4, 4, 1)).any()


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 5), st.integers(0, 5), st.integers(0, 9), st.integers(0, 7))
def test_codes_are_one_to_one(type_: int, size: int, color: int, angle: int) -> None:
    assert split_code(((type_ * 6 + size) * 10 + color) * 8 + angle) == (type_, size, color, angle)


def test_codes_of_arrays() -> None:
    component = datasets.generate("iraven", "2x2", n=5).components[0]
    codes = entity_codes(component)
    assert ((codes >= 0) == component.exists).all()
    i, p, s = (int(axis[7]) for axis in component.exists.nonzero())
    levels = tuple(int(component.attributes[name][i, p, s]) for name in ("Type", "Size", "Color", "Angle"))
    assert split_code(int(codes[i, p, s])) == levels


@settings(max_examples=200, deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=60))
def test_run_lengths_hold_the_mask(bits: list[bool]) -> None:
    runs = json.loads(run_lengths(np.array(bits)))
    again = np.zeros(len(bits), dtype=bool)
    for start, length in zip(runs[::2], runs[1::2], strict=True):
        assert length > 0
        assert not again[max(start - 2, 0) : start - 1].any()  # runs do not touch
        again[start - 1 : start - 1 + length] = True
    assert again.tolist() == bits


def test_what_has_no_picture() -> None:
    with pytest.raises(UnsupportedError, match="I-RAVEN-X is defined by values alone"):
        render(datasets.generate("iraven_x", n=1))
    arrays = datasets.generate("iraven", n=1)
    arrays.components[0].attributes["Color"][...] = 10
    with pytest.raises(VSAError, match="Color levels 10 to 10; expected 0 to 9"):
        render(arrays)


def test_opencv_of_another_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing.opencv(), "__version__", "5.0.0")
    drawing.opencv.cache_clear()
    try:
        with pytest.raises(VSAError, match=r"received OpenCV 5.0.0; expected opencv-python-headless >= 4.10, < 5"):
            drawing.opencv()
    finally:
        drawing.opencv.cache_clear()


def test_without_opencv_one_sentence_says_what_to_install() -> None:
    code = """
    import sys
    sys.modules["cv2"] = None
    import datasets
    from datasets.pixels.render import render
    puzzles = datasets.generate("iraven", n=1)
    puzzle = datasets.Puzzle.from_arrays(puzzles, 0)
    assert "<svg" in puzzle._repr_html_() and puzzle._repr_png_() is None and "candidates" in str(puzzle)
    try:
        render(puzzles)
    except ValueError as error:
        print(error)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "pip install -c constraints.txt -e '.[images]'" in done.stdout
    assert done.stdout.count("\n") == 1

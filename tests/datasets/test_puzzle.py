"""Puzzles as objects: what they hold, refuse and show."""

from __future__ import annotations

import pickle
import sys
from dataclasses import FrozenInstanceError, replace

import defusedxml.ElementTree
import pytest

import datasets
from datasets.arrays import equal
from datasets.pixels.views import html, text
from datasets.puzzle import Entity, Panel, Puzzle, RuleInstance
from datasets.puzzle_arrays import arrays_of
from vsa.errors import DtypeError, ShapeError, UnsupportedError, VSAError

CONSTELLATIONS = list(datasets.CONSTELLATIONS)


@pytest.mark.parametrize("constellation", CONSTELLATIONS)
def test_a_puzzle_holds_what_the_arrays_hold(constellation: str) -> None:
    arrays = datasets.generate("iraven", constellation, n=3, seed=5, start=20)
    puzzle = Puzzle.from_arrays(arrays, -1)
    assert (puzzle.index, puzzle.target, puzzle.columns, puzzle.maxval) == (22, int(arrays.target[2]), 3, None)
    assert puzzle.answer is puzzle.candidates[puzzle.target]
    for p, panel in enumerate((*puzzle.context, *puzzle.candidates)):
        for c, entities in enumerate(panel.components):
            component = arrays.components[c]
            assert [e.slot for e in entities] == component.exists[2, p].nonzero()[0].tolist()
            for entity in entities:
                for name in ("Type", "Size", "Color", "Angle"):
                    assert entity.level(name) == component.attributes[name][2, p, entity.slot]
            if component.uniformity is not None:
                assert panel.uniformity is not None
                assert panel.uniformity[c] == component.uniformity[2, p]
    assert len(puzzle.rules) == 4 * len(arrays.components)
    assert pickle.loads(pickle.dumps(puzzle)) == puzzle
    assert hash(puzzle) == hash(Puzzle.from_arrays(arrays, 2))


@pytest.mark.parametrize(
    ("name", "constellation", "options"),
    [("iraven", constellation, {}) for constellation in CONSTELLATIONS]
    + [("iraven_x", "center_single", {"columns": 4, "maxval": 90, "confounders": 12})],
)
def test_objects_become_the_arrays_they_came_from(name: str, constellation: str, options: dict[str, int]) -> None:
    arrays = datasets.generate(name, constellation, n=3, seed=5, **options)
    for item in range(3):
        back = arrays_of(Puzzle.from_arrays(arrays, item))
        angles = "Angle" in back.components[0].attributes
        assert angles == ("Angle" in arrays.components[0].attributes)
        assert equal(back.validate(), replace(arrays[item : item + 1], modified=None))


def test_odd_objects_do_not_become_arrays() -> None:
    puzzle = Puzzle.from_arrays(datasets.generate("iraven", "center", n=1, seed=5), 0)
    with pytest.raises(UnsupportedError, match="3 rules"):
        arrays_of(replace(puzzle, rules=puzzle.rules[1:]))
    still = replace(puzzle.context[0], components=((replace(puzzle.context[0].components[0][0], angle=None),),))
    without = arrays_of(replace(puzzle, context=(still, *puzzle.context[1:])))
    assert "Angle" not in without.components[0].attributes


def test_confounders_keep_their_numeric_order() -> None:
    arrays = datasets.generate("iraven_x", n=1, columns=3, maxval=30, confounders=12)
    entity = Puzzle.from_arrays(arrays, 0).context[0].components[0][0]
    wanted = [arrays.components[0].attributes[f"Confounder{k}"][0, 0, 0] for k in range(12)]
    assert list(entity.confounders) == wanted


def test_frozen_and_out_of_bounds() -> None:
    arrays = datasets.generate("iraven", n=2)
    puzzle = Puzzle.from_arrays(arrays, 0)
    with pytest.raises(FrozenInstanceError):
        puzzle.target = 3  # type: ignore[misc]
    for item in (2, -3):
        with pytest.raises(IndexError, match=f"puzzle {item} of 2"):
            Puzzle.from_arrays(arrays, item)


def entity(**changes: int) -> Entity:
    return Entity(**{"slot": 0, "type": 3, "size": 2, "color": 1, "angle": 4, **changes})


def test_wrong_parts_are_refused() -> None:
    puzzle = Puzzle.from_arrays(datasets.generate("iraven", "2x2", n=1), 0)
    with pytest.raises(DtypeError, match=r"Entity, type: received '3'; expected an int"):
        Entity(slot=0, type="3", size=0, color=0)  # type: ignore[arg-type]
    with pytest.raises(VSAError, match="Entity, color: received -1; expected at least 0"):
        entity(color=-1)
    with pytest.raises(VSAError, match=r"Panel, component 0: received slots \[1, 1\]"):
        Panel(((entity(slot=1), entity(slot=1)),))
    with pytest.raises(VSAError, match="at least one entity"):
        Panel(((),))
    with pytest.raises(ShapeError, match="received 2 uniformities; expected 1"):
        Panel(((entity(),),), (0, 3))
    with pytest.raises(VSAError, match="RuleInstance, name: received 'constant'"):
        RuleInstance(0, "Type", "constant")
    with pytest.raises(VSAError, match="RuleInstance, attribute: received 'Angle'"):
        RuleInstance(0, "Angle", "Constant")
    with pytest.raises(ShapeError, match="received 7 context panels and 8 candidates; expected 8 and 8"):
        replace(puzzle, context=puzzle.context[:7])
    with pytest.raises(VSAError, match="Puzzle, target: received 8; expected 0 to 7"):
        replace(puzzle, target=8)
    for wrong, words in ((entity(slot=4), "slot 4"), (entity(size=6), "Size: received 6"), (entity(type=0), "Type")):
        with pytest.raises(VSAError, match=f"Puzzle, panel 8, Grid.*{words}"):
            replace(puzzle, candidates=(Panel(((wrong,),)), *puzzle.candidates[1:]))
    with pytest.raises(ShapeError, match="panel 0: received 2 components; expected 1"):
        replace(puzzle, context=(Panel(((entity(),), (entity(),))), *puzzle.context[1:]))


TEXT = """\
puzzle 7 of files, center_single
+-----+-----+-----+
| P21 | P21 | P21 |
+-----+-----+-----+
| P21 | P21 | P21 |
+-----+-----+-----+
| P21 | P21 |  ?  |
+-----+-----+-----+
candidates:
  1     2     3     4
| C21 | P21 | C21 | C21 |
  5     6 right   7     8
| C21 | C21 | C21 | C21 |
rules:
  Type stays the same, Size steps by -2, Color adds up"""


def plain() -> Puzzle:
    panel, other = Panel(((entity(),),)), Panel(((entity(type=5),),))
    return Puzzle(
        dataset="files",
        constellation="center_single",
        columns=3,
        context=(panel,) * 8,
        candidates=(other, panel, *(other,) * 6),
        target=5,
        rules=(
            RuleInstance(0, "Number/Position", "Constant"),
            RuleInstance(0, "Type", "Constant"),
            RuleInstance(0, "Size", "Progression", -2),
            RuleInstance(0, "Color", "Arithmetic"),
        ),
        index=7,
    )


def test_the_text_is_this() -> None:
    assert text(plain(), answer=True) == TEXT
    assert str(plain()) == TEXT.replace("6 right", "6  ")


@pytest.mark.parametrize("constellation", CONSTELLATIONS)
def test_every_constellation_shows_every_entity(constellation: str) -> None:
    puzzle = Puzzle.from_arrays(datasets.generate("raven", constellation, n=1, seed=2), 0)
    frame = str(puzzle).split("candidates:")[0].splitlines()[1:]
    assert len({len(line) for line in frame}) == 1  # straight
    assert str(puzzle).count("?") == 1
    page = defusedxml.ElementTree.fromstring(html(puzzle, pixels=False))
    shapes = page.findall(".//svg/polygon") + page.findall(".//svg/circle")
    entities = [e for p in (*puzzle.context, *puzzle.candidates) for part in p.components for e in part]
    assert len(page.findall(".//svg")) == 16
    assert len(shapes) == len(entities)


def test_wide_puzzles_show_three_rows_of_values() -> None:
    puzzle = Puzzle.from_arrays(datasets.generate("iraven_x", n=1, columns=5, maxval=200), 0)
    assert "values 0 to 200, rows 3 to 5 of 5" in str(puzzle).splitlines()[0]
    first = puzzle.context[10].components[0][0]
    assert f"| {first.type:>3} {first.size:>3} {first.color:>3} |" in str(puzzle).splitlines()[2]
    assert puzzle._repr_html_().count("<tr>") == 4


def test_html_escapes_what_others_wrote() -> None:
    assert "<script>" not in replace(plain(), dataset="<script>")._repr_html_()


@pytest.mark.parametrize("count", [0, 1, 1000])
@pytest.mark.parametrize("name", ["iraven", "iraven_x"])
def test_arrays_are_shown_in_a_few_lines(name: str, count: int) -> None:
    extent = {"maxval": 100, "confounders": 100} if name == "iraven_x" else {}
    arrays = datasets.generate(name, "center", n=max(count, 1), seed=0, **extent)[:count]
    for shown in (arrays, *arrays.components, datasets.PuzzleBatch.of(arrays), datasets.PuzzleDataset(arrays)):
        words = repr(shown)
        assert len(words.splitlines()) <= 20 and max(map(len, words.splitlines())) <= 200
        assert f"{count} puzzles" in words


def test_what_varies_is_not_said_to_stay_the_same() -> None:
    """Against the panels: one value along each row, values that go along with their entities, or neither."""
    arrays = datasets.generate("iraven", "3x3", n=300, seed=6)
    seen = set()
    for item in range(300):
        puzzle = Puzzle.from_arrays(arrays, item)
        words = str(puzzle).splitlines()[-1].strip().split(", ")
        for name in ("Type", "Size", "Color"):
            panels = [[e.level(name) for e in p.components[0]] for p in puzzle.context]
            single = all(len(set(levels)) == 1 for levels in panels)
            alike = all(sorted(panels[k]) == sorted(panels[k - k % 3]) for k in range(8))
            said = {end for end in ("stays the same", "stays with its entities", "varies freely") for w in words
                    if w.startswith(f"{name} {end}")}  # fmt: skip
            rule = next(rule for rule in puzzle.rules if rule.attribute == name)
            if rule.name != "Constant":
                assert not said
                continue
            seen |= said
            wanted = "varies freely" if not alike else "stays the same" if single else "stays with its entities"
            assert said == {wanted}, (item, name)
    assert len(seen) == 3


@pytest.mark.parametrize("count", [1, 3])
def test_show_does_without_opencv(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    from datasets.pixels import drawing

    monkeypatch.setitem(sys.modules, "cv2", None)
    drawing.opencv.cache_clear()
    try:
        arrays = datasets.generate("iraven", "out_in_grid", n=count, seed=0)
        for shown in (datasets.show(arrays), datasets.show(Puzzle.from_arrays(arrays, 0))):
            assert "candidates:" in repr(shown)
            assert shown._repr_png_() is None
            assert shown._repr_html_().count("<svg") in (16, 16 * count)
        with pytest.raises(VSAError, match="no module cv2"):
            datasets.show(arrays).save("puzzles.png")
    finally:
        monkeypatch.undo()
        drawing.opencv.cache_clear()
    assert datasets.show(arrays)._repr_png_() is not None
    with pytest.raises(VSAError, match="contact sheet"):
        datasets.show(arrays[:0])

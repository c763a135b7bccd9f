"""Puzzle files: reading the published forms, writing JSON, and one clear sentence for whatever is wrong with a file."""

from __future__ import annotations

import copy
import io
import json
import shutil
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import datasets
from datasets.arrays import PuzzleArrays
from datasets.files.read import read, write_json
from vsa.errors import CorruptFileError, SettingsError, VSAError

FIXTURES = Path(__file__).parents[1] / "fixtures" / "puzzles"
CONSTELLATIONS = list(datasets.CONSTELLATIONS)


def same(a: PuzzleArrays, b: PuzzleArrays, parameters: bool = False) -> None:
    """Fails where two batches differ in what the JSON form holds."""
    assert (a.constellation, a.columns, a.maxval) == (b.constellation, b.columns, b.maxval)
    np.testing.assert_array_equal(a.target, b.target)
    np.testing.assert_array_equal(a.index, b.index)
    for mine, theirs in zip(a.components, b.components, strict=True):
        assert mine.attributes.keys() == theirs.attributes.keys()
        for name in mine.attributes:
            np.testing.assert_array_equal(mine.attributes[name], theirs.attributes[name])
        for field in ("exists", "rules", "governed", *(("parameters",) if parameters else ())):
            np.testing.assert_array_equal(getattr(mine, field), getattr(theirs, field))


# ---------------------------------------------------------------------------------------------------------- reading


def test_a_tree_of_npz_and_xml() -> None:
    sets = read(FIXTURES / "I-RAVEN")
    assert list(sets) == ["center_single", "distribute_four", "in_distribute_four_out_center_single"]
    center = sets["center_single"].validate()
    assert center.index.tolist() == [0, 7]
    assert center.target.tolist() == [5, 6]
    assert center.components[0].uniformity is not None
    assert center.modified is not None
    # I-RAVEN changes one to three attributes of every candidate but the right one.
    changed = center.modified.sum((2, 3))
    assert sorted(changed[0]) == [0, 1, 1, 1, 2, 2, 2, 3]
    assert changed[0, center.target[0]] == 0
    assert sets["distribute_four"].components[0].governed.tolist() == [1]


def test_raven_says_nothing_about_changes() -> None:
    sets = read(FIXTURES / "RAVEN")
    assert list(sets) == ["center_single", "distribute_nine"]
    assert sets["distribute_nine"].validate().modified is None


@pytest.mark.parametrize("name", ["RAVEN_0_train.xml", "RAVEN_0_train.npz"])
def test_a_single_file_and_a_single_folder(name: str) -> None:
    folder = FIXTURES / "I-RAVEN" / "center_single"
    one, two = read(folder / name)["center_single"], read(folder)["center_single"]
    assert one.index.tolist() == [0]
    same(one, two[:1])


def test_the_xml_and_the_json_of_a_puzzle_agree() -> None:
    xml = read(FIXTURES / "I-RAVEN" / "center_single")["center_single"]
    published = read(FIXTURES / "I-RAVEN-json")["center_single"]
    same(xml[:1], published[:1])


def test_a_folder_of_json() -> None:
    sets = read(FIXTURES / "I-RAVEN-json")
    assert {stem: len(arrays) for stem, arrays in sets.items()} == {
        "center_single": 5,
        "in_distribute_four_out_center_single": 5,
        "left_center_single_right_center_single": 5,
    }
    for stem, arrays in sets.items():
        assert arrays.validate().constellation == stem
        assert all(component.uniformity is None for component in arrays.components)


def test_i_raven_x_takes_columns_and_range_from_the_file() -> None:
    sets = read(FIXTURES / "I-RAVEN-X")
    three = sets["center_single_shuffle_n_3_maxval_10"].validate()
    ten = sets["center_single_shuffle_n_10_maxval_1000_nconf_10"].validate()
    assert (three.columns, three.maxval, ten.columns, ten.maxval) == (3, 10, 10, 1000)
    assert three.target[0] == 3  # a string in these files
    assert len(ten.components[0].attributes) == 4 + 10
    assert ten.components[0].attributes["Confounder9"][0, 0, 0] == 279


def test_every_reference_puzzle(reference: Path) -> None:
    for kind, count in (("I-RAVEN", 30), ("RAVEN", 10)):
        sets = read(reference / kind)
        assert {name: len(arrays.validate()) for name, arrays in sets.items()} == dict.fromkeys(CONSTELLATIONS, count)
    published = read(reference / "I-RAVEN-json")
    trees = read(reference / "I-RAVEN")
    for name, arrays in published.items():
        same(trees[name][:5], arrays.validate())
    wide = read(reference / "I-RAVEN-X")
    assert {len(arrays.validate()) for arrays in wide.values()} == {30}
    assert len(wide) == 5


# ---------------------------------------------------------------------------------------------------------- writing


@pytest.mark.parametrize("constellation", CONSTELLATIONS)
@pytest.mark.parametrize("name", ["raven", "iraven"])
def test_what_is_written_is_read_back(tmp_path: Path, name: str, constellation: str) -> None:
    arrays = datasets.generate(name, constellation, n=20, seed=4, start=13)
    path = write_json(arrays, tmp_path)
    assert path.name == f"{constellation}.json"
    same(read(tmp_path)[constellation].validate(), arrays)
    json.loads(path.read_text())


def test_wide_puzzles_are_read_back(tmp_path: Path) -> None:
    arrays = datasets.generate("iraven_x", n=7, columns=4, maxval=60, confounders=11)
    path = write_json(arrays, tmp_path)
    assert path.stem == "center_single_shuffle_n_4_maxval_60_nconf_11"
    same(read(path)[path.stem].validate(), arrays)


def test_written_files_are_the_published_ones_byte_for_byte(tmp_path: Path) -> None:
    # Only the order of the entities in a grid is not kept: the published files shuffle it.
    files = [*(FIXTURES / "I-RAVEN-X").glob("*.json"), *(FIXTURES / "I-RAVEN-json").glob("*center_single.json")]
    compared = 0
    for file in files:
        if file.stem.startswith("in_distribute"):
            continue
        path = write_json(read(file)[file.stem], tmp_path / file.name)
        assert path.read_bytes() == file.read_bytes()
        compared += 1
    assert compared == 5


def test_writing_refuses_what_could_not_be_read(tmp_path: Path) -> None:
    alike = datasets.generate("iraven", "up_down", n=1)
    with pytest.raises(VSAError, match="one that begins with up_center_single_down_center_single"):
        write_json(alike, tmp_path / "mine.json")
    with pytest.raises(VSAError, match="one with maxval_60 in it"):
        write_json(datasets.generate("iraven_x", n=1, columns=3, maxval=60), tmp_path / "mine.json")
    path = write_json(alike, tmp_path)
    with pytest.raises(VSAError, match="received a file that exists"):
        write_json(alike, tmp_path)
    write_json(alike, path, overwrite=True)
    (tmp_path / "file").write_text("")
    with pytest.raises(VSAError, match="expected a folder with free space"):
        write_json(datasets.generate("iraven", n=1), tmp_path / "file" / "center_single.json")
    assert not list(tmp_path.glob(".tmp-*"))


def test_two_thousand_puzzles_are_read_in_seconds(tmp_path: Path) -> None:
    paths = [
        write_json(datasets.generate("iraven", "3x3", n=2000), tmp_path),
        write_json(datasets.generate("iraven_x", n=200, columns=10, maxval=1000, confounders=10), tmp_path),
    ]
    for path in paths:
        start = time.process_time()
        read(path)
        assert time.process_time() - start < 8  # about 1.5 s on an idle core


# ----------------------------------------------------------------------------------------------- what is wrong: JSON

Edit = Callable[[dict[str, Any]], object]


def edited(tmp_path: Path, stem: str, edit: Edit, to: str | None = None) -> Path:
    folder = "I-RAVEN-X" if "maxval" in stem else "I-RAVEN-json"
    puzzles = json.loads((FIXTURES / folder / f"{stem}.json").read_text())
    edit(puzzles)
    path = tmp_path / f"{to or stem}.json"
    path.write_text(json.dumps(puzzles))
    return path


GRID = "in_distribute_four_out_center_single"
WIDE = "center_single_shuffle_n_3_maxval_10"
WRONG: list[tuple[str, Edit, str]] = [
    ("center_single", lambda d: d["2"].pop("target"), r"puzzle 2, its keys: received \['rpm', 'rules'\]"),
    ("center_single", lambda d: d["2"].update(note=1), "puzzle 2, its keys"),
    ("center_single", lambda d: d["2"].update(target=8), "puzzle 2, target: received 8; expected 0 to 7"),
    ("center_single", lambda d: d["2"].update(target=True), "puzzle 2, target: received True"),
    ("center_single", lambda d: d["2"].update(target=[1]), r"puzzle 2, target: received \[1\]"),
    ("center_single", lambda d: d["2"]["rpm"].pop(), "puzzle 2, rpm: received 15 panels; expected 16"),
    ("center_single", lambda d: d["0"]["rpm"].pop(), r"puzzle 0, rpm: received 15 panels; expected n \* n \+ 7"),
    ("center_single", lambda d: d["0"].update(rpm={}), r"puzzle 0, rpm: received \{\}; expected a list of panels"),
    ("center_single", lambda d: d["1"]["rpm"][4].append({}), "panel 4: received 2 components; expected 1"),
    (
        "center_single",
        lambda d: d["1"]["rpm"][4][0].update(Color="10"),
        "panel 4, Grid, Color: received '10'; exp.* 0 to 9",
    ),
    (
        "center_single",
        lambda d: d["1"]["rpm"][4][0].update(Type="0"),
        "panel 4, Grid, Type: received '0'; expected 1 to 5",
    ),
    ("center_single", lambda d: d["1"]["rpm"][4][0].update(Size="big"), "panel 4, Grid, Size: received 'big'"),
    ("center_single", lambda d: d["1"]["rpm"][4][0].update(Size=1.0), "panel 4, Grid, Size: received 1.0"),
    ("center_single", lambda d: d["1"]["rpm"][4][0].update(Size=True), "panel 4, Grid, Size: received True"),
    ("center_single", lambda d: d["1"]["rpm"][4][0].update(Size=None), "panel 4, Grid, Size: received None"),
    ("center_single", lambda d: d["1"]["rpm"][4][0].update(Size=[2]), r"panel 4, Grid, Size: received \[2\]"),
    ("center_single", lambda d: d["1"]["rpm"][4][0].update(Shade="1"), "panel 4, Grid: received unknown Shade"),
    (
        "center_single",
        lambda d: d["1"]["rpm"][4][0].pop("Angle"),
        "panel 4, Grid: received no Angle; expected Type, Size",
    ),
    ("center_single", lambda d: d["0"]["rpm"][0][0].update(Shade="1"), "panel 0, Grid: received unknown Shade"),
    (
        "center_single",
        lambda d: d["1"]["rules"][0].update(Color="Addition"),
        "component 0, Color: received 'Addition'; exp",
    ),
    ("center_single", lambda d: d["1"]["rules"][0].update(Color=[]), r"component 0, Color: received \[\]"),
    ("center_single", lambda d: d["1"]["rules"][0].update(Angle="Constant"), "rules of component 0: received .*Angle"),
    ("center_single", lambda d: d["1"]["rules"].append({}), r"rules: received .*; expected a list of 1"),
    ("center_single", lambda d: d["1"].update(rules=None), "rules: received None; expected a list of 1"),
    (
        "center_single",
        lambda d: d["1"]["rules"][0].update({"Number/Position": "Arithmetic"}),
        "Number/Position: received Arithmetic; expected Constant",
    ),
    ("center_single", lambda d: d.update({"x": d["1"]}), "puzzle x, its number: received 'x'; expected digits"),
    ("center_single", lambda d: d.update({"01": d["1"]}), "received a puzzle number twice"),
    ("center_single", lambda d: d.clear(), "received a JSON dict of 0"),
    (GRID, lambda d: d["3"]["rpm"][5][1]["positions"].pop(), "In: received positions and entities that do not match"),
    (GRID, lambda d: d["3"]["rpm"][5][1].update(positions=[], entities=[]), "panel 5, In: received no entity"),
    (GRID, lambda d: d["3"]["rpm"][5][1].update(x=1), "panel 5, In: received .*; expected an object of positions"),
    (GRID, lambda d: d["3"]["rpm"][5].__setitem__(1, 7), "panel 5, In: received 7; expected an object"),
    (
        GRID,
        lambda d: d["3"]["rpm"][5][1]["positions"].__setitem__(0, [0.1, 0.2, 0.15, 0.15]),
        r"panel 5, In, positions: received \[0.1, 0.2, 0.15, 0.15\]; expected one of the slots \[0.42, 0.42",
    ),
    (GRID, lambda d: d["3"]["rpm"][5][1]["positions"].__setitem__(0, "here"), "positions: received 'here'"),
    (GRID, lambda d: d["3"]["rpm"][5][1]["positions"].__setitem__(0, [None] * 4), "positions: received .None, None"),
    (GRID, lambda d: d["3"]["rpm"][5][1]["positions"].__setitem__(0, 5), "positions: received 5"),
    (GRID, lambda d: d["3"]["rpm"][5][0].update(Size="2"), "panel 5, Out, Size: received '2'; expected 3 to 5"),
    (WIDE, lambda d: d["1"]["rpm"][9][0].update(Type="11"), "panel 9, Grid, Type: received '11'; expected 0 to 10"),
]


@pytest.mark.parametrize("stem, edit, words", WRONG)
def test_wrong_json_is_one_sentence(tmp_path: Path, stem: str, edit: Edit, words: str) -> None:
    path = edited(tmp_path, stem, edit)
    with pytest.raises(CorruptFileError, match=words) as caught:
        read(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def twice_in_a_slot(puzzles: dict[str, Any]) -> None:
    grid = next(panel[1] for panel in puzzles["3"]["rpm"] if len(panel[1]["positions"]) > 1)
    grid["positions"][1] = copy.copy(grid["positions"][0])


def test_two_entities_in_a_slot(tmp_path: Path) -> None:
    with pytest.raises(CorruptFileError, match="In, positions: received two entities in one slot"):
        read(edited(tmp_path, GRID, twice_in_a_slot))


@pytest.mark.parametrize(
    "text, words",
    [
        (b'{"0": {"rules": [', "JSON that ends too early at line 1, column 18; expected a complete JSON object"),
        (b'{"0": nonsense}', "JSON that breaks .* at line 1, column 7"),
        (b"", "JSON that ends too early"),
        (b'{"\xff": 1}', "no JSON"),
        (b"[" * 200_000, "no JSON|breaks|ends"),
        (b"[1]", "a JSON list of 1"),
        (b"3", "no object"),
        (b'{"0": 5}', "puzzle 0, its keys: received int"),
        (b'{"0": ' + b"9" * 6000 + b"}", "no JSON"),
    ],
)
def test_what_is_no_json(tmp_path: Path, text: bytes, words: str) -> None:
    path = tmp_path / "center_single.json"
    path.write_bytes(text)
    with pytest.raises(CorruptFileError, match=words):
        read(path)


def test_every_truncation_is_noticed(tmp_path: Path) -> None:
    whole = (FIXTURES / "I-RAVEN-json" / "center_single.json").read_bytes().rstrip()
    path = tmp_path / "center_single.json"
    for size in range(0, len(whole) - 1, 97):
        path.write_bytes(whole[:size])
        with pytest.raises(CorruptFileError, match=r"ends too early|breaks"):
            read(path)


def test_the_value_range_must_be_known(tmp_path: Path) -> None:
    wide = "center_single_shuffle_n_10_maxval_100"
    path = edited(tmp_path, wide, lambda d: None, to="center_single_wide")
    with pytest.raises(SettingsError, match=r"I-RAVEN-X puzzles \(10 columns, 4 attributes\).*give maxval="):
        read(path)
    same(read(path, maxval=100)["center_single_wide"], read(FIXTURES / "I-RAVEN-X")[wide])
    with pytest.raises(CorruptFileError, match="expected 0 to 20"):
        read(path, maxval=20)
    with pytest.raises(SettingsError, match="maxval = 0; expected 1 to 32767"):
        read(path, maxval=0)
    with pytest.raises(SettingsError, match="columns = 3; expected 10, as its 107 panels say"):
        read(path, maxval=100, columns=3)
    with pytest.raises(SettingsError, match="maxval = 100 for left_center_single_right_center_single"):
        read(FIXTURES / "I-RAVEN-json" / "left_center_single_right_center_single.json", maxval=100)


def test_constellations_that_look_alike_need_a_name(tmp_path: Path) -> None:
    left = "left_center_single_right_center_single"
    with pytest.raises(SettingsError, match=f"panels that fit {left} and up_center.* and in_center.*rename it"):
        read(edited(tmp_path, left, lambda d: None, to="mine"))
    assert read(edited(tmp_path, left, lambda d: None, to="left_right_2"))["left_right_2"].constellation == left
    assert read(edited(tmp_path, GRID, lambda d: None, to="mine"))["mine"].constellation == GRID
    with pytest.raises(CorruptFileError, match="expected the components of one of the seven constellations"):
        read(edited(tmp_path, GRID, lambda d: d["0"]["rpm"].__setitem__(0, [1, 2]), to="mine"))


# ------------------------------------------------------------------------------------------- what is wrong: npz + xml

NAME = "RAVEN_3_train"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "distribute_four"
    shutil.copytree(FIXTURES / "I-RAVEN" / "distribute_four", folder)
    return folder


@pytest.mark.parametrize(
    "old, new, words",
    [
        ("</Data>", "", "xml that breaks"),
        ("<Data>", '<!DOCTYPE x [<!ENTITY a "b"><!ENTITY c "&a;&a;">]><Data>', "a document type or entities"),
        ("<Panel>", "<Plate>", "xml that breaks"),
        ("Distribute_Four", "Distribute_Five", "layouts .'Distribute_Five'.; expected"),
        ('Uniformity="', 'Uniformity="9', "Distribute_Four, Uniformity: received '9.'; expected 0 to 3"),
        ('Number="', 'Number="-', "Panel 0, Distribute_Four, Number: received '-.'; expected 0 to 3"),
        ('Size="', 'Size="x', "Panel 0, Distribute_Four, Size: received 'x.'; expected 0 to 5"),
        (' Type="', ' Typ="', "Panel 0, Distribute_Four, Type: received nothing; expected 1 to 5"),
        (' bbox="[', ' bbox="[9', "Panel 0, Distribute_Four, bbox: received"),
        (' bbox="[', ' bbox="', "Panel 0, Distribute_Four, bbox: received"),
        ('attr="Size" name="', 'attr="Size" name="Un', "Rule_Group 0, Size: received 'Un.*'; expected Constant"),
        ('<Rule attr="Color"', '<Rule attr="Colour"', "Rule_Group 0: received .*Colour; expected one of Number"),
        ("<Rule_Group", "<Group/><Rule_Group", None),
        ('component_id="0"', 'component_id="1"', "Candidate ., component_id: received '1'; expected 0 to 0"),
        ('<Candidate id="3"', '<Candidate id="4"', "Modified_attributes: received 8 candidates; expected 8, numbered"),
    ],
)
def test_wrong_xml_is_one_sentence(tree: Path, old: str, new: str, words: str | None) -> None:
    path = tree / f"{NAME}.xml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1 if old != "Distribute_Four" else -1))
    if words is None:  # what does no harm is let through
        read(tree)
        return
    with pytest.raises(CorruptFileError, match=words) as caught:
        read(tree)
    assert str(path) in str(caught.value)


def test_an_entity_bomb_is_refused_at_once(tree: Path) -> None:
    levels = "".join(f'<!ENTITY a{k} "{f"&a{k - 1};" * 10}">' for k in range(1, 30))
    (tree / f"{NAME}.xml").write_text(f'<!DOCTYPE x [<!ENTITY a0 "a">{levels}]><Data>&a29;</Data>')
    with pytest.raises(CorruptFileError, match="expected plain xml"):
        read(tree)


def test_panels_and_slots_are_counted(tree: Path) -> None:
    path = tree / f"{NAME}.xml"
    text = path.read_text()
    start, stop = text.index("<Panel>"), text.index("</Panel>") + len("</Panel>")
    path.write_text(text[:start] + text[stop:])
    with pytest.raises(CorruptFileError, match="Panels: received 15 panels under Data; expected 16 under Data"):
        read(tree)
    entity = text[text.index("<Entity") : text.index("/>", text.index("<Entity")) + 2]
    path.write_text(text.replace(entity, entity + entity, 1))
    with pytest.raises(CorruptFileError, match="Panel 0, Distribute_Four, Number: received"):
        read(tree)


class Opens:
    """Unpickling this creates a file: proof that nothing was unpickled if none appears."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, (str(self.path), "w"))


def test_a_pickle_in_the_npz_is_not_run(tree: Path, tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    np.savez(tree / f"{NAME}.npz", target=np.array([Opens(trap)], dtype=object))
    with pytest.raises(CorruptFileError, match="target: received pickled objects, which are not loaded"):
        read(tree)
    assert not trap.exists()


def test_pickles_in_other_members_are_not_run(tree: Path, tmp_path: Path) -> None:
    trap, target = tmp_path / "trap", read(tree)["distribute_four"].target
    np.savez(tree / f"{NAME}.npz", target=target, image=np.array([Opens(trap)], dtype=object))
    assert read(tree)["distribute_four"].target == target  # the image is passed over
    np.savez(tree / f"{NAME}.npz", target=target, structure=np.array([Opens(trap)], dtype=object))
    with pytest.raises(CorruptFileError, match="structure: received pickled objects, which are not loaded"):
        read(tree)
    assert not trap.exists()


def big_target() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("target.npy", b"\0" * 10_000_000)
    return buffer.getvalue()


def saved(**members: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **members)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "data, words",
    [
        (b"", "received File is not a zip file"),
        (saved(target=np.array(3))[:100], "received File is not a zip file"),
        (saved(goal=np.array(3)), "target: received no such member"),
        (saved(target=np.array(8)), "received 8; expected 0 to 7"),
        (saved(target=np.array(-1)), "received -1; expected 0 to 7"),
        (saved(target=np.array([1, 2])), r"received int64 of shape \(2,\)"),
        (saved(target=np.array("3")), "target: received 3; expected 0 to 7"),
        (big_target(), "target: received 10000000 bytes; expected at most"),
    ],
)
def test_wrong_npz_is_one_sentence(tree: Path, data: bytes, words: str) -> None:
    (tree / f"{NAME}.npz").write_bytes(data)
    with pytest.raises(CorruptFileError, match=words) as caught:
        read(tree)
    assert f"{NAME}.npz" in str(caught.value)


def test_files_that_do_not_belong_together(tree: Path, tmp_path: Path) -> None:
    copy_ = tmp_path / "again"
    shutil.copytree(tree, copy_)
    with pytest.raises(CorruptFileError, match=r"both puzzle 3 of distribute_four; .*name the folder of one data set"):
        read(tmp_path)
    shutil.rmtree(copy_)
    (tree / f"{NAME}.npz").unlink()
    with pytest.raises(CorruptFileError, match=r"RAVEN_3_train.xml: received no npz beside it"):
        read(tree)
    (tree / f"{NAME}.xml").rename(tree / "third.xml")
    with pytest.raises(CorruptFileError, match=r"a name as RAVEN_12_train\.xml"):
        read(tree)


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(VSAError, match=r"nowhere, which does not exist; expected a folder of npz \+ xml"):
        read(tmp_path / "nowhere")
    with pytest.raises(VSAError, match="without puzzle files"):
        read(tmp_path)
    (tmp_path / "puzzles.csv").write_text("")
    with pytest.raises(CorruptFileError, match=r"a name that ends in .json, .xml or .npz"):
        read(tmp_path / "puzzles.csv")
    with pytest.raises(SettingsError, match=r"maxval = 100; expected 3 columns and RAVEN's levels"):
        read(FIXTURES / "I-RAVEN", maxval=100)
    with pytest.raises(SettingsError, match="columns = 10"):
        read(FIXTURES / "I-RAVEN", columns=10)
    assert read(FIXTURES / "I-RAVEN", columns=3)

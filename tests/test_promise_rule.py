"""A rule of one's own in a data set of one's own: made, checked, written, read, counted; nothing published changes."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import datasets
from datasets.arrays import GOVERNED, NUMBER, POSITION, RULE_SLOTS, PuzzleArrays, equal
from datasets.constellations import CONSTELLATIONS
from datasets.data_sets import DATA_SETS, DataSet, data_set, like, listed_rules
from datasets.judging.possible import faults, follows
from datasets.making.sampling import options
from datasets.puzzle_arrays import arrays_of
from datasets.rules import PUBLISHED, RULES, check_rule, consistent_rules, rule_code, rule_name, rules_named
from datasets.rules.base import Rule
from tests.dummy_rules import Alternate, Leap
from vsa.errors import CorruptFileError, SettingsError, UnknownNameError, VSAError

MINE = ("alternating", "leaping")
X = ({}, {"columns": 10, "maxval": 1000, "confounders": 2}, {"columns": 4, "maxval": 20})
EVERY = tuple(CONSTELLATIONS)
ROOT = Path(__file__).parents[1]


def made(name: str, constellation: str = "distribute_four", n: int = 300, **options: Any) -> PuzzleArrays:
    return datasets.generate(name, constellation, n=n, seed=7, **options)


def shares(puzzles: PuzzleArrays, code: int) -> np.ndarray:
    """How often a rule is at work, by component and slot."""
    return np.array([(part.rules == code).mean(axis=0) for part in puzzles.components])


# Making and checking


@pytest.mark.parametrize("constellation", EVERY)
@pytest.mark.parametrize("name", MINE)
def test_puzzles_with_a_new_rule_are_faultless_and_have_one_answer(name: str, constellation: str) -> None:
    puzzles = made(name, constellation).validate()
    assert {kind: int(found.sum()) for kind, found in faults(puzzles).items() if found.any()} == {}
    right = follows(puzzles)
    assert (right.sum(axis=1) == 1).all()
    assert right[np.arange(len(puzzles)), puzzles.target].all()
    share = shares(puzzles, Alternate.code)
    assert (share[:, 1] > 0.1).all()  # Type has it everywhere
    for component, row in zip(puzzles.layouts, share, strict=True):
        assert (row[0] > 0.1) == (component.slots > 1)


@pytest.mark.parametrize("extent", X)
def test_wide_puzzles_with_a_new_rule_are_faultless(extent: dict[str, int]) -> None:
    puzzles = made("alternating_x", "center", **extent).validate()
    assert not any(found.any() for found in faults(puzzles).values())
    assert (follows(puzzles).sum(axis=1) == 1).all()
    assert (shares(puzzles, Alternate.code)[0, 1:] > 0.1).all()
    row = puzzles.components[0].attributes["Size"][:, : puzzles.columns, 0]
    turns = row[puzzles.components[0].rules[:, 2] == Alternate.code]
    assert (turns[:, 2:] == turns[:, :-2]).all() and (turns[:, 0] != turns[:, 1]).all()


def test_the_laws_notice_a_panel_that_breaks_the_new_rule() -> None:
    puzzles = made("alternating", "center")
    mine = puzzles[np.flatnonzero(puzzles.components[0].rules[:, 1] == Alternate.code)]
    part = mine.components[0]
    types = part.attributes["Type"].copy()
    types[:, 0] = 1 + types[:, 0] % 5  # the first panel of row 1 gets another type
    broken = replace(mine, components=(replace(part, attributes={**part.attributes, "Type": types}),))
    assert faults(broken)["the answer breaks a rule"].all()
    assert not faults(mine)["the answer breaks a rule"].any()


def test_puzzle_k_does_not_depend_on_how_many_are_made() -> None:
    for name in ("alternating", "alternating_x"):
        one = datasets.generate(name, "center", n=1, seed=3, start=40)
        assert equal(datasets.generate(name, "center", n=60, seed=3)[40:41], one)


def test_a_rule_is_drawn_with_the_weight_of_a_family_whatever_its_parameters() -> None:
    grammar = DATA_SETS.get("leaping").grammar
    size: dict[str, int] = {}
    for option in options(grammar, CONSTELLATIONS["center_single"].components[0], "Color"):
        size[option.rule.name] = size.get(option.rule.name, 0) + option.weight
    assert set(size.values()) == {size["Constant"]}  # six families, five parameters of Leap
    color = made("leaping", "center", n=6000).components[0].rules[:, 3]
    counts = np.array([(color == rule.code).sum() for rule in grammar])
    assert (np.abs(counts - 1000) < 5 * np.sqrt(1000 * 5 / 6)).all()


def test_a_rule_governs_what_it_declares() -> None:
    puzzles = made("leaping", "distribute_nine", n=2000)
    found = shares(puzzles, Leap.code)[0]
    assert found[0] == found[1] == 0 and found[2] > 0.1 and found[3] > 0.1
    parameters = puzzles.components[0].parameters[puzzles.components[0].rules == Leap.code]
    assert set(np.unique(parameters)) == set(Leap.parameters)


# Nothing published changes


def digest(puzzles: PuzzleArrays) -> str:
    found = hashlib.sha256(puzzles.target.tobytes())
    for part in puzzles.components:
        for name in sorted(part.attributes):
            found.update(part.attributes[name].tobytes())
        for array in (part.exists, part.rules, part.governed, part.parameters):
            found.update(array.tobytes())
    return found.hexdigest()


PUBLISHED_SETS = [
    *((name, place, {}) for name in ("raven", "iraven", "raven_fair") for place in EVERY),
    *(("iraven_x", "center_single", extent) for extent in X),
]


def test_registering_a_rule_changes_no_published_puzzle() -> None:
    """One process makes all published puzzles, registers rules and data sets, and makes the puzzles again."""
    script = (
        "import hashlib, json, sys, datasets\n"
        "def digest(p):\n"
        "    h = hashlib.sha256(p.target.tobytes())\n"
        "    for c in p.components:\n"
        "        [h.update(c.attributes[k].tobytes()) for k in sorted(c.attributes)]\n"
        "        [h.update(a.tobytes()) for a in (c.exists, c.rules, c.governed, c.parameters)]\n"
        "    return h.hexdigest()\n"
        f"sets = {PUBLISHED_SETS!r}\n"
        "every = lambda: [digest(datasets.generate(n, c, n=100, seed=7, **x)) for n, c, x in sets]\n"
        "before = every()\n"
        "import tests.dummy_rules\n"
        "datasets.generate('leaping', '2x2', n=10); datasets.generate('alternating_x', n=10)\n"
        "assert 'torch' not in sys.modules\n"
        "print(json.dumps([before, every()]))\n"
    )
    told = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    before, after = json.loads(told.stdout)
    assert before == after
    here = [digest(made(name, place, 100, **extent)) for name, place, extent in PUBLISHED_SETS]
    assert here == before
    assert len(set(before)) == len(before)


def test_published_puzzles_know_the_published_rules_only() -> None:
    for name in ("raven", "iraven", "raven_fair", "iraven_x"):
        puzzles = made(name, "center", 5)
        assert tuple(rule.name for rule in puzzles.grammar) == PUBLISHED
        assert consistent_rules(puzzles, 0).shape == (5, 4, 4)
        assert datasets.Layout.of(puzzles).rules == PUBLISHED
    assert consistent_rules(made("alternating", "center", 5), 0).shape == (5, 4, 5)
    assert datasets.Layout.of(made("alternating", "center", 5)).rules == (*PUBLISHED, "Alternate")
    assert data_set("files").rules == PUBLISHED


def test_a_published_label_of_a_foreign_code_is_refused() -> None:
    puzzles = made("alternating", "center")
    with pytest.raises(VSAError, match=r"rules: received 17; expected one of 0 .Constant."):
        replace(puzzles, dataset="iraven").validate()


# Files


def the_same(read: PuzzleArrays, written: PuzzleArrays) -> None:
    assert len(read) == len(written)
    assert (read.target == written.target).all() and (read.index == written.index).all()
    for ours, theirs in zip(written.components, read.components, strict=True):
        assert (ours.rules == theirs.rules).all() and (ours.governed == theirs.governed).all()
        assert (ours.exists == theirs.exists).all()
        for name in ("Type", "Size", "Color"):
            assert (ours.attributes[name] == theirs.attributes[name]).all()


@pytest.mark.parametrize("constellation", EVERY)
def test_the_npz_and_xml_form_comes_back(tmp_path: Path, constellation: str) -> None:
    written = made("alternating", constellation, 40)
    datasets.write_raven(written, tmp_path / constellation, images=False)
    read = datasets.read(tmp_path)[constellation].validate()
    the_same(read, written)
    assert read.modified is not None and (read.modified == written.modified).all()
    assert not any(found.any() for found in faults(read).values())  # the answers are judged without parameters too
    assert "Alternate" in [rule.name for rule in read.grammar]
    assert datasets.Layout.of(read).rules == (*PUBLISHED, "Alternate")


def test_images_are_read_beside_an_xml_with_a_new_rule(tmp_path: Path) -> None:
    written = made("alternating", "distribute_four", 8)
    datasets.write_raven(written, tmp_path)
    read = next(iter(datasets.read(tmp_path).values()))
    assert datasets.read_images(tmp_path, read).shape == (8, 16, 160, 160)
    from datasets.files.npz import META_RULES, meta_matrices

    rows = meta_matrices(written)
    assert rows.shape == (8, 8, len(META_RULES)) == (8, 8, 9)
    new = written.components[0].rules == Alternate.code
    assert new.any()
    assert (rows[:, :4, :4].sum(axis=2) == ~new).all()  # none of the four rules that have a column
    assert (rows[:, :4, 4:].sum(axis=2) >= 1).all()  # what it governs is told


@pytest.mark.parametrize("constellation", EVERY)
def test_the_json_form_of_iraven_comes_back(tmp_path: Path, constellation: str) -> None:
    written = made("leaping", constellation, 40)
    datasets.write_json(written, tmp_path)
    (read,) = datasets.read(tmp_path).values()
    the_same(read.validate(), written)


def test_the_json_form_of_iraven_x_comes_back(tmp_path: Path) -> None:
    written = made("alternating_x", "center", 40, columns=10, maxval=1000, confounders=2)
    datasets.write_json(written, tmp_path)
    (read,) = datasets.read(tmp_path).values()
    the_same(read.validate(), written)
    assert (follows(read).sum(axis=1) == 1).all()


def test_a_part_of_files_is_judged_by_the_rules_of_the_whole(tmp_path: Path) -> None:
    """Else whether a rule fits would depend on what other puzzles are in the batch."""
    datasets.write_json(made("leaping", "center", 300), tmp_path)
    datasets.write_json(made("iraven", "distribute_four", 5), tmp_path)
    sets = datasets.read(tmp_path)
    whole, other = sets["center_single"], sets["distribute_four"]
    assert whole.further == other.further == ("Alternate", "Leap")  # of one folder
    fits = consistent_rules(whole, 0)
    parts = [consistent_rules(whole[k : k + 1], 0) for k in range(len(whole))]
    assert (np.concatenate(parts) == fits).all()
    leaps = [rule.name for rule in whole.grammar].index("Leap")
    without = ~(whole.components[0].rules == Leap.code).any(axis=1)
    assert fits[without, :, leaps].any()  # it fits by chance where it is not at work: that is what a part must know
    joined = PuzzleArrays.concatenate([replace(whole[:2], further=()), whole[2:]])
    assert joined.further == whole.further and equal(joined, whole)
    alone = tmp_path / "published"
    alone.mkdir()
    datasets.write_json(made("iraven", "center", 5), alone)
    (published,) = datasets.read(alone).values()
    assert published.further == () and [rule.name for rule in published.grammar] == list(PUBLISHED)


@pytest.mark.parametrize("form", ["raven", "json"])
def test_a_rule_that_no_data_set_lists_is_refused_in_a_file(tmp_path: Path, form: str) -> None:
    written = made("alternating", "center", 30)
    if form == "raven":
        datasets.write_raven(written, tmp_path, images=False)
    else:
        datasets.write_json(written, tmp_path)
    for path in tmp_path.rglob("*.xml" if form == "raven" else "*.json"):
        path.write_text(path.read_text().replace("Alternate", "Alternately"))
    with pytest.raises(CorruptFileError, match=r"'Alternately'; expected Constant, Progression, .*, Alternate, .*Leap"):
        datasets.read(tmp_path)


def test_shards_hold_a_new_rule_and_workers_know_it(tmp_path: Path) -> None:
    from datasets.files.production import Order, produce

    order = Order("alternating", ("center_single",), n=600, start=0, seed=7, form="json")
    produce(order, tmp_path / "json", workers=2)
    shards = replace(order, form="shards", images=False)
    produce(shards, tmp_path / "shards", workers=1)
    held = datasets.Shards(tmp_path / "shards").arrays("center")
    assert equal(held, made("alternating", "center", 600))
    both = replace(shards, constellations=("center_single", "distribute_four"), n=20)
    produce(both, tmp_path / "two", workers=2)  # new processes, which import nothing of the tests by themselves
    assert equal(datasets.Shards(tmp_path / "two").arrays("2x2"), made("alternating", "distribute_four", 20))


def test_the_cache_keeps_puzzles_of_different_rules_apart(tmp_path: Path) -> None:
    first = datasets.load("alternating", "train", "2x2", n=20, seed=7, cache_dir=tmp_path).arrays
    assert equal(first, datasets.load("alternating", "train", "2x2", n=20, seed=7, cache_dir=tmp_path).arrays)
    (folder,) = (path for path in tmp_path.rglob("alternating*") if path.is_dir())
    assert folder.name == f"alternating-{DATA_SETS.get('alternating').fingerprint()}"
    assert DATA_SETS.get("iraven").fingerprint() == ""
    other = replace(DATA_SETS.get("alternating"), rules=(*PUBLISHED, "Alternate", "Leap"))
    assert other.fingerprint() != DATA_SETS.get("alternating").fingerprint()
    wide = datasets.load("alternating_x", n=10, seed=7, cache_dir=tmp_path).arrays
    assert (wide.columns, wide.maxval) == (10, 1000)


# Words, objects, counts


def test_a_puzzle_says_its_rules_in_words_and_comes_back_from_objects() -> None:
    puzzles = made("leaping", "distribute_four", 60)
    for k in range(60):
        puzzle = datasets.Puzzle.from_arrays(puzzles, k)
        words = str(puzzle)
        codes = set(puzzles.components[0].rules[k].tolist())
        assert ("takes turns" in words) == (Alternate.code in codes)
        assert ("leaps (" in words) == (Leap.code in codes)
        back = arrays_of(puzzle)
        assert (back.components[0].rules == puzzles[k : k + 1].components[0].rules).all()
    with pytest.raises(VSAError, match="RuleInstance, name: received 'Alternat'"):
        replace(puzzle.rules[0], name="Alternat")


def test_a_rule_without_words_is_called_by_its_name() -> None:
    class Silent(Alternate):
        name, words = "Silent", ""

    assert Silent().describe(0) == "follows Silent"
    assert Silent().describe(-2) == "follows Silent (-2)"


def test_names_and_codes() -> None:
    for name in (*PUBLISHED, "Alternate", "Leap"):
        assert rule_name(rule_code(name)) == name
    listed = listed_rules()
    assert list(listed.values()) == sorted(listed.values()) and {0, 1, 2, 3, 17, 40} <= set(listed.values())
    with pytest.raises(VSAError, match=r"code 99; expected one of 0 .Constant."):
        rule_name(99)
    with pytest.raises(UnknownNameError, match="did you mean 'Alternate'"):
        rule_code("Alternat")


def test_the_probe_runs_on_a_data_set_of_ones_own(capsys: pytest.CaptureFixture[str]) -> None:
    from datasets.probe import main, probe

    vote, network = probe("alternating", "center", 400, 0)
    assert vote < 0.25 and network < 0.25  # a bisection tree gives nothing away; chance is 0.125
    assert main(["n=20", "dataset=alternating_x"]) == 0
    assert "alternating_x" in capsys.readouterr().out


# Registration


def a_rule(**changes: Any) -> Rule:
    return type("Mine", (Alternate,), {"name": "Mine", "code": 60, **changes})()


@pytest.mark.parametrize(
    ("name", "changes", "sentence"),
    [
        ("Mine", {"code": 2}, "code 2; expected a free code, but it is that of 'Arithmetic'"),
        ("Mine", {"code": 17}, "code 17; expected a free code, but it is that of 'Alternate'; [0-9]+ is free"),
        ("Mine", {"code": 128}, "code 128; expected 0 .. 127"),
        ("Mine", {"name": "Yours"}, "a rule whose name is 'Yours'"),
        ("Progression", {"name": "Progression", "code": 1}, "expected a free name"),
        ("Alternate", {"name": "Alternate", "code": 17}, "expected a free name"),
        ("Mine", {"parameters": (0, 1)}, "of which none is 0"),
        ("Mine", {"parameters": (1, 1)}, "each once"),
        ("Mine", {"parameters": ()}, "at least one"),
        ("Mine", {"governs": ("Shape",)}, "governs .'Shape',.; expected some of"),
    ],
)
def test_a_rule_that_clashes_is_refused_when_it_is_registered(name: str, changes: dict, sentence: str) -> None:
    with pytest.raises(VSAError, match=sentence):
        RULES.register(name)(a_rule(**changes))
    assert "Mine" not in RULES
    with pytest.raises(VSAError, match="derived from Rule"):
        RULES.register("Mine")(Alternate)


@pytest.mark.parametrize(
    ("name", "changes", "sentence"),
    [
        ("mine", {"rules": (*PUBLISHED, "Alternat")}, "did you mean 'Alternate'"),
        ("mine", {"rules": ("Constant", "Constant")}, "each once"),
        ("mine", {"rules": ("Alternate",)}, "no rule of Number/Position"),
        ("mine", {"rules": ("Constant", "Leap"), "name": "other"}, "expected name = 'mine'"),
        ("mine", {"constellations": ("center",)}, "published names"),
        ("mine", {"make": None}, "a function that makes puzzles"),
        ("iraven", {"name": "iraven"}, "expected a free name"),
        ("alternating", {"name": "alternating"}, "expected a free name"),
        ("files", {"name": "files"}, "and not 'files'"),
    ],
)
def test_a_data_set_that_makes_no_sense_is_refused(name: str, changes: dict, sentence: str) -> None:
    with pytest.raises(VSAError, match=sentence):
        DATA_SETS.register(name)(replace(like("iraven", "mine"), **changes))
    assert "mine" not in DATA_SETS
    with pytest.raises(VSAError, match="expected a DataSet"):
        DATA_SETS.register("mine")("iraven")


def test_options_of_a_data_set_are_its_own() -> None:
    with pytest.raises(SettingsError, match="these are options of iraven_x, alternating_x"):
        made("alternating", "center", columns=4)
    with pytest.raises(SettingsError, match="constellation 'distribute_four'; expected center_single"):
        made("alternating_x", "distribute_four")
    with pytest.raises(UnknownNameError, match="did you mean 'alternating'"):
        datasets.load("alternatin")
    with pytest.raises(UnknownNameError, match="one of raven, iraven, raven_fair, iraven_x, alternating"):
        made("files")
    small = replace(like("iraven", "small"), constellations=("center_single",))
    assert small.training_constellation == "center_single"
    assert [data_set(name).training_constellation for name in ("iraven", "iraven_x", "files")] == [
        "distribute_four",
        "center_single",
        "all",
    ]


def test_a_data_set_whose_rules_leave_no_room_says_so() -> None:
    tight = like("iraven", "tight", rules=("Constant", "Alternate"))
    assert isinstance(tight, DataSet)
    without = replace(tight, rules=("Alternate",))
    with pytest.raises(VSAError, match=r"draw a rule of Number/Position for the component .*none of which is possible"):
        without.generate("center_single", np.arange(3), 0)
    assert {rule.name for rule in rules_named(tight.rules)} == {"Constant", "Alternate"}
    assert set(np.unique(tight.generate("center_single", np.arange(50), 0).components[0].rules)) == {0, 17}


# The public laws of rules


@pytest.mark.parametrize("name", [*PUBLISHED, "Alternate", "Leap"])
def test_rules_keep_their_laws(name: str) -> None:
    check_rule(RULES.get(name))


class _Complete(Alternate):
    def complete(self, context, columns, parameter, domain):  # type: ignore[no-untyped-def]
        return context[:, -1]


class _Holds(Alternate):
    def holds(self, matrix, parameter, domain):  # type: ignore[no-untyped-def]
        return np.ones(len(matrix), dtype=np.bool_)


class _LastRow(Alternate):
    def holds(self, matrix, parameter, domain):  # type: ignore[no-untyped-def]
        return super().holds(matrix[:, 1:], parameter, domain)


class _Draw(Alternate):
    def draw(self, stream, low, high, parameter, rows, columns=3):  # type: ignore[no-untyped-def]
        return super().draw(stream, low, high + 1, parameter, rows, columns)


class _Start(Alternate):
    def first_range(self, low, high, parameter, columns=3):  # type: ignore[no-untyped-def]
        return low, high - 1


class _Linear(Alternate):
    def linear(self, columns, parameter):  # type: ignore[no-untyped-def]
        return RULES.get("Constant").linear(columns, 0)


class _Place(Alternate):
    def place(self, stream, slots, parameter, rows):  # type: ignore[no-untyped-def]
        placed = super().place(stream, slots, parameter, rows)
        return replace(placed, order=np.minimum(placed.order, slots - 2))


class _Count(Alternate):
    def first_count(self, slots, parameter):  # type: ignore[no-untyped-def]
        return 1, slots - 1


class _Keeps(Alternate):
    keeps_entities = True


class _OtherForm(Alternate):
    def form(self, columns, parameter):  # type: ignore[no-untyped-def]
        return RULES.get("Constant").form(columns, 0)


class _WideForm(Alternate):  # it forgets that the two values differ: so Constant would be a case of it
    def form(self, columns, parameter):  # type: ignore[no-untyped-def]
        return replace(super().form(columns, parameter), apart=())


class _NarrowForm(Alternate):  # its three rows begin with different values, which the rule does not ask for
    def form(self, columns, parameter):  # type: ignore[no-untyped-def]
        form = super().form(columns, parameter)
        return replace(form, apart=(*form.apart, (0, columns)))


class _ThreeColumns(Alternate):
    def form(self, columns, parameter):  # type: ignore[no-untyped-def]
        return super().form(3, parameter)


class _Pattern(Alternate):
    pattern = "alike"


class _NoPattern(Alternate):
    pattern = "turns"


@pytest.mark.parametrize(
    ("rule", "method"),
    [
        (_Complete, "complete"),
        (_Holds, "holds"),
        (_LastRow, "holds"),
        (_Draw, "draw"),
        (_Start, "first_range"),
        (_Linear, "linear"),
        (_Place, "place"),
        (_Count, "first_count"),
        (_Keeps, "carries"),
        (_OtherForm, "form"),
        (_WideForm, "form"),
        (_NarrowForm, "form"),
        (_ThreeColumns, "form"),
        (_Pattern, "pattern"),
    ],
)
def test_a_sabotaged_rule_is_caught(rule: type[Rule], method: str) -> None:
    with pytest.raises(VSAError, match=rf"check rule Alternate, {method} \(parameter 0, "):
        check_rule(rule())


def test_a_pattern_that_does_not_exist_and_moves_that_do_not_carry_are_caught() -> None:
    with pytest.raises(VSAError, match=r"pattern .*received 'turns'; expected None or one of alike, steps"):
        check_rule(_NoPattern())
    wrong = type("Wrong", (type(RULES.get("Progression")),), {"moves": lambda self, parameter: -parameter})
    with pytest.raises(VSAError, match=r"check rule Progression, moves \(parameter .*entities that move on by"):
        check_rule(wrong())


# Counting and holding out


def told(puzzles: PuzzleArrays, wrong: bool = False) -> Any:
    """The prediction of somebody who knows every rule (or takes every Alternate for Constant)."""
    import torch

    from reasoning.learners.base import Prediction
    from reasoning.scene import AttributeKey

    keys, families = [], []
    for c, part in enumerate(puzzles.components):
        codes = np.where(part.rules == Alternate.code, 0, part.rules) if wrong else part.rules
        for name in ("Type", "Size", "Color", *(("Number", "Position") if part.slots > 1 else ())):
            keys.append(AttributeKey(c, name))
            families.append(codes[:, RULE_SLOTS.index(name) if name in RULE_SLOTS else 0])
    shape = (len(puzzles), len(keys))
    governed = np.stack([part.governed for part in puzzles.components], axis=1)
    return Prediction(
        torch.nn.functional.one_hot(torch.as_tensor(puzzles.target).long(), 8).float(),
        tuple(keys),
        torch.zeros(shape, dtype=torch.long),
        torch.ones(*shape, 1),
        torch.zeros(*shape, 8),
        torch.ones(shape),
        torch.as_tensor(np.stack(families, axis=1)),
        torch.as_tensor(governed),
    )


@pytest.mark.parametrize("constellation", ["center_single", "distribute_nine", "in_distribute_four_out_center_single"])
def test_metrics_count_a_new_rule(constellation: str) -> None:
    pytest.importorskip("torch")
    from reasoning.outcome.metrics import RuleKey, observe

    puzzles = made("alternating", constellation, 400)
    right, wrong = observe(puzzles, told(puzzles)), observe(puzzles, told(puzzles, wrong=True))
    for c, part in enumerate(puzzles.components):
        for slot, attribute in enumerate(RULE_SLOTS):
            if not slot:
                continue
            count = int((part.rules[:, slot] == Alternate.code).sum())
            key = RuleKey(c, attribute, "Alternate")
            if not count:
                assert key not in right.rules
                continue
            assert right.rules[key].named == right.rules[key].total == count
            assert wrong.rules[key].named == 0
            assert wrong.rules[key].consistent < count  # Constant fits hardly anywhere where two values take turns
        if part.slots > 1:
            for code in (NUMBER, POSITION):
                count = int(((part.rules[:, 0] == Alternate.code) & (part.governed == code)).sum())
                assert right.rules[RuleKey(c, GOVERNED[code], "Alternate")].named == count > 0
    rows = right.detail()
    assert json.loads(json.dumps(rows)) == rows


@pytest.mark.parametrize("constellation", EVERY)
def test_the_rule_at_work_always_fits_its_context(constellation: str) -> None:
    puzzles = made("leaping", constellation, 1500)
    codes = [rule.code for rule in puzzles.grammar]
    for c, part in enumerate(puzzles.components):
        fits = consistent_rules(puzzles, c)
        for slot in range(0 if part.slots > 1 else 1, 4):
            column = np.array([codes.index(code) for code in part.rules[:, slot].tolist()])
            assert fits[np.arange(len(puzzles)), slot, column].all()


def test_the_context_says_which_families_fit() -> None:
    puzzles = made("leaping", "center", 2000)
    fits = consistent_rules(puzzles, 0)
    codes = [rule.code for rule in puzzles.grammar]
    assert codes == [0, 1, 2, 3, 17, 40]
    assert (fits[:, 2].sum(axis=1) > 1).mean() > 0.01  # a leap may look like a step
    assert (fits[:, 1, codes.index(Leap.code)] == 0).all()  # it does not govern Type


def test_a_new_pair_is_held_out(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from datasets import holdout
    from reasoning.setup import build
    from reasoning.setup.settings import DatasetSettings

    settings = DatasetSettings("alternating", n=40, holdout="Size/Alternate", cache_dir=str(tmp_path), seed=3)
    shown = build.puzzle_sets(settings, "center", "train", 40, training=True)["center_single"].arrays
    hidden = build.puzzle_sets(settings, "center", "test", 40)["center_single"].arrays
    assert len(shown) == len(hidden) == 40
    assert not (shown.components[0].rules[:, 2] == Alternate.code).any()
    assert (hidden.components[0].rules[:, 2] == Alternate.code).all()
    with pytest.raises(UnknownNameError, match=r"expected one of Constant, .*, Distribute_Three$"):
        DatasetSettings("iraven", holdout="Size/Alternate")
    assert str(holdout.parse("Size/Alternate")) == "Size/Alternate"
    assert build.layout(settings, "center").rules == (*PUBLISHED, "Alternate")


# Commands


def test_the_commands_know_a_data_set_without_a_file() -> None:
    pytest.importorskip("torch")
    from datasets.generate import order_of
    from reasoning.setup.commands import compose_settings

    composed = compose_settings("benchmark", ["+model=arlc", "dataset=alternating", "dataset.n=50", "seed=4"])
    assert composed["dataset"]["name"] == "alternating"
    assert (composed["dataset"]["n"], composed["dataset"]["seed"]) == (50, 4)
    wide = compose_settings("train", ["+model=arlc", "dataset=alternating_x", "dataset.columns=5"])
    assert (wide["dataset"]["columns"], wide["dataset"]["maxval"]) == (5, 1000)
    order, _ = order_of(["dataset=alternating", "constellation=all", "n=3", "out=x"])
    assert (order.dataset, order.constellations) == ("alternating", EVERY)
    order, _ = order_of(["dataset=alternating_x", "n=3", "out=x", "format=json"])
    assert (order.columns, order.maxval, order.constellations) == (10, 1000, ("center_single",))
    with pytest.raises(UnknownNameError, match="alternatng"):
        order_of(["dataset=alternatng", "out=x"])


THEIRS = """
from datasets.data_sets import like
from datasets.rules import PUBLISHED
from tests.dummy_rules import Alternate

class Theirs(Alternate):
    name, code = "Theirs", 99

RULE = Theirs()

def __getattr__(name):  # the data set names the rule, so it is made once the rule's entry point is known
    if name == "DATA":
        return like("iraven", "theirs", rules=(*PUBLISHED, "Theirs"))
    raise AttributeError(name)
"""


def test_another_package_offers_a_rule_and_a_data_set(installs: Any, tmp_path: Path) -> None:
    groups = {
        "vsa_reasoning.rules": {"Theirs": "their_rules:RULE"},
        "vsa_reasoning.datasets": {"theirs": "their_rules:DATA", "broken": "their_rules:NOTHING"},
    }
    installs("their_rules", groups, THEIRS)
    puzzles = made("theirs", "center", 200).validate()
    assert (puzzles.components[0].rules == 99).any()
    assert not any(found.any() for found in faults(puzzles).values())
    datasets.write_json(puzzles, tmp_path)  # the broken one is listed, and in nobody's way
    (read,) = datasets.read(tmp_path).values()
    the_same(read, puzzles)
    with pytest.raises(VSAError, match="load 'broken' of the distribution their_rules"):
        made("broken")


def test_prompts_of_a_data_set_of_ones_own(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from reasoning import prompts

    out = tmp_path / "prompts.jsonl"
    given = ["dataset=alternating", "dataset.n=5", f"dataset.cache_dir={tmp_path}", "constellation=center"]
    assert prompts.main([*given, f"out={out}"]) == 0
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(lines) == 5

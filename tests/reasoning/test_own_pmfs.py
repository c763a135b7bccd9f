"""PMFs as a classifier has them: exact labels give the oracle's scene bit for bit, everything else a sentence."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import numpy as np
import pytest
import torch

import datasets
import reasoning
from datasets.constellations import CONSTELLATIONS
from datasets.pmf import oracle_pmfs
from reasoning.perception.calibration import fit_temperature
from reasoning.perception.oracle import Oracle
from reasoning.scene import AttributeKey, Scene
from vsa.errors import DtypeError, SettingsError, ShapeError, UnknownNameError, VSAError

WIDTHS = {"Type": 5, "Size": 6, "Color": 10}


def assert_same(found, expected):
    assert found.columns == expected.columns
    for part in ("pmfs", "sets", "entities"):
        mine, theirs = getattr(found, part), getattr(expected, part)
        assert list(mine) == list(theirs)
        for key in mine:
            assert mine[key].dtype == theirs[key].dtype
            assert torch.equal(mine[key], theirs[key]), (part, key)


@pytest.mark.parametrize("mixed", ["shares", "missing"])
@pytest.mark.parametrize("constellation", CONSTELLATIONS)
def test_exact_labels_are_the_oracles_scene(constellation, mixed):
    puzzles = datasets.generate("iraven", constellation, n=20, seed=4)
    batch, labels = datasets.PuzzleBatch.of(puzzles), oracle_pmfs(puzzles, mixed=mixed, entities=True)
    single = {key: pmf for key, pmf in labels.pmfs.items() if key not in labels.entities and key[1] != "Number"}
    by_slot = {**single, **labels.sets, **labels.entities}
    oracle = Oracle()(batch, mixed=mixed, entities=True)
    assert_same(Scene.from_pmfs(by_slot, puzzles, mixed=mixed), oracle)
    integers = {key: torch.from_numpy(np.array(pmf)).long() for key, pmf in by_slot.items()}
    assert_same(Scene.from_pmfs(integers, constellation, mixed=mixed), oracle)
    panels = {**labels.pmfs, **labels.sets}
    layout = datasets.Layout.of(puzzles)
    assert_same(Scene.from_pmfs(panels, layout), Oracle()(batch, mixed=mixed))


@pytest.mark.parametrize("options", [{"columns": 3, "maxval": 20}, {"confounders": 3}])
def test_exact_labels_of_iraven_x(options):
    puzzles = datasets.generate("iraven_x", n=5, seed=4, **options)
    labels = oracle_pmfs(puzzles)
    assert_same(
        Scene.from_pmfs(labels.pmfs, datasets.PuzzleBatch.of(puzzles)),
        Oracle()(datasets.PuzzleBatch.of(puzzles)).dense(),
    )


def rows(generator, *shape):
    return torch.randn(*shape, generator=generator)


def center(generator, batch=4):
    return {name: rows(generator, batch, 16, width) for name, width in WIDTHS.items()}


def test_logits_temperature_and_floor(generator):
    logits = center(generator)
    found = Scene.from_pmfs(logits, "center", logits=True, temperature={"Type": 2.0, (0, "Size"): 0.5}, floor=0.1)
    for name, temperature in (("Type", 2.0), ("Size", 0.5), ("Color", 1.0)):
        expected = 0.9 * (logits[name] / temperature).softmax(-1) + 0.1 / WIDTHS[name]
        pmf = found.pmfs[AttributeKey(0, name)]
        offset = pmf.shape[-1] - WIDTHS[name]
        assert not pmf[..., :offset].any(), "below the smallest magnitude there is no mass"
        torch.testing.assert_close(pmf[..., offset:], expected)
    plain = Scene.from_pmfs({name: one.softmax(-1) for name, one in logits.items()}, "center")
    softer = plain.softened({"Type": 2.0, "Size": 0.5}, 0.1)
    for key, pmf in found.pmfs.items():
        torch.testing.assert_close(softer.pmfs[key], pmf)
    assert plain.softened().pmfs[AttributeKey(0, "Type")] is plain.pmfs[AttributeKey(0, "Type")]


def test_softening_keeps_missing_mass_and_slots_are_two_states(generator):
    puzzles = datasets.PuzzleBatch.of(datasets.generate("iraven", "2x2", n=30, seed=1))
    scene = Oracle()(puzzles, mixed="missing", entities=True)
    soft = scene.softened(3.0, 0.2)
    for part in ("pmfs", "entities"):
        for key, pmf in getattr(scene, part).items():
            torch.testing.assert_close(getattr(soft, part)[key].sum(-1), pmf.sum(-1))
    (occupied,) = soft.sets.values()
    torch.testing.assert_close(occupied.unique(), torch.tensor([0.1, 0.9]), atol=1e-4, rtol=0)


def test_a_gradient_passes(generator):
    logits = {name: one.requires_grad_() for name, one in center(generator).items()}
    scene = Scene.from_pmfs(logits, "center", logits=True, temperature=2.0, floor=0.05)
    learner = reasoning.make_solver("nvsa").learner
    learner.training_loss(scene, torch.zeros(4, dtype=torch.long), generator).backward()
    assert all(torch.isfinite(one.grad).all() and one.grad.abs().max() > 0 for one in logits.values())


def test_wrong_use_is_a_sentence(generator):
    sound = {name: one.softmax(-1) for name, one in center(generator).items()}
    place = {(0, "Position"): torch.full((4, 16, 4), 0.5)}
    for change, options, error, words in (
        ({"Color": sound["Color"][..., 1:]}, {}, ShapeError, r"attribute 0\|Color: .*\(4, 16, 9\).*\(B, 16, 10\)"),
        ({"Color": sound["Color"][:, :8]}, {}, ShapeError, r"16 panels and 10 values of center_single"),
        ({"Shape": sound["Color"]}, {}, UnknownNameError, r"0\|Shape"),
        ({(1, "Color"): sound["Color"]}, {}, UnknownNameError, r"1\|Color"),
        ({(0, "Color"): sound["Color"]}, {}, VSAError, "two values"),
        ({"Color": sound["Color"].log()}, {}, VSAError, "log-probabilities"),
        ({"Color": 9 * sound["Color"]}, {}, VSAError, "logits become PMFs"),
        ({"Color": sound["Color"] / 2}, {}, VSAError, "sum to 0.5"),
        ({"Color": "red"}, {}, DtypeError, "a str"),
        ({"Color": torch.full_like(sound["Color"], torch.nan)}, {}, VSAError, "NaN in 4 of 4 puzzles"),
        ({}, {"temperature": 0.0}, SettingsError, "temperature=0.0"),
        ({}, {"temperature": {"Type": -1.0}}, SettingsError, "temperature=-1.0"),
        ({}, {"floor": 2.0}, SettingsError, "floor=2.0"),
        ({}, {"mixed": "both"}, UnknownNameError, "both"),
        (place, {}, UnknownNameError, "Position"),
    ):
        with pytest.raises(error, match=words):
            Scene.from_pmfs({**sound, **change}, "center", **options)
    for puzzles, error in (("centre", UnknownNameError), (None, DtypeError), (3, DtypeError)):
        with pytest.raises(error):
            Scene.from_pmfs(sound, puzzles)
    with pytest.raises(VSAError, match="one"):
        Scene.from_pmfs(sound, datasets.Layout("iraven", ("center_single", "distribute_four")))
    with pytest.raises(DtypeError, match="mapping"):
        Scene.from_pmfs(sound["Type"], "center")
    for name in WIDTHS:
        with pytest.raises(VSAError, match=rf"no 0\|{name}"):
            Scene.from_pmfs({key: one for key, one in sound.items() if key != name}, "center")
    with pytest.raises(VSAError, match=r"no 0\|Position"):
        Scene.from_pmfs(sound, "2x2")
    with pytest.raises(ShapeError, match=r"or \(B, 16, 4, 5\) of the entities in its slots"):
        Scene.from_pmfs({**sound, **place, "Type": torch.ones(4, 16, 9, 5)}, "2x2")


def test_the_temperature_that_contexts_tell_undoes_what_was_done_to_them(generator):
    """PMFs that mean what they say, then made too sure or not sure enough."""
    puzzles = datasets.generate("iraven", "center", n=150, seed=3)
    labels = {name: torch.from_numpy(np.array(pmf)) for (_, name), pmf in oracle_pmfs(puzzles).pmfs.items()}
    logits = {}
    for name, exact in labels.items():  # Gaussian evidence: its posterior is calibrated
        logits[name] = 6 * exact + 6**0.5 * rows(generator, *exact.shape)
    for factor in (0.5, 1.0, 2.0, 4.0):
        scene = Scene.from_pmfs({name: factor * one for name, one in logits.items()}, "center", logits=True)
        for key, temperature in fit_temperature(scene).items():
            assert factor / 1.5 < temperature < factor * 1.5, (factor, key)
    for part in scene.pmfs.values():  # the candidates are not looked at
        part[:, 8:] = 1 / part.shape[-1]
    assert fit_temperature(Scene(3, scene.pmfs)) == fit_temperature(scene)


def test_a_temperature_of_grids():
    batch = datasets.PuzzleBatch.of(datasets.generate("iraven", "out_in_grid", n=12, seed=3))
    scene = Oracle(smoothing=1.0)(batch, mixed="missing", entities=True)
    found = fit_temperature(scene, temperatures=(0.5, 1.0, 2.0))
    assert list(found) == list(scene.keys)
    assert len({value for key, value in found.items() if key.component == 1}) == 1
    for wrong, error in ((None, DtypeError), (scene[:0], VSAError)):
        with pytest.raises(error):
            fit_temperature(wrong)


@pytest.mark.parametrize("model", ["nvsa", "arlc", "learn_vrf"])
def test_likelihood_is_as_right_on_exact_labels_and_righter_on_unsure_ones(model, generator):
    usual, likely = reasoning.make_solver(model), reasoning.make_solver(model, "model.scoring=likelihood")
    for constellation in ("center", "2x2"):
        batch = datasets.PuzzleBatch.of(datasets.generate("iraven", constellation, n=200, seed=5))
        right = [int((solver.solve(batch).answers == batch.target).sum()) for solver in (usual, likely)]
        assert right[1] >= right[0] - 8, "of 200; two standard errors of a difference of some per cent"
    puzzles = datasets.generate("iraven", "center", n=400, seed=6)
    target, labels = datasets.PuzzleBatch.of(puzzles).target, oracle_pmfs(puzzles).pmfs
    logits = {k: 8 * torch.from_numpy(np.array(v)) + 8**0.5 * rows(generator, *v.shape) for k, v in labels.items()}
    scene = Scene.from_pmfs(logits, puzzles, logits=True)
    right = [int((solver.predict(scene).answers == target).sum()) for solver in (usual, likely)]
    assert right[1] >= right[0] + (-4 if model == "nvsa" else 4), right
    assert torch.isfinite(likely.predict(scene).scores).all()
    with pytest.raises(UnknownNameError, match=r"similarity|divergence"):
        reasoning.make_solver(model, "model.scoring=luck")


def run_page(small):
    page = (Path(reasoning.__file__).parents[1] / "docs" / "own_perception.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    shown = re.findall(r"```text\n(.*?)```", page, re.DOTALL)
    if small:
        blocks[0] = blocks[0].replace("N, EPOCHS, FRESH = 300, 6, 1000", "N, EPOCHS, FRESH = 8, 1, 20")
    names, outputs = {"__name__": "page"}, []
    for block in blocks:
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            exec(compile(block, "docs/own_perception.md", "exec"), names)
        outputs.append(output.getvalue())
    return outputs, shown, names


def test_the_page_runs():
    """Every block, with a CNN that has hardly been trained; what it says of shapes is what is printed."""
    pytest.importorskip("cv2", reason="pictures of puzzles need the extra `images`")
    outputs, shown, names = run_page(small=True)
    assert outputs[1] == shown[1]
    assert [line.split(":")[0] for line in outputs[0].splitlines()] == ["symbolic", "nvsa", "arlc"]
    assert names["likelier"].scores.shape == (20, 8)


@pytest.mark.slow
def test_the_page_is_right():
    """The whole example; other processors train other weights."""
    pytest.importorskip("cv2", reason="pictures of puzzles need the extra `images`")
    outputs, shown, _ = run_page(small=False)
    found, said = ([int(line.split()[1]) for line in text.splitlines()] for text in (outputs[0], shown[0]))
    assert all(mine >= theirs - 12 for mine, theirs in zip(found, said, strict=True)), (found, said)

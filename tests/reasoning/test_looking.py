"""Front-ends that look at pixels: what they cut out, what they are told, what they read, how they learn."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch
from torch.nn import functional

import datasets
import reasoning
from datasets.arrays import PuzzleArrays
from datasets.constellations import CONSTELLATIONS
from datasets.pixels.alike import same_sizes
from reasoning import perception
from reasoning.outcome.sight import Sight, observe_sight
from reasoning.perception.labels import disagreement
from reasoning.perception.looking.base import Panels, glimpses_of
from reasoning.perception.looking.glimpses import blank, cut, slots_of
from reasoning.perception.looking.reading import PRODUCTS, VALUES, Joint, Labels, Marginals, possible
from reasoning.perception.oracle import Oracle
from reasoning.training.joined import MixedPuzzles
from vsa.errors import DtypeError, SettingsError, ShapeError, UnknownNameError

pytest.importorskip("cv2", reason="pixels need OpenCV (extra `images`)")
BODIES = ({}, {"body": "superposed"}, {"body": "panel"})
KINDS = [("slot", {}), *(("nvsa", options) for options in BODIES)]
KIND_NAMES = [" ".join((name, *options.values())) for name, options in KINDS]


def puzzles(constellation: str, n: int = 6, seed: int = 5) -> datasets.PuzzleBatch:
    return datasets.PuzzleBatch.of(datasets.generate("iraven", constellation, n=n, seed=seed))


def made(name: str, options: dict, seed: int = 0) -> torch.nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return perception.get(name)(**options).eval()


# -- glimpses ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("constellation", CONSTELLATIONS)
def test_slots_hold_all_of_what_is_in_them(constellation: str) -> None:
    """An entity is drawn in its slot's pixels alone; in grids a slot without ink is an empty one."""
    batch = puzzles(constellation)
    images, labels = batch.images().flatten(0, 1), Labels.of(batch.arrays)
    slots = slots_of(constellation)
    assert len(slots) == labels.occupied.shape[1]
    covered = torch.zeros(160, 160, dtype=torch.bool)
    for number, slot in enumerate(slots):
        covered[slot.rows, slot.columns] = True
        assert not blank(images, slot)[labels.occupied[:, number]].any()
        glimpse = cut(images, slot)
        assert glimpse.shape == (len(images), 1, 40, 40) and glimpse.min() >= 0 and glimpse.max() <= 1
    line = torch.zeros_like(covered)  # between two components
    if constellation.startswith("left"):
        line[:, 80] = True
    elif constellation.startswith("up"):
        line[80] = True
    assert not (images[:, ~(covered | line)] < 255).any()


def test_frames_are_what_others_lie_in() -> None:
    frames = {name: [slot.frames for slot in slots_of(name)] for name in CONSTELLATIONS}
    assert frames["in_center_single_out_center_single"] == [True, False]
    assert frames["in_distribute_four_out_center_single"] == [True, *[False] * 4]
    assert not any(any(found) for name, found in frames.items() if "out" not in name)


def test_blank_slots_share_one_glimpse_and_layouts_go_together() -> None:
    several = [Panels(puzzles(name).images().flatten(0, 1), name) for name in ("distribute_nine", "center_single")]
    glimpses = glimpses_of(several)
    assert [tuple(places.shape) for places in glimpses.places] == [(96, 9), (96, 1)]
    assert float(glimpses.pixels[0].max()) == 0
    count = sum(int((places > 0).sum()) for places in glimpses.places)
    assert len(glimpses.pixels) == len(glimpses.frames) == 1 + count
    images, places = several[0].images, glimpses.places[0]
    for number, slot in enumerate(slots_of(several[0].constellation)):
        torch.testing.assert_close(glimpses.pixels[places[:, number]], cut(images, slot))


@pytest.mark.parametrize(
    ("shape", "dtype", "error"),
    [((2, 16, 80, 80), torch.uint8, ShapeError), ((2, 16, 160, 160), torch.float32, DtypeError)],
)
def test_what_is_no_panel_is_refused(shape: tuple[int, ...], dtype: torch.dtype, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"uint8|160"):
        made("slot", {}).look(torch.zeros(shape, dtype=dtype), "center_single")


# -- what is read ------------------------------------------------------------------------------------------------


def scores(constellation: str, joint: bool, n: int = 32) -> Marginals | Joint:
    generator = torch.Generator().manual_seed(3)
    slots = len(slots_of(constellation))
    if joint:
        return Joint.of(constellation, torch.randn(n, slots, 1 + PRODUCTS, generator=generator, dtype=torch.float64))
    occupied = torch.randn(n, slots, generator=generator, dtype=torch.float64)
    draw = {
        name: torch.randn(n, slots, width, generator=generator, dtype=torch.float64) for name, width in VALUES.items()
    }
    return Marginals.of(constellation, occupied, draw)


@pytest.mark.parametrize("constellation", CONSTELLATIONS)
@pytest.mark.parametrize("joint", [False, True])
def test_values_that_a_component_never_has_get_nothing(constellation: str, joint: bool) -> None:
    seen = scores(constellation, joint).marginals()
    for name, logs in seen.values.items():
        torch.testing.assert_close(logs.exp().sum(-1), torch.ones(logs.shape[:-1], dtype=logs.dtype))
        assert (logs.exp()[:, ~possible(constellation)[name]] == 0).all()
        assert (logs.exp()[:, possible(constellation)[name]] > 0).all()


def test_marginals_of_products_are_sums_over_all_kinds() -> None:
    seen = scores("in_distribute_four_out_center_single", True)
    assert isinstance(seen, Joint)
    whole = seen.logs.exp()
    found = seen.marginals()
    torch.testing.assert_close(found.occupied.sigmoid(), 1 - whole[..., 0])
    for code in range(PRODUCTS):
        which = np.unravel_index(code, tuple(VALUES.values()))
        assert code == (which[0] * 6 + which[1]) * 10 + which[2]
    for axis, name in enumerate(VALUES):
        wanted = torch.zeros_like(found.values[name])
        for code in range(PRODUCTS):
            wanted[..., np.unravel_index(code, tuple(VALUES.values()))[axis]] += whole[..., 1 + code]
        torch.testing.assert_close(found.values[name].exp(), wanted / (1 - whole[..., :1]))


@pytest.mark.parametrize("joint", [False, True])
def test_loss_is_the_likelihood_of_the_labels(joint: bool) -> None:
    batch = puzzles("distribute_four", 2)
    seen, labels = scores("distribute_four", joint), Labels.of(batch.arrays)
    lost = []
    for panel in range(32):
        for slot in range(4):
            there = bool(labels.occupied[panel, slot])
            kind = [int(labels.values[name][panel, slot]) for name in VALUES]
            if isinstance(seen, Joint):
                code = 1 + (kind[0] * 6 + kind[1]) * 10 + kind[2]
                lost.append(-float(seen.logs[panel, slot, code if there else 0]))
                continue
            odds = seen.occupied[panel, slot]
            lost.append(-float(functional.logsigmoid(odds if there else -odds)))
            lost[-1] -= (
                sum(float(seen.values[name][panel, slot, k]) for name, k in zip(VALUES, kind, strict=True))
                if there
                else 0
            )
    assert float(seen.loss(labels)) == pytest.approx(np.mean(lost))


@pytest.mark.parametrize("constellation", ["center_single", "distribute_four", "in_distribute_four_out_center_single"])
def test_labels_seen_as_they_are_make_the_scene_of_the_labels(constellation: str) -> None:
    """Slots, components, panels and magnitudes are where the oracle has them."""
    batch = puzzles(constellation)
    labels = Labels.of(batch.arrays)
    occupied = torch.where(labels.occupied, 50.0, -50.0)
    values = {name: 100.0 * functional.one_hot(labels.values[name], width) for name, width in VALUES.items()}
    scene = Marginals.of(constellation, occupied, values).scene("shares")
    wanted = Oracle()(batch, mixed="shares", entities=True)
    assert scene.keys == wanted.keys and scene.ranges == wanted.ranges
    for key, pmf in wanted.pmfs.items():
        torch.testing.assert_close(scene.pmfs[key], pmf, rtol=0, atol=1e-6)
    for key, pmf in wanted.sets.items():
        torch.testing.assert_close(scene.sets[key], pmf, rtol=0, atol=1e-6)
    for key, pmf in wanted.entities.items():
        there = wanted.sets[key._replace(name="Position")] > 0.5
        torch.testing.assert_close(scene.entities[key][there], pmf[there], rtol=0, atol=1e-6)
    sight = observe_sight(scene, batch.arrays)
    assert sight.panels.rate == sight.merged.rate == 1 and sight.nats < 1e-6
    assert float(disagreement(scene, batch.arrays)) == pytest.approx(0, abs=1e-5)


def test_sizes_that_have_the_same_pixels() -> None:
    """Squares of the third and fourth size in the inner grid, and no others."""
    found = {name: np.argwhere(same_sizes(name) & ~np.eye(6, dtype=bool)) for name in CONSTELLATIONS}
    assert [tuple(row[1:]) for row in found.pop("in_distribute_four_out_center_single") if row[2] < row[3]] == [
        (1, 2, 3)
    ] * 4
    assert all(len(rows) == 0 for rows in found.values())


def test_like_sizes_are_merged_in_the_count() -> None:
    batch = puzzles("out_in_grid", 40)
    labels = Labels.of(batch.arrays)
    like = (
        labels.occupied & (labels.values["Type"] == 1) & ((labels.values["Size"] == 2) | (labels.values["Size"] == 3))
    )
    like[:, 0] = False
    other = torch.where(like, 5 - labels.values["Size"], labels.values["Size"])
    assert like.any()
    values = {**labels.values, "Size": other}
    logits = {name: 100.0 * functional.one_hot(values[name], width) for name, width in VALUES.items()}
    seen = Marginals.of(batch.arrays.constellation, torch.where(labels.occupied, 50.0, -50.0), logits)
    sight = observe_sight(seen.scene("shares"), batch.arrays)
    assert sight.merged.rate == 1
    assert sight.panels.correct == int((~like.any(1)).sum())
    assert Sight.from_dict(json.loads(json.dumps(sight.as_dict()))) == sight


# -- what a front-end is told ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "options"), KINDS, ids=KIND_NAMES)
@pytest.mark.parametrize("constellation", ["distribute_nine", "in_distribute_four_out_center_single"])
def test_scrambled_labels_change_nothing(name: str, options: dict, constellation: str, monkeypatch) -> None:
    """Pixels and the layout's slots are all that counts."""
    batch = puzzles(constellation, 3)
    images = batch.images()
    seer = made(name, options)
    monkeypatch.setattr(datasets.PuzzleBatch, "images", lambda self, **_: images)
    with torch.no_grad():
        wanted = seer(batch)
        seen = seer(datasets.PuzzleBatch.of(scrambled(batch.arrays)))
    for part in ("pmfs", "sets", "entities"):
        for key, pmf in getattr(wanted, part).items():
            assert torch.equal(pmf, getattr(seen, part)[key])


def scrambled(arrays: PuzzleArrays) -> PuzzleArrays:
    """Other labels, rules, angles and targets in the same layout."""
    other = datasets.generate(arrays.dataset, arrays.constellation, n=len(arrays), seed=99)
    return dataclasses.replace(other, index=arrays.index)


@pytest.mark.parametrize(("name", "options"), KINDS, ids=KIND_NAMES)
def test_puzzles_do_not_depend_on_their_batch(name: str, options: dict) -> None:
    batch, seer = puzzles("distribute_four", 4), made(name, options)
    with torch.no_grad():
        together, alone = seer(batch), seer(datasets.PuzzleBatch.of(batch.arrays[2:3]))
    for key, pmf in together.pmfs.items():
        torch.testing.assert_close(pmf[2:3], alone.pmfs[key], rtol=1e-4, atol=1e-5)


def test_a_layout_that_is_mistaken_shows_nothing() -> None:
    seer = made("slot", {"layout": "auto"})
    batch = puzzles("distribute_four", 3)
    names = list(CONSTELLATIONS)
    right, wrong = (torch.full((3, 7), -9.0) for _ in range(2))
    right[:, names.index("distribute_four")] = wrong[:2, names.index("distribute_four")] = 0
    wrong[2, 0] = 0
    with torch.no_grad():
        seer.recognise = lambda images: right
        clear = seer(batch)
        seer.recognise = lambda images: wrong
        dark = seer(batch)
        assert seer.knows_layout(batch).tolist() == [True, True, False]
    for key, pmf in dark.entities.items():
        assert torch.equal(pmf[:2], clear.entities[key][:2])
        mass = pmf[2][pmf[2] > 0]
        torch.testing.assert_close(mass, torch.full_like(mass, 1 / VALUES[key.name]))
    for key, pmf in dark.sets.items():
        assert torch.equal(pmf[:2], clear.sets[key][:2]) and bool((pmf[2] == 0.5).all())


@pytest.mark.parametrize(
    ("name", "options", "error"),
    [
        ("slot", {"layout": "automatic"}, SettingsError),
        ("nvsa", {"body": "transformer"}, UnknownNameError),
    ],
)
def test_options_that_make_no_sense(name: str, options: dict, error: type[Exception]) -> None:
    with pytest.raises(error, match="expected"):
        perception.get(name)(**options)


# -- product vectors ---------------------------------------------------------------------------------------------


def test_superposed_products_are_read_back_slot_by_slot() -> None:
    """Nine product vectors bound to their positions, in one vector: each is found again."""
    seer = made("nvsa", {"body": "superposed"})
    kinds = torch.randint(0, 1 + PRODUCTS, (50, 9), generator=torch.Generator().manual_seed(1))
    whole = seer.superposed(seer.products.atoms[kinds], "distribute_nine")
    assert whole.shape == (50, seer.dim)
    found = seer.products.cosine(seer.unbound(whole, "distribute_nine")).argmax(-1)
    assert torch.equal(found, kinds)


def test_products_are_bound_from_their_factors() -> None:
    """Kinds that share two of three factors are no more alike than others; all are quasi-orthogonal."""
    atoms = made("nvsa", {}).products.atoms
    assert atoms.shape == (1 + PRODUCTS, 512)
    alike = functional.normalize(atoms.double()) @ functional.normalize(atoms.double()).T
    alike.fill_diagonal_(0)
    assert alike.abs().max() < 0.3
    shaped = atoms[1:].unflatten(0, tuple(VALUES.values()))
    ratio = shaped[0, 0, 0] * shaped[1, 0, 0]  # of two types, whatever the other factors
    torch.testing.assert_close(shaped[0, 3, 7] * shaped[1, 3, 7], ratio)


def test_the_published_network_takes_a_step() -> None:
    seer = made("nvsa", {"body": "resnet18"}).train()
    assert 11e6 < sum(weight.numel() for weight in seer.network.parameters()) < 12.5e6
    batch = puzzles("left_right", 1)
    before = float(seer.label_loss([batch], torch.Generator().manual_seed(0)).detach())
    optimizer = torch.optim.AdamW(seer.parameters(), 0.95e-4, weight_decay=5e-4)
    for _ in range(3):
        optimizer.zero_grad()
        loss = seer.label_loss([batch], torch.Generator().manual_seed(0))
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < before


def test_the_panel_network_is_economical() -> None:
    assert sum(weight.numel() for weight in made("nvsa", {"body": "panel"}).parameters()) <= 1.5e6


# -- learning ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "options"), KINDS, ids=KIND_NAMES)
def test_labels_teach(name: str, options: dict) -> None:
    seer = made(name, options).train()
    batches = [puzzles(constellation, 4) for constellation in ("center_single", "distribute_four")]
    losses = []
    optimizer = torch.optim.AdamW(seer.parameters(), 3e-3)
    for _ in range(6):
        optimizer.zero_grad()
        loss = seer.label_loss(batches, torch.Generator().manual_seed(0))
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]
    unused = {"positions"} if options.get("body", "glimpses") == "glimpses" else set()
    assert all(w.grad is not None for name, w in seer.named_parameters() if name not in unused)


@pytest.mark.parametrize("sizes", [(9,), (10, 10), (5, 23), (1, 1, 50)])
def test_mixed_batches_show_every_puzzle_once(sizes: tuple[int, ...]) -> None:
    names = list(CONSTELLATIONS)
    sets = [datasets.PuzzleDataset(datasets.generate("iraven", names[k], n=n, seed=k)) for k, n in enumerate(sizes)]
    mixed = MixedPuzzles(tuple(sets), 4)
    shown = [list(part.index) for batch in mixed.batches(4, shuffle=True, epoch=3) for part in batch.parts]
    assert sorted(int(k) for part in shown for k in part) == sorted(int(k) for s in sets for k in s.arrays.index)
    batches = list(mixed.batches(4, shuffle=True, epoch=3))
    assert len(batches) * 4 == len(mixed) and all(batch.parts for batch in batches)
    for start in (1, len(batches) - 1):
        again = list(mixed.batches(4, shuffle=True, epoch=3, start=start))
        assert [p.index.tolist() for b in again for p in b.parts] == [
            p.index.tolist() for b in batches[start:] for p in b.parts
        ]


# -- with the weights that come along ----------------------------------------------------------------------------


@pytest.mark.parametrize("constellation", CONSTELLATIONS)
def test_shipped_weights_answer_out_of_the_box(constellation: str) -> None:
    solver = reasoning.make_solver("symbolic", "perception=best")
    batch = puzzles(constellation, 25, seed=77)
    with torch.no_grad():
        sight = observe_sight(solver.scene(batch), batch.arrays)
    assert sight.merged.rate > 0.99
    assert (solver.solve(batch).answers == batch.target).double().mean() >= 0.9
    assert bool(solver.perception.knows_layout(batch).all())

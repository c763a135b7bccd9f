"""What arrays owe to whoever stakes a paper on them; each law fails on a backend, or a device, that breaks it."""

from __future__ import annotations

import copy
import dataclasses
import itertools
import math
from dataclasses import dataclass
from functools import partial

import pytest
import torch
from torch.autograd import forward_ad
from torch.utils.data import DataLoader, Dataset

import datasets
import factorizers.cells
import reasoning
import vsa
from datasets.loaders import PuzzleDataset
from factorizers.damage import quantize_atoms
from factorizers.in_memory import _random_columns
from reasoning.records.checkpoints import load_weights
from vsa.backends import array_seed, array_seeds, get
from vsa.backends.crossbar import DEVICES, HERMES_CORE, Crossbar
from vsa.backends.crossbar import arrays as arrays_module
from vsa.backends.crossbar import backend as backend_module
from vsa.backends.crossbar import programmed as programmed_module
from vsa.backends.crossbar.arrays import Array
from vsa.errors import SettingsError, VSAError
from vsa.law_suite import LawError

YEAR = 3.15e7
PCM = DEVICES.get("pcm")


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def relative(found, wanted):
    return float((found - wanted).detach().norm() / wanted.detach().norm())


def breaks(law, *arguments):
    """A law that cannot fail is no law."""
    with pytest.raises((AssertionError, VSAError, LawError, KeyError, RuntimeError, pytest.fail.Exception)):
        law(*arguments)


# -- bound management: every attempt is a read of its own ------------------------------------------------------------


def managed(**options):
    options = {"adc_bits": 20, "adc_range": 10.0, "bound_management": True, "cost_model": HERMES_CORE, **options}
    return get("crossbar", **options)


def spent(stored, read):
    """What a read gives, and its energy and time in reads of one core."""
    before = stored.handle.cost()
    found = read()
    after = stored.handle.cost()
    energy = (after.energy_joules - before.energy_joules) / HERMES_CORE.read_joules
    return found, energy, (after.latency_seconds - before.latency_seconds) / HERMES_CORE.read_seconds


def law_noise_of_the_last_attempt(side):
    """2,000 reads of outputs of 512 in a range of 10: six halvings. Five standard errors of each deviation."""
    atoms = torch.ones(4, 512) if side == "matvec" else torch.ones(512, 4)
    x, scale = torch.ones(2000, 512), 64
    tolerance = {"rtol": 5 / math.sqrt(2 * 8000), "atol": 0}
    for options, wanted in (
        ({"output_noise": 0.04}, 0.04 * scale),  # does not shrink with the inputs
        ({"input_noise": 0.001}, 0.001 * scale * math.sqrt(512)),
        ({"device": {"name": "gaussian", "program_std_us": 0.0, "read_std_us": 0.25}}, 0.01 * math.sqrt(2 * 512)),
        ({"output_noise": 0.04, "averages": 4}, 0.02 * scale),
    ):
        found = getattr(managed(**options).store(atoms, seed=1), side)(x)
        got = found if "input_noise" not in options else found[:, :1]  # the noise of inputs is common to all outputs
        if "input_noise" in options:
            tolerance["rtol"] = 5 / math.sqrt(2 * 2000)
        torch.testing.assert_close(got.std(), torch.tensor(wanted), **tolerance)
        assert abs(float(got.mean()) - 512) < 5 * wanted / math.sqrt(2000)


def law_attempts_are_paid(side):
    atoms = torch.ones(4, 256) if side == "matvec" else torch.ones(256, 4)
    for averages in (1, 3):
        stored = managed(averages=averages, output_noise=1e-3).store(atoms, seed=1)
        for peak, attempts in ((8, 1), (16, 2), (100, 5), (256, 6)):
            x = torch.zeros(10, 256)
            x[:, :peak] = 1.0
            _, energy, time = spent(stored, partial(getattr(stored, side), x))
            assert energy == pytest.approx(10 * attempts * averages)
            assert time == pytest.approx(10 * attempts * averages)


@pytest.mark.parametrize("side", ["matvec", "rmatvec"])
def test_reads_beyond_the_range_are_read_again(side, monkeypatch):
    law_noise_of_the_last_attempt(side)
    law_attempts_are_paid(side)

    def rescaled(self, asked, driven, product, reach, number, side, generator):
        """One read at the full input, whose finished outputs are rescaled."""
        y = product(driven)
        down = torch.exp2((y.abs().amax(-1, keepdim=True) / 10).clamp_min(1e-9).log2().ceil().clamp(0, 10))
        return (y / (10 * down)).clamp(-1, 1) * 10 * down, None

    monkeypatch.setattr(Array, "_converted", rescaled)
    breaks(law_noise_of_the_last_attempt, side)
    breaks(law_attempts_are_paid, side)


def test_only_the_tiles_beyond_their_range_read_again():
    """Two tiles of inputs, two slices, two batches: what is within the range is read once."""
    atoms = torch.ones(4, 512)
    stored = managed(tile_rows=256).store(atoms)
    x = torch.zeros(2, 512)
    x[0, :40], x[1, :5] = 1.0, 1.0  # the first vector's first tile alone: 40, 20, 10
    found, energy, time = spent(stored, lambda: stored.matvec(x))
    torch.testing.assert_close(found, torch.tensor([[40.0] * 4, [5.0] * 4]), rtol=1e-4, atol=0)
    assert energy == pytest.approx(2 * 2 + 2)
    assert time == pytest.approx(2 + 2)
    back = managed(tile_columns=256).store(torch.ones(512, 4))
    found, energy, time = spent(back, lambda: back.rmatvec(x))
    torch.testing.assert_close(found, torch.tensor([[40.0] * 4, [5.0] * 4]), rtol=1e-4, atol=0)
    assert (energy, time) == (pytest.approx(2 * 2 + 2), pytest.approx(2 + 2))
    sliced = managed(slices=2, slice_bits=4).store(torch.full((4, 256), 1.0))
    _, energy, time = spent(sliced, lambda: sliced.matvec(x[:1, :256]))
    assert (energy, time) == (pytest.approx(2 + 2 * 2), pytest.approx(1 + 2))


def test_halved_inputs_lose_levels_of_their_converters():
    """An input of a third beside 40 whole ones: 8 bits know it well at full scale, hardly at an eighth."""
    x = torch.ones(1, 64)
    x[0, 32:] = 0.3
    atoms = torch.cat([torch.ones(1, 64), torch.cat([torch.zeros(1, 32), torch.ones(1, 32)], 1)])
    free = get("crossbar", dac_bits=6, adc_bits=20, adc_range=100.0).store(atoms).matvec(x)
    bound = managed(dac_bits=6).store(atoms).matvec(x)
    assert float(free[0, 1]) == pytest.approx(32 * round(0.3 * 31) / 31, rel=1e-3)
    assert float(bound[0, 1]) == pytest.approx(32 * round(0.3 * 31 / 8) / 31 * 8, rel=1e-3)  # 42 / 8 fits in 10


def test_a_read_that_never_fits_saturates_after_ten_halvings():
    stored = managed(adc_range=1e-3).store(torch.ones(1, 256))
    found, energy, _ = spent(stored, lambda: stored.matvec(torch.ones(1, 256)))
    assert energy == pytest.approx(11)
    assert float(found) == pytest.approx(1e-3 * 1024, rel=1e-3)


def test_attempts_survive_saving():
    one = managed().store(torch.ones(4, 256), seed=1)
    one.matvec(torch.ones(3, 256))
    other = managed().store(torch.ones(4, 256), seed=2)
    other.handle.load_state_dict(one.handle.state_dict())
    assert other.handle.cost() == one.handle.cost()


# -- drift compensation and calibration ------------------------------------------------------------------------------


def law_compensation_helps(mapping):
    """A common drift is taken back exactly; that of PCM to less than half."""
    atoms, x = torch.randn(64, 128, generator=rng(1)), torch.randn(50, 128, generator=rng(2))
    common = {"name": "gaussian", "program_std_us": 0.0, "read_std_us": 0.0, "drift_nu": 0.05}
    for device, share in ((common, 1e-4), ("pcm", 0.5)):
        late = {}
        for kind in ("none", "global", "column"):
            options = {"mapping": mapping, "compensation": kind, "averages": 10**12}
            stored = get("crossbar", device=device, **options).store(atoms, seed=1)
            fresh = stored.matvec(x)
            stored.handle.advance(YEAR)
            late[kind] = relative(stored.matvec(x), fresh)
        assert late["none"] > 0.1
        assert max(late["global"], late["column"]) < share * late["none"]


def law_compensation_sees_faults(mapping):
    """The factor is that of the conductances which a read meets: behind wires, stuck ones, which keep theirs, too."""
    options = {"mapping": mapping, "stuck_share": 0.1, "dead_share": 0.05, "wire_ohm": 2.0, "averages": 10**12}
    device = {"name": "gaussian", "program_std_us": 0.3, "read_std_us": 0.0, "drift_nu": 0.05}
    atoms = torch.randn(20, 32, generator=rng(1))
    found = {}
    for kind in ("none", "global"):
        stored = get("crossbar", device=device, compensation=kind, **options).store(atoms, seed=1)
        early = stored.matvec(torch.eye(32)), stored.handle.arrays["forward"]
        total = [_current(early[1])]
        stored.handle.advance(YEAR)
        total.append(_current(early[1]))
        found[kind] = stored.matvec(torch.eye(32)), total[0] / total[1]
    scale = float(atoms.abs().max())
    offset = 0.0 if mapping == "differential" else scale
    wanted = (found["none"][0] + offset) * found["none"][1] - offset
    torch.testing.assert_close(found["global"][0], wanted, rtol=1e-3, atol=1e-3 * scale)


def _current(array):
    """All conductances as they stand, behind the wires, added up."""
    g_us, _ = array.conductances()
    return float((g_us * programmed_module.wire_share(g_us, array.settings.wire_ohm)).sum())


@pytest.mark.parametrize("mapping", ["differential", "offset"])
def test_compensation_is_that_of_what_is_read(mapping, monkeypatch):
    law_compensation_helps(mapping)
    law_compensation_sees_faults(mapping)
    refresh, seen = Array._refresh, Array._total

    def after_the_offset(self):
        settings, self.settings = self.settings, dataclasses.replace(self.settings, compensation="none")
        refresh(self)
        self.settings = settings
        if settings.compensation != "none":
            total = self._total(self._seen(self.t_seconds)[0])
            self._reference = total if self._reference is None else self._reference
            self.matrix = self.matrix * (self._reference / total)[0]

    if mapping == "offset":
        with monkeypatch.context() as patched:
            patched.setattr(Array, "_refresh", after_the_offset)
            breaks(law_compensation_helps, mapping)
            breaks(law_compensation_sees_faults, mapping)
    monkeypatch.setattr(Array, "_total", lambda self, g_us: seen(self, self.settings.cell.drift(self.state, self.t)))
    monkeypatch.setattr(Array, "t", property(lambda self: self.t_seconds), raising=False)
    breaks(law_compensation_sees_faults, mapping)


def law_calibration_looks_at_all_tiles():
    """The loud tile comes last, after a million outputs of the quiet one: more vectors change nothing."""
    atoms = torch.randn(1024, 512, generator=rng(1))
    atoms[:, 256:] *= 40
    errors = []
    for vectors in (500, 1200):
        x = torch.randn(vectors, 512, generator=rng(2))
        stored = get("crossbar_ideal", adc_bits=8, dac_bits=10, tile_rows=256).store(atoms)
        stored.handle.calibrate(x)
        errors.append(relative(stored.matvec(x[:100]), x[:100] @ atoms.T))
    assert max(errors) < 0.03


def test_calibration_looks_at_all_tiles(monkeypatch):
    law_calibration_looks_at_all_tiles()
    monkeypatch.setattr(arrays_module, "quantile_of", lambda x, q: torch.quantile(x.flatten()[: 1 << 20], q))
    breaks(law_calibration_looks_at_all_tiles)


# -- every array has errors of its own -------------------------------------------------------------------------------


def errors_of(stored):
    array = stored.handle.arrays["forward"]
    return (array.state["g_us"] - array.target_us).flatten()


def law_arrays_differ(backend):
    """4,096 weights: errors of two arrays correlate within five standard errors of zero, of all pairs."""
    algebra = vsa.get("map", dim=128)
    book = vsa.Codebook.random(algebra, 32, seed=0)
    exact = vsa.LearnableCodebook(algebra, book.atoms.float(), constraint="free")
    layer = vsa.nn.Linear(128, 32, backend=backend)
    with torch.no_grad():
        layer.weight.copy_(book.atoms)
    stored = [
        book.on(backend).stored,
        book.on(backend).stored,
        vsa.Codebook(algebra, book.atoms, backend=backend).stored,
    ]
    stored += [exact.freeze(backend).stored, exact.on(backend).stored]
    atoms = book.atoms.float()
    stored += [backend.store(atoms), backend.store(atoms), backend.train_view(atoms), backend.train_view(atoms)]
    for _ in range(2):
        layer.program()
        stored.append(layer.stored)
    other = vsa.nn.Linear(128, 32, backend=backend)
    assert not torch.equal(other.weight, layer.weight)
    other.load_state_dict({"weight": layer.weight, "bias": layer.bias})
    other.program()
    stored.append(other.stored)
    errors = torch.stack([errors_of(each).clone() for each in stored])
    stored[0].handle.reprogram()
    errors = torch.cat([errors, errors_of(stored[0])[None]])
    apart = torch.corrcoef(errors) - torch.eye(len(errors))
    assert float(apart.abs().max()) < 5 / math.sqrt(errors.shape[1])


@dataclass(frozen=True)
class OneSeed(Crossbar):
    """All arrays alike by default."""

    name = "one_seed"

    def seed_of(self, seed):
        return 0 if seed is None else seed


def test_arrays_differ_unless_one_asks_for_the_same():
    device = {"name": "gaussian", "program_std_us": 0.5, "g_min_us": 5.0}  # far from the cut at zero
    law_arrays_differ(get("crossbar", device=device))
    breaks(law_arrays_differ, OneSeed(device=device))
    book = vsa.Codebook.random(vsa.get("map", dim=128), 32, seed=0)
    one, same = (book.on(get("crossbar", device=device), seed=3) for _ in range(2))
    assert torch.equal(errors_of(one.stored), errors_of(same.stored))
    again = book.on(get("crossbar", device=device), seed=book.on(get("crossbar", device=device)).seed)
    assert isinstance(again.seed, int)
    layers = [vsa.nn.Linear(4, 3, seed=3) for _ in range(2)]
    assert torch.equal(layers[0].weight, layers[1].weight)


def test_views_of_learned_books_differ():
    algebra, view = vsa.get("map_real", dim=64), get("crossbar_gaussian")
    atoms = torch.randn(8, 64, generator=rng(1))
    books = [vsa.LearnableCodebook(algebra, atoms, view=view) for _ in range(2)]
    one, two = (errors_of(book.stored) for book in books)
    assert not torch.equal(one, two)
    assert torch.equal(one, errors_of(books[0].stored)), "one array until refresh"
    books[0].refresh()
    assert not torch.equal(one, errors_of(books[0].stored))


def test_seeds_descend_from_the_run_and_the_place():
    def run(seed):
        with array_seeds(seed):
            named = array_seed("colours")
            return [array_seed(), named, array_seed(), array_seed("colours"), array_seed("shapes", 1)]

    first, again, other = run(1), run(1), run(2)
    assert first == again
    assert not set(first) & set(other)
    assert first[1] == first[3]
    assert len(set(first)) == 4
    with array_seeds(1), array_seeds(2):
        assert array_seed() == other[0], "a run within a run is a run"
    with array_seeds(5):
        get("digital").store(torch.ones(2, 3))
        vsa.Codebook.random(vsa.get("map", dim=16), 3, seed=0)
        assert array_seed() == run_first(5), "exact backends are not counted"


def run_first(seed):
    with array_seeds(seed):
        return array_seed()


def test_derived_books_have_errors_of_their_own():
    """Factorizers make books from books: what is programmed beside an array is another piece of hardware."""
    chip = get("crossbar", device={"name": "gaussian", "g_min_us": 5.0})
    books = [vsa.Codebook.random(vsa.get("map", dim=128), 16, seed=place).on(chip, seed=place) for place in (0, 1)]
    search = factorizers.get("asymmetric", books)
    made = [*books, *itertools.chain(*search.flipped(rng(1))), *itertools.chain(*search.flipped(rng(2)))]
    made += factorizers.get("resonator", books, optional=(0, 1)).problem.books
    made += [_random_columns(search.problem, place, rng(3)) for place in (0, 1)]
    made += [
        quantize_atoms(vsa.Codebook(made[0].algebra, book.atoms.float(), backend=chip, seed=0), 4) for book in books[:1]
    ]
    assert len({book.seed for book in made}) == len(made) == 15
    assert [book.seed for book in search.flipped(rng(1))[0]] == [book.seed for book in made[2:4]], (
        "repeated by the seed"
    )


def law_capacity_depends_on_its_seed_alone():
    """Whatever this process programmed before: so on any number of workers."""
    cell = factorizers.cells.Cell(
        factorizer="in_memory",
        options=(("noise", 0.5), ("noise_from", "columns")),
        algebra="map",
        dim=32,
        blocks=None,
        factors=2,
        size=12,
        queries=40,
        draws=2,
        seed=3,
        noise=0.1,
        damage="flips",
        threads=1,
        backend=factorizers.cells.as_pairs(
            {"name": "crossbar_gaussian", "device": {"name": "gaussian", "program_std_us": 5.0}}
        ),
    )
    results = []
    for _ in range(2):
        line = factorizers.cells.compute(cell)
        results.append({key: value for key, value in line.items() if "ms_per" not in key and "mb" not in key})
        get("crossbar_gaussian").store(torch.ones(2, 3))  # another array in this process
    assert results[0] == results[1]


def test_capacity_is_repeated_by_its_seed(monkeypatch):
    law_capacity_depends_on_its_seed_alone()
    on = vsa.Codebook.on
    monkeypatch.setattr(vsa.Codebook, "on", lambda self, backend, seed=None: on(self, backend))
    breaks(law_capacity_depends_on_its_seed_alone)


@pytest.mark.parametrize("decoder", [None, "codebook", "in_memory"])
def test_reasoning_is_repeated_by_its_seed(decoder):
    """Scores of a learner on arrays, in whatever state the process is: the arrays are those of the run."""
    batch = next(PuzzleDataset(datasets.generate("iraven", "center_single", n=8, seed=1)).batches(8))
    scores = []
    for _ in range(2):
        options = [] if decoder is None else [f"decoder={decoder}"]
        solver = reasoning.make_solver("arlc", "backend=crossbar_pcm", "model.mode=programmed", "seed=2", *options)
        get("crossbar_gaussian").store(torch.ones(2, 3))
        with torch.no_grad():
            scores.append(solver.solve(batch).scores)
    assert torch.equal(*scores)


class Similarities(Dataset):
    """Reads of one array, in whatever process."""

    def __init__(self, book):
        self.book = book

    def __len__(self):
        return 8

    def __getitem__(self, item):
        return self.book.similarity(self.book.atoms[0].float())


@pytest.mark.parametrize("context", ["fork", "spawn", "forkserver"])
def test_workers_read_arrays_and_each_with_noise_of_its_own(context):
    book = vsa.Codebook.random(vsa.get("map", dim=64), 4, seed=0).on(get("crossbar_gaussian"), seed=1)
    loader = DataLoader(Similarities(book), num_workers=2, multiprocessing_context=context, generator=rng(1))
    first = torch.cat(list(loader))
    assert len(first.unique(dim=0)) == 8, "no two reads alike, of one worker or of two"
    again = torch.cat(list(DataLoader(Similarities(book), num_workers=2, generator=rng(1))))
    torch.testing.assert_close(again, first)


# -- whose state it is -----------------------------------------------------------------------------------------------

CHIPS = {
    "gaussian": {"device": "gaussian"},
    "pcm": {"device": "pcm"},
    "larger": {"device": {"name": "pcm", "g_max_us": 50.0}},
    "offset": {"device": "pcm", "mapping": "offset"},
    "columns": {"device": "pcm", "scaling": "column"},
    "tiles": {"device": "pcm", "tile_rows": 4},
    "narrow": {"device": "pcm", "tile_columns": 3},
    "two": {"device": "pcm", "share_devices": False},
    "slices": {"device": "pcm", "slices": 2, "slice_bits": 4},
    "compensated": {"device": "pcm", "compensation": "global"},
    "by_column": {"device": "pcm", "compensation": "column"},
    "faults": {"device": "pcm", "stuck_share": 0.1},
    "gains": {"device": "pcm", "adc_gain_std": 0.1},
}
SHAPES = {"taller": (8, 6), "wider": (6, 9), "stack": (2, 6, 8)}


def law_foreign_state_is_refused(saved, shape, loading):
    source = get("crossbar", **CHIPS[saved]).store(torch.randn(shape, generator=rng(1)), seed=1)
    target = get("crossbar", **CHIPS[loading]).store(torch.randn(6, 8, generator=rng(1)), seed=2)
    x = torch.randn(3, 8, generator=rng(3))
    before = {name: value.clone() for name, value in target.handle.state_dict().items()}
    with pytest.raises(VSAError, match=r"^load_state_dict: .*saved from"):
        target.handle.load_state_dict(source.handle.state_dict())
    after = target.handle.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(after[name], value) for name, value in before.items()), "half loaded"
    target.matvec(x)


def test_state_of_another_chip_is_refused_whole(monkeypatch):
    for saved, loading in itertools.permutations(CHIPS, 2):
        law_foreign_state_is_refused(saved, (6, 8), loading)
    for shape in SHAPES.values():
        law_foreign_state_is_refused("pcm", shape, "pcm")
    monkeypatch.setattr(backend_module, "check", lambda *arguments: None)
    breaks(law_foreign_state_is_refused, "gaussian", (6, 8), "pcm")
    breaks(law_foreign_state_is_refused, "pcm", (6, 8), "larger")


def test_other_spoilt_states_are_sentences():
    stored = get("crossbar_pcm").store(torch.randn(6, 8, generator=rng(1)), seed=1)
    state = stored.handle.state_dict()
    stored.handle.load_state_dict(state)
    for name, value, words in (
        ("forward.time", torch.tensor(-1.0, dtype=torch.float64), "not negative"),
        ("forward.time", torch.tensor(math.nan, dtype=torch.float64), "finite"),
        ("forward.state.g_us", state["forward.state.g_us"] * math.nan, "finite"),
        ("forward.state.g_us", state["forward.state.g_us"].double(), "float32"),
        ("forward.counts", torch.zeros(2, dtype=torch.int64), "counts"),
        ("forward.belongs", torch.zeros(5, dtype=torch.uint8), "says nothing"),
        ("forward.ranges", torch.zeros(2), "positive"),
        ("forward.extra", torch.zeros(2), "extra"),
        ("sideways.time", torch.zeros(()), "sideways"),
    ):
        with pytest.raises(VSAError, match=words):
            stored.handle.load_state_dict({**state, name: value})
    with pytest.raises(VSAError, match="no entry forward"):
        stored.handle.load_state_dict({})
    with pytest.raises(VSAError, match="this device has no state"):
        get("digital").store(torch.ones(2, 3)).handle.load_state_dict(state)
    stored.handle.advance(9e11)
    with pytest.raises(VSAError, match="a finite time"):
        stored.handle.advance(9e11)


def test_a_refused_book_keeps_its_atoms():
    algebra = vsa.get("map_real", dim=16)
    saved = vsa.Codebook.random(algebra, 4, seed=1).on(get("crossbar_gaussian"))
    target = vsa.Codebook.random(algebra, 4, seed=2).on(get("crossbar_pcm"))
    before = target.fingerprint()
    with pytest.raises(VSAError, match="device"):
        target.load_state_dict(saved.state_dict())
    assert target.fingerprint() == before


@pytest.mark.parametrize("training", [True, False])
def test_learned_books_save_no_devices(training):
    algebra = vsa.get("map_real", dim=16)
    atoms = torch.randn(4, 16, generator=rng(1))
    saved = vsa.LearnableCodebook(algebra, atoms, view=get("crossbar_pcm")).train(training)
    other = vsa.LearnableCodebook(algebra, torch.zeros_like(atoms), constraint="free").train(not training)
    other.load_state_dict(saved.state_dict())
    assert torch.equal(other.atoms, saved.atoms)


# -- layers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["crossbar_pcm", "crossbar_hermes", "digital"])
def test_a_layer_is_saved_with_its_array_and_age(name):
    x = torch.randn(3, 8, generator=rng(1))
    net = torch.nn.Sequential(vsa.nn.Linear(8, 4, backend=get(name), seed=1)).eval()
    layer = net[0]
    layer.program()
    layer.stored.handle.advance(1e6)
    with torch.no_grad():
        layer.weight.mul_(2)  # does not reach the array
    state = {key: value.clone() for key, value in net.state_dict().items()}
    wanted = net(x)
    other = torch.nn.Sequential(vsa.nn.Linear(8, 4, backend=get(name), seed=9))
    other.load_state_dict(state)
    other.eval()
    assert torch.equal(other(x), wanted)
    if name != "digital":
        assert other[0].stored.handle.t_seconds == 1e6 + 1.0
        assert not torch.equal(layer.weight, layer.stored.stored_atoms)
        strange = torch.nn.Sequential(vsa.nn.Linear(8, 4, backend=get("crossbar_gaussian")))
        kept = strange[0].weight.clone()
        with pytest.raises(VSAError, match=r"device (Hermes)?PCM"):
            strange.load_state_dict(state)
        assert torch.equal(strange[0].weight, kept)
        with pytest.raises(VSAError, match=r"an array of weights \(4, 9\)"):
            strange.load_state_dict({**state, "0.programmed_array.weight": torch.ones(4, 9)})
    net.to("cpu")
    assert torch.equal(copy.deepcopy(net)(x), copy.deepcopy(net)(x))
    if name != "digital":
        with pytest.raises(VSAError, match=r"Linear\.to"):
            net.double()


def test_weights_are_told_from_arrays():
    """A solver that was evaluated before it is saved or trained: its weights are those of a fresh one."""
    made = [torch.nn.Sequential(vsa.nn.Linear(8, 4, backend=get("crossbar_pcm"), seed=seed)) for seed in (1, 2)]
    used, fresh = made
    used[0].program()
    assert set(vsa.nn.without_arrays(used.state_dict())) == set(fresh.state_dict()) < set(used.state_dict())
    load_weights(fresh, used.state_dict(), "test")
    assert torch.equal(fresh[0].weight, used[0].weight)
    load_weights(used, fresh.state_dict(), "test")
    with pytest.raises(VSAError, match="call program"):
        _ = used[0].stored


def torch_layer(inputs, outputs, bias=True):
    """A torch.nn.Linear whose weights are not drawn from the global generator."""
    layer = torch.nn.utils.skip_init(torch.nn.Linear, inputs, outputs, bias=bias)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=rng(1)))
    return layer


@pytest.mark.parametrize("learn_range", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_the_state_of_a_torch_layer_loads(bias, learn_range):
    theirs = torch.nn.Sequential(torch_layer(8, 4, bias))
    ours = torch.nn.Sequential(vsa.nn.Linear(8, 4, bias=bias, learn_range=learn_range, seed=1)).eval()
    ours.load_state_dict(theirs.state_dict())
    x = 0.9 * (2 * torch.rand(5, 8, generator=rng(1)) - 1)
    torch.testing.assert_close(ours(x), theirs(x))
    with pytest.raises(RuntimeError, match="Missing key"):
        ours.load_state_dict({})


def law_gradients_pass(backend):
    """Through a programmed layer to what lies before it, both modes: as by the weights that were programmed."""
    front = torch_layer(8, 8)
    layer = vsa.nn.Linear(8, 4, backend=backend, seed=1).eval()
    layer.program()
    programmed = layer.weight.detach().clone()
    with torch.no_grad():
        layer.weight.zero_()
    x = torch.randn(3, 8, generator=rng(1))
    layer(front(x)).sum().backward()
    wanted = torch.nn.functional.linear(x.sum(0, keepdim=True).T.expand(8, 8).T, torch.eye(8))
    torch.testing.assert_close(front.weight.grad, programmed.sum(0)[:, None] * wanted, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(
        torch.func.grad(lambda v: layer(v).sum())(x), programmed.sum(0).expand(3, -1), rtol=1e-4, atol=1e-5
    )
    with forward_ad.dual_level():
        tangent = forward_ad.unpack_dual(layer(forward_ad.make_dual(x, torch.ones_like(x)))).tangent
    assert tangent is not None
    torch.testing.assert_close(tangent, programmed.sum(1).expand(3, -1), rtol=1e-4, atol=1e-5)


def law_gradients_of_books(backend, algebra):
    atoms = algebra.random(6, generator=rng(1))
    atoms = atoms if atoms.is_floating_point() or atoms.is_complex() else atoms.float()
    exact = vsa.Codebook(algebra, atoms)
    noisy = exact.on(backend, seed=1)

    def gradient(book, read):
        start = algebra.random(3, generator=rng(2), dtype=atoms.dtype) if read != "superpose" else torch.ones(3, 6)
        x = start.clone().requires_grad_()
        found = {
            "similarity": lambda: book.similarity(x),
            "topk": lambda: book.topk(x, 6)[0],
            "cleanup": lambda: book.topk(x, 6)[0].sum(),
            "superpose": lambda: book.superpose(x).abs(),
        }[read]()
        (found.square() if read == "superpose" else found).sum().backward()
        return x.grad

    for read in ("similarity", "topk", "cleanup"):
        torch.testing.assert_close(gradient(noisy, read), gradient(exact, read))
    assert float(gradient(noisy, "superpose").abs().sum()) > 0


@pytest.mark.filterwarnings("ignore:`torch.jit.script`:DeprecationWarning")  # of torch's forward mode
@pytest.mark.parametrize("name", ["crossbar_pcm", "crossbar_hermes", "crossbar_reram", "crossbar_gaussian"])
def test_gradients_pass_straight_through_programmed_arrays(name, monkeypatch):
    algebras = [vsa.get(each, dim=32) for each in ("map", "map_real", "hrr", "fhrr")]
    law_gradients_pass(get(name))
    for algebra in algebras:
        law_gradients_of_books(get(name), algebra)
    monkeypatch.setattr(vsa.StoredMatrix, "_lends_gradient", lambda self, x, answer: False)
    breaks(law_gradients_pass, get(name))
    breaks(law_gradients_of_books, get(name), algebras[1])


# -- devices and options ---------------------------------------------------------------------------------------------


def test_pcm_is_as_its_source_has_it():
    """Standard deviations at half of the range, from the published formulas: 1 s, an hour, a year; 200,000 devices."""
    for g_max in (25.0, 50.0, 5.0):
        cell = PCM(g_max_us=g_max)
        target = torch.full((200_000,), g_max / 2)
        state = cell.program(target, rng(1))
        spread = (-1.1731 * 0.25 + 1.9650 * 0.5 + 0.2635) * g_max / 25
        assert float(state["g_us"].std()) == pytest.approx(spread, rel=5 / math.sqrt(400_000))
        for t in (1e-9, 1.0, 3600.0, YEAR):
            wanted = g_max / 2 * 0.0088 / 0.5**0.65 * math.sqrt(math.log((t + 20 + 250e-9) / 500e-9))
            assert float(cell.read_std(state, target, t)[0]) == pytest.approx(wanted, rel=1e-5)
    assert float(PCM().read_std(PCM().program(target[:1] * 5, rng(1)), target[:1] * 5, 1.0)) == pytest.approx(
        0.7232, abs=1e-4
    )


class Young(PCM):
    """Read noise that counts from the end of programming."""

    def read_std(self, state, g_us, t_seconds):
        return g_us * state["q"] * math.sqrt(max(math.log((t_seconds + 250e-9) / 500e-9), 0.0))


class Unscaled(PCM):
    """Programming noise in uS, whatever the range."""

    def program(self, target_us, generator):
        share = 25.0 / self.g_max_us
        return PCM(self.g_max_us, self.g_min_us, share * self.program_scale).program(target_us, generator)


def test_devices_that_forget_are_found():
    vsa.check_device(PCM(g_max_us=50.0))
    breaks(vsa.check_device, Young())
    breaks(vsa.check_device, Unscaled(g_max_us=50.0))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("name", ["crossbar_pcm", "crossbar_hermes", "crossbar_reram", "crossbar_gaussian"])
def test_every_float_on_arrays(name, dtype):
    """As close as float32 is, up to the resolution of the dtype."""
    atoms, x = torch.randn(20, 64, generator=rng(1)), torch.randn(8, 64, generator=rng(2))
    weights = torch.rand(8, 20, generator=rng(3))

    def errors(dtype):
        stored = get(name).store(atoms.to(dtype), seed=1)
        one, two = stored.matvec(x.to(dtype)), stored.rmatvec(weights.to(dtype))
        assert one.dtype == two.dtype == dtype
        view = get(name).train_view(atoms.to(dtype).requires_grad_(), seed=1)
        view.matvec(x.to(dtype)).sum().backward()
        return relative(one.double(), x.double() @ atoms.double().T), relative(
            two.double(), weights.double() @ atoms.double()
        )

    plain = errors(torch.float32)
    for found, wanted in zip(errors(dtype), plain, strict=True):
        assert found < 1.5 * wanted + 8 * torch.finfo(dtype).eps
    layer = vsa.nn.Linear(64, 20, backend=get(name), seed=1).to(dtype).eval()
    assert layer(x.to(dtype)).dtype == dtype


@pytest.mark.parametrize(
    "option", ["slices", "averages", "verify_rounds", "slice_bits", "tile_rows", "tile_columns", "dac_bits", "adc_bits"]
)
@pytest.mark.parametrize("value", [1e30, 10**30, 10**4000, 1.5, True, "3", -1, float("nan"), float("inf")])
def test_counts_are_bounded(option, value):
    with pytest.raises(SettingsError, match="an integer from"):
        get("crossbar", **{option: value})


@pytest.mark.parametrize(
    "option", ["input_noise", "output_noise", "wire_ohm", "stuck_share", "verify_tolerance_us", "age_seconds"]
)
@pytest.mark.parametrize("value", [math.inf, math.nan, -1.0, "3", True, None])
def test_quantities_are_finite_numbers(option, value):
    with pytest.raises(SettingsError, match="a number, not negative"):
        get("crossbar", **{option: value})


def test_many_bits_are_refused_together_and_exact_up_to_that():
    with pytest.raises(SettingsError, match="52 bits in all"):
        get("crossbar", slices=8, slice_bits=24)
    atoms = torch.randn(5, 8, generator=rng(1), dtype=torch.float64)
    found = get("crossbar", slices=13, slice_bits=4).store(atoms).matvec(torch.eye(8, dtype=torch.float64))
    torch.testing.assert_close(found, atoms.T)
    with pytest.raises(VSAError, match="topk_elements"):
        get("digital", topk_elements=1e30)

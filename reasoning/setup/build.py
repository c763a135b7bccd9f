"""From settings to objects: algebra, backend, perception, learner, puzzle sets; the place that knows the registries."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from datasets import holdout
from reasoning.setup.settings import DatasetSettings, ModelSettings, Named, TrainingDatasetSettings
from vsa.commands import schema
from vsa.errors import SettingsError, UnknownNameError
from vsa.seeding import child_seed

if TYPE_CHECKING:
    from datasets.arrays import PuzzleArrays
    from datasets.layout import Layout
    from datasets.loaders import PuzzleDataset
    from reasoning.learners.base import Learner
    from reasoning.perception.base import Perception
    from reasoning.setup.front_end import FrontEnd
    from reasoning.solver import Solver
    from vsa import Algebra, Backend

__all__ = [
    "backend_words",
    "columns",
    "constellations",
    "decoded",
    "layout",
    "learner",
    "long_enough",
    "perception",
    "puzzle_sets",
    "ranges",
    "try_out",
]

_ALL = "all"
_WIDEST = 2**20  # entries of a vector: the codebooks of a reasoner are hundreds of them
# What constructors are given, if they name it; everything else is an option.
SUPPLIED = {
    "model": ("algebra", "backend", "columns", "grammar", "mode", "seed"),
    "perception": ("algebra", "backend", "columns", "layout", "seed"),
}


def perception(made: FrontEnd, columns: int) -> Perception:
    """Construct a front-end, untrained.

    Args:
        made: how.
        columns: n, panels in a row.

    Returns:
        The front-end.

    Raises:
        UnknownNameError: a name that is not registered.
        SettingsError: an unknown or missing option.
        DtypeError: an option of the wrong type.
    """
    from reasoning import perception as front_ends
    from reasoning.records.draws import seeded

    cls, options = front_ends.get(made.perception.name), made.perception.options
    takes = schema.parameters(cls)
    offered: dict[str, Callable[[], Any]] = {
        "algebra": lambda: _algebra(made.algebra),
        "backend": lambda: _backend(made.backend),
        "columns": lambda: columns,
        "layout": lambda: made.layout,
        "seed": lambda: made.seed,
    }
    supplied = {name: make() for name, make in offered.items() if name in takes and name not in options}
    own = options.get("seed")
    seed = own if isinstance(own, int) and not isinstance(own, bool) else made.seed
    with seeded(child_seed(seed, "perception")):
        return schema.call(cls, "perception", options, supplied, f"perception {made.perception.name}")


def learner(
    model: ModelSettings,
    algebra: Named,
    backend: Named,
    *,
    columns: int,
    mode: str,
    seed: int,
    grammar: Sequence[str] | None = None,
) -> Learner:
    """Construct a learner, untrained.

    Args:
        model: name and options of the learner.
        algebra: name and options.
        backend: name and options.
        columns: n, panels in a row.
        mode: how the weights come about; "pretrained" constructs what "learned" does.
        seed: of the run; atoms and initial weights descend from it.
        grammar: names of the rules that may be at work. Default: the published ones.

    Returns:
        The learner.

    Raises:
        UnknownNameError: a name that is not registered.
        SettingsError: an unknown or missing option.
        DtypeError: an option of the wrong type.
    """
    from datasets.rules.base import PUBLISHED
    from reasoning import learners
    from reasoning.records.draws import seeded

    supplied: dict[str, Any] = {
        "algebra": _algebra(algebra),
        "columns": columns,
        "grammar": PUBLISHED if grammar is None else tuple(grammar),
        "mode": "learned" if mode == "pretrained" else mode,
        "seed": seed,
    }
    # A learner that does not name the backend computes digitally; then any other choice would be silently ignored.
    cls = learners.get(model.name)
    takes = schema.parameters(cls)
    if "backend" in takes:
        supplied["backend"] = _backend(backend)
    elif not _backend(backend).exact:
        raise SettingsError(
            f"backend={backend.name}",
            received=f"model {model.name}, which reads no stored codebooks",
            expected="backend=digital",
        )
    if "mode" not in takes and cls.learns and mode not in ("learned", "pretrained"):
        raise SettingsError(f"model.mode={mode}", received=f"model {model.name}", expected="model.mode=learned")
    with seeded(child_seed(seed, "learner")):
        return schema.call(cls, "model", model.options, supplied, f"model {model.name}")


def layout(dataset: DatasetSettings, chosen: str | Sequence[str], columns: int | None = None) -> Layout:
    """What the puzzles asked for look like, where nothing has to be read to know it.

    Args:
        dataset: which puzzles.
        chosen: constellations; of files those that are not named by a file are left out.
        columns: n where the settings do not say it: of files. Default: three.

    Returns:
        The layout.
    """
    from datasets import CONSTELLATIONS, resolve_constellation
    from datasets.layout import Layout

    names = []
    for name in constellations(chosen, dataset):
        try:
            names.append(resolve_constellation(name))
        except UnknownNameError:  # "all", or the stem of a file
            continue
    return Layout(
        dataset.name,
        tuple(names) or tuple(CONSTELLATIONS),
        dataset.columns if columns is None else columns,
        dataset.maxval,
        dataset.confounders,
        tuple(rule.name for rule in dataset.kind.grammar),
    )


def long_enough(model: str, algebra: Named, rows: Layout) -> Named:
    """An algebra whose blocks are as long as a learner needs them; for users who do not say how many there are.

    Args:
        model: registered name of the learner.
        algebra: name and options.
        rows: of the puzzles; where they have no range of values, any blocks will do.

    Returns:
        The algebra with as many blocks as can be so long, one at least; the very same where its blocks are.
    """
    from reasoning import learners
    from vsa.models import ALGEBRAS

    if rows.maxval is None or "blocks" not in schema.parameters(ALGEBRAS.get(algebra.name)):
        return algebra
    made: Any = _algebra(algebra)
    need = learners.get(model).block_length(rows.maxval + 1, rows.columns)
    if made.block_length >= need:
        return algebra
    fitting = (blocks for blocks in range(made.blocks, 1, -1) if made.dim % blocks == 0 and made.dim // blocks >= need)
    return replace(algebra, options={**algebra.options, "blocks": next(fitting, 1)})


def decoded(learner: Learner, decoder: str, algebra: Named, backend: Named, seed: int) -> Learner:
    """A learner whose predictions are decoded from product vectors.

    Args:
        learner: with its weights.
        decoder: codebook, factorizer or a factorizer's name.
        algebra: name and options.
        backend: name and options.
        seed: of the run.

    Returns:
        The learner around it.
    """
    from reasoning.learners.decoding import Decoded

    made = _algebra(algebra)
    return Decoded(learner, made, decoder, _backend(backend), seed).eval()


def _algebra(algebra: Named) -> Algebra:
    from vsa.models import ALGEBRAS

    made: Algebra = schema.call(ALGEBRAS.get(algebra.name), "algebra", algebra.options, {}, f"algebra {algebra.name}")
    if made.embedding.width > _WIDEST:
        raise SettingsError(
            f"algebra={algebra.name}",
            received=f"vectors of {made.embedding.width:,} entries",
            expected=f"at most {_WIDEST:,}",
        )
    return made


def _backend(backend: Named) -> Backend:
    from vsa.backends import BACKENDS

    return schema.call(BACKENDS.get(backend.name), "backend", backend.options, {}, f"backend {backend.name}")


def backend_words(backend: Named) -> str:
    """A backend with what differs from its defaults, as run.json and the screen show it.

    Args:
        backend: name and options.

    Returns:
        For example ``name(option=value)``.
    """
    return str(_backend(backend))


def try_out(made: Solver, puzzles: PuzzleDataset) -> None:
    """Solve two puzzles, so that a mistake in the settings shows before anything is written or computed for long.

    Args:
        made: a solver to be thrown away: it may have made codebooks.
        puzzles: of the run.

    Raises:
        VSAError: whatever is wrong.
    """
    import torch

    from reasoning.records.draws import seeded

    with torch.no_grad(), seeded(0):  # what a first forward draws stays here
        made.solve(next(iter(puzzles.batches(2))))


def constellations(chosen: str | Sequence[str], dataset: DatasetSettings) -> tuple[str, ...]:
    """Published names of the puzzle sets asked for.

    Args:
        chosen: one name (published or short), several, or "all".
        dataset: whose constellations.

    Returns:
        Published names; for files whatever was asked for.

    Raises:
        UnknownNameError: no such constellation.
        SettingsError: the data set does not have it.
    """
    from datasets import CONSTELLATIONS, resolve_constellation

    asked = (chosen,) if isinstance(chosen, str) else tuple(chosen)
    if not asked:
        raise SettingsError("setting constellation", received="an empty list", expected="at least one name, or all")
    if not dataset.kind.made:  # known once the folder is read
        return asked
    every = dataset.kind.constellations
    if _ALL in asked:
        return every
    names = []
    for name in asked:
        try:
            names.append(resolve_constellation(name))
        except UnknownNameError as error:
            raise UnknownNameError(
                "setting constellation", name=name, known=(*error.known, _ALL), kind="constellation"
            ) from None
        if names[-1] not in every:
            raise SettingsError(
                f"constellation={name}",
                received=f"dataset={dataset.name}",
                expected=f"constellation={' or '.join(CONSTELLATIONS[one].short for one in every)}",
            )
    return tuple(dict.fromkeys(names))


def puzzle_sets(
    dataset: DatasetSettings, chosen: str | Sequence[str], split: str | None, n: int | None, *, training: bool = False
) -> dict[str, PuzzleDataset]:
    """The puzzle sets asked for, by the name under which results are reported.

    Args:
        dataset: which puzzles. Where it holds out a pair, n counts the puzzles that are left.
        chosen: constellations, "all" for every one; for files also JSON file stems.
        split: train, val, test or all; None: test, but every puzzle of files.
        n: puzzles of each set; None: every one (files), 2000 otherwise.
        training: whether puzzles with the pair held out are left out; otherwise all others are.

    Returns:
        published name (or JSON file stem) -> dataset.

    Raises:
        VSAError: unknown names, missing folders, corrupt files.
    """
    import datasets

    pair = None if dataset.holdout is None else holdout.parse(dataset.holdout)
    if dataset.kind.made:
        names = constellations(chosen, dataset)
        return {name: _generated(dataset, name, split or "test", n or 2000, pair, training) for name in names}
    found = datasets.read(dataset.path, maxval=dataset.maxval, on_error=dataset.on_error)
    if pair:
        found = {name: holdout.select(pair, arrays, not training) for name, arrays in found.items()}
    return {
        name: datasets.PuzzleDataset(_part(found[name], name, split, n)) for name in _wanted(found, chosen, dataset)
    }


def ranges(dataset: TrainingDatasetSettings, chosen: str | Sequence[str]) -> dict[str, PuzzleDataset]:
    """The puzzle sets that a trained model is evaluated on.

    Args:
        dataset: of the run.
        chosen: constellations.

    Returns:
        As :func:`puzzle_sets`; where several ranges of I-RAVEN-X are evaluated, each is a set of its own.
    """
    if dataset.test_maxval is None:
        return puzzle_sets(dataset, chosen, "test", dataset.test_n)
    return {
        f"{name}_n_{dataset.columns}_maxval_{maxval}": puzzles
        for maxval in dataset.test_maxval
        for name, puzzles in puzzle_sets(replace(dataset, maxval=maxval), chosen, "test", dataset.test_n).items()
    }


def _generated(
    dataset: DatasetSettings, name: str, split: str, n: int, pair: holdout.Pair | None, training: bool
) -> PuzzleDataset:
    """n puzzles of a constellation, made or taken from the cache."""
    import datasets

    def load(count: int) -> PuzzleDataset:
        return datasets.load(
            dataset.name,
            split=split,
            constellation=name,
            n=count,
            seed=dataset.seed,
            columns=dataset.columns,
            maxval=dataset.maxval,
            confounders=dataset.confounders,
            cache_dir=dataset.cache_dir,
        )

    if pair is None:
        return load(n)
    return datasets.PuzzleDataset(holdout.draw(pair, n, not training, lambda count: load(count).arrays))


def columns(sets: Mapping[str, PuzzleDataset]) -> int:
    """Panels in a row, which all sets must agree on: a learner's rules belong to one number.

    Args:
        sets: at least one.

    Returns:
        n.

    Raises:
        SettingsError: the sets differ.
    """
    found = {name: puzzles.arrays.columns for name, puzzles in sets.items()}
    if len(set(found.values())) != 1:
        raise SettingsError(
            "choose puzzle sets",
            received=f"rows of different length ({found})",
            expected="one length in a run",
            hint="name the sets with constellation=",
        )
    return next(iter(found.values()))


def _wanted(found: Mapping[str, PuzzleArrays], chosen: str | Sequence[str], dataset: DatasetSettings) -> list[str]:
    """Keys of the sets read from files: by their own name (JSON file stem), else by their constellation."""
    from datasets import resolve_constellation

    asked = (chosen,) if isinstance(chosen, str) else tuple(chosen)
    if _ALL in asked:
        return list(found)
    wanted: list[str] = []
    for name in asked:
        matching = [name]
        if name not in found:
            try:
                published = resolve_constellation(name)
            except UnknownNameError:
                published = ""
            matching = [key for key, arrays in found.items() if arrays.constellation == published]
        if not matching:
            raise UnknownNameError(f"read {dataset.path}", name=name, known=tuple(found), kind="puzzle set")
        wanted += matching
    return list(dict.fromkeys(wanted))


def _part(arrays: PuzzleArrays, name: str, split: str | None, n: int | None) -> PuzzleArrays:
    """The puzzles of one split, by file number modulo 10 as published, at most n of them."""
    from datasets.loaders import SPLITS

    if split is not None:
        arrays = arrays[np.isin(arrays.index % 10, SPLITS[split])]
    if not len(arrays):
        raise SettingsError(f"read {name}", received=f"no puzzle in split {split}", expected="at least one")
    if n is not None and n > len(arrays):
        where = "" if split is None else f" in split {split}"
        raise SettingsError(
            f"read {name}",
            received=f"{len(arrays)} puzzles{where} where {n:,} are asked for",
            expected="no more than there are",
            hint="null takes every one",
        )
    return arrays if n is None else arrays[:n]

"""Makes folders of puzzles: in units that are made whole, by any number of processes, and only once.

The folder's ``manifest.json`` holds the settings and, for each unit that is done, its hashes. What a unit holds follows
from the settings, so an interrupted production goes on where it stopped, and the files do not depend on who made them.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vsa.commands.files import WriteError, alone, is_stray, sweep
from vsa.errors import CorruptFileError, SettingsError, UnknownNameError, VSAError
from vsa.executors import execute

from ..data_sets import DATA_SETS, DataSet, data_set
from ..making.generation import MOST_NUMBER, generate
from ..rules.base import RULES, Rule
from .cache import generator_version
from .manifest import FORMAT, MANIFEST, differing, files_of, read_manifest, shortened, write_manifest
from .raven import write_hashed
from .shards import SHARD_PUZZLES, write_shard
from .write import write_json

__all__ = ["FORMS", "Order", "Unit", "produce", "units"]

log = logging.getLogger(__name__)

FORMS = ("raven", "json", "shards")
RAVEN_PUZZLES = 100  # a unit of files: an interruption costs a second


@dataclass(frozen=True)
class Order:
    """What is to be made.

    Args:
        dataset: name of a registered data set.
        constellations: published names.
        n: puzzles of each.
        start: number of the first.
        seed: of the generator.
        columns: of iraven_x and its like, else 3.
        maxval: of iraven_x and its like, else None.
        confounders: of iraven_x and its like, else 0.
        form: one of FORMS.
        images: whether pixels are made.
    """

    dataset: str
    constellations: tuple[str, ...]
    n: int
    start: int = 0
    seed: int = 0
    columns: int = 3
    maxval: int | None = None
    confounders: int = 0
    form: str = "raven"
    images: bool = True

    def __post_init__(self) -> None:
        if self.form not in FORMS:
            raise UnknownNameError("generate puzzles", name=self.form, known=FORMS, kind="format")
        if self.n < 1 or self.start < 0:
            received = f"n={self.n}, start={self.start}"
            raise SettingsError("generate puzzles", received=received, expected="n at least 1, start at least 0")
        if self.start + self.n > MOST_NUMBER:  # generate would say so too, but after the folder was begun
            received = f"n={self.n}, start={self.start}"
            raise SettingsError("generate puzzles", received=received, expected="numbers below 10 ** 18")
        if self.maxval is not None and (self.form == "raven" or (self.images and self.form == "shards")):
            raise SettingsError(
                f"generate {self.dataset}",
                received=f"format={self.form} images={str(self.images).lower()}",
                expected="format=json, or format=shards images=false",
                hint="I-RAVEN-X has no pixels",
            )

    @property
    def settings(self) -> dict[str, Any]:
        """What the manifest holds of it."""
        settings = {**asdict(self), "constellations": list(self.constellations)}
        own = data_set(self.dataset).fingerprint()
        if own:
            settings["fingerprint"] = own
        if self.form == "json":
            del settings["images"]  # the form has none
        return settings


@dataclass(frozen=True)
class Unit:
    """A part of an order that is made whole.

    Args:
        name: ``<constellation>/<number>``.
        constellation: published name.
        number: of the unit among the constellation's.
        start: number of its first puzzle.
        n: how many.
    """

    name: str
    constellation: str
    number: int
    start: int
    n: int


def units(order: Order) -> Iterator[Unit]:
    """The parts of an order.

    Args:
        order: what is to be made.

    Yields:
        Units, in the order of constellations and puzzles.
    """
    size = {"raven": RAVEN_PUZZLES, "shards": SHARD_PUZZLES, "json": order.n}[order.form]
    for constellation in order.constellations:
        for number, first in enumerate(range(0, order.n, size)):
            n = min(size, order.n - first)
            yield Unit(f"{constellation}/{number:05d}", constellation, number, order.start + first, n)


@dataclass(frozen=True)
class Maker:
    """Makes the units of an order, in whatever process.

    Args:
        order: what is to be made.
        out: the folder.
        known: the user's data set and its rules, which a new process does not know; None of a published one.
    """

    order: Order
    out: str
    known: tuple[DataSet, tuple[Rule, ...]] | None = None

    def __call__(self, unit: Unit) -> dict[str, Any]:
        """Make one unit.

        Args:
            unit: a part of the order.

        Returns:
            The manifest's entry: hashes.
        """
        self._introduce()
        order, folder = self.order, Path(self.out)
        arrays = generate(
            order.dataset,
            unit.constellation,
            n=unit.n,
            seed=order.seed,
            start=unit.start,
            columns=order.columns,
            maxval=order.maxval,
            confounders=order.confounders,
        )
        try:
            if order.form == "json":
                path = write_json(arrays, folder, overwrite=True)
                return {"files": {path.name: hashlib.sha256(path.read_bytes()).hexdigest()}}
            if order.form == "shards":
                return {"files": write_shard(arrays, folder / unit.constellation, unit.number, images=order.images)}
            written = write_hashed(arrays, folder / unit.constellation, images=order.images, overwrite=True)
            return {"puzzles": [unit.start, unit.start + unit.n], **shortened(written)}
        except WriteError as error:
            raise WriteError(
                error.operation,
                received=error.received,
                expected=error.expected,
                hint="what was made stays; the same command goes on",
            ) from error
        except OSError as error:
            raise VSAError(
                f"write {folder}",
                received=error.strerror or repr(error),
                expected="a folder with free space that may be written",
                hint="what was made stays; the same command goes on",
            ) from error

    def _introduce(self) -> None:
        """Register the user's data set; unpickling it has imported the modules that define its parts."""
        if self.known is None:
            return
        data, rules = self.known
        for rule in rules:
            if rule.name not in RULES:
                RULES.register(rule.name)(rule)
        if data.name not in DATA_SETS:
            DATA_SETS.register(data.name)(data)


def produce(
    order: Order,
    out: Path,
    *,
    workers: int = 1,
    overwrite: bool = False,
    progress: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Makes an order, or what is left of it.

    Args:
        order: what is to be made.
        out: the folder.
        workers: processes; 1 works in this one.
        overwrite: whether the puzzles of another order in the folder may be removed.
        progress: called with how many puzzles more are done.

    Returns:
        The manifest.

    Raises:
        VSAError: the folder holds something else, or can't be written.
    """
    if workers < 1:
        raise SettingsError("generate puzzles", received=f"workers={workers}", expected="at least 1")
    out = out.expanduser().resolve()
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise VSAError(
            f"generate into {out}", received=error.strerror or repr(error), expected="a folder that may be written"
        ) from error
    with alone(out):
        return _produce(order, out, workers, overwrite, progress or (lambda _: None))


def _produce(order: Order, out: Path, workers: int, overwrite: bool, progress: Callable[[int], None]) -> dict[str, Any]:
    """As :func:`produce`, by who has the folder to himself."""
    for folder in (out, *(out / name for name in order.constellations)):
        sweep(folder)
    manifest = _begin(order, out, overwrite)
    todo, done = [], 0
    for unit in units(order):
        if _is_done(order, out, unit, manifest["units"].get(unit.name)):
            done += unit.n
        else:
            todo.append(unit)
    progress(done)
    data = data_set(order.dataset)
    maker = Maker(order, str(out), (data, data.grammar) if data.fingerprint() else None)
    where = "serial" if workers == 1 or len(todo) < 2 else "processes"
    for number, entry in execute(where, maker, todo, workers):
        manifest["units"][todo[number].name] = entry
        manifest["units"] = dict(sorted(manifest["units"].items()))
        write_manifest(out, manifest)
        progress(todo[number].n)
    return manifest


def _is_done(order: Order, out: Path, unit: Unit, entry: object) -> bool:
    """Whether all files of a unit are there and as they were written."""
    if entry is None:
        return False
    try:
        fault = next(differing(out, order.form, unit.name, entry), None)
    except VSAError as error:
        log.warning("%s: made again", error)
        return False
    if fault is not None:
        log.warning("%s is %s: made again", *fault)
    return fault is None


def _begin(order: Order, out: Path, overwrite: bool) -> dict[str, Any]:
    """The manifest to go on with; refuses a folder that holds anything else."""
    fresh = {"format": FORMAT, "form": order.form, "generator": generator_version(), "settings": order.settings}
    fresh["units"] = {}
    if (out / MANIFEST).exists():
        try:
            held = read_manifest(out)
        except CorruptFileError:
            if not overwrite:
                raise
            held = None  # what it named cannot be known: the files of this order are replaced
        differ = [key for key in ("form", "generator", "settings") if held is not None and held.get(key) != fresh[key]]
        if held is not None and not differ:
            return held
        if held is not None and not overwrite:
            raise VSAError(
                f"generate into {out}",
                received=_difference(held, fresh, differ[0]),
                expected="an empty folder, or one of the same settings, where it goes on",
                hint="choose another out=, or overwrite=true to remove the puzzles there",
            )
        if held is not None:
            _clear(out, held)
    else:
        others = sorted(path.name for path in out.iterdir() if not is_stray(path.name))
        if others:
            raise VSAError(
                f"generate into {out}",
                received=f"a folder that holds {others[0]}",
                expected="an empty folder",
                hint="choose another out=",
            )
    write_manifest(out, fresh)
    return fresh


def _difference(held: dict[str, Any], fresh: dict[str, Any], key: str) -> str:
    if key == "settings":
        names = [k for k in fresh[key] if held[key].get(k) != fresh[key][k]]
        return "puzzles made with " + ", ".join(f"{k}={held[key].get(k)}" for k in names)
    return f"puzzles of {key} {held.get(key)}"


def _clear(out: Path, held: dict[str, Any]) -> None:
    """Removes the puzzles that a manifest names, and nothing else; the manifest stays until another takes its place."""
    folders = set()
    for name, entry in held["units"].items():
        for file in files_of(held["form"], name, entry):
            (out / file).unlink(missing_ok=True)
            folders.add((out / file).parent)
    for folder in folders - {out}:
        with suppress(OSError):  # it is gone, or holds something else
            folder.rmdir()

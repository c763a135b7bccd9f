"""What a data set is: its rules, how its puzzles are made, its options. Whoever asks about a data set asks here.

>>> from datasets.data_sets import DATA_SETS, like
>>> data = like("iraven", "static", rules=("Constant",))
>>> DATA_SETS.register("static")(data).rules
('Constant',)
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from vsa.errors import DtypeError, SettingsError, UnknownNameError, VSAError
from vsa.registry import Registry

from .constellations import CONSTELLATIONS
from .rules.base import PUBLISHED, RULES, Rule, rules_named

if TYPE_CHECKING:
    from .arrays import PuzzleArrays

__all__ = [
    "DATA_SETS",
    "FILES",
    "DataSet",
    "data_set",
    "further_rules",
    "grammar_of",
    "known_names",
    "like",
    "listed_code",
    "listed_rules",
    "settings_without_file",
]

PUBLISHED_SIZE = 10_000  # puzzles per constellation of the published data sets, all splits together
U = TypeVar("U")


@dataclass(frozen=True)
class DataSet:
    """A kind of puzzles.

    Args:
        name: by which ``datasets.generate`` and ``datasets.load`` know it.
        make: ``make(data, constellation, index, seed)`` gives the puzzles of these numbers; a data set with ranges is
            given the keywords ``columns``, ``maxval`` and ``confounders`` as well. None: read, not made.
        rules: names of the rules that may be at work.
        constellations: published names of those it has.
        columns: panels in a row, where none are asked for.
        maxval: largest value, where none is asked for; None: the data set has RAVEN's levels, three columns and no
            confounders, and none of these can be asked for.
        tree: the candidates are a bisection tree, and say what they change.
        near: each distractor differs from the answer in one attribute.
        marked: the published xml says what each candidate changes.
        usual: the constellation that a learner is trained on where none is asked for.
        size: how many puzzles of a constellation the published data set has.
        label: how the literature writes it.
    """

    name: str
    make: Callable[..., PuzzleArrays] | None
    rules: tuple[str, ...] = PUBLISHED
    constellations: tuple[str, ...] = tuple(CONSTELLATIONS)
    columns: int = 3
    maxval: int | None = None
    tree: bool = False
    near: bool = False
    marked: bool = True
    usual: str = "distribute_four"
    size: int = PUBLISHED_SIZE
    label: str = ""

    @property
    def ranged(self) -> bool:
        """Whether columns, the range of values and confounders can be chosen."""
        return self.maxval is not None

    @property
    def made(self) -> bool:
        """Whether its puzzles are made here; otherwise they are the user's files."""
        return self.make is not None

    @property
    def grammar(self) -> tuple[Rule, ...]:
        """Its rules, in the order of their codes."""
        return rules_named(self.rules)

    @property
    def training_constellation(self) -> str:
        """Where a learner is trained if nobody says otherwise: ``usual``, or the first one that the data set has."""
        return self.usual if self.usual in (*self.constellations, "all") else self.constellations[0]

    def check_options(self, what: str, columns: int, maxval: int | None, confounders: int) -> None:
        """Refuses options that the data set does not have.

        Args:
            what: the operation, for the sentence.
            columns: asked for; 3 where nothing is.
            maxval: asked for, or None.
            confounders: asked for; 0 where nothing is.

        Raises:
            SettingsError: the data set has no such options.
        """
        if not self.ranged and (columns != 3 or maxval is not None or confounders):
            raise SettingsError(
                what,
                received=f"columns={columns}, maxval={maxval}, confounders={confounders}",
                expected="columns=3 and neither maxval nor confounders",
                hint=f"these are options of {ranged_words()}",
            )

    def generate(self, constellation: str, index: np.ndarray, seed: int, **extent: Any) -> PuzzleArrays:
        """Makes puzzles.

        Args:
            constellation: published name of one that the data set has.
            index: int64 (N,), which puzzles of the seed's sequence.
            seed: of the sequence.
            extent: ``columns``, ``maxval`` and ``confounders`` of a data set that has ranges.

        Returns:
            The puzzles.

        Raises:
            SettingsError: the puzzles of this data set are read, not made.
        """
        if self.make is None:
            raise SettingsError(f"generate {self.name}", received="files", expected="a data set that is made here")
        return self.make(self, constellation, index, seed, **extent)

    def fingerprint(self) -> str:
        """What makes the puzzles and is not part of this package: rules and makers of the user or another package.

        Returns:
            8 hexadecimal digits of rules, makers and their sources; empty for the published data sets.
        """
        if self.name in DATA_SETS.ours:
            return ""
        makers: list[Any] = [*_functions(self.make), *(type(rule) for rule in self.grammar)]
        digest = hashlib.sha256()
        for rule in self.grammar:
            digest.update(repr((rule.name, rule.code, rule.parameters, rule.governs)).encode())
        for maker in makers:
            digest.update(f"{maker.__module__}.{maker.__qualname__}\n".encode())
            if maker.__module__.partition(".")[0] != __name__.partition(".")[0]:
                try:
                    digest.update(inspect.getsource(inspect.getmodule(maker) or maker).encode())
                except (OSError, TypeError):  # typed at a prompt
                    digest.update(repr(maker).encode())
        return digest.hexdigest()[:8]


class _DataSets(Registry[DataSet]):
    """Data sets by name; a data set is entered with its rules known."""

    @property
    def ours(self) -> tuple[str, ...]:
        """Names of the published data sets."""
        return tuple(self._modules)

    def register(self, name: str, *aliases: str) -> Callable[[U], U]:
        """As :meth:`vsa.registry.Registry.register`; the specification is checked.

        Args:
            name: the data set's ``name``.
            aliases: further names.

        Returns:
            A decorator that returns its argument unchanged.

        Raises:
            VSAError: the name is taken or is not the specification's, or a rule is unknown or listed twice.
        """
        enter = super().register(name, *aliases)

        def checked(item: U) -> U:
            if name in self._modules:  # ours are registered first, whoever asks for them
                importlib.import_module(self._modules[name])
            self._check_declared(name, item)
            return enter(item)

        return checked

    def _check_declared(self, name: str, data: Any) -> None:
        what = f"register data set {name!r}"
        if not isinstance(data, DataSet):
            raise DtypeError(what, received=repr(data), expected="a DataSet")
        if data.name != name or name == FILES.name:
            raise VSAError(
                what,
                received=f"a data set whose name is {data.name!r}",
                expected=f"name = {name!r}, and not {FILES.name!r}",
            )
        if not data.made:
            raise VSAError(what, received="make=None", expected="a function that makes puzzles")
        for rule in data.rules:
            if rule not in RULES:
                raise UnknownNameError(what, name=rule, known=RULES.names(), kind="rule")
        if len(set(data.rules)) != len(data.rules) or not data.rules:
            raise VSAError(what, received=f"rules {data.rules}", expected="at least one rule, each once")
        unknown = [place for place in data.constellations if place not in CONSTELLATIONS]
        if unknown or not data.constellations:
            raise VSAError(what, received=f"constellations {data.constellations}", expected="published names")
        governed = {attribute for rule in data.grammar for attribute in rule.governs}
        bare = {"Type", "Size", "Color"} - governed
        if bare or "Number/Position" not in governed:
            raise VSAError(
                what,
                received=f"no rule of {', '.join(sorted(bare) or ['Number/Position'])}",
                expected="a rule of Type, of Size, of Color, and one that keeps Number/Position",
            )


FILES = DataSet("files", make=None, tree=True, usual="all")  # the user's own puzzles; their rules are those that occur
DATA_SETS = _DataSets(
    "data set",
    {
        "raven": f"{__package__}.making.raven",
        "iraven": f"{__package__}.making.raven",
        "raven_fair": f"{__package__}.making.raven",
        "iraven_x": f"{__package__}.making.iraven_x",
    },
    entry_points="vsa_reasoning.datasets",
)


def like(parent: str, name: str, **changes: Any) -> DataSet:
    """A data set like another one.

    Args:
        parent: name of a registered data set.
        name: of the new one.
        changes: fields of :class:`DataSet` in which the two differ.

    Returns:
        The specification, not registered yet.
    """
    return replace(DATA_SETS.get(parent), name=name, label=changes.pop("label", name), **changes)


def known_names() -> tuple[str, ...]:
    """Names that puzzles may have as their data set: the registered ones, and files."""
    return (*DATA_SETS.names(), FILES.name)


def data_set(name: str, what: str = "find a data set") -> DataSet:
    """A data set by name.

    Args:
        name: of a registered data set, or ``files``.
        what: the operation, for the sentence.

    Returns:
        Its specification.

    Raises:
        UnknownNameError: there is none; the message lists what exists and the closest matches.
    """
    if name == FILES.name:
        return FILES
    if name not in DATA_SETS:
        raise UnknownNameError(what, name=name, known=known_names(), kind="data set")
    return DATA_SETS.get(name)


def listed_rules() -> dict[str, int]:
    """Rules that some data set lists, which are those that a file may name.

    Returns:
        Name -> code, in the order of the codes.
    """
    names = dict.fromkeys((*PUBLISHED, *(rule for data in _sound() for rule in data.rules)))
    return {rule.name: rule.code for rule in rules_named(names)}


def listed_code(name: object) -> int | None:
    """The code of a rule that a file names.

    Args:
        name: whatever the file holds there.

    Returns:
        The code; None where no data set lists such a rule.
    """
    if not isinstance(name, str):
        return None
    return PUBLISHED.index(name) if name in PUBLISHED else listed_rules().get(name)


def grammar_of(name: str, codes: Iterable[np.ndarray], further: Iterable[str] = ()) -> tuple[Rule, ...]:
    """The rules that may be at work in puzzles.

    Args:
        name: their data set.
        codes: of the rules that occur in them.
        further: rules that occur in puzzles from the same files.

    Returns:
        The data set's rules; for files the published ones, those that occur and the further ones. In the order of their
        codes.
    """
    data = data_set(name)
    if data.made:
        return data.grammar
    return rules_named(dict.fromkeys((*PUBLISHED, *further, *further_rules(codes))))


def further_rules(codes: Iterable[np.ndarray]) -> tuple[str, ...]:
    """The rules beside the published ones that occur.

    Args:
        codes: of the rules that occur.

    Returns:
        Names of those that a data set lists, in the order of their codes.
    """
    found = {int(code) for part in codes for code in np.unique(part)} - set(range(len(PUBLISHED)))
    return tuple(rule for rule, code in listed_rules().items() if code in found) if found else ()


def settings_without_file(name: str) -> dict[str, Any] | None:
    """Settings of a registered data set that has no file in conf/dataset: those of the published one most like it.

    Args:
        name: of the data set.

    Returns:
        As the file would hold them; None where there is no such data set.
    """
    if name not in DATA_SETS:
        return None
    import yaml

    from vsa.commands import conf_folder

    data = DATA_SETS.get(name)
    sibling = next(other for other in DATA_SETS.ours if DATA_SETS.get(other).ranged == data.ranged)
    text = (conf_folder() / "dataset" / f"{sibling}.yaml").read_text(encoding="utf-8")
    extent = {"columns": data.columns, "maxval": data.maxval} if data.ranged else {}
    return {**yaml.safe_load(text), "name": name, **extent}


def ranged_words() -> str:
    """The data sets with columns, ranges and confounders, for sentences."""
    return ", ".join(data.name for data in _sound() if data.ranged)


def _sound() -> Iterator[DataSet]:
    """Every registered data set, but for those of other packages that cannot be imported."""
    for name in DATA_SETS.names():
        try:
            data = DATA_SETS.get(name)
        except VSAError:
            continue
        yield data


def _functions(make: Any) -> list[Any]:
    """A maker, and the functions that a ``functools.partial`` was given."""
    parts = [make.func, *make.args, *make.keywords.values()] if hasattr(make, "func") else [make]
    return [part for part in parts if hasattr(part, "__qualname__")]

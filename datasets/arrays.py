"""Puzzles as arrays: every puzzle of a batch has the same constellation, so a batch is a few rectangular arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vsa.errors import DtypeError, ShapeError, VSAError

from .attributes import ANGLE, UNIFORMITY_LEVELS
from .constellations import CONSTELLATIONS, Component, resolve_constellation

if TYPE_CHECKING:
    from .rules.base import Rule

__all__ = [
    "BOTH",
    "CANDIDATES",
    "GOVERNED",
    "MODIFIABLE",
    "NUMBER",
    "POSITION",
    "RULE_NAMES",
    "RULE_SLOTS",
    "UNKNOWN",
    "ComponentArrays",
    "PuzzleArrays",
]

RULE_NAMES = ("Constant", "Progression", "Arithmetic", "Distribute_Three")  # the published rules, by code
RULE_SLOTS = ("Number/Position", "Type", "Size", "Color")
GOVERNED = ("Number/Position", "Number", "Position")
BOTH, NUMBER, POSITION = range(len(GOVERNED))  # codes into GOVERNED
UNKNOWN = -1  # in place of a rule's code: none of the known rules
MODIFIABLE = ("Number", "Position", "Type", "Size", "Color")
CANDIDATES = 8
_LISTED = 6  # attributes in a repr

Array = NDArray[Any]


@dataclass(frozen=True, repr=False)
class ComponentArrays:
    """One component of N puzzles. S slots, P panels: the context row by row, then the eight candidates.

    Args:
        exists: bool (N, P, S), which slots hold an entity.
        attributes: name -> int16 (N, P, S) levels: Type, Size, Color, Angle, Confounder0, ...; -1 where no entity is.
        uniformity: int8 (N, P), or None where the file form has none.
        rules: int8 (N, 4), codes of rules (``datasets.rules.rule_name``) in the order of RULE_SLOTS.
        governed: int8 (N,), code into GOVERNED: what the first rule governs.
        parameters: int16 (N, 4): progression: the step; arithmetic: its sign; distribute three: the direction in
            which a row is shifted to give the next (+1 as in ``np.roll(row, 1)``); of other rules what they declare; 0:
            constant, or unknown.
    """

    exists: Array
    attributes: Mapping[str, Array]
    uniformity: Array | None
    rules: Array
    governed: Array
    parameters: Array

    @property
    def slots(self) -> int:
        """Number of slots S."""
        return int(self.exists.shape[-1])

    @property
    def numbers(self) -> Array:
        """int64 (N, P), how many entities each panel holds."""
        return self.exists.sum(axis=-1)

    def __repr__(self) -> str:
        n, panels, slots = self.exists.shape
        names, more = list(self.attributes)[:_LISTED], len(self.attributes) - _LISTED
        listed = ", ".join(names) + (f" and {more} more" if more > 0 else "")
        return f"ComponentArrays({n} puzzles, {panels} panels, {slots} slots; {listed})"

    def __getitem__(self, key: Any) -> ComponentArrays:
        return ComponentArrays(
            exists=self.exists[key],
            attributes={name: levels[key] for name, levels in self.attributes.items()},
            uniformity=None if self.uniformity is None else self.uniformity[key],
            rules=self.rules[key],
            governed=self.governed[key],
            parameters=self.parameters[key],
        )


@dataclass(frozen=True, repr=False)
class PuzzleArrays:
    """N puzzles of one constellation.

    Args:
        dataset: name of a registered data set, or files.
        constellation: the published name.
        columns: n; the context has n * n - 1 panels, so P = n * n + 7.
        maxval: the value range of I-RAVEN-X, None for RAVEN.
        components: one or two.
        target: int8 (N,), which candidate is right, 0 .. 7.
        index: int64 (N,), the puzzle's identity: its place in the seed's sequence, or its file's number.
        modified: bool (N, 8, C, 5), which attributes (MODIFIABLE) of a candidate were changed against the answer; None
            where nothing says so.
        further: of files, names of the rules beside the published ones that occur in them all together: a part of the
            puzzles is judged by the same rules as the whole.
        pixels: of files, object (N,): where each puzzle's pixels lie (:class:`datasets.files.images.Image`); None:
            they are drawn. Not compared. Who changes labels sets it to None.
    """

    dataset: str
    constellation: str
    columns: int
    maxval: int | None
    components: tuple[ComponentArrays, ...]
    target: Array
    index: Array
    modified: Array | None = None
    further: tuple[str, ...] = ()
    pixels: Array | None = field(default=None, compare=False, repr=False)

    def __len__(self) -> int:
        return len(self.target)

    def __repr__(self) -> str:
        extent = "" if self.maxval is None else f", values 0 to {self.maxval}"
        shown = np.array2string(self.index, threshold=6, edgeitems=2, separator=", ")
        parts = [f"components[{c}]: {component}" for c, component in enumerate(self.components)]
        what = f"{len(self)} puzzles of {self.dataset}, {self.constellation}, {self.columns} columns{extent}"
        return "\n  ".join([f"PuzzleArrays({what}", *parts, f"index: {shown})"])

    def __getitem__(self, key: Any) -> PuzzleArrays:
        """A part of the puzzles.

        Args:
            key: a slice (a view) or an array of integers or booleans (a copy).

        Returns:
            The puzzles chosen.

        Raises:
            DtypeError: the key is a single number or no index at all.
        """
        if not isinstance(key, slice):
            key = np.asarray(key)
            if key.ndim != 1 or key.dtype.kind not in "iub":
                raise DtypeError(
                    "PuzzleArrays[...]",
                    received=f"an index of shape {key.shape}, dtype {key.dtype}",
                    expected="a slice, or integers or booleans of shape (K,)",
                    hint="for one puzzle write arrays[k : k + 1]",
                )
        return replace(
            self,
            components=tuple(component[key] for component in self.components),
            target=self.target[key],
            index=self.index[key],
            modified=None if self.modified is None else self.modified[key],
            pixels=None if self.pixels is None else self.pixels[key],
        )

    @property
    def panels(self) -> int:
        """Number of panels P."""
        return self.columns * self.columns + 7

    @property
    def context(self) -> int:
        """Number of context panels, n * n - 1."""
        return self.columns * self.columns - 1

    @property
    def layouts(self) -> tuple[Component, ...]:
        """The constellation's table rows, one per component."""
        return CONSTELLATIONS[self.constellation].components

    @property
    def grammar(self) -> tuple[Rule, ...]:
        """The rules that may be at work, in the order of their codes: the data set's; of files those that occur too."""
        from .data_sets import grammar_of  # here: a data set's maker makes arrays

        return grammar_of(self.dataset, (component.rules for component in self.components), self.further)

    def complete(self) -> PuzzleArrays:
        """The matrix with its answer.

        Returns:
            Puzzles whose P axis holds the n * n panels of the complete matrix and no candidates; for the laws, not for
            a solver (:meth:`validate` refuses it).
        """
        rows = np.arange(len(self))
        answer = self.context + self.target.astype(np.int64)

        def fill(panels: Array) -> Array:
            return np.concatenate([panels[:, : self.context], panels[rows, answer][:, None]], axis=1)

        components = tuple(
            replace(
                c,
                exists=fill(c.exists),
                attributes={name: fill(levels) for name, levels in c.attributes.items()},
                uniformity=None if c.uniformity is None else fill(c.uniformity),
            )
            for c in self.components
        )
        return replace(self, components=components, modified=None, pixels=None)

    @staticmethod
    def concatenate(parts: Sequence[PuzzleArrays]) -> PuzzleArrays:
        """Joins batches of one kind.

        Args:
            parts: at least one; same dataset, constellation, columns, maxval and attributes.

        Returns:
            All the puzzles in order.

        Raises:
            VSAError: nothing to join, or the parts differ in kind.
        """
        if not parts:
            raise VSAError("concatenate puzzles", received="nothing", expected="at least one batch")
        first = parts[0]
        for part in parts[1:]:
            for name in ("dataset", "constellation", "columns", "maxval"):
                if getattr(part, name) != getattr(first, name):
                    raise VSAError(
                        "concatenate puzzles",
                        received=f"{name} {getattr(part, name)!r}",
                        expected=f"{getattr(first, name)!r} as in the first batch",
                    )
            for mine, theirs in zip(first.components, part.components, strict=True):
                if set(mine.attributes) != set(theirs.attributes):
                    raise VSAError(
                        "concatenate puzzles",
                        received=f"attributes {sorted(theirs.attributes)}",
                        expected=f"{sorted(mine.attributes)} as in the first batch",
                    )

        def join(arrays: list[Array | None]) -> Array | None:
            return None if any(a is None for a in arrays) else np.concatenate([a for a in arrays if a is not None])

        def must(arrays: list[Array]) -> Array:
            return np.concatenate(arrays)

        components = []
        for k, component in enumerate(first.components):
            siblings = [part.components[k] for part in parts]
            components.append(
                ComponentArrays(
                    exists=must([c.exists for c in siblings]),
                    attributes={name: must([c.attributes[name] for c in siblings]) for name in component.attributes},
                    uniformity=join([c.uniformity for c in siblings]),
                    rules=must([c.rules for c in siblings]),
                    governed=must([c.governed for c in siblings]),
                    parameters=must([c.parameters for c in siblings]),
                )
            )
        return replace(
            first,
            components=tuple(components),
            target=must([part.target for part in parts]),
            index=must([part.index for part in parts]),
            modified=join([part.modified for part in parts]),
            further=tuple(dict.fromkeys(name for part in parts for name in part.further)),
            pixels=join([part.pixels for part in parts]),
        )

    def validate(self) -> PuzzleArrays:
        """Checks names, shapes, dtypes and ranges.

        Returns:
            Itself.

        Raises:
            VSAError: the first thing that is wrong (a ShapeError or a DtypeError where it is one).
        """
        from .data_sets import known_names  # here: a data set's maker makes arrays

        known = known_names()
        if self.dataset not in known:
            raise VSAError("validate puzzles", received=f"dataset {self.dataset!r}", expected=f"one of {known}")
        if resolve_constellation(self.constellation) != self.constellation:
            raise VSAError("validate puzzles", received=self.constellation, expected="the published name")
        if self.columns < 3:
            raise VSAError("validate puzzles", received=f"columns = {self.columns}", expected="at least 3")
        n, count = len(self), len(self.layouts)
        if len(self.components) != count:
            raise VSAError(
                f"validate puzzles of {self.constellation}",
                received=f"{len(self.components)} components",
                expected=f"{count}",
            )
        _check("target", self.target, (n,), np.int8, 0, CANDIDATES - 1)
        _check("index", self.index, (n,), np.int64, 0, None)
        if self.modified is not None:
            _check("modified", self.modified, (n, CANDIDATES, count, len(MODIFIABLE)), np.bool_, None, None)
        for k, component in enumerate(self.components):
            self._validate_component(f"component {k}", component, self.layouts[k])
        return self

    def _validate_component(self, name: str, arrays: ComponentArrays, layout: Component) -> None:
        n, panels, slots = len(self), self.panels, layout.slots
        _check(f"{name}.exists", arrays.exists, (n, panels, slots), np.bool_, None, None)
        if not arrays.exists.any(axis=-1).all():
            raise VSAError(f"validate {name}.exists", received="a panel without an entity", expected="at least one")
        for attribute, levels in arrays.attributes.items():
            label = f"{name}.{attribute}"
            _check(label, levels, (n, panels, slots), np.int16, -1, None)
            if ((levels >= 0) != arrays.exists).any():
                raise VSAError(
                    f"validate {label}",
                    received="a level without an entity or the reverse",
                    expected="-1 exactly where no entity is",
                )
            if self.maxval is not None:
                low, high = 0, self.maxval
            elif attribute == "Angle":
                low, high = ANGLE.low, ANGLE.high
            elif attribute in RULE_SLOTS:
                low, high = layout.range(attribute)
            else:
                raise VSAError(
                    f"validate {name}",
                    received=f"attribute {attribute!r}",
                    expected="Type, Size, Color or Angle",
                    hint="confounders need a maxval",
                )
            _check(label, levels[arrays.exists], None, np.int16, low, high)
        missing = {"Type", "Size", "Color"} - set(arrays.attributes)
        if missing:
            raise VSAError(f"validate {name}", received=f"no {sorted(missing)}", expected="Type, Size and Color")
        if arrays.uniformity is not None:
            _check(f"{name}.uniformity", arrays.uniformity, (n, panels), np.int8, 0, UNIFORMITY_LEVELS - 1)
        _check(f"{name}.rules", arrays.rules, (n, len(RULE_SLOTS)), np.int8, 0, None)
        rules = {rule.code: rule.name for rule in self.grammar}
        strange = sorted(set(np.unique(arrays.rules).tolist()) - set(rules))
        if strange:
            expected = ", ".join(f"{code} ({rule})" for code, rule in rules.items())
            raise VSAError(f"validate {name}.rules", received=f"{strange[0]}", expected=f"one of {expected}")
        _check(f"{name}.governed", arrays.governed, (n,), np.int8, 0, len(GOVERNED) - 1)
        _check(f"{name}.parameters", arrays.parameters, (n, len(RULE_SLOTS)), np.int16, None, None)


def _check(
    name: str, array: Array, shape: tuple[int, ...] | None, dtype: Any, low: int | None, high: int | None
) -> None:
    if not isinstance(array, np.ndarray) or array.dtype != dtype:
        received = str(getattr(array, "dtype", type(array).__name__))
        raise DtypeError(f"validate {name}", received=received, expected=np.dtype(dtype).name)
    if shape is not None and array.shape != shape:
        raise ShapeError(f"validate {name}", received=f"shape {array.shape}", expected=f"{shape}")
    if array.size and low is not None and array.min() < low:
        raise VSAError(f"validate {name}", received=f"{array.min()}", expected=f"at least {low}")
    if array.size and high is not None and array.max() > high:
        raise VSAError(f"validate {name}", received=f"{array.max()}", expected=f"at most {high}")


def equal(a: PuzzleArrays, b: PuzzleArrays) -> bool:
    """Whether two batches hold the same puzzles, bit for bit.

    Args:
        a: a batch.
        b: another.

    Returns:
        True when every field agrees.
    """

    def flat(item: Any) -> list[Any]:
        if isinstance(item, (PuzzleArrays, ComponentArrays)):
            return [leaf for f in fields(item) if f.compare for leaf in flat(getattr(item, f.name))]
        if isinstance(item, Mapping):
            return [leaf for key in sorted(item) for leaf in (key, item[key])]
        if isinstance(item, tuple):
            return [leaf for part in item for leaf in flat(part)]
        return [item]

    ours, theirs = flat(a), flat(b)
    return len(ours) == len(theirs) and all(
        np.array_equal(x, y) if isinstance(x, np.ndarray) else x == y for x, y in zip(ours, theirs, strict=True)
    )

"""PMFs as a classifier has them, brought into the form of a scene: offsets, padding, and what follows from what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch import Tensor
from torch.nn import functional

from datasets.arrays import PuzzleArrays
from datasets.constellations import resolve_constellation
from datasets.panels import CONFOUNDER, ROWS, offset_of
from reasoning.distributions.checks import AttributeKey, as_floats, as_key, check_probabilities
from reasoning.distributions.pmfs import (
    check_softening,
    count_pmf,
    panel_pmf,
    share_pmf,
    soften,
    soften_states,
    temperature_of,
    within,
)
from reasoning.sparse import SparsePMF
from vsa.errors import DtypeError, ShapeError, UnknownNameError, VSAError

if TYPE_CHECKING:
    from datasets.layout import Layout
    from datasets.loaders import PuzzleBatch, PuzzleDataset

__all__ = ["parts_from_pmfs"]

MIXTURES = {"shares": share_pmf, "missing": panel_pmf}
_WHAT = "Scene.from_pmfs"
_Part = dict[AttributeKey, Tensor]


def parts_from_pmfs(
    pmfs: Mapping[Any, Any],
    puzzles: str | Layout | PuzzleArrays | PuzzleBatch | PuzzleDataset,
    candidates: int,
    mixed: str,
    logits: bool,
    temperature: float | Mapping[Any, float],
    floor: float,
) -> tuple[int, _Part, _Part, _Part, dict[AttributeKey, tuple[int, int]]]:
    """What a scene is made of; arguments and errors as :meth:`reasoning.scene.Scene.from_pmfs`."""
    if mixed not in MIXTURES:
        raise UnknownNameError(_WHAT, name=mixed, known=MIXTURES, kind="form of mixed panels")
    check_softening(temperature, floor)
    layout = _layout(puzzles)
    (constellation,) = layout.constellations
    widths = layout.attributes(constellation)  # offsets included
    ranges = layout.ranges(constellation)
    slots = {key[0]: size for key, size in widths.items() if key[1] == "Position"}
    given = _given(pmfs, widths)
    panels = ROWS * layout.columns - 1 + candidates
    found: tuple[_Part, _Part, _Part] = ({}, {}, {})
    for key, value in given.items():
        offset = 0 if key.name == "Position" else offset_of(key.name, layout.maxval)
        size, places = widths[key] - offset, slots.get(key.component)
        by_slot = places is not None and key.name not in ("Number", "Position") and value.ndim == 4
        shape = ("B", panels, places, size) if by_slot else ("B", panels, size)
        if value.ndim != len(shape) or tuple(value.shape[1:]) != shape[1:]:
            either = f", or (B, {panels}, {places}, {size}) of the entities in its slots"
            also = either if places is not None and key.name not in ("Number", "Position") else ""
            raise ShapeError(
                f"{_WHAT}, attribute {key}",
                received=f"shape {tuple(value.shape)}",
                expected=f"(B, {panels}, {size}): {panels} panels and {size} {_of(key.name)} of {constellation}{also}",
            )
        degree = temperature_of(key, temperature)
        if key.name == "Position":
            value = value.sigmoid() if logits else value
            check_probabilities(f"{_WHAT}, attribute {key}", value, summed=False)
            found[1][key] = soften_states(value, degree, floor)
            continue
        value = value.softmax(-1) if logits else value
        check_probabilities(f"{_WHAT}, attribute {key}", value, summed=True, whole=places is None)
        low, high = (level - offset for level in ranges[key])
        value = soften(within(value, low, high), degree, floor, low, high)
        found[2 if by_slot else 0][key] = functional.pad(value, (offset, 0))
    whole, sets, entities = _complete(found, widths, mixed)
    return layout.columns, whole, sets, entities, {key: ranges[key] for key in whole}


def _complete(found: tuple[_Part, _Part, _Part], widths: Mapping[Any, int], mixed: str) -> tuple[_Part, _Part, _Part]:
    """What follows, in the order in which the oracle has it; what is missing is named."""
    pmfs, sets, entities = found
    whole: _Part = {}
    for pair, width in widths.items():
        key, place = AttributeKey(*pair), AttributeKey(pair[0], "Position")
        if key in pmfs:
            whole[key] = pmfs[key]
        elif key in entities and place in sets:
            whole[key] = MIXTURES[mixed](entities[key], sets[place])
        elif key.name == "Number" and place in sets:
            whole[key] = count_pmf(sets[place], width)
        elif key not in sets and not key.name.startswith(CONFOUNDER):
            missing = place if key in entities or key.name == "Number" else key
            raise VSAError(
                _WHAT,
                received=f"no {missing}; {', '.join(map(str, (*pmfs, *sets, *entities))) or 'nothing'}",
                expected=f"{', '.join(str(AttributeKey(*one)) for one in widths if one[1] != 'Number')}",
                hint="an attribute that you do not see has the same probability for all values",
            )
    return whole, sets, entities


def _layout(puzzles: Any) -> Layout:
    from datasets.layout import Layout

    if isinstance(puzzles, str):
        return Layout("iraven", (resolve_constellation(puzzles),))
    puzzles = getattr(puzzles, "arrays", puzzles)  # of a batch or a data set
    layout = Layout.of(puzzles) if isinstance(puzzles, PuzzleArrays) else puzzles
    if not isinstance(layout, Layout):
        expected = "a constellation's name, puzzles, or a Layout"
        raise DtypeError(_WHAT, received=f"a {type(puzzles).__name__} for puzzles", expected=expected)
    if len(layout.constellations) != 1:
        raise VSAError(_WHAT, received=f"a layout of {len(layout.constellations)} constellations", expected="one")
    return layout


def _given(pmfs: Any, widths: Mapping[Any, int]) -> _Part:
    """The values by key, as tensors of one precision, in the order of the layout."""
    if not isinstance(pmfs, Mapping):
        raise DtypeError(_WHAT, received=f"a {type(pmfs).__name__}", expected="a mapping from attributes to PMFs")
    named = {}
    for name, value in pmfs.items():
        key = as_key((0, name) if isinstance(name, str) else name)
        if key not in widths:
            known = [str(AttributeKey(*one)) for one in widths]
            raise UnknownNameError(_WHAT, name=str(key), known=known, kind="attribute of these puzzles")
        if key in named:
            raise VSAError(f"{_WHAT}, attribute {key}", received="two values", expected="one")
        value = value.dense() if isinstance(value, SparsePMF) else value
        summed = key.name != "Position"
        named[key] = as_floats(f"{_WHAT}, attribute {key}", value, summed=summed, whole=True)
    if len({value.dtype for value in named.values()}) > 1:
        named = {key: value.double() for key, value in named.items()}
    if len({value.device for value in named.values()}) > 1:
        raise DtypeError(_WHAT, received="tensors on several devices", expected="one")
    return {AttributeKey(*key): named[AttributeKey(*key)] for key in widths if AttributeKey(*key) in named}


def _of(name: str) -> str:
    return {"Position": "slots", "Number": "numbers"}.get(name, "values")

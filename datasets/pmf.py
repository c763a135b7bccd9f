"""From labels to PMFs: what a perfect, a smoothed or an uncertain observer says about every panel.

An attribute on which the entities of a panel disagree has no value there: its mass is missing (the row sums
to zero); or, on request, the panel shows the shares of its entities' values.

How an uncertain observer comes to his PMFs ("stress"):

1. Every entity has a draw of its own for each attribute, and every slot of a grid one for whether it is occupied; all
   are independent, given the labels. Nothing else is drawn.
2. An entity of value v: p ~ U(p_left, 1), right ~ U(0, 1) * (1 - p) and left = 1 - p - right are the weights of a
   centre, the next value and the previous one. ``published``: the centre is v. ``calibrated``: v is the centre, the
   next or the previous with these very probabilities. Values are those that the component may have, and after the last
   comes the first: so each value has two neighbours, and each PMF is seen of its three values in the ratio of its three
   weights, which is what calibrated means; with the ends cut off that would hold in the middle of a range alone. Where
   a component has one value there is nothing to take it for, and it stays certain.
3. A slot, occupied or empty, keeps its state with p ~ U(p_left, 1). ``published``: what is seen is right;
   ``calibrated``: it is with probability p.
4. Where nothing is, something is seen all the same: an entity whose value is drawn evenly from those that the component
   may have, by the rules of 2. Any PMF is then as probable of an empty slot as of an entity of unknown value, so it
   does not tell whether the slot is empty.
5. What is seen of a panel follows from its slots: the probability that all entities have one value, or the shares of
   an entity drawn at random; and Number, the count of a set of slots that is not empty.

So a calibrated observer's PMFs are the posterior of whoever holds all sets of slots for equally likely, and all values
of each entity; a reasoner multiplies them by what else he knows.

Reference:
    Zhang et al. 2021 (PrAE) and Hersche et al. 2023 (NVSA): the PMFs of a panel; Hersche et al. 2024 (ARLC):
    smoothed labels; Hersche et al. 2025 (I-RAVEN-X): perceptual uncertainty and confounders.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from vsa.errors import SettingsError, VSAError

from .arrays import PuzzleArrays
from .attributes import ENTITY_ATTRIBUTES
from .panels import (
    INCONSISTENT,
    Array,
    Key,
    attribute_keys,
    magnitude_offset,
    panel_levels,
    shown_panels,
    value_count,
    value_range,
)
from .streams import Stream

__all__ = [
    "MIXTURES",
    "STRESSES",
    "FewValues",
    "LabelPMFs",
    "attribute_keys",
    "magnitude_offset",
    "oracle_pmfs",
    "panel_levels",
    "shown_panels",
    "value_count",
    "value_range",
]

STRESSES = ("none", "published", "calibrated")
MIXTURES = ("missing", "shares")
_UNIT = 2.0**-53
_WIDE = 64  # values from which on it pays to say which of them have mass
_SHARE = 4  # times as many values as have mass

Part = tuple[Array, Array | None]  # values (N, P), -1 where there is none, and their weights (N, P), None: one


@dataclass(frozen=True)
class FewValues:
    """PMFs with mass on few of many values.

    Args:
        values: int64 (N, P, K), on the axis of values; distinct where they have weight.
        weights: float32 (N, P, K), their probabilities; zero: no value.
        width: V.
    """

    values: Array
    weights: Array
    width: int


@dataclass(frozen=True)
class LabelPMFs:
    """The PMFs of N puzzles; P panels = 3 n - 1 of context, then eight candidates.

    Args:
        columns: n.
        pmfs: (component, attribute) -> float32 (N, P, V); mass missing from one: the entities differ.
        sets: (component, "Position") -> float32 (N, P, S), probability that each slot of a grid is occupied.
        entities: (component, attribute) -> float32 (N, P, S, V), on request: the PMF of the entity in each slot of a
            grid; zeros where there is none, but under stress what is seen there.
        few: (component, attribute) -> PMFs with mass on few of many values, on request; they are not in ``pmfs`` then.
    """

    columns: int
    pmfs: Mapping[Key, Array]
    sets: Mapping[Key, Array]
    entities: Mapping[Key, Array] = field(default_factory=dict)
    few: Mapping[Key, FewValues] = field(default_factory=dict)


def oracle_pmfs(
    arrays: PuzzleArrays,
    *,
    smoothing: float | None = None,
    epsilon: float | None = None,
    stress: str = "none",
    p_left: float = 1.0,
    seed: int = 0,
    confounders: bool = True,
    mixed: str = "missing",
    entities: bool = False,
    magnitudes: bool = False,
    few: bool = False,
) -> LabelPMFs:
    """PMFs of the last three rows and the candidates, from labels.

    The index of a value is its level counted from the smallest in use (Type: level - 1), that of Number the
    count - 1; with a ``maxval`` it is the level itself. ``Number`` and ``Position`` exist for grids only.

    Uncertainty is drawn as the head of this file says, from (seed, puzzle index), so that it does not depend on how
    puzzles are batched.

    Args:
        arrays: N puzzles.
        smoothing: weights exp(-|v - v*| / smoothing), normalised, around a value v* (ARLC: 0.2); None: none.
        epsilon: probability of each value but the right one (NVSA: 1e-4); None: none. Excludes smoothing.
        stress: "none", "published" or "calibrated"; smoothing comes on top.
        p_left: the smallest p under stress; 1 leaves the labels as they are.
        seed: of the stress.
        confounders: whether the confounders are included.
        mixed: what a panel shows whose entities differ: "missing" mass, or the "shares" of the entities' values
            (the PMF of an entity drawn at random).
        entities: whether the entities of every slot of a grid are given one by one too.
        magnitudes: whether the axis starts at zero, so that an index is the magnitude that arithmetic rules add
            (:func:`magnitude_offset`).
        few: whether PMFs with mass on few of many values are given as :class:`FewValues`.

    Returns:
        float32 PMFs and slot occupancies.

    Raises:
        SettingsError: an option is out of range or contradicts another.
        VSAError: a label is out of its range.
    """
    check_options(smoothing, epsilon, stress, p_left, mixed)
    shown = shown_panels(arrays.columns)
    stressed = stress != "none" and p_left < 1.0

    def draws(key: Key, *shape: int) -> Array:
        bits = Stream(seed, ("stress", *key), arrays.index).bits(*shape)
        return (bits >> np.uint64(11)).astype(np.float64) * _UNIT

    def parts_of(key: Key, values: Array) -> list[Part]:
        """What is seen of values (N, P), or (N, P, S) of slots."""
        count, offset = value_count(arrays, key), magnitude_offset(arrays, key)
        low, high = (level - offset for level in value_range(arrays, key)) if stressed else (0, count - 1)
        _check_range(values, low, high, key)
        slots = values.ndim == 3
        if stressed and (slots or high > low):
            u = draws(key, *values.shape[1:], 4 if slots else 3)
            if slots:  # something is seen where nothing is
                values = np.where(values < 0, low + np.floor(u[..., 3] * (high - low + 1)).astype(np.int64), values)
        parts: list[Part] = [(values, None)]
        if stressed and high > low:
            parts = _neighbours(values, low, high, u, p_left, stress)
        return parts

    def seen(key: Key, values: Array, offset: int) -> Array:
        count = value_count(arrays, key)
        return _spread(parts_of(key, values), count, _kernel(count, smoothing, epsilon), offset)

    sets: dict[Key, Array] = {}
    for c, component in enumerate(arrays.components):
        if component.slots > 1:
            occupied = component.exists[:, shown].astype(np.float32)
            if stressed:
                u = draws((c, "Position"), *occupied.shape[1:], 2)
                keep = p_left + (1.0 - p_left) * u[..., 0]
                kept = np.ones(keep.shape, dtype=bool) if stress == "published" else u[..., 1] < keep
                occupied = np.where(kept, occupied, 1 - occupied)  # what is seen
                occupied = (occupied * keep + (1 - occupied) * (1 - keep)).astype(np.float32)
            kernel = _kernel(2, smoothing, epsilon)
            sets[c, "Position"] = (
                occupied if kernel is None else kernel[0, 1] + (kernel[1, 1] - kernel[0, 1]) * occupied
            )
    pmfs: dict[Key, Array] = {}
    one_by_one: dict[Key, Array] = {}
    narrow: dict[Key, FewValues] = {}
    for key in attribute_keys(arrays, confounders):
        component, place = arrays.components[key[0]], sets.get((key[0], "Position"))
        offset = magnitude_offset(arrays, key) if magnitudes else 0
        entity = place is not None and key[1] != "Number"
        if entity and (entities or stressed or mixed == "shares"):
            values = _index(arrays, key, component.attributes[key[1]][:, shown])
            if entities or stressed:
                apart = seen(key, values, offset)
            if entities:
                one_by_one[key] = apart
        if place is None or not (stressed or (entity and mixed == "shares")):
            count, panels = value_count(arrays, key), _values(arrays, key)[:, shown]
            rows = _few_rows(count, 3 if stressed else 1, smoothing, epsilon) if few else None
            if rows is not None:
                narrow[key] = _few_of(parts_of(key, panels), rows, count, offset)
            else:
                pmfs[key] = seen(key, panels, offset)
        elif not entity:
            pmfs[key] = np.pad(_counts(place), ((0, 0), (0, 0), (offset, 0)))
        elif not stressed:
            shares = sum(seen(key, values[..., slot], offset) for slot in range(component.slots))
            pmfs[key] = shares / component.numbers[:, shown, None].astype(np.float32)
        else:
            pmfs[key] = (_shares if mixed == "shares" else _alike)(apart, place)
    return LabelPMFs(columns=arrays.columns, pmfs=pmfs, sets=sets, entities=one_by_one, few=narrow)


def _alike(entities: Array, occupied: Array) -> Array:
    """float32 (N, P, V): the probability that all entities have one value (as ``reasoning.distributions.pmfs``)."""
    there = occupied[..., None].astype(np.float64)
    empty = (1 - there).prod(axis=2)
    return ((1 - there + there * entities).prod(axis=2) - empty).astype(np.float32) / (1 - empty).astype(np.float32)


def _shares(entities: Array, occupied: Array) -> Array:
    """float32 (N, P, V): the PMF of an entity drawn at random."""
    there = occupied.astype(np.float32)
    return np.einsum("nps,npsv->npv", there, entities) / there.sum(axis=2, keepdims=True)


def _counts(occupied: Array) -> Array:
    """float32 (N, P, S): how many slots are occupied, index k for k + 1, none being empty of all."""
    counts = np.zeros((*occupied.shape[:2], occupied.shape[2] + 1))
    counts[..., 0] = 1
    for chance in np.moveaxis(occupied[..., None].astype(np.float64), 2, 0):  # one more slot each time
        counts[..., 1:] = counts[..., 1:] * (1 - chance) + counts[..., :-1] * chance
        counts[..., :1] *= 1 - chance
    return (counts[..., 1:] / counts[..., 1:].sum(axis=-1, keepdims=True)).astype(np.float32)


def _values(arrays: PuzzleArrays, key: Key) -> Array:
    """int16 (N, P) indices on the value axis, -1 where the entities differ."""
    return _index(arrays, key, panel_levels(arrays.components[key[0]], key[1]))


def _index(arrays: PuzzleArrays, key: Key, levels: Array) -> Array:
    """int16 indices on the value axis, -1 where there is no level."""
    if key[1] == "Number":
        return levels - np.int16(1)
    low = 0 if arrays.maxval is not None else next(a.low for a in ENTITY_ATTRIBUTES if a.name == key[1])
    return levels if low == 0 else np.where(levels < 0, levels, levels - np.int16(low))


@functools.lru_cache(maxsize=8)  # a wide one takes longer than the rest of a small batch
def _kernel(count: int, smoothing: float | None, epsilon: float | None) -> Array | None:
    """float32 (V, V), row v is the PMF of the value v; None for the identity."""
    if smoothing is not None:
        values = np.arange(count)
        weights = np.exp(-np.abs(values[:, None] - values) / smoothing)
        return _frozen((weights / weights.sum(axis=1, keepdims=True)).astype(np.float32))
    if not epsilon:
        return None
    if epsilon * (count - 1) >= 1.0:
        expected = f"less than 1 / {count - 1}"
        raise SettingsError("oracle_pmfs", received=f"epsilon = {epsilon} on {count} values", expected=expected)
    kernel = np.full((count, count), epsilon, dtype=np.float32)
    np.fill_diagonal(kernel, 1.0 - epsilon * (count - 1))
    return _frozen(kernel)


def _frozen(array: Array) -> Array:
    """The array, read-only: it is shared."""
    array.flags.writeable = False
    return array


@functools.lru_cache(maxsize=8)
def _few_rows(count: int, parts: int, smoothing: float | None, epsilon: float | None) -> tuple[Array, Array] | None:
    """The values (V, K) and weights (V, K) of the kernel's rows, where these are few of many; else None.

    Several parts with a kernel of their own would have values in common: they stay dense.
    """
    kernel = _kernel(count, smoothing, epsilon)
    if count < _WIDE or (kernel is not None and parts > 1):
        return None
    size = parts if kernel is None else int((kernel != 0).sum(axis=1).max())
    if size * _SHARE >= count:
        return None
    if kernel is None:
        return np.arange(count)[:, None], np.ones((count, 1), dtype=np.float32)
    values = np.argsort(kernel == 0, axis=1, kind="stable")[:, :size]  # those with mass first
    return _frozen(values), _frozen(np.take_along_axis(kernel, values, axis=1))


def _few_of(parts: list[Part], rows: tuple[Array, Array], count: int, offset: int) -> FewValues:
    """The weighted kernel's rows at the given values, side by side."""
    values, weights = [], []
    for at, share in parts:
        known = at >= 0
        place = np.where(known, at, 0).astype(np.intp)
        values.append(rows[0][place])
        weight = known.astype(np.float32) if share is None else np.where(known, share, 0).astype(np.float32)
        weights.append(rows[1][place] * weight[..., None])
    return FewValues(np.concatenate(values, axis=-1) + offset, np.concatenate(weights, axis=-1), count + offset)


def _spread(parts: list[Part], count: int, kernel: Array | None, offset: int = 0) -> Array:
    """float32 (N, P, V): the weighted sum of the kernel's rows at the given values; the first ``offset`` stay empty."""
    shape = parts[0][0].shape
    whole = np.zeros((parts[0][0].size, offset + count), dtype=np.float32)
    out = whole[:, offset:]
    for values, weights in parts:
        flat = values.reshape(-1).astype(np.intp)
        rows = np.flatnonzero(flat >= 0)
        weight = 1.0 if weights is None else weights.reshape(-1)[rows].astype(np.float32)
        if kernel is None:  # the values of the parts are distinct: no need to add
            out[rows, flat[rows]] = weight
        elif weights is None and len(rows) == len(flat):
            np.take(kernel, flat, axis=0, out=out, mode="clip")  # any mode but "raise" writes without a buffer
        else:
            out[rows] += np.reshape(weight, (-1, 1)) * kernel[flat[rows]]
    return whole.reshape(*shape, offset + count)


def _neighbours(values: Array, low: int, high: int, u: Array, p_left: float, stress: str) -> list[Part]:
    """The centre, its right and left neighbour in low .. high with their weights, like values; u: uniform (..., 3)."""
    count = high - low + 1
    if count < 3:
        raise SettingsError("oracle_pmfs", received=f"stress on {count} values", expected="at least 3 values, or one")
    centre_weight = p_left + (1.0 - p_left) * u[..., 0]
    right_weight = u[..., 1] * (1.0 - centre_weight)
    left_weight = 1.0 - centre_weight - right_weight
    centre = values.astype(np.int64) - low
    if stress == "calibrated":  # a truth left of the centre puts the centre right of the truth, and the reverse
        centre = centre + (u[..., 2] < left_weight) - (u[..., 2] >= 1.0 - right_weight)
    known = values >= 0

    def at(step: int) -> Array:
        return np.where(known, low + (centre + step) % count, INCONSISTENT)

    return [(at(0), centre_weight), (at(1), right_weight), (at(-1), left_weight)]


def check_options(smoothing: float | None, epsilon: float | None, stress: str, p_left: float, mixed: str) -> None:
    """Refuse options of :func:`oracle_pmfs` that make no sense.

    Args:
        smoothing: as there, like all others.
        epsilon: as there.
        stress: as there.
        p_left: as there.
        mixed: as there.

    Raises:
        SettingsError: an option is out of range or contradicts another.
    """
    if mixed not in MIXTURES:
        raise SettingsError("oracle_pmfs", received=f"mixed = {mixed!r}", expected=f"one of {', '.join(MIXTURES)}")
    if smoothing is not None and epsilon is not None:
        raise SettingsError("oracle_pmfs", received="smoothing and epsilon", expected="one of the two")
    if smoothing is not None and not 0.0 < smoothing < np.inf:
        raise SettingsError("oracle_pmfs", received=f"smoothing = {smoothing}", expected="a positive number or None")
    if epsilon is not None and not 0.0 <= epsilon < 1.0:
        raise SettingsError("oracle_pmfs", received=f"epsilon = {epsilon}", expected="a number in [0, 1) or None")
    if stress not in STRESSES:
        raise SettingsError("oracle_pmfs", received=f"stress = {stress!r}", expected=f"one of {', '.join(STRESSES)}")
    if not 0.0 <= p_left <= 1.0:
        raise SettingsError("oracle_pmfs", received=f"p_left = {p_left}", expected="a number in [0, 1]")


def _check_range(values: Array, low: int, high: int, key: Key) -> None:
    if values.size and (
        values.max() > high or values.min() < INCONSISTENT or (low > 0 and ((values >= 0) & (values < low)).any())
    ):
        raise VSAError(
            f"oracle_pmfs, {key[1]} of component {key[0]}",
            received=f"values from {values.min()} to {values.max()}",
            expected=f"{low} to {high}",
            hint="check the labels with PuzzleArrays.validate()",
        )

"""What a scene is made of, as it comes in: keys, tensors or arrays, probabilities. What is unclear is refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from reasoning.sparse import PMF, SparsePMF
from vsa.errors import DtypeError, VSAError

__all__ = [
    "AttributeKey",
    "as_floats",
    "as_key",
    "as_part",
    "as_ranges",
    "check_mass",
    "check_probabilities",
    "check_ranges",
    "in_one_precision",
]

_SLACK = 1e-3  # rounding of a sum of probabilities, in single precision
_HALF_SLACK = 4.0  # that of half precision, in its own steps at one


class AttributeKey(NamedTuple):
    """One attribute of one component; the name is for people, learners see attributes anonymously."""

    component: int
    name: str

    def __str__(self) -> str:
        return f"{self.component}|{self.name}"


def as_key(key: Any) -> AttributeKey:
    """A key of a scene from what stands for one.

    Args:
        key: an AttributeKey, or a pair (component, name).

    Returns:
        The key.

    Raises:
        DtypeError: something else.
    """
    if isinstance(key, tuple) and len(key) == 2:
        component, name = key
        counts = isinstance(component, int | np.integer) and not isinstance(component, bool)
        if counts and component >= 0 and isinstance(name, str):
            return AttributeKey(int(component), str(name))
    raise DtypeError("Scene", received=f"the key {key!r}", expected='a component and a name, as in (0, "Type")')


def as_part(part: Any, *, summed: bool, sparse: bool = False) -> dict[AttributeKey, Any]:
    """Attributes with tensors from what stands for them.

    Args:
        part: key -> tensor or array of floats.
        summed: whether the last axis is that of a PMF.
        sparse: whether a value may be a SparsePMF.

    Returns:
        AttributeKey -> tensor (or SparsePMF) of single or double precision; the very one that was given where nothing
        had to change.

    Raises:
        DtypeError: no mapping, or a key or a value that stands for none.
        VSAError: a key twice.
    """
    if not isinstance(part, Mapping):
        raise DtypeError("Scene", received=f"a {type(part).__name__}", expected="a mapping from attributes to tensors")
    found: dict[AttributeKey, PMF] = {}
    for given, value in part.items():
        key = as_key(given)
        if key in found:
            raise VSAError(f"Scene attribute {key}", received="two values", expected="one")
        what = f"Scene attribute {key}"
        if sparse and isinstance(value, SparsePMF):
            weights = as_floats(what, value.weights, summed=summed)
            found[key] = value if weights is value.weights else SparsePMF(value.values, weights, value.width)
        else:
            found[key] = as_floats(what, value, summed=summed)
    return found


def as_ranges(ranges: Any) -> dict[AttributeKey, tuple[int, int]]:
    """Attributes with their lowest and highest magnitudes from what stands for them.

    Args:
        ranges: key -> two integers.

    Returns:
        AttributeKey -> (low, high).

    Raises:
        DtypeError: no mapping, or a key or a value that stands for none.
        VSAError: low is below zero or above high.
    """
    if not isinstance(ranges, Mapping):
        raise DtypeError("Scene", received=f"ranges as a {type(ranges).__name__}", expected="a mapping from attributes")
    found = {}
    for given, limits in ranges.items():
        key = as_key(given)
        whole = isinstance(limits, tuple | list) and len(limits) == 2
        if not whole or any(isinstance(one, bool) or not isinstance(one, int | np.integer) for one in limits):
            raise DtypeError(f"Scene range of {key}", received=f"{limits!r}", expected="two integers, as in (1, 6)")
        low, high = int(limits[0]), int(limits[1])
        if not 0 <= low <= high:
            raise VSAError(f"Scene range of {key}", received=f"{low} .. {high}", expected="0 <= lowest <= highest")
        found[key] = low, high
    return found


def check_ranges(ranges: Mapping[AttributeKey, tuple[int, int]], pmfs: Mapping[AttributeKey, Any]) -> None:
    """Refuse ranges of attributes that are not there, or that reach beyond their axis.

    Args:
        ranges: of :func:`as_ranges`.
        pmfs: of the scene.

    Raises:
        VSAError: which one.
    """
    for key, (low, high) in ranges.items():
        if key not in pmfs:
            known = ", ".join(map(str, pmfs)) or "none"
            raise VSAError(f"Scene range of {key}", received="no PMF of that attribute", expected=f"one of {known}")
        if high >= pmfs[key].shape[-1]:
            expected = f"at most {pmfs[key].shape[-1] - 1}, the last of its PMF"
            raise VSAError(f"Scene range of {key}", received=f"{low} .. {high}", expected=expected)


def check_mass(what: str, value: PMF, limits: tuple[int, int]) -> None:
    """Refuse mass outside a range.

    Args:
        what: for messages.
        value: (B, ..., V) PMFs.
        limits: lowest and highest value.

    Raises:
        VSAError: how much mass lies elsewhere.
    """
    low, high = limits
    if not len(value) or (low == 0 and high == value.shape[-1] - 1):
        return
    if isinstance(value, SparsePMF):
        beyond = torch.where((value.values < low) | (value.values > high), value.weights.detach(), 0.0)
    else:
        beyond = torch.cat([value[..., :low], value[..., high + 1 :]], dim=-1).detach()
    outside = float(beyond.sum(-1).amax())
    if outside > _SLACK:
        raise VSAError(
            what,
            received=f"a mass of {outside:.4g} on values outside its range",
            expected=f"all mass on {low} .. {high}",
            hint="leave the range out, or divide what lies inside by its sum",
        )


def as_floats(what: str, value: Any, *, summed: bool = True, whole: bool = False) -> Tensor:
    """A tensor of single or double precision.

    Args:
        what: for messages.
        value: a tensor or an array of floats. Half precision becomes single; PMFs that miss one by its rounding are
            divided by their sums.
        summed: whether the last axis is that of a PMF.
        whole: whether integers and booleans are taken, too.

    Returns:
        The tensor; the very one that was given where nothing had to change.

    Raises:
        DtypeError: no array, or none of floats.
    """
    if not isinstance(value, Tensor):
        value = _from_array(what, value)
    if value.layout != torch.strided or value.is_nested:
        raise DtypeError(what, received="a sparse or nested tensor", expected="a dense one")
    if whole and not (value.is_floating_point() or value.is_complex()):
        return value.to(torch.get_default_dtype())
    if not value.is_floating_point():
        hint = "" if value.is_complex() else "labels become PMFs by torch.nn.functional.one_hot(labels, V).float()"
        raise DtypeError(what, received=f"a tensor of {value.dtype}", expected="floats", hint=hint)
    if torch.finfo(value.dtype).bits >= 32:
        return value
    single = value.float()
    if not (summed and single.ndim):
        return single
    total = single.sum(-1, keepdim=True)
    return torch.where((total - 1).abs() <= _HALF_SLACK * torch.finfo(value.dtype).eps, single / total, single)


def in_one_precision(parts: tuple[Mapping[AttributeKey, Any], ...]) -> tuple[dict[AttributeKey, Any], ...]:
    """All attributes in the widest precision that one of them has."""
    if len({value.dtype for part in parts for value in part.values()}) < 2:
        return tuple(dict(part) for part in parts)
    return tuple({key: value.double() for key, value in part.items()} for part in parts)


def check_probabilities(what: str, value: Tensor, *, summed: bool, whole: bool = False) -> None:
    """Refuse what is no probability.

    Args:
        what: for messages.
        value: (B, ..., V) PMFs, or (B, ..., S) occupancies.
        summed: whether probabilities sum to at most one along the last axis.
        whole: whether they sum to one.

    Raises:
        VSAError: a probability is NaN or negative, above one, or they sum to more than they may, or to less.
    """
    seen = value.detach()
    if not seen.numel():
        return
    total = seen.sum(-1) if summed else seen
    least, high = torch.aminmax(total)  # NaN stays NaN
    low, least, high = torch.stack([seen.amin(), least, high]).tolist()  # one transfer
    if low >= -_SLACK and high <= 1 + _SLACK and (least >= 1 - _SLACK or not whole):
        return
    if least != least or low != low:
        where = seen.isnan().flatten(1).any(1) if seen.ndim > 1 else seen.isnan()
        hint = "look for a logarithm of zero or a division by zero"
        raise VSAError(
            what, received=f"NaN in {int(where.sum())} of {len(where)} puzzles", expected="numbers", hint=hint
        )
    kind = "probabilities of a panel that sum to" if summed else "probabilities up to"
    expected = "none below 0, and at most 1"
    if low < -_SLACK and float(seen.amax()) <= _SLACK:
        hint = "log-probabilities become PMFs by exp()"
    elif low < -_SLACK or high > 1 + _SLACK:
        hint = "logits become PMFs by softmax(-1), occupancies by sigmoid(); counts are divided by their sums"
    else:
        high, expected = least, "1 in a component without slots"
        hint = "entities of one panel can differ only where there are several: divide the PMFs by their sums"
    raise VSAError(what, received=f"probabilities from {low:.4g}, and {kind} {high:.4g}", expected=expected, hint=hint)


def _from_array(what: str, value: Any) -> Tensor:
    """A copy of an array: what the caller does to his, and how it lies in memory, is no matter."""
    if not hasattr(value, "__array__"):
        raise DtypeError(what, received=f"a {type(value).__name__}", expected="a tensor or an array of floats")
    array = np.asarray(value)
    if array.dtype.kind not in "fiub" or isinstance(value, np.ma.MaskedArray):
        raise DtypeError(what, received=f"a {type(value).__name__} of {array.dtype}", expected="floats")
    if array.dtype.kind == "f":
        width: Any = {2: np.float16, 4: np.float32}.get(array.dtype.itemsize, np.float64)
    else:
        width = np.int64
    return torch.from_numpy(np.array(array, dtype=width))

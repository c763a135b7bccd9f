"""What the state of an array belongs to, and whether a state at hand is that of an array at hand."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ...errors import VSAError

if TYPE_CHECKING:
    from .programmed import Programmed

__all__ = ["belonging", "check", "written"]

_SETTINGS = (
    "mapping",
    "scaling",
    "slices",
    "slice_bits",
    "tile_rows",
    "tile_columns",
    "share_devices",
    "compensation",
)


def belonging(array: Programmed) -> dict[str, Any]:
    """Device, geometry and mapping, by name."""
    return {
        "device": repr(array.settings.cell),
        "shape": [array.groups, array.inputs, array.outputs],
        "blocks": array.blocks,
        "dtype": str(array.target_us.dtype).removeprefix("torch."),
        "torch_device": array.target_us.device.type,
        **{name: getattr(array.settings, name) for name in _SETTINGS},
    }


def written(facts: Mapping[str, Any]) -> Tensor:
    """Facts as bytes, which a state dict can hold."""
    return torch.frombuffer(bytearray(json.dumps(facts).encode()), dtype=torch.uint8).clone()


def check(place: str, array: Programmed, state: Mapping[str, Tensor]) -> None:
    """Refuse the state of another array.

    Args:
        place: of the array, as its entries begin.
        array: that is to take over the state.
        state: its entries, without the place.

    Raises:
        VSAError: it belongs to another device, geometry or mapping, or is not whole.
    """
    own = array.state_dict()
    optional = {"ranges"}
    missing, foreign = set(own) - set(state) - optional, set(state) - set(own) - optional
    if "belongs" not in missing:
        _compare(_read(state["belongs"]), belonging(array))
    if missing or foreign:
        name, what = (min(missing), "no entry") if missing else (min(foreign), "an entry")
        raise _refused(f"{what} {place}.{name}", "the state of this array")
    for name, value in own.items():
        if name in optional:
            continue
        if not isinstance(state[name], Tensor) or state[name].shape != value.shape or state[name].dtype != value.dtype:
            kind = f"{tuple(value.shape)} of {str(value.dtype).removeprefix('torch.')}"
            raise _refused(f"another kind of entry {place}.{name}", kind)
        if value.is_floating_point() and not bool(torch.isfinite(state[name]).all()):
            raise _refused(f"an entry {place}.{name} with NaN or infinite values", "finite values")
    if not 0 <= float(state["time"]) < math.inf:
        raise _refused(f"{float(state['time'])} seconds since programming", "a time that is not negative")
    ranges = state.get("ranges")
    if ranges is not None and (ranges.shape != (2,) or not bool((ranges > 0).all())):
        raise _refused(f"an entry {place}.ranges that is none", "two positive ranges")


def _read(entry: Tensor) -> dict[str, Any]:
    try:
        facts = json.loads(bytes(entry.cpu().numpy()))
    except (ValueError, TypeError, AttributeError, RecursionError):
        facts = None
    if not isinstance(facts, dict):
        raise _refused("an entry belongs that says nothing", "device, geometry and mapping")
    return facts


def _compare(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> None:
    other = [name for name in ours if theirs.get(name) != ours[name]]
    if other:
        raise _refused(
            "the state of an array of " + ", ".join(f"{name} {theirs.get(name)}" for name in other),
            ", ".join(f"{name} {ours[name]}" for name in other),
        )


def _refused(received: str, expected: str) -> VSAError:
    hint = "load it into the backend that it was saved from"
    return VSAError("load_state_dict", received=received, expected=expected, hint=hint)

"""A device that is not the CPU, computed on the CPU: what mixes the two fails here as it does on a GPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

PLACE = torch.device("lazy", 0)  # a kind of which torch knows the name and nothing else
_MOVES = {"_to_copy", "copy_", "copy", "_copy_from"}
_INDEXED = {"index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index"}  # by numbers on either side


class Elsewhere(torch.Tensor):
    """A tensor that says that it is elsewhere; its values lie on the CPU."""

    inner: torch.Tensor

    @staticmethod
    def __new__(cls, inner: torch.Tensor) -> Elsewhere:
        made: Elsewhere = torch.Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls, inner.shape, strides=inner.stride(), storage_offset=inner.storage_offset(), dtype=inner.dtype,
            device=PLACE, requires_grad=inner.requires_grad,
        )  # fmt: skip
        made.inner = inner
        return made

    def __repr__(self, **_: Any) -> str:
        return f"Elsewhere({self.inner})"

    def tolist(self) -> Any:
        return self.inner.tolist()

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return run(func, args, kwargs or {})


class _Mode(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return run(func, args, kwargs or {})


def run(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """One operation: on the CPU, wrapped where it belongs."""
    name = func._schema.name.split("::")[1]
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
    there = [leaf for leaf in tensors if isinstance(leaf, Elsewhere)]
    here = [leaf for leaf in tensors if not isinstance(leaf, Elsewhere) and leaf.dim() > 0]
    if name in _INDEXED:
        here = [leaf for leaf in here if leaf is args[0]]
    if there and here and name not in _MOVES:
        raise RuntimeError(f"{name}: tensors on {PLACE} and on the CPU")
    generator = kwargs.get("generator")
    device = kwargs.get("device")
    goes = device is not None and torch.device(device).type == PLACE.type
    if generator is not None and generator.device.type == "cpu" and (goes or (there and name not in _MOVES)):
        raise RuntimeError(f"{name}: a generator of the CPU for {PLACE}")
    wrap = bool(there) if device is None else goes
    if name == "copy_":
        wrap = isinstance(args[0], Elsewhere)
    plain = {**kwargs, **({"device": torch.device("cpu")} if device is not None else {})}
    args, plain = tree_map(lambda x: x.inner if isinstance(x, Elsewhere) else x, (args, plain))
    if goes and name == "_to_copy" and plain.get("memory_format") is None:
        plain.pop("non_blocking", None)
    result = func(*args, **plain)
    if func._schema.is_mutable and not name.startswith("_to"):  # in place: what was given is given back
        by_inner = {id(leaf.inner): leaf for leaf in there}
        return tree_map(lambda x: by_inner.get(id(x), _wrapped(x, wrap)), result)
    return tree_map(lambda x: _wrapped(x, wrap), result)


class _Made(TorchFunctionMode):
    """What asks the device itself, past all dispatch, is made on the CPU first."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func is torch.tensor and kwargs.get("device") is not None:
            place = kwargs.pop("device")
            return func(*args, **kwargs).to(place)
        if func in (torch.Tensor.__getitem__, torch.Tensor.__setitem__):  # lists as indices are made tensors there, too
            at = args[1] if isinstance(args[1], tuple) else (args[1],)
            at = tuple(
                torch.tensor(part, dtype=None if part else torch.int64) if isinstance(part, list) else part
                for part in at
            )
            args = (args[0], at if isinstance(args[1], tuple) else at[0], *args[2:])
        return func(*args, **kwargs)


def _wrapped(x: Any, wrap: bool) -> Any:
    if not wrap or not isinstance(x, torch.Tensor) or isinstance(x, Elsewhere):
        return x
    return Elsewhere(x.resolve_conj().resolve_neg())


@contextmanager
def elsewhere() -> Iterator[torch.device]:
    """Within, ``device`` is a place where tensors can be made and moved to."""
    with _Made(), _Mode():
        yield PLACE

"""Layers whose weights live on a backend, for networks that are to run on arrays.

>>> import torch, vsa
>>> layer = vsa.nn.Linear(8, 4, backend=vsa.backends.get("digital"), seed=0)
>>> layer(torch.zeros(2, 8)).shape
torch.Size([2, 4])
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from .backends import array_seed, get
from .backends.base import Backend, StoredMatrix
from .errors import ShapeError, VSAError
from .seeding import child_seed
from .validation import check_computable, check_count, check_kind

__all__ = ["Linear", "without_arrays"]

_ARRAY = "programmed_array."  # prefix, in the state dict, of the programmed weights and of the state of their devices


def without_arrays(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of a state dict, without the arrays that its layers happen to be programmed on.

    Args:
        state: of any module.
    """
    check_kind("without_arrays", state, Mapping, "a state dict")
    return {name: value for name, value in state.items() if f".{_ARRAY}" not in f".{name}"}


class Linear(nn.Module):
    """A linear layer on a backend.

    In training every call sees the weights through the backend's train view: fresh noise, the gradient of the exact
    weights (straight-through). In evaluation the weights are programmed once, at the first call or with
    :meth:`program`, and then only read; training again, or loading other weights, discards the array. A read of the
    array passes the gradient straight through to its argument, as if by the weights that were programmed; the weights
    themselves get none then, unless the backend is exact. The bias is digital.

    ``state_dict`` keeps the array with its age, for a layer with the same backend; :func:`without_arrays` leaves it out
    for others. The state of a ``torch.nn.Linear`` loads.

    Args:
        inputs: length of the input.
        outputs: length of the output.
        bias: whether there is one.
        backend: where the weights live. Default: digital.
        learn_range: learn what the largest input stands for: inputs beyond are clipped, and the clipping has a
            gradient. For converters with a fixed range: give the backend an ``input_range`` of 1; inputs reach it
            divided by the learned range.
        seed: of the initial weights, the noise in training, and the programming. Default: its own, so that no two
            layers are alike (see ``vsa.backends.places``).

    Reference:
        Joshi et al. 2020 (noise in training); Choi et al. 2018, "PACT" (a learned clipping range).
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        bias: bool = True,
        backend: Backend | None = None,
        learn_range: bool = False,
        seed: int | None = None,
    ) -> None:
        super().__init__()
        check_count("Linear", "inputs", inputs)
        check_count("Linear", "outputs", outputs)
        if backend is not None:
            check_kind("Linear", backend, Backend, "a backend", "see vsa.backends.get")
        self.backend = get("digital") if backend is None else backend
        self.seed = array_seed() if seed is None else seed
        generator = torch.Generator().manual_seed(child_seed(self.seed, "linear", "weights"))
        bound = 1 / math.sqrt(inputs)
        self.weight = nn.Parameter(bound * (2 * torch.rand(outputs, inputs, generator=generator) - 1))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.range = nn.Parameter(torch.ones(())) if learn_range else None
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))
        self.calls: Tensor
        self._programmed = 0  # how often
        self._array: StoredMatrix | None = None

    def forward(self, x: Tensor) -> Tensor:
        """The layer's answer.

        Args:
            x: (..., inputs).

        Returns:
            (..., outputs).
        """
        check_computable("Linear", x)
        scale = None
        if self.range is not None:
            scale = self.range.abs().clamp_min(1e-6)
            # Beyond the range the gradient goes to the range, within it to the input.
            x = torch.where(x.abs() < scale, x, scale * x.sign()) / scale
        if self.training:
            self._array = None
            self.calls += 1
            view = self.backend.train_view(self.weight, seed=child_seed(self.seed, "train", int(self.calls)))
            y = view.matvec(x)
        else:
            if self._array is None:
                self.program()
            y = self.stored.matvec(x)
        if scale is not None:
            y = y * scale
        return y if self.bias is None else y + self.bias

    @property
    def stored(self) -> StoredMatrix:
        """The programmed weights, whose ``handle`` ages and counts costs.

        Raises:
            VSAError: nothing is programmed.
        """
        if self._array is None:
            raise VSAError(
                "Linear.stored", received="no array", expected="a programmed one", hint="call program() first"
            )
        return self._array

    def program(self) -> None:
        """Program the weights as they are now, with fresh errors; later changes of them do not reach the array."""
        if self.backend.exact:
            self._array = self.backend.store(self.weight)
            return
        self._program(self.weight.detach().clone())

    def _program(self, weights: Tensor) -> None:
        seed = child_seed(self.seed, "array", self._programmed)
        self._array = self.backend.store(weights, seed=seed)
        self._programmed += 1

    def train(self, mode: bool = True) -> Linear:
        """Training mode shows fresh noise; evaluation mode reads an array."""
        if mode:
            self._array = None
        return super().train(mode)

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        if self._programmed:
            destination[f"{prefix}{_ARRAY}programmed"] = torch.tensor(self._programmed)
        held = None if self._array is None else self._array.stored_atoms
        if self._array is not None and held is not None:
            destination[f"{prefix}{_ARRAY}weight"] = held
            for name, value in self._array.handle.state_dict().items():
                destination[f"{prefix}{_ARRAY}device.{name}"] = value

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *args: Any, **kwargs: Any) -> None:
        start = prefix + _ARRAY
        held = {key[len(start) :]: state_dict.pop(key) for key in list(state_dict) if key.startswith(start)}
        if f"{prefix}calls" not in state_dict:  # of a torch.nn.Linear, which has neither
            state_dict[f"{prefix}calls"] = self.calls
            if self.range is not None:
                state_dict.setdefault(f"{prefix}range", self.range)
        array = self._restored(held, state_dict.get(f"{prefix}weight"))  # refuses before anything changes
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)
        self._programmed = max(self._programmed, int(held.get("programmed", 0)))
        self._array = array

    def _restored(self, held: dict[str, Tensor], weight: Tensor | None) -> StoredMatrix | None:
        """The array of a state; None if there is none in it, or weights of another shape, which are refused later."""
        atoms = held.get("weight")
        if atoms is None or weight is None or weight.shape != self.weight.shape:
            return None
        if atoms.shape != self.weight.shape:
            raise ShapeError(
                "Linear.load_state_dict",
                received=f"an array of weights {tuple(atoms.shape)}",
                expected=f"one of {tuple(self.weight.shape)}",
            )
        array = self.backend.store(atoms.detach().to(self.weight).clone(), seed=self.seed)
        state = {key.removeprefix("device."): value for key, value in held.items() if key.startswith("device.")}
        array.handle.load_state_dict(state)
        return array

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Linear:
        if self._array is not None:
            moved = fn(self.weight.detach()[:0])
            if (moved.device, moved.dtype) != (self.weight.device, self.weight.dtype):
                if not self.backend.exact:
                    raise VSAError(
                        "Linear.to",
                        received=f"a move of an array programmed on {self.backend.name}",
                        expected="an array that stays where it was programmed",
                        hint="move the layer first, then call program(); train() lets go of the array",
                    )
                self._array = None
        return super()._apply(fn, recurse)

    def __getstate__(self) -> dict[str, Any]:
        # An exact backend's matrix shares memory with the weights: it is made again.
        return {**self.__dict__, "_array": None} if self.backend.exact else self.__dict__.copy()

    def extra_repr(self) -> str:
        """Sizes and backend."""
        return f"{self.weight.shape[1]}, {self.weight.shape[0]}, {self.backend.name}"

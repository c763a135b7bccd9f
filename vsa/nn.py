"""Layers whose weights live on a backend, for networks that are to run on arrays.

>>> import torch, vsa
>>> layer = vsa.nn.Linear(8, 4, backend=vsa.backends.get("digital"), seed=0)
>>> layer(torch.zeros(2, 8)).shape
torch.Size([2, 4])
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from .backends import get
from .backends.base import Backend, StoredMatrix
from .errors import VSAError
from .seeding import child_seed
from .validation import check_count

__all__ = ["Linear"]


class Linear(nn.Module):
    """A linear layer on a backend.

    In training every call sees the weights through the backend's train view: fresh noise, the gradient of the exact
    weights (straight-through). In evaluation the weights are programmed once, at the first call or with
    :meth:`program`, and then only read; training again, or loading other weights, discards the array. The bias is
    digital.

    Args:
        inputs: length of the input.
        outputs: length of the output.
        bias: whether there is one.
        backend: where the weights live. Default: digital.
        learn_range: learn what the largest input stands for: inputs beyond are clipped, and the clipping has a
            gradient. For converters with a fixed range: give the backend an ``input_range`` of 1; inputs reach it
            divided by the learned range.
        seed: of the initial weights, the noise in training, and the programming.

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
        seed: int = 0,
    ) -> None:
        super().__init__()
        check_count("Linear", "inputs", inputs)
        check_count("Linear", "outputs", outputs)
        self.backend = get("digital") if backend is None else backend
        self.seed = seed
        generator = torch.Generator().manual_seed(child_seed(seed, "linear", "weights"))
        bound = 1 / math.sqrt(inputs)
        self.weight = nn.Parameter(bound * (2 * torch.rand(outputs, inputs, generator=generator) - 1))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.range = nn.Parameter(torch.ones(())) if learn_range else None
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))
        self.calls: Tensor
        self._array: StoredMatrix | None = None

    def forward(self, x: Tensor) -> Tensor:
        """The layer's answer.

        Args:
            x: (..., inputs).

        Returns:
            (..., outputs).
        """
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
        """Program the weights as they are now; later changes of the weights do not reach the array."""
        atoms = self.weight if self.backend.exact else self.weight.detach()
        self._array = self.backend.store(atoms, seed=child_seed(self.seed, "array"))

    def train(self, mode: bool = True) -> Linear:
        """Training mode shows fresh noise; evaluation mode reads an array."""
        if mode:
            self._array = None
        return super().train(mode)

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        self._array = None

    def _apply(self, *args: Any, **kwargs: Any) -> Linear:
        self._array = None
        return super()._apply(*args, **kwargs)

    def extra_repr(self) -> str:
        """Sizes and backend."""
        return f"{self.weight.shape[1]}, {self.weight.shape[0]}, {self.backend.name}"

"""A device without faults: what it is told it keeps, and reads give it back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from .base import DEVICES, Device, Moments

__all__ = ["Ideal"]


@DEVICES.register("ideal")
@dataclass(frozen=True)
class Ideal(Device):
    """Exact conductances for all times."""

    name: ClassVar[str] = "ideal"

    def program(self, target_us: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        self.check_target(target_us)
        return {"g_us": target_us.clone()}

    def drift(self, state: Mapping[str, Tensor], t_seconds: float) -> Tensor:
        return state["g_us"]

    def read_std(self, state: Mapping[str, Tensor], g_us: Tensor, t_seconds: float) -> Tensor | None:
        return None

    def moments(self, target_us: float, t_seconds: float) -> Moments:
        return Moments(target_us, 0.0)

"""Normal noise at programming and at reading, the same for every conductance: the textbook device."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ....errors import VSAError
from .base import DEVICES, Device, Moments, clipped_moments, normal

__all__ = ["Gaussian"]


@DEVICES.register("gaussian")
@dataclass(frozen=True)
class Gaussian(Device):
    """Additive normal noise.

    Args:
        program_std_us: standard deviation of programming, in uS. Conductances below zero are cut off.
        read_std_us: standard deviation of a read, in uS.
        drift_nu: exponent of the drift g(t) = g ((t + t0) / t0)^-nu, the same for all devices.
        drift_t0_seconds: t0.
    """

    program_std_us: float = 0.5
    read_std_us: float = 0.25
    drift_nu: float = 0.0
    drift_t0_seconds: float = 20.0
    name: ClassVar[str] = "gaussian"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_not_negative("program_std_us", "read_std_us", "drift_nu")
        if not self.drift_t0_seconds > 0:
            raise VSAError("device gaussian drift_t0_seconds", received=self.drift_t0_seconds, expected="positive")

    def program(self, target_us: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        self.check_target(target_us)
        return {"g_us": (target_us + self.program_std_us * normal(target_us, generator)).clamp_min(0)}

    def drift(self, state: Mapping[str, Tensor], t_seconds: float) -> Tensor:
        if not self.drift_nu:
            return state["g_us"]
        return state["g_us"] * ((t_seconds + self.drift_t0_seconds) / self.drift_t0_seconds) ** -self.drift_nu

    def read_std(self, state: Mapping[str, Tensor], g_us: Tensor, t_seconds: float) -> Tensor | None:
        return torch.full_like(g_us, self.read_std_us) if self.read_std_us else None

    def moments(self, target_us: float, t_seconds: float) -> Moments:
        fallen = -self.drift_nu * math.log(1 + t_seconds / self.drift_t0_seconds)
        return Moments(*clipped_moments(target_us, self.program_std_us), fallen, 0.0, self.read_std_us)

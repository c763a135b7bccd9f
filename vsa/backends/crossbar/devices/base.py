"""What a device is: programmed once, drifting in time, read with noise.

A new device is one file here with these three hooks. All conductances are in microsiemens (uS), all times in seconds
since the array was programmed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ....errors import VSAError
from ....registry import Registry

__all__ = ["DEVICES", "Device"]

DEVICES: Registry[type[Device]] = Registry(
    "device", package="vsa.backends.crossbar.devices", entry_points="vsa_reasoning.devices", base=f"{__name__}:Device"
)


@dataclass(frozen=True)
class Device(ABC):
    """One memory device. Frozen: it holds parameters; the state of an array's devices is a dictionary of tensors.

    Args:
        g_max_us: conductance that stands for the largest weight, in uS.
        g_min_us: conductance that stands for zero, in uS.
    """

    g_max_us: float = 25.0
    g_min_us: float = 0.0
    name: ClassVar[str] = ""
    reads_alike: ClassVar[bool] = False  # whether two reads at one time give the same

    def __post_init__(self) -> None:
        if not 0 <= self.g_min_us < self.g_max_us < float("inf"):
            raise VSAError(
                f"device {self.name}", received=f"g_min_us={self.g_min_us}, g_max_us={self.g_max_us}",
                expected="0 <= g_min_us < g_max_us",
            )  # fmt: skip

    @abstractmethod
    def program(self, target_us: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """Program devices. Called once per array.

        Args:
            target_us: wanted conductances, in uS.
            generator: the array's own.

        Returns:
            The state. ``"g_us"`` is the conductance right after programming; further entries are the device's own, each
            of the shape of ``target_us``.
        """

    @abstractmethod
    def drift(self, state: Mapping[str, Tensor], t_seconds: float) -> Tensor:
        """Conductances at a time, without read noise, in uS.

        Args:
            state: of :meth:`program`.
            t_seconds: since programming.
        """

    @abstractmethod
    def read_std(self, state: Mapping[str, Tensor], g_us: Tensor, t_seconds: float) -> Tensor | None:
        """Standard deviation of one read, drawn anew for every read and device, in uS; None for no noise.

        Args:
            state: of :meth:`program`.
            g_us: of :meth:`drift`.
            t_seconds: since programming.
        """

    def check_target(self, target_us: Tensor) -> None:
        """Refuse conductances that the device does not have.

        Args:
            target_us: in uS.

        Raises:
            VSAError: out of g_min_us .. g_max_us.
        """
        slack = 1e-6 * self.g_max_us
        low, high = float(target_us.min()), float(target_us.max())
        if low < self.g_min_us - slack or high > self.g_max_us + slack:
            raise VSAError(
                f"program {self.name}", received=f"targets from {low:.4g} to {high:.4g} uS",
                expected=f"{self.g_min_us:g} to {self.g_max_us:g} uS", hint="scale the weights into the device's range",
            )  # fmt: skip

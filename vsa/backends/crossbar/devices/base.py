"""What a device is: programmed once, drifting in time, read with noise.

A new device is one file here with these three hooks, and the moments that it declares. All conductances are in
microsiemens (uS), all times in seconds since the array was programmed.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import ClassVar

import torch
from torch import Tensor

from ....errors import DtypeError, VSAError
from ....registry import Registry
from ....validation import LARGEST, check_quantity
from ...device import Moments

__all__ = ["DEVICES", "Device", "Moments", "clipped_moments", "normal"]

DEVICES: Registry[type[Device]] = Registry(
    "device", package="vsa.backends.crossbar.devices", entry_points="vsa_reasoning.devices", base=f"{__name__}:Device"
)

_FINITE = 1e30  # what float32 still holds, in any parameter


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
    registry: ClassVar[Registry[type[Device]]] = DEVICES  # settings name a device and its options

    def __post_init__(self) -> None:
        """Check the parameters: finite numbers, a range of conductance.

        Raises:
            DtypeError: a parameter that is no number.
            VSAError: one out of its range.
        """
        for entry in fields(self):
            value = getattr(self, entry.name)
            if entry.type in ("float", float) and (isinstance(value, bool) or not isinstance(value, int | float)):
                raise DtypeError(f"device {self.name} {entry.name}", received=repr(value), expected="a number")
            if entry.type in ("float", float):
                if not abs(value) <= _FINITE:
                    received = f"{value!r:.40}"
                    raise VSAError(f"device {self.name} {entry.name}", received=received, expected="a finite number")
                object.__setattr__(self, entry.name, float(value))  # 50 and 50.0 are the same device
        if not (0 <= self.g_min_us < self.g_max_us <= LARGEST and self.g_max_us - self.g_min_us >= 1e-6):
            raise VSAError(
                f"device {self.name}",
                received=f"g_min_us={self.g_min_us!r:.40}, g_max_us={self.g_max_us!r:.40}",
                expected=f"0 <= g_min_us < g_max_us, a range of 1e-6 to {LARGEST:g} uS",
            )

    def check_not_negative(self, *names: str) -> None:
        """Refuse parameters below zero, for ``__post_init__`` of a device.

        Args:
            names: of the parameters.

        Raises:
            VSAError: one is negative, or too large to compute with.
        """
        for name in names:
            check_quantity(f"device {self.name}", name, getattr(self, name))

    def __str__(self) -> str:
        """The name, and what differs from the defaults."""
        changed = [f"{e.name}={getattr(self, e.name)!r}" for e in fields(self) if getattr(self, e.name) != e.default]
        return f"{self.name}({', '.join(changed)})" if changed else self.name

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

    @abstractmethod
    def moments(self, target_us: float, t_seconds: float) -> Moments:
        """What the source of the model says about many devices with one target; :func:`vsa.check_device` compares.

        Write it down from the source, not from the hooks: then a mistake in either shows.

        Args:
            target_us: what they were programmed to, in uS.
            t_seconds: since programming.

        Returns:
            Means and standard deviations.
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
                f"program {self.name}",
                received=f"targets from {low:.4g} to {high:.4g} uS",
                expected=f"{self.g_min_us:g} to {self.g_max_us:g} uS",
                hint="scale the weights into the device's range",
            )


def normal(like: Tensor, generator: torch.Generator) -> Tensor:
    """Standard normal numbers.

    Args:
        like: whose shape, dtype and device.
        generator: an array's own.

    Returns:
        As many numbers.
    """
    return torch.randn(like.shape, generator=generator, dtype=like.dtype, device=generator.device).to(like.device)


def clipped_moments(mean: float, std: float) -> tuple[float, float]:
    """Mean and standard deviation of a normal number that is cut off below zero.

    Args:
        mean: before the cut.
        std: before the cut.

    Returns:
        Both after it.
    """
    if std == 0:
        return max(mean, 0.0), 0.0
    above = 0.5 * math.erfc(-mean / std / math.sqrt(2))
    height = math.exp(-((mean / std) ** 2) / 2) / math.sqrt(2 * math.pi)
    first = mean * above + std * height
    second = (mean**2 + std**2) * above + mean * std * height
    return first, math.sqrt(max(second - first**2, 0.0))

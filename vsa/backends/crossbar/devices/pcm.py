"""Phase-change memory: the published statistical model of mushroom cells, and the variant of the factorizer's chip."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from .base import DEVICES, Device, Moments, clipped_moments, normal

__all__ = ["PCM", "HermesPCM"]


@DEVICES.register("pcm")
@dataclass(frozen=True)
class PCM(Device):
    """Doped Ge2Sb2Te5 mushroom cells, programmed with iterative pulses.

    With the target relative to the largest, x = g_T / g_max:

    - programming: normal, standard deviation max(-1.1731 x^2 + 1.9650 x + 0.2635, 0) uS times g_max / 25 uS, cut off
      below zero;
    - drift: g(t) = g ((t + t0) / t0)^-nu with t0 = 20 s; nu is normal with mean clip(-0.0155 ln x + 0.0244, 0.049, 0.1)
      and standard deviation clip(-0.0125 ln x - 0.0059, 0.008, 0.045), drawn once per device, not negative;
    - read noise (1/f): standard deviation g Q sqrt(ln((t + t0 + t_r) / (2 t_r))), Q = min(0.0088 / x^0.65, 0.2),
      t_r = 250 ns; t counts from the end of programming, t0 before which the devices were written.

    Valid for g_T from 0 to 25 uS and times from about a second to a year; fitted to a million devices of a 90 nm chip.
    Not modelled: temperature, dependence on earlier pulses, correlation of the 1/f noise between reads (every read
    draws anew).

    Args:
        program_scale: factor on the programming noise.
        read_scale: factor on the read noise.
        drift_scale: factor on the drift exponents.

    Reference:
        Nandakumar et al. 2019, "Phase-change memory models for deep learning training and inference" (ICECS); Joshi et
        al. 2020, "Accurate deep neural network inference using computational phase-change memory" (Nature
        Communications); constants as in the documentation of aihwkit's PCMLikeNoiseModel.
    """

    program_scale: float = 1.0
    read_scale: float = 1.0
    drift_scale: float = 1.0
    name: ClassVar[str] = "pcm"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_not_negative("program_scale", "read_scale", "drift_scale")

    def program(self, target_us: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        self.check_target(target_us)
        x = target_us / self.g_max_us
        scale = self.program_scale * self.g_max_us / FITTED_G_MAX_US
        g_us = (target_us + scale * program_std_us(x) * normal(target_us, generator)).clamp_min(0)
        mean, std = drift_moments(x)
        nu = (mean + std * normal(target_us, generator)).clamp_min(0) * self.drift_scale
        return {"g_us": g_us, "nu": nu, "q": noise_factor(x) * self.read_scale}

    def drift(self, state: Mapping[str, Tensor], t_seconds: float) -> Tensor:
        return state["g_us"] * torch.exp(-state["nu"] * math.log((t_seconds + T0_SECONDS) / T0_SECONDS))

    def read_std(self, state: Mapping[str, Tensor], g_us: Tensor, t_seconds: float) -> Tensor | None:
        growth = math.log((t_seconds + T0_SECONDS + T_READ_SECONDS) / (2 * T_READ_SECONDS))
        return g_us * state["q"] * math.sqrt(growth) if self.read_scale else None

    def moments(self, target_us: float, t_seconds: float) -> Moments:
        x = max(target_us / self.g_max_us, 1e-7)
        spread = max(-1.1731 * x**2 + 1.9650 * x + 0.2635, 0.0) * self.program_scale * self.g_max_us / 25
        nu_mean, nu_std = clipped_moments(
            min(max(-0.0155 * math.log(x) + 0.0244, 0.049), 0.1), min(max(-0.0125 * math.log(x) - 0.0059, 0.008), 0.045)
        )
        decades = math.log((t_seconds + 20) / 20) * self.drift_scale
        read = target_us * min(0.0088 / x**0.65, 0.2) * math.sqrt(math.log((t_seconds + 20 + 250e-9) / 500e-9))
        return Moments(
            *clipped_moments(target_us, spread), -nu_mean * decades, nu_std * decades, read * self.read_scale
        )


T0_SECONDS = 20.0
FITTED_G_MAX_US = 25.0  # of the devices that the model was fitted to
T_READ_SECONDS = 250e-9


def program_std_us(x: Tensor) -> Tensor:
    """Standard deviation of programming, in uS, at the relative target x of a device of 25 uS."""
    return (-1.1731 * x.square() + 1.9650 * x + 0.2635).clamp_min(0)


def drift_moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of the drift exponent at the relative target x."""
    log = x.clamp_min(1e-7).log()
    return (-0.0155 * log + 0.0244).clamp(0.049, 0.1), (-0.0125 * log - 0.0059).clamp(0.008, 0.045)


def noise_factor(x: Tensor) -> Tensor:
    """Q, the relative amplitude of the read noise at the relative target x."""
    return (0.0088 / x.clamp_min(1e-7).pow(0.65)).clamp_max(0.2)


@DEVICES.register("hermes_pcm")
@dataclass(frozen=True)
class HermesPCM(Device):
    """Devices of the two-chip in-memory factorizer: a target of 5 uS, and devices left in RESET for zero.

    Programming is normal with a standard deviation of 1.16 uS, a read with 0.40 uS, the drift exponent is 0.0429 for
    all devices (t0 = 20 s, as in the model of :class:`PCM`). Devices at zero stay in RESET: no noise. Valid for bipolar
    weights; targets between are interpolated linearly, which the publication does not cover.

    Args:
        program_std_us: of programming, in uS, at the largest target.
        read_std_us: of a read, in uS, at the largest target.
        drift_nu: drift exponent.

    Reference:
        Langenegger et al. 2023, "In-memory factorization of holographic perceptual representations" (Nature
        Nanotechnology).
    """

    g_max_us: float = 5.0
    program_std_us: float = 1.16
    read_std_us: float = 0.40
    drift_nu: float = 0.0429
    name: ClassVar[str] = "hermes_pcm"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_not_negative("program_std_us", "read_std_us", "drift_nu")

    def program(self, target_us: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        self.check_target(target_us)
        share = target_us / self.g_max_us
        noise = self.program_std_us * share * normal(target_us, generator)
        return {"g_us": (target_us + noise).clamp_min(0), "share": share}

    def drift(self, state: Mapping[str, Tensor], t_seconds: float) -> Tensor:
        return state["g_us"] * ((t_seconds + T0_SECONDS) / T0_SECONDS) ** -self.drift_nu

    def read_std(self, state: Mapping[str, Tensor], g_us: Tensor, t_seconds: float) -> Tensor | None:
        return self.read_std_us * state["share"] if self.read_std_us else None

    def moments(self, target_us: float, t_seconds: float) -> Moments:
        share = target_us / self.g_max_us
        fallen = -self.drift_nu * math.log((t_seconds + 20) / 20)
        return Moments(*clipped_moments(target_us, self.program_std_us * share), fallen, 0.0, self.read_std_us * share)

"""Backends named after chip and paper. Each overrides defaults only, and says what it stands for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .. import BACKENDS
from .backend import Crossbar
from .cost import HERMES_CORE, CostModel
from .devices import Device

__all__ = ["CrossbarGaussian", "CrossbarHermes", "CrossbarIdeal", "CrossbarPCM", "CrossbarReRAM"]


@BACKENDS.register("crossbar_ideal")
@dataclass(frozen=True)
class CrossbarIdeal(Crossbar):
    """Ideal devices, no converters: equal to the digital backend up to rounding. To switch single effects on."""

    name = "crossbar_ideal"


@BACKENDS.register("crossbar_gaussian")
@dataclass(frozen=True)
class CrossbarGaussian(Crossbar):
    """Normal noise at programming and at every read, without converters: the textbook array."""

    device: Device | Mapping[str, Any] | str = "gaussian"
    name = "crossbar_gaussian"


@BACKENDS.register("crossbar_pcm")
@dataclass(frozen=True)
class CrossbarPCM(Crossbar):
    """Phase-change memory with the standard periphery of inference studies.

    Pairs of PCM devices, one scale per column, tiles of 512 inputs, 8-bit converters, output noise 0.04, output bound
    10 with bound management, wire segments of 0.35 ohm, one drift factor per tile.

    Reference:
        Joshi et al. 2020 (Nature Communications) for the devices; the periphery follows the defaults of aihwkit's
        inference presets, as its documentation gives them.
    """

    device: Device | Mapping[str, Any] | str = "pcm"
    scaling: str = "column"
    tile_rows: int | None = 512
    tile_columns: int | None = 512
    dac_bits: int | None = 8
    adc_bits: int | None = 8
    adc_range: float | str = 10.0
    bound_management: bool = True
    output_noise: float = 0.04
    wire_ohm: float = 0.35
    compensation: str = "global"
    cost_model: CostModel | None = field(default=HERMES_CORE, repr=False)
    name = "crossbar_pcm"


@BACKENDS.register("crossbar_hermes")
@dataclass(frozen=True)
class CrossbarHermes(Crossbar):
    """The two-chip in-memory factorizer: bipolar codebooks at 5 uS on 256 x 256 cores.

    Similarity and superposition have cores of their own, as on the two chips. 8-bit converters.

    Reference:
        Langenegger et al. 2023 (Nature Nanotechnology); Khaddam-Aljameh et al. 2022 (IEEE JSSC) for the core.
    """

    device: Device | Mapping[str, Any] | str = "hermes_pcm"
    tile_rows: int | None = 256
    tile_columns: int | None = 256
    share_devices: bool = False
    dac_bits: int | None = 8
    adc_bits: int | None = 8
    adc_range: float | str = "per_input"
    compensation: str = "global"
    cost_model: CostModel | None = field(default=HERMES_CORE, repr=False)
    name = "crossbar_hermes"


@BACKENDS.register("crossbar_reram")
@dataclass(frozen=True)
class CrossbarReRAM(Crossbar):
    """Resistive memory of 1 to 40 uS after relaxation, 256 x 256 cores, 4-bit inputs and 8-bit outputs.

    Costs are not reported: the publication gives no energy of a core by itself.

    Reference:
        Wan et al. 2022 (Nature).
    """

    device: Device | Mapping[str, Any] | str = "reram"
    tile_rows: int | None = 256
    tile_columns: int | None = 256
    dac_bits: int | None = 4
    adc_bits: int | None = 8
    adc_range: float | str = "per_input"
    name = "crossbar_reram"

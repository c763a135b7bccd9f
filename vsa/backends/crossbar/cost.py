"""What reads and programming cost on published hardware, beside a digital processor.

Counted: matrix-vector products of whole arrays with their converters, and programming pulses. Not modelled: moving data
between chips and memories, digital accumulation of tiles and slices, idle power, cooling.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...validation import check_quantity

__all__ = ["DIGITAL_JOULES_PER_MAC", "HERMES_CORE", "CostModel"]


@dataclass(frozen=True)
class CostModel:
    """A chip's figures.

    Args:
        name: of the chip.
        rows: inputs of one array.
        columns: outputs of one array.
        read_joules: energy of one product of a whole array, converters included.
        read_seconds: duration of one.
        area_mm2: of one array with its periphery.
        pulse_joules: energy of one programming pulse of one device.
        pulse_seconds: its duration; devices of a row are programmed together.
        source: of the figures.
    """

    name: str
    rows: int
    columns: int
    read_joules: float
    read_seconds: float
    area_mm2: float
    pulse_joules: float
    pulse_seconds: float
    source: str

    def __post_init__(self) -> None:
        for field in ("rows", "columns", "read_joules", "read_seconds", "area_mm2", "pulse_joules", "pulse_seconds"):
            check_quantity(f"cost model {self.name}", field, getattr(self, field), positive="pulse" not in field)


HERMES_CORE = CostModel(
    name="HERMES core",
    rows=256,
    columns=256,
    read_joules=2 * 256 * 256 / 10.5e12,  # 10.5 TOPS/W
    read_seconds=2 * 256 * 256 / 1.008e12,  # 1.008 TOPS
    area_mm2=1.008 / 1.59,  # 1.59 TOPS/mm2
    pulse_joules=20e-12,  # order of magnitude: 100 uA at 2 V for 100 ns
    pulse_seconds=1e-6,
    source="Khaddam-Aljameh et al. 2022, HERMES core (IEEE JSSC 57): 10.5 TOPS/W and 1.59 TOPS/mm2 as its abstract has "
    "them; 1.008 TOPS (130 ns per product) without the publication at hand",
)

# A multiply-accumulate of 8-bit integers with its share of memory traffic: 402 uJ for the factorizer's search at
# D = M = 512 against 33 uJ on the chip. Reference: Langenegger et al. 2023 (energy per query, digital against analog);
# the ratio, 12, is applied to the HERMES core's energy per multiply-accumulate.
DIGITAL_JOULES_PER_MAC = 402 / 33 * HERMES_CORE.read_joules / (256 * 256)

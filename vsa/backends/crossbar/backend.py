"""The backend: codebooks on simulated arrays, read forwards for similarity and backwards for superposition."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ...errors import DtypeError, SettingsError, ShapeError, UnknownNameError, VSAError
from ...seeding import child_seed
from ...validation import LARGEST, check_number, describe
from .. import BACKENDS
from ..base import Backend, Kind, StoredMatrix
from ..device import Cost, DeviceHandle, check_entries
from .arrays import Array
from .conductance import MAPPINGS, SCALINGS
from .cost import DIGITAL_JOULES_PER_MAC, CostModel
from .devices import DEVICES, Device
from .state import check

__all__ = ["Crossbar", "CrossbarHandle", "CrossbarMatrix"]

COMPENSATIONS = ("none", "global", "column")
_CHOICES = {"mapping": MAPPINGS, "scaling": SCALINGS, "compensation": COMPENSATIONS}
# Counts: from where to where, and whether there may be none. Weights of slices are exact in float64: 52 bits in all.
_COUNTS = {
    "slices": (1, 52, False),
    "averages": (1, 10**15, False),
    "verify_rounds": (0, 1000, False),
    "slice_bits": (1, 24, True),
    "tile_rows": (1, 2**31 - 1, True),
    "tile_columns": (1, 2**31 - 1, True),
    "dac_bits": (2, 24, True),
    "adc_bits": (2, 24, True),
}
_SLICED_BITS = 52
_NOT_NEGATIVE = (
    "input_noise",
    "output_noise",
    "adc_gain_std",
    "adc_offset_std",
    "wire_ohm",
    "stuck_share",
    "dead_share",
    "verify_tolerance_us",
    "age_seconds",
)


@BACKENDS.register("crossbar")
@dataclass(frozen=True)
class Crossbar(Backend):
    """Simulated analog arrays. Every value is off or ideal unless a preset or you say so.

    Programming noise, drift exponents, faults and converter errors are drawn once, at ``store``, from the array's own
    generator; read noise is drawn at every read, also in evaluation. Every array has errors of its own, unless
    ``store`` is given the same seed twice. An array without read, input and output noise answers every question alike.

    Args:
        device: a name (``"pcm"``), a name with options of the device (``{"name": "pcm", "read_scale": 0.5}``), or a
            :class:`~vsa.backends.crossbar.devices.Device`.
        mapping: "differential": a pair of devices per weight; "offset": one device, zero in the middle of its range.
        scaling: what gets the whole range of conductance: the largest weight of the "array", of each "tile" of inputs,
            or of each "column" (an atom).
        slices: arrays that share a weight, the most significant digit first.
        slice_bits: of a slice, sign apart; None: analog weights (one slice).
        tile_rows: inputs of an array at most; None: as many as there are. Blocks of block codes never share a tile.
        tile_columns: outputs of an array at most, which matters for reads backwards.
        share_devices: superposition is read backwards through the similarity's devices; else from a second array.
        dac_bits: resolution of inputs, sign included; None: exact.
        adc_bits: resolution of each tile's outputs; None: exact, and tiles are added before anything is converted.
        input_range: what the largest input stands for; None: each vector's own largest entry.
        adc_range: of the outputs, in units of one device at its whole range under the largest input; "full": what the
            strongest output could reach; "per_input": what each vector's strongest output does reach.
        bound_management: where outputs exceed the range, read again with the input at a half, a quarter, ... (at
            most ten times): each time with new noise and for its price.
        input_noise: standard deviation at each input, relative to the largest input.
        output_noise: standard deviation at each output, in the units of ``adc_range``.
        averages: reads that are averaged; noise falls with the root, energy and time grow.
        adc_gain_std: relative spread of the converters' gains.
        adc_offset_std: spread of their offsets, relative to their range.
        wire_ohm: resistance of an output wire between neighbouring devices, in ohms.
        stuck_share: share of devices stuck at the largest conductance.
        dead_share: share of devices without conductance.
        verify_rounds: how often devices are read after programming, and written again where they are off.
        verify_tolerance_us: by how much they may be off, in uS.
        compensation: of drift: "none", "global" (one factor per tile) or "column" (one per output).
        age_seconds: time between programming and the first read, in seconds.
        cost_model: figures of a chip; None: costs are not reported.
    """

    device: Device | Mapping[str, Any] | str = "ideal"
    mapping: str = "differential"
    scaling: str = "array"
    slices: int = 1
    slice_bits: int | None = None
    tile_rows: int | None = None
    tile_columns: int | None = None
    share_devices: bool = True
    dac_bits: int | None = None
    adc_bits: int | None = None
    input_range: float | None = None
    adc_range: float | str = "full"
    bound_management: bool = False
    input_noise: float = 0.0
    output_noise: float = 0.0
    averages: int = 1
    adc_gain_std: float = 0.0
    adc_offset_std: float = 0.0
    wire_ohm: float = 0.0
    stuck_share: float = 0.0
    dead_share: float = 0.0
    verify_rounds: int = 0
    verify_tolerance_us: float = 1.0
    compensation: str = "none"
    age_seconds: float = 1.0
    cost_model: CostModel | None = field(default=None, repr=False)
    name = "crossbar"

    def __post_init__(self) -> None:
        object.__setattr__(self, "device", self.cell)
        for name, known in _CHOICES.items():
            if getattr(self, name) not in known:
                raise UnknownNameError(f"{self.name} {name}", name=str(getattr(self, name)), known=known, kind=name)
        for name, (least, most, optional) in _COUNTS.items():
            value = getattr(self, name)
            if not (value is None and optional) and not (type(value) is int and least <= value <= most):
                wanted = f"an integer from {least} to {most}{', or null' if optional else ''}"
                raise SettingsError(f"{self.name} {name}", received=_shown(value), expected=wanted)
        for name in _NOT_NEGATIVE:
            value = getattr(self, name)
            if not _within(value, 0.0):
                wanted = f"a number, not negative, up to {LARGEST:g}"
                raise SettingsError(f"{self.name} {name}", received=_shown(value), expected=wanted)
        if self.stuck_share + self.dead_share > 1:
            raise SettingsError(f"{self.name} stuck_share and dead_share", received="more than all devices")
        if self.slices > 1 and self.slice_bits is None:
            raise SettingsError(
                f"{self.name} slices", received=f"{self.slices} slices without slice_bits", expected="slice_bits=..."
            )
        if self.slices * (self.slice_bits or 1) > _SLICED_BITS:
            raise SettingsError(
                f"{self.name} slices",
                received=f"{self.slices} slices of {self.slice_bits} bits",
                expected=f"at most {_SLICED_BITS} bits in all",
            )
        for name, fits, wanted in (
            ("adc_range", self.adc_range in ("full", "per_input") or _within(self.adc_range), "full, per_input or "),
            ("input_range", self.input_range is None or _within(self.input_range), "null or "),
        ):
            if not fits:
                wanted += f"a positive number, {1 / LARGEST:g} to {LARGEST:g}"
                raise SettingsError(f"{self.name} {name}", received=_shown(getattr(self, name)), expected=wanted)
        if not isinstance(self.cost_model, CostModel | None):
            raise SettingsError(
                f"{self.name} cost_model", received=_shown(self.cost_model), expected="a CostModel, or null"
            )

    @property
    def cell(self) -> Device:
        """The device, made where it was given by name."""
        if isinstance(self.device, Device):
            return self.device
        if not isinstance(self.device, str | Mapping):
            raise SettingsError(f"{self.name} device", received=repr(self.device), expected="a device or its name")
        made: Device = DEVICES.make(self.device, "device")
        return made

    def _store(self, atoms: Tensor, kind: Kind, block_length: int | None, seed: int) -> StoredMatrix:
        return CrossbarMatrix(self, atoms, kind, block_length, seed)


class CrossbarHandle(DeviceHandle):
    """The devices behind a stored matrix: one array, or two where superposition has devices of its own."""

    def __init__(self, backend: Crossbar, arrays: dict[str, Array]) -> None:
        self.backend, self.arrays = backend, arrays

    @property
    def t_seconds(self) -> float:
        return next(iter(self.arrays.values())).t_seconds

    def _pass(self, seconds: float) -> None:
        super()._pass(seconds)
        for array in self.arrays.values():
            array.advance(seconds)

    def reprogram(self) -> None:
        """Write all devices anew, with fresh noise."""
        for array in self.arrays.values():
            array.program()

    def calibrate(self, x: Tensor, quantile: float = 0.999) -> None:
        """Fix the converters' ranges of similarity reads to what some vectors need, instead of what the settings say.

        Args:
            x: (B, E) vectors as the array reads them, for a codebook without stack axes.
            quantile: share of magnitudes that fit into the ranges; what is larger saturates.
        """
        array = self.arrays["forward"]
        if not isinstance(x, Tensor) or not x.is_floating_point():
            raise DtypeError("calibrate", received=describe(x), expected=f"a float tensor (B, {array.inputs})")
        if x.ndim != 2 or x.shape[-1] != array.inputs or array.groups != 1 or not len(x):
            raise ShapeError(
                "calibrate",
                received=f"shape {tuple(x.shape)} for {array.groups} arrays",
                expected=f"(B, {array.inputs})",
            )
        check_number("calibrate", "quantile", quantile)
        if not 0 < quantile <= 1:
            raise VSAError("calibrate", received=f"quantile {quantile}", expected="above 0, up to 1")
        if not bool(torch.isfinite(x).all()) or not bool(x.any()):
            raise VSAError("calibrate", received="vectors of zeros, or not finite", expected="finite vectors")
        array.calibrate(x.unsqueeze(1).to(array.matrix), quantile)

    def cost(self) -> Cost | None:
        """Energy, time and area so far: programming pulses and reads, averaging included.

        A matrix takes as many cores as it has tiles; they work in parallel. A read through several slices or tiles
        costs the energy of all of them and the time of one. A tile that is read again, since its outputs were beyond
        the range, costs the energy and the time of every attempt.
        """
        model = self.backend.cost_model
        if model is None:
            return None
        energy = seconds = area = digital = 0.0
        reads = 0
        for array in self.arrays.values():
            # Both polarities share a core, as on the chip.
            tall = array.blocks * array.parts * math.ceil(array.rows / model.rows)
            tiles = tall * math.ceil(array.outputs / model.columns) * len(array.shares) * array.groups
            per_read = tiles / array.groups * self.backend.averages
            energy += (array.reads + array.repeats) * per_read * model.read_joules + array.pulses * model.pulse_joules
            rows_written = array.pulses / max(array.outputs, 1)
            rounds = (array.reads + array.rounds) * self.backend.averages
            seconds += rounds * model.read_seconds + rows_written * model.pulse_seconds
            area += tiles * model.area_mm2
            reads += array.reads
            digital += array.reads * array.inputs * array.outputs * DIGITAL_JOULES_PER_MAC
        return Cost(energy_joules=energy, latency_seconds=seconds, area_mm2=area, reads=reads, digital_joules=digital)

    def state_dict(self) -> dict[str, Tensor]:
        parts = {place: array.state_dict() for place, array in self.arrays.items()}
        return {f"{place}.{name}": value for place, part in parts.items() for name, value in part.items()}

    def check_state(self, state: Mapping[str, Tensor]) -> None:
        check_entries(state)
        for place, array in self.arrays.items():
            check(place, array, _part(state, place))
        foreign = [name for name in state if name.partition(".")[0] not in self.arrays]
        if foreign:
            raise VSAError(
                "load_state_dict",
                received=f"an entry {min(foreign)}",
                expected=f"those of {' and '.join(self.arrays)}",
                hint="load it into the backend that it was saved from",
            )

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        self.check_state(state)  # all of it, before anything changes
        for place, array in self.arrays.items():
            array.load_state_dict(_part(state, place))


def _part(state: Mapping[str, Tensor], place: str) -> dict[str, Tensor]:
    return {name[len(place) + 1 :]: value for name, value in state.items() if name.startswith(f"{place}.")}


class CrossbarMatrix(StoredMatrix):
    """Atoms as conductances. Similarity is a read forwards, superposition one backwards."""

    def __init__(self, backend: Crossbar, atoms: Tensor, kind: Kind, block_length: int | None, seed: int) -> None:
        weights = _as_weights(atoms, kind, block_length)
        stack, (count, width) = tuple(weights.shape[:-2]), weights.shape[-2:]
        flat = weights.reshape(-1, count, width)

        def generator(name: str) -> torch.Generator:
            return torch.Generator(device=flat.device).manual_seed(child_seed(seed, "array", name))

        arrays = {"forward": Array(flat.mT, block_length, backend, generator("forward"))}
        if not backend.share_devices:
            arrays["backward"] = Array(flat, None, backend, generator("backward"))
        super().__init__(
            stack=stack,
            count=count,
            width=width,
            block_length=block_length,
            kind=kind,
            device=weights.device,
            dtype=weights.dtype if kind == "dense" and weights.dtype == atoms.dtype else None,
            handle=CrossbarHandle(backend, arrays),
        )
        self._arrays, self._dtype = arrays, weights.dtype

    def _matvec(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        return self._answer(self._arrays["forward"].read(self._question(x), generator), x)

    def _rmatvec(self, weights: Tensor, generator: torch.Generator | None) -> Tensor:
        backward = self._arrays.get("backward")
        asked = self._question(weights)
        if backward is None:
            found = self._arrays["forward"].read_back(asked, generator)
        else:
            found = backward.read(asked, generator)
        return self._answer(found, weights)

    def _block_matvec(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        return self._answer(self._arrays["forward"].read(self._question(x), generator, by_block=True), x)

    def _question(self, x: Tensor) -> Tensor:
        return x.detach().to(self._dtype)

    @staticmethod
    def _answer(found: Tensor, x: Tensor) -> Tensor:
        return found.to(x.dtype) if x.is_floating_point() else found


def _as_weights(atoms: Tensor, kind: Kind, block_length: int | None) -> Tensor:
    """(*stack, N, E) float."""
    if kind == "onehot_blocks" and block_length is not None:
        return torch.nn.functional.one_hot(atoms, block_length).flatten(-2).float()
    weights = atoms.detach()
    # Half precision has no room for conductances in siemens: the array computes in float32 and answers as asked.
    return weights if weights.dtype in (torch.float32, torch.float64) else weights.float()


def _shown(value: Any) -> str:
    return repr(value) if len(repr(value)) < 40 else f"a longer {type(value).__name__}"


def _within(value: Any, least: float = 1 / LARGEST) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= LARGEST

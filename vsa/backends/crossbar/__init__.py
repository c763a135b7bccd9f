"""Simulated analog arrays as a backend. See the README in this folder: picture, units, how to add a device."""

from .backend import Crossbar, CrossbarHandle
from .cost import DIGITAL_JOULES_PER_MAC, HERMES_CORE, CostModel
from .devices import DEVICES, Device, Moments, clipped_moments
from .presets import CrossbarGaussian, CrossbarHermes, CrossbarIdeal, CrossbarPCM, CrossbarReRAM

__all__ = [
    "DEVICES",
    "DIGITAL_JOULES_PER_MAC",
    "HERMES_CORE",
    "CostModel",
    "Crossbar",
    "CrossbarGaussian",
    "CrossbarHandle",
    "CrossbarHermes",
    "CrossbarIdeal",
    "CrossbarPCM",
    "CrossbarReRAM",
    "Device",
    "Moments",
    "clipped_moments",
]

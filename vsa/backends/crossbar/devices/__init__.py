"""Memory devices, one file each; ``DEVICES.get("pcm")`` gives the class."""

from .base import DEVICES, Device, Moments, clipped_moments

__all__ = ["DEVICES", "Device", "Moments", "clipped_moments"]

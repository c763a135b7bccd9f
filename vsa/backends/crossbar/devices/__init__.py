"""Memory devices, one file each; ``DEVICES.get("pcm")`` gives the class."""

from .base import DEVICES, Device

__all__ = ["DEVICES", "Device"]

"""Networks of front-ends: of one glimpse, of a whole panel, and of a panel's layout."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vsa.validation import check_count

from .glimpses import SIDE

__all__ = ["FEATURES", "GlimpseNet", "LayoutNet", "PanelNet"]

FEATURES = 128  # that a glimpse is described by


def _step(inputs: int, outputs: int, side: int = 3, stride: int = 2) -> nn.Sequential:
    """A convolution, normalised by what it found in this picture alone: a batch may be of one layout or of several."""
    convolution = nn.Conv2d(inputs, outputs, side, stride, side // 2)
    return nn.Sequential(convolution, nn.GroupNorm(1, outputs), nn.ReLU())


class GlimpseNet(nn.Module):
    """Three convolutions and a hidden layer.

    Args:
        width: channels of the first convolution; each of the next has twice as many.
    """

    def __init__(self, width: int) -> None:
        check_count("GlimpseNet", "width", width)
        super().__init__()
        self.body = nn.Sequential(_step(1, width, 5), _step(width, 2 * width), _step(2 * width, 4 * width))
        self.hidden = nn.Linear(4 * width * (SIDE // 8) ** 2 + 1, FEATURES)

    def forward(self, glimpses: Tensor, frames: Tensor) -> Tensor:
        """Features of glimpses.

        Args:
            glimpses: (N, 1, 40, 40), ink.
            frames: (N,), 1 where another component lies within the slot, else 0.

        Returns:
            (N, 128).
        """
        seen = self.body(glimpses.contiguous(memory_format=torch.channels_last)).flatten(1)
        return self.hidden(torch.cat((seen, frames.unsqueeze(1)), 1)).relu()


class PanelNet(nn.Module):
    """An economical network of a whole panel: six convolutions, then one linear layer.

    Args:
        outputs: length of the vector.
        width: channels of the first convolution.
    """

    def __init__(self, outputs: int, width: int) -> None:
        check_count("PanelNet", "width", width)
        super().__init__()
        self.body = nn.Sequential(
            _step(1, width, 5),
            _step(width, 2 * width),
            _step(2 * width, 4 * width),
            _step(4 * width, 4 * width, stride=1),
            _step(4 * width, 4 * width),
            _step(4 * width, 3 * width),
        )
        self.last = nn.Linear(3 * width * 25, outputs)

    def forward(self, panels: Tensor) -> Tensor:
        """A vector of each panel.

        Args:
            panels: (N, 1, 160, 160), ink.

        Returns:
            (N, D).
        """
        return self.last(self.body(panels.contiguous(memory_format=torch.channels_last)).flatten(1))


class LayoutNet(nn.Module):
    """Tells the layout of a puzzle from all of its panels, which share one.

    Args:
        layouts: how many there are.
    """

    def __init__(self, layouts: int) -> None:
        super().__init__()
        self.body = nn.Sequential(_step(1, 8, 5), _step(8, 16), _step(16, 32))
        self.last = nn.Linear(32 * (SIDE // 8) ** 2, layouts)

    def forward(self, panels: Tensor) -> Tensor:
        """Log-probabilities of the layouts.

        Args:
            panels: (B, P, 40, 40), ink.

        Returns:
            (B, N).
        """
        seen = self.body(panels.flatten(0, 1).unsqueeze(1)).flatten(1)
        return self.last(seen).unflatten(0, panels.shape[:2]).mean(1).log_softmax(-1)

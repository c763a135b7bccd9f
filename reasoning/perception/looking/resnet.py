"""A residual network of 18 layers for panels in grey, as the published front-end has it.

Reference: He, Zhang, Ren, Sun, "Deep residual learning for image recognition", CVPR 2016 (Table 1, 18 layers).
"""

from __future__ import annotations

from torch import Tensor, nn

__all__ = ["ResNet18"]

_STAGES = ((64, 1), (128, 2), (256, 2), (512, 2))  # channels, stride of the first block


class _Block(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs))
        self.second = nn.Sequential(nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs))
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        return (self.second(self.first(x).relu()) + self.shortcut(x)).relu()


class ResNet18(nn.Module):
    """ResNet-18 with one input channel.

    Args:
        outputs: length of the vector.
    """

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(1, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1)
        )
        blocks: list[nn.Module] = []
        inputs = 64
        for channels, stride in _STAGES:
            blocks += [_Block(inputs, channels, stride), _Block(channels, channels, 1)]
            inputs = channels
        self.blocks = nn.Sequential(*blocks)
        self.last = nn.Linear(inputs, outputs)

    def forward(self, panels: Tensor) -> Tensor:
        """A vector of each panel.

        Args:
            panels: (N, 1, 160, 160), ink.

        Returns:
            (N, D).
        """
        return self.last(self.blocks(self.stem(panels)).mean((-2, -1)))

"""The built-in small network: five convolutions for 64 px images, trained by `shapebias train` in minutes."""

import torch
from torch import Tensor, nn

from shapebias.precompute.models.own.blocks import convolution_block


class SmallCNN(nn.Module):
    """A network from images, float [B, 3, 64, 64], normalised, to class scores [B, classes].

    It has about 260,000 weights (1.04 MB). Each of `conv1` to `conv5` is convolution, batch norm and ReLU; their
    outputs have 24, 48, 80, 96 and 160 units on maps of 32, 16, 8, 8 and 4 px. The first kernel is 7 px wide, so that
    its filters can be looked at.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.conv1 = convolution_block(3, 24, 7, stride=2)
        self.conv2 = convolution_block(24, 48, 3)
        self.conv3 = convolution_block(48, 80, 3)
        self.conv4 = convolution_block(80, 96, 3)
        self.conv5 = convolution_block(96, 160, 3)
        self.pool = nn.MaxPool2d(2)
        self.classifier = nn.Linear(160, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return class scores [B, classes]; images of at least 16 x 16 px work, 64 x 64 px is what it is trained on."""
        x = self.conv2(self.pool(self.conv1(images)))
        x = self.conv4(self.conv3(self.pool(x)))
        x = self.conv5(self.pool(x))
        scores: Tensor = self.classifier(torch.mean(x, (2, 3)))
        return scores

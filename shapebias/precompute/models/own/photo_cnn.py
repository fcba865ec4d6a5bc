"""The network for small photos: six convolutions for 32 px images, with maps of at least 8 x 8 positions."""

import torch
from torch import Tensor, nn

from shapebias.precompute.models.own.blocks import convolution_block


class PhotoCNN(nn.Module):
    """Float [B, 3, 32, 32], normalised, to class scores [B, classes]; about 180,000 weights (0.7 MB).

    `conv1` to `conv6` are convolution, batch norm and ReLU; their outputs have 16, 32, 32, 64, 128 and 64 units on
    maps of 32, 16, 16, 16, 8 and 8 px. `conv3`, and `conv5` with `conv6`, add to what they are given (He et al. 2016).
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.conv1 = convolution_block(3, 16, 5)
        self.conv2 = convolution_block(16, 32, 3)
        self.conv3 = convolution_block(32, 32, 3)
        self.conv4 = convolution_block(32, 64, 3)
        self.conv5 = convolution_block(64, 128, 3)
        self.conv6 = convolution_block(128, 64, 3)
        self.pool = nn.MaxPool2d(2)
        self.classifier = nn.Linear(64, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return class scores; any input of at least 4 px works, 32 px is what it is trained on."""
        x = self.conv2(self.pool(self.conv1(images)))
        x = self.pool(self.conv4(x + self.conv3(x)))
        x = x + self.conv6(self.conv5(x))
        scores: Tensor = self.classifier(torch.mean(x, (2, 3)))
        return scores

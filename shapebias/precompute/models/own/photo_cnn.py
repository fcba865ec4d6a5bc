"""The network for small photos: eight convolutions for 32 px images, with maps of at least 8 x 8 positions."""

import torch
from torch import Tensor, nn

from shapebias.precompute.models.own.blocks import convolution_block


class PhotoCNN(nn.Module):
    """A network from images, float [B, 3, 32, 32], normalised, to class scores [B, classes].

    It has about 410,000 weights (1.7 MB). Each of `conv1` to `conv8` is convolution, batch norm and ReLU; their outputs
    have 16, 32, 32, 32, 64, 128, 128 and 128 units on maps of 32, 32, 16, 16, 16, 8, 8 and 8 px. What `conv3` and
    `conv4` make together is added to their input, and so is that of `conv7` and `conv8` (He et al. 2016).
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.conv1 = convolution_block(3, 16, 3)
        self.conv2 = convolution_block(16, 32, 3)
        self.conv3 = convolution_block(32, 32, 3)
        self.conv4 = convolution_block(32, 32, 3)
        self.conv5 = convolution_block(32, 64, 3)
        self.conv6 = convolution_block(64, 128, 3)
        self.conv7 = convolution_block(128, 128, 3)
        self.conv8 = convolution_block(128, 128, 3)
        self.pool = nn.MaxPool2d(2)
        self.classifier = nn.Linear(128, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return class scores [B, classes]; images of at least 4 x 4 px work, 32 x 32 px is what it is trained on."""
        x = self.pool(self.conv2(self.conv1(images)))
        x = x + self.conv4(self.conv3(x))
        x = self.conv6(self.pool(self.conv5(x)))
        x = x + self.conv8(self.conv7(x))
        scores: Tensor = self.classifier(torch.mean(x, (2, 3)))
        return scores

"""The built-in small network: five convolutions for 64 px images, trained by `shapebias train` in minutes."""

import torch
from torch import Tensor, nn

SIZE = 64  # px


class SmallCNN(nn.Module):
    """Float [B, 3, 64, 64], normalised, to class scores [B, classes]; about 240,000 weights (0.95 MB).

    `conv1` to `conv5` are convolution, batch norm and ReLU; their outputs have 32, 48, 64, 96 and 128 units on maps of
    32, 16, 16, 8 and 8 px. The first kernel is 7 px wide, so that its filters can be looked at.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.conv1 = _block(3, 32, 7, stride=2)
        self.pool1 = nn.MaxPool2d(2)
        self.conv2 = _block(32, 48, 5)
        self.conv3 = _block(48, 64, 3)
        self.pool3 = nn.MaxPool2d(2)
        self.conv4 = _block(64, 96, 3)
        self.conv5 = _block(96, 128, 3)
        self.classifier = nn.Linear(128, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Class scores; any input of at least 16 px works, 64 px is what it is trained on."""
        x = self.pool1(self.conv1(images))
        x = self.pool3(self.conv3(self.conv2(x)))
        x = self.conv5(self.conv4(x))
        scores: Tensor = self.classifier(torch.mean(x, (2, 3)))
        return scores


def _block(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))

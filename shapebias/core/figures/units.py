"""Figures of units and conditions: total variation clean against noisy, accuracy under distortions, filters."""

import math
from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np

from shapebias.core.analysis.accuracy import CLEAN, accuracies
from shapebias.core.analysis.comparison import dead_units
from shapebias.core.errors import UsageError
from shapebias.core.figures.output import MODELS
from shapebias.core.store.reader import Store
from shapebias.core.text import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray


def variation_figure(
    store: Store, models: Sequence[str] | None = None, layers: Sequence[str] | None = None, columns: int = 5
) -> "Figure":
    """Draw total variation on noisy against clean images: one panel per layer, one point per unit, and the diagonal.

    All models and layers are drawn, or those named, with at most `columns` panels side by side; dead units are left
    out, as are layers without the noise pass. It is like figure 5 of Chen, Agarwal & Nguyen 2020. Raises UsageError
    where no layer is left.
    """
    from matplotlib.figure import Figure

    models = list(store.models if models is None else models)
    every = dict.fromkeys(layer for model in models for layer in store.layers(model))
    measured = [
        layer
        for layer in (every if layers is None else layers)
        if any(_has_noise(store, model, layer) for model in models)
    ]
    if not measured:
        raise UsageError("this store has no total variation under noise: precompute it with --passes noise")
    columns = min(len(measured), columns)
    rows = math.ceil(len(measured) / columns)
    figure = Figure(figsize=(2.6 * columns, 2.6 * rows + 0.7), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.ravel()[len(measured) :]:
        axes.set_axis_off()
    for layer, axes in zip(measured, grid.ravel(), strict=False):
        _scatter(axes, store, models, layer)
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=4, frameon=False, markerscale=2)
    figure.supxlabel("Total variation, clean images", fontsize=10)
    figure.supylabel("Total variation, noisy images", fontsize=10)
    return figure


def _has_noise(store: Store, model: str, layer: str) -> bool:
    return layer in store.layers(model) and "tv_noisy" in store.metric_names(model, layer)


def _scatter(axes: "Axes", store: Store, models: Sequence[str], layer: str) -> None:
    from matplotlib.ticker import FormatStrFormatter, LogLocator, NullFormatter

    largest, least = 0.0, math.inf
    for model, (color, marker) in zip(models, cycle(MODELS), strict=False):
        if not _has_noise(store, model, layer):
            continue
        alive = ~dead_units(store, model, layer)
        clean, noisy = (store.metric(model, layer, name)[alive] for name in ("tv", "tv_noisy"))
        axes.plot(
            clean, noisy, marker, color=color, markersize=3, alpha=0.6, markeredgewidth=0, label=f" {printable(model)}"
        )
        both = np.concatenate([clean, noisy])
        both = both[both > 0]
        if len(both):
            largest, least = max(largest, float(both.max())), min(least, float(both.min()))
    axes.set_title(printable(layer, 24), fontsize=9, parse_math=False)
    axes.set_aspect("equal")
    if least < largest:
        low, high = least / 1.3, largest * 1.3
        axes.plot([low, high], [low, high], color="#888888", linewidth=0.8, zorder=0)
        axes.set(xscale="log", yscale="log", xlim=(low, high), ylim=(low, high))
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(LogLocator(subs=(1, 3)))
            axis.set_major_formatter(FormatStrFormatter("%g"))
            axis.set_minor_formatter(NullFormatter())
    axes.tick_params(labelsize=7)


def distortion_figure(store: Store, all_right: bool = False) -> "Figure":
    """Draw the accuracies of a store, clean and under distortions, attacks and on variants, with one bar per model.

    With `all_right`, they are over the images that all models get right, see `accuracies`. Raises UsageError where only
    the clean accuracy is known, or none.
    """
    rows = accuracies(store, all_right)
    conditions = list(dict.fromkeys(accuracy.condition for accuracy in rows))
    if len(conditions) < 2:
        raise UsageError("this store has no accuracy under distortions: precompute it with --passes distortions")
    fractions = {(accuracy.model, accuracy.condition): accuracy.accuracy for accuracy in rows}
    models = [model for model in store.models if any(accuracy.model == model for accuracy in rows)]
    label = "Top-1 accuracy" + (" of images that all models get right" if all_right else "")
    return bar_figure(fractions, models, conditions, label)


def bar_figure(
    fractions: Mapping[tuple[str, str], float], models: Sequence[str], conditions: Sequence[str], label: str
) -> "Figure":
    """Draw fractions as horizontal bars from 0 to 1: one group per condition, one bar per model.

    fractions:  by (model, condition); there is no bar where one is missing
    label:      what the axis says the fractions are

    A line follows the condition CLEAN, to separate clean images from the others.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 1.3 + 0.16 * len(conditions) * (len(models) + 0.6)), layout="constrained")
    axes = figure.add_subplot()
    height = 0.8 / len(models)
    for index, (model, (color, _)) in enumerate(zip(models, cycle(MODELS), strict=False)):
        values = [fractions.get((model, condition), math.nan) for condition in conditions]
        positions = np.arange(len(conditions)) + (index - (len(models) - 1) / 2) * height
        axes.barh(positions, values, height * 0.92, color=color, label=f" {printable(model)}")
    axes.set_yticks(range(len(conditions)), [printable(condition, 32) for condition in conditions], parse_math=False)
    axes.set_ylim(len(conditions) - 0.4, -0.6)
    axes.set_xlim(0, 1)
    axes.set_xlabel(label)
    if CLEAN in conditions:
        axes.axhline(conditions.index(CLEAN) + 0.5, color="#cccccc", linewidth=0.8)
    axes.grid(axis="x", color="#e5e5e5", linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(axis="y", length=0)
    figure.legend(loc="outside lower center", ncols=4, frameon=False)
    return figure


def filter_figure(store: Store, models: Sequence[str] | None = None) -> "Figure":
    """Draw the first layer's kernels as pictures, each in its own range around 0 (mid grey), one block per model.

    All models are drawn, or those named. Raises UsageError where no model has kernels that can be drawn.
    """
    from matplotlib.figure import Figure

    filters = {model: store.filters(model) for model in (store.models if models is None else models)}
    visible = {model: kernels for model, kernels in filters.items() if kernels is not None}
    if not visible:
        raise UsageError("no model in this store has a first layer of RGB kernels larger than 1 x 1")
    figure = Figure(figsize=(3.4 * len(visible), 3.9), layout="constrained")
    for axes, (model, kernels) in zip(np.ravel(figure.subplots(1, len(visible))), visible.items(), strict=True):
        opaque = tiled_filters(np.zeros_like(kernels), ground=0)[..., :1] > 0
        pixels = np.concatenate([tiled_filters(kernels), np.where(opaque, 255, 0).astype(np.uint8)], 2)
        axes.imshow(pixels, interpolation="nearest")
        axes.set_title(f"{printable(model)}: {len(kernels)} filters", fontsize=9, parse_math=False)
        axes.set_axis_off()
    return figure


def tiled_filters(kernels: "NDArray[np.float32]", columns: int | None = None, ground: int = 255) -> "NDArray[np.uint8]":
    """Return kernels float32 [units, 3, h, w] as one picture uint8 [H, W, 3], each in its own range; 0 is mid grey.

    There are `columns` kernels in a row (None: about as many as rows), with 1 px of background around each, which is
    the grey `ground`, 0 to 255.
    """
    units, _, height, width = kernels.shape
    largest = np.abs(kernels).max((1, 2, 3), keepdims=True)
    scaled = np.divide(kernels, largest, out=np.zeros_like(kernels), where=largest > 0)
    pixels = np.rint(127.5 + 127.5 * scaled).astype(np.uint8).transpose(0, 2, 3, 1)
    columns = min(columns or math.ceil(math.sqrt(units)), units)
    rows = math.ceil(units / columns)
    picture = np.full((rows * (height + 1) + 1, columns * (width + 1) + 1, 3), ground, np.uint8)
    for unit, tile in enumerate(pixels):
        y, x = divmod(unit, columns)
        top, left = y * (height + 1) + 1, x * (width + 1) + 1
        picture[top : top + height, left : left + width] = tile
    return picture

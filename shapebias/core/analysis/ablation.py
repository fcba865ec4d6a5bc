"""A summary of the ablation scores, layer by layer: which units carry shape, and which texture."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shapebias.core.errors import ShapebiasError
from shapebias.core.shape_bias.decisions import Counts, Decisions, count_decisions
from shapebias.core.store.reader import Store
from shapebias.core.text import printable

SHAPE, TEXTURE = "shape_score", "texture_score"
_MOST = 5


@dataclass(frozen=True)
class LayerAblation:
    """The ablation scores of a layer's units.

    shape, texture:  float32 [units], how many of the model's decisions by shape or texture are lost without the unit
    decisions:       the numbers of decisions of the whole model; all 0 where they are not stored. Between networks,
                     scores are compared as shares of these numbers
    """

    model: str
    layer: str
    shape: NDArray[np.float32]
    texture: NDArray[np.float32]
    decisions: Counts

    @property
    def shape_share(self) -> NDArray[np.float64]:
        """The shape scores as fractions of the model's decisions by shape, float64 [units]; 0 where it has none."""
        return self.shape.astype(np.float64) / max(self.decisions.shape, 1)

    @property
    def texture_share(self) -> NDArray[np.float64]:
        """The texture scores as fractions of the model's decisions by texture, float64 [units]; 0 where it has none."""
        return self.texture.astype(np.float64) / max(self.decisions.texture, 1)

    def most(self, scores: NDArray[np.float32], count: int = _MOST) -> list[tuple[int, int]]:
        """Return the `count` units with the largest of `scores` [units], as (unit, score), largest first; units with
        score 0 are left out.
        """
        order = np.argsort(-scores, kind="stable")[:count]
        return [(int(unit), int(scores[unit])) for unit in order if scores[unit] > 0]

    def share_without(self, *scores: NDArray[np.float32]) -> float:
        """Return the fraction of the units that are 0 in all of `scores`, [units] each."""
        return float(np.all([values == 0 for values in scores], axis=0).mean())


def layer_ablations(store: Store) -> list[LayerAblation]:
    """Return the ablation scores of every layer of every model that has some.

    They are in the order of the first model's layers. Layers with the same name in several models, such as a standard
    network and its robust twin, are next to each other. Raises StoreError.
    """
    decided = {model: _decided(store.cue_conflict(model)) for model in store.models}
    layers = [
        LayerAblation(
            model, layer, store.metric(model, layer, SHAPE), store.metric(model, layer, TEXTURE), decided[model]
        )
        for model in store.models
        for layer in store.layers(model)
        if {SHAPE, TEXTURE} <= set(store.metric_names(model, layer))
    ]
    names = list(dict.fromkeys(scores.layer for scores in layers))
    return sorted(layers, key=lambda scores: names.index(scores.layer))


def _decided(decisions: Decisions | None) -> Counts:
    return Counts(0, 0, 0) if decisions is None else count_decisions(decisions)


def ablation_records(layers: Sequence[LayerAblation]) -> list[dict[str, Any]]:
    """Return a dictionary per layer for JSON: the units with the largest scores for shape and for texture with their
    shares of the model's decisions, the sums of the scores, and the fractions of units with score 0.
    """
    return [
        {
            "model": layer.model,
            "layer": layer.layer,
            "units": len(layer.shape),
            "shape_decisions": layer.decisions.shape,
            "texture_decisions": layer.decisions.texture,
            "shape_total": int(layer.shape.sum()),
            "texture_total": int(layer.texture.sum()),
            "without_shape": layer.share_without(layer.shape),
            "without_texture": layer.share_without(layer.texture),
            "without_either": layer.share_without(layer.shape, layer.texture),
            "shape": _most_records(layer.most(layer.shape), layer.shape_share),
            "texture": _most_records(layer.most(layer.texture), layer.texture_share),
        }
        for layer in layers
    ]


def _most_records(most: list[tuple[int, int]], shares: NDArray[np.float64]) -> list[dict[str, Any]]:
    return [{"unit": unit, "score": score, "share": float(shares[unit])} for unit, score in most]


def ablation_text(layers: Sequence[LayerAblation]) -> str:
    """Return a table with one line per layer and model.

    `shape 0`, `texture 0` and `both 0` are percentages of units with such scores; `of shape` and `of texture` are the
    model's numbers of decisions. The units with the largest scores follow, as UNIT:SCORE with the score's share of
    these decisions.
    """
    scores = ("shape 0", "texture 0", "both 0", "of shape", "of texture")
    head = ("layer", "model", "units", *scores, "most for shape", "most for texture")
    rows = [head, *map(_row, layers)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    lines = []
    for row in rows:
        cells = [
            cell.rjust(width) if 2 <= column <= 7 else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _row(layer: LayerAblation) -> tuple[str, ...]:
    shape, texture = layer.shape, layer.texture
    shares = (layer.share_without(*scores) for scores in ((shape,), (texture,), (shape, texture)))
    most = (
        " ".join(f"{unit}:{score} ({share[unit]:.0%})" for unit, score in layer.most(scores))
        for scores, share in ((shape, layer.shape_share), (texture, layer.texture_share))
    )
    names = (printable(layer.layer, 40), printable(layer.model, 40))
    decided = (f"{layer.decisions.shape:,}", f"{layer.decisions.texture:,}")
    return (*names, str(len(shape)), *(f"{share:.0%}" for share in shares), *decided, *(text or "–" for text in most))


def check_ablated(store: Store, layers: Sequence[LayerAblation]) -> None:
    """Raise ShapebiasError if `layers`, those of the store with scores, is empty."""
    if not layers:
        raise ShapebiasError(
            f"{printable(str(store.path))} has no ablation scores: make it with `shapebias precompute --passes "
            "ablation --cue-conflict DIR`, or name units with --units"
        )

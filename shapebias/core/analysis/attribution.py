"""The attribution maps of a store, by image: which methods there are, what each map explains, and why maps are
missing.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from shapebias.core.analysis.by_image import ImageName, output_name
from shapebias.core.attribution.method import Value
from shapebias.core.attribution.methods import CONTROL, METHODS
from shapebias.core.pictures.tiles import Photo
from shapebias.core.store.attribution import Attribution
from shapebias.core.store.reader import Store

_FAINT = 0.1  # a map below this fraction of another map's largest value is hardly visible on one scale


@dataclass(frozen=True, kw_only=True)
class ModelMap:
    """The map of one method for one model and image.

    output:       the name of the explained class; empty where no class is explained
    probability:  the softmax probability of that class; NaN where no class is explained
    settings:     the settings of the method, by name; empty where the method was not run
    largest:      the largest |value| of a signed map; NaN for an unsigned one, which is drawn relative to its smallest
                  value
    gap:          the completeness gap (how far the map's sum is from the value that the method promises) as a fraction
                  of that value; NaN where the method promises none
    fallback:     the name of the method that was run in its place; empty for none
    problem:      why there is no heat to draw; empty where there is some
    """

    model: str
    output: str
    probability: float
    settings: Mapping[str, Value]
    largest: float
    gap: float
    fallback: str
    problem: str

    @property
    def settings_text(self) -> str:
        """The settings in one line: `steps 50, rule trapezoid`."""
        return ", ".join(f"{name} {value}" for name, value in self.settings.items())

    def faintness(self, others: Sequence["ModelMap"]) -> str:
        """Return how weak the map is beside the strongest of `others`, such as `largest value 3.1% of S's`.

        Empty where the map is well visible on one scale with that one (from 10 %), or either has no scale.
        """
        positive = [other for other in others if other.largest > 0]
        strongest = max(positive, key=lambda other: other.largest, default=self)
        share = self.largest / strongest.largest if strongest.largest > 0 else math.nan
        return f"largest value {share:.1%} of {strongest.model}'s" if 0 < share < _FAINT else ""

    @property
    def remark(self) -> str:
        """The problem on one line; without one, the method that was run instead and the gap, where there are such."""
        gap = "" if math.isnan(self.gap) else f"completeness gap {self.gap:.2%}"
        fallback = self.fallback and f"by {title_of(self.fallback)} instead"
        return self.problem or ", ".join(filter(None, (fallback, gap)))


class Attributions:
    """The attribution maps of a store's models.

    An image is identified by its path, which is the same in joined stores.
    """

    def __init__(self, store: Store) -> None:
        """Read everything but the maps. Raises StoreError."""
        self._store = store
        self._of: dict[str, Attribution] = {}
        self._rows: dict[str, dict[str, int]] = {}  # by model: the row of each image, by its path
        self._names: dict[tuple[str, int], str] = {}  # names of classes by model and output
        names: dict[str, ImageName] = {}
        for model in store.models:
            owner, label = store.owner(model)
            attribution = owner.attribution(label)
            if attribution is not None:
                self._of[model] = attribution
                images = attribution.image.tolist()
                self._rows[model] = {owner.image_name(image): row for row, image in enumerate(images)}
                for path, image in zip(self._rows[model], images, strict=True):
                    names.setdefault(path, ImageName(path, owner.class_of(image), False))
        self.images = list(names.values())  # images that have maps, each once, in the order of the stores

    @property
    def methods(self) -> list[str]:
        """The names of the methods with maps of any model: in the registry's order, then those it does not have."""
        measured = {name: None for attribution in self._of.values() for name in attribution.methods}
        return [*(name for name in METHODS if name in measured), *(name for name in measured if name not in METHODS)]

    def is_signed(self, method: str) -> bool:
        """Return whether a method's values below 0 speak against an output; False for a method without maps."""
        return any(method in one.methods and one.methods[method].signed for one in self._of.values())

    def target_rule(self, model: str) -> str:
        """Return which output of a model with maps is explained: its decision (`predicted`) or the right (`label`)."""
        return self._of[model].images.target_rule

    def has(self, image: ImageName) -> bool:
        """Return whether any model has maps of an image."""
        return not image.is_cue_conflict and any(image.path in rows for rows in self._rows.values())

    def photos(self, path: str) -> list[Photo]:
        """Return the image at a path as each model that has maps of it saw it, in the store's order of models."""
        rows = {model: rows[path] for model, rows in self._rows.items() if path in rows}
        return [Photo(model, int(self._of[model].image[row])) for model, row in rows.items()]

    def without(self, path: str) -> list[str]:
        """Return the models that have no maps of the image at a path."""
        return [model for model in self._store.models if path not in self._rows.get(model, {})]

    def map_of(self, photo: Photo, method: str) -> ModelMap:
        """Return the facts about the map of a method on one of the `photos`; `problem` says if there is none.

        Raises StoreError.
        """
        model, attribution = photo.model, self._of[photo.model]
        row = attribution.row(photo.image)
        assert row is not None
        run, target = attribution.methods.get(method), int(attribution.target[row])
        return ModelMap(
            model=model,
            output=self._output_name(model, target) if target >= 0 else "",
            probability=float(attribution.probability[row]),
            settings={} if run is None else run.settings,
            largest=attribution.scale_of(method, row) if run is not None and run.signed else math.nan,
            gap=math.nan if run is None else attribution.gap_of(method, row),
            fallback="" if run is None else run.fallback,
            problem=_problem(attribution, row, method),
        )

    def _output_name(self, model: str, output: int) -> str:
        """Return the name of the class of a model's output. It is read from the store only once."""
        if (model, output) not in self._names:
            self._names[model, output] = output_name(self._store, model, output)
        return self._names[model, output]


def _problem(attribution: Attribution, row: int, method: str) -> str:
    """Return why the map of an image, the one at `row`, has no heat to draw; empty where it has."""
    if attribution.target[row] < 0:
        return "not explained: no output is right"
    if method not in attribution.methods:
        reason = attribution.left_out.get(method)
        return "not measured" if reason is None else f"left out: {reason}"
    scale = attribution.scale_of(method, row)
    if math.isnan(scale):
        return "not measured: its values are NaN or infinite"
    return "" if scale > 0 else "no evidence: the map is constant"


def title_of(method: str) -> str:
    """Return the title of a method, or its name where this version does not know it."""
    return METHODS[method].title if method in METHODS else method


def is_control(method: str) -> bool:
    """Return whether a method is a control, whose maps do not depend on the network."""
    return method in METHODS and METHODS[method].family == CONTROL

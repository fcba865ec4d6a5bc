"""The part of docs/photo-pair.md on attribution: whether maps of robust networks say more, by a test over networks."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.pair_training import table
from shapebias.core.analysis.explainability import Explained, explained
from shapebias.core.attribution.methods import CAM, CONTROL, GRADIENT
from shapebias.core.attribution.scores import SCORES
from shapebias.core.paper.claims import ClaimVerdict
from shapebias.core.store.reader import Store
from shapebias.core.uncertainty.resampling import RESAMPLES, exchange_test, holm

METHODS = "gradient,input-x-gradient,smoothgrad:samples=10,integrated-gradients:steps=12,grad-cam,random,edges"
STEPS = 12  # of insertion and deletion: 85 of the 1,024 pixels of an image each
SCORED = ("insertion", "deletion", "insertion_max", "deletion_max")
GAINED = ("insertion_max", "deletion_max")
RANDOM = "random"  # the control whose score is that of knowing nothing

Groups = tuple[list[str], list[str]]


@dataclass(frozen=True, kw_only=True)
class Gain:
    """The gain of a method: how much better its maps are than random ones, for standard and for robust networks.

    family:  the family of the method: see `Method`
    values:  for each kind, of every network, its mean score less that of its random maps; the sign is turned where
             lower scores are better
    p:       that of a two-sided exact test, in which networks are exchanged between the kinds
    p_holm:  p, corrected over all methods and scores (Holm)
    """

    method: str
    family: str
    score: str
    values: tuple[list[float], list[float]]
    p: float
    p_holm: float

    @property
    def difference(self) -> float:
        """The mean of the robust networks' gains less that of the standard ones'."""
        return float(np.mean(self.values[1]) - np.mean(self.values[0]))

    @property
    def separation(self) -> int:
        """1 where every robust network gains more than every standard one, -1 where less, 0 where they overlap."""
        standard, robust = self.values
        return int(min(robust) > max(standard)) - int(max(robust) < min(standard))


def gains(store: Store, groups: Groups) -> list[Gain]:
    """Return the gains of all methods but the controls by each score of GAINED."""
    by_network = {(row.model, row.method): row for row in explained(store)}
    families = {row.method: row.family for row in by_network.values() if row.family != CONTROL}
    result = []
    for method, family in families.items():
        for score in GAINED:
            standard, robust = ([_gain(by_network, model, method, score) for model in models] for models in groups)
            random = np.random.default_rng(0)
            p = exchange_test(np.array(standard), np.array(robust), draws=RESAMPLES, random=random).p
            result.append(Gain(method=method, family=family, score=score, values=(standard, robust), p=p, p_holm=p))
    corrected = holm([gain.p for gain in result])
    return [replace(gain, p_holm=p) for gain, p in zip(result, corrected, strict=True)]


def _gain(by_network: dict[tuple[str, str], Explained], model: str, method: str, score: str) -> float:
    sign = 1 if SCORES[score].higher else -1
    return sign * (by_network[model, method].scores[score].mean - by_network[model, RANDOM].scores[score].mean)


def attribution_section(store: Store, groups: Groups) -> list[str]:
    """Return the lines on attribution: every method's scores, and its gain with a test over networks."""
    rows = explained(store)
    body = [
        [method, *(_cell(rows, groups, method, score) for score in SCORED)]
        for method in dict.fromkeys(row.method for row in rows)
    ]
    tested = [
        [
            f"{gain.method}, {SCORES[gain.score].title}",
            *(f"{np.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})" for values in gain.values),
            f"{gain.p:.2f}",
            f"{gain.p_holm:.2f}",
        ]
        for gain in gains(store, groups)
    ]
    return [
        "Attribution ([explainability.md](explainability.md)) of what each network decides for "
        f"{min(row.images for row in rows)} images (`--attribution {METHODS} "
        f"--attribution-steps {STEPS}`): means over images and networks, S and R; bold where every robust network lies "
        "on the same side of every standard one:",
        "",
        *table(["", *(SCORES[name].title for name in SCORED)], body),
        "`random` knows nothing of a network, and `edges` only the image. So the kinds are compared by how much better "
        "than `random` a network's maps are (of deletion: how much lower), with an exact permutation test over "
        "networks. Where `random` itself scores high, as for the robust networks' insertion, less can be gained:",
        "",
        *table(["better than random", "standard", "robust", "p", "p (Holm)"], tested),
    ]


def _cell(rows: Sequence[Explained], groups: Groups, method: str, score: str) -> str:
    standard, robust = (
        [row.scores[score].mean for row in rows if row.method == method and row.model in models] for models in groups
    )
    text = f"{np.mean(standard):.3f}, {np.mean(robust):.3f}"
    return f"**{text}**" if min(robust) > max(standard) or max(robust) < min(standard) else text


def attribution_claims(store: Store, groups: Groups) -> list[str]:
    """Return one line for each family of methods that Nourelahi et al. 2022 make a claim about.

    They found that robust networks' gradients explain better, and that their CAMs do not.
    """
    known = gains(store, groups)
    gradients, cams = ([gain for gain in known if gain.family == family] for family in (GRADIENT, CAM))
    lines = [_claim("its gradients explain it better", _better(gradients), gradients)] if gradients else []
    return lines + ([_claim("its CAMs do not explain it better", _not_better(cams), cams)] if cams else [])


def _claim(finding: str, verdict: ClaimVerdict, of_family: Sequence[Gain]) -> str:
    measured = []
    for score in GAINED:
        sides = [gain.separation for gain in of_family if gain.score == score]
        measured.append(
            f"by {SCORES[score].title} it gains more on `random` with {sides.count(1)} of {len(sides)} methods, less "
            f"with {sides.count(-1)}"
        )
    return (
        f"- Of Nourelahi et al. 2022, that {finding}: **{verdict}**. Counting where no robust network lies among the "
        f"standard ones, {'; '.join(measured)}."
    )


def _better(gains: Sequence[Gain]) -> ClaimVerdict:
    """Return the verdict on the claim that robust networks gain more with all methods and scores."""
    sides = {gain.separation for gain in gains}
    if sides == {1}:
        return ClaimVerdict.SHOWN
    if sides == {-1}:
        return ClaimVerdict.REVERSED
    return ClaimVerdict.IN_PART if 1 in sides else ClaimVerdict.NOT_SHOWN


def _not_better(gains: Sequence[Gain]) -> ClaimVerdict:
    """Return the verdict on the claim that they do not: shown where no mean is higher, reversed where all are apart."""
    if all(gain.difference <= 0 for gain in gains):
        return ClaimVerdict.SHOWN
    if all(gain.separation == 1 for gain in gains):
        return ClaimVerdict.REVERSED
    return ClaimVerdict.IN_PART if any(gain.difference <= 0 for gain in gains) else ClaimVerdict.NOT_SHOWN

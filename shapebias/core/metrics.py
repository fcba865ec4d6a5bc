"""The one registry of per-unit metrics. Table headers, help, commands, docs and reports all read it."""

from dataclasses import dataclass

_INF = float("inf")


@dataclass(frozen=True)
class Metric:
    """One number a unit has: what it is called, how it is computed, how it is read.

    `low` and `high` say in words what a small and a large value mean; `range` is the interval of possible values;
    `formula` uses a for the unit's activation maps over images n and positions p.
    """

    name: str
    title: str
    formula: str
    range: tuple[float, float]
    low: str
    high: str
    source: str

    def format(self, value: float) -> str:
        """`value` in at most 8 characters, a dash where it is undefined (NaN)."""
        if value != value:
            return "–"
        magnitude = abs(value)
        if magnitude == 0 or 0.01 <= magnitude < 100 or self.range == (0.0, 1.0):
            return f"{value:.3f}"
        if 0.0001 <= magnitude < 0.01:
            return f"{value:.4f}"
        if 100 <= magnitude < 100_000:
            return f"{value:.1f}" if magnitude < 1000 else f"{value:.0f}"
        return f"{value:.1e}"


_ALL = (
    Metric(
        "max",
        "max",
        "max of a over all n, p",
        (-_INF, _INF),
        "weak",
        "strong",
        "largest activation over the probe images",
    ),
    Metric("mean", "mean", "mean of a over all n, p", (-_INF, _INF), "quiet", "active", "first moment"),
    Metric(
        "std",
        "std",
        "sqrt(mean of (a - mean)^2 over all n, p)",
        (0.0, _INF),
        "steady",
        "varied",
        "second moment",
    ),
    Metric(
        "sparsity",
        "sparsity",
        "fraction of positions n, p with a <= 0",
        (0.0, 1.0),
        "dense: fires nearly everywhere",
        "sparse: fires rarely",
        "activation sparsity",
    ),
    Metric(
        "q995",
        "q995",
        "T with P(a > T) = 0.005 over all n, p (rank error at most 0.0005)",
        (-_INF, _INF),
        "low threshold",
        "high threshold",
        "Network Dissection's threshold (Bau et al. 2017)",
    ),
    Metric(
        "selectivity",
        "selectivity",
        "(m1 - m2) / (m1 + m2): m1 the largest class mean of the activation, m2 the mean of the other class means; "
        "0 where m1 + m2 = 0",
        (0.0, 1.0),
        "responds to every class alike",
        "responds to one class",
        "class selectivity index (Morcos et al. 2018)",
    ),
)

METRICS: dict[str, Metric] = {metric.name: metric for metric in _ALL}

"""A mean with its interval."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Interval:
    """A mean and its 95 % interval, from `low` to `high`; NaN stands for what is unknown: all three, or the ends."""

    mean: float
    low: float
    high: float

    @property
    def is_known(self) -> bool:
        """Whether the mean is known."""
        return self.mean == self.mean

    @property
    def has_ends(self) -> bool:
        """Whether the ends are known."""
        return self.low == self.low

    def to_record(self) -> dict[str, float | None]:
        """Return the fields by name, ready for JSON; None for one that is unknown."""
        values = {"mean": self.mean, "low": self.low, "high": self.high}
        return {name: None if value != value else value for name, value in values.items()}

    def __str__(self) -> str:
        if not self.is_known:
            return "–"
        half = f" ±{max(self.high - self.mean, self.mean - self.low):.3f}" if self.has_ends else ""
        return f"{self.mean:.3f}{half}"


UNKNOWN = Interval(float("nan"), float("nan"), float("nan"))

"""The strength of noise, and the names that it has in distortions and in metrics."""

import re
from dataclasses import dataclass
from typing import Self

_STRENGTH = re.compile(r"[0-9]{1,4}(\.[0-9]{1,6})?")
_DISTORTION = "noise-"


@dataclass(frozen=True)
class NoiseLevel:
    """Gaussian noise of a standard deviation `text`, a decimal number such as `0.2`, for pixels in [0, 1].

    One number has three names: itself, as the user gives it; the distortion `noise-0.2`; and what is added to the names
    of metrics under that noise, `tv_noisy@0.2` (to none for the usual noise of 0.1: `tv_noisy`).
    """

    text: str

    def __post_init__(self) -> None:
        """Raises ValueError for a text that is no such number."""
        if not _STRENGTH.fullmatch(self.text):
            raise ValueError(f"{self.text!r} is no strength of noise")

    def __str__(self) -> str:
        return self.text

    @classmethod
    def of(cls, std: float) -> Self:
        """Return the level of a standard deviation of 0.001 to 9999, to four digits."""
        return cls(f"{std:.4g}")

    @classmethod
    def of_distortion(cls, name: str) -> Self:
        """Return the level of a distortion such as `noise-0.2`. Raises ValueError for another one."""
        if not name.startswith(_DISTORTION):
            raise ValueError(f"{name!r} is no noise")
        return cls(name.removeprefix(_DISTORTION))

    @property
    def distortion(self) -> str:
        """The name of the distortion that adds this noise."""
        return f"{_DISTORTION}{self}"

    def metric(self, name: str) -> str:
        """Return what the metric `name` is called under this noise."""
        return name if self == USUAL_NOISE else f"{name}@{self}"


USUAL_NOISE = NoiseLevel("0.1")


def split_metric(name: str) -> tuple[str, NoiseLevel]:
    """Return a metric's name without noise, and the noise: `tv_noisy@0.2` gives `tv_noisy` and 0.2, `tv_noisy` itself
    and 0.1. Raises ValueError where what follows the @ is no strength."""
    base, at, strength = name.partition("@")
    return base, NoiseLevel(strength) if at else USUAL_NOISE

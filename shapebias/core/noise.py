"""Noise levels, and their names in distortions and metrics."""

import re
from dataclasses import dataclass
from typing import Self

_STRENGTH = re.compile(r"[0-9]{1,4}(\.[0-9]{1,6})?")
_DISTORTION = "noise-"


@dataclass(frozen=True)
class NoiseLevel:
    """Gaussian noise for pixels in [0, 1]; `text` is its standard deviation, a decimal number such as `0.2`.

    A level has three names: the number as the user writes it; the distortion `noise-0.2`; and the suffix of metrics
    that are measured with it, `tv_noisy@0.2` (the usual level, 0.1, has no suffix: `tv_noisy`).

    >>> level = NoiseLevel("0.2")
    >>> level.distortion, level.metric("tv_noisy"), NoiseLevel("0.1").metric("tv_noisy")
    ('noise-0.2', 'tv_noisy@0.2', 'tv_noisy')
    """

    text: str

    def __post_init__(self) -> None:
        """Raises ValueError where the text is not such a number."""
        if not _STRENGTH.fullmatch(self.text):
            raise ValueError(f"{self.text!r} is no strength of noise")

    def __str__(self) -> str:
        return self.text

    @classmethod
    def of(cls, std: float) -> Self:
        """Return the level with a standard deviation of 0.001 to 9999, rounded to four significant digits.

        Raises ValueError for most others: those that are negative or written with an exponent, such as 1e-05.
        """
        return cls(f"{std:.4g}")

    @classmethod
    def of_distortion(cls, name: str) -> Self:
        """Return the level of a distortion such as `noise-0.2`.

        Raises ValueError where it is not a noise distortion.
        """
        if not name.startswith(_DISTORTION):
            raise ValueError(f"{name!r} is no noise")
        return cls(name.removeprefix(_DISTORTION))

    @property
    def distortion(self) -> str:
        """The name of the distortion that adds this noise."""
        return f"{_DISTORTION}{self}"

    def metric(self, name: str) -> str:
        """Return the name of the metric `name` measured with this noise."""
        return name if self == USUAL_NOISE else f"{name}@{self}"


USUAL_NOISE = NoiseLevel("0.1")


def split_metric(name: str) -> tuple[str, NoiseLevel]:
    """Return a metric's name without the suffix for noise, and the noise level.

    Raises ValueError where the text after the @ is not a level.

    >>> name, level = split_metric("tv_noisy@0.2")
    >>> name, level.text
    ('tv_noisy', '0.2')
    """
    base, at, strength = name.partition("@")
    return base, NoiseLevel(strength) if at else USUAL_NOISE

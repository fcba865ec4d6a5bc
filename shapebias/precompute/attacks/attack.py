"""Settings and names of attacks: projected gradient descents (Madry et al. 2018, arXiv 1706.06083)."""

import math
from dataclasses import asdict, dataclass, field
from typing import Any

from shapebias.core.errors import UsageError
from shapebias.core.text import printable

NORMS = ("l2", "linf")
STEPS = 20  # number of steps of an attack that is named by norm and epsilon only
_STEP_RATIOS = {"l2": 7 / 6, "linf": 7 / 4}  # steps * step size / epsilon: 7 x 0.5 for 3; 7 x 2/255 for 8/255 (Madry)


@dataclass(frozen=True)
class Attack:
    """A projected gradient descent on images in [0, 1]. Raises UsageError for a value out of range.

    norm:          `l2` or `linf`
    epsilon:       the radius of the ball: Euclidean over all values of an image (l2), or for every value (linf)
    steps:         number of steps
    step_size:     length of a step, in the same norm
    random_start:  whether the descent starts at a random point of the ball rather than at the image
    """

    norm: str
    epsilon: float
    steps: int
    step_size: float
    random_start: bool = field(default=True, kw_only=True)

    def __post_init__(self) -> None:
        if self.norm not in NORMS:
            raise UsageError(f"no norm {printable(self.norm)}: {' or '.join(NORMS)}")
        if not (math.isfinite(self.epsilon) and self.epsilon >= 0):
            raise UsageError(f"epsilon must be at least 0, not {self.epsilon:g}")
        if self.steps < 1:
            raise UsageError(f"the attack needs at least 1 step, not {self.steps}")
        if not (math.isfinite(self.step_size) and self.step_size >= 0):
            raise UsageError(f"the attack's step size must be at least 0, not {self.step_size:g}")

    @classmethod
    def usual(
        cls, norm: str, size: int, epsilon: float | None = None, steps: int = 7, step_size: float | None = None
    ) -> "Attack":
        """Return the published attack for images of `size` px; arguments that are None have its values.

        l2: epsilon 3 at 224 px, 7 steps of 0.5; at other sizes the same root mean square per pixel. linf: epsilon
        4/255.
        """
        if epsilon is None:
            epsilon = 3 * size / 224 if norm == "l2" else 4 / 255
        if step_size is None:
            step_size = _STEP_RATIOS.get(norm, 1.0) * epsilon / max(steps, 1)
        return cls(norm, epsilon, steps, step_size)

    @classmethod
    def reaching(cls, norm: str, epsilon: float, steps: int) -> "Attack":
        """Return the attack whose steps reach any point of the ball from any other: 2.5 * epsilon / steps each (Madry
        et al.).
        """
        return cls(norm, epsilon, steps, 2.5 * epsilon / max(steps, 1))

    def to_attributes(self) -> dict[str, Any]:
        """Return the fields by name, ready for JSON."""
        return asdict(self)


def parse_length(text: str) -> float:
    """Return an epsilon or the length of a step, for pixels in [0, 1], from a number or a number of 255ths.

    Raises ValueError for a text of another form.

    >>> parse_length("0.5"), parse_length("51/255")
    (0.5, 0.2)
    """
    number = text.removesuffix("/255")
    return float(number) / (1 if number == text else 255)


def parse_attack(text: str) -> Attack:
    """Return the attack `NORM:EPSILON`, such as `l2:3` or `linf:4/255`, with 20 steps of 2.5 * epsilon / 20 each.

    Raises UsageError for a text of another form.

    >>> attack = parse_attack("linf:0.016")
    >>> attack.norm, attack.steps, attack.step_size
    ('linf', 20, 0.002)
    """
    norm, _, number = text.partition(":")
    try:
        epsilon = parse_length(number)
    except ValueError:
        epsilon = -1.0
    if norm not in NORMS or not 0 < epsilon < float("inf"):
        raise UsageError(f"--attack {printable(text)}: write NORM:EPSILON, such as l2:3 or linf:4/255")
    return Attack.reaching(norm, epsilon, STEPS)

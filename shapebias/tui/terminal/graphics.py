"""How pictures are drawn, and how many colours there are."""

from enum import StrEnum


class Graphics(StrEnum):
    """How pictures are drawn, the best first."""

    SIXEL = "sixel"
    KITTY = "kitty"
    ITERM2 = "iterm2"
    HALFCELL = "halfcell"
    NONE = "none"

    @property
    def painted(self) -> bool:
        """Whether pictures are painted over blank cells, not written as characters."""
        return self in (Graphics.SIXEL, Graphics.KITTY, Graphics.ITERM2)


class Colours(StrEnum):
    """How many colours characters can have."""

    TRUE = "16 million"
    INDEXED = "256"
    FEW = "16"

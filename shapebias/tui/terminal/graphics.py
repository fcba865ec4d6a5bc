"""The kinds of graphics, and numbers of colours, of terminals."""

from enum import StrEnum


class Graphics(StrEnum):
    """The ways to draw pictures, the best first."""

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
    """The numbers of colours that characters can have."""

    TRUE = "16 million"
    INDEXED = "256"
    FEW = "16"

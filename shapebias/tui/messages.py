"""Messages of widgets and screens to the explorer. They post these messages, so that none of them knows the app."""

from textual.message import Message

from shapebias.core.analysis.by_image import ImageName
from shapebias.core.pictures.tiles import UnitImage
from shapebias.core.store.reader import Unit


class GoTo(Message):
    """Asks for the panes, with the cursor on `unit`."""

    def __init__(self, unit: Unit) -> None:
        super().__init__()
        self.unit = unit


class OpenImage(Message):
    """Asks for the screen of `unit_image`, one of a unit's top images."""

    def __init__(self, unit_image: UnitImage) -> None:
        super().__init__()
        self.unit_image = unit_image


class OpenByImage(Message):
    """Asks for the screen of the units that fire on `image`, with the cursor on `unit` where it is one of them."""

    def __init__(self, image: ImageName, unit: Unit) -> None:
        super().__init__()
        self.image, self.unit = image, unit


class ColumnsChosen(Message):
    """Asks for a unit table without the metrics `hidden`; `widths` are the cells of columns that are not as usual."""

    def __init__(self, hidden: list[str], widths: dict[str, int]) -> None:
        super().__init__()
        self.hidden, self.widths = hidden, widths

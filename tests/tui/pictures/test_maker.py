"""The thread that makes pictures."""

import math
import threading
import time
from pathlib import Path

import pytest

from shapebias.core.pictures.tiles import UnitImage, View
from shapebias.core.store.opening import open_store
from shapebias.core.store.reader import Unit
from shapebias.tui.pictures.budget import first_limit
from shapebias.tui.pictures.layout import GridLayout
from shapebias.tui.pictures.maker import Picture, PictureMaker, Request
from shapebias.tui.pictures.sixel import SixelPainter

LAYOUT = GridLayout(3, 2, 8, 4, 60, (8, 16))


def request(index: int) -> Request:
    return Request(Unit("Tiny", "block3", index), View.CROP, LAYOUT, 20_000)


def test_only_the_newest_wanted_picture_is_delivered(small_store: Path) -> None:
    delivered: list[Picture] = []
    done = threading.Event()

    def ready(picture: Picture) -> None:
        delivered.append(picture)
        if picture.request == request(32):
            done.set()

    maker = PictureMaker(open_store(small_store), SixelPainter(), ready)
    for index in range(33):
        assert maker.want(request(index)) is None
    assert done.wait(20)
    maker.stop()
    assert len(delivered) <= 3, "what was out of date was dropped"
    assert delivered[-1].request == request(32)


@pytest.mark.parametrize("kind", ["unit", "image"])
def test_neighbours_are_made_ahead_and_come_from_the_cache(small_store: Path, kind: str) -> None:
    def request(number: int) -> Request:
        subject = Unit("Tiny", "block3", number) if kind == "unit" else UnitImage(Unit("Tiny", "block3", 0), number)
        return Request(subject, View.CROP, LAYOUT, first_limit(LAYOUT, subject, math.inf))

    delivered: list[Picture] = []
    maker = PictureMaker(open_store(small_store), SixelPainter(), delivered.append)
    assert maker.want(request(0), [request(1), request(2)]) is None
    deadline = time.monotonic() + 20
    while len(maker._cache) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    second = maker.want(request(1))
    maker.stop()
    assert second is not None
    assert second.request == request(1)
    assert [picture.request for picture in delivered] == [request(0)], "only what was wanted is delivered"


def test_what_is_to_be_made_ahead_may_change_as_the_pause_ends(small_store: Path) -> None:
    """The thread once died of it: then no picture came any more."""
    maker = PictureMaker(open_store(small_store), SixelPainter(), lambda picture: None)
    maker.stop()
    maker._thread.join(20)

    class Interrupted(threading.Condition):
        def wait(self, timeout: float | None = None) -> bool:
            maker._ahead, maker._wanted = [], request(5)
            return False

    maker._changed, maker._stopped, maker._ahead = Interrupted(), False, [request(1)]
    assert maker._next() == request(5)

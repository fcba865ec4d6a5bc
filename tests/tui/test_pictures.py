"""The thread that makes pictures."""

import threading
from pathlib import Path

from shapebias.core.grid import View
from shapebias.core.store import Unit, open_store
from shapebias.tui.layout import GridLayout
from shapebias.tui.pictures import Picture, PictureMaker, Request
from shapebias.tui.terminal import Graphics

LAYOUT = GridLayout(3, 2, 8, 4, 60)


def request(index: int) -> Request:
    return Request(Unit("Tiny", "block3", index), View.CROP, LAYOUT, Graphics.SIXEL)


def test_only_the_newest_wanted_picture_is_delivered(small_store: Path) -> None:
    delivered: list[Picture] = []
    done = threading.Event()

    def ready(picture: Picture) -> None:
        delivered.append(picture)
        if picture.request == request(32):
            done.set()

    maker = PictureMaker(open_store(small_store), ready)
    for index in range(33):
        assert maker.want(request(index)) is None
    assert done.wait(20)
    maker.stop()
    assert len(delivered) <= 3, "what was out of date was dropped"
    assert delivered[-1].request == request(32)


def test_neighbours_are_made_ahead_and_come_from_the_cache(small_store: Path) -> None:
    done = threading.Event()
    maker = PictureMaker(open_store(small_store), lambda _: done.set())
    assert maker.want(request(0), [request(1), request(2)]) is None
    assert done.wait(20)
    for _ in range(400):
        if maker.want(request(0)) and all(map(maker._cache.get, (request(1), request(2)))):
            break
        threading.Event().wait(0.02)
        maker.want(request(0), [request(1), request(2)])
    found = maker.want(request(1))
    maker.stop()
    assert found is not None
    assert found.request == request(1)

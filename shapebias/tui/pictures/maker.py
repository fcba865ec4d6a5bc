"""A thread that makes pictures: first the newest request, then its neighbours; older requests are dropped.

Refining a displayed picture comes last, so that the next key finds its picture made and a processor free.
"""

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from weakref import WeakSet

import numpy as np
from rich.segment import Segment

from shapebias.core.errors import ShapebiasError
from shapebias.core.pictures.tiles import BACKGROUND, Subject, View, subject_tiles
from shapebias.core.store.reader import Store
from shapebias.tui.pictures.budget import usual_bytes_of
from shapebias.tui.pictures.cells import cell_rows
from shapebias.tui.pictures.layout import GridLayout
from shapebias.tui.pictures.painter import Painter, Piece
from shapebias.tui.terminal.graphics import Colours

_CACHED = 48
_PAUSE = 0.05  # seconds without a request before pictures are made ahead
_HANDS = 2  # threads that draw and encode tiles
_PROCESSORS = os.cpu_count() or 1
_JOIN = 1.0  # seconds that its end is waited for


@dataclass(frozen=True)
class Request:
    """All that a picture depends on.

    limit:       the number of bytes that it may have; None: its tiles are cells of text, in these `colours`
    background:  the colour around tiles, RGB from 0 to 255
    """

    subject: Subject
    view: View
    layout: GridLayout
    limit: int | None = None
    background: tuple[int, int, int] = BACKGROUND
    colours: Colours = Colours.TRUE


@dataclass(frozen=True)
class Picture:
    """A finished picture: its pieces for a painter, or its `cells`, or the reason why there is none.

    `tiles` is how many it has, and `cells` the rows of cells of each.
    """

    request: Request
    tiles: int = 0
    pieces: Sequence[Piece] = ()
    cells: Sequence[list[list[Segment]]] = ()
    error: str = ""


def make_picture(store: Store, request: Request, painter: Painter | None, apply: Callable[..., Any] = map) -> Picture:
    """Read, scale and encode the tiles of a request, and return the picture; without a painter it is an image.

    `apply` is `map`, or does the same on several threads. What the store cannot give is a picture with its `error`.
    """
    layout = request.layout
    try:
        tiles = subject_tiles(store, request.subject, layout.count, layout.size, request.view, apply)
    except ShapebiasError as error:
        return Picture(request, error=str(error))
    if painter is None or request.limit is None:
        return Picture(request, len(tiles), cells=[cell_rows(tile, request.colours) for tile in tiles])
    if not tiles:
        return Picture(request)
    framed = np.full((len(tiles), *layout.frame[::-1], 3), request.background, np.uint8)
    framed[:, : layout.size, : layout.size] = [np.asarray(tile) for tile in tiles]
    return Picture(request, len(tiles), painter.encode(framed, layout, request.limit, apply))


_threads: WeakSet[threading.Thread] = WeakSet()


def join_makers() -> None:
    """Wait for the threads of all makers, which have been stopped, at most a second each.

    They must not outlive the program.
    """
    for thread in list(_threads):
        thread.join(_JOIN)


class PictureMaker:
    """A thread that makes pictures, and a cache of them.

    The thread calls `ready` with every picture that is still wanted when it is finished. Without a painter, pictures
    are images for half cells.
    """

    def __init__(self, store: Store, painter: Painter | None, ready: Callable[[Picture], None]) -> None:
        self._store, self._painter, self._ready = store, painter, ready
        self._cache: OrderedDict[Request, Picture] = OrderedDict()
        self._wanted: Request | None = None
        self._ahead: list[Request] = []
        self._changed = threading.Condition()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="pictures", daemon=True)
        self._thread.start()
        _threads.add(self._thread)

    def want(self, request: Request, ahead: Sequence[Request] = ()) -> Picture | None:
        """Return a picture if it is in the cache, else None, and make it next: it is the only one that is wanted then.

        Those `ahead` are made when there is time, the first one first; earlier ones are dropped.
        """
        with self._changed:
            picture = self._cached(request)
            self._wanted = None if picture else request
            self._ahead = [neighbour for neighbour in reversed(ahead) if neighbour not in self._cache]
            self._changed.notify()
            return picture

    def prepare(self, request: Request) -> None:
        """Make a picture that may be wanted next, in place of the others that would be made ahead."""
        with self._changed:
            if request not in self._cache:
                self._ahead = [request]
                self._changed.notify()

    def cached(self, request: Request) -> Picture | None:
        """Return a picture if it is in the cache; else None."""
        with self._changed:
            return self._cached(request)

    def stop(self) -> None:
        """Let the thread end after the part of a picture that it is at; return at once."""
        with self._changed:
            self._stopped = True
            self._changed.notify()

    def _cached(self, request: Request) -> Picture | None:
        """Return a picture from the cache, and keep it there longer; None where it is not in it."""
        if request in self._cache:
            self._cache.move_to_end(request)
        return self._cache.get(request)

    def _next(self) -> Request | None:
        """Wait for the next request, and return it; None when the thread should end."""
        with self._changed:
            while not self._stopped:
                refines = self._wanted is not None and _refines(self._wanted)
                if self._wanted is not None and not (refines and self._ahead):
                    return self._wanted
                quiet = refines or not self._changed.wait(_PAUSE if self._ahead else None)  # first what is wanted
                if quiet and self._ahead and (refines or self._wanted is None):  # others were let in by waiting
                    return self._ahead.pop()
        return None

    def _run(self) -> None:
        """Make pictures until the end; this is the thread's function."""
        with ThreadPoolExecutor(_HANDS, "tiles") as hands:
            self._make(hands.map)

    def _make(self, apply: Callable[..., Any]) -> None:
        """Make the requested pictures, cache them, and deliver those that are still wanted."""
        while (request := self._next()) is not None:
            try:
                picture = make_picture(self._store, request, self._painter, self._stopping(apply, request))
            except _OvertakenError:
                continue
            with self._changed:
                self._cache[request] = picture
                if len(self._cache) > _CACHED:
                    self._cache.popitem(last=False)
                wanted = self._wanted == request
                if wanted:
                    self._wanted = None
            if wanted and not self._stopped:
                self._ready(picture)

    def _stopping(self, apply: Callable[..., Any], request: Request) -> Callable[..., Any]:
        """Return a function like `apply` for the parts of a request, which may raise _OvertakenError between two parts.

        It does so once the maker is stopped, and for a refined picture once another picture is wanted.
        """
        refined = _refines(request)
        if refined and _PROCESSORS <= _HANDS:
            apply = map

        def run(function: Callable[..., Any], *parts: Any) -> Iterator[Any]:
            for result in apply(function, *parts):
                if self._stopped or (refined and self._wanted not in (None, request)):
                    raise _OvertakenError
                yield result

        return run


def _refines(request: Request) -> bool:
    """Return whether a request is for a refined picture: it allows more bytes than the usual number."""
    return request.limit is not None and request.limit > usual_bytes_of(request.layout, request.subject)


class _OvertakenError(Exception):
    """The picture that is being made is not wanted any more."""

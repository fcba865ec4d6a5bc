"""Pictures, made on a thread of their own: the newest request first, neighbours ahead, all others dropped."""

import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from shapebias.core.errors import ShapebiasError
from shapebias.core.pictures.sixel import encode_coarse, encode_within
from shapebias.core.pictures.tiles import BACKGROUND, Subject, View, compose, subject_tiles
from shapebias.core.store.reader import Store, Unit
from shapebias.tui.pictures.layout import GAP, GridLayout
from shapebias.tui.terminal.query import Graphics

_CACHED = 48
_PAUSE = 0.05  # seconds without a request before pictures are made ahead
_HANDS = 2  # threads that draw and encode tiles
_BYTES = 245_000  # of sixel for a grid of at most 768 x 512 pixels; larger ones get more


@dataclass(frozen=True)
class Request:
    """Everything that a picture depends on. `limit` is the bytes of a coarse sixel picture, None for a refined one."""

    subject: Subject
    view: View
    layout: GridLayout
    graphics: Graphics
    limit: int | None = None


@dataclass(frozen=True)
class Picture:
    """A finished picture: one sixel string for each tile, or an image for the other graphics, or why there is none."""

    request: Request
    tiles: Sequence[bytes] = ()
    image: Image.Image | None = None
    error: str = ""


def make_picture(store: Store, request: Request, apply: Callable[..., Any] = map) -> Picture:
    """Read, scale and encode the tiles of a request; `apply` is `map`, or does the same on several threads."""
    layout = request.layout
    try:
        tiles = subject_tiles(store, request.subject, layout.count, layout.size, request.view, apply)
    except ShapebiasError as error:
        return Picture(request, error=str(error))
    if request.graphics is Graphics.SIXEL:
        pixels = np.stack([np.asarray(tile) for tile in tiles]) if tiles else np.empty((0, 1, 1, 3), np.uint8)
        if request.limit is not None:
            return Picture(request, tiles=encode_coarse(pixels, request.limit, apply))
        usual = max(_BYTES, _bytes_of(pixels[..., 0].size))
        return Picture(request, tiles=encode_within(pixels, usual * detail(request.subject), apply))
    gap = 1 if request.graphics is Graphics.HALFCELL else GAP
    return Picture(request, image=compose(tiles, layout.columns, layout.rows, layout.size, gap, BACKGROUND))


def detail(subject: Subject) -> int:
    """Return how many times as long as a grid of its size a picture may be: one image is looked at more closely."""
    return 1 if isinstance(subject, Unit) else 2


def coarse_limit(layout: GridLayout, affordable: float) -> int | None:
    """Return the `limit` of a request for a link that takes `affordable` bytes; None where any picture is short enough.

    It is a power of two or 1.5 times one, the largest that is affordable: pictures of many limits would fill the cache.
    """
    if affordable >= _bytes_of(layout.count * layout.size**2):
        return None
    power: int = 2 ** int(math.log2(max(affordable, 1)))
    return power * 3 // 2 if affordable >= power * 3 // 2 else power


def _bytes_of(pixels: int) -> int:
    """Return how many bytes the sixel of a grid usually has."""
    return _BYTES * pixels // (768 * 512)


class PictureMaker:
    """A thread with a cache. It calls `ready` with every picture that is still wanted when it is made."""

    def __init__(self, store: Store, ready: Callable[[Picture], None]) -> None:
        self._store, self._ready = store, ready
        self._cache: OrderedDict[Request, Picture] = OrderedDict()
        self._wanted: Request | None = None
        self._ahead: list[Request] = []
        self._changed = threading.Condition()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="pictures", daemon=True)
        self._thread.start()

    def want(self, request: Request, ahead: Sequence[Request] = ()) -> Picture | None:
        """Return a picture if it is in the cache, else have it made next; those `ahead` are made when there is time."""
        with self._changed:
            picture = self._cached(request)
            self._wanted = None if picture else request
            self._ahead = [neighbour for neighbour in reversed(ahead) if neighbour not in self._cache]
            self._changed.notify()
            return picture

    def prepare(self, request: Request) -> None:
        """Have a picture made that may be wanted next, ahead of the others that may be."""
        with self._changed:
            if request not in self._cache:
                self._ahead = [request]
                self._changed.notify()

    def stop(self) -> None:
        """End the thread after the picture it is at."""
        with self._changed:
            self._stopped = True
            self._changed.notify()

    def _cached(self, request: Request) -> Picture | None:
        """Return a picture from the cache, where it stays longer from now on."""
        if request in self._cache:
            self._cache.move_to_end(request)
        return self._cache.get(request)

    def _next(self) -> Request | None:
        """Return what is to be made next, once there is something; None when the thread shall end."""
        with self._changed:
            while not self._stopped:
                if self._wanted is not None:
                    return self._wanted
                quiet = not self._changed.wait(_PAUSE if self._ahead else None)  # first what is wanted
                if quiet and self._ahead and self._wanted is None:  # waiting lets others in, after its end too
                    return self._ahead.pop()
        return None

    def _run(self) -> None:
        """Make pictures until the end. This is the thread."""
        with ThreadPoolExecutor(_HANDS, "tiles") as hands:
            self._make(hands.map)

    def _make(self, apply: Callable[..., Any]) -> None:
        """Make pictures, keep them, and deliver those that are still wanted."""
        while (request := self._next()) is not None:
            picture = make_picture(self._store, request, apply)
            with self._changed:
                self._cache[request] = picture
                if len(self._cache) > _CACHED:
                    self._cache.popitem(last=False)
                wanted = self._wanted == request
                if wanted:
                    self._wanted = None
            if wanted:
                self._ready(picture)

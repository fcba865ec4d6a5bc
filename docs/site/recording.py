"""Records the explorer in use, for README: as text (asciinema's format, version 2) or as a GIF of a real terminal.

    python docs/site/recording.py demo.zarr docs/explore.cast
    python docs/site/recording.py demo.zarr docs/explore.gif

The store is that of the built-in pair: `shapebias precompute --store demo.zarr`. The text needs no other program. The
GIF shows the pictures, sixel graphics, as a person sees them; it needs Xvfb, xterm, xdotool and ImageMagick
(apt-get install xvfb xterm xdotool imagemagick). On a busy machine `--settle 3` waits longer for each picture.
"""

import argparse
import contextlib
import fcntl
import json
import os
import pty
import select
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

COLUMNS, ROWS = 120, 34
START = "demo-s/conv5/58"
NAMED = {"Enter": ("Return", "\r"), "Escape": ("Escape", "\x1b"), "Tab": ("Tab", "\t")}  # by xdotool, by a terminal
# A finding: standard training makes detectors of textures, adversarial training detectors of parts of shapes. Each step
# is a key, or a text that is typed, and the seconds for which one looks at what it leads to.
STEPS = [
    ("s", 1.2),
    ("g", 1.8),
    ("j", 0.7),
    ("j", 0.7),
    ("f", 0.6),
    ("concept ~ waves", 1.6),
    ("Enter", 1.4),
    ("Enter", 2.2),
    ("Escape", 0.5),
    ("t", 2.4),
    ("Escape", 0.4),
    ("Escape", 0.5),
    ("T", 1.0),
    ("s", 0.8),
    ("Tab", 0.4),
    ("s", 0.6),
    ("g", 2.4),
    ("Escape", 0.4),
    ("/", 0.4),
    ("demo-r/conv5/63", 0.9),
    ("Enter", 2.2),
    ("v", 1.8),
    ("v", 0.4),
    ("v", 0.4),
    ("h", 2.2),
    ("Escape", 0.4),
    ("X", 2.6),
]
_FIRST = 2.0  # seconds for the first screen
_START = 8.0  # seconds after which the first screen has its pictures, refined, on a busy machine, too
_XTERM = ("xterm", "-ti", "vt340", "-tn", "xterm-256color", "-fa", "DejaVu Sans Mono", "-fs", "9", "-b", "4")
_COLOURS = 112  # of the GIF
_SAMPLE = 4  # every which frame its colours are from
_TRIES = 6  # looks at a screen that may still change
_BLANK = 20_000  # bytes of a picture of an empty screen, at most
_HEADER_ANSWERS = b"\x1b[?62;22c"  # a terminal with colours and without graphics
_ALTERNATE = b"\x1b[?1049h"


def main() -> None:
    """Record in the format of the output's name."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", help="a store of the built-in pair")
    parser.add_argument("output", type=Path, help="the .cast or .gif file")
    parser.add_argument("--settle", type=float, default=1.2, help="the seconds after which pictures are there")
    options = parser.parse_args()
    record = {".cast": record_cast, ".gif": record_gif}.get(options.output.suffix)
    if record is None:
        parser.error("the output is a .cast or a .gif file")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_STATE_HOME"] = folder  # no marks, columns or theme of one's own
        record(options.store, options.output, options.settle)
    print(f"{options.output}: {options.output.stat().st_size / 1e6:.1f} MB")


def command(store: str, *more: str) -> list[str]:
    """Return the command that is recorded."""
    return [sys.executable, "-m", "shapebias", "explore", store, "--unit", START, *more]


# The text


def record_cast(store: str, output: Path, settle: float) -> None:
    """Record what the explorer writes to a terminal without graphics, with the seconds of `STEPS`."""
    child, terminal = pty.fork()
    if child == 0:
        os.environ.update(TERM="xterm-256color", COLORTERM="truecolor")
        os.execv(sys.executable, command(store, "--graphics", "halfcell"))
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    header = {"version": 2, "width": COLUMNS, "height": ROWS, "env": {"TERM": "xterm-256color"}}
    begun = b""
    while begun.count(_ALTERNATE) < 2:  # the first time for questions
        for part in _written(terminal, 0.1):
            begun += part
            if b"\x1b[c" in part:
                os.write(terminal, _HEADER_ANSWERS)
    events: list[tuple[float, bytes]] = [(0.0, begun[begun.rindex(_ALTERNATE) :])]
    clock = 0.0
    for keys, seconds in [("", _FIRST), *STEPS]:
        typed = [NAMED[keys][1]] if keys in NAMED else keys
        for key in typed:
            os.write(terminal, key.encode())
            events += _paced(terminal, clock, 0.06 if len(typed) > 1 else 0.0)
            clock += 0.06
        events += _paced(terminal, clock, max(seconds, settle))
        clock += seconds
    os.write(terminal, b"q")
    with contextlib.suppress(OSError):
        for _ in _written(terminal, 2.0):
            pass
    os.waitpid(child, 0)
    lines = [json.dumps(header), *(json.dumps([round(at, 3), "o", text]) for at, text in _texts(events))]
    output.write_text("\n".join(lines) + "\n", "utf-8")


def _written(terminal: int, seconds: float) -> Iterator[bytes]:
    """Yield what is written until nothing has come for so many seconds."""
    while select.select([terminal], [], [], seconds)[0]:
        yield os.read(terminal, 1 << 16)


def _paced(terminal: int, clock: float, seconds: float) -> list[tuple[float, bytes]]:
    """Return what is written within so many seconds, all at `clock` on but at most a third of a second later: how
    fast this machine is does not matter."""
    events, start = [], time.monotonic()
    while (left := start + seconds - time.monotonic()) > 0 and select.select([terminal], [], [], left)[0]:
        after = min((time.monotonic() - start) / 4, 0.3)
        events.append((clock + after, os.read(terminal, 1 << 16)))
    return events


def _texts(events: list[tuple[float, bytes]]) -> Iterator[tuple[float, str]]:
    """Yield the events as text; a character that was cut in two is in the later one."""
    rest, last = b"", 0.0
    for at, part in sorted(events, key=lambda event: event[0]):
        whole = rest + part
        text = whole.decode("utf-8", "ignore")
        rest = whole[len(text.encode("utf-8")) :]
        last = max(at, last)
        yield last, text


# The pictures


def record_gif(store: str, output: Path, settle: float) -> None:
    """Record what an xterm with graphics shows after each of `STEPS`."""
    with tempfile.TemporaryDirectory() as folder, _display() as display:
        environment = os.environ | {"DISPLAY": display, "COLORTERM": "truecolor"}
        xterm = subprocess.Popen(
            [*_XTERM, "-geometry", f"{COLUMNS}x{ROWS}+0+0", "-e", *command(store)],
            env=environment,
        )
        frames: list[tuple[Path, float]] = []

        def shoot(seconds: float, tries: int = _TRIES) -> None:
            """Add a frame of the screen once it does not change any more."""
            frames.append((Path(folder) / f"{len(frames):03d}.png", seconds))
            before = b""
            for _ in range(tries):
                subprocess.run(
                    ["import", "-silent", "-window", "root", str(frames[-1][0])], env=environment, check=True
                )
                if (picture := frames[-1][0].read_bytes()) == before and len(picture) > _BLANK:
                    return
                before = picture
                time.sleep(settle / 2)

        time.sleep(max(_START, 2 * settle))
        subprocess.run(["xdotool", "mousemove", "30", "30"], env=environment, check=True)  # the focus
        shoot(_FIRST, tries=4 * _TRIES)
        for keys, seconds in STEPS:
            for key in [keys] if keys in NAMED else keys:
                pressed = ["key", NAMED[keys][0]] if keys in NAMED else ["type", "--", key]
                subprocess.run(["xdotool", *pressed], env=environment, check=True)
                if len(keys) > 1 and keys not in NAMED:
                    time.sleep(0.3)
                    shoot(0.06, tries=1)
            time.sleep(settle)
            shoot(seconds)
        xterm.terminate()
        xterm.wait()
        _assemble(frames, output)


@contextlib.contextmanager
def _display() -> Iterator[str]:
    """Run a virtual screen, and yield its name."""
    reading, writing = os.pipe()
    screen = ["Xvfb", "-displayfd", str(writing), "-screen", "0", "1600x1000x24", "-nolisten", "tcp"]
    server = subprocess.Popen(screen, pass_fds=[writing], stderr=subprocess.DEVNULL)
    try:
        yield f":{os.read(reading, 16).decode().strip()}"
    finally:
        server.terminate()
        server.wait()


def _assemble(frames: list[tuple[Path, float]], output: Path) -> None:
    """Write the frames as a GIF of few colours, the same for all frames, so that each has only what changed."""
    pictures = [Image.open(path).convert("RGB") for path, _ in frames]
    edges = [picture.getbbox() or (0, 0, 1, 1) for picture in pictures]
    box = (0, 0, max(edge[2] for edge in edges), max(edge[3] for edge in edges))
    pictures = [picture.crop(box) for picture in pictures]
    sample = Image.new("RGB", (box[2], box[3] * len(pictures[::_SAMPLE])))
    for number, picture in enumerate(pictures[::_SAMPLE]):
        sample.paste(picture, (0, box[3] * number))
    palette = sample.quantize(_COLOURS, Image.Quantize.MEDIANCUT)
    reduced = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]
    lasting = [max(round(100 * seconds), 2) * 10 for _, seconds in frames]  # ms, in the hundredths that a GIF has
    reduced[0].save(output, save_all=True, append_images=reduced[1:], duration=lasting, loop=0, disposal=1)


if __name__ == "__main__":
    main()

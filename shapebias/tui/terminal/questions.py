"""Queries to the terminal: all are sent at once, and the time of each answer is measured."""

import os
import re
import select
import termios
import time
import tty
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_TIMEOUT = 2.0  # seconds; every terminal answers the last question, so only a dead link takes as long


@dataclass(frozen=True)
class TerminalQuestion:
    """A query for a terminal: its title for people, the bytes to send, and the pattern of its answer.

    The pattern's first group is the answer's content.
    """

    title: str
    text: bytes
    answer: re.Pattern[bytes]


XTVERSION = TerminalQuestion("name and version (XTVERSION)", b"\x1b[>0q", re.compile(rb"\x1bP>\|([^\x1b]*)\x1b\\"))
KITTY = TerminalQuestion(
    "kitty graphics (a=q)",
    b"\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\",
    re.compile(rb"\x1b_Gi=31[^;\x1b]*;([^\x1b]*)\x1b\\"),
)
TRUE_COLOUR = TerminalQuestion(
    "a colour set and read back (DECRQSS)",
    b"\x1b[48;2;1;2;3m\x1bP$qm\x1b\\\x1b[m",
    re.compile(rb"\x1bP[01]\$r([^\x1b]*)\x1b\\"),
)
CELL_SIZE = TerminalQuestion("pixels of a cell (CSI 16 t)", b"\x1b[16t", re.compile(rb"\x1b\[6;([\d;]+)t"))
ATTRIBUTES = TerminalQuestion("device attributes (DA1)", b"\x1b[c", re.compile(rb"\x1b\[\?([\d;]*)c"))

# The last is one that every terminal answers, in order: with its answer all others are there.
QUESTIONS = (XTVERSION, KITTY, TRUE_COLOUR, CELL_SIZE, ATTRIBUTES)
# Without kitty graphics, tmux takes that question for a window's title; screen hands questions on to the terminal
# around it, whose answers come late, as keys.
OF_TMUX = (XTVERSION, CELL_SIZE, ATTRIBUTES)
OF_SCREEN = (ATTRIBUTES,)

# In the alternate screen, where nobody sees what a terminal writes that does not know a question; a terminal without
# that screen has its line wiped.
_BEFORE, _AFTER = b"\x1b[?1049h\x1b[H", b"\r\x1b[2K\x1b[?1049l"


@dataclass(frozen=True)
class Answer:
    """The content of a terminal's answer to a question, and after how many seconds it came; None without an answer."""

    question: TerminalQuestion
    said: bytes | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Conversation:
    """One answer for each question that was asked, and the bytes that a person typed meanwhile."""

    answers: Sequence[Answer] = ()
    typed: bytes = b""

    def said(self, question: TerminalQuestion) -> bytes | None:
        """Return the content of the terminal's answer to a question; None where it gave none or was not asked."""
        return next((answer.said for answer in self.answers if answer.question is question), None)


def questions_for(environment: Mapping[str, str]) -> tuple[TerminalQuestion, ...]:
    """Return the questions for a terminal, by the environment variables of terminals and multiplexers."""
    asked = {"tmux": OF_TMUX, "screen": OF_SCREEN}.get(multiplexer_in(environment), QUESTIONS)
    return tuple(question for question in asked if question is not TRUE_COLOUR or not says_true_colour(environment))


def says_true_colour(environment: Mapping[str, str]) -> bool:
    """Return whether the environment says that the terminal has 16 million colours; ssh does not pass that on."""
    return environment.get("COLORTERM", "").lower() in ("truecolor", "24bit")


def multiplexer_in(environment: Mapping[str, str]) -> str:
    """Return `tmux` or `screen` where the program runs in one of them, else an empty text."""
    kind = environment.get("TERM", "").partition("-")[0]
    if "TMUX" in environment or kind == "tmux":
        return "tmux"
    return "screen" if "STY" in environment or kind == "screen" else ""


def ask(descriptor: int, questions: Sequence[TerminalQuestion] = QUESTIONS) -> Conversation:
    """Ask a terminal all questions at once, and return its answers when that to the last one is there, or after two
    seconds.

    Raises OSError or termios.error where `descriptor` is no terminal, or a broken one.
    """
    before = termios.tcgetattr(descriptor)
    received, when = b"", dict[TerminalQuestion, float]()
    try:
        tty.setraw(descriptor, termios.TCSANOW)
        start = time.monotonic()
        os.write(descriptor, _BEFORE + b"".join(question.text for question in questions) + _AFTER)
        while questions[-1] not in when:
            ready, _, _ = select.select([descriptor], [], [], max(0.0, start + _TIMEOUT - time.monotonic()))
            more = os.read(descriptor, 4096) if ready else b""
            if not more:
                break
            received += more
            for question in questions:
                if question not in when and question.answer.search(received):
                    when[question] = time.monotonic() - start
    finally:
        termios.tcsetattr(descriptor, termios.TCSANOW, before)
    return conversation(received, questions, when)


def conversation(
    received: bytes, questions: Sequence[TerminalQuestion], when: Mapping[TerminalQuestion, float]
) -> Conversation:
    """Return the answers among the received bytes; the rest was typed.

    `when` is after how many seconds each answer came; questions without an answer are not in it.
    """
    answers = []
    for question in questions:
        match = question.answer.search(received)
        answers.append(Answer(question, match and match[1], when.get(question)))
        received = question.answer.sub(b"", received)
    return Conversation(answers, received)

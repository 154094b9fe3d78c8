"""What a terminal makes of text: colours, safe characters, widths, short paths."""

from __future__ import annotations

import os
import re
import unicodedata
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

TAB = 4
"""Columns between two tab stops in a code frame."""

_COLOURS = {
    "plain": "0",
    "bold": "1",
    "dim": "2",
    "red": "1;31",
    "green": "32",
    "yellow": "1;33",
    "blue": "1;34",
    "cyan": "36",
}
_NEWLINE = re.compile(r"\r\n|\r|\n")
# Controls steer the terminal, directional marks reorder what is read, lone surrogates stand for undecodable bytes of a
# file name: code under analysis is not trusted with any of them.
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_DELETE = "\x7f"


class Look(NamedTuple):
    """How to print: with colours or without, and the folder that paths are shown relative to."""

    colour: bool = False
    base: str = ""

    def paint(self, style: str, text: str) -> str:
        """Wrap ``text`` in the colour named ``style``; unchanged where there is no colour or no text."""
        return f"\x1b[{_COLOURS[style]}m{text}\x1b[0m" if self.colour and text else text

    def path(self, path: str) -> str:
        """``path`` relative to the base when it lies below it, safe to print."""
        prefix = self.base.rstrip(os.sep) + os.sep
        return visible(path[len(prefix) :] if self.base and path.startswith(prefix) else path)


def wants_colour(choice: str, environ: Mapping[str, str], *, tty: bool) -> bool:
    """Whether to colour: ``choice`` (``always``, ``never``) beats FORCE_COLOR, NO_COLOR, TERM=dumb and the tty."""
    if choice != "auto":
        return choice == "always"
    if environ.get("FORCE_COLOR", "0") not in {"", "0"}:
        return True
    return tty and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"


def split_lines(text: str) -> list[str]:
    r"""The lines of ``text`` without their newlines, which are ``\n``, ``\r\n`` and ``\r`` only; never empty."""
    return _NEWLINE.split(text)


def visible(text: str) -> str:
    """``text`` with every character that a terminal would obey replaced by one that it shows."""
    return _UNSAFE.sub(lambda match: _picture(match[0]), text)


def cells(line: str) -> list[str]:
    """What each character of ``line`` is shown as: tabs as blanks up to the next stop, controls as pictures."""
    shown: list[str] = []
    column = 0
    for char in line:
        shown.append(" " * (TAB - column % TAB) if char == "\t" else visible(char))
        column += width(shown[-1])
    return shown


def width(text: str) -> int:
    """Columns that ``text`` takes: two for wide characters, none for combining and invisible ones."""
    if text.isascii():
        return len(text)
    return sum(_char_width(char) for char in text)


def _char_width(char: str) -> int:
    if unicodedata.category(char) in {"Mn", "Me", "Cf"}:
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def _picture(char: str) -> str:
    if char < " ":
        return chr(0x2400 + ord(char))
    return "\u2421" if char == _DELETE else "\ufffd"

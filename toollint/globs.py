r"""Patterns for paths as ``.gitignore`` has them; the configuration uses the same ones.

``*``, ``?`` and ``[a-z]`` stay within one segment of a path, ``**`` as a segment stands for any number of segments, a
slash at the start or in the middle ties a pattern to the folder it is written in, one at the end means folders only,
``!`` takes back what an earlier pattern said, ``\`` escapes. POSIX classes (``[[:alpha:]]``) are not known. The time a
match takes grows with the length of the pattern times that of the path, whatever the pattern.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_NEVER = re.compile(r"(?!)")
_SET_ITEM = re.compile(r"(?P<low>\\.|[^\\])(?:-(?P<high>\\.|[^\\\]]))?", re.DOTALL)


class Glob(NamedTuple):
    """One pattern: ``segments`` holds None for ``**``; not ``anchored``: only the last segment of a path counts."""

    segments: tuple[re.Pattern[str] | None, ...]
    negated: bool
    only_folders: bool
    anchored: bool

    def matches(self, parts: Sequence[str], *, is_folder: bool) -> bool:
        """Whether the pattern, taken positively, fits this very path (not only a folder above it)."""
        if self.only_folders and not is_folder:
            return False
        count = len(self.segments)
        at = self._with_empty_runs({0})
        for part in parts if self.anchored else parts[-1:]:
            after = set()
            for index in at - {count}:
                segment = self.segments[index]
                if segment is None:
                    after |= {index, count} if index == count - 1 else {index}
                elif segment.fullmatch(part):
                    after.add(index + 1)
            at = self._with_empty_runs(after)
        return count in at

    def _with_empty_runs(self, at: set[int]) -> set[int]:
        """Let ``**`` stand for nothing, too; at the end of a pattern it stands for one segment at least."""
        for index, segment in enumerate(self.segments[:-1]):
            if segment is None and index in at:
                at.add(index + 1)
        return at


def parse(line: str) -> Glob | None:
    """Read one line of an ignore file; None for blank lines and comments."""
    line = _without_trailing_blanks(line)
    if not line or line.startswith("#"):
        return None
    negated = line.startswith("!")
    pattern = line[negated:]
    only_folders = pattern.endswith("/")
    pattern = pattern.removesuffix("/")
    segments = pattern.removeprefix("/").split("/")
    compiled = tuple(None if re.fullmatch(r"\*\*+", segment) else _compile(segment) for segment in segments)
    return Glob(compiled, negated, only_folders, anchored="/" in pattern)


def parse_all(lines: Iterable[str]) -> tuple[Glob, ...]:
    """Read the lines of an ignore file, or a list of patterns."""
    return tuple(glob for line in lines if (glob := parse(line)))


def verdict(globs: Sequence[Glob], parts: Sequence[str], *, is_folder: bool) -> bool | None:
    """Return what the last pattern that fits says: true for meant, false for taken back; None if none fits."""
    for glob in reversed(globs):
        if glob.matches(parts, is_folder=is_folder):
            return not glob.negated
    return None


def covers(globs: Sequence[Glob], parts: Sequence[str]) -> bool:
    """Whether the patterns mean a file: itself, or a folder above it."""
    return any(verdict(globs, parts[:end], is_folder=end < len(parts)) for end in range(1, len(parts) + 1))


def _without_trailing_blanks(line: str) -> str:
    line = line.removesuffix("\r")
    bare = line.rstrip(" ")
    escapes = len(bare) - len(bare.rstrip("\\"))
    return bare + " " if escapes % 2 and bare != line else bare


def _compile(segment: str) -> re.Pattern[str]:
    """Compile a pattern without slashes.

    What stands between two stars has a fixed length, so its first match is as good as any later one. Looking ahead for
    it and then taking it by reference keeps `re` from trying the others: no pattern takes exponential time.
    """
    pieces = [""]
    at = 0
    while at < len(segment):
        piece, at = _item(segment, at)
        if piece is None:
            return _NEVER
        if piece == "*":
            pieces.append("")
        else:
            pieces[-1] += piece
    if len(pieces) == 1:
        return re.compile(pieces[0], re.DOTALL)
    first, *middle, last = pieces
    steps = "".join(f"(?=(?P<g{number}>.*?{piece}))(?P=g{number})" for number, piece in enumerate(middle) if piece)
    return re.compile(f"{first}{steps}.*{last}", re.DOTALL)


def _item(segment: str, at: int) -> tuple[str | None, int]:
    """Return the regular expression for the item of a segment at an index, and the index behind it.

    A star is ``*``; None stands for an escape or a set that is not complete.
    """
    character = segment[at]
    if character == "*":
        return "*", at + 1
    if character == "?":
        return ".", at + 1
    if character == "\\":
        return (re.escape(segment[at + 1]) if at + 1 < len(segment) else None), at + 2
    if character == "[":
        return _set(segment, at + 1)
    return re.escape(character), at + 1


def _set(segment: str, at: int) -> tuple[str | None, int]:
    """Do the same for a set, from behind its opening bracket; ``]`` as its first member is a member."""
    negated = segment[at : at + 1] in ("!", "^")
    at += negated
    members: list[str] = []
    while segment[at : at + 1] != "]" or not members:
        found = _SET_ITEM.match(segment, at)
        if not found:
            return None, at
        low, high = found["low"][-1], (found["high"] or found["low"])[-1]
        members.append(f"{re.escape(low)}-{re.escape(high)}" if low <= high else "")
        at = found.end()
    inside = "".join(members)
    if not inside:
        return ("." if negated else "(?!)"), at + 1
    return f"[{'^' if negated else ''}{inside}]", at + 1

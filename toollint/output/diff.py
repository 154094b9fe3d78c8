"""Diffs: unified ones that ``patch`` and ``git apply`` take, and the short form that explains a fix."""

from __future__ import annotations

import difflib
import itertools
from typing import TYPE_CHECKING, NamedTuple

from toollint.model import Edit, Position
from toollint.output.terminal import Look, split_lines, visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


_FEW = 6
"""Lines that move to the right and are shown all the same."""


class Hunk(NamedTuple):
    """Consecutive lines that change.

    ``row`` is that of the first line of ``before`` in the old text (of the line that follows, when nothing goes away),
    ``new_row`` that of the first line of ``after`` in the new one. ``moved`` counts the lines below that are not shown,
    because they are only indented; ``joined``: no line lies between it and the one before.
    """

    row: int
    new_row: int
    before: Sequence[str]
    after: Sequence[str]
    moved: int = 0
    joined: bool = False


def unified(path: str, old: str, new: str) -> str:
    """The unified diff that turns ``old`` into ``new``, for ``patch -p1``; empty where the texts are equal."""
    name = path.lstrip("/")
    lines = difflib.unified_diff(_patch_lines(old), _patch_lines(new), f"a/{name}", f"b/{name}")
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def coloured(diff: str, look: Look) -> str:
    """A unified diff for the eye: coloured and safe to print where ``look`` has colour, else as it is."""
    if not look.colour:
        return diff
    return "".join(f"{look.paint(_colour(line), visible(line))}\n" for line in diff.split("\n")[:-1])


def hunks(text: str, edits: Iterable[Edit]) -> list[Hunk]:
    """The lines of ``text`` that ``edits`` (of one file, not overlapping) change, in source order."""
    lines = split_lines(text)
    ordered = sorted(edits, key=lambda edit: edit.region.span)
    found: list[Hunk] = []
    shift = 0
    for group in _neighbours(ordered):
        hunk = _hunk(lines, group, shift)
        shift += len(hunk.after) - len(hunk.before)
        found.append(hunk)
    return found


def folded(found: Sequence[Hunk]) -> list[Hunk]:
    """The same changes for the eye: of many lines that are only indented, the first one and their number."""
    parts = [part for hunk in found for part in _parts(hunk)]
    if sum(len(hunk.before) for hunk, is_moved in parts if is_moved) <= _FEW:
        return [*found]
    shown: list[Hunk] = []
    for is_moved, group in itertools.groupby(parts, key=lambda part: part[1]):
        hunks = [hunk for hunk, _ in group]
        if is_moved:
            first = hunks[0]
            hidden = sum(len(hunk.before) for hunk in hunks) - 1
            shown.append(first._replace(before=(), after=first.after[:1], moved=hidden))
        else:
            shown += hunks
    return shown


def _parts(hunk: Hunk) -> Iterable[tuple[Hunk, bool]]:
    """A hunk in pieces: those that only differ in the space before them, and others."""
    before, after = hunk.before, hunk.after
    matcher = difflib.SequenceMatcher(None, [*map(str.strip, before)], [*map(str.strip, after)], autojunk=False)
    for word, start, end, new_start, new_end in matcher.get_opcodes():
        rows = hunk.row + start, hunk.new_row + new_start
        yield Hunk(*rows, before[start:end], after[new_start:new_end], joined=start + new_start > 0), word == "equal"


def _neighbours(ordered: Iterable[Edit]) -> list[list[Edit]]:
    """Edits in groups, such that at least one untouched line lies between two groups."""
    groups: list[list[Edit]] = []
    for edit in ordered:
        if groups and edit.region.start.row <= groups[-1][-1].region.end.row + 1:
            groups[-1].append(edit)
        else:
            groups.append([edit])
    return groups


def _colour(line: str) -> str:
    if line.startswith(("---", "+++")):
        return "bold"
    return {"-": "red", "+": "green", "@": "cyan"}.get(line[:1], "dim")


def _patch_lines(text: str) -> list[str]:
    # For patch tools a line ends at \n, whatever Python thinks.
    return [line + "\n" for line in text.split("\n")[:-1]] + [line for line in text.split("\n")[-1:] if line]


def _hunk(lines: Sequence[str], edits: Sequence[Edit], shift: int) -> Hunk:
    first, last = edits[0].region.start.row, edits[-1].region.end.row
    cursor = Position(first, 1)
    pieces: list[str] = []
    for edit in edits:
        pieces += [_between(lines, cursor, edit.region.start), edit.content]
        cursor = edit.region.end
    pieces.append(lines[cursor.row - 1][cursor.column - 1 :])
    before, after = list(lines[first - 1 : last]), split_lines("".join(pieces))
    above = _common(before, after)
    below = _common(before[above:][::-1], after[above:][::-1])
    old, new = before[above : len(before) - below], after[above : len(after) - below]
    return Hunk(first + above, first + above + shift, old, new)


def _between(lines: Sequence[str], start: Position, end: Position) -> str:
    if start.row == end.row:
        return lines[start.row - 1][start.column - 1 : end.column - 1]
    first, last = lines[start.row - 1][start.column - 1 :], lines[end.row - 1][: end.column - 1]
    return "\n".join([first, *lines[start.row : end.row - 1], last])


def _common(left: Sequence[str], right: Sequence[str]) -> int:
    count = 0
    for one, other in zip(left, right, strict=False):
        if one != other:
            break
        count += 1
    return count

"""Findings for people: code frames, the leak path, notes, help and every fix as a small diff."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

from toollint.model import Diagnostic, Edit, Fix, Position, Region, Report, Safety
from toollint.output import diff
from toollint.output.concise import SEVERITY_COLOUR
from toollint.output.terminal import Look, cells, split_lines, visible, width

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

MAX_WIDTH = 110
"""Columns of source that a frame shows of one line."""
MAX_HOPS = 6
"""Steps of a leak path that are printed."""

_LEAD = 24  # columns of a cut line that stay in view before what is marked
_FIX_WORDS = {
    Safety.SAFE: "fix (safe, --fix)",
    Safety.UNSAFE: "fix (unsafe, --fix --unsafe-fixes)",
    Safety.DISPLAY: "recipe",
}


class Mark(NamedTuple):
    """A span to underline, by rows and columns."""

    start: Position
    end: Position
    label: str
    primary: bool


class Piece(NamedTuple):
    """The part of a mark that lies in one row: half-open indices of characters."""

    start: int
    end: int
    label: str
    primary: bool


def render(report: Report, look: Look) -> str:
    """Every finding of ``report`` as a block, with a blank line after each."""
    lines = {path: split_lines(text) for path, text in report.texts.items()}
    return "".join(f"{_Block(diagnostic, report.texts, lines, look).render()}\n\n" for diagnostic in report.diagnostics)


class _Block:
    """One finding on its way to text: what all its parts share is the gutter."""

    def __init__(
        self, diagnostic: Diagnostic, texts: Mapping[str, str], lines: Mapping[str, Sequence[str]], look: Look
    ) -> None:
        self.diagnostic = diagnostic
        self.texts = texts
        self.lines = lines
        self.look = look
        self.colour = SEVERITY_COLOUR[diagnostic.severity]
        self.hunks = [(fix, self._hunks(fix)) for fix in diagnostic.fixes]
        self.gutter = len(str(max(self._rows())))

    def render(self) -> str:
        """The whole block, without a newline at its end."""
        found = self.diagnostic
        tail = self._hops()
        tail += [self._remark("note", note) for note in found.notes]
        tail += [self._remark("help", found.help)] if found.help else []
        for fix, hunks in self.hunks:
            tail += self._fix(fix, hunks)
        gap = [self._rail()] if tail and found.path in self.lines else []
        return "\n".join([self._header(), *self._frames(), *gap, *tail])

    def _rows(self) -> Iterable[int]:
        found = self.diagnostic
        for region in (found.region, *(note.region for note in found.related)):
            yield region.end.row
        for _, by_path in self.hunks:
            for hunks in by_path.values():
                yield from (max(hunk.row + len(hunk.before), hunk.new_row + len(hunk.after)) - 1 for hunk in hunks)

    # --- the frame -----------------------------------------------------------------------------------------------

    def _header(self) -> str:
        found = self.diagnostic
        kind = self.look.paint(self.colour, f"{found.severity.value}[{found.code}]")
        return f"{kind}{self.look.paint('bold', ': ' + visible(found.message))}"

    def _frames(self) -> list[str]:
        found = self.diagnostic
        marks = {found.path: [Mark(found.region.start, found.region.end, found.label, primary=True)]}
        first = {found.path: found.region}
        for note in found.related:
            label = note.message or note.role.value.replace("-", " ")
            marks.setdefault(note.region.path, []).append(
                Mark(note.region.start, note.region.end, label, primary=False)
            )
            first.setdefault(note.region.path, note.region)
        parts: list[str] = []
        for path, region in first.items():
            parts += [self._rail(), self._where(":::", region)] if parts else [self._where("-->", region)]
            if path in self.lines:
                parts += [self._rail(), *self._code(self.lines[path], marks[path])]
        return parts

    def _where(self, arrow: str, region: Region) -> str:
        place = self._place(region, column=True)
        return f"{' ' * self.gutter}{self.look.paint('blue', arrow)} {place}"

    def _place(self, region: Region, *, column: bool = False) -> str:
        place = f"{self.look.path(region.path)}:{region.start.row}"
        return f"{place}:{region.start.column}" if column else place

    def _rail(self, text: str = "", row: int | None = None, sign: str = "|", style: str = "blue") -> str:
        number = f"{'' if row is None else row:>{self.gutter}}"
        return f"{self.look.paint('blue', number)} {self.look.paint(style, sign)} {text}".rstrip()

    def _code(self, lines: Sequence[str], marks: Iterable[Mark]) -> Iterable[str]:
        rows: dict[int, list[Piece]] = {}
        for mark in marks:
            for row, piece in _pieces(lines, mark):
                rows.setdefault(row, []).append(piece)
        last = min(rows)
        for row in sorted(rows):
            if row == last + 2:
                yield from self._line(lines[last], last + 1, ())
            elif row > last + 2:
                yield self.look.paint("blue", "...")
            yield from self._line(lines[row - 1], row, rows[row])
            last = row

    def _line(self, line: str, row: int, pieces: Sequence[Piece]) -> Iterable[str]:
        pieces = sorted(pieces, key=lambda piece: (not piece.primary, piece.start))
        shown = cells(line)
        offsets = [0, *accumulate(width(cell) for cell in shown)]
        first, last = _window(offsets, pieces[0] if pieces else Piece(0, 0, "", primary=False))
        head, tail = "..." if first else "", "..." if last < len(shown) else ""
        yield self._rail(f"{head}{''.join(shown[first:last])}{tail}", row)
        for piece in pieces:
            start, end = max(first, min(piece.start, last)), max(first, min(piece.end, last))
            lead = len(head) + offsets[start] - offsets[first]
            underline = ("^" if piece.primary else "-") * max(1, offsets[end] - offsets[start])
            words = f"{underline} {visible(piece.label)}".rstrip()
            yield self._rail(" " * lead + self.look.paint(self.colour if piece.primary else "blue", words))

    # --- what follows the frame ----------------------------------------------------------------------------------

    def _remark(self, word: str, text: str) -> str:
        first, *more = split_lines(text)
        indent = " " * (self.gutter + len(word) + 5)
        head = f"{' ' * self.gutter} {self.look.paint('blue', '=')} {self.look.paint('bold', word)}: {visible(first)}"
        return "\n".join([head, *(indent + visible(line) for line in more)])

    def _hops(self) -> list[str]:
        chain = self.diagnostic.chain
        hops = [f"{visible(hop.label)} {self.look.paint('dim', f'({self._place(hop.region)})')}" for hop in chain]
        if len(hops) > MAX_HOPS:
            hops[MAX_HOPS:] = [f"... {len(hops) - MAX_HOPS} more"]
        indent = " " * (self.gutter + len("leak path") + 2)
        return [
            self._remark("leak path", "") + hop if index == 0 else f"{indent}-> {hop}" for index, hop in enumerate(hops)
        ]

    def _hunks(self, fix: Fix) -> dict[str, list[diff.Hunk]]:
        by_path: dict[str, list[Edit]] = {}
        for edit in fix.edits:
            by_path.setdefault(edit.region.path, []).append(edit)
        return {path: diff.hunks(self.texts[path], edits) for path, edits in by_path.items() if path in self.texts}

    def _fix(self, fix: Fix, by_path: Mapping[str, Sequence[diff.Hunk]]) -> Iterable[str]:
        yield self._remark(_FIX_WORDS[fix.safety], fix.title)
        if fix.why:
            yield f"{' ' * (self.gutter + 3)}{visible(fix.why)}"
        for path, hunks in by_path.items():
            if path != self.diagnostic.path:
                yield f"{' ' * self.gutter}{self.look.paint('blue', ':::')} {self.look.path(path)}"
            for hunk in diff.folded(hunks):
                yield from self._hunk(self.lines[path], hunk)
        if fix.recipe:
            yield from (self._rail(self._source(line)) for line in split_lines(fix.recipe.strip("\n")))

    def _hunk(self, lines: Sequence[str], hunk: diff.Hunk) -> Iterable[str]:
        if hunk.row > 1 and lines[hunk.row - 2].strip() and not hunk.joined:
            yield self._rail(self._source(lines[hunk.row - 2]), hunk.new_row - 1)
        for number, line in enumerate(hunk.before, hunk.row):
            yield self._rail(self.look.paint("red", self._source(line)), number, "-", "red")
        for number, line in enumerate(hunk.after, hunk.new_row):
            yield self._rail(self.look.paint("green", self._source(line)), number, "+", "green")
        if hunk.moved:
            yield self.look.paint("blue", f"... {hunk.moved} more lines, indented")

    def _source(self, line: str) -> str:
        return "".join(cells(line))


def _pieces(lines: Sequence[str], mark: Mark) -> Iterable[tuple[int, Piece]]:
    """A mark by rows. Of one that spans several rows the first and the last show; the last carries the label."""
    start, end = mark.start, mark.end
    if start.row < end.row and end.column == 1:  # up to the newline: the row after it has nothing to show
        end = Position(end.row - 1, len(lines[end.row - 2]) + 1)
    if start.row == end.row:
        yield start.row, Piece(start.column - 1, end.column - 1, mark.label, mark.primary)
        return
    opening, closing = lines[start.row - 1], lines[end.row - 1]
    indent = len(closing) - len(closing.lstrip())
    yield start.row, Piece(start.column - 1, len(opening.rstrip()), "", mark.primary)
    yield end.row, Piece(min(indent, end.column - 2), end.column - 1, mark.label, mark.primary)


def _window(offsets: Sequence[int], piece: Piece) -> tuple[int, int]:
    """The half-open range of characters of a long line that shows ``piece`` within `MAX_WIDTH` columns."""
    count = len(offsets) - 1
    first = 0
    if offsets[min(piece.end, count)] > MAX_WIDTH:
        floor = offsets[min(piece.start, count)] - _LEAD
        first = next(index for index in range(count + 1) if offsets[index] >= floor)
    last = next((index - 1 for index in range(first, count + 1) if offsets[index] - offsets[first] > MAX_WIDTH), count)
    return first, last

"""Tells from the text alone whether libcst's native parser, which is recursive, would overflow the stack.

That would end the process, so it must be known before. What is estimated is stack: every bracket, indentation,
operator, link of a chain, piece of a string and ``elif`` that is open at one place costs some units; a comma or the
end of a statement gives back what the expression before it took.
"""

from __future__ import annotations

import re

_BUDGET = 800
"""On a stack of 1 MiB libcst dies at some 45 nested blocks, 110 brackets with a lambda in each or 400 calls in a chain:
a unit is thus less than a kilobyte."""
_BLOCK, _NEST, _STEP = 25, 10, 3
_NEST_IN_PATTERN = 100
"""Time, not stack: each bracket in a ``case`` multiplies by 2 to 4 what libcst needs for it (9: 0.6 s)."""

_CODE = re.compile(
    r"""
    \#[^\r\n]* | \\(?:\r\n?|\n)
    | (?P<template> (?<!\w) (?:[fFtT][rR]?|[rR][fFtT]) (?P<quote> \"{3} | '{3} | ["']))
    | (?P<piece> \"{3} [^"\\]* (?: (?: \\. | "(?!"") ) [^"\\]* )* \"{3}
               | '{3} [^'\\]* (?: (?: \\. | '(?!'') ) [^'\\]* )* '{3}
               | " [^"\\\r\n]* (?: \\ (?:\r\n|.) [^"\\\r\n]* )* "
               | ' [^'\\\r\n]* (?: \\ (?:\r\n|.) [^'\\\r\n]* )* ')
    | (?P<open> [(\[{])
    | (?P<close> [)\]}])
    | (?P<comma> [,;])
    | (?P<colon> :(?!=))
    | (?P<lambda> \blambda\b)
    | (?P<line> (?:\r\n?|\n) (?:(?P<indent>[ \t\f]*) (?=[^\s\#]) (?P<word>(?:elif|case)\b)?)?)
    | (?P<step> \*\* | // | << | >> | [-+*/%@&|^~.] | \b(?:and|or|not|if|else|for|await|yield)\b)
    """,
    re.VERBOSE | re.DOTALL,
)


def _inside_template(quote: str, specials: str) -> re.Pattern[str]:
    broken = "" if len(quote) == 3 else r"|[\r\n]"  # a line's end ends what was not closed
    return re.compile(rf"{specials}|(?P<open>\{{)|(?P<close>\}})|(?P<quote>{quote}{broken})")


_QUOTES = ("'", '"', "'''", '"""')
_TEXT = {quote: _inside_template(quote, r"\\(?:\r\n|[\\'\"\r\n])|\{\{|\}\}") for quote in _QUOTES}
_SPECIFICATION = {quote: _inside_template(quote, r"\\[\\'\"]") for quote in _QUOTES}


def too_deep(text: str) -> int | None:
    """The place (in code points) from which ``text`` needs more stack than is granted; None when it never does."""
    scan = _Scan()
    place = 0
    while found := scan.frames[-1].pattern.search(text, place):
        place = found.end()
        scan.step(found)
        if scan.spent > _BUDGET:
            return found.start()
    return None


class _Frame:
    """What is open: the file, a bracket, a template string, a field of one, or a field's format specification.

    ``pattern`` finds the next token in it, ``quote`` is that of the template string around it, ``base`` the units
    that were spent when it was opened, ``lambdas`` how many lambdas in it wait for their colon.
    """

    __slots__ = ("base", "lambdas", "pattern", "quote")

    def __init__(self, pattern: re.Pattern[str], base: int, quote: str = "") -> None:
        self.pattern = pattern
        self.base = base
        self.quote = quote
        self.lambdas = 0


class _Scan:
    """A scan in progress: the open frames, outermost first, and the units ``spent`` at this place."""

    def __init__(self) -> None:
        self.frames = [_Frame(_CODE, 0)]
        self.spent = 0
        self._nest = _NEST
        self._blocks = [(0, 0)]  # indentation and number of elifs of each open block

    def step(self, token: re.Match[str]) -> None:
        """Account for one token."""
        frame = self.frames[-1]
        if frame.pattern is _CODE:
            self._step_in_code(token, frame)
        else:
            self._step_in_template(token.lastgroup, frame)

    def _step_in_code(self, token: re.Match[str], frame: _Frame) -> None:
        kind = token.lastgroup
        if kind in {"step", "piece"}:
            self.spent += _STEP
        elif kind == "lambda":
            self.spent += 2 * _STEP
            frame.lambdas += 1
        elif kind == "comma":
            self.spent = self.spent if frame.lambdas else frame.base
        elif kind == "colon":
            self._colon(frame)
        elif kind == "open":
            self._open(_CODE)
        elif kind == "close":
            self._close()
        elif kind == "template":
            self._open(_TEXT[token["quote"]], token["quote"])
        elif kind == "line" and token["indent"] is not None and len(self.frames) == 1:
            self._start_line(len(token["indent"].rpartition("\f")[2]), token["word"])

    def _step_in_template(self, kind: str | None, frame: _Frame) -> None:
        if kind == "open":
            self._open(_CODE, frame.quote)
        elif kind == "close" and frame.pattern is _SPECIFICATION[frame.quote]:
            self._close()
            self._close()
        elif kind == "quote":
            while self.frames[-1].pattern is not _TEXT[frame.quote]:
                self._close()
            self._close()

    def _open(self, pattern: re.Pattern[str], quote: str = "") -> None:
        self.spent += self._nest
        self.frames.append(_Frame(pattern, self.spent, quote))

    def _close(self) -> None:
        """What was in the brackets is given back; that they stood there is one step: a call, an operand."""
        if len(self.frames) > 1:
            self.spent = self.frames.pop().base - self._nest + _STEP

    def _colon(self, frame: _Frame) -> None:
        if frame.lambdas:
            frame.lambdas -= 1
        elif frame.quote:
            self._open(_SPECIFICATION[frame.quote], frame.quote)

    def _start_line(self, indent: int, word: str | None) -> None:
        blocks = self._blocks
        while blocks[-1][0] > indent:
            blocks.pop()
        elifs = blocks[-1][1] + 1 if word == "elif" and blocks[-1][0] == indent else 0
        if blocks[-1][0] == indent:
            blocks.pop()
        blocks.append((indent, elifs))
        self.spent = self.frames[0].base = sum(_BLOCK + _STEP * count for _, count in blocks) - _BLOCK
        self.frames[0].lambdas = 0
        self._nest = _NEST_IN_PATTERN if word == "case" else _NEST

"""The values that everything else passes around: places, findings, fixes, diagnostics, rules."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

URL = "https://github.com/toollint/toollint/blob/main/toollint/rules/{stem}.py"


class Span(NamedTuple):
    """Half-open byte offsets in a file's text encoded as UTF-8, byte order mark removed."""

    start: int
    end: int


class Place(NamedTuple):
    """A span in a file."""

    path: str
    span: Span


class Severity(enum.Enum):
    """How bad a finding is: a certain crash or leak, a leak under load, a design to know of."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


class Safety(enum.Enum):
    """How far a fix may be trusted: applied by ``--fix``, by ``--unsafe-fixes``, or only shown."""

    SAFE = "safe"
    UNSAFE = "unsafe"
    DISPLAY = "display"


class Default(enum.Enum):
    """Whether a rule runs unasked, only with ``--preview``, or only when selected by name or ``ALL``."""

    ON = "on"
    PREVIEW = "preview"
    OFF = "off"


class Role(enum.Enum):
    """What a related place has to do with the finding."""

    ACQUIRED = "acquired-here"
    STORED = "stored-here"
    REGISTERED = "registered-here"
    ESCAPES = "escapes-here"
    CLOSES = "closes-here"
    LAST_USE = "last-use"
    KEPT_BY = "kept-by"


# --- what a rule says --------------------------------------------------------------------------------------------


class Replace(NamedTuple):
    """Replace the text of a span; an empty span inserts."""

    place: Place
    text: str


class AddMethods(NamedTuple):
    """Append methods to the class whose ``class`` statement spans ``place``.

    ``lines`` are written without indentation, four spaces a level and LF newlines; the fix engine gives them the
    class's own indentation and the file's newlines. ``names`` are the members that appear.
    """

    place: Place
    lines: tuple[str, ...]
    names: tuple[str, ...]


class AddImport(NamedTuple):
    """Make ``import module`` (or ``from module import name``) available at the top of the file."""

    path: str
    module: str
    name: str | None = None


class InsertLines(NamedTuple):
    """Put lines above or ``below`` the whole statement that ``place`` spans, at its indentation.

    ``lines`` are written as those of `AddMethods`. Comments in the statement's lines stay with it; so do, below, those
    that are indented deeper than it.
    """

    place: Place
    lines: tuple[str, ...]
    below: bool


class ReplaceLines(NamedTuple):
    """Put lines in the place of one or several consecutive whole statements of one block; no lines delete them.

    ``lines`` are written as those of `AddMethods`. Refused where a comment would be lost, or a block be left empty.
    """

    place: Place
    lines: tuple[str, ...]


class Surround(NamedTuple):
    """Indent consecutive whole statements of one block by a level, between lines at their old indentation.

    ``before`` and ``after`` are written as the lines of `AddMethods`. Strings keep their value. A `Replace`, an
    `InsertLines` or a `ReplaceLines` of the same repair whose place lies within ``place`` takes effect inside, and its
    lines are indented too; the text of a `Replace` is put as it is. ``head`` is the statement above them: with it,
    comments between are indented too, below the lines ``before``, and the blank lines right below the head go.
    """

    place: Place
    before: tuple[str, ...]
    after: tuple[str, ...]
    head: Place | None = None


Step: TypeAlias = Replace | AddMethods | AddImport | InsertLines | ReplaceLines | Surround


class Repair(NamedTuple):
    """One alternative to mend a finding, as declarative steps; ``why`` tells why it is not safe.

    A repair of safety DISPLAY may have no steps: then ``recipe`` holds Python to show. ``adds`` are functions that have
    something to release once it is applied; members that its steps add need not be named.
    """

    title: str
    safety: Safety
    steps: tuple[Step, ...] = ()
    why: str = ""
    recipe: str = ""
    adds: tuple[str, ...] = ()


class Note(NamedTuple):
    """A related place: a label of at most six words, and its role."""

    place: Place
    message: str
    role: Role


class Hop(NamedTuple):
    """One step of the leak path, root first."""

    label: str
    place: Place


@dataclass(frozen=True)
class Finding:
    """What a rule yields: the place that has to change, and everything that a reader needs to judge it."""

    place: Place
    message: str
    label: str = ""
    related: Sequence[Note] = ()
    chain: Sequence[Hop] = ()
    notes: Sequence[str] = ()
    help: str = ""
    fixes: Sequence[Repair] = ()
    severity: Severity | None = None


# --- what a user sees --------------------------------------------------------------------------------------------


class Position(NamedTuple):
    """Row and column, both from 1; columns count code points."""

    row: int
    column: int


class Region(NamedTuple):
    """A place with its rows and columns."""

    path: str
    span: Span
    start: Position
    end: Position


class Edit(NamedTuple):
    """New text for a region; LF newlines in ``content`` are already the file's own."""

    region: Region
    content: str


class Fix(NamedTuple):
    """An alternative fix as independent edits on the text that was analysed. A recipe has no edits.

    ``adds`` are names that are new, or have something to release from now on: findings that name or advise one of them
    are expected afterwards.
    """

    title: str
    safety: Safety
    edits: tuple[Edit, ...] = ()
    why: str = ""
    recipe: str = ""
    adds: tuple[str, ...] = ()


class Related(NamedTuple):
    """A secondary place of a diagnostic."""

    message: str
    role: Role
    region: Region


class Link(NamedTuple):
    """One step of a leak path, root first."""

    label: str
    region: Region


@dataclass(frozen=True)
class Diagnostic:
    """One finding as it is printed, published or returned. ``symbol`` is the qualified name of what encloses it."""

    code: str
    name: str
    severity: Severity
    message: str
    region: Region
    label: str = ""
    related: tuple[Related, ...] = ()
    chain: tuple[Link, ...] = ()
    notes: tuple[str, ...] = ()
    help: str = ""
    fixes: tuple[Fix, ...] = ()
    url: str = ""
    symbol: str = ""
    fingerprint: str = ""

    @property
    def path(self) -> str:
        """The file of the primary place."""
        return self.region.path


# --- rules -------------------------------------------------------------------------------------------------------

Check: TypeAlias = Callable[..., Iterator[Finding]]
Subject: TypeAlias = Any
"""A class whose ``find(values, module)`` gives everything in a file that a rule about it has to look at."""


@dataclass(frozen=True)
class Rule:
    """A rule is a value: ``check(subject)`` yields findings, or ``check(subject, options)`` where it has options."""

    code: str
    name: str
    subject: Subject
    severity: Severity
    default: Default
    fix: Safety | None
    check: Check
    doc: str
    stem: str
    options: type | None = None

    @property
    def url(self) -> str:
        """Where the rule's page can be read."""
        return URL.format(stem=self.stem)


def rule(  # noqa: PLR0913
    code: str,
    name: str,
    *,
    subject: Subject,
    severity: Severity,
    default: Default = Default.ON,
    fix: Safety | None = None,
    options: type | None = None,
) -> Callable[[Check], Rule]:
    """Turn a check into a `Rule`; the docstring of its module becomes the rule's page.

    ``fix`` is the best safety that a fix of this rule can have, None where it offers none.
    """

    def make(check: Check) -> Rule:
        module = check.__globals__
        stem = str(module["__name__"]).rpartition(".")[2]
        return Rule(code, name, subject, severity, default, fix, check, module["__doc__"] or "", stem, options)

    return make


@dataclass(frozen=True)
class Report:
    """The outcome of a run.

    ``diagnostics`` are sorted by path and place; ``texts`` holds the text (as analysed) of every file that one of
    their regions names; ``fixed`` counts applied fixes by path and code; ``rejected`` are TL002 diagnostics too.
    """

    diagnostics: tuple[Diagnostic, ...] = ()
    files: int = 0
    texts: dict[str, str] = field(default_factory=dict)
    fixed: dict[str, dict[str, int]] = field(default_factory=dict)
    changes: dict[str, tuple[str, str]] = field(default_factory=dict)
    notices: tuple[str, ...] = ()
    statistics: dict[str, Any] = field(default_factory=dict)

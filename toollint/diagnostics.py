"""Findings -> diagnostics: rows and columns, fixes as edits, fingerprints; and the diagnostics that no rule makes."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace

from toollint import fixes
from toollint.facts import ModuleFacts
from toollint.model import (
    Diagnostic,
    Finding,
    Fix,
    Link,
    Place,
    Position,
    Region,
    Related,
    Repair,
    Rule,
    Safety,
    Severity,
    Span,
)
from toollint.source import Source
from toollint.syntax import Class, Def, walk

NAMES = {
    "TL000": "internal-error",
    "TL002": "fix-not-applied",
    "TL998": "unreadable-file",
    "TL999": "syntax-error",
}
"""The diagnostics that are not rules: they come whatever is selected, and nothing silences them."""

_REPORT_BUG = "this is a bug in toollint: please report it with the file, or run with --ignore {code} meanwhile"


def present(sources: Mapping[str, Source], rule: Rule, finding: Finding, symbol: str) -> Diagnostic:
    """A finding with everything that a reader needs; a fix that the text does not allow becomes one to look at."""
    return Diagnostic(
        rule.code,
        rule.name,
        finding.severity or rule.severity,
        finding.message,
        _region(sources, finding.place),
        finding.label,
        tuple(Related(note.message, note.role, _region(sources, note.place)) for note in finding.related),
        tuple(Link(hop.label, _region(sources, hop.place)) for hop in finding.chain),
        tuple(finding.notes),
        finding.help,
        tuple(_fix(sources, repair) for repair in finding.fixes),
        rule.url,
        symbol,
    )


def _region(sources: Mapping[str, Source], place: Place) -> Region:
    return sources[place.path].region(place.span)


def _fix(sources: Mapping[str, Source], repair: Repair) -> Fix:
    try:
        return fixes.realise(repair, sources)
    except fixes.CannotFix as reason:
        return Fix(repair.title, Safety.DISPLAY, why=str(reason), recipe=repair.recipe)


def symbol_at(module: ModuleFacts, offset: int) -> str:
    """The qualified name of the innermost class or function around a byte offset; empty at module level."""
    for index, (start, end) in enumerate(module.spans):
        if start <= offset < end:
            around = [
                node.name
                for node in walk(module.statement(index))
                if isinstance(node, Def | Class) and node.start <= offset - start < node.end
            ]
            return ".".join(around)
    return ""


def fingerprinted(source: Source, diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    """The diagnostics of one file, in order, each with what tells it from all others however lines move.

    The fingerprint is the SHA-256 of code, symbol, the primary text without white space, and the ordinal among equals.
    """
    seen: Counter[tuple[str, str, str]] = Counter()
    done = []
    for diagnostic in diagnostics:
        text = source.utf8[slice(*diagnostic.region.span)].decode(errors="replace")
        key = (diagnostic.code, diagnostic.symbol, "".join(text.split()))
        parts = "\0".join([*key, str(seen[key])])
        seen[key] += 1
        done.append(replace(diagnostic, fingerprint=hashlib.sha256(parts.encode()).hexdigest()))
    return done


# --- diagnostics without a rule ----------------------------------------------------------------------------------


def broken(code: str, path: str, message: str, row: int = 1, column: int = 1) -> Diagnostic:
    """TL998 or TL999: the file could not be read or parsed."""
    place = Position(row, column)
    region = Region(path, Span(0, 0), place, place)
    mark = hashlib.sha256(f"{code}\0{message}".encode()).hexdigest()
    return Diagnostic(code, NAMES[code], Severity.ERROR, message, region, fingerprint=mark)


def internal_error(rule: Rule, path: str, error: Exception) -> Diagnostic:
    """TL000: a rule crashed on a file."""
    what = f"{type(error).__name__}: {error}".splitlines()[0][:200]
    made = broken("TL000", path, f"{rule.code} {rule.name} failed on this file: {what}")
    return replace(made, help=_REPORT_BUG.format(code=rule.code))


def not_applied(diagnostic: Diagnostic, why: str) -> Diagnostic:
    """TL002: a fix was asked for and rejected; the file stays as it was."""
    return replace(
        diagnostic,
        code="TL002",
        name=NAMES["TL002"],
        severity=Severity.ERROR,
        message=f"the fix of {diagnostic.code} was not applied: {why}",
        fixes=(),
    )

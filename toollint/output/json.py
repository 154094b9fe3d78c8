"""Findings as JSON, for programs; ``docs/json.md`` and its schema describe the fields, which are public."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from toollint.model import Diagnostic, Fix, Region, Report


def render(report: Report) -> str:
    """Every finding of ``report`` as a JSON list, ASCII only; file names are absolute."""
    return dump([_diagnostic(diagnostic) for diagnostic in report.diagnostics])


def dump(value: Any) -> str:
    """Any value as indented JSON that ends with a newline."""
    return json.dumps(value, indent=2) + "\n"


def _diagnostic(diagnostic: Diagnostic) -> dict[str, Any]:
    return {
        "code": diagnostic.code,
        "name": diagnostic.name,
        "severity": diagnostic.severity.value,
        "message": diagnostic.message,
        **_place(diagnostic.region),
        "url": diagnostic.url or None,
        "fixes": [_fix(fix) for fix in diagnostic.fixes],
        "related": [
            {"message": note.message, "role": note.role.value, **_place(note.region)} for note in diagnostic.related
        ],
        "chain": [
            {"label": link.label, "filename": _filename(link.region), "location": link.region.start._asdict()}
            for link in diagnostic.chain
        ],
        "notes": list(diagnostic.notes),
        "help": diagnostic.help or None,
        "fingerprint": diagnostic.fingerprint,
    }


def _fix(fix: Fix) -> dict[str, Any]:
    return {
        "title": fix.title,
        "applicability": fix.safety.value,
        "edits": [{"content": edit.content, **_place(edit.region)} for edit in fix.edits],
        "why": fix.why or None,
        "recipe": fix.recipe or None,
    }


def _place(region: Region) -> dict[str, Any]:
    return {
        "filename": _filename(region),
        "location": region.start._asdict(),
        "end_location": region.end._asdict(),
    }


def _filename(region: Region) -> str:
    return os.path.abspath(region.path)  # noqa: PTH100 - the pure kind: no resolving of links

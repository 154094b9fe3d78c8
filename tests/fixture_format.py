"""Fixtures: real Python whose comments say what is to be found where.

``x = {}  # want: TL301 "part of the message"``: a finding starts on this line; the text is optional.
``# want-next: TL301``: on the line below. ``# want: TL301@8``: in this column. Several are separated by ``;``.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
FIXTURES = ROOT / "fixtures"

_COMMENT = re.compile(r"#\s*want(?P<next>-next)?:\s*(?P<wants>.*)$")
_WANT = re.compile(r'\s*(?P<code>TL\d{3})(?:@(?P<column>\d+))?(?:\s+"(?P<text>[^"]*)")?\s*(?:;|$)')


class Want(NamedTuple):
    """One expected finding."""

    row: int
    code: str
    column: int | None
    text: str


def wants(text: str) -> list[Want]:
    """The findings that a fixture asks for."""
    found = []
    for row, line in enumerate(text.splitlines(), 1):
        comment = _COMMENT.search(line)
        if comment is None:
            continue
        place = 0
        while place < len(comment["wants"]):
            want = _WANT.match(comment["wants"], place)
            assert want is not None, f"row {row}: not a want: {comment['wants'][place:]!r}"
            column = int(want["column"]) if want["column"] else None
            found.append(Want(row + bool(comment["next"]), want["code"], column, want["text"] or ""))
            place = want.end()
    return found


def without_wants(text: str) -> str:
    """The text as a fix leaves it to be compared: the wants are about the text before."""
    lines = [line for line in text.splitlines(keepends=True) if "want-next:" not in line]
    return "".join(re.sub(r"[ \t]*#\s*want:.*?(?=\n|$)", "", line) for line in lines)


def cases() -> list[Path]:
    """The rules' fixtures: single files, and folders that are projects."""
    found = []
    for folder in sorted(FIXTURES.glob("TL*")):
        for entry in sorted(folder.iterdir()):
            is_case = entry.suffix == ".py" and not entry.name.endswith(".fixed.py")
            if is_case or (entry.is_dir() and entry.name != "__pycache__"):
                found.append(entry)
    return found


def files_of(case: Path) -> list[Path]:
    """The files of a case that are checked."""
    if case.is_file():
        return [case]
    return [path for path in sorted(case.rglob("*.py")) if not path.name.endswith(".fixed.py")]


def twin(path: Path) -> Path:
    """Where the fixed form of a fixture stands, if it has one."""
    return path.with_name(f"{path.stem}.fixed.py")

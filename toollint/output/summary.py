"""What is said about a run as a whole: the closing sentence, the fixes made, the counts by code."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from toollint.model import Report, Safety
from toollint.output import probes
from toollint.output.concise import best_fix
from toollint.output.terminal import Look, visible

if TYPE_CHECKING:
    from collections.abc import Sequence


def closing(report: Report, *, unsafe: bool, fixing: bool) -> str:
    """The closing sentence of a run; ``unsafe`` and ``fixing`` say which fixes were asked for and made."""
    left, fixed = len(report.diagnostics), _fixed(report)
    offered = _offered(report, unsafe=unsafe, fixing=fixing)
    if fixed:
        outcome = f"{left} left{offered}" if left else "none left"
        return f"Found {_count(fixed + left, 'problem')}: {fixed} fixed, {outcome}.\n"
    if left:
        return f"Found {_count(left, 'problem')}{offered}.\n"
    return f"No problems found in {_count(report.files, 'file')}.\n"


def pointer(report: Report) -> str:
    """Where to read more about the findings, and how to see them happen; empty where none has a page."""
    codes = sorted({found.code for found in report.diagnostics if found.url})
    if not codes:
        return ""
    counted = [code for code in codes if probes.script(code)]
    text = f"`toollint rule {codes[0]}` says more{_also(codes)}.\n"
    if counted:
        text += f"`toollint rule {counted[0]} --probe` prints a script that counts what stays{_also(counted)}.\n"
    return text


def _also(codes: Sequence[str]) -> str:
    return f" (also {', '.join(codes[1:])})" if codes[1:] else ""


def would_fix(report: Report) -> str:
    """The closing sentence of a run that only shows what it would change."""
    if not report.changes:
        return "Nothing to fix.\n"
    return f"Would fix {_count(_fixed(report), 'problem')} in {_count(len(report.changes), 'file')}.\n"


def fixes(report: Report, look: Look) -> str:
    """The fixes of a run by file and code; empty where there were none."""
    lines: list[str] = []
    for path, codes in sorted(report.fixed.items()):
        lines.append(f"{look.path(path)}:\n")
        lines += [f"  {count} x {code}\n" for code, count in sorted(codes.items())]
    return "".join(lines)


def counts(report: Report) -> list[dict[str, Any]]:
    """Findings by code, the most frequent first: code, name, count, and how many of them ``--fix`` can mend."""
    total = Counter((found.code, found.name) for found in report.diagnostics)
    safe = Counter(found.code for found in report.diagnostics if best_fix(found) is Safety.SAFE)
    ordered = sorted(total.items(), key=lambda item: (-item[1], item[0]))
    return [
        {"code": code, "name": name, "count": count, "fixable_count": safe[code]} for (code, name), count in ordered
    ]


def statistics(report: Report, look: Look) -> str:
    """`counts` as a table, followed by what the analyses counted about themselves."""
    rows = counts(report)
    wide = max((len(str(row["count"])) for row in rows), default=0)
    lines = [
        f"{row['count']:>{wide}}  {look.paint('bold', row['code'])}  {row['name']}{_fixable(row['fixable_count'])}\n"
        for row in rows
    ]
    lines += [f"{visible(name)}: {value}\n" for name, value in sorted(report.statistics.items())]
    return "".join(lines)


def _fixable(count: int) -> str:
    return f"  ({count} fixable)" if count else ""


def _fixed(report: Report) -> int:
    return sum(sum(codes.values()) for codes in report.fixed.values())


def _offered(report: Report, *, unsafe: bool, fixing: bool) -> str:
    """In brackets, which options would mend what is left. Where a fix was asked for and did not happen, none would."""
    best = [best_fix(found) for found in report.diagnostics]
    safe, risky = best.count(Safety.SAFE), best.count(Safety.UNSAFE)
    if fixing:
        words = [f"{risky} fixable with --unsafe-fixes"] if risky and not unsafe else []
    elif unsafe:
        words = [f"{safe + risky} fixable with --fix --unsafe-fixes"] if safe + risky else []
    else:
        words = _both(safe, risky)
    return f" ({', '.join(words)})" if words else ""


def _both(safe: int, risky: int) -> list[str]:
    words = [f"{safe} fixable with --fix"] if safe else []
    if risky:
        words.append(f"{risky} more with --unsafe-fixes" if safe else f"{risky} fixable with --fix --unsafe-fixes")
    return words


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"

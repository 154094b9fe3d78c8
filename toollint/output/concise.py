"""One line a finding: ``path:row:col: CODE severity message [fix: safe]``."""

from __future__ import annotations

from toollint.model import Diagnostic, Report, Safety, Severity
from toollint.output.terminal import Look, visible

SEVERITY_COLOUR = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.INFO: "blue"}


def render(report: Report, look: Look) -> str:
    """Every finding of ``report``, a line each."""
    return "".join(f"{line(diagnostic, look)}\n" for diagnostic in report.diagnostics)


def line(diagnostic: Diagnostic, look: Look) -> str:
    """One finding on one line."""
    row, column = diagnostic.region.start
    place = f"{look.paint('bold', look.path(diagnostic.path))}:{row}:{column}:"
    colour = SEVERITY_COLOUR[diagnostic.severity]
    head = f"{look.paint(colour, diagnostic.code)} {diagnostic.severity.value}"
    best = best_fix(diagnostic)
    marker = look.paint("cyan", f" [fix: {best.value}]") if best else ""
    return f"{place} {head} {visible(diagnostic.message)}{marker}"


def best_fix(diagnostic: Diagnostic) -> Safety | None:
    """The best safety among the fixes that can be applied; None where there is nothing to apply."""
    offered = {fix.safety for fix in diagnostic.fixes if fix.edits}
    return next((safety for safety in (Safety.SAFE, Safety.UNSAFE) if safety in offered), None)

"""The page of a rule, from its docstring: for a terminal, or as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from toollint.model import Default, Rule
from toollint.output import probes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from toollint.output.terminal import Look

_FENCE = "```"
_DEFAULT_WORDS = {
    Default.ON: "on by default",
    Default.PREVIEW: "preview: needs --preview",
    Default.OFF: "off: select it by code, name or ALL",
}


def page(rule: Rule, look: Look) -> str:
    """The page of ``rule`` as text: a title, a line of facts, then its Markdown with code indented."""
    fix = f"fix: {rule.fix.value}" if rule.fix else "no fix"
    title = look.paint("bold", f"{rule.code} {rule.name}")
    facts = look.paint("dim", f"{rule.severity.value}, {_DEFAULT_WORDS[rule.default]}, {fix}")
    return "\n".join([title, facts, "", *_body(rule.doc.strip(), look), *_probe(rule, look), "", rule.url, ""])


def data(rule: Rule) -> dict[str, Any]:
    """The page of ``rule`` as a JSON object; ``page`` is its whole Markdown, ``fix`` is None where it offers none."""
    doc = rule.doc.strip()
    return {
        "code": rule.code,
        "name": rule.name,
        "severity": rule.severity.value,
        "default": rule.default.value,
        "fix": rule.fix.value if rule.fix else None,
        "summary": doc.partition("\n")[0],
        "page": doc,
        "url": rule.url,
    }


def _probe(rule: Rule, look: Look) -> list[str]:
    """Where the rule has a probe: how to come by it."""
    if probes.script(rule.code) is None:
        return []
    command = f"toollint rule {rule.code} --probe > probe.py"
    text = (
        "A script for your own program: it counts the live objects before and after twenty calls, and who keeps them."
    )
    return ["", look.paint("bold", "Probe"), text, "", f"    {look.paint('cyan', command)}"]


def _body(markdown: str, look: Look) -> Iterator[str]:
    in_code = False
    for line in markdown.split("\n"):
        if line.startswith(_FENCE):
            in_code = not in_code
        elif in_code:
            yield f"    {look.paint('cyan', line)}" if line else ""
        elif line.startswith("#"):
            yield look.paint("bold", line.lstrip("# "))
        else:
            yield line

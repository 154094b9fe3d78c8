"""A comment silences a finding that is not there.

## Why
A suppression outlives the code that it was written for: it then hides the next real finding on its line. It is also
a sign that somebody fixed something, which deserves to be seen.

## Bad
```python
CACHE: dict[str, int] = {}  # toollint: ignore[TL201]
```

## Good
```python
CACHE: dict[str, int] = {}
```

## Fix
Removes the comment, or only the codes in it that silence nothing (safe: comments change no behaviour). Codes of other
tools stay, and a bare `# noqa` is never touched.

## Not reported
Codes of rules that did not run, or crashed; codes that are not toollint's; a bare `# noqa`, which other tools read too;
a bare `# toollint: ignore` unless every default rule ran.
"""

from collections.abc import Iterator

from toollint.model import Finding, Repair, Replace, Safety, Severity, rule
from toollint.suppressions import Idle


@rule("TL001", "unused-suppression", subject=Idle, severity=Severity.WARNING, fix=Safety.SAFE)
def check(idle: Idle) -> Iterator[Finding]:
    """Report a suppression, or codes in its list, that silenced nothing in this run."""
    named = ", ".join(f"`{text}`" for text in sorted(idle.texts))
    steps = tuple(Replace(idle.at(span), text) for span, text in idle.comment.edit_without(idle.texts or {""}))
    yield Finding(
        idle.at(idle.comment.span),
        f"this suppression of {named} silences nothing" if named else "`# toollint: ignore` silences nothing",
        notes=["it would hide the next finding on its line"],
        help="remove it",
        fixes=[Repair("remove it", Safety.SAFE, steps)] if steps else [],
    )

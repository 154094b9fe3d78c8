"""A function opens a resource, and an ordinary way through it ends without a release.

## Why
Nobody else can close what a function has opened, kept in a local name, and neither returned nor handed over. The
commonest form is the early `return`, which the author of the `close()` at the end did not think of; then the loop that
opens one in each round and closes the last, and the resource that never had a name (`connect(dsn).execute(query)`).

An object of a class of the project counts as well, where its constructor opens something and it has a closer.

## Bad
```python
import sqlite3


def find(path: str, key: str) -> str | None:
    conn = sqlite3.connect(path)
    row = conn.execute("select value from pairs where key = ?", (key,)).fetchone()
    if row is None:
        return None
    conn.close()
    return row[0]
```

## Good
```python
import sqlite3
from contextlib import closing


def find(path: str, key: str) -> str | None:
    with closing(sqlite3.connect(path)) as conn:
        row = conn.execute("select value from pairs where key = ?", (key,)).fetchone()
        return None if row is None else row[0]
```

## Fix
Opens it in a `with` around exactly the statements that need it open, as TL404 does, and takes the closes away that are
then too many; unsafe, because whoever goes on using it finds it closed. None where a value that may need it, as a
cursor, leaves these statements, or where it is an object of the project whose closer does more than
release.

## Not reported
What any call that is not known to borrow was given, what was stored, captured by a nested function, returned or
yielded: it is theirs from then on; what a branch or a loop lets go of that may be skipped by a condition of its own; an
answer that is read to its end, which gives its connection back; a server that serves for ever; a database in memory;
`main` and migrations, after which the process ends, and functions that fork; functions that run once for each request
or tool call (TL405); what only a failure leaves open (TL404); threads, processes, cursors, SDK clients of model
providers; functions that are too tangled to be followed; tests.
"""

from collections.abc import Iterator

from toollint.analyses.lifetimes.unreleased import Unreleased
from toollint.analyses.wrapping import repairs
from toollint.model import Default, Finding, Safety, Severity, rule


@rule(
    "TL413",
    "unreleased-resource",
    subject=Unreleased,
    severity=Severity.WARNING,
    default=Default.PREVIEW,
    fix=Safety.UNSAFE,
)
def check(found: Unreleased) -> Iterator[Finding]:
    """Report what an ordinary way through a function leaves open."""
    leak = found.leak
    if not leak.is_definite or not (found.is_heavy or found.resource.category == "http-response"):
        return
    if found.is_lasting and found.invoked is not None:
        return  # TL405 speaks
    yield Finding(
        leak.place,
        f"`{found.name}` is {_how(found)}",
        label="opened here",
        related=found.lost,
        notes=[found.note],
        help=found.advice,
        fixes=repairs(leak, found.values),
    )


def _how(found: Unreleased) -> str:
    leak, done = found.leak, found.closed
    if leak.how == "drop":
        return f"opened, used and dropped: nothing can be {done} any more"
    if leak.how in {"rebind", "loop"}:
        again = "in the next round" if leak.how == "loop" else "by another value"
        return f"replaced {again} before it is {done}"
    name = leak.function.name
    return f"not {done} on every path through `{name}`" if leak.is_seen_to else f"never {done} by `{name}`"

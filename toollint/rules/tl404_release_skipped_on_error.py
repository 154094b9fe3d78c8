"""A resource is released where all goes well, and left open where a statement before that fails.

## Why
A close at the end of a function is not reached when anything above it raises. The connection, socket or descriptor
then stays open, once for each failure, and failures come in crowds: a server that is down, a pool that is full.
dagster flooded its own connection pool that way (dagster#34154), redis lost a socket for each failed certificate check,
because the `except` around the connection named one class of errors and the check raised another. So do a close that
stands only in an `except`, and a gap between the opening and its `try`.

The library need not be known: what a function makes by a call and closes itself on one path, it has to close on every
other; and a generator that closes what it was given after its last `yield` has to do so for who stops early.

## Bad
```python
import psycopg


def count(dsn: str) -> int:
    conn = psycopg.connect(dsn)
    row = conn.execute("select count(*) from jobs").fetchone()
    conn.close()
    return row[0]
```

## Good
```python
from contextlib import closing

import psycopg


def count(dsn: str) -> int:
    with closing(psycopg.connect(dsn)) as conn:
        row = conn.execute("select count(*) from jobs").fetchone()
    return row[0]
```

## Fix
Opens it in its own `with`, or in `closing(...)` where that does more than close: the end of psycopg's `with` commits,
and what was never committed has to stay so. The block holds what stands between the opening and the close, which goes.
Safe where the two stand beside each other, the close is the last use, and nothing leaves the statements between; unsafe
where other closes have to go, or nothing is known of what is closed. A release of another name, and a `try` that is
there already, get a `finally`: unsafe, because a handler then meets it closed. None where anything else may use the
resource, or it is not plain which statements those are.

## Options
`files` (default false): report plain files too. They are closed as soon as nothing refers to them, and ruff's SIM115
asks for a `with` around each of them.
`rare` (default false): report also what only a rare failure loses: a cancellation, unless what it leaves open is known
to be open and dear; calls that nobody knows (`os.pipe()`, `build(config)`), unless their name says that they work with
the outside (`load_rows`), they are given the resource, or they are the project's own and raise something that no
handler closes on; a port that the system chooses; what only notes down, converts or writes to a buffer.

## Not reported
What is never released, however the function ends (TL405, TL413); what some way through the function hands to somebody
else and none releases, unless its own `connect` or `login` failed, or it is an answer that was asked for with
`stream=True` (by a caller perhaps, through `**kwargs`) and is lost to `raise_for_status()` before it is read; failures
that do not happen: attributes, arithmetic, `len`, loggers, methods of plain values, the closing calls themselves,
functions of the project that do only such things; what comes second, while another failure is dealt with; a failure of
the resource's own method, or of another opening, where a handler around it closes, whatever it catches; a `yield` in a
context manager (TL406); of what nothing else is known: what comes of a parameter, a `with`, a getter or an `open`, and
an early `return`; what the project's own function raises and a handler around it closes on; generators that are resumed
by hand; `main` and migrations, after which the process ends, and functions that fork; resources of low weight, threads,
processes, cursors; functions that are too tangled to be followed; tests.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from toollint.analyses.lifetimes.unreleased import Unreleased
from toollint.analyses.wrapping import repairs
from toollint.model import Default, Finding, Safety, Severity, rule


@dataclass(frozen=True)
class Options:
    """What the rule counts as a resource."""

    files: bool = False
    rare: bool = False


@rule(
    "TL404",
    "release-skipped-on-error",
    subject=Unreleased,
    severity=Severity.WARNING,
    default=Default.PREVIEW,
    fix=Safety.SAFE,
    options=Options,
)
def check(found: Unreleased, options: Options) -> Iterator[Finding]:
    """Report what only a failure leaves open."""
    leak = found.leak
    if leak.is_definite or (found.is_plain_file and not options.files):
        return
    if not found.is_unread and not (found.is_heavy and (leak.released or found.is_unfinished)):
        return
    if not found.is_likely and not options.rare:
        return
    yield Finding(
        leak.place,
        f"`{found.name}` is not {found.closed} if {_event(found)}",
        label="open, and lost on failure",
        related=found.lost,
        notes=[found.note],
        help=found.advice,
        fixes=repairs(leak, found.values),
    )


def _event(found: Unreleased) -> str:
    name = f"`{found.failing}`" if found.failing else "what follows"
    events = {
        "raise": f"{name} is raised" if found.failing else "the function raises",
        "await": f"the `await` of {name} is cancelled",
        "yield": "the consumer stops at the `yield`",
    }
    return events.get(found.leak.how, f"{name} fails")

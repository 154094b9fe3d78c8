"""A connection opened in the head of a `with` whose end commits, but does not close.

## Why
`with sqlite3.connect(path) as conn:` reads as if the connection ended with the block. It does not: the block is a
transaction, and its end commits or rolls back; psycopg2 and pyodbc have taken that over (all three measured), psycopg 3
and duckdb close. The connection stays open until it is collected, which for sqlite3 may take a full pass of the
garbage collector, and on Windows the file cannot be removed until then. Python 3.13 warns of it. langgraph's
`SqliteSaver.from_conn_string` left one connection open for each saver; crewAI has since rewritten some twenty
such blocks to the form below.

## Bad
```python
import sqlite3


def users(path: str) -> list[tuple[str]]:
    with sqlite3.connect(path) as conn:
        return conn.execute("select name from users").fetchall()
```

## Good
```python
import sqlite3
from contextlib import closing


def users(path: str) -> list[tuple[str]]:
    with closing(sqlite3.connect(path)) as conn, conn:
        return conn.execute("select name from users").fetchall()
```

## Fix
Puts `closing(...)` around the call and adds the connection as an item of its own, which keeps the commit: `closing`
alone would lose it. Safe where the acquiring call itself stands there and nothing that needs the connection can be used
after the block; unsafe where something may, as a cursor that is returned, and around a factory of the project. Only
shown where the connection has no name. Blocks of a file that enter the same factory are one finding, with one fix.

## Not reported
Connections that the function closes or hands to something that may; those that are returned, stored, used after the
block, or given to an object that is; a connection that exists before its `with`; a class of connection that the call
names (`factory=`), whose `with` may close; what a factory of the project keeps, or a decorator may have changed;
statements of a module, which run once; tests.
"""

from collections.abc import Iterator

from toollint.analyses.transactions import Transaction
from toollint.model import (
    AddImport,
    Finding,
    Note,
    Place,
    Repair,
    Replace,
    Role,
    Safety,
    Severity,
    Span,
    rule,
)

_TITLE = "close the connection at the end of the block"


@rule("TL403", "sqlite-with-does-not-close", subject=Transaction, severity=Severity.WARNING, fix=Safety.SAFE)
def check(found: Transaction) -> Iterator[Finding]:
    """Report a `with` that looks as if it closed the connection that it opens."""
    name = found.name or "conn"
    related = [Note(found.factory.place, "opens a new connection", Role.ACQUIRED)] if found.factory else []
    yield Finding(
        found.place,
        f"`with {found.called}()` ends the transaction and leaves the connection open",
        label="open after the block",
        related=[*related, *(Note(other.place, "open after this block, too", Role.ACQUIRED) for other in found.others)],
        notes=["each run of the block leaves one more connection, until a pass of the garbage collector finds it"],
        help=f"write `with closing({found.called}(...)) as {name}, {name}:`",
        fixes=[_repair(found)],
    )


def _repair(found: Transaction) -> Repair:
    items = [one for one in (found, *found.others) if one.name]
    if not found.name:
        recipe = f"with closing({found.called}(...)) as conn, conn:\n    ...\n"
        return Repair(_TITLE, Safety.DISPLAY, why="the connection has no name", recipe=recipe)
    steps = [step for one in items for step in _steps(one)]
    why = next(filter(None, map(_doubt, items)), "")
    add = AddImport(found.place.path, "contextlib", "closing")
    return Repair(_TITLE, Safety.UNSAFE if why else Safety.SAFE, (*steps, add), why=why)


def _steps(found: Transaction) -> Iterator[Replace]:
    """``closing(...)`` around the call, and the connection as an item of its own."""
    path, (start, end) = found.place
    yield _insert(path, start, "closing(")
    yield _insert(path, end, ")")
    if found.target is not None:
        yield _insert(path, found.code.at(found.target.start, found.target.end).span.end, f", {found.name}")


def _doubt(found: Transaction) -> str:
    if found.use_after is not None:
        return "something that needs the connection may be used after the block"
    return f"whoever else calls `{found.factory.name}` may hold the connection" if found.factory else ""


def _insert(path: str, offset: int, text: str) -> Replace:
    return Replace(Place(path, Span(offset, offset)), text)

"""A tool, endpoint or graph step makes an engine, a connection pool or a pooled client anew on every call.

## Why
An engine is a pool: it keeps the connections that were opened through it, for the next one who asks. Made anew for each
call nobody asks again, and the connections stay open until the garbage collector finds the engine (measured: an engine
of sqlalchemy goes in a full collection, the two monitor threads of a `MongoClient` never do). Servers run into «too
many connections» this way: mcp-alchemy#30 (an engine for each tool call), agenticos#1084, privacyidea#1168,
merou#679. Closing the session or the connection does not help: it only gives the connection back to the pool.

## Bad
```python
from langchain_core.tools import tool
from sqlalchemy import create_engine, text


@tool
def count_jobs(state: str) -> str:
    \"\"\"Count the jobs in a state.\"\"\"
    engine = create_engine("postgresql://db/jobs")
    with engine.connect() as conn:
        return str(conn.execute(text("select count(*) from jobs where state = :s"), {"s": state}).scalar())
```

## Good
```python
from langchain_core.tools import tool
from sqlalchemy import create_engine, text

ENGINE = create_engine("postgresql://db/jobs")


@tool
def count_jobs(state: str) -> str:
    \"\"\"Count the jobs in a state.\"\"\"
    with ENGINE.connect() as conn:
        return str(conn.execute(text("select count(*) from jobs where state = :s"), {"s": state}).scalar())
```

## Fix
Only shown: where the one engine should be made, and who disposes of it at the end, is the program's own business.

## Not reported
What the function releases on any way, enters by `with`, returns, stores, or hands to something that may keep it or
release it (released on some ways only: TL405); a function that is memoized, binds a `global`, or asks first whether
there is one; a factory of the project that keeps what it makes; an engine that is told how to pool (`poolclass=`) or
whose arguments are spread, one that is only asked what it is, and a database in memory; functions that nothing is known
to call again and again; modules named `__main__`; clients that are no pool (TL405, TL413); tests.
"""

from collections.abc import Iterator

from toollint.analyses.percall import PerCall
from toollint.model import Finding, Note, Repair, Role, Safety, Severity, rule
from toollint.syntax import callee, last_name

_AFTERWARDS = {
    "open after gc": "until the process exits: collecting the garbage does not end it",
    "freed by full gc pass": "until a full garbage collection, which may come much later",
}


@rule("TL409", "engine-per-call", subject=PerCall, severity=Severity.WARNING, fix=Safety.DISPLAY)
def check(found: PerCall) -> Iterator[Finding]:
    """Report a pool that each call makes and leaves."""
    event, kind = found.invoked.event, found.resource.name.rpartition(".")[2]
    verb = found.resource.release or "dispose"
    yield Finding(
        found.place,
        f"`{found.name or kind}` is made anew on every {event} and never {_released(verb)}",
        label="a pool for one call",
        related=[Note(found.invoked.place, f"runs once for each {event}", Role.REGISTERED)],
        notes=[f"each {event} leaves its `{kind}` behind, connections and all, {_afterwards(found)}"],
        help=_help(found, kind, verb),
        fixes=[_repair(found, kind)],
    )


def _released(verb: str) -> str:
    return "disposed of" if verb == "dispose" else "closed"


def _afterwards(found: PerCall) -> str:
    return _AFTERWARDS.get(found.resource.leak, "until it happens to be collected")


def _help(found: PerCall, kind: str, verb: str) -> str:
    if found.varies:
        return f"keep one `{kind}` for each address and share it, or call `{verb}()` in a `finally`"
    return f"make one `{kind}` at start-up and share it; closing a session or connection does not close its pool"


def _repair(found: PerCall, kind: str) -> Repair:
    called = last_name(callee(found.call) or found.call)
    recipe = f"{(found.name or kind).upper()} = {called}(...)  # once: at module level, or in the lifespan\n"
    return Repair("make it once and share it", Safety.DISPLAY, recipe=recipe)

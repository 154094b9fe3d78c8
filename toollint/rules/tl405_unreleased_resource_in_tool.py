"""A tool, endpoint or graph step opens a resource on every call and does not release it.

## Why
What runs once for each request leaks once for each request. aelix-ai#174 went from 3 to 23 open descriptors in 15
turns of a conversation; litellm, openai and anthropic have long threads about clients that are made for each call and
keep their connections (litellm#788, openai#820, anthropic#84). Garbage collection hides it: the connections go at the
next full collection, or never.

## Bad
```python
import psycopg
from langchain_core.tools import tool


@tool
def count_jobs(state: str) -> str:
    \"\"\"Count the jobs in a state.\"\"\"
    conn = psycopg.connect("dbname=jobs")
    row = conn.execute("select count(*) from jobs where state = %s", (state,)).fetchone()
    return str(row[0])
```

## Good
```python
import psycopg
from langchain_core.tools import tool


@tool
def count_jobs(state: str) -> str:
    \"\"\"Count the jobs in a state.\"\"\"
    with psycopg.connect("dbname=jobs") as conn:
        row = conn.execute("select count(*) from jobs where state = %s", (state,)).fetchone()
        return str(row[0])
```

## Fix
Opens it in a `with` around exactly the statements that need it open, as TL404 does; unsafe, because whoever goes on
using it finds it closed. None where a value that may need it, as a cursor, leaves these statements, or where it is an
object of the project whose closer does more than release.

## Not reported
Functions that nothing is known to call again and again (TL413); what any way through the function returns, stores, or
hands to a call that may keep it, is theirs on that way; what only a failure leaves open (TL404); plain files, which are
closed as soon as nothing refers to them; engines and pools that are never released (TL409), and what runs by itself and
is never stopped (TL410); resources of low weight, SDK clients of model providers, threads, processes;
functions that are too tangled to be followed; tests.
"""

from collections.abc import Iterator

from toollint.analyses.lifetimes.unreleased import Unreleased
from toollint.analyses.wrapping import repairs
from toollint.model import Finding, Note, Role, Safety, Severity, rule


@rule("TL405", "unreleased-resource-in-tool", subject=Unreleased, severity=Severity.WARNING, fix=Safety.UNSAFE)
def check(found: Unreleased) -> Iterator[Finding]:
    """Report what an ordinary way through a tool leaves open."""
    leak = found.leak
    if not leak.is_definite or not found.is_lasting or found.invoked is None:
        return
    invoked = found.invoked
    how = f"not {found.closed} on every path" if leak.is_seen_to else f"never {found.closed}"
    yield Finding(
        leak.place,
        f"`{found.name}` is opened on every {invoked.event} and {how}",
        label="opened again on each call",
        related=[*found.lost, Note(invoked.place, f"runs once for each {invoked.event}", Role.REGISTERED)],
        notes=[f"each {invoked.event} leaves one behind: {found.note}"],
        help=f"{found.advice}; or open one at start-up and share it",
        fixes=repairs(leak, found.values),
    )

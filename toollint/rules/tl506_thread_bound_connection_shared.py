"""A connection that refuses other threads is opened once and used by functions that run in worker threads.

## Why
`sqlite3.connect` binds the connection to the thread that calls it. A module is imported in one thread; LangGraph's
`ToolNode`, the OpenAI Agents SDK, Pydantic AI and FastMCP run plain tools in worker threads (read in their source), and
FastAPI runs plain routes in a pool of threads (its documentation). There each call ends in `ProgrammingError: SQLite
objects created in a thread can only be used in that same thread` (mem0#3184, persist-queue#175, holonote#10). A test
that calls the function directly passes.

## Bad
```python
import sqlite3

from langchain_core.tools import tool

conn = sqlite3.connect("agent.db")


@tool
def lookup(name: str) -> str:
    '''Look a user up.'''
    return str(conn.execute("select * from users where name = ?", (name,)).fetchone())
```

## Good
```python
import sqlite3
from contextlib import closing

from langchain_core.tools import tool


@tool
def lookup(name: str) -> str:
    '''Look a user up.'''
    with closing(sqlite3.connect("agent.db")) as conn:
        return str(conn.execute("select * from users where name = ?", (name,)).fetchone())
```

## Fix
Only shown. `check_same_thread=False` silences the error and needs a lock around every use: it is never written.

## Not reported
`check_same_thread=False`, or any value that is not literal; connections that a function opens, or an object for itself,
as an agent of one thread may use both there; names bound more than once; coroutine functions, which run in the thread
of their loop; functions that are not known to run in other threads; tests.
"""

from collections.abc import Iterator

from toollint.analyses.threads import Foreign
from toollint.model import Finding, Note, Repair, Role, Safety, Severity, rule

_RECIPE = """\
_local = threading.local()

def connection():
    if not hasattr(_local, "conn"):
        _local.conn = ...  # open it here: each thread has its own
    return _local.conn
"""


@rule("TL506", "thread-bound-connection-shared", subject=Foreign, severity=Severity.WARNING, fix=Safety.DISPLAY)
def check(found: Foreign) -> Iterator[Finding]:
    """Report a connection that a worker thread is refused."""
    use = found.user.at(found.use.start, found.use.end)
    yield Finding(
        found.place,
        f"`{found.name}` belongs to the thread that opens it; `{found.user.name}` runs in others",
        label="bound to this thread",
        related=[Note(use, "used in a worker thread", Role.LAST_USE)],
        notes=[
            f"the framework runs `{found.user.name}` in a worker thread: each use fails there, not in a direct call"
        ],
        help=f"open a connection in `{found.user.name}`, or one for each thread",
        fixes=[Repair("open one for each thread", Safety.DISPLAY, recipe=_RECIPE)],
    )

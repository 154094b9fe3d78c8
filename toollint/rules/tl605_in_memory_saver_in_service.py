"""A web service keeps conversations in an in-memory stand-in for a database.

## Why
`InMemorySaver` and its like are made for tests and first steps: they keep every step of every conversation in the
memory of the process, delete nothing, and lose all of it when the process restarts or a second worker answers
(langgraph docs#4648, adk-python#7154). A thread of a graph with one node takes 5.4 KiB, and 501 threads were all still
there (measured). For development that is right: therefore the rule is off unless it is selected.

## Bad
```python
from fastapi import FastAPI
from langgraph.checkpoint.memory import InMemorySaver

app = FastAPI()
memory = InMemorySaver()
```

## Good
```python
from contextlib import asynccontextmanager

from fastapi import FastAPI
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver


@asynccontextmanager
async def lifespan(app: FastAPI):
    async with AsyncPostgresSaver.from_conn_string("postgresql://db") as saver:
        app.state.saver = saver
        yield


app = FastAPI(lifespan=lifespan)
```

## Fix
Only shown: a saver with a database, opened by the lifespan.

## Not reported
Anything but module level of a file that makes a web application or router, or that such a file imports; one that a test
of the environment chooses; tests.
"""

from collections.abc import Iterator

from toollint.analyses.service import Volatile
from toollint.model import Default, Finding, Note, Repair, Role, Safety, Severity, rule

_RECIPE = """async with open_database() as saver:  # in the lifespan of the application
    app.state.saver = saver
    yield
"""


@rule(
    "TL605",
    "in-memory-saver-in-service",
    subject=Volatile,
    severity=Severity.INFO,
    default=Default.OFF,
    fix=Safety.DISPLAY,
)
def check(volatile: Volatile) -> Iterator[Finding]:
    """Report an in-memory store at module level of a web service."""
    yield Finding(
        volatile.place,
        f"`{volatile.name}` keeps {volatile.row.in_memory} in the memory of a service",
        label="grows with every conversation",
        related=[Note(volatile.app, "the application", Role.KEPT_BY)],
        notes=["nothing is deleted while the process runs, and everything is lost when it restarts"],
        help="keep it in a database, and delete what is old",
        fixes=[Repair("open one with a database in the lifespan", Safety.DISPLAY, recipe=_RECIPE)],
    )

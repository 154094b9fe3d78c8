"""Something is used after the `with` that has closed it, or something that was built on it.

## Why
`with SqliteSaver.from_conn_string(...) as saver: return builder.compile(checkpointer=saver)` gives a graph whose
database is closed before anybody can run it: `ProgrammingError: Cannot operate on a closed database` at the first call
(langgraph#1589, #5675). The same holds for tools that were loaded through an MCP session, for an agent that was given
them (smolagents#1046, #1179: `Event loop is closed`), and for a generator that has not started to read its file. It
fails far from the `with`, and only when it is used.

## Bad
```python
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import StateGraph
from langgraph.graph.state import CompiledStateGraph


def make_graph(builder: StateGraph) -> CompiledStateGraph:
    with SqliteSaver.from_conn_string("agent.db") as saver:
        return builder.compile(checkpointer=saver)
```

## Good
```python
from collections.abc import Iterator
from contextlib import contextmanager

from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import StateGraph
from langgraph.graph.state import CompiledStateGraph


@contextmanager
def make_graph(builder: StateGraph) -> Iterator[CompiledStateGraph]:
    with SqliteSaver.from_conn_string("agent.db") as saver:
        yield builder.compile(checkpointer=saver)
```

## Fix
Statements behind the `with` move into its block, as far as the first use: unsafe, because what they do then happens
before the end of the block. What is returned or stored can only be mended by its users: a recipe.

## Not reported
The place is what is returned, stored or used. Objects of which it is not known that every use after the release fails
(an ORM session, a `redis` client and `requests.Session` connect again), what a pool takes back, and everything that
was read out of the object: rows, answers, files' contents. Calls that are not known to keep what they are given.
Attributes that are set while the block goes on working, or emptied behind it; names that are bound more than once; what
is yielded; exit stacks that are emptied with `pop_all`; tests.
"""

from collections.abc import Iterator

from toollint.analyses.outliving import Outlived
from toollint.model import Finding, Note, Repair, Role, Safety, Severity, Surround, rule


@rule("TL402", "managed-object-outlives-with", subject=Outlived, severity=Severity.ERROR, fix=Safety.UNSAFE)
def check(found: Outlived) -> Iterator[Finding]:
    """Report the first use of what a `with` has closed."""
    word = "async with" if found.statement.is_async else "with"
    yield Finding(
        found.place,
        _message(found, word),
        label=f"closed by then: {found.how}",
        related=[Note(found.entered, "closed at the end", Role.CLOSES), *_built(found)],
        notes=[f"`{word}` closes `{found.name}` when its block is left: every use after that raises"],
        help=_help(found, word),
        fixes=[_repair(found, word)],
    )


def _message(found: Outlived, word: str) -> str:
    if found.built is None:
        return f"`{found.subject}` is {found.how} although `{word}` closes it"
    return f"`{found.subject}`, built on `{found.name}`, is {found.how} although `{word}` closes that"


def _built(found: Outlived) -> Iterator[Note]:
    if found.built is not None and found.subject != found.called:
        place = found.code.at(found.built.start, found.built.end)
        yield Note(place, f"built on `{found.name}` here", Role.STORED)


def _help(found: Outlived, word: str) -> str:
    if found.how == "used":
        return f"use `{found.subject}` inside the `{word}`"
    if found.how == "returned":
        return f"yield it from a context manager, or let the caller enter `{found.name}`"
    return f"keep `{found.name}` open as long as its holder: enter it in an exit stack that the holder closes"


def _repair(found: Outlived, word: str) -> Repair:
    rest = found.following
    if rest and found.where is found.code:
        place = found.code.at(rest[0].start, rest[-1].end)
        steps = (Surround(place, (), ()),)
        return Repair("use it inside the block", Safety.UNSAFE, steps, why="the block then ends later")
    recipe = f"{word} ... as {found.name}:\n    ...  # everything that needs `{found.name}`\n"
    if found.how == "returned":
        maker = "@asynccontextmanager\nasync def" if found.statement.is_async else "@contextmanager\ndef"
        recipe = f"{maker} ...:\n    {word} ... as {found.name}:\n        yield ...  # what was returned\n"
    return Repair("keep it open while it is used", Safety.DISPLAY, why="its users have to change", recipe=recipe)

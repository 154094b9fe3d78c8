"""A tracer or callback handler that starts threads is made anew for each request or run.

## Why
Tracing clients and exporters are made for the life of a process: each object starts threads that send what it collects,
and the threads hold it until it is shut down. One for each request, tool call or `invoke` leaves them behind each time,
until no thread can be started (langfuse#2974: a `CallbackHandler` for each `invoke`; langflow#9066: a client for each
flow that runs). What a handler only keeps in itself goes with it; of those the rule says nothing.

## Bad
```python
from fastapi import FastAPI
from posthog import Posthog

app = FastAPI()


@app.post("/ask")
def ask(question: str) -> str:
    posthog = Posthog("key", host="https://tracing")
    posthog.capture("asked", properties={"question": question})
    return question
```

## Good
```python
from fastapi import FastAPI
from posthog import Posthog

app = FastAPI()
posthog = Posthog("key", host="https://tracing")


@app.post("/ask")
def ask(question: str) -> str:
    posthog.capture("asked", properties={"question": question})
    return question
```

## Fix
Only shown: one handler for the process, which each call is given.

## Not reported
Handlers made while a module is imported, in `main`, in a function that is memoized, binds a global, or asks first
whether there is one already; those that a lifespan or another context manager makes; what is entered, or stored where
the next call finds it; a function or class that shuts down or flushes it; clients that share their threads with others
of the same settings, unless the settings come from the caller; a loop over exporters that makes one for each; tests.
"""

from collections.abc import Iterator

from toollint.analyses.handlers import Made
from toollint.model import Finding, Note, Repair, Role, Safety, Severity, rule


@rule("TL603", "handler-per-invocation", subject=Made, severity=Severity.WARNING, fix=Safety.DISPLAY)
def check(made: Made) -> Iterator[Finding]:
    """Report a handler with threads of its own that is made again and again."""
    when = _when(made)
    if not when or made.is_answered_for:
        return
    entry = made.invoked
    said = f"the {entry.role} runs once a {entry.event}" if entry is not None else ""
    function = made.code.function
    yield Finding(
        made.place,
        f"a new `{made.name}` is made {when}" + (f" of `{entry.entry.name}`" if entry is not None else ""),
        label="made again each time",
        related=[Note(entry.place, said, Role.REGISTERED)] if entry is not None else [],
        notes=[f"each one starts {made.row.starts}; whatever made it has long returned"],
        help=f"make one `{made.name}` when the program starts, and use it in every call",
        fixes=[Repair("make one for the process", Safety.DISPLAY, recipe=_recipe(made, function is not None))],
    )


def _when(made: Made) -> str:
    """How often one is made; empty where nothing says that it is more than once."""
    if made.invoked is not None:
        return f"for each {made.invoked.event}"
    if made.is_in_loop:
        return "in each round of the loop"
    function = made.code.function
    passed = function is not None and made.is_passed_to_invocation
    return f"for each call of `{function.name}`" if passed and function is not None else ""


def _recipe(made: Made, inside: bool) -> str:
    start, end = made.place.span
    text = made.code.scope.module.utf8[start:end].decode()
    where = "at module level, or in the lifespan of the app" if inside else "before the loop"
    return f"handler = {text}  # {where}\n"

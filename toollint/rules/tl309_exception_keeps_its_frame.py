"""A function is left while one of its names holds an exception: the exception and the frame keep each other alive.

## Why
The traceback of an exception refers to every frame that it went through; a frame refers to its locals and to the frame
that called it. Python therefore deletes `error` at the end of `except ... as error`. With a second name for it the two
form a cycle, and the locals of the function and of all its callers, whatever they are (a tool, a connection, a model on
a GPU), stay until a full garbage collection. It makes no difference whether the exception is raised in the end,
returned as a value, or forgotten because the next try succeeds (measured). huggingface_hub detaches the tracebacks of
the errors that it returns since vLLM's memory stayed occupied after a download from the cache (vllm#50341); redis-py
deletes the name after it has raised a reply that is an error; the standard library does the same in `socket`,
`concurrent.futures` and `asyncio`. Off by default: where errors are rare, nobody will ever see the difference.

## Bad
```python
def fetch(get, tries: int = 3):
    last = None
    for _ in range(tries):
        try:
            return get()
        except OSError as error:
            last = error
    raise last
```

## Good
```python
def fetch(get, tries: int = 3):
    last = None
    for _ in range(tries):
        try:
            return get()
        except OSError as error:
            last = error
    try:
        raise last
    finally:
        del last
```

## Fix
Deletes the name in a `finally` around the `raise`; unsafe, because a function inside that uses the name fails from then
on. A way out of the function before that statement keeps the exception still. Only shown where it is not raised.

## Not reported
Names that the function deletes, or sets to None, after they got the exception; an exception without its traceback
(`error.with_traceback(None)`); attributes, containers and names of other scopes; `raise` of what is made right there;
the items of a list of results; tests.
"""

from collections.abc import Iterator

from toollint.analyses.tracebacks import Kept
from toollint.model import Default, Finding, Note, Repair, Role, Safety, Severity, Surround, rule
from toollint.syntax import Raise, Return


@rule(
    "TL309",
    "exception-keeps-its-frame",
    subject=Kept,
    severity=Severity.INFO,
    default=Default.OFF,
    fix=Safety.UNSAFE,
)
def check(found: Kept) -> Iterator[Finding]:
    """Report a local name that holds an exception when its function is left."""
    copied = found.copied
    yield Finding(
        found.place,
        f"`{found.function.name}` and the exception in `{found.name}` keep each other alive",
        label="its traceback holds this frame",
        related=[Note(copied, "gets a second name here", Role.STORED)] if copied is not None else [],
        notes=["the locals here and in all callers stay until a full garbage collection"],
        help=_help(found),
        fixes=[_repair(found)],
    )


def _help(found: Kept) -> str:
    if isinstance(found.stmt, Return):
        return f"return `{found.name}.with_traceback(None)`, where the caller needs no traceback"
    return f"`del {found.name}` in a `finally`, when the function is done with it"


def _repair(found: Kept) -> Repair:
    title, lines = f"delete `{found.name}` in the end", ("finally:", f"    del {found.name}")
    if isinstance(found.stmt, Raise):
        around = Surround(found.place, ("try:",), lines)
        return Repair(title, Safety.UNSAFE, (around,), why="a function inside may still use the name")
    return Repair(title, Safety.DISPLAY, recipe="\n".join(("try:", "    ...", *lines, "")))

"""`__del__` hands the release to an event loop, or makes a coroutine that nobody awaits.

## Why
The garbage collector calls `__del__` wherever it happens to run. If no loop runs there, nothing can be scheduled; if
one does, it is often another than the object was used in, and closing a connection fails with «Event loop is closed»;
and when the process ends, a scheduled task never gets its turn. openai's clients close their HTTP client this way, and
people have met it ever since (openai#1254, openai#2440, anthropic#807, langchain#35327); hermes-agent had to put an
empty `__del__` in its place, because collecting a client stopped its prompt (hermes-agent#3398). `ensure_future` is no
better (kubernetes_asyncio#67), and `asyncio.run` raises wherever a loop is running. A coroutine function that is called
and not awaited, or a `__del__` that is one itself, does nothing at all.

## Bad
```python
import asyncio

import httpx


class Search:
    def __init__(self) -> None:
        self._http = httpx.AsyncClient()

    async def aclose(self) -> None:
        await self._http.aclose()

    def __del__(self) -> None:
        try:
            asyncio.get_running_loop().create_task(self.aclose())
        except RuntimeError:
            pass
```

## Good
```python
import warnings
from typing import Any

import httpx


class Search:
    def __init__(self) -> None:
        self._http = httpx.AsyncClient()

    async def aclose(self) -> None:
        await self._http.aclose()

    async def __aenter__(self) -> "Search":
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    def __del__(self, _warn: Any = warnings.warn) -> None:
        if not self._http.is_closed:
            _warn(f"{self!r} was not closed", ResourceWarning, source=self)
```

## Fix
Only shown: a closer that is awaited, the methods for `async with`, and a `__del__` that does no more than warn, as
aiohttp's does. Those who use the object have to await the closer from then on.

## Not reported
The place is the call in `__del__`, also where a method of the class does it in turn, up to three deep. A `__del__` that
warns, or closes without a coroutine; a loop that the object has made for itself or was given, and work for a loop from
other threads (`run_coroutine_threadsafe`, `call_soon_threadsafe`), which does run if that loop is alive; classes whose
ordinary methods run a loop to completion too; `asyncio.run` behind a check that no loop is running, unless the
catalogue knows what is closed to belong to the loop of its first use; functions of the project that are given the
coroutine; code that asks `iscoroutine`; an `async def __del__` where a framework may await it, as Ray Serve does: the
class or a subclass is decorated, has a base that is not known, or is handed on as a value.
"""

import textwrap
from collections.abc import Iterator

from toollint.analyses.async_del import DEL, AsyncDel, Slip
from toollint.analyses.closers import VERBS, closers_of
from toollint.analyses.protocols import has_method
from toollint.facts import FunctionFacts
from toollint.model import Finding, Note, Repair, Role, Safety, Severity, rule
from toollint.syntax import Attr, Name

_MOVED = 12
"""Lines of a ``__del__`` that are shown in their new place; a longer one is not repeated."""


@rule("TL502", "async-cleanup-in-del", subject=AsyncDel, severity=Severity.ERROR, fix=Safety.DISPLAY)
def check(subject: AsyncDel) -> Iterator[Finding]:
    """Report a ``__del__`` that leaves its work to a coroutine."""
    slip = subject.slip
    if slip is not None:
        yield Finding(
            slip.place,
            f"`{subject.cls.name}.{DEL}` {_message(slip)}",
            label="nothing may come of it",
            related=[*_related(subject, slip)],
            notes=[_note(slip)],
            help=_help(subject),
            fixes=[_repair(subject, slip)],
        )


# --- words -------------------------------------------------------------------------------------------------------


def _message(slip: Slip) -> str:
    if slip.bound:
        return f"runs `{slip.name}()` in another loop than it belongs to"
    return {
        "spawned": f"schedules `{slip.name}()`: no loop, a wrong one or a dead one runs it",
        "run": f"runs `{slip.name}()`: its loop is running, gone or a wrong one",
        "dropped": f"calls `{slip.name}()` without `await`: nothing is released",
        "async": "is a coroutine function: nobody awaits it, nothing is released",
    }[slip.what]


def _note(slip: Slip) -> str:
    if slip.bound:
        return f"`{slip.bound}` belongs to the loop of its first use: closed in another, it fails or stays open"
    return {
        "spawned": "where no loop runs nothing is scheduled, in another loop closing fails, at exit no task runs",
        "run": "while a loop runs in the thread it releases nothing, afterwards the loop of the object is closed",
        "dropped": "the coroutine is dropped before it has run: what it was to release stays open",
        "async": "the garbage collector drops the coroutine that it gets: the body never runs",
    }[slip.what]


def _related(subject: AsyncDel, slip: Slip) -> Iterator[Note]:
    if slip.inside is not None:
        yield Note(slip.inside, "a loop is given it here", Role.CLOSES)
    closer = _awaited_closer(subject)
    own = subject.values.project.class_member(subject.cls, closer) if closer else None
    if isinstance(own, FunctionFacts):
        yield Note(own.place, "this can be awaited", Role.CLOSES)


def _help(subject: AsyncDel) -> str:
    closer = _awaited_closer(subject)
    if closer:
        return f"leave `{closer}` to those who can await it; in `{DEL}` only warn with ResourceWarning"
    return f"release in `aclose` and `__aexit__`, which can be awaited; in `{DEL}` only warn with ResourceWarning"


# --- what to write instead ---------------------------------------------------------------------------------------


def _awaited_closer(subject: AsyncDel) -> str:
    """The coroutine function of the class that ends the life of an object; empty if there is none."""
    found = closers_of(subject.values, subject.cls)
    return next((verb for verb in VERBS if found.get(verb)), "")


def _repair(subject: AsyncDel, slip: Slip) -> Repair:
    closer = _awaited_closer(subject)
    blocks = [["import warnings"]]
    blocks += [] if closer else [["async def aclose(self) -> None:", *_indented(_release(subject, slip))]]
    blocks += _protocol(subject, closer or "aclose")
    blocks.append(
        [
            f"def {DEL}(self, _warn=warnings.warn) -> None:",
            f'    if not getattr(self, "_closed", False):  # `{closer or "aclose"}` has to set it',
            '        _warn(f"{self!r} was not closed", ResourceWarning, source=self)',
        ]
    )
    recipe = "\n\n".join("\n".join(block) for block in blocks) + "\n"
    title = f"release where it can be awaited, warn in `{DEL}`"
    return Repair(title, Safety.DISPLAY, why="those who use the object have to close it then", recipe=recipe)


def _protocol(subject: AsyncDel, closer: str) -> list[list[str]]:
    """The methods for ``async with`` that the class does not have."""
    methods = {
        "__aenter__": [f'async def __aenter__(self) -> "{subject.cls.name}":', "    return self"],
        "__aexit__": ["async def __aexit__(self, *exc: object) -> None:", f"    await self.{closer}()"],
    }
    lineage = subject.values.project.lineage(subject.cls)
    return [lines for name, lines in methods.items() if not has_method(subject.values, lineage, name)]


def _release(subject: AsyncDel, slip: Slip) -> list[str]:
    """The body of a new closer: what ``__del__`` was to do, awaited, as far as that can be said."""
    body, call, done = subject.method.node.body, slip.coroutine, "self._closed = True"
    if slip.what == "async":
        moved = _text(slip.function, body[0].start, body[-1].end).splitlines()
        return [*(moved if len(moved) <= _MOVED else [f"...  # what `{DEL}` does"]), done]
    if call is not None and isinstance(call.base, Name) and call.base.id == "self" and isinstance(call.links[0], Attr):
        if call.links[0].name == "aclose":  # the closer that this is the body of: the one that it overrides is meant
            return ["await super().aclose()", done]
        return [f"await {_text(slip.function, call.start, call.end)}", done]
    return ["...  # await what has to be released", done]


def _text(function: FunctionFacts, start: int, end: int) -> str:
    """The text of a node, its further lines as far to the left as its first one."""
    utf8, (start, end) = function.module.utf8, function.at(start, end).span
    column = start - (utf8.rfind(b"\n", 0, start) + 1)
    return textwrap.dedent(" " * column + utf8[start:end].decode()).strip()


def _indented(lines: list[str]) -> list[str]:
    return ["    " + line if line else line for line in lines]

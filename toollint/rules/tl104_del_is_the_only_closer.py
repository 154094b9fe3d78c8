"""A class releases what it has opened in `__del__` alone: nobody can release it at a time of their choosing.

## Why
`__del__` runs when the last reference to an object goes. A cache, a kept traceback or a registry of tools holds one
for ever; a reference cycle puts it off until the garbage collector happens to run; at exit Python may not run it at
all. Drivers have learned it the hard way: neo4j's no longer closes in `__del__` (neo4j-python-driver#653, #1183), and
the finalizer of llama_index's `VectaraIndex` never ran because an `lru_cache` held the index (llama_index#23089).
CrewAI's search tools for MongoDB and Snowflake, LangGraph's SQLite cache and LangChain's chat history for Postgres
offer no other way to give their connections back.

## Bad
```python
from pymongo import MongoClient


class Search:
    def __init__(self, url: str) -> None:
        self._client = MongoClient(url)

    def find(self, text: str) -> list[object]:
        return list(self._client["db"]["notes"].find({"text": text}))

    def __del__(self) -> None:
        self._client.close()
```

## Good
```python
from pymongo import MongoClient


class Search:
    def __init__(self, url: str) -> None:
        self._client = MongoClient(url)

    def find(self, text: str) -> list[object]:
        return list(self._client["db"]["notes"].find({"text": text}))

    def close(self) -> None:
        self._client.close()

    def __enter__(self) -> "Search":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()
```

## Fix
Moves what `__del__` does into a new `close`, which `__del__` then calls, and adds the context-manager methods. Unsafe:
the object can be used after it was closed, as it could not before. Applied only where running the statements twice is
known to be harmless, since `__del__` still runs after `close`. Only shown otherwise, where a name is taken, where the
framework has hooks of another kind, or where the `__del__` is inherited. Somebody still has to call `close`.

## Not reported
A class with any other closer, its own or inherited, or with a base that is not known; an attribute that any other
method, a subclass or other code of the project may release; what was passed in; resources of low weight, files (they
close themselves just as early), clients of model providers; what has to be awaited; a `__del__` that only warns or
counts; `weakref.finalize`, `atexit`, exit stacks and singletons.
"""

from collections.abc import Iterator

from toollint.analyses.finalizers import DEL, Finalized, Released
from toollint.analyses.rerun import Rerun
from toollint.model import AddMethods, Finding, Note, Place, Repair, Replace, Role, Safety, Severity, Span, Step, rule

_NAMES = ("close", "__enter__", "__exit__")
_TITLE = "move what `__del__` does into `close`, and add the context-manager methods"


@rule("TL104", "del-is-the-only-closer", subject=Finalized, severity=Severity.WARNING, fix=Safety.UNSAFE)
def check(finalized: Finalized) -> Iterator[Finding]:
    """Report a class whose `__del__` releases what nothing else does."""
    if not finalized.released or not finalized.lineage.known or finalized.closers:
        return
    released = [one for one in finalized.released if not finalized.is_released_elsewhere(one)]
    if not released:
        return
    yield Finding(
        finalized.cls.place if finalized.is_inherited else finalized.method.place,
        f"`{finalized.cls.name}` closes `self.{released[0].attribute}` only in `{DEL}`, which may come late or never",
        label="nobody can close it on time",
        related=[*_places(finalized, released)],
        notes=[f"a cache or a reference cycle keeps `{DEL}` waiting, and the end of the process may skip it"],
        help=f"add `close`, call it when the object is no longer used, and let `{DEL}` only call it too",
        fixes=[_repair(finalized, released)],
    )


def _places(finalized: Finalized, released: list[Released]) -> Iterator[Note]:
    for one in released:
        yield Note(one.acquired, f"`self.{one.attribute}` is acquired here", Role.ACQUIRED)
        yield Note(one.closed, "closed here, and nowhere else", Role.CLOSES)
    if finalized.is_inherited:
        yield Note(finalized.method.place, f"the inherited `{DEL}`", Role.CLOSES)


# --- the closer that is missing ----------------------------------------------------------------------------------


def _repair(finalized: Finalized, released: list[Released]) -> Repair:
    moved = Rerun(finalized.method, finalized.parts, released)
    obstacle = _obstacle(finalized) or moved.obstacle
    if obstacle:
        lines = _lines(finalized, [f"self.{one.attribute}.{one.verb}()" for one in released], "")
        return Repair(_TITLE, Safety.DISPLAY, why=obstacle, recipe="\n".join(lines) + "\n")
    cls = finalized.cls
    place = Place(cls.module.path, Span(cls.origin + cls.node.start, cls.origin + cls.node.end))
    steps: tuple[Step, ...] = (
        Replace(moved.place, "self.close()"),
        AddMethods(place, tuple(_lines(finalized, moved.lines, "; calling it twice is harmless")), _NAMES),
    )
    return Repair(_TITLE, Safety.UNSAFE, steps, why="the object can then be used after it was closed")


def _obstacle(finalized: Finalized) -> str:
    """Why the methods cannot simply be added, empty if they can."""
    cls, owner = finalized.cls, finalized.owner
    if finalized.is_inherited:
        return f"`{DEL}` is inherited, and other classes share it"
    if "close" in cls.methods:
        return "`close` is there already and does nothing: fill it in"
    clash = next((name for name in _NAMES if name in owner.members), "")
    if clash:
        return f"`{clash}` means something else in this class already"
    tool = owner.component.tool if owner.component is not None else None
    if tool is not None and (tool.closer == "async" or (tool.called and "close" not in tool.hooks)):
        return f"{tool.framework} has hooks of its own: {', '.join(tool.hooks)}"
    return ""


def _lines(finalized: Finalized, body: list[str], again: str) -> list[str]:
    return [
        "def close(self) -> None:",
        f'    """Release what this object has opened{again}."""',
        *("    " + line if line else "" for line in body),
        "",
        f'def __enter__(self) -> "{finalized.cls.name}":',
        "    return self",
        "",
        "def __exit__(self, *exc: object) -> None:",
        "    self.close()",
    ]

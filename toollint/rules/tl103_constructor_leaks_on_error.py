"""A constructor opens something and may fail afterwards: what it has opened is lost.

## Why
A constructor that raises leaves no object behind. Its caller has nothing to close, and the resource stays open until
the garbage collector finds it or the process ends, once for each attempt: a retry loop that waits for a server to come
up makes many of them. Twenty constructors that fail after `sqlite3.connect` leave twenty files open (measured), until a
full collection. LangChain's `Neo4jGraph` connects its driver and then raises where a plugin is missing on the server;
Cogtrix#908 is the same in a factory.

## Bad
```python
from pymongo import MongoClient


class Notes:
    def __init__(self, url: str) -> None:
        self._client = MongoClient(url)
        self._client.admin.command("ping")

    def close(self) -> None:
        self._client.close()
```

## Good
```python
from pymongo import MongoClient


class Notes:
    def __init__(self, url: str) -> None:
        self._client = MongoClient(url)
        try:
            self._client.admin.command("ping")
        except BaseException:
            self._client.close()
            raise

    def close(self) -> None:
        self._client.close()
```

## Fix
Puts the statements that may fail into a `try` whose handler closes what was opened and raises again. Unsafe: other code
runs when something fails, and an error while closing comes before the first one. Only shown where the resource is
opened in one branch and lost in another, where closing has to be awaited, and where the release only waits for an end
that nobody brings about (`Popen.wait`).

## Not reported
Steps that are not known to fail: what counts is an explicit `raise`, another acquisition of the catalogue, and a call
on the resource that goes to the other end (`connect`, `ping`, `login`, `execute` ...). What holds nothing before its
first use and was not used yet; what is closed as soon as the last reference goes; resources of low weight, and those of
medium weight that the garbage collector closes. A `try` that catches the failure or closes; a constructor that closes
on any path, itself or by a helper; a `raise` below a test of the resource itself; exit stacks, `weakref.finalize`,
`atexit`; a class with a `__del__`, which runs also for objects that were not finished; objects that are given to
somebody before; classes with a base that is not known.
"""

from collections.abc import Iterator

from toollint.analyses.construction import Construction, Loss
from toollint.analyses.guarding import endangered
from toollint.analyses.release import WAITS
from toollint.model import (
    AddImport,
    Default,
    Finding,
    Note,
    Repair,
    Role,
    Safety,
    Severity,
    Step,
    Surround,
    rule,
)

_SHOWN = 3
"""How many of the steps that may fail are shown."""


@rule(
    "TL103",
    "constructor-leaks-on-error",
    subject=Construction,
    severity=Severity.WARNING,
    default=Default.PREVIEW,
    fix=Safety.UNSAFE,
)
def check(construction: Construction) -> Iterator[Finding]:
    """Report what a constructor opens and loses if one of its later steps fails."""
    for loss in construction.losses if construction.lineage.known else ():
        yield Finding(
            loss.opened.place,
            f"`{construction.cls.name}` loses the open `self.{loss.opened.attribute}` if {_event(loss)}",
            label="open, and lost on failure",
            related=[Note(step.place, "fails here, nothing closes it", Role.ESCAPES) for step in loss.steps[:_SHOWN]],
            notes=[_growth(loss)],
            help=f"close `{loss.name}` in an `except BaseException` around what follows, and raise again",
            fixes=[_repair(construction, loss)],
        )


def _event(loss: Loss) -> str:
    name = loss.steps[0].name
    return f"`{name}` fails" if name else "its constructor raises"


def _growth(loss: Loss) -> str:
    resource = loss.opened.acquisition.resource
    name = resource.name.rpartition(".")[2]
    when = {
        "open after gc": "until the process exits: garbage collection does not close it",
        "freed by full gc pass": "until a full garbage collection, which may come much later",
    }.get(resource.leak, "until the process exits or it is collected")
    return f"nobody gets the object, and each failed attempt leaves one `{name}` open {when}"


def _repair(construction: Construction, loss: Loss) -> Repair:
    resource, name = loss.opened.acquisition.resource, loss.name
    title = f"close `{name}` where the constructor fails"
    release = f"{resource.release}({name})" if "." in resource.release else f"{name}.{resource.release}()"
    handler = ("except BaseException:", f"    {release}", "    raise")
    function = construction.function
    block = endangered(function, loss)
    obstacle = _obstacle(loss)
    if obstacle or not block:
        why = obstacle or "it is opened in another branch than the one that fails"
        return Repair(title, Safety.DISPLAY, why=why, recipe="\n".join(("try:", "    ...", *handler)) + "\n")
    steps: list[Step] = [Surround(function.at(block[0].start, block[-1].end), ("try:",), handler)]
    module = resource.release.rpartition(".")[0]
    steps += [AddImport(function.module.path, module)] if module else []
    return Repair(title, Safety.UNSAFE, tuple(steps), why="an error while closing comes before the first one")


def _obstacle(loss: Loss) -> str:
    """Why a handler cannot simply release it, empty if it can."""
    resource = loss.opened.acquisition.resource
    if resource.async_:
        return f"`{resource.release}` has to be awaited, and a constructor cannot: open it in a coroutine"
    if resource.release in WAITS:
        return f"`{resource.release}` waits for its end: something has to bring that about first"
    return ""

"""A finalizer is given something that holds the very object whose death it waits for.

## Why
`weakref.finalize(obj, callback, ...)` holds `obj` weakly, but its registry holds callback and arguments strongly until
`obj` dies. A bound method holds its object, a lambda or nested function that mentions `self` does, and so does `self`
among the arguments: then the object is never collected, with all that it holds, and the callback runs at exit only.
redis-vl kept every index since 0.4.0 this way, 33.5 KB for each request, and ran out of memory every four days
(redis-vl-python#657); vllm#52124, ophyd#865, nnbench#111 and cufinufft#47 are the same mistake.

## Bad
```python
import sqlite3
import weakref


class Notes:
    def __init__(self, path: str) -> None:
        self._conn = sqlite3.connect(path)
        self._finalizer = weakref.finalize(self, self.close)

    def close(self) -> None:
        self._conn.close()
```

## Good
```python
import sqlite3
import weakref


class Notes:
    def __init__(self, path: str) -> None:
        self._conn = sqlite3.connect(path)
        self._finalizer = weakref.finalize(self, self._conn.close)

    def close(self) -> None:
        self._conn.close()
```

## Fix
Hands over `self._conn.close` where that is all that the callback does, `_conn` holds a resource that the catalogue
knows with this release, it is bound once, in the constructor, and nothing that the class does with it gives it a way
back to `self`. Safe where a bound method stands below the acquisition in the same constructor and no subclass in the
project has another method of that name, and where no caller is given `_conn` or a cursor of it, which would be closed
with the object; unsafe around a lambda, a nested function (which is left behind) or a partial, and where the finalizer
is made in another method. Otherwise a recipe is shown: a function that is given what has to be
closed.

## Not reported
Static and class methods; methods of what the object holds, unless a class of the project stores the object that it was
given (`self._x = Helper(self)`); `obj.__dict__`, which does not hold `obj`; weak references and proxies; what a call
gives that is not understood; a callback that holds another object than the one that is waited for; objects of which the
process has one, made while it starts.
"""

from collections.abc import Iterator

from toollint.analyses.callbacks import FINALIZE, Registration
from toollint.analyses.detached import Detached, detached, recipe
from toollint.analyses.once import lives_once
from toollint.facts import ClassFacts
from toollint.model import Finding, Repair, Replace, Safety, Severity, rule

_TITLE = "hand over only what has to be closed"


@rule("TL302", "finalizer-keeps-owner-alive", subject=Registration, severity=Severity.ERROR, fix=Safety.SAFE)
def check(registration: Registration) -> Iterator[Finding]:
    """Report a finalizer that holds its own object."""
    hold, thing = registration.hold, registration.thing
    if registration.registry != FINALIZE or hold is None or thing is None:
        return
    if isinstance(thing.cls, ClassFacts) and lives_once(registration.values, thing.cls):
        return
    instead = detached(registration)
    name = registration.name
    yield Finding(
        registration.place,
        f"the finalizer of `{name}` keeps it alive: {hold.words}",
        label="never runs before exit",
        related=[hold.note],
        chain=[*registration.chain()],
        notes=[f"the callback is held until the `{name}` dies, and holds it: both stay until exit, unless detached"],
        help=f"register `{instead.text}`" if instead else "register a function that is given only what it has to close",
        fixes=[_repair(registration, instead)],
    )


def _repair(registration: Registration, instead: Detached | None) -> Repair:
    if instead is None:
        why = "the callback is more than the release of one resource that is known"
        return Repair(_TITLE, Safety.DISPLAY, why=why, recipe=recipe(registration))
    callback = registration.code.at(registration.callback.start, registration.callback.end)
    safety = Safety.UNSAFE if instead.doubt else Safety.SAFE
    return Repair(_TITLE, safety, (Replace(callback, instead.text),), why=instead.doubt)

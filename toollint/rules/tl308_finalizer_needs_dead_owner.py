"""What is called when an object has died asks for that object, through a weak reference to it.

## Why
Python clears all weak references to an object before it calls the callbacks that wait for its death. A callback of
`weakref.finalize(self, ...)` that gets `self` from `weakref.ref(self)` therefore gets None, one with a
`weakref.proxy(self)` raises ReferenceError, and a `weakref.WeakMethod(self.close)` runs nothing at all. Usually a check
for None, well meant, hides that the cleanup has never run: it is tried when the process ends, and then only for what is
still alive. A review of unstructured's client found its HTTP clients left open this way, synchronous and asynchronous
(unstructured-python-client#339). It is the opposite mistake to TL302, and often the mend of it.

## Bad
```python
import sqlite3
import weakref


class Notes:
    def __init__(self, path: str) -> None:
        self._conn = sqlite3.connect(path)
        owner_ref = weakref.ref(self)

        def release() -> None:
            owner = owner_ref()
            if owner is not None:
                owner.close()

        self._finalizer = weakref.finalize(self, release)

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
Only shown: a function that is given what has to be released. What is opened later needs a holder that both have, a list
or a small object, so that the finalizer finds it there.

## Not reported
A callback that takes the resource itself, or a reference to another object; one that does anything besides (a lock and
a message aside) where the object is gone, as those do that take a key or the reference out of a container; one that
cannot be read: a library's function, a method that is not known. Objects that have a `__del__`: that runs while the
weak references still work, and may call the finalizer. Objects of which the process has one: they die at exit, where
`weakref.finalize` finds them alive.
"""

from collections.abc import Iterator

from toollint.analyses.callbacks import FINALIZE
from toollint.analyses.detached import release_of
from toollint.analyses.obituary import Obituary
from toollint.analyses.once import lives_once
from toollint.facts import ClassFacts
from toollint.model import Finding, Note, Repair, Role, Safety, Severity, rule

_WORDS = {
    "ref": "asks a weak reference to it, dead by then: finds nothing",
    "proxy": "asks a proxy of it, dead by then: that raises",
    "method": "calls a weak method of it, dead by then: nothing runs",
}


@rule("TL308", "finalizer-needs-dead-owner", subject=Obituary, severity=Severity.ERROR, fix=Safety.DISPLAY)
def check(obituary: Obituary) -> Iterator[Finding]:
    """Report a callback that needs the object whose death calls it."""
    cls, name = obituary.thing.cls, obituary.name
    if isinstance(cls, ClassFacts) and lives_once(obituary.values, cls):
        return
    finalizer = obituary.registry == FINALIZE
    related = [Note(obituary.asked, "asked for when it is dead", Role.LAST_USE)]
    if obituary.weak.place not in {obituary.asked, obituary.place}:
        related.append(Note(obituary.weak.place, "cleared before the callback", Role.KEPT_BY))
    late = "; it works only at exit, or called by hand, while the object lives" if finalizer else ""
    yield Finding(
        obituary.place,
        f"the {'finalizer' if finalizer else 'callback'} of `{name}` {_WORDS[obituary.weak.kind]}",
        label="never releases what dies",
        related=related,
        notes=[f"all weak references to it are cleared before what waits for its death is called{late}"],
        help="give the callback what it has to release, not a way to the object",
        fixes=[_repair(obituary)],
    )


def _repair(obituary: Obituary) -> Repair:
    recipe = release_of(obituary.subject_text, obituary.wanted)
    why = "what the callback needs has to be there when it is registered"
    return Repair("hand over only what has to be released", Safety.DISPLAY, why=why, recipe=recipe)

"""Every object registers a method of its own for the end of the process, and so none of them ever goes before it.

## Why
`atexit.register(self.close)` keeps the bound method, and with it the object and all that it holds, until the process
exits, however early the object was closed and dropped. In a script that is nothing; in a service every tool, session or
sandbox that was ever made stays (devlib#676, nessrest#81, EasyProcess#1, jupyter_client#336; crewAI's sandbox tools and
OpenHands' runtimes do it). A `weakref.finalize` runs at exit too, and when the object is collected before; or the
closer calls `atexit.unregister`.

## Bad
```python
import atexit
import sqlite3


class Notes:
    def __init__(self, path: str) -> None:
        self._conn = sqlite3.connect(path)
        atexit.register(self.close)

    def close(self) -> None:
        self._conn.close()
```

## Good
```python
import atexit
import sqlite3


class Notes:
    def __init__(self, path: str) -> None:
        self._conn = sqlite3.connect(path)
        atexit.register(self.close)

    def close(self) -> None:
        atexit.unregister(self.close)
        self._conn.close()
```

## Fix
`weakref.finalize(self, self._conn.close)` (unsafe: it also runs when the object is collected), under the conditions of
TL302's fix and where the object is known to be weakly referenceable. Otherwise a recipe is shown.

## Not reported
A class that anything unregisters, under the same name or through the attribute that keeps the callback; classes of
which the process has one object: singletons, and those that only `main`, module level, a global or a memo makes (a
class that the project never makes is a library's, and reported); a method that marks its class or a global, as those do
that register once; methods of what the object holds; weak references; tests.

With severity info: `signal.signal`, `loop.add_signal_handler`, `sys.excepthook`, `threading.excepthook` and
`logger.addHandler`, only where the object is part of an agent or holds a resource, a session, an agent or a graph, and
nothing in the class removes the handler or registers one of another kind.
"""

from collections.abc import Iterator

from toollint.analyses.callbacks import ATEXIT, FINALIZE, Registration
from toollint.analyses.detached import detached, is_weakly_referenceable, recipe
from toollint.analyses.kinds import held, kept, owned_by
from toollint.analyses.once import leaves_a_mark, lives_once
from toollint.analyses.reach import component_of
from toollint.analyses.values import Instance, Values
from toollint.facts import ClassFacts
from toollint.model import AddImport, Finding, Hop, Repair, Replace, Safety, Severity, rule

_TITLE = "let a finalizer do it"


@rule("TL303", "atexit-pins-instance", subject=Registration, severity=Severity.WARNING, fix=Safety.UNSAFE)
def check(registration: Registration) -> Iterator[Finding]:
    """Report an object that registers itself with the process and is never taken out."""
    hold, cls = registration.hold, registration.method.cls if registration.method is not None else None
    if registration.registry == FINALIZE or hold is None or cls is None or _is_meant(registration, cls):
        return
    at_exit = registration.registry == ATEXIT
    grows = at_exit or registration.registry == "addHandler"
    which = f"every `{cls.name}` alive until exit" if grows else f"the last `{cls.name}` alive"
    yield Finding(
        registration.place,
        f"`{registration.registry}` keeps {which}: {hold.words}",
        label="keeps it until exit",
        related=[hold.note],
        chain=[*registration.chain(), *_resources(registration.values, cls)],
        notes=[f"{'each' if grows else 'that'} `{cls.name}` stays until exit, with all that it holds, closed or not"],
        help="unregister it when the object is closed, or use `weakref.finalize`" if at_exit else "remove it again",
        fixes=[_repair(registration, cls)] if at_exit else [],
        severity=None if at_exit else Severity.INFO,
    )


def _is_meant(registration: Registration, cls: ClassFacts) -> bool:
    """Whether there is one object for the process, somebody lets go of it, or it is not worth a word."""
    values, function = registration.values, registration.code.function
    return (
        registration.code.scope.module.is_test
        or (registration.registry != ATEXIT and not _matters(values, cls))
        or (function is not None and leaves_a_mark(values, function))
        or registration.is_undone
        or lives_once(values, cls)
    )


def _matters(values: Values, cls: ClassFacts) -> bool:
    """Whether objects of the class are parts of agents, or hold something heavy."""
    found = kept(values, Instance(cls)) or held(values, Instance(cls))
    return found is not None or component_of(values, cls) is not None


def _resources(values: Values, cls: ClassFacts) -> Iterator[Hop]:
    for owned in owned_by(values, Instance(cls))[:1]:
        yield Hop(f"its `{owned.attribute}`: {owned.acquisition.resource.name}", owned.place)


def _repair(registration: Registration, cls: ClassFacts) -> Repair:
    instead = detached(registration) if is_weakly_referenceable(registration.values, cls) else None
    if instead is None or not registration.is_call:
        why = "what `atexit` runs is more than the release of one resource that is known"
        return Repair(_TITLE, Safety.DISPLAY, why=why, recipe=recipe(registration))
    text = f"weakref.finalize({registration.subject_text}, {instead.text})"
    steps = (Replace(registration.place, text), AddImport(registration.place.path, "weakref"))
    return Repair(_TITLE, Safety.UNSAFE, steps, why="it runs when the object is collected, not only at exit")

"""An object starts a thread that never ends and that uses the object: it is kept until the process exits.

## Why
A running thread is a root, daemon or not. Its target holds the object, as a bound method or through a closure, and with
it everything that the object holds; closing the object does not stop the loop. Each new object adds a thread that works
for the rest of the process. weaviate's client refreshed its token that way: each client ever made stayed in memory with
its session, and its thread went on asking for tokens.

## Bad
```python
import threading
import time


class Connection:
    def __init__(self, session) -> None:
        self._session = session
        self._refresher = threading.Thread(target=self._refresh, daemon=True)
        self._refresher.start()

    def _refresh(self) -> None:
        while True:
            time.sleep(60)
            self._session.refresh_token()


def connect(session) -> Connection:
    return Connection(session)
```

## Good
```python
import threading


class Connection:
    def __init__(self, session) -> None:
        self._session = session
        self._stopped = threading.Event()
        self._refresher = threading.Thread(target=self._refresh, daemon=True)
        self._refresher.start()

    def _refresh(self) -> None:
        while not self._stopped.wait(60):
            self._session.refresh_token()

    def close(self) -> None:
        self._stopped.set()
        self._refresher.join()


def connect(session) -> Connection:
    return Connection(session)
```

## Fix
Shown: an event that the loop waits for, and that the closer sets.

## Not reported
Loops that `break`, `return` or `raise` can end, or that stand in a `try` with a handler; conditions other than `True`;
a function that does not use the object; classes of which the process has one object; tests.
"""

from collections.abc import Iterator

from toollint.analyses.endless import Endless
from toollint.model import Default, Finding, Note, Repair, Role, Safety, Severity, rule

_RECIPE = """\
while not self._stopped.wait(seconds):  # in place of `while True` and `time.sleep(seconds)`
    ...

self._stopped = threading.Event()  # in the constructor

def close(self) -> None:
    self._stopped.set()
"""


@rule(
    "TL310",
    "endless-thread-keeps-owner",
    subject=Endless,
    severity=Severity.WARNING,
    default=Default.PREVIEW,
    fix=Safety.DISPLAY,
)
def check(found: Endless) -> Iterator[Finding]:
    """Report a thread that outlives the object that started it, and holds it."""
    yield Finding(
        found.place,
        f"`{found.target.name}` never ends: its thread keeps every `{found.cls.name}` alive",
        label="nothing leaves this loop",
        related=[Note(found.started, "the thread is started here", Role.KEPT_BY)],
        notes=[
            f"one thread and one `{found.cls.name}` more each time, until the process exits: closing changes nothing"
        ],
        help="wait for a `threading.Event` in the loop, and set it where the object is closed",
        fixes=[Repair("stop the loop by an event", Safety.DISPLAY, recipe=_RECIPE)],
    )

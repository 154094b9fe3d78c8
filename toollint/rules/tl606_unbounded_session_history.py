"""A long-lived container keeps the history of every conversation there ever was.

## Why
`store[session_id] = InMemoryChatMessageHistory()` is how tutorials give a chain a memory, and how services that were
built after them run out of it: every session leaves all its messages in the process, none of them is ever looked at
again, and all of them are lost when the process restarts or a second worker answers. In a notebook that is right;
therefore the rule is a preview.

## Bad
```python
from langchain_core.chat_history import InMemoryChatMessageHistory

store = {}


def history_of(session_id: str) -> InMemoryChatMessageHistory:
    if session_id not in store:
        store[session_id] = InMemoryChatMessageHistory()
    return store[session_id]
```

## Good
```python
from cachetools import TTLCache
from langchain_core.chat_history import InMemoryChatMessageHistory

store: TTLCache[str, InMemoryChatMessageHistory] = TTLCache(maxsize=1024, ttl=3600)


def history_of(session_id: str) -> InMemoryChatMessageHistory:
    if session_id not in store:
        store[session_id] = InMemoryChatMessageHistory()
    return store[session_id]
```

## Fix
Only shown: a store that lets old sessions go, or a history that a database keeps, made anew for each request.

## Not reported
Containers that anything in the project removes entries from, rebinds or guards by length (tests do not count); bounded,
expiring and weak ones; those that are passed on, returned or given another name; constant keys; one history for the
whole process; writes at import time. Agents, graphs and connections in such a container are TL201's.
"""

from collections.abc import Iterator

from toollint.analyses.kinds import Kept, is_history
from toollint.analyses.leakpath import leak_path
from toollint.analyses.retention import Container
from toollint.analyses.uses import Use
from toollint.model import Default, Finding, Hop, Repair, Safety, Severity, rule

_SHORT = 30
"""Characters of a key that still read well in a sentence."""
_EXPIRING = """\
from cachetools import TTLCache

{name} = TTLCache(maxsize=1024, ttl=3600)  # a session that nobody has touched for an hour goes
"""
_BACKED = """\
def history_of(session_id):
    return open_history(session_id, engine)  # a history that a database keeps: made for each request, nothing to cache
"""


@rule(
    "TL606",
    "unbounded-session-history",
    subject=Container,
    severity=Severity.WARNING,
    default=Default.PREVIEW,
    fix=Safety.DISPLAY,
)
def check(box: Container) -> Iterator[Finding]:
    """Report a shared container that collects histories."""
    write, kept = (None, None) if box.limited else next(_histories(box), (None, None))
    if write is None or kept is None or not box.only_grows(write):
        return
    root = [Hop(f"{box.level}-level {box.shape} `{box.name}`", box.place), Hop(f"value `{kept.name}`", write.place)]
    yield Finding(
        box.place,
        f"{box.level}-level {box.shape} `{box.name}` keeps the `{kept.name}` of every conversation",
        label="lives as long as the process",
        related=[write.note("a history goes in here")],
        chain=leak_path(box.values, root, kept),
        notes=[f"one more history for each {_key(write)}, with all its messages, until the process exits"],
        help="let old sessions expire, or let a database keep the histories",
        fixes=[
            Repair("let old sessions expire", Safety.DISPLAY, recipe=_EXPIRING.format(name=box.name)),
            Repair("let a database keep the histories", Safety.DISPLAY, recipe=_BACKED),
        ],
    )


def _histories(box: Container) -> Iterator[tuple[Use, Kept]]:
    for write in box.writes:
        kept = box.keeps_value(write)
        if kept is not None and is_history(box.values, kept) and box.grows_with(write):
            yield write, kept


def _key(write: Use) -> str:
    return f"`{write.text}`" if write.text and len(write.text) <= _SHORT else "call" if write.appends else "new key"

"""When something ends, its entry is set to None, and the key, which is the thing itself, stays in the dict.

## Why
`self.spans[task] = None` lets the span go and keeps the task: a dict holds its keys strongly. In a listener of a long
run every task that has ever ended stays, with its agents and their tools (crewAI#4222, crewAI#4161).

## Bad
```python
from langgraph.graph.state import CompiledStateGraph


class Tracer:
    def __init__(self) -> None:
        self._spans: dict[CompiledStateGraph, object] = {}

    def on_start(self, graph: CompiledStateGraph) -> None:
        self._spans[graph] = object()

    def on_end(self, graph: CompiledStateGraph) -> None:
        span = self._spans.get(graph)
        print(span)
        self._spans[graph] = None
```

## Good
```python
from langgraph.graph.state import CompiledStateGraph


class Tracer:
    def __init__(self) -> None:
        self._spans: dict[CompiledStateGraph, object] = {}

    def on_start(self, graph: CompiledStateGraph) -> None:
        self._spans[graph] = object()

    def on_end(self, graph: CompiledStateGraph) -> None:
        span = self._spans.pop(graph, None)
        print(span)
```

## Fix
`self._spans.pop(graph, None)` (unsafe): other programs may tell an entry that is None from one that is not there.

## Not reported
Functions that are not called for the end of something; keys that are strings, numbers or enums, or of which nothing is
known; dicts that the project asks whether they have a key, how long they are or which entries they have, subscripts to
read, passes on, or removes entries from: there None may mean something, or the key goes later; tests.
"""

import re
from collections.abc import Iterator

from toollint.analyses.eviction import Eviction
from toollint.facts import FunctionFacts
from toollint.model import Default, Finding, Note, Repair, Replace, Role, Safety, Severity, rule
from toollint.syntax import callee, last_call, last_name

_ENDS = re.compile(
    r"(?:end|complet|finish|fail|clos|stop|clean_?up|teardown|exit)(?:e|ed|ure|s)?(?:_\w+)?$|Complet|Finish|Fail|End"
)


@rule(
    "TL204",
    "entry-nulled-not-removed",
    subject=Eviction,
    severity=Severity.WARNING,
    default=Default.PREVIEW,
    fix=Safety.UNSAFE,
)
def check(eviction: Eviction) -> Iterator[Finding]:
    """Report None put in the place of an entry whose key is an object that has ended."""
    if eviction.box.shape != "dict" or not eviction.nulls or not _is_for_the_end(eviction.function):
        return
    if eviction.tells_by_none:
        return
    box, key = eviction.box, eviction.text(eviction.use.key)
    yield Finding(
        eviction.place,
        f"`{box.name}` keeps `{key}` as a key: only its value goes",
        label="the key stays",
        related=[Note(box.place, f"{box.level}-level dict", Role.KEPT_BY)],
        notes=[f"each `{key}` that ends stays in `{box.name}`, with all that it holds"],
        help=f"remove the entry with `pop({key}, None)`",
        fixes=[_repair(eviction, key)],
    )


def _is_for_the_end(function: FunctionFacts) -> bool:
    """Whether the name, or an argument of a decorator, tells that something has ended."""
    words = [function.name]
    for one in function.decorators:
        call = last_call(one)
        words += [last_name(callee(one) or one), *(last_name(arg.value) for arg in (call.args if call else ()))]
    return any(_ENDS.search(word) for word in words)


def _repair(eviction: Eviction, key: str) -> Repair:
    stmt = eviction.statement
    span = stmt if stmt is not None else eviction.use.node
    place = eviction.use.code.at(span.start, span.end)
    text = f"{eviction.text(eviction.use.container)}.pop({key}, None)"
    why = "None as a value and no entry at all may not mean the same"
    return Repair("remove the entry", Safety.UNSAFE, (Replace(place, text),), why=why)

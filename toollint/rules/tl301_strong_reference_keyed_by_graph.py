"""A long-lived dict or set keyed on graphs, agents, sessions or tools keeps every one that it has seen alive.

## Why
A dict holds its keys strongly. Keyed on compiled graphs, a module-level dict keeps each graph, its nodes, the tools in
them and their connections until the process ends (crewAI#7338, crewAI#4222, NeMo-Agent-Toolkit#2117). Compiling a graph
costs milliseconds, so such a table buys little for what it holds.

## Bad
```python
from langgraph.graph.state import CompiledStateGraph

_CALLS: dict[CompiledStateGraph, int] = {}


def count(graph: CompiledStateGraph) -> int:
    _CALLS[graph] = _CALLS.get(graph, 0) + 1
    return _CALLS[graph]
```

## Good
```python
import weakref

from langgraph.graph.state import CompiledStateGraph

_CALLS: weakref.WeakKeyDictionary[CompiledStateGraph, int] = weakref.WeakKeyDictionary()


def count(graph: CompiledStateGraph) -> int:
    _CALLS[graph] = _CALLS.get(graph, 0) + 1
    return _CALLS[graph]
```

## Fix
`weakref.WeakKeyDictionary` (unsafe), only where the catalogue proves the key's type hashable by identity and weakly
referenceable, where the values provably do not lead back to the key (a weak dict would then free nothing), and where
every use is one that a weak dict supports. Tools of most frameworks are unhashable: there the note says so, since the
first write raises `TypeError`.

## Not reported
Weak and bounded containers; containers that anything removes entries from; keys such as `graph.name`; containers whose
uses cannot all be seen; writes at import time.
"""

from collections.abc import Iterator

from toollint.analyses.kinds import Kept
from toollint.analyses.retention import Container, Use, may_reach, note_of
from toollint.catalog import Type
from toollint.facts import ClassFacts
from toollint.model import AddImport, Finding, Hop, Repair, Replace, Safety, Severity, rule
from toollint.rules.recipes import weak_declaration

_KINDS = frozenset({"graph", "agent", "session", "tool", "runnable", "component"})


@rule("TL301", "strong-reference-keyed-by-graph", subject=Container, severity=Severity.WARNING, fix=Safety.UNSAFE)
def check(box: Container) -> Iterator[Finding]:
    """Report a shared dict or set that only grows and has something heavy as its keys."""
    if box.shape == "list" or box.limited:
        return
    writes = [(write, key) for write in box.writes if (key := box.keeps_key(write)) and key.kind in _KINDS]
    if not writes or not box.only_grows:
        return
    write, key = writes[0]
    row = box.values.type_of(key.instance)
    yield Finding(
        box.place,
        f"{box.level}-level {box.shape} `{box.name}` keeps every `{key.name}` used as its key alive",
        label="lives as long as the process",
        related=[note_of(write, f"a {key.kind} becomes a key here")],
        chain=[Hop(f"{box.level} {box.shape} `{box.name}`", box.place), Hop(f"key `{key.name}`", write.place)],
        notes=_notes(key, row),
        help=_help(key, row),
        fixes=[_repair(box, [use for use, _ in writes], key, row)],
    )


def _notes(key: Kept, row: Type | None) -> list[str]:
    if row is not None and not row.hashable:
        return [f"`{key.name}` is unhashable: the first write raises TypeError"]
    return [f"one `{key.name}` with all that it holds for each new key, until the process exits"]


def _help(key: Kept, row: Type | None) -> str:
    if row is not None and not row.hashable:
        return f"keep the value beside the {key.kind}, in the object that owns it"
    return f"hold the keys weakly, or keep the value beside the {key.kind}, in the object that owns it"


def _repair(box: Container, writes: list[Use], key: Kept, row: Type | None) -> Repair:
    title = "hold the keys weakly"
    obstacle = _obstacle(box, writes, key, row)
    weak = weak_declaration(box, "WeakKeyDictionary")
    if obstacle or weak is None:
        why = obstacle or "a use of the container is not one that a weak dict supports"
        return Repair(title, Safety.DISPLAY, why=why)
    return Repair(
        title,
        Safety.UNSAFE,
        (*(Replace(place, text) for place, text in weak), AddImport(box.place.path, "weakref")),
        why=f"an entry vanishes when its {key.kind} does",
    )


def _obstacle(box: Container, writes: list[Use], key: Kept, row: Type | None) -> str:
    if box.shape != "dict":
        return "a set of weak references changes what iterating over it gives"
    if row is None or not row.weak_key_safe or _redefines_equality(box, key):
        return f"a weak dict needs keys that are hashed by identity and weakly referenceable; `{key.name}` is not known to be"
    if any(may_reach(box.values, use.code.scope, use.value, use.key) for use in writes if use.key is not None):
        return "a value may refer to its key: a weak dict would free nothing"
    return ""


def _redefines_equality(box: Container, key: Kept) -> bool:
    """Whether the key is of a project's class that compares or stores differently from its framework's base."""
    if not isinstance(key.instance.cls, ClassFacts):
        return False
    special = {"__eq__", "__hash__", "__slots__"}
    return any(special & set(cls.scope.bindings) for cls in box.values.project.lineage(key.instance.cls).classes)

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
Weak and bounded containers; containers that anything in the project removes entries from, rebinds or guards by length
(tests do not count); containers that are passed on, returned or given another name; keys such as `graph.name` and
`id(graph)`; keys that are types; fields of models and dataclasses; writes at import time.
"""

from collections.abc import Iterator

from toollint.analyses.kinds import Kept
from toollint.analyses.leakpath import leak_path
from toollint.analyses.retention import Container
from toollint.analyses.uses import Use
from toollint.analyses.weak import identifies, is_hashable, may_reach, weak_declaration
from toollint.model import Finding, Hop, Repair, Safety, Severity, rule

_KINDS = frozenset({"graph", "agent", "session", "tool", "runnable", "component"})
_TITLE = "hold the keys weakly"


@rule("TL301", "strong-reference-keyed-by-graph", subject=Container, severity=Severity.WARNING, fix=Safety.UNSAFE)
def check(box: Container) -> Iterator[Finding]:
    """Report a shared dict or set that only grows and has something heavy as its keys."""
    if box.shape == "list" or box.limited:
        return
    write, key = next(_kept(box), (None, None))
    if write is None or key is None or not box.only_grows(write):
        return
    kind = "member" if box.shape == "set" else "key"
    yield Finding(
        box.place,
        f"{box.level}-level {box.shape} `{box.name}` keeps every `{key.name}` used as its {kind} alive",
        label="lives as long as the process",
        related=[write.note(f"{key.word} becomes a {kind} here")],
        chain=leak_path(box.values, [*_root(box, write, key)], key),
        notes=_notes(box, write, key),
        help=_help(box, key),
        fixes=[_repair(box, key)],
    )


def _kept(box: Container) -> Iterator[tuple[Use, Kept]]:
    for write in box.writes:
        key = box.keeps_key(write)
        if key is not None and key.kind in _KINDS and box.grows_with(write):
            yield write, key


def _root(box: Container, write: Use, key: Kept) -> Iterator[Hop]:
    kind = "member" if box.shape == "set" else "key"
    yield Hop(f"{box.level}-level {box.shape} `{box.name}`", box.place)
    yield Hop(f"{kind} `{key.name}`", write.place)


def _notes(box: Container, write: Use, key: Kept) -> list[str]:
    function = write.code.function
    where = f" that `{function.name}` meets" if function is not None else ""
    notes = [f"each new `{key.name}`{where} stays, with all that it holds, until the process exits"]
    if not is_hashable(box.values, key, box.values.type_of(key.instance)):
        notes.append(f"`{key.name}` is unhashable as its framework defines it: the first write raises TypeError")
    return notes


def _help(box: Container, key: Kept) -> str:
    row = box.values.type_of(key.instance)
    beside = f"keep the value beside the {key.kind}, in the object that owns it"
    return f"hold the {box.shape}'s keys weakly, or {beside}" if identifies(box.values, key, row) else beside


def _repair(box: Container, key: Kept) -> Repair:
    steps = weak_declaration(box, "WeakKeyDictionary")
    obstacle = _obstacle(box, key) or ("" if steps else "a weak dict does not support all that is done with this one")
    if obstacle:
        return Repair(_TITLE, Safety.DISPLAY, why=obstacle)
    return Repair(_TITLE, Safety.UNSAFE, steps, why=f"an entry vanishes when its {key.kind} does")


def _obstacle(box: Container, key: Kept) -> str:
    if box.shape != "dict":
        return "a set of weak references changes what iterating over it gives"
    if not identifies(box.values, key, box.values.type_of(key.instance)):
        return f"`{key.name}` is not known to be hashed by identity and weakly referenceable, as the keys have to be"
    if any(write.key is not None and may_reach(box, write, write.key) for write in box.writes):
        return "a value may refer to its key: a weak dict would free nothing"
    return ""

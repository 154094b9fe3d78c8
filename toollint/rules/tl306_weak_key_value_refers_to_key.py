"""A `WeakKeyDictionary` holds values that refer to their own keys, and so holds the keys after all.

## Why
The dict holds each value strongly for as long as its key lives. Where the value holds the key, that is for ever: a
runner that stores the graph it is filed under, a closure over the key, a method bound to it, a subclass of it. Python
has no ephemerons (cpython#88846), so nothing breaks the circle, and the weak dict leaks exactly as a plain one would.
PraisonAI cached a subclass for each tool class this way, and kept the tool classes of every request
(PraisonAI#4008); «weak» in the name is why nobody looked.

## Bad
```python
import weakref

from langgraph.graph.state import CompiledStateGraph


class Runner:
    def __init__(self, graph: CompiledStateGraph) -> None:
        self.graph = graph


_RUNNERS: weakref.WeakKeyDictionary[CompiledStateGraph, Runner] = weakref.WeakKeyDictionary()


def runner_for(graph: CompiledStateGraph) -> Runner:
    if graph not in _RUNNERS:
        _RUNNERS[graph] = Runner(graph)
    return _RUNNERS[graph]
```

## Good
```python
import weakref

from langgraph.graph.state import CompiledStateGraph


class Runner:
    def __init__(self, graph: CompiledStateGraph) -> None:
        self.graph = weakref.proxy(graph)


_RUNNERS: weakref.WeakKeyDictionary[CompiledStateGraph, Runner] = weakref.WeakKeyDictionary()


def runner_for(graph: CompiledStateGraph) -> Runner:
    if graph not in _RUNNERS:
        _RUNNERS[graph] = Runner(graph)
    return _RUNNERS[graph]
```

## Fix
Shown, not applied: a value that refers to its key weakly, or a container that holds the value weakly too, where
somebody else keeps the value for as long as it is wanted.

## Not reported
Containers that anything in the project removes entries from, rebinds, passes on or returns; values that refer to the
key through `weakref.ref`, a proxy, or its `__dict__`; values of classes outside the project, and what functions give
that are not understood; containers inside it that are weak themselves; tests.
"""

from collections.abc import Iterator

from toollint.analyses.selfkeyed import Back, back_reference, fills_strongly, is_emptied
from toollint.analyses.weakly import Weakly
from toollint.model import Finding, Hop, Note, Repair, Role, Safety, Severity, rule

_SUBCLASS = """\
{holder} = weakref.WeakValueDictionary()  # an entry lives as long as objects of the subclass
"""
_REFERENCE = """\
reference = weakref.ref({key})  # keep this in the value, and ask `reference()` for the key
"""


@rule("TL306", "weak-key-value-refers-to-key", subject=Weakly, severity=Severity.WARNING, fix=Safety.DISPLAY)
def check(weakly: Weakly) -> Iterator[Finding]:
    """Report an entry of a weak-key dict whose value keeps the key alive."""
    box, write = weakly.box, weakly.write
    if box is None or write is None or box.row.weak != "keys":
        return
    back = back_reference(weakly.values, write)
    if back is None or not fills_strongly(box, write) or is_emptied(box, write):
        return
    holder, key = weakly.text(weakly.holder), weakly.text(weakly.held)
    yield Finding(
        weakly.place,
        f"`{holder}` never frees `{key}`: the value stored under it refers back to it",
        label="keeps its own key",
        related=[
            Note(box.place, "holds only its keys weakly", Role.KEPT_BY),
            Note(back.place, "refers to the key", Role.STORED),
        ],
        chain=[Hop(f"`{holder}`", box.place), Hop("value", weakly.place), Hop(f"key `{key}`", back.place)],
        notes=[f"{back.words}: the entry stays until the container goes, as in an ordinary dict"],
        help=_help(back),
        fixes=[_repair(holder, key, back)],
    )


def _help(back: Back) -> str:
    if back.how == "subclass":
        return "hold the values weakly instead: objects of the subclass keep it, and it keeps the key"
    return "let the value refer to its key weakly, or keep it in an attribute of the key"


def _repair(holder: str, key: str, back: Back) -> Repair:
    if back.how == "subclass":
        return Repair("hold the values weakly", Safety.DISPLAY, recipe=_SUBCLASS.format(holder=holder))
    return Repair("refer to the key weakly", Safety.DISPLAY, recipe=_REFERENCE.format(key=key))

"""A memo decorator keeps functions, tools, agents, graphs or resources that pass through the function under it.

## Why
`functools.cache` and `lru_cache` keep their arguments and their results. Where these are callables, tools or graphs,
they keep everything behind them: closures, retrievers, connections. This is the leak that toollint was founded on:
langchain-core memoizes `get_function_nonlocals`, langgraph called it for every node, and so twenty queries left twenty
live connections (langgraph#3842). A `maxsize` of 256 or 1,000 saved nobody: the entries are few and heavy. The same
happened to indices and their sessions (llama_index#23089) and to agent factories (NeMo-Agent-Toolkit#2104).

## Bad
```python
from functools import lru_cache

from langchain_core.tools import BaseTool

from app.tools import SqlTool


@lru_cache(maxsize=256)
def tool_for(user: str) -> BaseTool:
    return SqlTool(user)
```

## Good
```python
from langchain_core.tools import BaseTool

from app.tools import SqlTool


def tool_for(user: str) -> BaseTool:
    return SqlTool(user)
```

## Fix
Shown, never applied: whether the objects should be built for each session, owned by the application's lifespan or held
weakly is a decision about the application.

## Not reported
Functions without parameters (deliberate singletons), or whose parameters nobody passes; keys that are types, enums or
booleans; plain values under keys that are numbers or strings; `maxsize=0`; memos that live in the instance; methods
under `functools` memos (ruff's B019 has them), unless the class is an agent component or owns a resource; calls of
third-party memoized functions with a function or class of a module.
"""

from collections.abc import Iterator

from toollint.analyses.memo import CachedCall, Memo, Pinned
from toollint.model import Finding, Hop, Note, Repair, Role, Safety, Severity, rule


@rule("TL202", "cached-tool-factory", subject=Memo, severity=Severity.WARNING, fix=Safety.DISPLAY)
def check(memo: Memo | CachedCall) -> Iterator[Finding]:
    """Report a memo whose keys or results hold on to more than themselves, and what is handed to such a memo."""
    if isinstance(memo, CachedCall):
        yield _call(memo)
    elif memo.pins and memo.grows:
        yield _memo(memo, memo.pins[0])


def _memo(memo: Memo, pin: Pinned) -> Finding:
    return Finding(
        memo.place,
        f"`{_shown(memo)}` keeps every {_words(pin)} {_relation(memo, pin)}",
        label="keeps arguments and results" if memo.memoizer.keeps_arguments else "keeps the results",
        related=[Note(pin.place, _LABELS[pin.role], Role.STORED)],
        chain=[Hop(f"memo of `{memo.name}`", memo.place), Hop(_words(pin), pin.place)],
        notes=[_growth(memo, pin), _behind(pin)],
        help=_help(pin),
        fixes=[_repair(memo, pin)],
    )


def _call(call: CachedCall) -> Finding:
    bound = call.function.bound
    lasting = f"until {bound} other calls push it out" if bound else "until the process exits"
    return Finding(
        call.place,
        f"`{call.name}` is memoized: it keeps what it is called with",
        label="the argument is kept",
        chain=[Hop(f"memo of `{call.function.name}`", call.place), Hop("the argument", call.place)],
        notes=[f"`{call.function.name}` keeps {call.function.keeps}, {lasting}"],
        help="call a copy of it that is not memoized, or pass only functions and classes of modules",
    )


_LABELS = {"takes": "part of the key", "returns": "the result", "receiver": "`self` is part of the key"}


def _shown(memo: Memo) -> str:
    return f"@{memo.memoizer.name}" if memo.variable is None else memo.memoizer.name


def _words(pin: Pinned) -> str:
    return "callable" if pin.weight.kind == "callable" else f"`{pin.weight.name}`"


def _relation(memo: Memo, pin: Pinned) -> str:
    return f"whose `{memo.name}` was called" if pin.role == "receiver" else f"that `{memo.name}` {pin.role}"


def _growth(memo: Memo, pin: Pinned) -> str:
    unit = {"takes": _words(pin), "returns": "combination of arguments", "receiver": f"`{pin.weight.name}`"}[pin.role]
    if memo.memoizer.bound is None:
        return f"one entry for each new {unit}, until the process exits"
    return f"one entry for each new {unit}; only the oldest goes, when there are more than {memo.memoizer.bound}"


def _behind(pin: Pinned) -> str:
    held = pin.weight.holds
    if held is not None:
        return (
            f"a {_words(pin)} holds a {'callable' if held.kind == 'callable' else f'`{held.name}`'}: it is kept with it"
        )
    if pin.weight.kind == "callable":
        return "a closure or bound method keeps what it uses: tools, retrievers, connections"
    return f"a `{pin.weight.name}` keeps what it holds: connections, tools, histories"


def _help(pin: Pinned) -> str:
    if pin.role == "receiver":
        return "keep the result in the object: there it dies with it"
    if pin.role == "takes":
        return "drop the memo, or key it weakly or on plain values"
    return "build it for each session and close it there; memoize only the plain values that it is built from"


def _repair(memo: Memo, pin: Pinned) -> Repair:
    names = {"name": memo.name, "param": memo.parameters[0].name if memo.parameters else ""}
    if pin.role == "receiver" and not memo.parameters and not memo.function.node.is_async:
        return Repair("keep the result in the object", Safety.DISPLAY, recipe=_PROPERTY.format(**names))
    if pin.role == "receiver":
        return Repair("give each object a memo of its own", Safety.DISPLAY, recipe=_OWN_MEMO.format(**names))
    if pin.role == "takes" and len(memo.parameters) == 1 and pin.weight.kind == "callable":
        return Repair("key the memo weakly", Safety.DISPLAY, recipe=_WEAK.format(**names))
    return Repair("call it without a memo", Safety.DISPLAY, recipe=_PLAIN.format(**names))


_PROPERTY = """\
@functools.cached_property
def {name}(self): ...  # an attribute from now on: the result dies with its object
"""

_OWN_MEMO = """\
def __init__(self, ...):
    ...
    self.{name} = functools.lru_cache(maxsize=128)(self._{name})  # dies with its object
"""

_WEAK = """\
_RESULTS = weakref.WeakKeyDictionary()  # an entry dies with its key


def {name}({param}):
    if {param} not in _RESULTS:
        _RESULTS[{param}] = _{name}({param})  # the result must not refer to {param}
    return _RESULTS[{param}]
"""

_PLAIN = """\
def {name}(...): ...  # without the memo: whoever calls it owns what it gives, and closes it
"""

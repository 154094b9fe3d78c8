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
Few keys: functions without parameters (deliberate singletons), parameters with a default that nobody replaces, keys
that are classes, enums, literals, flags, timeouts or versions, and functions that the whole project calls with
literals, settings and functions of modules only. Light entries: plain values under plain keys, clients of model
providers, and what a model answered where the memo has a limit. Entries that go: `maxsize=0`, a `ttl`, weak stores,
pickled copies, and memos that code outside of tests empties (`cache_clear`). Memos that die: made inside a function, or
kept in the instance. Methods of plain classes under `functools` memos (ruff's B019 has them): reported are agent
components, owners of resources, and memoizers that B019 does not know. Coroutine functions under memos for plain
functions (TL203), and clients that two event loops get from one memo (TL501). Calls of a memoized library function with
a function, class or global of a module, which lives as long as the memo.
"""

from collections.abc import Iterator

from toollint.analyses.loop_bound import shared_by_loops
from toollint.analyses.memo import CachedCall, Memo, Pinned
from toollint.facts import ClassFacts
from toollint.model import Finding, Hop, Note, Repair, Role, Safety, Severity, rule


@rule("TL202", "cached-tool-factory", subject=Memo, severity=Severity.WARNING, fix=Safety.DISPLAY)
def check(memo: Memo | CachedCall) -> Iterator[Finding]:
    """Report a memo whose keys or results hold on to more than themselves, and what is handed to such a memo."""
    if isinstance(memo, CachedCall):
        yield _call(memo)
    elif memo.pins and memo.grows and not shared_by_loops(memo.values, memo.function):
        yield _memo(memo, memo.pins[0])


def _memo(memo: Memo, pin: Pinned) -> Finding:
    return Finding(
        memo.place,
        f"`{_shown(memo)}` keeps every {_words(pin)} {_relation(memo, pin)}",
        label="keeps arguments and results" if memo.memoizer.keeps_arguments else "keeps the results",
        related=[Note(pin.place, _LABELS[pin.role], Role.STORED), *_caller(memo)],
        chain=[*_path(memo, pin)],
        notes=[_growth(memo, pin), _behind(pin)],
        help=_help(pin),
        fixes=[_repair(memo, pin)],
    )


def _path(memo: Memo, pin: Pinned) -> Iterator[Hop]:
    """From the memo by its key or its result to what that holds, as far as it is known."""
    yield Hop(f"memo of `{memo.name}`", memo.place)
    part = {"takes": "key", "returns": "result", "receiver": "key, `self`"}[pin.role]
    yield Hop(f"{part}: {_words(pin)}", pin.place)
    held, owned = pin.weight.holds, pin.weight.owned
    if held is not None and isinstance(held.instance.cls, ClassFacts):
        yield Hop(f"the `{held.name}` in it", held.instance.cls.place)
    if owned is not None:
        yield Hop(f"its `{owned.attribute}`: {owned.acquisition.resource.name}", owned.place)


def _caller(memo: Memo) -> list[Note]:
    growing = None if memo.is_method else memo.growing
    if growing is None or growing.function is None:
        return []
    return [Note(growing.place, "brings new keys", Role.ESCAPES)]


def _call(call: CachedCall) -> Finding:
    bound, function = call.function.bound, call.code.function
    lasting = f"until {bound} other calls push it out" if bound else "until the process exits"
    caller = "this call" if function is None else f"`{function.name}`"
    return Finding(
        call.place,
        f"`{call.library}` memoizes `{call.name}`: it keeps what it is called with",
        label="the argument is kept",
        related=[Note(call.argument, "becomes a key", Role.STORED)],
        chain=[
            Hop(f"memo of `{call.function.name}`", call.place),
            Hop(f"key that {caller} gives it", call.argument),
        ],
        notes=[f"its memo keeps {call.function.keeps}, {lasting}"],
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
    unit = "combination of arguments" if pin.role == "returns" else _words(pin)
    growth = f"one entry for each new {unit}"
    if memo.memoizer.unlimited:
        return f"{growth}, until the process exits"
    bound = memo.memoizer.bound
    return growth if bound is None else f"{growth}; only the oldest goes, when there are more than {bound}"


def _behind(pin: Pinned) -> str:
    held = pin.weight.holds
    if held is not None:
        return f"with each {_words(pin)} stays the {'callable' if held.kind == 'callable' else f'`{held.name}`'} in it"
    return f"with each {_words(pin)} stay {_COMPANY.get(pin.weight.kind, 'all the objects that it refers to')}"


_COMPANY = {
    "callable": "the objects of its closure, or of its method: tools, retrievers, connections",
    "tool": "its connections, its clients and what else it refers to",
    "agent": "its tools, its model's client and its history",
    "graph": "its nodes, with their tools and connections",
    "runnable": "its steps, with their tools and connections",
    "session": "its connections and its history",
    "answer": "the whole prompt, which is the key, and the whole answer",
    "resource": "its connections, threads or files, open until somebody closes them",
}


def _help(pin: Pinned) -> str:
    if pin.role == "receiver":
        return "keep the result in the object: there it dies with it"
    if pin.role == "takes":
        return "drop the memo, or key it weakly or on plain values"
    return "build it for each session and close it there; memoize only the plain values that it is built from"


def _repair(memo: Memo, pin: Pinned) -> Repair:
    names = {"name": memo.name, "memo": memo.memoizer.name, "param": next((p.name for p in memo.parameters), "")}
    if pin.role == "takes" and pin.weight.kind == "callable" and len(memo.parameters) == 1:
        return Repair("key the memo weakly", Safety.DISPLAY, recipe=_WEAK.format(**names))
    if pin.role == "receiver" and pin.weight.kind == "object":
        recipe = _OWN_MEMO if memo.parameters or memo.function.node.is_async else _PROPERTY
        return Repair("keep the results in the object", Safety.DISPLAY, recipe=recipe.format(**names))
    return Repair("call it without a memo", Safety.DISPLAY, recipe=_PLAIN[pin.role].format(**names))


_PROPERTY = """\
@functools.cached_property
def {name}(self): ...  # an attribute from now on: the result dies with its object
"""

_OWN_MEMO = """\
def __init__(self, ...):
    ...
    self.{name} = {memo}(...)(self._{name})  # a memo for this object: it dies with it
"""

_WEAK = """\
_RESULTS = weakref.WeakKeyDictionary()  # an entry dies with its key


def {name}({param}):
    if {param} not in _RESULTS:
        _RESULTS[{param}] = compute({param})  # the result must not refer to {param}
    return _RESULTS[{param}]
"""

_PLAIN = {
    "returns": "def {name}(...): ...  # without a memo: whoever calls it owns what it gives, and closes it\n",
    "takes": "def {name}(...): ...  # without a memo: the arguments live as long as their owners say\n",
    "receiver": "def {name}(self, ...): ...  # without a memo: the object lives as long as its owner says\n",
}

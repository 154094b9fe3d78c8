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

from toollint.analyses.memo import Memo, Pinned
from toollint.model import Finding, Note, Repair, Role, Safety, Severity, rule


@rule("TL202", "cached-tool-factory", subject=Memo, severity=Severity.WARNING, fix=Safety.DISPLAY)
def check(memo: Memo) -> Iterator[Finding]:
    """Report a memo whose keys or results hold on to more than themselves."""
    if memo.third_party is not None:
        yield _call(memo)
        return
    if memo.function is None or not memo.pins or not memo.has_parameters:
        return
    first = memo.pins[0]
    yield Finding(
        memo.place,
        f"`@{memo.memoizer}` keeps every {_words(first)} that `{memo.name}` {first.role}",
        label="keeps arguments and results",
        related=[Note(memo.function.place, f"`{memo.name}` {first.role} it", Role.STORED)],
        notes=[_bound(memo), *(_behind(pin) for pin in memo.pins[:1])],
        help="drop the memo, or key it on plain values and keep plain values in it",
        fixes=[Repair("call it without a memo", Safety.DISPLAY, recipe=_recipe(memo))],
    )


def _call(memo: Memo) -> Finding:
    row = memo.third_party
    assert row is not None
    bound = f"the last {row.bound} calls" if row.bound else "every call, until the process exits"
    return Finding(
        memo.place,
        f"`{memo.name}` is memoized: it keeps what it is called with",
        label="the argument is kept",
        notes=[f"the memo of `{row.name}` keeps {row.keeps}", f"it holds {bound}"],
        help="use a copy of the function without the memo, or pass only functions and classes of modules",
    )


def _words(pin: Pinned) -> str:
    return "callable" if pin.kind == "callable" else f"`{pin.name}`"


def _bound(memo: Memo) -> str:
    if memo.row is not None and memo.row.bound is not None:
        return f"a bounded memo keeps them too: its entries are few and heavy, `{memo.memoizer}` drops only the oldest"
    return "one entry for each new combination of arguments, until the process exits"


def _behind(pin: Pinned) -> str:
    if pin.kind == "callable":
        return "a function keeps its closure: the tools, retrievers and connections in it"
    return f"a `{pin.name}` keeps what it holds: connections, tools, histories"


def _recipe(memo: Memo) -> str:
    return f"{memo.name}(...)  # no memo: build it for each session, and close it when the session ends\n"

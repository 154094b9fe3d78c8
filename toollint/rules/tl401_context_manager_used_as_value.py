"""A context manager is used as if it were what it yields, or entered by the wrong kind of `with`.

## Why
`SqliteSaver.from_conn_string(...)`, `stdio_client(...)` and every function under `@contextmanager` give an object that
can be entered, and nothing else. Used as the saver, the streams or the session it fails: `AttributeError:
'_GeneratorContextManager' object has no attribute 'get_next_version'` (langgraph#2042, #1761), often not before the
first run of the graph. A `with` over something that only `async with` enters fails at once (openai-agents#1316).

## Bad
```python
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import StateGraph


def answer(builder: StateGraph, question: str) -> None:
    saver = SqliteSaver.from_conn_string("agent.db")
    graph = builder.compile(checkpointer=saver)
    graph.invoke({"question": question})
```

## Good
```python
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import StateGraph


def answer(builder: StateGraph, question: str) -> None:
    with SqliteSaver.from_conn_string("agent.db") as saver:
        graph = builder.compile(checkpointer=saver)
        graph.invoke({"question": question})
```

## Fix
Makes the assignment a `with` around the rest of its block; unsafe, because what is yielded ends with the block. Only
shown where something made of it leaves the block, or the function is not async and the manager is. Inside `async def`,
`with` becomes `async with`, and `async with` becomes `with`: safe, the statement can only fail as it is.

## Not reported
Managers that are entered, returned, stored, handed to an exit stack or to anything that is not known to use what is
inside; names bound twice; managers that are more than a decorated generator's (`aiohttp.request` may be awaited,
playwright's has `start`); functions under further decorators; classes that can be entered in both ways, or whose bases
are not known; tests.
"""

from collections.abc import Iterator

from toollint.analyses.managers import Mistaken, WrongColour
from toollint.analyses.values import Values
from toollint.facts import ModuleFacts
from toollint.model import (
    Finding,
    Note,
    Place,
    Repair,
    Replace,
    Role,
    Safety,
    Severity,
    Span,
    Surround,
    rule,
)


class Managers:
    """Both mistakes that are made with a context manager."""

    @staticmethod
    def find(values: Values, module: ModuleFacts) -> Iterator[Mistaken | WrongColour]:
        """Those of a file."""
        yield from Mistaken.find(values, module)
        yield from WrongColour.find(values, module)


@rule("TL401", "context-manager-used-as-value", subject=Managers, severity=Severity.ERROR, fix=Safety.SAFE)
def check(found: Mistaken | WrongColour) -> Iterator[Finding]:
    """Report a manager that is never entered, or entered by the wrong `with`."""
    yield _mistaken(found) if isinstance(found, Mistaken) else _wrong_colour(found)


# --- used as what it yields --------------------------------------------------------------------------------------


def _mistaken(found: Mistaken) -> Finding:
    use = found.use.code.at(found.use.node.start, found.use.node.end)
    function = found.manager.function
    made = [Note(function.place, "gives a context manager", Role.ACQUIRED)] if function is not None else []
    word = _word(found.manager.colour)
    return Finding(
        found.place,
        f"`{found.called}()` gives a context manager, which is {found.use.words}",
        label="never entered",
        related=[*made, Note(use, "needs what it yields", Role.LAST_USE)],
        notes=["the object that is needed does not exist before the manager is entered: the use fails when it runs"],
        help=f"write `{word} {found.called}(...) as {_name(found)}:` and use it inside",
        fixes=[_wrap(found)],
    )


def _wrap(found: Mistaken) -> Repair:
    word, name = _word(found.manager.colour), _name(found)
    title = f"use it inside `{word}`"
    recipe = f"{word} {found.called}(...) as {name}:\n    ...  # everything that needs `{name}`\n"
    function = found.manager.code.function
    rest, binding = found.rest, found.binding
    if binding is None or binding.value is None or not rest:
        return Repair(title, Safety.DISPLAY, why="what is made of it is used elsewhere", recipe=recipe)
    if found.manager.colour == "async" and (function is None or not function.node.is_async):
        return Repair(title, Safety.DISPLAY, why="the function is not async", recipe=recipe)
    at, value = found.manager.code.at, binding.value
    steps = (
        Replace(at(binding.start, value.start), f"{word} "),
        Replace(at(value.end, value.end), f" as {name}:"),
        Surround(at(rest[0].start, rest[-1].end), (), ()),
    )
    return Repair(title, Safety.UNSAFE, steps, why="what it yields ends with the block")


def _name(found: Mistaken) -> str:
    binding = found.binding
    target = binding.targets[0] if binding is not None else None
    return str(getattr(target, "id", "")) or "it"


def _word(colour: str) -> str:
    return "async with" if colour == "async" else "with"


# --- entered by the wrong `with` ---------------------------------------------------------------------------------


def _wrong_colour(found: WrongColour) -> Finding:
    word, other = _word(found.wanted), _word("sync" if found.wanted == "async" else "async")
    return Finding(
        found.place,
        f"`{found.called}` can only be entered by `{word}`",
        label=f"no `{other}`",
        notes=[f"`{other}` looks for methods that it does not have, and fails before the block runs"],
        help=f"write `{word} {found.called}`",
        fixes=[_recolour(found)],
    )


def _recolour(found: WrongColour) -> Repair:
    word = _word(found.wanted)
    title = f"enter it by `{word}`"
    function, at = found.code.function, found.code.at
    start = found.statement.start
    if len(found.statement.items) > 1:
        return Repair(title, Safety.DISPLAY, why="the other items may need the one that is there")
    if found.wanted == "async":
        if function is None or not function.node.is_async:
            return Repair(title, Safety.DISPLAY, why="`async with` may only stand in a coroutine function")
        return Repair(title, Safety.SAFE, (Replace(at(start, start), "async "),))
    text = found.code.scope.module.utf8[slice(*at(start, found.item.start).span)]
    end = at(start, 0).span.start + text.index(b"with")
    return Repair(title, Safety.SAFE, (Replace(Place(found.place.path, Span(at(start, 0).span.start, end)), ""),))

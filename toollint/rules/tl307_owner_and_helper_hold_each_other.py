"""An object releases something when it dies, and what it keeps, a helper or a thread, keeps it alive.

## Why
`self._caller = Caller(self)` with a `Caller` that stores its owner makes a cycle. Python frees an object at once when
the last reference to it goes; two that hold each other it frees when a full collection comes round, in whatever thread
happens to run it, among whatever locks that holds. Where `__del__` or a finalizer closes connections or stops threads,
that is late and the wrong place: strands' agents died only in the collector, where the cleanup of their MCP clients
hung, because their tool caller and their plugin registry knew them (strands-agents#1830, mended with `weakref.ref`).
langsmith's client and the one that it makes of itself, with a method of its own for the headers, are such a pair.

A thread makes it worse. One that runs a method of the object in a loop refers to the object until it ends, so the
`__del__` that would stop it never runs: dspy's `Unbatchify` and redis' background scheduler leave a thread for each
object that nobody closes, camel's terminal toolkit its shells.

## Bad
```python
import sqlite3


class Caller:
    def __init__(self, agent: "Agent") -> None:
        self._agent = agent


class Agent:
    def __init__(self, path: str) -> None:
        self._conn = sqlite3.connect(path)
        self._caller = Caller(self)

    def close(self) -> None:
        self._conn.close()

    def __del__(self) -> None:
        self.close()
```

## Good
```python
import sqlite3
import weakref


class Caller:
    def __init__(self, agent: "Agent") -> None:
        self._agent_ref = weakref.ref(agent)

    @property
    def _agent(self) -> "Agent":
        agent = self._agent_ref()
        if agent is None:
            raise ReferenceError("the agent is gone")
        return agent


class Agent:
    def __init__(self, path: str) -> None:
        self._conn = sqlite3.connect(path)
        self._caller = Caller(self)

    def close(self) -> None:
        self._conn.close()

    def __del__(self) -> None:
        self.close()
```

## Fix
Only shown: a weak reference behind a property of the old name, a `WeakMethod`, or a thread that takes the object anew
in each round. Whether anybody else holds the owner while the helper needs it cannot be seen here.

## Not reported
Parents and children of which nobody releases anything when it dies: cycles are ordinary, and the collector takes them.
A `__del__` or finalizer that only warns, counts, deletes an entry or makes a coroutine; weak references and proxies;
helpers or owners that something lets go of (`self._caller = None` in a closer); objects of which the process has one.
Owners that are in a cycle anyway, by a method of their own that they keep or by a base that the catalogue knows.
Threads that end by themselves: only a loop that asks for a flag, or that nothing ends, counts. What is stored in
another way than by the helper's constructor.

Objects that put themselves into a container of their own are reported where their class has a closer that they need,
and nothing takes them out again.

The severity is info for a cycle, warning where a thread runs.
"""

from collections.abc import Iterator

from toollint.analyses.entangled import DEL, Entangled
from toollint.analyses.selfheld import HeldByOwn, SelfHeld
from toollint.model import Finding, Hop, Note, Repair, Role, Safety, Severity, rule


@rule("TL307", "owner-and-helper-hold-each-other", subject=HeldByOwn, severity=Severity.INFO, fix=Safety.DISPLAY)
def check(found: Entangled | SelfHeld) -> Iterator[Finding]:
    """Report an owner that is kept alive by what it keeps, and has something to release."""
    yield _entangled(found) if isinstance(found, Entangled) else _self_held(found)


def _self_held(found: SelfHeld) -> Finding:
    return Finding(
        found.place,
        f"`{found.cls.name}` puts itself into its own `{found.attribute}`: only a full collection frees it",
        label="holds itself",
        related=[Note(found.cls.place, f"has `{found.verb}`: something to release", Role.ACQUIRED)],
        notes=[
            "dropped and not closed, it stays open with all that it holds until the garbage collector finds the cycle"
        ],
        help="store `weakref.proxy(self)` there",
        fixes=[
            Repair(
                "store a weak proxy",
                Safety.DISPLAY,
                why="somebody else has to hold the object as long as the entry is used",
                recipe=f"self.{found.attribute}[...] = weakref.proxy(self)\n",
            )
        ],
    )


def _entangled(found: Entangled) -> Finding:
    release = f"`{DEL}`" if found.late.how == DEL else "finalizer"
    return Finding(
        found.place,
        _message(found, release),
        label="holds it strongly",
        related=[*_related(found)],
        chain=[*_chain(found)],
        notes=[_note(found, release)],
        help=_help(found),
        fixes=[_repair(found)],
        severity=Severity.WARNING if found.loop is not None else None,
    )


# --- words -------------------------------------------------------------------------------------------------------


def _message(found: Entangled, release: str) -> str:
    owner = found.owner.name
    if found.helper is None:
        return f"a running thread holds `{owner}`: its {release} waits for the thread to end"
    if found.loop is not None:
        return f"a thread of `{found.helper.name}` holds its `{owner}`: the {release} waits for its end"
    return f"`{found.helper.name}` and its `{owner}` hold each other: the {release} runs late"


def _note(found: Entangled, release: str) -> str:
    if found.loop is not None:
        return "the thread refers to it until it ends: one that is dropped and not closed stays, with its thread"
    return f"dropped, they wait for a full collection: what the {release} releases stays open, and goes in any thread"


def _help(found: Entangled) -> str:
    if found.helper is None:
        return "give the thread a weak reference, or only what it needs of the object"
    return f"hold the method of `{found.owner.name}` weakly" if _is_method(found) else "store a weak reference to it"


def _related(found: Entangled) -> Iterator[Note]:
    if found.helper is not None:
        yield Note(found.kept, "the owner keeps the helper", Role.STORED)
    if found.loop is not None:
        yield Note(found.loop, "runs until it is stopped", Role.KEPT_BY)
    yield Note(found.late.place, "waits for the death", Role.CLOSES)
    for place in found.also:
        yield Note(place, "another thread", Role.KEPT_BY)


def _chain(found: Entangled) -> Iterator[Hop]:
    if found.loop is not None:
        yield Hop("running thread", found.loop)
    if found.helper is not None:
        yield Hop(f"`{found.helper.name}.{found.attribute}`", found.place)
    yield Hop(f"`{found.owner.name}`", found.owner.place)


# --- what to write instead ---------------------------------------------------------------------------------------


def _is_method(found: Entangled) -> bool:
    """Whether the helper was given a method of the owner, or a function that refers to it."""
    return found.how != "argument"


def _repair(found: Entangled) -> Repair:
    why = "somebody else has to hold the owner as long as it is needed"
    if found.helper is None:
        lines: tuple[str, ...] = (
            "def _run(owner_ref):",
            "    while (owner := owner_ref()) is not None:",
            "        ...  # one round, with a time limit where it waits",
            "        del owner",
            "",
            "",
            "threading.Thread(target=_run, args=(weakref.ref(self),), daemon=True)",
        )
        return Repair("take the object anew in each round", Safety.DISPLAY, why=why, recipe="\n".join(lines) + "\n")
    if _is_method(found):
        recipe = f"self.{found.attribute} = weakref.WeakMethod(...)  # calling it gives the method, or None\n"
        return Repair("hold the method weakly", Safety.DISPLAY, why=why, recipe=recipe)
    name = found.attribute
    lines = (
        f"self.{name}_ref = weakref.ref({name.strip('_')})",
        "",
        "@property",
        f'def {name}(self) -> "{found.owner.name}":',
        f"    owner = self.{name}_ref()",
        "    if owner is None:",
        f'        raise ReferenceError("the {found.owner.name} is gone")',
        "    return owner",
    )
    return Repair("store a weak reference", Safety.DISPLAY, why=why, recipe="\n".join(lines) + "\n")

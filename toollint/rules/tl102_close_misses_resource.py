"""A class has a closer, but the closer leaves something open, or may skip it.

## Why
Whoever wrote `close` has agreed that the object must be closed; what the method forgets stays open all the same, and
its users, who did everything right, have no way to find out. OpenHands closed its sandboxes and left the docker client
of each open, a log reader joined its thread and kept the log stream, strands joined its thread and kept the event loop
(three descriptors a client), browser-use stopped the cloud browser and kept the HTTP pool. openai-agents closed its
providers in a loop that the first failure ended, and returned from `shutdown` early where tracing had been switched off
after its threads were started. PraisonAI's `close` closed `_mcp_clients`, which nothing in the program ever set.
langgraph's run stream closed its mux on `abort` and left the graph's iterator where it was, so the nodes went on
running. Of 206 leaks that people fixed, 20 were closers that missed or skipped a member: no other shape is as certain.

## Bad
```python
import sqlite3

import httpx


class Memory:
    def __init__(self, path: str, url: str) -> None:
        self._db = sqlite3.connect(path)
        self._http = httpx.Client(base_url=url)

    def close(self) -> None:
        self._db.close()
```

## Good
```python
import sqlite3

import httpx


class Memory:
    def __init__(self, path: str, url: str) -> None:
        self._db = sqlite3.connect(path)
        self._http = httpx.Client(base_url=url)

    def close(self) -> None:
        try:
            self._http.close()
        finally:
            self._db.close()
```

## Fix
Extends the closer: what was opened last is released first, and each release comes even if the other fails; what the
closer does itself with the attribute stays before its release, and a guard against a second call before all. Unsafe:
the closer does more than before. Only shown where the release has to be awaited and the closer cannot, where the closer
is inherited, where it uses the attribute and then forgets it, where nothing ends what the release would wait for, and
for loops and early returns. For an iterator the help says what to call.

## Not reported
Tests. Classes with a base that is not known, or whose only closer is a library's; an attribute that any method of the
class releases, that code elsewhere closes, or that is given to something which may close it; cursors and channels of a
connection that the class holds; clients of model providers; what callers may hand in. Loops whose calls are not awaited
or are guarded inside the loop. Early returns on flags of the object's own life (`_closed`, `_started`, ownership).
Attributes that anything in the project could set, by whatever means. Iterators that the class only passes on, loops
over to their end, or replaces; that a closer mentions; or that whoever makes the object closes.
"""

from collections.abc import Iterator

from toollint.analyses.extension import Extension
from toollint.analyses.missing_closer import acquired, called_release, growth, release_lines, short
from toollint.analyses.ownership import Owned
from toollint.analyses.teardown import Abandoned, Ghost, Loop, Skip, Teardown
from toollint.facts import FunctionFacts
from toollint.model import Finding, Note, Repair, Role, Safety, Severity, rule


@rule("TL102", "close-misses-resource", subject=Teardown, severity=Severity.WARNING, fix=Safety.UNSAFE)
def check(teardown: Teardown) -> Iterator[Finding]:
    """Report what the closers of a class miss, and what they may skip."""
    by_closer: dict[FunctionFacts | None, list[Owned]] = {}
    for owned in teardown.missed:
        by_closer.setdefault(teardown.where(owned), []).append(owned)
    for closer, missed in by_closer.items():
        yield _inherited(teardown, missed) if closer is None else _missed(teardown, closer, missed)
    for abandoned in teardown.abandoned:
        yield _abandoned(teardown, abandoned)
    for loop in teardown.loops:
        yield _loop(loop)
    for skip in teardown.skips:
        yield _skip(skip)
    for ghost in teardown.ghosts:
        yield _ghost(teardown, ghost)


# --- what is missed ----------------------------------------------------------------------------------------------


def _missed(teardown: Teardown, closer: FunctionFacts, missed: list[Owned]) -> Finding:
    first, released = missed[0], teardown.released_by(closer)
    what = f"releases `self.{released[0].attribute}` but not" if released else "never releases"
    return Finding(
        closer.place,
        f"`{closer.name}` of `{teardown.cls.name}` {what} `self.{first.attribute}`",
        label=f"leaves `{short(first)}` open",
        related=[note for one in missed for note in acquired(teardown.owner, one)],
        notes=[f"after `{closer.name}`, {growth(first)}"],
        help=f"call `{called_release(first, f'self.{first.attribute}')}` in `{closer.name}`",
        fixes=[_extended(Extension(teardown.owner, closer, tuple(missed), released))],
    )


def _inherited(teardown: Teardown, missed: list[Owned]) -> Finding:
    first = missed[0]
    return Finding(
        teardown.cls.place,
        f"`{teardown.cls.name}` inherits its closer, which never releases `self.{first.attribute}`",
        label=f"leaves `{short(first)}` open",
        related=[note for one in missed for note in acquired(teardown.owner, one)],
        notes=[f"after the inherited closer, {growth(first)}"],
        help=f"extend the closer: call `{called_release(first, f'self.{first.attribute}')}`, then the base's",
        fixes=[_overriding(closer, missed) for closer in teardown.inherited[:1]],
    )


def _overriding(closer: FunctionFacts, missed: list[Owned]) -> Repair:
    """A closer that does what the inherited one leaves out, and then calls that."""
    word, wait = ("async def", "await ") if closer.node.is_async else ("def", "")
    params, given = (", *exc: object", "*exc") if closer.name.startswith("__") else ("", "")
    lines = (
        f"{word} {closer.name}(self{params}) -> None:",
        "    try:",
        *("        " + line for line in release_lines(missed[::-1])),
        "    finally:",
        f"        {wait}super().{closer.name}({given})",
    )
    why = "the closer is the base's, and what else it does is not this class's to say"
    return Repair(f"extend `{closer.name}`", Safety.DISPLAY, why=why, recipe="\n".join(lines) + "\n")


def _extended(extension: Extension) -> Repair:
    """The closer with the releases that it lacks, before or after what it does already."""
    name = extension.closer.name
    title, obstacle = f"release it in `{name}`", extension.obstacle
    if obstacle:
        return Repair(title, Safety.DISPLAY, why=obstacle, recipe="\n".join(extension.lines) + "\n")
    return Repair(title, Safety.UNSAFE, extension.steps, why=f"`{name}` does more than before", adds=(name,))


def _abandoned(teardown: Teardown, found: Abandoned) -> Finding:
    iterator, name = found.iterator, f"self.{found.iterator.attribute}"
    call = f"await {name}.aclose()" if iterator.is_async else f"{name}.close()"
    return Finding(
        found.function.place,
        f"`{found.function.name}` of `{teardown.cls.name}` drops the iterator `{name}` unclosed",
        label="leaves the iterator as it is",
        related=[
            Note(iterator.given, "given here", Role.ACQUIRED),
            Note(iterator.read, "read here, by nobody else", Role.ESCAPES),
        ],
        notes=["a generator that is left half-way keeps what it holds, and what it started goes on"],
        help=f"call `{call}` in `{found.function.name}`, if it has one",
    )


# --- what may be skipped -----------------------------------------------------------------------------------------


def _loop(loop: Loop) -> Finding:
    return Finding(
        loop.place,
        f"`{loop.function.name}` leaves the rest open when one `{loop.name}.{loop.verb}()` fails",
        label="the first failure ends the loop",
        related=[Note(loop.function.place, "whoever calls this expects all closed", Role.CLOSES)],
        notes=["every member after the one that fails stays open, and nobody closes it later"],
        help="catch the error inside the loop, go on, and raise the first one at the end",
        fixes=[_collecting(loop)],
    )


def _collecting(loop: Loop) -> Repair:
    lines = (
        "errors: list[Exception] = []",
        f"for {loop.name} in ...:",
        "    try:",
        f"        await {loop.name}.{loop.verb}()",
        "    except Exception as error:",
        "        errors.append(error)",
        "if errors:",
        "    raise errors[0]",
    )
    why = "what to do with the errors is yours to decide"
    return Repair("go on after a failure", Safety.DISPLAY, why=why, recipe="\n".join(lines) + "\n")


def _skip(skip: Skip) -> Finding:
    return Finding(
        skip.place,
        f"`{skip.function.name}` returns before it releases `self.{skip.attribute}` if `self.{skip.flag}` says so",
        label="returns without closing",
        related=[Note(skip.release, "not reached then", Role.CLOSES)],
        notes=[f"every object opens `self.{skip.attribute}`, whatever `self.{skip.flag}` is at the end"],
        help=f"release `self.{skip.attribute}` in any case; ask `self.{skip.flag}` only for the rest",
    )


def _ghost(teardown: Teardown, ghost: Ghost) -> Finding:
    return Finding(
        ghost.place,
        f"`{ghost.function.name}` of `{teardown.cls.name}` closes `self.{ghost.attribute}`, which nothing sets",
        label="never assigned anywhere",
        related=[
            Note(ghost.function.place, "this closer does nothing there", Role.CLOSES),
            *(Note(place, "nor is there anything here", Role.CLOSES) for place in ghost.others),
        ],
        notes=["no class of the project assigns the attribute, so nothing is closed here: what was meant stays open"],
        help="close what the object really holds, or drop the dead code",
    )

"""What belongs to a session, client or channel stays in a container of an object after the end.

## Why
A server keeps what belongs to a session in several dicts under the same key. The method that ends the session takes the
key out of some of them; the dict that somebody added later is forgotten, and keeps one entry, with the agent, task or
buffer in it, for every session there ever was. Half of the containers that people found growing belonged to such an
object; nothing looks wrong until the process has run for a day. Worse still are servers and managers in which nobody
has thought of an end at all: an entry for each session, and no method that takes one out.

## Bad
```python
class Recorder:
    def __init__(self) -> None:
        self.lines: list[str] = []


class Gateway:
    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._recorders: dict[str, Recorder] = {}

    def connect(self, session_id: str, name: str) -> None:
        self._names[session_id] = name
        self._recorders[session_id] = Recorder()

    def disconnect(self, session_id: str) -> None:
        self._names.pop(session_id, None)
```

## Good
```python
class Recorder:
    def __init__(self) -> None:
        self.lines: list[str] = []


class Gateway:
    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._recorders: dict[str, Recorder] = {}

    def connect(self, session_id: str, name: str) -> None:
        self._names[session_id] = name
        self._recorders[session_id] = Recorder()

    def disconnect(self, session_id: str) -> None:
        self._names.pop(session_id, None)
        self._recorders.pop(session_id, None)
```

## Fix
Takes the same key out of the forgotten container, below the statement that takes it out of the sibling. Unsafe: whoever
reads the entry after the end finds it gone. Only shown where what is kept has to be released first, and where the
sibling's entry goes in the middle of an expression. Where nothing ends the entries, a method that does is shown.

## Not reported
Entries that are strings, numbers, times, enums, exceptions, records or locks; containers that anything in the project
pops from, clears, rebinds or guards by length (tests do not count), that are bounded or weak, returned, passed on or
given another name; containers under other keys than those that the teardown is told; those that the teardown itself
fills or looks at; siblings that list what is open, active or pending, for these only change their state; fields that a
caller may hand in; registered handlers, which outlive a restart. Without a teardown: objects of which there may be
many, keys that are no numbers of sessions, users, connections or calls, methods that configure (`add_tool`), histories.
"""

from collections.abc import Iterator

from toollint.analyses.forgotten import Forgotten
from toollint.analyses.lasting import Collected, Unended
from toollint.analyses.leakpath import leak_path
from toollint.model import Finding, Hop, InsertLines, Note, Repair, Role, Safety, Severity, rule

_TITLE = "forget the entry there too"
_END = """\
def end(self, {key}):  # called where the client goes, or by a timer
    self.{name}.pop({key}, None)
"""


@rule("TL206", "teardown-forgets-container", subject=Unended, severity=Severity.WARNING, fix=Safety.UNSAFE)
def check(found: Forgotten | Collected) -> Iterator[Finding]:
    """Report a container whose entries have an end, or should have one, and stay."""
    yield _forgotten(found) if isinstance(found, Forgotten) else _collected(found)


def _forgotten(found: Forgotten) -> Finding:
    box, end = found.box, found.teardown.name
    return Finding(
        box.place,
        f"`{end}` of `{box.owner.name}` cleans `self.{found.sibling.name}` but not `self.{box.name}`",
        label=f"keeps every `{found.kept.name}`",
        related=[
            found.write.note(f"{found.kept.word} goes in here"),
            Note(found.eviction.place, "only the sibling is cleaned here", Role.CLOSES),
        ],
        chain=leak_path(box.values, [*_root(found)], found.kept),
        notes=[f"after `{end}` the `{found.kept.name}` stays, one for each {_each(found)}: nothing else removes it"],
        help=f"take the entry out of `self.{box.name}` in `{end}` as well",
        fixes=[_repair(found)],
    )


def _collected(found: Collected) -> Finding:
    box = found.box
    return Finding(
        box.place,
        f"`{box.owner.name}` keeps every `{found.kept.name}` in `self.{box.name}`: nothing ends them",
        label="only grows",
        related=[found.write.note(f"{found.kept.word} goes in here")],
        chain=leak_path(box.values, [*_root(found)], found.kept),
        notes=[f"one more `{found.kept.name}` for each {_each(found)}, as long as the `{box.owner.name}` lives"],
        help="give the entries an end: a method that takes them out, a limit, or a time to live",
        fixes=[Repair("let old entries go", Safety.DISPLAY, recipe=_END.format(name=box.name, key=_short(found)))],
    )


def _root(found: Forgotten | Collected) -> Iterator[Hop]:
    yield Hop(f"object of `{found.box.owner.name}`", found.box.owner.place)
    yield Hop(f"its {found.box.shape} `{found.box.name}`", found.box.place)
    yield Hop(f"value `{found.kept.name}`", found.write.place)


def _each(found: Forgotten | Collected) -> str:
    return f"`{found.write.text}`" if found.write.text else "call"


def _short(found: Collected) -> str:
    return found.write.text if found.write.text.isidentifier() else "key"


def _repair(found: Forgotten) -> Repair:
    line = f"{found.receiver}.{found.box.name}{found.removal}"
    where = found.statement
    release = found.release
    if release:
        lines = (f"kept = {line}", "if kept is not None:", f"    {release.format('kept')}")
        return Repair(_TITLE, Safety.DISPLAY, why="what is kept has to be released first", recipe=_text(lines))
    if where is None or found.box.shape == "list":
        part = "the sibling's entry goes in the middle of a statement"
        why = part if where is None else "`remove` raises where the entry is not there"
        return Repair(_TITLE, Safety.DISPLAY, why=why, recipe=_text((line,)))
    why = "whoever reads the entry after the end finds it gone"
    return Repair(_TITLE, Safety.UNSAFE, (InsertLines(where, (line,), below=True),), why)


def _text(lines: tuple[str, ...]) -> str:
    return "\n".join(lines) + "\n"

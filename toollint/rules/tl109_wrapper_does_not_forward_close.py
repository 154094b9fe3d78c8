"""A wrapper opens what it was given and offers no way to close it again.

## Why
An object that is handed a client usually leaves its closing to whoever made it. But one that passes `connect`, `open`
or `warm_up` on has taken the client's life into its hands: its user sees one object, opens that, and looks for its
closer. There is none, and the client is out of sight. Haystack's `Agent` warmed up the chat generator in it and could
not release it until `close` was passed on as well (haystack, lifecycle of components).

## Bad
```python
class Link:
    def connect(self) -> None:
        self.socket = 1

    def close(self) -> None:
        self.socket = None


class Station:
    def __init__(self, link: Link) -> None:
        self._link = link

    def start(self) -> None:
        self._link.connect()
```

## Good
```python
class Link:
    def connect(self) -> None:
        self.socket = 1

    def close(self) -> None:
        self.socket = None


class Station:
    def __init__(self, link: Link) -> None:
        self._link = link

    def start(self) -> None:
        self._link.connect()

    def close(self) -> None:
        self._link.close()
```

## Fix
Adds the closer that passes the call on. Unsafe: whoever made the member may close it too.

## Not reported
Members that the class only uses; members of a type that is not known, or has no closer; classes that have a closer,
close the member in some other method, enter it in a `with`, or say who owns it (`_owns_link`, `ExitStack`, `finalize`);
members that code elsewhere closes through the wrapper; classes with a base that is not known.
"""

from collections.abc import Iterator, Sequence

from toollint.analyses.forwarding import Opened, Wrapper
from toollint.analyses.ownership import Owner
from toollint.model import AddMethods, Finding, Note, Place, Repair, Role, Safety, Severity, Span, rule


@rule("TL109", "wrapper-does-not-forward-close", subject=Wrapper, severity=Severity.WARNING, fix=Safety.UNSAFE)
def check(wrapper: Wrapper) -> Iterator[Finding]:
    """Report a class that opens an injected member and has no closer."""
    first, owner = wrapper.opened[0], wrapper.owner
    yield Finding(
        owner.cls.place,
        f"`{owner.cls.name}` opens the `{first.type}` that it was given but has no closer",
        label="cannot be closed",
        related=[
            note
            for one in wrapper.opened
            for note in (
                Note(one.opening.place, f"`self.{one.attribute}` is opened here", Role.ACQUIRED),
                Note(one.stored, "what a caller gave", Role.STORED),
            )
        ],
        notes=[f"whoever uses the wrapper opens the `{first.type}` through it, and cannot close it the same way"],
        help=f"add a closer that calls `self.{first.attribute}.{first.verb}()`",
        fixes=[_forwarded(owner, wrapper.opened)],
    )


def _forwarded(owner: Owner, opened: tuple[Opened, ...]) -> Repair:
    """The closer that passes the call on to every member that the class opens."""
    awaits = any(one.is_async for one in opened)
    verb = next(one.verb for one in opened if one.is_async == awaits)
    title = f"add `{verb}` that passes the call on"
    lines = (
        f"{'async ' if awaits else ''}def {verb}(self) -> None:",
        '    """Close what this object has opened."""',
        *("    " + line for line in _calls(opened[::-1])),
    )
    if verb in owner.members:
        why = f"`{verb}` means something else in this class already"
        return Repair(title, Safety.DISPLAY, why=why, recipe="\n".join(lines) + "\n")
    cls = owner.cls
    place = Place(cls.module.path, Span(cls.origin + cls.node.start, cls.origin + cls.node.end))
    why = "whoever made the member may close it too"
    return Repair(title, Safety.UNSAFE, (AddMethods(place, lines, (verb,)),), why=why)


def _calls(opened: Sequence[Opened]) -> list[str]:
    """The statements that close every member, each even if the one before fails."""
    one = opened[0]
    member = f"self.{one.attribute}"
    first = [f"{'await ' if one.is_async else ''}{member}.{one.verb}()"]
    if one.optional:
        first = [f"if {member} is not None:", "    " + first[0]]
    if len(opened) == 1:
        return first
    return [
        "try:",
        *("    " + line for line in first),
        "finally:",
        *("    " + line for line in _calls(opened[1:])),
    ]

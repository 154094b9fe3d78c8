"""Leaks as rules look at them: which of them matter, what to call them, and what happens to the resource."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from toollint.analyses.invoked import Invoked, invoked
from toollint.analyses.lifetimes.calls import Spot
from toollint.analyses.lifetimes.leaks import Leak, leaks_in
from toollint.analyses.values import Values
from toollint.catalog import Resource
from toollint.facts import ModuleFacts
from toollint.model import Note, Role
from toollint.syntax import Await, Chain, Raise, callee, last_name, walk

_OTHERS = frozenset(
    {"db-cursor", "thread", "process", "executor", "scheduler", "llm-stream", "stack", "llm", "tracer", "image"}
)
"""Categories that go with what they came from, that other rules speak of, or that are often left running on purpose."""
_WAITS = frozenset({"wait", "join", ""})
_ASKS = frozenset({"connect", "login", "starttls", "do_handshake", "handshake", "authenticate", "bind", "listen"})
"""Methods by which a connection comes about: these do fail."""
_MAIN = re.compile(r"_*(?:a|async_)?main\w*|cli")
_LABELS = {
    "end": "ends here without closing it",
    "return": "returns here without closing it",
    "rebind": "gets another value here",
    "loop": "opened again in each round",
    "raise": "raises, and leaves it open",
    "method": "may fail, and leaves it open",
    "call": "may fail, and leaves it open",
    "await": "may be cancelled here",
    "yield": "the consumer may stop here",
}
_AFTERWARDS = {
    "open after gc": "stays open until the process exits: garbage collection does not close it",
    "freed by full gc pass": "stays open until a full garbage collection, which may come much later",
    "freed by refcount": "stays open for as long as anything refers to it: a traceback, a frame, a cycle",
}


@dataclass(frozen=True, eq=False)
class Unreleased:
    """A leak of a function that is no test."""

    leak: Leak
    values: Values

    @classmethod
    def find(cls, values: Values, module: ModuleFacts) -> Iterator[Unreleased]:
        """The leaks of a file that are worth a word, in source order."""
        found = [] if module.is_test else [cls(leak, values) for leak in leaks_in(values, module)]
        yield from sorted((one for one in found if one._matters), key=lambda one: one.leak.place.span)  # noqa: SLF001

    @property
    def resource(self) -> Resource:
        """What is not released."""
        return self.leak.acquisition.resource

    @property
    def _matters(self) -> bool:
        """Whether it can be closed at once, no other rule speaks of it, and no process ends with the function."""
        resource, decorators = self.resource, self.leak.function.decorators
        if resource.category in _OTHERS or resource.release in _WAITS or self.leak.entered:
            return False
        if self.leak.how == "yield" and any("contextmanager" in last_name(callee(one) or one) for one in decorators):
            return False
        return not (_MAIN.fullmatch(self.leak.function.name) and self.leak.is_definite)

    @cached_property
    def invoked(self) -> Invoked | None:
        """What makes the function run again and again."""
        return invoked(self.values, self.leak.function)

    @property
    def is_heavy(self) -> bool:
        """Whether each one costs something that the process runs out of."""
        return self.resource.weight in {"high", "medium"}

    @property
    def is_lasting(self) -> bool:
        """Whether it is heavy, and more than a moment's matter where the last reference goes soon."""
        return self.resource.weight == "high" or (self.is_heavy and self.resource.leak != "freed by refcount")

    @property
    def is_plain_file(self) -> bool:
        """Whether it is an open file that goes with its last reference: other linters speak of these."""
        return self.resource.category == "file" and self.resource.leak != "open after gc"

    @property
    def is_unfinished(self) -> bool:
        """Whether it was never connected: what should have connected it failed, and nobody has got hold of it."""
        return self.leak.how == "method" and self.failing in _ASKS

    # --- words

    @property
    def name(self) -> str:
        """What to call it: its variable, else its type."""
        return self.leak.name or self.resource.name.rpartition(".")[2]

    @property
    def closed(self) -> str:
        """What it is not: ``closed``, or ``released`` where its release has another name."""
        return "closed" if "close" in self.resource.release else "released"

    @cached_property
    def failing(self) -> str:
        """The name of the call, or of the exception, that loses it; empty where there is none."""
        function, place = self.leak.function, self.leak.lost
        for node in walk(function.node.body, into=False):
            if isinstance(node, Raise | Await) and function.at(node.start, node.end) == place:
                found = node.value
                return "" if found is None else last_name(callee(found) or found)
            if isinstance(node, Chain) and function.at(node.start, node.end).span.start == place.span.start:
                ends = [function.origin + link.end for link in node.links]
                if place.span.end in ends:
                    return Spot(node, ends.index(place.span.end)).word
        return ""

    @property
    def note(self) -> str:
        """What becomes of it."""
        found = _AFTERWARDS.get(self.resource.leak, "stays open until the process exits or it is collected")
        return f"the `{self.resource.name.rpartition('.')[2]}` {found}"

    @property
    def lost(self) -> tuple[Note, ...]:
        """Where it gets lost, as a related place."""
        label = _LABELS.get(self.leak.how)
        return () if label is None else (Note(self.leak.lost, label, Role.ESCAPES),)

    @property
    def manager(self) -> str:
        """The head of a ``with`` that releases it."""
        resource, name = self.resource, self.name
        if resource.async_with == "releases":
            return f"async with ... as {name}:"
        if resource.with_ == "releases":
            return f"with ... as {name}:"
        if resource.async_ and resource.release == "aclose":
            return f"async with aclosing(...) as {name}:"
        if resource.release == "close" and not resource.async_:
            return f"with closing(...) as {name}:"
        return ""

    @property
    def advice(self) -> str:
        """What to do."""
        verb = resource_verb(self.resource)
        if self.manager:
            return f"open it in `{self.manager}`, or call `{verb}` in a `finally`"
        return f"call `{verb}` in a `finally`"


def resource_verb(resource: Resource) -> str:
    """How its release is written, in a sentence."""
    return resource.release if "." in resource.release else f"{resource.release}()"

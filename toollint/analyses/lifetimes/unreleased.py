"""Leaks as rules look at them: which of them matter, what to call them, and what happens to the resource."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

from toollint.analyses.closers import OPENERS
from toollint.analyses.invoked import Invoked, invoked
from toollint.analyses.lifetimes.calls import Spot
from toollint.analyses.lifetimes.leaks import Leak, leaks_in
from toollint.analyses.lifetimes.likely import failed_at, is_likely
from toollint.analyses.lifetimes.presumed import CATEGORY as PRESUMED
from toollint.analyses.lifetimes.presumed import closings
from toollint.analyses.obligation import PROJECT
from toollint.analyses.release import WAITS
from toollint.analyses.values import Values
from toollint.catalog import Resource
from toollint.facts import Assigned, ModuleFacts
from toollint.model import Note, Role
from toollint.syntax import Call, Name, argument, callee, last_name, walk

_OTHERS = frozenset(
    {"db-cursor", "thread", "process", "executor", "scheduler", "llm-stream", "stack", "llm", "tracer", "image"}
)
"""Categories that go with what they came from, that other rules speak of, or that are often left running on purpose."""
_ASKS = frozenset({"connect", "login", "starttls", "do_handshake", "handshake", "authenticate", "bind", "listen"})
"""Methods by which a connection comes about: these do fail."""
_OPENS = frozenset({"open", "fdopen", "NamedTemporaryFile", "TemporaryFile", "SpooledTemporaryFile", "BytesIO"})
_NAMES = {"file": "file", "http-response": "response"}
"""What people call a resource of a category."""
_LAST_WORD = re.compile(r"[A-Z][a-z0-9]+\Z")
_MOST = 3
"""Places of one kind that are shown with a finding."""
_MAIN = re.compile(r"_*(?:a|async_)?main\w*|cli")
_MIGRATION = "down_revision"
"""The name that every file of alembic's migrations defines."""
_FORKS = frozenset({"fork", "forkpty"})
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
        found = [] if module.is_test else [cls(_likeliest(values, leak), values) for leak in leaks_in(values, module)]
        found = sorted((one for one in found if one.matters), key=lambda one: one.leak.place.span)
        told: set[object] = set()
        for one in found:
            if one.defect not in told:
                told.add(one.defect)
                yield one

    @property
    def resource(self) -> Resource:
        """What is not released."""
        return self.leak.acquisition.resource

    @property
    def defect(self) -> object:
        """What makes it one with another: of `a = x() if p else y()` either is lost to the same failure."""
        leak = self.leak
        return leak if leak.is_definite or not leak.name else (leak.function, leak.name, leak.lost, leak.how)

    @property
    def matters(self) -> bool:
        """Whether it can be closed at once, no other rule speaks of it, and no process ends with the function."""
        resource = self.resource
        if resource.category in _OTHERS or self.leak.entered:
            return False
        if resource.release in {"", *WAITS} and resource.evidence != PROJECT:
            return False
        if self.leak.how == "yield" and self.leak.function.is_manager:
            return False
        if self._is_for_others or self._is_copied or (self.is_presumed and not self._may_be_missed):
            return False
        return not (self._is_last or (self.leak.is_definite and self._is_elsewhere))

    @property
    def is_presumed(self) -> bool:
        """Whether nothing is known of it but that the function closes it itself on another path."""
        return self.resource.category == PRESUMED

    @property
    def _may_be_missed(self) -> bool:
        """Whether something presumed is lost by a failure, and not by that of the very call that opens it."""
        return not self.leak.is_definite and not (self.leak.how in {"method", "await"} and self.failing in OPENERS)

    @property
    def _is_for_others(self) -> bool:
        """Whether each call makes one and never releases it, of what is shared (TL409) or runs by itself (TL410)."""
        leak = self.leak
        never = leak.is_definite and not leak.released and not leak.given
        return never and (self.resource.pool or self.resource.runs) and self.invoked is not None

    @property
    def _is_last(self) -> bool:
        """Whether the process ends with the function: a main function, or a migration."""
        function = self.leak.function
        return bool(_MAIN.fullmatch(function.name)) or _MIGRATION in function.module.scope.bindings

    @property
    def _is_copied(self) -> bool:
        """Whether the process may go on as two, and each has what was open."""
        called = (callee(node) for node in walk(self.leak.function.node.body, into=False))
        return any(one is not None and last_name(one) in _FORKS for one in called)

    @property
    def _is_elsewhere(self) -> bool:
        """Whether somebody has it all the same: a protocol its transport, a file its reader; or it keeps nothing."""
        row, call = self.leak.acquisition, failed_at(self.leak.function, self.leak.place)
        if row.awaited == "yes" and row.element == 0 and not self.leak.released:
            return True  # of `transport, protocol` each has the other: whoever has one closes both
        link = call.link if isinstance(call, Spot) else None
        if not isinstance(link, Call):
            return False
        return argument(link, row.unless) is not None if row.unless else self._reads_from_another(link)

    def _reads_from_another(self, call: Call) -> bool:
        """Whether it reads from a file that is open already: from ``self``, or from one that the function opens."""
        first = call.args[0].value if call.args and self.resource.category == "file" else None
        if not isinstance(first, Name):
            return False
        function = self.leak.function
        return first.id == function.receiver or any(
            isinstance(one, Assigned)
            and one.stmt.value is not None
            and last_name(callee(one.stmt.value) or one.stmt.value) in _OPENS
            for one in function.scope.bindings.get(first.id, ())
        )

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

    @cached_property
    def is_likely(self) -> bool:
        """Whether the failure that loses it is one that happens."""
        return is_likely(self.values, self.leak)

    @property
    def is_unfinished(self) -> bool:
        """Whether it was never connected: what should have connected it failed, and nobody has got hold of it."""
        return self.leak.how == "method" and self.failing in _ASKS

    @property
    def is_unread(self) -> bool:
        """Whether an answer is lost before anybody reads it; a read that fails gives up like one that ends."""
        leak, reads = self.leak, {*self.resource.drained_by, *self.resource.looped_by, ""}
        if self.resource.category != "http-response" or not (leak.drained or leak.given):
            return False
        return leak.how == "raise" or (leak.how == "method" and self.failing not in reads)

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
        found = failed_at(self.leak.function, self.leak.lost)
        if isinstance(found, Spot):
            return found.word
        return "" if found is None or found.value is None else last_name(callee(found.value) or found.value)

    @property
    def note(self) -> str:
        """What becomes of it."""
        if self.is_presumed:
            return f"`{self.leak.function.name}` closes it itself on another path: it stays open on this one"
        found = _AFTERWARDS.get(self.resource.leak, "stays open until the process exits or it is collected")
        if self.resource.evidence == PROJECT:
            return f"it opens a `{self.resource.note}` when it is made, which {found}"
        return f"the `{self.resource.name.rpartition('.')[2]}` {found}"

    @property
    def lost(self) -> tuple[Note, ...]:
        """Where it gets lost, as a related place."""
        leak, label = self.leak, _LABELS.get(self.leak.how)
        if label is None or (leak.how in {"end", "return"} and leak.lost.span.start < leak.place.span.start):
            return ()  # the end of a long statement around it, or the first of many ways out: no place to look at
        return (Note(leak.lost, label, Role.ESCAPES), *self._closings)

    @property
    def _closings(self) -> Iterator[Note]:
        """Where the function closes what is presumed to be its own."""
        function = self.leak.function
        for closing, _ in islice(closings(function, self.leak.name), _MOST) if self.is_presumed else ():
            place = function.at(closing.start, closing.end)
            if place != self.leak.place:
                yield Note(place, "closed here, on other paths", Role.CLOSES)

    @property
    def manager(self) -> str:
        """The head of a ``with`` that releases it."""
        resource, name = self.resource, self.leak.name or common_name(self.resource)
        if resource.async_with == "releases" and not resource.with_commits:
            return f"async with ... as {name}:"
        if resource.with_ == "releases" and not resource.with_commits:
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
        if not self.resource.release:
            return f"open it in `{self.manager}`"
        if self.is_unread and self.leak.given:  # whoever gets it has to find it open
            return f"call `{verb}` in an `except`, and raise again"
        if self.manager:
            return f"open it in `{self.manager}`, or call `{verb}` in a `finally`"
        return f"call `{verb}` in a `finally`"


def _likeliest(values: Values, leak: Leak) -> Leak:
    """The leak with the failure that happens most: one that is no mere cancellation, where there is any."""
    if leak.is_definite:
        return leak
    ways = [leak, *(leak._replace(how=how, lost=lost) for how, lost in leak.others)]
    happens = (one for one in ways if one.how != "await" and is_likely(values, one))
    return next(happens, leak)


def common_name(resource: Resource) -> str:
    """What people call the variable that holds such a resource."""
    cls = resource.name.rpartition(".")[2]
    word = _LAST_WORD.search(cls)
    name = _NAMES.get(resource.category) or (word.group() if word else cls).lower()
    return "conn" if name == "connection" else name


def resource_verb(resource: Resource) -> str:
    """How its release is written, in a sentence."""
    return resource.release if "." in resource.release else f"{resource.release}()"

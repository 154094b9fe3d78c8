"""Objects that live as long as the process, and the containers in which they keep something of each session for ever.

Whether an object lasts, its class tells: the process makes one of it, the catalogue knows it as a handler, or it is
called a server, a manager, a pool. Whether entries come with requests, the keys tell: the numbers of sessions, users,
connections and calls are without end, names of tools and models are not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from toollint.analyses.forgotten import EVICTED, Forgotten, thing_in
from toollint.analyses.growth import REQUESTS, can_grow, is_per_request
from toollint.analyses.instances import InstanceContainer
from toollint.analyses.kinds import Kept, is_history
from toollint.analyses.once import lives_once
from toollint.analyses.uses import Use
from toollint.analyses.values import Values
from toollint.facts import ClassFacts, ModuleFacts, classes_of

_LASTING = re.compile(
    r"\w*(?:Server|Manager|Handler|Exporter|Pool|Provider|Gateway|Host|Service|Middleware|Dispatcher|Supervisor|Hub|Broker"
    r"|Router|Bridge|Proxy|Listener|Tracer|Callback|Client|Bot)s?"
)
"""Names of classes whose objects serve many others in turn."""

_KEYED = re.compile(
    rb"\.\s*(\w+)(?:\[|\.(?:add|setdefault)\()[^\])=]{0,120}?(?:\b[scrt]id\b|(?i:%b))" % REQUESTS.encode()
)
"""What may be written under such a key."""


class Unended:
    """What stays in the containers of an object although its time is over: by a teardown, or for want of one."""

    @classmethod
    def find(cls, values: Values, module: ModuleFacts) -> Iterator[Forgotten | Collected]:
        """Both kinds, by the place of the container."""
        forgotten = [*Forgotten.find(values, module)]
        told = {found.box.place for found in forgotten}
        collected = [found for found in Collected.find(values, module) if found.box.place not in told]
        unended: list[Forgotten | Collected] = [*forgotten, *collected]
        yield from sorted(unended, key=lambda found: found.box.place)


@dataclass(frozen=True, eq=False)
class Collected:
    """A container of a lasting object, a write that each request may make, and what that keeps."""

    box: InstanceContainer
    write: Use
    kept: Kept

    @classmethod
    def find(cls, values: Values, module: ModuleFacts) -> Iterator[Collected]:
        """The containers of a file that nothing ever empties, tests aside."""
        if module.is_test:
            return
        evicted = {one or other for one, other in EVICTED.findall(module.utf8)}
        written = frozenset(_KEYED.findall(module.utf8)) - evicted
        for facts in classes_of(module, written) if written else ():
            for box in InstanceContainer.of(values, facts):
                if box.name.encode() in written and not box.injectable and not box.limited:
                    yield from _collected(values, facts, box)


def _collected(values: Values, owner: ClassFacts, box: InstanceContainer) -> Iterator[Collected]:
    if any(use.what in {"evict", "escape"} for use in box.near):
        return
    for write in box.near:
        kept = thing_in(box, write) if is_per_request(write) else None
        if kept is None or is_history(values, kept) or not can_grow(values, write):
            continue
        if _lasts(values, owner) and box.only_grows(write):
            yield Collected(box, write, kept)
        return


def _lasts(values: Values, owner: ClassFacts) -> bool:
    libraries = values.project.lineage(owner).libraries
    known = any(values.catalog.handler(name) is not None for name in libraries)
    return known or _LASTING.fullmatch(owner.name) is not None or lives_once(values, owner)

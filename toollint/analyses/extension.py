"""Where in a closer the releases belong that it lacks, and when nobody can say that.

What was acquired last is released first, a release comes even if another fails, and what the closer does itself with an
attribute (a signal to a process, a word to a loop) stays before its release.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from toollint.analyses.missing_closer import release_lines, still_running, why_not
from toollint.analyses.ownership import Owned, Owner
from toollint.analyses.release import WAITS, is_closer
from toollint.analyses.teardown import guard_length
from toollint.facts import FunctionFacts
from toollint.model import AddImport, InsertLines, Place, ReplaceLines, Step, Surround
from toollint.syntax import (
    Attr,
    Bind,
    Block,
    Chain,
    Const,
    Delete,
    Evaluate,
    Name,
    Return,
    Stmt,
    Try,
    attribute_of,
    is_none,
    prefix,
    walk,
)


@dataclass(frozen=True, eq=False)
class Extension:
    """A closer of ``owner``, what it releases, and the attributes whose release it lacks."""

    owner: Owner
    closer: FunctionFacts
    missed: tuple[Owned, ...]
    released: tuple[Owned, ...]

    @property
    def lines(self) -> tuple[str, ...]:
        """The statements that it lacks."""
        return tuple(release_lines(self.missed[::-1]))

    @property
    def obstacle(self) -> str:
        """Why they cannot simply be written into it, empty if they can."""
        name = self.closer.name
        if any(not one.acquisition.resource.release for one in self.missed):
            return "only a context manager releases it"
        if any(one.acquisition.resource.async_ for one in self.missed) and not self.closer.node.is_async:
            return f"`{name}` cannot await the release"
        if not self._block:
            return f"`{name}` has no body to extend"
        running = still_running([one for one in self.missed if not self._is_ended(one)])
        if running:
            return running
        if self._forgotten and (self._used & self._forgotten or self._returns):
            return f"`{name}` forgets it before it can be released"
        return why_not(self.owner, self.missed)

    @property
    def steps(self) -> tuple[Step, ...]:
        """The edits that write them into it."""
        functions = {one.acquisition.resource.release.rpartition(".")[0] for one in self.missed} - {""}
        imports = [AddImport(self.closer.module.path, module) for module in sorted(functions)]
        return (*self._statements(), *imports)

    def _statements(self) -> Iterator[Step]:
        block, inner = self._block, tuple("    " + line for line in self.lines)
        place, last = self._place(*block), self._place(block[-1])
        dropped = [stmt for stmt in block if self._drops(stmt)]
        if len(dropped) == len(block):
            yield ReplaceLines(place, self.lines)
        elif self._forgotten or self._come_first:
            yield Surround(place, ("try:", *inner, "finally:"), ())
            yield from (ReplaceLines(self._place(stmt), ()) for stmt in dropped)
        elif self._waiting or (len(self.missed) == 1 and not self.released and self._closes_nothing):
            yield InsertLines(last, self.lines, below=True)
        elif len(block) == 1 and isinstance(block[0], Try) and not block[0].final:
            yield InsertLines(last, ("finally:", *inner), below=True)
        else:
            yield Surround(place, ("try:",), ("finally:", *inner))

    def _place(self, *stmts: Stmt) -> Place:
        return self.closer.at(stmts[0].start, stmts[-1].end)

    # --- the closer

    @cached_property
    def _block(self) -> Block:
        """The body without its docstring and without a guard against a second call at its head."""
        block = self.closer.node.body
        if isinstance(block[0], Evaluate) and isinstance(block[0].value, Const):
            block = block[1:]
        return block[guard_length(self.closer, block) :]

    @property
    def _returns(self) -> bool:
        """Whether it may return early: in a ``finally`` that would swallow an error."""
        return any(isinstance(node, Return) for node in walk(self._block, into=False))

    @property
    def _closes_nothing(self) -> bool:
        """Whether it is a line of plain statements, none of which ends anything: another one may follow."""
        plain = all(isinstance(stmt, Bind | Evaluate) for stmt in self._block)
        return plain and not any(isinstance(node, Attr) and is_closer(node.name) for node in walk(self._block))

    # --- the attributes

    @property
    def _come_first(self) -> bool:
        """Whether everything was acquired later than what is released, and nothing has to be done before."""
        if self._returns or self._used:
            return False
        if not self.released:
            return any(isinstance(node, Name) and node.id == "super" for node in walk(self._block))
        last = max(one.place.span for one in self.released)
        return all(one.place.span > last for one in self.missed)

    @property
    def _waiting(self) -> list[Owned]:
        """What is released by waiting for its end, which the closer has to bring about first."""
        return [one for one in self.missed if one.acquisition.resource.release in WAITS]

    @cached_property
    def _forgotten(self) -> frozenset[str]:
        """The attributes that the closer sets or deletes: what is in them has to be released before."""
        return frozenset(name for name, assigned in self._mentions() if assigned)

    @cached_property
    def _used(self) -> frozenset[str]:
        """The attributes that the closer does something with, or asks for."""
        return frozenset(name for name, assigned in self._mentions() if not assigned)

    def _is_ended(self, owned: Owned) -> bool:
        """Whether the closer brings about the end of what it does, before which its release would fail or wait."""
        stop = owned.acquisition.resource.stopped_by
        if not stop:
            return owned.attribute in self._used
        return any(
            isinstance(node, Chain)
            and attribute_of(prefix(node, 1), self.closer.receiver) == owned.attribute
            and len(node.links) > 1
            and isinstance(node.links[1], Attr)
            and node.links[1].name == stop
            for node in walk(self.closer.node.body)
        )

    def _mentions(self) -> Iterator[tuple[str, bool]]:
        """The attributes in the closer that are missed, and whether it only forgets them there."""
        missed = {one.attribute for one in self.missed}
        nodes = [*walk(self.closer.node.body)]
        forgetting = [one for one in nodes if isinstance(one, Bind) or (isinstance(one, Delete) and one in self._block)]
        forgotten = {id(part) for stmt in forgetting for target in stmt.targets for part in walk(target)}
        for node in nodes:
            name = attribute_of(prefix(node, 1), self.closer.receiver) if isinstance(node, Chain) else None
            if name in missed:
                yield name, id(node) in forgotten and len(node.links) == 1

    def _drops(self, stmt: Stmt) -> bool:
        """Whether it only deletes one of the attributes, or sets it to None: its release does that too."""
        if not isinstance(stmt, Bind | Delete) or len(stmt.targets) != 1:
            return False
        empties = isinstance(stmt, Delete) or is_none(stmt.value)
        return empties and attribute_of(stmt.targets[0], self.closer.receiver) in self._forgotten

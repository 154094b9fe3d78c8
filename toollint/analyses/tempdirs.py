"""Temporary directories that a function makes each time it runs, and nobody deletes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from toollint.analyses.fate import Fate, fate_of
from toollint.analyses.invoked import Invoked, invoked
from toollint.analyses.tied import following
from toollint.analyses.values import Values
from toollint.facts import Code, FunctionFacts, ModuleFacts, code_of
from toollint.model import Place
from toollint.source import identifiers
from toollint.syntax import Bind, Block, Call, Chain, Name, Stmt, Yield, last_call, last_name, prefix, walk

_DIRECTORY = "directory"
"""The catalogue's category of calls that make one and give its path."""


@dataclass(frozen=True, eq=False)
class TempDir:
    """A directory that ``call`` makes on each run of its function, and ``invoked``, which makes the function run."""

    code: Code
    call: Chain
    fate: Fate
    invoked: Invoked

    @classmethod
    def find(cls, values: Values, module: ModuleFacts) -> Iterator[TempDir]:
        """Those of a file, in source order."""
        words = values.sieve.words(module.path, "acquisition") & values.project.words(module.path)
        for code in code_of(module, words) if words and not module.is_test else ():
            function = code.function
            if function is not None and not _text_of(function).isdisjoint(words):
                for call, release in _made(values, code, words):
                    fate = fate_of(values, code, call, release, path=True)
                    left = not (fate.ended or fate.kept or fate.returned or fate.lent)
                    why = invoked(values, function) if left else None
                    if why is not None:
                        yield cls(code, call, fate, why)

    @property
    def place(self) -> Place:
        """The call."""
        return self.code.at(self.call.start, self.call.end)

    @property
    def name(self) -> str:
        """The name that its statement gives to the directory, or to what is made of its path; else empty."""
        stmt = self.statement
        target = stmt.targets[0] if stmt is not None and (stmt.value == self.call or self.is_wrapped) else None
        return target.id if isinstance(target, Name) else ""

    @property
    def is_wrapped(self) -> bool:
        """Whether the statement makes something of the path at once: ``Path(mkdtemp())``."""
        call = last_call(self.statement.value) if self.statement is not None else None
        return call is not None and [arg.value for arg in call.args] == [self.call]

    @cached_property
    def statement(self) -> Bind | None:
        """The statement that gives it its name, and nothing else."""
        for node in walk(self.code.block, into=False):
            if isinstance(node, Bind) and len(node.targets) == 1 and isinstance(node.targets[0], Name):
                inside = [part for part in walk(node.value) if part is self.call or part == self.call]
                if inside and node.annotation is None and not node.op:
                    return node
        return None

    @cached_property
    def users(self) -> Block:
        """The statements after that one, up to the last that mentions the directory, where nothing else does."""
        stmt = self.statement
        rest = following(self.code.block, stmt) if stmt is not None else ()
        last = max((index for index, one in enumerate(rest) if self._mentions(one)), default=-1)
        users = rest[: last + 1]
        inside = {id(node) for node in walk(users)} | {id(node) for node in walk(stmt)}
        outside = (node for node in walk(self.code.block) if id(node) not in inside)
        return () if any(isinstance(node, Name) and node.id in self.names for node in outside) else users

    @property
    def inner(self) -> str:
        """A name for the directory where the statement makes something of its path at once; else empty."""
        text = self.code.scope.module.utf8[slice(*self.place.span)]
        name = f"{self.name}_name"
        plain = self.is_wrapped and b"\n" not in text and text.isascii()
        return name if plain and name not in self.code.scope.bindings else ""

    @property
    def names(self) -> frozenset[str]:
        """The names that stand for the directory, or for something in it."""
        return frozenset(self.fate.names)

    @property
    def is_sure(self) -> bool:
        """Whether it is known of every call what it does with the path, and nobody else runs in between."""
        return not self.fate.guessed and not any(isinstance(node, Yield) for node in walk(self.users))

    def _mentions(self, stmt: Stmt) -> bool:
        return any(isinstance(node, Name) and node.id in self.names for node in walk(stmt))


def _text_of(function: FunctionFacts) -> frozenset[bytes]:
    start, end = function.at(function.node.start, function.node.end).span
    return identifiers(function.module.utf8[start:end])


def _made(values: Values, code: Code, words: frozenset[bytes]) -> Iterator[tuple[Chain, str]]:
    """The calls that make a temporary directory, and what deletes one."""
    for node in walk(code.block, into=False):
        for index, link in enumerate(node.links if isinstance(node, Chain) else ()):
            if isinstance(link, Call) and last_name(prefix(node, index)).encode() in words:
                call = node if index + 1 == len(node.links) else prefix(node, index + 1)
                row = values.acquisition(code.scope, call)
                if row is not None and row.resource.category == _DIRECTORY and isinstance(call, Chain):
                    yield call, row.resource.release

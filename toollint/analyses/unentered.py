"""Objects that work only inside their `with`, or after a connect, and that nobody enters or connects.

Which these are, and what needs them open, says the catalogue: methods of the object itself, and arguments of those who
leave the entering to others (the servers of an agent). An object is followed under the one local name, module-level
name or attribute that it is bound to, and in lists of it. Every use has to be understood: whatever else becomes of the
object (returned, given away, entered, asked for a method that may open it) means that somebody may connect it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from toollint.analyses.lifetimes.calls import LOOKS, only_tells
from toollint.analyses.named import Parents, UnclearError, uses_of
from toollint.analyses.release import is_closer
from toollint.analyses.tied import rest_of
from toollint.analyses.values import Values
from toollint.catalog import Resource
from toollint.facts import Code, ModuleFacts, code_of
from toollint.model import Place
from toollint.project import Library
from toollint.syntax import (
    Arg,
    Attr,
    Await,
    Bind,
    Block,
    Call,
    Chain,
    Collection,
    Comprehension,
    Expr,
    Name,
    With,
    last_name,
    prefix,
    walk,
)

_TELLS = re.compile(r"name|is_\w+")
"""Members that tell something of an object and do nothing to it."""


class Failing(NamedTuple):
    """A use that fails as long as the object is not entered; ``words`` say what is done with it."""

    node: Expr
    code: Code
    words: str
    taker: str = ""


@dataclass(frozen=True, eq=False)
class Unentered:
    """An object that nobody enters, and the first use that fails; ``binding`` is the statement that names it."""

    code: Code
    made: Expr
    resource: Resource
    use: Failing
    binding: Bind | None

    @property
    def place(self) -> Place:
        """The call that makes the object."""
        return self.code.at(self.made.start, self.made.end)

    @property
    def called(self) -> str:
        """What makes it, as it is written, on one line."""
        made = self.made
        named = prefix(made, len(made.links) - 1) if isinstance(made, Chain) else made
        return " ".join(_text(self.code, named).split())

    @property
    def name(self) -> str:
        """The object's name; its class where it has none."""
        target = self.binding.targets[0] if self.binding is not None else None
        return last_name(self.made) if target is None else _text(self.code, target)

    @property
    def rest(self) -> Block:
        """The statements that follow the binding in its block, where all that needs the object stands in them."""
        return rest_of(self.code, self.binding)


@dataclass(frozen=True, eq=False)
class Refusing:
    """A `with` over something that raises when it is entered, in code for the release that does so."""

    code: Code
    item: Expr
    resource: Resource

    @property
    def place(self) -> Place:
        """What is entered."""
        return self.code.at(self.item.start, self.item.end)


class Entering:
    """Both mistakes: not entered, though it has to be, and entered, though it must not be."""

    @staticmethod
    def find(values: Values, module: ModuleFacts) -> Iterator[Unentered | Refusing]:
        """Those of a file, in source order."""
        words = values.sieve.words(module.path, "server") & values.project.words(module.path)
        for code in code_of(module, words) if words and not module.is_test else ():
            parents = Parents(code)
            for chain in parents.chains:
                for index, link in enumerate(chain.links):
                    if isinstance(link, Call) and last_name(prefix(chain, index)).encode() in words:
                        yield from _judged(values, code, parents, chain, index)


def _judged(values: Values, code: Code, parents: Parents, chain: Chain, index: int) -> Iterator[Unentered | Refusing]:
    acquisition = values.acquisition(code.scope, prefix(chain, index + 1))
    if acquisition is None:
        return
    resource = acquisition.resource
    if resource.needs_entering:
        found = _Followed(values, code, parents, resource).made(chain, index + 1)
        if found is not None:
            yield found
    elif "raises" in {resource.with_, resource.async_with} and index + 1 == len(chain.links):
        statement = parents.of(chain)
        if isinstance(statement, With) and _is_current(statement, chain, resource):
            yield Refusing(code, chain, resource)


def _is_current(statement: With, item: Expr, resource: Resource) -> bool:
    """Whether the block calls the object as a release in which entering raises wants it, and never otherwise."""
    names = {target.id for entered, target in statement.items if entered is item and isinstance(target, Name)}
    calls = [
        node
        for node in walk(statement.body)
        if isinstance(node, Chain) and isinstance(node.base, Name) and node.base.id in names and len(node.links) > 1
        if isinstance(node.links[0], Attr) and node.links[0].name in resource.coroutines
    ]
    awaited = {id(node.value) for node in walk(statement.body) if isinstance(node, Await)}
    return bool(calls) and all(id(call) in awaited for call in calls)


# --- one object --------------------------------------------------------------------------------------------------


class _Followed:
    """Follows an object through everything that is done with it."""

    def __init__(self, values: Values, code: Code, parents: Parents, resource: Resource) -> None:
        self.values = values
        self.code = code
        self.parents = parents
        self.resource = resource
        self.binding: Bind | None = None

    def made(self, chain: Chain, count: int) -> Unentered | None:
        """What is wrong with the object that the first ``count`` links of a chain make; None where nothing is."""
        try:
            uses = [*self.used(self.code, self.parents, chain, count)]
        except UnclearError:
            return None
        if not uses or any(use.taker and self._may_be_entered_by(use.taker) for use in uses):
            return None
        return Unentered(self.code, prefix(chain, count), self.resource, uses[0], self.binding)

    def _may_be_entered_by(self, param: str) -> bool:
        """Whether code of the project asks those who were given the object for it, or gives them another one."""
        asks = re.compile(rb"(?:\.\s*|[gs]etattr\([^)]*)\b" + param.encode() + rb"\b")
        return any(asks.search(module.utf8) for module in self.values.project.mentioning(param) if not module.is_test)

    def used(self, code: Code, parents: Parents, node: Expr, count: int) -> Iterator[Failing]:
        """The uses that fail, where ``node`` is the object, or a chain whose first ``count`` links are."""
        if isinstance(node, Chain) and count < len(node.links):
            yield from self.linked(code, node, count)
            return
        parent = parents.of(node)
        if isinstance(parent, Bind) and parent.value is node:
            yield from self.bound(code, parent)
        elif isinstance(parent, Bind):
            if parent is not self.binding:
                raise UnclearError
        elif isinstance(parent, Arg):
            yield from self.given(code, parents, parent, parent.value)
        elif isinstance(parent, Collection) or (isinstance(parent, Comprehension) and node in parent.elements):
            yield from self.collected(code, parents, parent)
        elif not parents.only_looks(node):
            raise UnclearError

    def linked(self, code: Code, chain: Chain, count: int) -> Iterator[Failing]:
        """A member of the object."""
        link, calls = chain.links[count], chain.links[count + 1 : count + 2]
        if not isinstance(link, Attr):
            raise UnclearError
        called = bool(calls) and isinstance(calls[0], Call)
        if link.name in self.resource.needs_entering and called:
            yield Failing(prefix(chain, count + 2), code, f"asked for `{link.name}`")
        elif not (_TELLS.fullmatch(link.name) or (called and is_closer(link.name))):
            raise UnclearError

    def given(self, code: Code, parents: Parents, arg: Arg, node: Expr) -> Iterator[Failing]:
        """The object, or a list of it, as an argument."""
        call = parents.of(arg)
        chain = parents.of(call) if isinstance(call, Call) else None
        if not isinstance(chain, Chain) or not isinstance(call, Call) or arg.stars:
            raise UnclearError
        index = next(index for index, link in enumerate(chain.links) if link is call)
        called = prefix(chain, index)
        target = self.values.of(code.scope, called)
        name = target.name if isinstance(target, Library) else ""
        effect = self.values.catalog.effect(name) if name else None
        if effect is not None and effect.entered:
            position = next(position for position, each in enumerate(call.args) if each is arg)
            param = arg.keyword or (effect.params[position] if position < len(effect.params) else "")
            if param in effect.entered:
                yield Failing(node, code, f"given to `{last_name(called)}`", param)
                return
        if not (name.removeprefix("builtins.") in LOOKS or (index and only_tells(last_name(called)))):
            raise UnclearError

    def collected(self, code: Code, parents: Parents, display: Collection | Comprehension) -> Iterator[Failing]:
        """A list of the object: as an argument, or under a name that is used for nothing else."""
        parent = parents.of(display)
        if isinstance(parent, Arg):
            yield from self.given(code, parents, parent, display)
        elif isinstance(parent, Bind) and parent.value is display and isinstance(parent.targets[0], Name):
            for where, about, node in uses_of(self.values, code, parent):
                above = about.of(node)
                if isinstance(above, Arg) and isinstance(node, Name):
                    yield from self.given(where, about, above, node)
                elif above is not parent and not about.only_looks(node):
                    raise UnclearError
        else:
            raise UnclearError

    def bound(self, code: Code, stmt: Bind) -> Iterator[Failing]:
        """Everything that is done with the object under the name that a statement gives it."""
        if self.binding is not None:
            raise UnclearError
        self.binding = stmt
        for where, parents, node in uses_of(self.values, code, stmt):
            count = 0 if isinstance(stmt.targets[0], Name) else 1
            yield from self.used(where, parents, node, count)


def _text(code: Code, node: Expr) -> str:
    start, end = code.at(node.start, node.end).span
    return code.scope.module.utf8[start:end].decode()

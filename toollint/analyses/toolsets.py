"""Clients of tool servers that a function makes for each call and loses: what they gave lives on, they do not.

The tools of a client work only as long as it is open, and nobody who gets them can close it. So it is lost where its
tools leave, or where it is opened and given to an agent that leaves the closing to others, and the function neither
closes it nor lets it out itself. What loses such a client in a plainer way is the engine's part (`lifetimes`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

from toollint.analyses.invoked import Invoked, invoked, is_asked_first
from toollint.analyses.lifetimes.calls import LOOKS, only_tells
from toollint.analyses.lifetimes.unreleased import Unreleased
from toollint.analyses.named import Parents, UnclearError, Use, uses_of
from toollint.analyses.release import is_closer
from toollint.analyses.values import Values
from toollint.catalog import Resource
from toollint.facts import Code, FunctionFacts, ModuleFacts, code_of
from toollint.model import Place
from toollint.project import Library
from toollint.syntax import (
    Arg,
    Attr,
    Bind,
    Call,
    Chain,
    Collection,
    Dict,
    Expr,
    Name,
    Return,
    Yield,
    last_name,
    prefix,
    walk,
)

_OPENS = re.compile(r"a?(?:connect|start|open|enter)(?:_sync|_async)?|__a?enter__")
_EXITS = frozenset({"__exit__", "__aexit__"})
_KEEPS = re.compile(r"(?:append|add|put|set|setdefault|insert|extend|register|store|push)\w*")
"""Methods that keep what they are given."""


@dataclass(frozen=True, eq=False)
class Toolset:
    """A client that is lost; ``lost`` is where its tools leave, or where it is given to an agent (``taker``)."""

    values: Values
    code: Code
    made: Expr
    resource: Resource
    name: str
    lost: Expr
    taker: str

    @classmethod
    def find(cls, values: Values, module: ModuleFacts) -> Iterator[Toolset]:
        """The clients that the functions of a file make and lose, in source order."""
        words = values.sieve.words(module.path, "server") & values.project.words(module.path)
        for code in code_of(module, words) if words and not module.is_test else ():
            if code.function is None or code.function.is_generator:
                continue
            parents = Parents(code)
            for chain in parents.chains:
                for index, link in enumerate(chain.links):
                    if isinstance(link, Call) and last_name(prefix(chain, index)).encode() in words:
                        found = _made(values, code, parents, chain, index + 1)
                        if found is not None and not found.is_plainly_lost:
                            yield found

    @property
    def function(self) -> FunctionFacts:
        """The function that makes it."""
        function = self.code.function
        assert function is not None
        return function

    @property
    def place(self) -> Place:
        """The call that makes it."""
        return self.code.at(self.made.start, self.made.end)

    @property
    def is_plainly_lost(self) -> bool:
        """Whether the engine follows it to its end, and TL405 or TL413 speak."""
        found = Unreleased.find(self.values, self.code.scope.module)
        return any(one.leak.place == self.place and one.leak.is_definite for one in found)

    @cached_property
    def invoked(self) -> Invoked | None:
        """What makes the function run again and again; None where it asks first whether there is one already."""
        return None if is_asked_first(self.code, self.made) else invoked(self.values, self.function)


def _made(values: Values, code: Code, parents: Parents, chain: Chain, count: int) -> Toolset | None:
    """The client that the first links of a chain make, where it is lost."""
    acquisition = values.acquisition(code.scope, prefix(chain, count))
    if acquisition is None:
        return None
    resource, made = acquisition.resource, prefix(chain, count)
    if count < len(chain.links):
        tools = chain.links[count]
        gives = isinstance(tools, Attr) and tools.name in resource.gives_tools
        ends = any(isinstance(link, Attr) and is_closer(link.name) for link in chain.links[count:])
        lost = gives and not ends and not resource.needs_entering and isinstance(made, Chain)
        return Toolset(values, code, made, resource, last_name(prefix(chain, count - 1)), chain, "") if lost else None
    stmt = parents.of(chain)
    if not isinstance(stmt, Bind) or stmt.value is not chain or not isinstance(stmt.targets[0], Name):
        return None
    client = _Client(values, resource, stmt)
    try:
        for use in uses_of(values, code, stmt):
            client.see(use)
    except UnclearError:
        return None
    where = client.lost_in(code)
    return None if where is None else Toolset(values, code, made, resource, stmt.targets[0].id, *where)


@dataclass
class _Client:
    """What a function does with a client; every use has to be understood."""

    values: Values
    resource: Resource
    stmt: Bind
    tools: list[Expr] = field(default_factory=list)
    given: list[tuple[Use, Chain, str]] = field(default_factory=list)
    opened: bool = False

    def see(self, use: Use) -> None:
        """Take in one use; raises UnclearError where it may close the client, or let it out."""
        if isinstance(use.node, Chain):
            self._member(use.node)
            return
        parent = use.parents.of(use.node)
        if parent is self.stmt or use.parents.only_looks(use.node):
            return
        if isinstance(parent, Collection):
            parent = use.parents.of(parent)
        call = use.parents.of(parent)
        chain = use.parents.of(call)
        if not isinstance(parent, Arg) or not isinstance(call, Call) or not isinstance(chain, Chain):
            raise UnclearError
        self._given(use, parent, call, chain)

    def _member(self, chain: Chain) -> None:
        link = chain.links[0]
        names = [each.name for each in chain.links if isinstance(each, Attr)]
        if not isinstance(link, Attr) or any(is_closer(name) or name in _EXITS for name in names):
            raise UnclearError
        called = len(chain.links) > 1 and isinstance(chain.links[1], Call)
        if link.name in self.resource.gives_tools:
            self.tools.append(chain)
        elif called and _OPENS.fullmatch(link.name):
            self.opened = True
        elif not called and len(chain.links) == 1 and not link.name.islower():
            raise UnclearError

    def _given(self, use: Use, arg: Arg, call: Call, chain: Chain) -> None:
        """The client as an argument of a call that looks at it, or that keeps it and closes nothing."""
        index = next(index for index, link in enumerate(chain.links) if link is call)
        called = prefix(chain, index)
        target = self.values.of(use.code.scope, called)
        name = target.name if isinstance(target, Library) else ""
        if name.removeprefix("builtins.") in LOOKS or (index and only_tells(last_name(called))):
            return
        effect = self.values.catalog.effect(name) if name else None
        position = next(position for position, each in enumerate(call.args) if each is arg)
        params = effect.params if effect is not None else ()
        param = arg.keyword or (params[position] if position < len(params) else "")
        if effect is None or param not in effect.entered or arg.stars:
            raise UnclearError
        self.given.append((use, chain, last_name(called)))

    def lost_in(self, code: Code) -> tuple[Expr, str] | None:
        """Where the function loses it: the tools that leave, or the call of the agent that it stays with."""
        holds = self.opened or not self.resource.needs_entering
        if self.tools and not self.given:
            return (self.tools[0], "") if holds else None
        if not self.opened or not self.given or _closes_something(code):
            return None
        use, agent, taker = self.given[0]
        if use.code.scope is not code.scope or _leaves(use.parents, agent):
            return None
        return use.node, taker


def _closes_something(code: Code) -> bool:
    """Whether the function calls any closer: it may go round by the agent."""
    return any(isinstance(node, Attr) and is_closer(node.name) for node in walk(code.block))


def _leaves(parents: Parents, made: Expr) -> bool:
    """Whether what a call makes gets out of the function, itself or inside something that is made of it."""
    names: set[str] = set()
    pending = [made]
    while pending:
        leaves, targets = _goes_to(parents, pending.pop())
        if leaves:
            return True
        fresh = {target.id for target in targets} - names
        names |= fresh
        pending += [node for node in parents.nodes if isinstance(node, Name) and node.id in fresh]
    return False


def _goes_to(parents: Parents, node: Expr) -> tuple[bool, list[Name]]:
    """Whether the value of an expression leaves the function, and the names that it is bound to."""
    for above in parents.above(node):
        if isinstance(above, Chain):
            called = _given_to(above, node)
            if _KEEPS.fullmatch(called):
                return True, []
            if not called[:1].isupper():
                return False, []  # an answer, not the thing itself
        elif isinstance(above, Bind):
            targets = [target for target in above.targets if isinstance(target, Name) and target is not node]
            stored = any(not isinstance(target, Name) for target in above.targets)
            return stored, targets
        elif isinstance(above, Return | Yield | Collection | Dict):
            return True, []
    return False, []


def _given_to(chain: Chain, node: Expr) -> str:
    """The name of the call in a chain that has a node among its arguments; empty where the chain starts with it."""
    for index, link in enumerate(chain.links):
        for arg in link.args if isinstance(link, Call) else ():
            if arg.value.start <= node.start and node.end <= arg.value.end:
                return last_name(prefix(chain, index))
    return ""

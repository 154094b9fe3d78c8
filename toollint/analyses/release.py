"""Who could release what an attribute holds: closers by their name, and code that uses an attribute up.

Generous on purpose: what merely may be a release counts as one, so that a finding says «nobody» and means it.
"""

from __future__ import annotations

import itertools
import re
from typing import NamedTuple

from toollint.analyses.values import Instance, Values
from toollint.catalog import Resource
from toollint.facts import ClassFacts, Code, FunctionFacts, code_of
from toollint.syntax import (
    Attr,
    Await,
    Bind,
    Bool,
    Call,
    Chain,
    Clause,
    Collection,
    Const,
    Dict,
    Dots,
    Evaluate,
    Expr,
    For,
    IfExp,
    Name,
    Raise,
    Return,
    Simple,
    Walrus,
    With,
    attribute_of,
    callee,
    fetched,
    is_none,
    last_call,
    last_name,
    prefix,
    walk,
)

_CLOSER = re.compile(
    r"_*(?:a|async_|do_|safe_|try_)?"
    r"(?:close|shut_?down|disconnect|clean_?up|dispose|terminate|tear_?down|destroy|stop|release|quit|kill|exit"
    r"|finali[sz]e|logout)"
    r"(?:_(?:async|sync|all|now|self|quietly|safely|connections?|conn|clients?|sessions?|pools?|db|database|driver|engine"
    r"|resources?|browser|sandbox|executor|threads?|server|process))*(?:__)?|__del__"
)
"""A method that ends the life of an object; `close_issue` and `cleanup_jobs` are a tool's business."""
_TAKES_OVER = re.compile(
    r"clos|shut_?down|stop|disconnect|clean_?up|dispos|terminat|tear_?down|releas|destroy|quit|kill|exit|finali[sz]"
    r"|enter_|^(?:rmdir|removedirs|unlink|append|add|register|push|callback)$"
)
"""A function that is given a resource and may answer for it from then on."""
WAITS = frozenset({"wait", "join"})
"""Releases that wait for an end, and do not bring it about."""
_COPIES = frozenset({"list", "tuple", "set", "sorted", "reversed", "enumerate", "zip", "filter", "iter"})
_VIEWS = frozenset({"values", "items", "copy"})
_RENAMINGS = 3
"""How many names in a row an object is followed through."""
_ANY = frozenset({"typing.Any", "builtins.object"})
_PROTOCOLS = frozenset({"typing.Protocol", "typing_extensions.Protocol"})
_REFLECTION = frozenset({"getattr", "setattr", "vars", "__dict__"})


ANYTHING = Resource("", "", "high", "")
"""Stands for a resource in questions that ask for a release by its name alone."""


class Held(NamedTuple):
    """What is looked for: an attribute of ``self``, the resource in it, and the getters that give it away.

    ``exact``: only the verbs of the resource release it; otherwise whatever is called like a closer may.
    """

    attribute: str
    resource: Resource
    getters: frozenset[str] = frozenset()
    exact: bool = False

    @property
    def names(self) -> frozenset[str]:
        """The members that give the resource."""
        return self.getters | {self.attribute}

    @property
    def verbs(self) -> frozenset[str]:
        """The methods that release it, by the catalogue."""
        return frozenset({self.resource.release.rpartition(".")[2] or "close", *self.resource.others})


def is_closer(name: str) -> bool:
    """Whether a method of this name ends the life of its object."""
    return _CLOSER.fullmatch(name) is not None


def is_empty(function: FunctionFacts) -> bool:
    """Whether a method does nothing: a docstring, ``pass``, ``...``, ``return None`` or an exception alone."""
    return all(
        isinstance(stmt, Simple | Raise)
        or (isinstance(stmt, Evaluate) and isinstance(stmt.value, Const | Dots))
        or (isinstance(stmt, Return) and (stmt.value is None or is_none(stmt.value)))
        for stmt in function.node.body
    )


# --- inside the class --------------------------------------------------------------------------------------------


def may_release(function: FunctionFacts, held: Held) -> bool:
    """Whether a method enters the attribute in a ``with``, closes it, or hands it to something that may."""
    here = _Method(function, held)
    for node in walk(function.node.body):
        if isinstance(node, With):
            kept = held.resource.async_with if node.is_async else held.resource.with_
            if kept != "keeps" and any(here.is_it(context) for context, _ in node.items):
                return True
        elif isinstance(node, Chain):
            if here.closes(node) or here.hands_over(node):
                return True
        elif isinstance(node, Bind) and here.stores(node):
            return True
    return False


class _Method:
    """A method and the names under which it knows the attribute."""

    def __init__(self, function: FunctionFacts, held: Held) -> None:
        self.receiver = function.receiver
        self.held = held
        self.reflects = False
        self.aliases = self._aliases(function)

    def _aliases(self, function: FunctionFacts) -> frozenset[str]:
        """Local names that something is assigned to in which the attribute stands, or that it is assigned from."""
        names: set[str] = set()
        bindings: list[list[Expr]] = []
        for node in walk(function.node.body):
            if isinstance(node, Bind | Walrus):
                targets = node.targets if isinstance(node, Bind) else (node.target,)
                bindings.append([*_parts(node.value), *(part for target in targets for part in _parts(target))])
            elif isinstance(node, For | Clause):
                bindings.append([*_iterated(node.iter), *_parts(node.target)])
            self.reflects |= isinstance(node, Name | Attr) and _word(node) in _REFLECTION
        for _ in range(_RENAMINGS):
            for parts in bindings:
                found = {part.id for part in parts if isinstance(part, Name)}
                if not names.isdisjoint(found) or any(map(self._gives, parts)):
                    names |= found
        return frozenset(names - {self.receiver})

    def is_it(self, expr: Expr) -> bool:
        return expr.id in self.aliases if isinstance(expr, Name) else self._gives(expr)

    def _gives(self, expr: Expr) -> bool:
        """Whether it is the attribute, or a call of a getter."""
        expr = expr.value if isinstance(expr, Await) else expr
        if not isinstance(expr, Chain):
            return False
        calls = isinstance(expr.links[-1], Call)
        plain = prefix(expr, len(expr.links) - 1) if calls else expr
        return attribute_of(plain, self.receiver) in (self.held.getters if calls else self.held.names)

    def stores(self, stmt: Bind) -> bool:
        """Whether the attribute is put into something other than a local name: there it may be found and closed."""
        elsewhere = any(isinstance(target, Chain) and not self._gives(target) for target in stmt.targets)
        return elsewhere and any(map(self.is_it, _parts(stmt.value)))

    def closes(self, chain: Chain) -> bool:
        """Whether the chain names a releasing method of the attribute, called or not."""
        names = [link.name if isinstance(link, Attr) else "" for link in chain.links]
        if not isinstance(chain.base, Name):
            return self.reflects and is_closer(names[-1])
        if chain.base.id == self.receiver and names[0] in self.held.names | {"__dict__"}:
            names = names[1:]
        elif chain.base.id not in self.aliases and not (self.reflects and chain.base.id != self.receiver):
            return False
        never, exact = self.held.resource.never, self.held.exact
        return any(name in self.held.verbs or (is_closer(name) and not exact and name not in never) for name in names)

    def hands_over(self, chain: Chain) -> bool:
        """Whether a call is given the attribute by something that may close it later."""
        return self._fetches(chain) or any(
            isinstance(link, Call)
            and any(self.is_it(arg.value) for arg in link.args)
            and self._may_end_it(last_name(prefix(chain, index)))
            for index, link in enumerate(chain.links)
        )

    def _fetches(self, expr: Expr) -> bool:
        """Whether it fetches a releasing method of the attribute by its name: ``getattr(client, "close", None)``."""
        owner, word = fetched(expr) or (None, "")
        return owner is not None and (word in self.held.verbs or is_closer(word)) and self.is_it(owner)

    def _may_end_it(self, function: str) -> bool:
        """Whether a function of that name answers for what it is given: it is the release, or sounds like one."""
        return function in self.held.verbs or _TAKES_OVER.search(function) is not None


def _word(node: Name | Attr) -> str:
    """The identifier of a name or of an attribute link."""
    return node.id if isinstance(node, Name) else node.name


def _parts(expr: Expr | None) -> list[Expr]:
    """An expression, or those that a display or a choice is made of."""
    if isinstance(expr, Collection):
        return [part for item in expr.items for part in _parts(item)]
    if isinstance(expr, Dict):
        return [part for _, value in expr.items for part in _parts(value)]
    if isinstance(expr, Bool):
        return [part for operand in expr.operands for part in _parts(operand)]
    if isinstance(expr, IfExp):
        return [*_parts(expr.then), *_parts(expr.orelse)]
    return [] if expr is None else [expr]


def _iterated(expr: Expr) -> list[Expr]:
    """What a loop goes over, without the views and copies around it."""
    called, call = callee(expr), last_call(expr)
    if isinstance(called, Name) and call is not None and called.id in _COPIES:
        return [part for arg in call.args for part in _iterated(arg.value)]
    if isinstance(called, Chain) and last_name(called) in _VIEWS:
        return _iterated(prefix(called, len(called.links) - 1))
    return _parts(expr)


# --- outside it --------------------------------------------------------------------------------------------------


def may_be_released_outside(values: Values, cls: ClassFacts, held: Held) -> bool:
    """Whether code of the project closes an attribute of that name on what is, or may be, an object of the class."""
    for name, verb in itertools.product(sorted(held.names), sorted(held.verbs)):
        call = re.compile(rf"\.\s*{name}(?:\(\))?\s*\.\s*{verb}\b".encode())
        for module in values.project.mentioning(name, verb):
            if call.search(module.utf8):
                for code in code_of(module, frozenset({name.encode()})):
                    nodes = walk(code.block, into=False)
                    if any(isinstance(node, Chain) and _closes_on(values, code, node, cls, held) for node in nodes):
                        return True
    return False


def _closes_on(values: Values, code: Code, chain: Chain, cls: ClassFacts, held: Held) -> bool:
    names = [(index, link.name) for index, link in enumerate(chain.links) if isinstance(link, Attr)]
    for (index, name), (_, verb) in itertools.pairwise(names):
        if name in held.names and verb in held.verbs:
            owner = values.of(code.scope, prefix(chain, index))
            return not isinstance(owner, Instance) or _related(values, owner, cls)
    return False


def _related(values: Values, owner: Instance, cls: ClassFacts) -> bool:
    """Whether an object of the one class, or declared as such, may be one of the other."""
    if not isinstance(owner.cls, ClassFacts):
        return owner.cls.name in _ANY
    lineage = values.project.lineage
    above = lineage(owner.cls)
    return cls in above.classes or owner.cls in lineage(cls).classes or not _PROTOCOLS.isdisjoint(above.libraries)

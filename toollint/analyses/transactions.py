"""Connections opened in the head of a `with` that ends the transaction and leaves the connection open.

The catalogue tells whose `with` keeps. Somebody may close the connection all the same: whatever may is silence.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from toollint.analyses.origins import Kind, origins
from toollint.analyses.release import is_closer
from toollint.analyses.tied import escapes, tied
from toollint.analyses.values import Method, Values
from toollint.catalog import Acquisition, Resource
from toollint.facts import ClassFacts, Code, FunctionFacts, ModuleFacts, code_of
from toollint.model import Place
from toollint.syntax import (
    Attr,
    Bind,
    Chain,
    Expr,
    Name,
    Node,
    Return,
    With,
    callee,
    last_call,
    last_name,
    walk,
)

_MAY_CLOSE = re.compile(r"clos|releas|dispos|shut|clean|finali[sz]|register|callback|push|enter_")
"""A function that is given a connection and may answer for it."""


@dataclass(frozen=True, eq=False)
class Transaction:
    """An item of a `with` that opens a connection which the `with` does not close, and nothing else does.

    ``target`` is what it is bound to; ``factory`` the function of the project that opens it, None where the item itself
    is the acquiring call. ``others`` are the later items of the file with the same factory.
    """

    values: Values
    code: Code
    function: FunctionFacts
    statement: With
    context: Expr
    target: Expr | None
    resource: Resource
    factory: FunctionFacts | None
    others: tuple[Transaction, ...] = ()

    @classmethod
    def find(cls, values: Values, module: ModuleFacts) -> Iterator[Transaction]:
        """The items of a file that leave a connection open; those with the same factory are one mistake."""
        groups: dict[object, list[Transaction]] = {}
        for found in cls._items(values, module):
            groups.setdefault(found.factory or found, []).append(found)
        for first, *others in groups.values():
            yield replace(first, others=tuple(others))

    @classmethod
    def _items(cls, values: Values, module: ModuleFacts) -> Iterator[Transaction]:
        """The items in source order of the code that they stand in."""
        words = values.sieve.words(module.path, "ownership")
        if not words or b"with" not in values.project.words(module.path) or module.is_test:
            return
        for code in code_of(module, words):
            for node in walk(code.block, into=False) if code.function is not None else ():
                if isinstance(node, With) and not node.is_async and code.function is not None:
                    yield from cls._left_open(values, code, code.function, node)

    @classmethod
    def _left_open(cls, values: Values, code: Code, function: FunctionFacts, node: With) -> Iterator[Transaction]:
        for context, target in node.items:
            acquisition = _kept_open(values, code, context)
            if acquisition is None:
                continue
            factory = None if values.acquisition(code.scope, context) is not None else _factory(values, code, context)
            found = cls(values, code, function, node, context, target, acquisition.resource, factory)
            if not found._is_answered_for():
                yield found

    @property
    def place(self) -> Place:
        """The call that opens the connection."""
        return self.code.at(self.context.start, self.context.end)

    @property
    def name(self) -> str:
        """The name that it is bound to, empty where it has none."""
        return self.target.id if isinstance(self.target, Name) else ""

    @property
    def called(self) -> str:
        """What is called, as it is written, on one line."""
        called = callee(self.context) or self.context
        span = self.code.at(called.start, called.end).span
        return " ".join(self.code.scope.module.utf8[span.start : span.end].decode().split())

    @cached_property
    def use_after(self) -> Node | None:
        """What may use the connection when the block is done, and would find it closed; None where nothing may."""
        names = tied(self.statement.body, self.name)
        within = {id(node) for other in self._alike for node in walk(other)} | {id(n) for n in walk(self.statement)}
        rest = (node for node in walk(self.function.node.body) if id(node) not in within)
        after = (node for node in rest if isinstance(node, Name) and node.id in names)
        return next(escapes(self.statement.body, names), None) or next(after, None)

    @property
    def _alike(self) -> Iterator[With]:
        """The other `with` statements of the function that bind the same name."""
        for node in walk(self.function.node.body):
            if isinstance(node, With) and node is not self.statement and self._binds(node):
                yield node

    def _binds(self, node: With) -> bool:
        return any(isinstance(target, Name) and target.id == self.name for _, target in node.items)

    def _is_answered_for(self) -> bool:
        """Whether somebody may close the connection, or uses it when the block is done as one who knows it open."""
        if self.target is None:
            return False
        if not self.name:
            return True
        if any(self._closes(node) for node in walk(self.function.node.body)):
            return True
        inside = {id(node) for other in (self.statement, *self._alike) for node in walk(other)}
        return any(
            isinstance(node, Name) and node.id == self.name and id(node) not in inside
            for node in walk(self.function.node.body)
        )

    def _closes(self, node: Node) -> bool:
        """Whether a node closes the connection, gives it away, or makes an owner of it."""
        if isinstance(node, Return):
            return self._is_it(node.value) or (isinstance(node.value, Chain) and self._is_owner(node.value))
        if isinstance(node, Bind) and not all(isinstance(target, Name) for target in node.targets):
            return self._is_it(node.value) or (isinstance(node.value, Chain) and self._is_owner(node.value))
        if isinstance(node, Bind) and self._is_owner(node.value):
            owners = {target.id for target in node.targets if isinstance(target, Name)}
            return any(_calls_closer(part, owners) for part in walk(self.function.node.body))
        if isinstance(node, With):
            return any(self._is_given(context) and not self._is_it(context) for context, _ in node.items)
        return _calls_closer(node, {self.name}) or (isinstance(node, Chain) and self._may_be_closed_by(node))

    def _may_be_closed_by(self, chain: Chain) -> bool:
        """Whether a call is given the connection and may close it: by its name, or by what the function does."""
        if not self._is_given(chain):
            return False
        target = self.values.of(self.code.scope, callee(chain))
        called = target.function if isinstance(target, Method) else target
        if isinstance(called, FunctionFacts):
            return any(isinstance(node, Attr) and is_closer(node.name) for node in walk(called.node.body))
        return _MAY_CLOSE.search(last_name(chain)) is not None

    def _is_given(self, expr: Expr) -> bool:
        """Whether an expression is a call with the connection among its arguments."""
        call = last_call(expr)
        return call is not None and any(self._is_it(arg.value) for arg in call.args)

    def _is_owner(self, expr: Expr | None) -> bool:
        """Whether an expression makes an object that is given the connection."""
        called = callee(expr) if expr is not None else None
        if expr is None or called is None or not self._is_given(expr):
            return False
        return isinstance(self.values.of(self.code.scope, called), ClassFacts) or last_name(called)[:1].isupper()

    def _is_it(self, expr: object) -> bool:
        return isinstance(expr, Name) and expr.id == self.name


def _kept_open(values: Values, code: Code, context: Expr) -> Acquisition | None:
    """The catalogue's row where an expression opens a connection here and now that its `with` does not close."""
    if callee(context) is None:
        return None
    found = origins(values, code.scope, context)
    made = found[0].made if len(found) == 1 and found[0].kind is Kind.MADE else None
    if not isinstance(made, Acquisition) or _is_of_another_kind(values, code, context):
        return None
    resource = made.resource
    keeps = resource.with_ == "keeps" and resource.with_evidence == "measured" and not resource.async_
    return made if keeps and resource.category == "db" else None


def _is_of_another_kind(values: Values, code: Code, context: Expr) -> bool:
    """Whether the call says which class to make, or may say so: that one's `with` may close."""
    call = last_call(context)
    acquires = values.acquisition(code.scope, context) is not None
    return (
        acquires
        and call is not None
        and any(arg.stars == 2 or (arg.keyword is not None and arg.keyword.endswith("factory")) for arg in call.args)
    )


def _factory(values: Values, code: Code, context: Expr) -> FunctionFacts | None:
    target = values.of(code.scope, callee(context))
    found = target.function if isinstance(target, Method) else target
    return found if isinstance(found, FunctionFacts) else None


def _calls_closer(node: Node, names: set[str]) -> bool:
    """Whether a node mentions a closer of what one of the names holds."""
    return (
        isinstance(node, Chain)
        and isinstance(node.base, Name)
        and node.base.id in names
        and isinstance(node.links[0], Attr)
        and is_closer(node.links[0].name)
    )

"""Callbacks of an object's death that ask for the dead: `weakref.finalize`, and the callbacks of weak references.

Python clears every weak reference to an object before it calls any of them. So the callback is run here as it will
be: a reference to the object gives None, a proxy raises ReferenceError, a weak method runs nothing. It is useless where
that raises, or where nothing that could matter is left to do. A call that is not understood matters.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, TypeAlias

from toollint.analyses.callbacks import FINALIZE
from toollint.analyses.holding import Thing, bound_method, thing_at
from toollint.analyses.values import Method, Values
from toollint.facts import Assigned, ClassFacts, Code, FunctionFacts, ModuleFacts, Scope, code_of
from toollint.model import Place
from toollint.project import Library
from toollint.syntax import (
    Arg,
    Attr,
    Await,
    Binary,
    Bind,
    Block,
    Bool,
    Call,
    Chain,
    Collection,
    Compare,
    Const,
    Def,
    Delete,
    Dict,
    Evaluate,
    Expr,
    For,
    FString,
    Handler,
    If,
    IfExp,
    Import,
    ImportFrom,
    Index,
    Lambda,
    Name,
    Not,
    Other,
    OtherStmt,
    Param,
    Raise,
    Return,
    Simple,
    Star,
    Stmt,
    Try,
    Walrus,
    While,
    With,
    attribute_of,
    callee,
    is_none,
    last_call,
    last_name,
    prefix,
    walk,
)

_WEAK = {"weakref.ref": "ref", "weakref.ReferenceType": "ref", "weakref.WeakMethod": "method", "weakref.proxy": "proxy"}
"""What is made of an object, by the function that makes it; each takes a callback too."""
_PARTIAL = Library("functools.partial")
_ALIAS = re.compile(rb"\b(?:finalize|ref|ReferenceType|WeakMethod|proxy)[ \t]+as[ \t]+(\w+)")
_REMARKS = frozenset(
    {"debug", "info", "warning", "warn", "error", "exception", "log", "print", "getLogger", "suppress"}
)
"""Calls that tell somebody something, or nothing: a callback that does no more does not release."""
_QUESTIONS = frozenset({"isinstance", "hasattr", "callable", "bool"})
_CATCHES = frozenset({"AttributeError", "ReferenceError", "TypeError", "Exception", "BaseException"})


class Weak(NamedTuple):
    """A weak hold of the object: ``ref``, ``method`` or ``proxy``; ``place`` is where it is made."""

    kind: str
    place: Place


_Given: TypeAlias = list[tuple[str | None, Weak | None]]
"""What a callback is called with: keywords, and the weak holds of the object among the arguments."""
_Judgement: TypeAlias = tuple[Weak, Place, object, frozenset[str]]


@dataclass(frozen=True, eq=False)
class Obituary:
    """A callback that is called when an object has died, and asks for that object.

    ``registry`` is what calls it, ``subject`` the object. ``asked`` is where it asks, ``weak`` what it asks. ``body``
    is its code, ``proxies`` are the names that it has for proxies of the object.
    """

    values: Values
    code: Code
    registry: str
    place: Place
    subject: Expr
    thing: Thing
    weak: Weak
    asked: Place
    body: object
    proxies: frozenset[str]

    @classmethod
    def find(cls, values: Values, module: ModuleFacts) -> Iterator[Obituary]:
        """Every callback of a file that can do nothing but ask for the dead."""
        words = values.project.words(module.path)
        if b"weakref" not in words:
            return
        names = {name.rpartition(".")[2].encode() for name in (*_WEAK, FINALIZE)}
        about = frozenset(names & words) | frozenset(_ALIAS.findall(module.utf8))
        for code in code_of(module, about):
            for node in walk(code.block, into=False):
                if isinstance(node, Chain):
                    for index, link in enumerate(node.links):
                        if isinstance(link, Call) and last_name(prefix(node, index)).encode() in about:
                            yield from _registered(values, code, prefix(node, index), link)

    @property
    def name(self) -> str:
        """The object's class, or the object as it is written."""
        return self.thing.cls.name.rpartition(".")[2] if self.thing.cls is not None else self.subject_text

    @property
    def subject_text(self) -> str:
        """The object as it is written."""
        start, end = self.code.at(self.subject.start, self.subject.end).span
        return self.code.scope.module.utf8[start:end].decode()

    @cached_property
    def wanted(self) -> tuple[str, ...]:
        """The attributes that the callback wants of the object, of its methods those that they read."""
        cls = self.thing.cls
        names = {self.thing.name, *self.proxies}
        for node in walk(self.body):
            if isinstance(node, Bind | Walrus) and last_call(node.value) is not None:
                targets = node.targets if isinstance(node, Bind) else (node.target,)
                names.update(target.id for target in targets if isinstance(target, Name))
        found: list[str] = []
        for node in walk(self.body):
            if isinstance(node, Chain) and isinstance(node.base, Name):
                links = (
                    node.links[1:] if isinstance(node.links[0], Call) else node.links if node.base.id in names else ()
                )
                if links and isinstance(links[0], Attr):
                    found += self._read(cls, links[0].name)
        return tuple(dict.fromkeys(found))

    def _read(self, cls: ClassFacts | Library | None, name: str) -> Iterator[str]:
        method = bound_method(self.values, cls, name)
        if not isinstance(method, FunctionFacts):
            yield name
            return
        for node in walk(method.node.body):
            read = attribute_of(prefix(node, 1), method.receiver) if isinstance(node, Chain) else None
            if read is not None and bound_method(self.values, cls, read) is None:
                yield read


# --- what is registered ------------------------------------------------------------------------------------------


def _registered(values: Values, code: Code, called: Expr, call: Call) -> Iterator[Obituary]:
    target = values.project.resolve(code.scope, called)
    registry = target.name if isinstance(target, Library) else ""
    if (registry != FINALIZE and registry not in _WEAK) or len(call.args) < 2:
        return
    if any(arg.stars or arg.keyword is not None for arg in call.args[:2]):
        return
    subject: Expr = call.args[0].value
    if _WEAK.get(registry) == "method":
        if not isinstance(subject, Chain):
            return
        subject = prefix(subject, len(subject.links) - 1)
    thing = thing_at(values, code.scope, subject)
    if thing is None or not thing.fixed or _ends_otherwise(values, thing):
        return
    place = code.at(called.start, call.end)
    own = Weak(_WEAK[registry], place) if registry in _WEAK else None
    found = _Registered(values, code, thing, own).judged(call.args[1].value, call.args[2:])
    if found is not None:
        yield Obituary(values, code, registry, place, subject, thing, *found)


def _ends_otherwise(values: Values, thing: Thing) -> bool:
    """Whether a `__del__` sees the object while it lives: its finalizer may be called from there."""
    lineage = values.project.lineage(thing.cls).classes if isinstance(thing.cls, ClassFacts) else ()
    return any("__del__" in cls.methods for cls in lineage)


class _Registered:
    """A callback and what it is called with, all of which may hold the object weakly."""

    def __init__(self, values: Values, code: Code, thing: Thing, own: Weak | None) -> None:
        self.values = values
        self.code = code
        self.thing = thing
        self.own = own
        self.found: Weak | None = None

    def judged(self, callback: Expr, args: Sequence[Arg]) -> _Judgement | None:
        """What the callback asks, where, its code and proxies; None where it may do something."""
        given: _Given = [(None, self.own)] if self.own is not None else []
        if any(arg.stars for arg in args):
            return None
        given += [(arg.keyword, self.weak(self.code.scope, arg.value)) for arg in args]
        called, call = callee(callback), last_call(callback)
        if called is not None and call is not None and self.values.of(self.code.scope, called) == _PARTIAL:
            if not call.args or any(arg.stars for arg in call.args):
                return None
            given = [(arg.keyword, self.weak(self.code.scope, arg.value)) for arg in call.args[1:]] + given
            callback = call.args[0].value
        itself = self.weak(self.code.scope, callback)
        if itself is not None and itself.kind == "method":
            return itself, self.code.at(callback.start, callback.end), callback, frozenset()
        return self._of_body(callback, given)

    def _of_body(self, callback: Expr, given: _Given) -> _Judgement | None:
        if isinstance(callback, Lambda):
            code, params, outer = self.code, callback.params, self.code.scope
            block: Block = (Return(callback.body, callback.body.start, callback.body.end),)
            local = {param.name for param in params}
        else:
            function = self._function(callback)
            if function is None or function.node.is_async or not _is_plain(function):
                return None
            code, outer = Code(function.scope, function.origin, ()), function.outer
            params, block = function.node.params[function.receiver is not None :], function.node.body
            local = set(function.scope.bindings)
        names = _passed(params, given)
        if names is None:
            return None
        names = {param.name: self.weak(outer, param.default) for param in params} | names
        run = _Run(lambda name: None if name.id in local else self.weak(code.scope, name), names)
        raises = run.raises(block)
        in_vain = raises or (run.misses and not run.works)
        if run.asked is None or run.answer is None or not in_vain:
            return None
        proxies = frozenset(name for name, weak in names.items() if weak is not None and weak.kind == "proxy")
        return run.answer, code.at(run.asked.start, run.asked.end), block, proxies

    def _function(self, callback: Expr) -> FunctionFacts | None:
        found = self.code.scope.find(callback.id) if isinstance(callback, Name) else None
        if found is not None and len(found[1]) == 1 and isinstance(found[1][0], FunctionFacts):
            return found[1][0]
        value = self.values.of(self.code.scope, callback)
        value = value.function if isinstance(value, Method) else value
        return value if isinstance(value, FunctionFacts) else None

    def weak(self, scope: Scope, expr: Expr | None) -> Weak | None:
        """The weak hold of the object that an expression gives: made there, or a local name for one."""
        if isinstance(expr, Name):
            home, bindings = scope.find(expr.id) or (scope, ())
            only = bindings[0] if len(bindings) == 1 else None
            if home.kind != "function" or not isinstance(only, Assigned) or isinstance(only.stmt.value, Name):
                return None
            return self.weak(home, only.stmt.value)
        called, call = (None, None) if expr is None else (callee(expr), last_call(expr))
        target = self.values.project.resolve(scope, called) if called is not None else None
        kind = _WEAK.get(target.name) if isinstance(target, Library) else None
        if expr is None or kind is None or call is None or not call.args or call.args[0].stars:
            return None
        subject = call.args[0].value
        if kind == "method":
            subject = prefix(subject, len(subject.links) - 1) if isinstance(subject, Chain) else subject
        thing = thing_at(self.values, scope, subject)
        if thing is None or thing[:3] != self.thing[:3]:
            return None
        return Weak(kind, self.code.at(expr.start, expr.end))  # of the same top-level statement, or thing would differ


def _is_plain(function: FunctionFacts) -> bool:
    """Whether a call of the function runs its body."""
    return not function.is_generator and all(
        last_name(one) in {"staticmethod", "classmethod"} for one in function.decorators
    )


def _passed(params: Sequence[Param], given: _Given) -> dict[str, Weak | None] | None:
    """The parameters with what they are given; None where the call would not fit."""
    names: dict[str, Weak | None] = {}
    plain = [param.name for param in params if param.kind in {"positional", "plain"}]
    rest = any(param.kind == "var" for param in params)
    for keyword, weak in given:
        if keyword is not None:
            names[keyword] = weak
        elif plain:
            names[plain.pop(0)] = weak
        elif not rest:
            return None
    return names


# --- running it --------------------------------------------------------------------------------------------------


class _GoneError(Exception):
    """The callback asks None for something, or a dead proxy: it raises."""


_NONE, _TRUE, _FALSE, _OTHER = "none", "true", "false", "other"
_Value: TypeAlias = str | Weak


class _Run:
    """One run of a callback after the object has died.

    ``asked`` is the first expression that asks for the object, ``answer`` the weak hold that it asks. ``misses``: what
    is done depends on the object. ``works``: something was done that may matter.
    """

    def __init__(self, outside: Callable[[Name], Weak | None], names: dict[str, Weak | None]) -> None:
        self.outside = outside
        self.names: dict[str, _Value] = {name: weak or _OTHER for name, weak in names.items()}
        self.asked: Expr | None = None
        self.answer: Weak | None = None
        self.misses = False
        self.works = False

    def raises(self, block: Block) -> bool:
        """Run it; whether it raises."""
        try:
            self.block(block)
        except _GoneError:
            return True
        return False

    # --- statements: each tells whether the callback ends there

    def block(self, block: Block) -> bool:
        return any(map(self.statement, block))

    def maybe(self, block: Block) -> None:
        """Run what may be run or not: what it does may matter, what it binds may be anything."""
        before = dict(self.names)
        self.raises(block)
        self.names = {name: value if before.get(name) == value else _OTHER for name, value in self.names.items()}

    def statement(self, stmt: Stmt) -> bool:
        kind = type(stmt)
        if kind in _STATEMENTS:
            return bool(_STATEMENTS[kind](self, stmt))
        self.works = self.works or kind not in _IDLE
        return False

    def evaluate(self, stmt: Evaluate) -> None:
        self.value(stmt.value)

    def bind(self, stmt: Bind) -> None:
        value = self.value(stmt.value)
        for target in stmt.targets if stmt.value is not None else ():
            self.store(target, _OTHER if stmt.op else value)

    def store(self, target: Expr, value: _Value) -> None:
        if isinstance(target, Name):
            self.names[target.id] = value
        elif isinstance(target, Collection):
            self.member(value)
            for item in target.items:
                self.store(item, _OTHER)
        else:
            if isinstance(target, Chain):
                self.member(self.value(prefix(target, len(target.links) - 1)))
            self.works = True

    def delete(self, stmt: Delete) -> None:
        for target in stmt.targets:
            self.store(target, _OTHER)

    def leave(self, stmt: Return | Raise) -> bool:
        self.value(stmt.value)
        return True

    def check(self, stmt: OtherStmt) -> None:
        """``assert`` and its kind."""
        values = [self.value(child) for child in stmt.children]
        if values and _truth(values[0]) is False:
            raise _GoneError

    def choose(self, stmt: If) -> bool:
        unsure = False
        for test, body in (*stmt.branches, (None, stmt.orelse)):
            truth = True if test is None else self.truth(test)
            if truth and not unsure:
                return self.block(body)
            if truth is not False:
                self.maybe(body)
                unsure = True
            if truth:
                break
        return False

    def repeat(self, stmt: For | While) -> None:
        if isinstance(stmt, For):
            self.member(self.value(stmt.iter))
        elif self.truth(stmt.test) is False:
            return
        self.maybe((*stmt.body, *stmt.orelse))

    def attempt(self, stmt: Try) -> bool:
        try:
            ends = self.block((*stmt.body, *stmt.orelse))
        except _GoneError:
            for handler in stmt.handlers:
                self.maybe(handler.body)
            if not any(map(_catches, stmt.handlers)):
                self.block(stmt.final)
                raise
            ends = False
        return self.block(stmt.final) or ends

    def enter(self, stmt: With) -> bool:
        for context, target in stmt.items:
            self.member(self.value(context))
            if target is not None:
                self.store(target, _OTHER)
        try:
            return self.block(stmt.body)
        except _GoneError:
            if not any(last_name(callee(context) or context) == "suppress" for context, _ in stmt.items):
                raise
            return False

    # --- expressions

    def value(self, expr: Expr | None) -> _Value:
        kind = type(expr)
        if kind in _EXPRESSIONS:
            return _EXPRESSIONS[kind](self, expr)
        if isinstance(expr, Collection | Dict | FString | Binary | Other | Star | Await):
            for part in _parts(expr):
                self.value(part)
        elif expr is not None and not isinstance(expr, Lambda):
            self.works = self.works or any(isinstance(node, Call) for node in walk(expr))
        return _OTHER

    def truth(self, expr: Expr) -> bool | None:
        """Whether a test is true, as far as that is known."""
        value = self.value(expr)
        self.misses = self.misses or value == _NONE
        return _truth(value)

    def member(self, value: _Value) -> _Value:
        """What an attribute or an element of a value is: None has none."""
        if value == _NONE:
            self.misses = True
            raise _GoneError
        return _OTHER

    def name(self, expr: Name) -> _Value:
        return self.names.get(expr.id) or self.outside(expr) or _OTHER

    def constant(self, expr: Const) -> _Value:
        return _NONE if expr.value is None else _TRUE if expr.value else _FALSE

    def named(self, expr: Walrus) -> _Value:
        value = self.value(expr.value)
        self.store(expr.target, value)
        return value

    def negated(self, expr: Not) -> _Value:
        truth = self.truth(expr.operand)
        return _OTHER if truth is None else _FALSE if truth else _TRUE

    def either(self, expr: IfExp) -> _Value:
        truth = self.truth(expr.test)
        if truth is not None:
            return self.value(expr.then if truth else expr.orelse)
        return self.any_of(expr.then, expr.orelse)

    def any_of(self, *exprs: Expr) -> _Value:
        """Evaluate what may be evaluated or not."""
        for expr in exprs:
            self.maybe((Evaluate(expr, expr.start, expr.end),))
        return _OTHER

    def joined(self, expr: Bool) -> _Value:
        value: _Value = _OTHER
        for index, operand in enumerate(expr.operands):
            value = self.value(operand)
            truth = _truth(value)
            self.misses = self.misses or value == _NONE
            if truth is None:
                return self.any_of(*expr.operands[index + 1 :])
            if truth == (expr.op == "or"):
                break
        return value

    def compared(self, expr: Compare) -> _Value:
        values = [self.value(operand) for operand in expr.operands]
        if len(values) == 2 and any(map(is_none, expr.operands)):
            other = values[0] if is_none(expr.operands[1]) else values[1]
            self.misses = self.misses or other == _NONE
            if _truth(other) is not None and expr.ops[0] in {"is", "==", "is not", "!="}:
                return _TRUE if (other == _NONE) == (expr.ops[0] in {"is", "=="}) else _FALSE
        return _OTHER

    def chain(self, chain: Chain) -> _Value:
        value = self.value(chain.base)
        for index, link in enumerate(chain.links):
            if isinstance(value, Weak) and (isinstance(link, Call) or value.kind == "proxy"):
                if self.asked is None:
                    self.asked, self.answer = prefix(chain, index + 1), value
                self.misses = self.misses or value.kind != "ref"
                if value.kind == "proxy":
                    raise _GoneError
                value = _NONE
            elif isinstance(link, Call):
                self.member(value)
                value = self.call(prefix(chain, index), link)
            else:
                if isinstance(link, Index):
                    self.value(link.key)
                value = self.member(value)
        return value

    def call(self, called: Expr, call: Call) -> _Value:
        values = [self.value(arg.value) for arg in call.args]
        name = last_name(called)
        if isinstance(called, Name) and values and values[0] == _NONE and name in {"getattr", *_QUESTIONS}:
            self.misses = True
            if name == "getattr" and len(values) < 3:
                raise _GoneError
            return values[2] if name == "getattr" else _FALSE
        self.works = self.works or name not in _REMARKS | _QUESTIONS
        return _OTHER


_STATEMENTS: dict[type, Callable[[_Run, Any], bool | None]] = {
    Evaluate: _Run.evaluate,
    Bind: _Run.bind,
    Delete: _Run.delete,
    Return: _Run.leave,
    Raise: _Run.leave,
    OtherStmt: _Run.check,
    If: _Run.choose,
    For: _Run.repeat,
    While: _Run.repeat,
    Try: _Run.attempt,
    With: _Run.enter,
}
_IDLE = frozenset({Simple, Import, ImportFrom, Def})
"""Statements that do nothing; those that are in neither, ``global`` among them, may leave a mark somewhere."""
_EXPRESSIONS: dict[type, Callable[[_Run, Any], _Value]] = {
    Name: _Run.name,
    Const: _Run.constant,
    Chain: _Run.chain,
    Walrus: _Run.named,
    Not: _Run.negated,
    Bool: _Run.joined,
    Compare: _Run.compared,
    IfExp: _Run.either,
}


def _truth(value: _Value) -> bool | None:
    if isinstance(value, Weak):
        return None if value.kind == "proxy" else True
    return {_NONE: False, _FALSE: False, _TRUE: True}.get(value)


def _catches(handler: Handler) -> bool:
    types = handler.type.items if isinstance(handler.type, Collection) else (handler.type,)
    return any(one is None or last_name(one) in _CATCHES for one in types)


def _parts(expr: Collection | Dict | FString | Binary | Other | Star | Await) -> tuple[Expr | None, ...]:
    """The expressions that an expression is made of, where all of them are evaluated."""
    if isinstance(expr, Dict):
        return tuple(part for item in expr.items for part in item)
    if isinstance(expr, Star | Await):
        return (expr.value,)
    if isinstance(expr, Collection):
        return expr.items
    if isinstance(expr, FString):
        return expr.parts
    return expr.operands if isinstance(expr, Binary) else expr.children

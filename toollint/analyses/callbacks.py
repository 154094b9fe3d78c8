"""Registrations that outlive the call that makes them: who keeps which callback, and whether it is ever taken back.

`weakref.finalize`, `atexit`, signal handlers, exception hooks and loggers keep what they are given until the process
exits, or the object dies that a finalizer waits for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from toollint.analyses.holding import Hold, Thing, bound_method, hold_of, self_of, thing_at
from toollint.analyses.values import Values
from toollint.facts import ClassFacts, Code, FunctionFacts, ModuleFacts, Scope, code_of
from toollint.model import Hop, Place
from toollint.project import Library
from toollint.syntax import (
    Arg,
    Attr,
    Bind,
    Call,
    Chain,
    Def,
    Expr,
    Name,
    callee,
    last_call,
    last_name,
    prefix,
    walk,
)

FINALIZE = "weakref.finalize"
ATEXIT = "atexit.register"
_UNREGISTER = Library("atexit.unregister")
_FUNCTIONS = {FINALIZE: 1, ATEXIT: 0, "signal.signal": 1}
"""Functions that keep a callback, by the position of it; what stands after it is kept too."""
_METHODS = {"add_signal_handler": 1, "addHandler": 0}
"""The same of methods whose object may be anything: an event loop, a logger."""
_HOOKS = frozenset({"sys.excepthook", "threading.excepthook"})
_WORDS = {
    "method": "bound method",
    "lambda": "lambda with",
    "function": "function",
    "partial": "partial of",
    "coroutine": "coroutine of",
    "argument": "argument",
    "helper": "object behind",
}
_REMOVERS = frozenset({"remove_signal_handler", "removeHandler"})
_CALLED = re.compile(rb"\.\s*signal\s*\(|\bfrom[ \t]+signal[ \t]+import\b")
"""A file that mentions `signal` mostly means something else."""


@dataclass(frozen=True, eq=False)
class Registration:
    """A callback that a registry of the process keeps; ``subject`` is the object whose death it waits for."""

    values: Values
    code: Code
    registry: str
    place: Place
    callback: Expr
    arguments: tuple[Expr, ...] = ()
    subject: Expr | None = None

    @classmethod
    def find(cls, values: Values, module: ModuleFacts) -> Iterator[Registration]:
        """The registrations in the functions of a file that are given something which holds an object."""
        about = _about(values, module)
        for code in code_of(module, about) if about else ():
            if code.function is not None:
                yield from (found for found in _registrations(values, code, about) if found.hold is not None)

    @cached_property
    def method(self) -> FunctionFacts | None:
        """The method in which it is made, also by a function inside: whose ``self`` is meant."""
        scope: Scope | None = self.code.scope
        while scope is not None:
            owner = scope.owner
            if isinstance(owner, FunctionFacts) and owner.receiver is not None and not owner.is_classmethod:
                return owner
            scope = scope.parent
        return None

    @cached_property
    def thing(self) -> Thing | None:
        """The object that must not be held: the subject, else the ``self`` of the method."""
        if self.subject is not None:
            return thing_at(self.values, self.code.scope, self.subject)
        method = self.method
        return self_of(method) if method is not None else None

    @cached_property
    def hold(self) -> Hold | None:
        """How it holds the object, None where nothing says that it does."""
        if self.thing is None:
            return None
        return hold_of(self.values, self.thing, self.code, (self.callback, *self.arguments))

    @property
    def is_call(self) -> bool:
        """Whether it is a call that the callback stands in, no decorator and no assignment."""
        start, end = self.code.at(self.callback.start, self.callback.end).span
        return self.place.span.start < start and end < self.place.span.end

    @property
    def subject_text(self) -> str:
        """The object as it is written."""
        if self.subject is None:
            return self.thing.name if self.thing is not None else ""
        start, end = self.code.at(self.subject.start, self.subject.end).span
        return self.code.scope.module.utf8[start:end].decode()

    @property
    def name(self) -> str:
        """The object's class, or the object as it is written."""
        cls = self.thing.cls if self.thing is not None else None
        return cls.name.rpartition(".")[2] if cls is not None else self.subject_text

    def chain(self) -> Iterator[Hop]:
        """From the registry to the object."""
        yield Hop(f"registry of `{self.registry}`", self.place)
        if self.hold is not None:
            yield Hop(f"{_WORDS[self.hold.how]} `{self.hold.text}`", self.hold.place)
        if self.thing is not None and isinstance(self.thing.cls, ClassFacts):
            yield Hop(f"`{self.name}`", self.thing.cls.place)

    # --- what takes it out again

    @cached_property
    def is_undone(self) -> bool:
        """Whether the class, or anything in the project under the same name, takes the callback out of its registry."""
        method = self.method
        if method is None or method.cls is None:
            return False
        if self.registry == ATEXIT:
            return any(self._is_unregistered(code, arg) for code, arg in _unregistered(self.values))
        family = self.values.project.lineage(method.cls).classes
        return any(self._gives_back(function) for cls in family for function in cls.functions)

    def _is_unregistered(self, code: Code, given: Expr) -> bool:
        """Whether ``atexit.unregister(given)`` may mean it: no method of another class, and no other method of its own.

        A name may stand for anything of its own class; in other classes what it is called has to tell.
        """
        same_name = last_name(given) == last_name(self.callback)
        function = code.function
        owner = prefix(given, len(given.links) - 1) if isinstance(given, Chain) else None
        held = self.values.instance(code.scope, owner)
        if held is not None:
            other = bound_method(self.values, held.cls, last_name(given))
            return self._is_kin(held.cls) and (other is None or same_name)
        return same_name or (function is not None and self._is_kin(function.cls))

    def _is_kin(self, cls: object) -> bool:
        """Whether a class is that of the object, an ancestor or a subclass of it."""
        own, lineage = self.method.cls if self.method is not None else None, self.values.project.lineage
        if own is None or not isinstance(cls, ClassFacts):
            return False
        return own in lineage(cls).classes or cls in lineage(own).classes

    def _gives_back(self, function: FunctionFacts) -> bool:
        """Whether a method of the class removes a handler, or registers one that does not hold the object."""
        code = Code(function.scope, function.origin, function.node.body)
        if any(isinstance(node, Attr) and node.name in _REMOVERS for node in walk(function.node.body)):
            return True
        found = _registrations(self.values, code, _about(self.values, function.module))
        return any(other.hold is None for other in found if other.registry == self.registry)


def _unregistered(values: Values) -> Iterator[tuple[Code, Expr]]:
    """What the project gives to `atexit.unregister`, and where."""
    for module in values.project.mentioning("atexit", "unregister"):
        for code in code_of(module, frozenset({b"unregister"})):
            for node in walk(code.block, into=False):
                called, call = (callee(node), last_call(node)) if isinstance(node, Chain) else (None, None)
                if call is not None and call.args and values.project.resolve(code.scope, called) == _UNREGISTER:
                    yield code, call.args[0].value


def _registrations(values: Values, code: Code, about: frozenset[bytes]) -> Iterator[Registration]:
    """Every registration that stands in a piece of code, whatever it is given."""
    for stmt in code.block:
        start, end = code.at(stmt.start, stmt.end).span
        text = code.scope.module.utf8[start:end]
        for node in walk(stmt, into=False) if isinstance(stmt, Def) or any(word in text for word in about) else ():
            if isinstance(node, Chain):
                for index, link in enumerate(node.links):
                    if isinstance(link, Call) and last_name(prefix(node, index)).encode() in about:
                        yield from _called(values, code, prefix(node, index), link)
            elif isinstance(node, Bind) and node.value is not None:
                yield from _hooked(values, code, node, node.value)
            elif isinstance(node, Def):
                yield from _decorated(values, code, node)


def _called(values: Values, code: Code, called: Expr, call: Call) -> Iterator[Registration]:
    given = tuple(arg.value for arg in call.args)
    place = code.at(called.start, call.end)
    registry, position = last_name(called), _METHODS.get(last_name(called))
    if position is None or not isinstance(called, Chain):
        target = values.project.resolve(code.scope, called)
        registry = target.name if isinstance(target, Library) else ""
        position = _FUNCTIONS.get(registry)
    if position is not None and len(given) > position and not any(_is_spread(arg) for arg in call.args[: position + 1]):
        subject = given[0] if registry == FINALIZE else None
        yield Registration(values, code, registry, place, given[position], given[position + 1 :], subject)


def _is_spread(arg: Arg) -> bool:
    return arg.stars > 0 or arg.keyword is not None


def _hooked(values: Values, code: Code, stmt: Bind, value: Expr) -> Iterator[Registration]:
    """``sys.excepthook = callback``."""
    for target in stmt.targets:
        hook = values.project.resolve(code.scope, target) if last_name(target) == "excepthook" else None
        if isinstance(hook, Library) and hook.name in _HOOKS:
            yield Registration(values, code, hook.name, code.at(stmt.start, stmt.end), value)


def _decorated(values: Values, code: Code, node: Def) -> Iterator[Registration]:
    """``@atexit.register`` over a function."""
    for decorator in node.decorators:
        if values.project.resolve(code.scope, decorator) == Library(ATEXIT):
            name = Name(node.name, node.name_start, node.name_end)
            yield Registration(values, code, ATEXIT, code.at(decorator.start, decorator.end), name)


def _about(values: Values, module: ModuleFacts) -> frozenset[bytes]:
    """The identifiers by which a file can register something."""
    words = values.project.words(module.path)
    about = {b"excepthook", *(name.encode() for name in _METHODS)} & words
    for name in _FUNCTIONS:
        library, _, function = name.encode().partition(b".")
        if library in words and (function != library or _CALLED.search(module.utf8)):
            about |= {function} & words
            about.update(re.findall(rb"\b%b[ \t]+as[ \t]+(\w+)" % function, module.utf8))
    return frozenset(about)

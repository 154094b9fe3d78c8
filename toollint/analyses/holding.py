"""What holds an object strongly: methods bound to it, functions that refer to it, what is wrapped around either.

``obj.__dict__`` does not hold ``obj`` (measured), a static or class method does not, a weak reference does not, and
whatever is not understood is taken not to.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from toollint.analyses.release import is_closer
from toollint.analyses.values import Method, Values, is_property
from toollint.facts import Assigned, ClassFacts, Code, FunctionFacts, Scope
from toollint.model import Note, Place, Role
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
    Lambda,
    Name,
    Param,
    Star,
    Walrus,
    attribute_of,
    callee,
    is_none,
    last_name,
    prefix,
    walk,
)

_OTHERWISE_BOUND = re.compile(r"\w*(?:static|class|property)\w*")
"""Decorators after which ``obj.name`` may be something other than a method bound to ``obj``."""
_STEPS = 5
"""How many names, attributes and wrappers in a row are followed."""


class Thing(NamedTuple):
    """An object that a variable stands for, or an attribute path from there; ``cls`` is its class where it is known.

    ``fixed``: the variable is bound once, so that a function which refers to it later finds the same object.
    """

    scope: Scope
    name: str
    path: tuple[str, ...]
    cls: ClassFacts | Library | None
    fixed: bool


class Hold(NamedTuple):
    """How a callback holds an object.

    ``how``: ``method``, ``lambda``, ``function``, ``partial``, ``coroutine``, ``argument`` or ``helper``. ``text`` is
    what holds as it is written, ``expr`` the expression that was given, ``place`` where the object is held.
    ``function`` is the method or function that will run, where it is one of the project.
    """

    how: str
    text: str
    expr: Expr
    place: Place
    function: FunctionFacts | None = None

    @property
    def words(self) -> str:
        """How it holds the object, as a message says it."""
        said = {
            "method": f"it holds `{self.text}`",
            "lambda": f"a lambda uses `{self.text}`",
            "function": f"`{self.text}` uses it",
            "partial": f"a partial holds `{self.text}`",
            "coroutine": "a coroutine holds it",
            "argument": f"it is given `{self.text}`",
            "helper": f"`{self.text}` leads back",
        }
        return said[self.how]

    @property
    def note(self) -> Note:
        """Where the object is held, or the method that is bound to it."""
        if self.how == "method" and self.function is not None:
            return Note(self.function.place, "the method that is held", Role.KEPT_BY)
        label = "its constructor stores it" if self.how == "helper" else "the object is held here"
        return Note(self.place, label, Role.KEPT_BY)


# --- objects -----------------------------------------------------------------------------------------------------


def thing_at(values: Values, scope: Scope, expr: Expr) -> Thing | None:
    """The object that a name stands for, or an attribute of one."""
    variable = _variable(scope, expr)
    if variable is None:
        return None
    instance = values.instance(scope, expr)
    cls = instance.cls if instance is not None else None
    if isinstance(cls, Library) and values.catalog.kind(cls.name) is None:
        cls = None  # `Any` among them
    home, name, path = variable
    return Thing(home, name, path, cls, len(home.bindings[name]) == 1)


def self_of(method: FunctionFacts) -> Thing | None:
    """The object that a method is called on."""
    name = method.receiver
    if name is None:
        return None
    return Thing(method.scope, name, (), method.cls, len(method.scope.bindings[name]) == 1)


def _variable(scope: Scope, expr: Expr) -> tuple[Scope, str, tuple[str, ...]] | None:
    """The variable that an expression starts from, plain aliases followed, and the attributes behind it."""
    links = expr.links if isinstance(expr, Chain) else ()
    base = expr.base if isinstance(expr, Chain) else expr
    path = tuple(link.name for link in links if isinstance(link, Attr))
    found = scope.find(base.id) if isinstance(base, Name) else None
    if not isinstance(base, Name) or found is None or len(path) < len(links):
        return None
    name = base.id
    for _ in range(_STEPS):
        bindings = found[1]
        value = bindings[0].stmt.value if len(bindings) == 1 and isinstance(bindings[0], Assigned) else None
        origin = found[0].find(value.id) if isinstance(value, Name) else None
        if not isinstance(value, Name) or origin is None or len(origin[1]) > 1:
            break
        found, name = origin, value.id
    return found[0], name, path


def bound_method(values: Values, cls: ClassFacts | Library | None, name: str) -> FunctionFacts | Library | None:
    """The function behind ``obj.name`` where that is a method bound to ``obj``; None where it is or may be no such."""
    if isinstance(cls, Library):
        return Library(f"{cls.name}.{name}") if is_closer(name) else None
    if cls is None or any(values.field_assignments(cls, name)):
        return None
    member = values.project.class_member(cls, name)
    if isinstance(member, Library):
        return member if is_closer(name) else None
    if not isinstance(member, FunctionFacts) or member.cls is None or is_property(member):
        return None
    odd = any(_OTHERWISE_BOUND.fullmatch(last_name(callee(one) or one)) for one in member.decorators)
    return None if odd or member.is_classmethod else member


# --- what holds an object ----------------------------------------------------------------------------------------


def hold_of(values: Values, thing: Thing, code: Code, exprs: Iterable[Expr]) -> Hold | None:
    """How the first of several expressions that holds an object does it; None where none is known to."""
    return _Search(values, thing).first(code, exprs)


class _Search:
    """Looks for what holds one object."""

    def __init__(self, values: Values, thing: Thing, steps: int = 0) -> None:
        self.values = values
        self.thing = thing
        self.steps = steps

    def first(self, code: Code, exprs: Iterable[Expr | None]) -> Hold | None:
        found = (self.of(code, expr) for expr in exprs)
        return next((hold for hold in found if hold is not None), None)

    def of(self, code: Code, expr: Expr | None) -> Hold | None:
        """How the value of an expression holds the object, or is it."""
        if self.steps >= _STEPS:
            return None
        self.steps += 1
        try:
            return self._of(code, expr)
        finally:
            self.steps -= 1

    def _of(self, code: Code, expr: Expr | None) -> Hold | None:
        if isinstance(expr, Name):
            return self._name(code, expr)
        if isinstance(expr, Chain):
            return self._made(code, expr) if isinstance(expr.links[-1], Call) else self._attribute(code, expr)
        if isinstance(expr, Lambda):
            defaults = self.first(code, (param.default for param in expr.params))
            return defaults or self._closure(code, expr, expr.params, expr.body)
        if isinstance(expr, Collection):
            return self.first(code, expr.items)
        if isinstance(expr, Dict):
            return self.first(code, (part for item in expr.items for part in item))
        return self.of(code, expr.value) if isinstance(expr, Star | Walrus) else None

    def _is_it(self, scope: Scope, expr: Expr) -> bool:
        return _variable(scope, expr) == self.thing[:3]

    def _hold(self, how: str, code: Code, expr: Expr, function: FunctionFacts | None = None) -> Hold:
        return Hold(how, _text(code, expr), expr, code.at(expr.start, expr.end), function)

    def _name(self, code: Code, expr: Name) -> Hold | None:
        """The object itself, a function inside this one, or a local name for something else that holds it."""
        if self._is_it(code.scope, expr):
            return self._hold("argument", code, expr)
        scope, bindings = code.scope.find(expr.id) or (code.scope, ())
        only = bindings[0] if len(bindings) == 1 and scope.kind == "function" else None
        if isinstance(only, FunctionFacts):
            return self._function(code, expr, only)
        if isinstance(only, Assigned):
            return self.of(code._replace(scope=scope), only.stmt.value)
        return None

    def _function(self, code: Code, expr: Name, function: FunctionFacts) -> Hold | None:
        outside = code._replace(scope=function.outer)
        given = self.first(outside, (param.default for param in function.node.params))
        found = given or self._closure(outside, expr, function.node.params, function.node.body, function)
        return None if found is None else found._replace(how="function", text=expr.id, expr=expr, function=function)

    def _closure(
        self, code: Code, expr: Expr, params: Sequence[Param], body: Any, function: FunctionFacts | None = None
    ) -> Hold | None:
        """What a function or lambda refers to from the scopes around it, itself or through another function."""
        own = {node.name for node in walk(tuple(params), body) if isinstance(node, Param)}
        own.update(function.scope.bindings if function is not None else ())
        for node in walk(body):
            if isinstance(node, Name) and node.id not in own:
                if self._is_it(code.scope, node) and self.thing.fixed and not self.thing.path:
                    return Hold("lambda", _text(code, node), expr, code.at(node.start, node.end))
                found = None if self._is_it(code.scope, node) else self.of(code, node)
                if found is not None:
                    return found._replace(how="lambda", expr=expr)
        return None

    # --- attributes

    def _attribute(self, code: Code, chain: Chain) -> Hold | None:
        """``obj`` under another name, a method bound to it, or one bound to something that holds it."""
        name, owner = last_name(chain), prefix(chain, len(chain.links) - 1)
        if self._is_it(code.scope, chain):
            return self._hold("argument", code, chain)
        if self._is_it(code.scope, owner):
            return self._member(code, chain, name)
        helper = self.of(code, owner)
        if helper is None or helper.how != "helper":
            return None
        called = self.values.instance(code.scope, owner)
        is_method = called is not None and bound_method(self.values, called.cls, name) is not None
        return helper._replace(text=_text(code, owner), expr=chain) if is_method else None

    def _member(self, code: Code, chain: Chain, name: str) -> Hold | None:
        """A method bound to the object, or an attribute of it that leads back."""
        method = bound_method(self.values, self.thing.cls, name)
        if method is not None:
            return self._hold("method", code, chain, method if isinstance(method, FunctionFacts) else None)
        cls = self.thing.cls
        fields = [*self.values.field_assignments(cls, name)] if isinstance(cls, ClassFacts) else []
        given = [(function, stmt.value) for function, stmt in fields if not is_none(stmt.value)]
        thing = self_of(given[0][0]) if len(given) == 1 else None
        if thing is None:
            return None
        function, value = given[0]
        found = _Search(self.values, thing, self.steps).of(Code(function.scope, function.origin, ()), value)
        return None if found is None else found._replace(text=_text(code, chain), expr=chain)

    # --- calls

    def _made(self, code: Code, chain: Chain) -> Hold | None:
        """What a call gives: a partial, a coroutine, an object of the project that stores what it is given."""
        called, call = callee(chain), chain.links[-1]
        value = self.values.of(code.scope, called)
        if called is None or not isinstance(call, Call):
            return None
        if value == Library("functools.partial"):
            found = self.first(code, (arg.value for arg in call.args))
            return None if found is None else found._replace(how="partial", expr=chain)
        if isinstance(value, Method) and value.function.node.is_async and isinstance(called, Chain):
            found = self.of(code, called)
            return None if found is None or found.how != "method" else found._replace(how="coroutine", expr=chain)
        return self._constructed(code, chain, call, value) if isinstance(value, ClassFacts) else None

    def _constructed(self, code: Code, chain: Chain, call: Call, cls: ClassFacts) -> Hold | None:
        """An object whose constructor stores an argument that holds the object."""
        constructor = self.values.project.class_member(cls, "__init__")
        if not isinstance(constructor, FunctionFacts):
            return None
        for arg, name in _parameters(call, constructor):
            stored = _stored(constructor, name)
            if stored is not None and self.of(code, arg.value) is not None:
                return Hold("helper", _text(code, chain), chain, constructor.at(stored.start, stored.end), constructor)
        return None


def _parameters(call: Call, function: FunctionFacts) -> Iterator[tuple[Arg, str]]:
    """The arguments of a call of a constructor with the parameters that get them, as far as that is plain."""
    names = [param.name for param in function.node.params[1:] if param.kind in {"positional", "plain"}]
    for index, arg in enumerate(call.args):
        if arg.stars:
            return
        if arg.keyword is not None:
            yield arg, arg.keyword
        elif index < len(names):
            yield arg, names[index]


def _stored(function: FunctionFacts, name: str) -> Bind | None:
    """The statement with which a constructor stores a parameter in an attribute, strongly."""
    if len(function.scope.bindings.get(name, ())) != 1:
        return None
    bound: Iterator[Bind] = (node for node in walk(function.node.body, into=False) if isinstance(node, Bind))
    for stmt in bound:
        for target, value in _pairs(stmt):
            if isinstance(value, Name) and value.id == name and attribute_of(target, function.receiver):
                return stmt
    return None


def _pairs(stmt: Bind) -> Iterator[tuple[Expr, Expr | None]]:
    """Each target with what it is bound to: ``a, b = x, y`` are two."""
    for target in stmt.targets:
        items = target.items if isinstance(target, Collection) else ()
        values = stmt.value.items if isinstance(stmt.value, Collection) else ()
        yield from zip(items, values, strict=True) if items and len(items) == len(values) else [(target, stmt.value)]


def _text(code: Code, expr: Expr) -> str:
    start, end = code.at(expr.start, expr.end).span
    return " ".join(code.scope.module.utf8[start:end].decode().split())

"""Listeners that are registered with something that lives on: a bus, a dispatcher, a logger, a list of callbacks.

The catalogue knows the registrars of libraries. One of the project's own is a method of an object at module level that
puts what it is given into a list or set of its object, and does not look first whether it is there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from toollint.analyses.holding import hold_of, self_of
from toollint.analyses.invoked import Invoked, around, invoked, is_asked_first, repeating_loop
from toollint.analyses.values import Method, Values
from toollint.facts import Assigned, ClassFacts, Code, FunctionFacts, ModuleFacts, code_of
from toollint.model import Place
from toollint.project import Library, Variable
from toollint.syntax import (
    Attr,
    Bind,
    Call,
    Chain,
    Class,
    Compare,
    Const,
    Def,
    Delete,
    Evaluate,
    Expr,
    For,
    FString,
    Lambda,
    Name,
    Stmt,
    Walrus,
    While,
    With,
    argument,
    callee,
    last_name,
    prefix,
    walk,
)

_VERBS = frozenset(
    {
        *("on", "subscribe", "listen", "add_listener", "add_event_listener", "register_listener", "add_observer"),
        *("add_handler", "register_handler", "add_event_handler", "add_callback", "register_callback"),
        *("add_hook", "register_hook", "add_subscriber", "attach"),
    }
)
"""What the project's own registrars may be called."""
_CALLED = re.compile(rb"(?<![\w.])([^\W\d]\w*)[ \t]*\.[ \t]*(?:%b)[ \t]*\(" % "|".join(sorted(_VERBS)).encode())
"""A name on which one of them is called: the verbs themselves stand in many comments."""
_UNDO = re.compile(r"(?:un|off|remove|detach|clear|discard|dispose|reset)\w*")
_WEAK = re.compile(rb"weakref|WeakSet|WeakMethod|ReferenceType|maxlen")
_TAKES = frozenset({"pop", "popleft", "popitem", "clear", "remove", "discard"})


class Registrar(NamedTuple):
    """A call that adds a listener to those that something keeps.

    ``bound``: that is the object whose method it is, which has to outlive the call. ``twice``: it adds the same
    listener again. ``decorates``: the call gives the decorator that does it. ``undo`` are what takes a listener out.
    """

    name: str
    parameter: str
    params: tuple[str, ...]
    bound: bool
    twice: bool
    decorates: bool
    undo: frozenset[str]


@dataclass(frozen=True, eq=False)
class Listening:
    """A registration of a listener; ``listener`` is None where the registrar stands over a function, ``definition``."""

    values: Values
    code: Code
    registrar: Registrar
    called: Expr
    node: Chain | Def
    place: Place
    listener: Expr | None
    definition: Def | None = None

    @classmethod
    def find(cls, values: Values, module: ModuleFacts) -> Iterator[Listening]:
        """The registrations in the code of a file, tests aside."""
        if module.is_test:
            return
        known = values.sieve.words(module.path, "listener") & values.project.words(module.path)
        about = known.union(_CALLED.findall(module.utf8)) - {b"self", b"cls"}
        for code in code_of(module, about) if about else ():
            if not isinstance(code.scope.owner, ClassFacts):
                yield from _registrations(values, code, known)

    @property
    def receiver(self) -> Expr:
        """What keeps the listener."""
        called = self.called
        return prefix(called, len(called.links) - 1) if isinstance(called, Chain) else called

    @property
    def text(self) -> str:
        """The registrar as it is written, without what stands in brackets."""
        last = last_name(self.called)
        return last if isinstance(self.called, Name) else f"{last_name(self.receiver)}.{last}"

    @property
    def function(self) -> FunctionFacts | None:
        """The function that registers."""
        return self.code.function

    # --- how often

    @cached_property
    def loop(self) -> For | While | None:
        """The innermost loop that registers in each round, where nothing of it depends on what the round brings."""
        parts = [self.node.decorators, self.node.body] if isinstance(self.node, Def) else [self.node]
        return repeating_loop(self.code, self.node, *parts)

    @cached_property
    def invoked(self) -> Invoked | None:
        """What runs the function that registers again and again."""
        return invoked(self.values, self.function) if self.function is not None else None

    @property
    def is_of_object(self) -> bool:
        """Whether a constructor registers what holds its object."""
        function = self.function
        if function is None or function.name != "__init__" or function.cls is None:
            return False
        given = self.listener
        if self.definition is not None:
            given = Name(self.definition.name, self.definition.name_start, self.definition.name_end)
        thing = self_of(function)
        return thing is not None and given is not None and hold_of(self.values, thing, self.code, (given,)) is not None

    @cached_property
    def hoisted(self) -> tuple[Stmt, tuple[str, ...]] | None:
        """The statement of the loop that can stand above it, and its lines; None where it uses what the loop binds."""
        inside = around(self.code, self.node)
        if self.loop is None or inside[-2:-1] != [self.loop]:
            return None
        stmt = inside[-1]
        own = {stmt.name} if isinstance(stmt, Def) else set()
        used = {one.id for one in walk(stmt) if isinstance(one, Name)}
        lines = _lines_of(self.code, stmt)
        plain = isinstance(stmt, Def | Evaluate) and used.isdisjoint(_bound_in(self.loop, stmt) - own)
        called_later = any(isinstance(one, Name) and one.id in own for one in walk(self.loop.body, into=False))
        return (stmt, lines) if plain and lines and not called_later else None

    # --- what it adds

    @property
    def adds(self) -> bool:
        """Whether each time brings another listener, or the registrar takes the same one again."""
        return self.registrar.twice or self.definition is not None or self._is_new(self.listener)

    def _is_new(self, expr: Expr | None) -> bool:
        """Whether an expression gives a new object each time: a lambda, an inner function, what a constructor makes."""
        if isinstance(expr, Lambda):
            return True
        if isinstance(expr, Name):
            found = self.code.scope.bindings.get(expr.id, ())
            inner = bool(found) and all(isinstance(one, FunctionFacts) for one in found)
            values = [one.stmt.value for one in found if isinstance(one, Assigned)]
            made = len(values) == 1 == len(found) and self._is_new(values[0])
            return self.function is not None and (inner or made)
        called = callee(expr) if expr is not None else None
        if called is None:
            return False
        value = self.values.of(self.code.scope, called)
        name = value.name if isinstance(value, Library) else ""
        return isinstance(value, ClassFacts) or name == "functools.partial" or name.rpartition(".")[2][:1].isupper()

    # --- whether it is meant

    @property
    def is_lasting(self) -> bool:
        """Whether what keeps the listener outlives the call: it is the process's, or stands at module level."""
        return self._stands_at_module_level if self.registrar.bound else self._is_fixed

    @property
    def _stands_at_module_level(self) -> bool:
        target = self.values.project.resolve(self.code.scope, self.receiver)
        return isinstance(target, Library) or (isinstance(target, Variable) and target.scope.kind == "module")

    @property
    def _is_fixed(self) -> bool:
        """Whether it is the same each time: no object that the arguments of the function choose."""
        function = self.function
        params = {param.name for param in function.node.params} if function is not None else set()
        left, seen = [self.receiver], set[str]()
        while left:
            for node in walk(left.pop()):
                if isinstance(node, Name) and node.id not in seen:
                    seen.add(node.id)
                    found = self.code.scope.bindings.get(node.id, ()) if function is not None else ()
                    left += [
                        one.stmt.value for one in found if isinstance(one, Assigned) and one.stmt.value is not None
                    ]
        return seen.isdisjoint(params)

    @cached_property
    def is_undone(self) -> bool:
        """Whether a test decides about it, a block takes it back, or something here takes listeners out again."""
        if is_asked_first(self.code, self.receiver) or any(map(self._is_scope, around(self.code, self.node))):
            return True
        function = self.function
        if function is not None and function.cls is not None:
            family = self.values.project.lineage(function.cls).classes
            if any(self._takes_out(node) for cls in family for method in cls.functions for node in _chains(method)):
                return True
        words = self.values.project.words(self.code.scope.module.path)
        about = frozenset(word.encode() for word in self.registrar.undo) & words
        found = code_of(self.code.scope.module, about) if about else ()
        return any(self._takes_out(node, code) for code in found for node in walk(code.block))

    def _is_scope(self, stmt: Stmt) -> bool:
        """Whether it is ``with bus.scoped_handlers():`` of the same bus."""
        contexts = [context for context, _ in stmt.items] if isinstance(stmt, With) else []
        return any(isinstance(one, Chain) and last_name(self.receiver) in _names(one) for one in contexts)

    def _takes_out(self, node: object, code: Code | None = None) -> bool:
        """Whether it calls what takes a listener out, of the same thing where another function does."""
        if not isinstance(node, Chain) or self.registrar.undo.isdisjoint(_names(node)):
            return False
        near = code is None or code.scope is self.code.scope or isinstance(self.called, Name)
        return near or last_name(self.receiver) in _names(node)


# --- finding them ------------------------------------------------------------------------------------------------


def _registrations(values: Values, code: Code, known: frozenset[bytes]) -> Iterator[Listening]:
    for node in walk(code.block, into=False):
        if isinstance(node, Chain):
            for index, link in enumerate(node.links):
                called = prefix(node, index)
                if isinstance(link, Call):
                    registrar = _registrar(values, code, called, known)
                    given = _given(registrar, node, index) if registrar is not None else None
                    if registrar is not None and given is not None:
                        place = code.at(node.start, node.end)
                        yield Listening(values, code, registrar, called, node, place, given)
        elif isinstance(node, Def):
            for decorator in node.decorators:
                called = callee(decorator) or decorator
                registrar = _registrar(values, code, called, known)
                if registrar is not None and (registrar.decorates or called is decorator):
                    place = code.at(decorator.start, decorator.end)
                    yield Listening(values, code, registrar, called, node, place, None, node)


def _given(registrar: Registrar, chain: Chain, index: int) -> Expr | None:
    """The listener that a call is given, or the call of the decorator that it gives."""
    call = chain.links[index]
    following = chain.links[index + 1] if index + 1 < len(chain.links) else None
    if registrar.decorates and isinstance(following, Call):
        return following.args[0].value if following.args else None
    position = registrar.params.index(registrar.parameter) if registrar.parameter in registrar.params else None
    return argument(call, registrar.parameter, position) if isinstance(call, Call) else None


def _registrar(values: Values, code: Code, called: Expr, known: frozenset[bytes]) -> Registrar | None:
    name = last_name(called)
    if name.encode() not in known and (name not in _VERBS or not _may_stand_at_module_level(code, called)):
        return None
    value = values.of(code.scope, called)
    if isinstance(value, Method):
        return _own(value) if name in _VERBS else None
    effect = values.catalog.effect(value.name) if isinstance(value, Library) else None
    if effect is None or not effect.grows:
        return None
    kept = (*effect.registers, *effect.retains)
    undo = frozenset(effect.undo)
    return Registrar(effect.name, kept[0], effect.params, not effect.registers, effect.twice, effect.decorates, undo)


def _may_stand_at_module_level(code: Code, called: Expr) -> bool:
    """Whether the first name of a chain is none that the function binds, but for what it imports or is given."""
    base = called.base if isinstance(called, Chain) else called
    if not isinstance(base, Name) or code.function is None:
        return True
    return not any(isinstance(one, Assigned) for one in code.scope.bindings.get(base.id, ()))


# --- the project's own -------------------------------------------------------------------------------------------


def _own(method: Method) -> Registrar | None:
    """A method that adds one of its parameters, or what its decorator stands over, to a list or set of its object."""
    function, cls = method.function, method.receiver.cls
    if not isinstance(cls, ClassFacts) or function.receiver is None or _is_weak(cls) or _is_used_up(cls):
        return None
    undo = frozenset(name for name in cls.methods if _UNDO.fullmatch(name))
    params = tuple(param.name for param in function.node.params[1:])
    inner = [node for node in function.node.body if isinstance(node, Def)]
    for parameter in params:
        how = _adds(function, function.node, parameter)
        if how:
            return Registrar(function.name, parameter, params, True, how == "append", False, undo)
    for node in inner:
        how = _adds(function, node, node.params[0].name) if node.params else ""
        if how:
            return Registrar(function.name, "", params, True, how == "append", True, undo)
    return None


def _is_used_up(cls: ClassFacts) -> bool:
    """Whether something takes out of its containers that is not there for listeners to be taken out: a call of each."""
    others = (method for name, method in cls.methods.items() if not _UNDO.fullmatch(name))
    return any(last_name(node) in _TAKES for method in others for node in _chains(method))


def _is_weak(cls: ClassFacts) -> bool:
    """Whether its text speaks of weak references, or of a limit."""
    start, end = cls.at(cls.node.start, cls.node.end).span
    return _WEAK.search(cls.module.utf8, start, end) is not None


def _adds(method: FunctionFacts, definition: Def, parameter: str) -> str:
    """How a body puts a parameter into something of the method's object: ``append``, ``add``; empty if it does not."""
    if any(isinstance(node, Compare) and _mentions(node, parameter) for node in walk(definition.body)):
        return ""  # it looks first whether it is there
    for node in walk(definition.body, into=False):
        if isinstance(node, Chain) and isinstance(node.base, Name) and node.base.id == method.receiver:
            verb, call = last_name(prefix(node, len(node.links) - 1)), node.links[-1]
            if isinstance(call, Call) and verb in {"append", "add"} and any(_mentions(a, parameter) for a in call.args):
                return verb
    return ""


def _mentions(node: object, name: str) -> bool:
    return any(isinstance(one, Name) and one.id == name for one in walk(node))


def _names(chain: Chain) -> set[str]:
    base = {chain.base.id} if isinstance(chain.base, Name) else set()
    return base | {link.name for link in chain.links if isinstance(link, Attr)}


def _chains(function: FunctionFacts) -> Iterator[Chain]:
    return (node for node in walk(function.node.body) if isinstance(node, Chain))


# --- the text for another place ----------------------------------------------------------------------------------


def _bound_in(loop: For | While, moved: Stmt) -> set[str]:
    """The names that the rounds of a loop bind, but for what the moved statement binds inside itself."""
    targets: list[object] = [loop.target] if isinstance(loop, For) else []
    for one in walk(loop.body, into=False):
        if isinstance(one, Bind | Delete):
            targets += one.targets
        elif isinstance(one, For | Walrus):
            targets.append(one.target)
        elif isinstance(one, With):
            targets += [target for _, target in one.items]
    found = {one.id for target in targets for one in walk(target) if isinstance(one, Name)}
    return found | {
        one.name for one in walk(loop.body, into=False) if isinstance(one, Def | Class) and one is not moved
    }


def _lines_of(code: Code, stmt: Stmt) -> tuple[str, ...]:
    """The lines of a statement, decorators included, four spaces a level; none where that could change a string."""
    utf8 = code.scope.module.utf8
    first = min([stmt.start, *(one.start for one in stmt.decorators)]) if isinstance(stmt, Def) else stmt.start
    start, end = code.at(first, stmt.end).span
    line = max(utf8.rfind(b"\n", 0, start), utf8.rfind(b"\r", 0, start)) + 1
    lines = re.split(r"\r\n|\r|\n", utf8[line:end].decode())
    indent = re.match(r" *", lines[0])[0]  # type: ignore[index]
    if any(text.strip() and not text.startswith(indent) for text in lines) or "\t" in "".join(lines):
        return ()
    if any(isinstance(one, Const | FString) and _spans_lines(code, one) for one in walk(stmt)):
        return ()
    below = [""] if isinstance(stmt, Def) else []
    return tuple(text[len(indent) :] for text in [*lines, *below])


def _spans_lines(code: Code, node: Const | FString) -> bool:
    start, end = code.at(node.start, node.end).span
    return b"\n" in code.scope.module.utf8[start:end]

"""What is known of a file before any name is looked up elsewhere: scopes, classes, functions, imports.

These records are made by `toollint.lower` and joined by `toollint.project`. Names inside them are still as written.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Generic, NamedTuple, TypeAlias, TypeVar, cast

from toollint.model import Place, Span
from toollint.source import identifiers
from toollint.syntax import (
    Arg,
    Bind,
    Class,
    Def,
    Expr,
    Name,
    Param,
    Stmt,
    Yield,
    attribute_of,
    callee,
    last_name,
    walk,
)


class Imported(NamedTuple):
    """A name that an import binds to ``target``, an absolute dotted path (module, or module and attribute)."""

    target: str


class Assigned(NamedTuple):
    """A name bound by ``name = value`` or ``name: annotation [= value]``."""

    stmt: Bind


class Parameter(NamedTuple):
    """A name that is a parameter."""

    param: Param


class Entered(NamedTuple):
    """A name bound by ``with context as name``."""

    context: Expr


class Opaque(NamedTuple):
    """A name bound in a way that tells nothing: a loop target, unpacking, an exception, a pattern, ``+=``."""


_MANAGERS = frozenset({"contextmanager", "asynccontextmanager"})
_TEST = re.compile(r"test_.*|.*_test|tests?|testing|conftest")

Binding: TypeAlias = "Imported | Assigned | Parameter | Entered | Opaque | ClassFacts | FunctionFacts"
Bindings: TypeAlias = Mapping[str, tuple[Binding, ...]]


@dataclass(eq=False)
class Scope:
    """The names of a module, class or function body, and the scope around it.

    ``make`` computes the bindings when they are first asked for: most bodies of a file are never looked into.
    ``owner`` is the class or function whose body it is, None for a module.
    """

    kind: str
    module: ModuleFacts
    parent: Scope | None
    make: Callable[[Scope], Bindings]
    owner: ClassFacts | FunctionFacts | None = None

    @cached_property
    def bindings(self) -> Bindings:
        """Each name with everything that binds it, in source order."""
        return self.make(self)

    def find(self, name: str) -> tuple[Scope, tuple[Binding, ...]] | None:
        """The scope that ``name`` lives in when it is used here, as Python looks it up, and its bindings there."""
        scope: Scope | None = self
        while scope is not None:
            found = scope.bindings.get(name)
            if found is not None and (scope.kind != "class" or scope is self):
                return scope, found
            scope = scope.parent
        return None


_Node = TypeVar("_Node", Def, Class)


@dataclass(frozen=True, eq=False)
class _Definition(Generic[_Node]):
    """What functions and classes have in common.

    ``origin`` is where the top-level item starts that the nodes' spans are relative to; ``scope`` is that of the body.
    """

    name: str
    qualname: str
    load: Callable[[], Stmt]
    origin: int
    scope: Scope

    @cached_property
    def node(self) -> _Node:
        """The definition, translated when it is first looked into."""
        return cast("_Node", self.load())

    @property
    def module(self) -> ModuleFacts:
        """The file that defines it."""
        return self.scope.module

    @property
    def outer(self) -> Scope:
        """The scope that it stands in, where its decorators, bases and annotations are evaluated."""
        return self.scope.parent or self.scope

    @property
    def place(self) -> Place:
        """Its name."""
        return self.at(self.node.name_start, self.node.name_end)

    def at(self, start: int, end: int) -> Place:
        """The place of a node in it."""
        return Place(self.module.path, Span(self.origin + start, self.origin + end))


@dataclass(frozen=True, eq=False)
class FunctionFacts(_Definition[Def]):
    """A function, or a method of ``cls``."""

    cls: ClassFacts | None

    @property
    def decorators(self) -> tuple[Expr, ...]:
        """The decorators, outermost first."""
        return self.node.decorators

    @property
    def receiver(self) -> str | None:
        """The name of ``self`` or ``cls`` in a method, None in functions and static methods."""
        if self.cls is None or not self.node.params or self.is_static:
            return None
        return self.node.params[0].name

    @cached_property
    def is_static(self) -> bool:
        """Whether ``@staticmethod`` decorates it."""
        return has_word(self.node.decorators, "staticmethod")

    @cached_property
    def is_generator(self) -> bool:
        """Whether a call of it gives a generator: it yields."""
        return any(isinstance(node, Yield) for node in walk(self.node.body, into=False))

    @cached_property
    def is_manager(self) -> bool:
        """Whether a `with` runs it, up to its `yield` and on from there."""
        return any(last_name(callee(one) or one) in _MANAGERS for one in self.decorators)

    @cached_property
    def is_fixture(self) -> bool:
        """Whether a test runner runs it, up to its `yield` and on from there, whatever the test does."""
        return any(last_name(callee(one) or one).endswith("fixture") for one in self.decorators)

    @cached_property
    def is_classmethod(self) -> bool:
        """Whether its first parameter is the class."""
        return has_word(self.node.decorators, "classmethod") or self.name in {"__new__", "__init_subclass__"}


@dataclass(frozen=True, eq=False)
class ClassFacts(_Definition[Class]):
    """A class; its body's names are those of ``scope``."""

    @property
    def full_name(self) -> str:
        """Module and qualified name: what other files, and the catalogue, call it."""
        return f"{self.module.name}.{self.qualname}"

    @property
    def bases(self) -> tuple[Arg, ...]:
        """The base classes as written."""
        return tuple(arg for arg in self.node.args if arg.keyword is None and arg.stars != 2)

    @cached_property
    def methods(self) -> Mapping[str, FunctionFacts]:
        """The methods by name: of several definitions (properties, overloads, branches) the last."""
        return {
            name: [b for b in found if isinstance(b, FunctionFacts)][-1]
            for name, found in self.scope.bindings.items()
            if any(isinstance(b, FunctionFacts) for b in found)
        }

    @cached_property
    def assignments(self) -> Mapping[str, tuple[tuple[FunctionFacts, Bind], ...]]:
        """Each ``self.name = ...`` in the methods, by name: the method and the statement."""
        found: dict[str, tuple[tuple[FunctionFacts, Bind], ...]] = {}
        for function in self.functions:
            for stmt in walk(function.node.body, into=False):
                for target in stmt.targets if isinstance(stmt, Bind) else ():
                    name = attribute_of(target, function.receiver)
                    if name is not None:
                        found[name] = (*found.get(name, ()), (function, stmt))
        return found

    @cached_property
    def functions(self) -> tuple[FunctionFacts, ...]:
        """Every method that the body defines, also those that a later one replaces (a property's setter)."""
        return tuple(b for found in self.scope.bindings.values() for b in found if isinstance(b, FunctionFacts))


@dataclass(frozen=True, eq=False)
class ModuleFacts:
    """A file of the project; statements are translated when they are first asked for."""

    path: str
    name: str
    is_package: bool
    utf8: bytes
    spans: tuple[tuple[int, int], ...]
    statement: Callable[[int], Stmt]
    make_scope: Callable[[ModuleFacts], Scope]

    @cached_property
    def scope(self) -> Scope:
        """The module's names."""
        return self.make_scope(self)

    @cached_property
    def definitions(self) -> tuple[ClassFacts | FunctionFacts, ...]:
        """The classes and functions that the module level binds, in source order."""
        found = [b for many in self.scope.bindings.values() for b in many if isinstance(b, ClassFacts | FunctionFacts)]
        return tuple(sorted(found, key=lambda d: d.origin))

    def words_of(self, index: int) -> frozenset[bytes]:
        """The identifiers that a top-level statement mentions."""
        if index not in self._words:
            start, end = self.spans[index]
            self._words[index] = identifiers(self.utf8[start:end])
        return self._words[index]

    @cached_property
    def _words(self) -> dict[int, frozenset[bytes]]:
        return {}

    @cached_property
    def definitions_at(self) -> Mapping[int, tuple[ClassFacts | FunctionFacts, ...]]:
        """The definitions in each top-level statement that has any (one, or those in an ``if`` or ``try``)."""
        index_of = {start: index for index, (start, _) in enumerate(self.spans)}
        found: dict[int, tuple[ClassFacts | FunctionFacts, ...]] = {}
        for definition in self.definitions:
            index = index_of[definition.origin]
            found[index] = (*found.get(index, ()), definition)
        return found

    @cached_property
    def is_test(self) -> bool:
        """Whether it is a test or stands among tests, below its source root."""
        return any(_TEST.fullmatch(part) for part in self.name.split("."))

    @property
    def package(self) -> str:
        """The package that relative imports of this file start from."""
        return self.name if self.is_package else self.name.rpartition(".")[0]


def has_word(decorators: tuple[Expr, ...], word: str) -> bool:
    """Whether a bare decorator of that name is among them."""
    return any(isinstance(decorator, Name) and decorator.id == word for decorator in decorators)


class Code(NamedTuple):
    """Statements that run in one scope: a module's own, a class body or a function body; nested ones come apart."""

    scope: Scope
    origin: int
    block: tuple[Stmt, ...]

    @property
    def function(self) -> FunctionFacts | None:
        """The function whose body it is."""
        return self.scope.owner if isinstance(self.scope.owner, FunctionFacts) else None

    def at(self, start: int, end: int) -> Place:
        """The place of a node of these statements."""
        return Place(self.scope.module.path, Span(self.origin + start, self.origin + end))


def code_of(module: ModuleFacts, about: frozenset[bytes] | None = None) -> Iterator[Code]:
    """The code of a file in source order: each statement of the module itself, every class and function body.

    With ``about``, only the top-level statements that mention one of these identifiers are looked into: the others
    are not even translated.
    """
    for index, (start, _) in enumerate(module.spans):
        if about is None or not about.isdisjoint(module.words_of(index)):
            yield from _code_at(module, index, start)


def _code_at(module: ModuleFacts, index: int, start: int) -> Iterator[Code]:
    definitions = module.definitions_at.get(index, ())
    if not definitions or not isinstance(module.statement(index), Def | Class):
        yield Code(module.scope, start, (module.statement(index),))
    for definition in definitions:
        yield from _code_within(definition)


def _code_within(facts: ClassFacts | FunctionFacts) -> Iterator[Code]:
    yield Code(facts.scope, facts.origin, facts.node.body)
    for found in facts.scope.bindings.values():
        for inner in found:
            if isinstance(inner, ClassFacts | FunctionFacts):
                yield from _code_within(inner)


def classes_of(module: ModuleFacts, about: frozenset[bytes]) -> Iterator[ClassFacts]:
    """Every class of a file, nested ones too, in top-level statements that mention one of the identifiers."""
    for index, (start, _) in enumerate(module.spans):
        words = module.words_of(index)
        if b"class" in words and not about.isdisjoint(words):
            for code in _code_at(module, index, start):
                if isinstance(code.scope.owner, ClassFacts):
                    yield code.scope.owner


def declarations_of(module: ModuleFacts, value: re.Pattern[bytes]) -> Iterator[Code]:
    """The module's own statements, and the class bodies in definitions whose text matches ``value``."""
    for index, (start, end) in enumerate(module.spans):
        if index not in module.definitions_at or (
            b"class" in module.words_of(index) and value.search(module.utf8, start, end)
        ):
            yield from (code for code in _code_at(module, index, start) if code.function is None)

"""Resources that are made while a module is imported, once for everybody: in a class body, or as a default argument.

To share one is often a decision: a class attribute that is written in capitals, declared ``ClassVar``, used through its
class or by the class body itself, or that belongs to a class of which there is one object. What is looked for is the
opposite: code that treats the one object as if every instance had its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from toollint.analyses.claims import assignments, is_certain, is_constructor
from toollint.analyses.once import lives_once
from toollint.analyses.release import Held, is_closer, may_release
from toollint.analyses.values import Instance, Values
from toollint.catalog import Acquisition
from toollint.facts import Assigned, ClassFacts, Code, FunctionFacts, ModuleFacts, Scope, code_of
from toollint.lower import blocks
from toollint.model import Place
from toollint.project import Library
from toollint.source import identifiers
from toollint.syntax import (
    Attr,
    Bind,
    Call,
    Chain,
    Expr,
    If,
    Index,
    Lambda,
    Link,
    Name,
    Param,
    argument,
    callee,
    is_name,
    is_none,
    last_call,
    last_name,
    prefix,
    subscripted,
    walk,
)

_FIELD_FUNCTIONS = frozenset({"Field", "PrivateAttr", "field", "attrib", "ib"})
_DATACLASSES = frozenset({"dataclass", "define", "frozen", "mutable", "attrs", "s"})
_BY_DESIGN = re.compile(r"[A-Z0-9_]+|.*(?:shared|global|common|singleton|default|pool).*")
_BY_DESIGN_CLASS = frozenset({"Meta", "Config"})
_ANYTHING = (None, Library("typing.Any"), Library("builtins.object"))
_MUTATORS = frozenset({"update", "setdefault", "set", "append", "add", "extend", "insert", "set_cookie"})
_HEADER = re.compile(rb"\bdef[ \t].*?:[ \t]*(?:#[^\r\n]*)?(?:[\r\n]|\Z)", re.DOTALL)
"""A function as far as the first line that ends with a colon: its parameters, or more."""
_LEVEL = re.compile(rb"^(?: {1,4}|\t)(?=\S)", re.MULTILINE)
"""Where a statement of a class body may start, by its indentation."""
_STEPS = 3
"""How many local names in a row are followed."""


class Use(NamedTuple):
    """What code does with the shared object: ``rest`` follows it in ``chain``; ``stmt`` assigns to the chain.

    ``of``: it is reached through the class, through an instance, or through nobody knows what (``unknown``).
    """

    of: str
    code: Code
    chain: Chain
    rest: tuple[Link, ...]
    stmt: Bind | None = None

    @property
    def place(self) -> Place:
        """The whole chain."""
        return self.code.at(self.chain.start, self.chain.end)

    @property
    def called(self) -> str:
        """The method of the object that is called, or the attribute that is read; empty for the object itself."""
        return self.rest[0].name if self.rest and isinstance(self.rest[0], Attr) else ""

    @property
    def method(self) -> FunctionFacts | None:
        """The method that reaches it through its own instance."""
        function = self.code.function
        of_self = function is not None and isinstance(self.chain.base, Name) and self.chain.base.id == function.receiver
        return function if of_self and self.of == "instance" else None


class Harm(NamedTuple):
    """Why sharing it is wrong: a word for it, and the use that shows it."""

    what: str
    use: Use | None = None


@dataclass(frozen=True, eq=False)
class Shared:
    """A resource that is made once at import.

    ``kind``: a plain class ``attribute``, a ``field`` (a default of the generated constructor), a ``private`` attribute
    of a pydantic model, or a ``default`` argument. ``home`` is the class or the function; ``value`` is the call that
    acquires, ``whole`` what stands behind the ``=``.
    """

    values: Values
    home: ClassFacts | FunctionFacts
    name: str
    kind: str
    acquisition: Acquisition
    value: Expr
    whole: Expr

    @classmethod
    def find(cls, values: Values, module: ModuleFacts) -> Iterator[Shared]:
        """Everything of the kind in a file, tests aside: what they open lives as long as they run."""
        about = values.sieve.words(module.path, "acquisition")
        if module.is_test or not about:
            return
        for index, definitions in module.definitions_at.items():
            start, end = module.spans[index]
            if not about.isdisjoint(module.words_of(index)) and _may_share(module.utf8[start:end], about):
                for definition in definitions:
                    yield from _shared_in(values, definition)

    # --- what it is

    @property
    def place(self) -> Place:
        """The call that acquires."""
        return self.home.at(self.value.start, self.value.end)

    @property
    def cls(self) -> ClassFacts | None:
        """The class whose instances share it."""
        return self.home if isinstance(self.home, ClassFacts) else self.home.cls

    @property
    def is_opened_at_import(self) -> bool:
        """Whether it holds something before anybody uses it, and something that one has to be careful with."""
        return self.acquisition.lazy is False and self.acquisition.resource.weight == "high"

    @cached_property
    def is_pydantic(self) -> bool:
        """Whether the class is a pydantic model."""
        return isinstance(self.home, ClassFacts) and _is_pydantic(self.values, self.home)

    @cached_property
    def attribute(self) -> str:
        """The attribute of the instances that gives it; empty for what a function alone has."""
        if isinstance(self.home, ClassFacts):
            return self.name
        stored = [attribute for attribute, stmt in assignments(self.home) if is_name(stmt.value, self.name)]
        return stored[0] if is_constructor(self.home) and len(stored) == 1 else ""

    # --- why that is wrong

    @cached_property
    def harm(self) -> Harm | None:
        """What is wrong with it, None where sharing it is fine or may be meant."""
        if self.kind == "private":
            return Harm("copied")
        return self._misused or self._replaced or self._opened

    @property
    def _misused(self) -> Harm | None:
        """An instance closes it for all, or writes its own data into it."""
        if self.cls is not None and lives_once(self.values, self.cls):
            return None
        found = next(self._closings, None)
        if found is not None:
            return Harm("closed", found)
        found = next(self._writes, None)
        return None if found is None else Harm("written", found)

    @property
    def _replaced(self) -> Harm | None:
        """Every instance puts another one in its place, so nobody uses the one that was opened at import."""
        if self.kind != "attribute" or not self.is_opened_at_import or self._is_class_wide:
            return None
        for use in self.uses:
            if use.method is not None and use.stmt is not None and self._replaces(use.method, use.stmt):
                return Harm("replaced", use)
        return None

    def _replaces(self, method: FunctionFacts, stmt: Bind) -> bool:
        if stmt.value is None or is_none(stmt.value) or not is_constructor(method):
            return False
        mentioned = any(isinstance(node, Attr) and node.name == self.name for node in walk(stmt.value))
        return method.cls is self.home and is_certain(method.node.body, stmt) and not mentioned

    @property
    def _opened(self) -> Harm | None:
        """It costs something from the moment of the import, and nothing says that this is meant."""
        if self.kind == "default":
            return Harm("opened") if self.is_opened_at_import and not self.name.startswith("_") else None
        if self.cls is None or self._is_class_wide or lives_once(self.values, self.cls):
            return None
        if self.kind == "field" and self.is_pydantic:
            return Harm("field")
        if not self.is_opened_at_import or self._may_be_released:
            return None
        if self.kind == "attribute" and (_is_by_design(self.cls, self.name) or not self._is_read_by_instances):
            return None
        return Harm("opened")

    @property
    def _is_class_wide(self) -> bool:
        """Whether anything uses it as what belongs to the class: through its name, or in the class body."""
        if any(use.of == "class" for use in self.uses):
            return True
        block = self.home.node.body
        mentioned = [node for node in walk(block, into=False) if isinstance(node, Name) and node.id == self.name]
        return len(mentioned) > 1

    @property
    def _is_read_by_instances(self) -> bool:
        own = [use for use in self.uses if use.method is not None]
        return bool(own) and all(use.stmt is None or use.rest for use in own)

    @property
    def _may_be_released(self) -> bool:
        held = Held(self.attribute, self.acquisition.resource)
        functions = dict.fromkeys(use.method for use in self.uses if use.method is not None)
        return any(use.called in self._verbs or is_closer(use.called) for use in self.uses) or any(
            may_release(function, held) for function in functions
        )

    # --- the uses

    @property
    def _verbs(self) -> frozenset[str]:
        resource = self.acquisition.resource
        return frozenset({resource.release, *resource.others}) - {""}

    @cached_property
    def uses(self) -> tuple[Use, ...]:
        """What the project does with the attribute that gives it, and what the function does with its parameter."""
        found: list[Use] = []
        if isinstance(self.home, FunctionFacts):
            found += _parameter_uses(self.home, self.name)
        if self.cls is not None and self.attribute:
            found += _attribute_uses(self.values, self.cls, self.attribute)
        return tuple(found)

    @property
    def _own(self) -> Iterator[Use]:
        """The uses by instances and by the function itself, where all of them are known to mean this object."""
        others = [
            stmt
            for use in self.uses
            if use.of == "instance" and not use.rest and (stmt := use.stmt) is not None and not is_none(stmt.value)
            if not (isinstance(self.home, FunctionFacts) and is_name(stmt.value, self.name))
        ]
        if isinstance(self.home, FunctionFacts) and len(self.home.scope.bindings[self.name]) > 1:
            return
        if not others:
            yield from (use for use in self.uses if use.method is not None or use.of == "parameter")

    @property
    def _closings(self) -> Iterator[Use]:
        """Where the end of one instance, or of one call, closes it without asking who owns it."""
        for use in self._own:
            function = use.code.function
            ends = use.of == "parameter" or (function is not None and is_closer(function.name))
            closes = use.called in self._verbs and len(use.rest) > 1 and isinstance(use.rest[1], Call)
            if ends and closes and not is_guarded(use.code, use.chain, {self.name, self.attribute}):
                yield use

    @property
    def _writes(self) -> Iterator[Use]:
        """Where an instance changes the object with data of its own."""
        for use in self._own:
            function = use.code.function
            if function is not None and any(map(_Own(self.values, function).holds, _written(use))):
                yield use


# --- where they are ----------------------------------------------------------------------------------------------


def _may_share(text: bytes, about: frozenset[bytes]) -> bool:
    """Whether a definition's text may acquire in its class body or in the parameters of a function."""
    pieces = [piece for piece in _LEVEL.split(text)[1:] if not piece.startswith((b"def ", b"async ", b"@"))]
    headers = [found[0] for found in _HEADER.finditer(text)]
    return any(not about.isdisjoint(identifiers(piece)) for piece in (*headers, *pieces))


def _shared_in(values: Values, home: ClassFacts | FunctionFacts) -> Iterator[Shared]:
    if isinstance(home, FunctionFacts):
        yield from _defaults(values, home)
        return
    for name, bindings in home.scope.bindings.items():
        for binding in bindings:
            if isinstance(binding, ClassFacts | FunctionFacts):
                yield from _shared_in(values, binding)
            elif isinstance(binding, Assigned) and len(bindings) == 1:
                yield from _attributes(values, home, name, binding.stmt)


def _defaults(values: Values, function: FunctionFacts) -> Iterator[Shared]:
    for param in function.node.params:
        if param.default is not None:
            acquisition = _acquired(values, function.outer, param.default)
            if acquisition is not None:
                yield Shared(values, function, param.name, "default", acquisition, param.default, param.default)


def _attributes(values: Values, cls: ClassFacts, name: str, stmt: Bind) -> Iterator[Shared]:
    value = None if stmt.value is None else _default_of(stmt.value)
    acquisition = None if value is None else _acquired(values, cls.scope, value)
    kind = "" if acquisition is None else _kind(values, cls, name, stmt)
    if kind and acquisition is not None and value is not None and stmt.value is not None:
        yield Shared(values, cls, name, kind, acquisition, value, stmt.value)


def _default_of(value: Expr) -> Expr | None:
    """The value itself, or the default that ``Field(...)`` and its kin are given."""
    call, function = last_call(value), callee(value)
    if call is not None and function is not None and last_name(function) in _FIELD_FUNCTIONS:
        return argument(call, "default", 0)
    return value


def _acquired(values: Values, scope: Scope, value: Expr) -> Acquisition | None:
    """What a call acquires: files are left to others (SIM115 of ruff), clients of models hold next to nothing."""
    acquisition = values.acquisition(scope, value)
    if acquisition is None or acquisition.awaited == "yes":
        return None
    resource = acquisition.resource
    heavy = resource.weight in {"high", "medium"} and resource.category not in {"llm", "file"}
    return acquisition if heavy and resource.release else None


def _kind(values: Values, cls: ClassFacts, name: str, stmt: Bind) -> str:
    """What an attribute of a class body is to its instances; empty where it is shared by design, or nobody knows."""
    lineage = values.project.lineage(cls)
    annotated = stmt.annotation is not None
    word = last_name(subscripted(stmt.annotation)[0]) if stmt.annotation is not None else ""
    enum = any(library.startswith("enum.") for library in lineage.libraries)
    if not lineage.known or enum or word in {"ClassVar", "Final"} or len(stmt.targets) > 1:
        return ""
    if _is_pydantic(values, cls):
        return "private" if name.startswith("_") else "field" if annotated else ""
    if annotated and not _DATACLASSES.isdisjoint(last_name(callee(one) or one) for one in cls.node.decorators):
        return "field"
    return "attribute" if stmt.value is not None and _default_of(stmt.value) is stmt.value else ""


def _is_pydantic(values: Values, cls: ClassFacts) -> bool:
    bases = [values.catalog.base(name) for name in values.project.lineage(cls).libraries]
    return any(base is not None and base.pydantic for base in bases)


def _is_by_design(cls: ClassFacts, name: str) -> bool:
    """Whether the name of an attribute, or of its class, says that everybody shares it."""
    return _BY_DESIGN.fullmatch(name) is not None or cls.name in _BY_DESIGN_CLASS


# --- uses --------------------------------------------------------------------------------------------------------


def _attribute_uses(values: Values, cls: ClassFacts, name: str) -> Iterator[Use]:
    for module in values.project.mentioning(name):
        for code in code_of(module, frozenset({name.encode()})) if not module.is_test else ():
            for chain, stmt in _chains(code):
                for index, link in enumerate(chain.links):
                    if isinstance(link, Attr) and link.name == name:
                        of = _reached(values, code.scope, prefix(chain, index), cls)
                        if of:
                            yield Use(of, code, chain, chain.links[index + 1 :], stmt)


def _reached(values: Values, scope: Scope, owner: Expr, cls: ClassFacts) -> str:
    """Through what an attribute of that name is reached; empty where it is certainly another one."""
    value = values.of(scope, owner)
    found = value.cls if isinstance(value, Instance) else value
    if not isinstance(found, ClassFacts):
        return "unknown" if found in _ANYTHING else ""
    lineage = values.project.lineage
    if cls not in lineage(found).classes and found not in lineage(cls).classes:
        return ""
    return "instance" if isinstance(value, Instance) else "class"


def _parameter_uses(function: FunctionFacts, name: str) -> Iterator[Use]:
    code = Code(function.scope, function.origin, function.node.body)
    for chain, stmt in _chains(code):
        if isinstance(chain.base, Name) and chain.base.id == name:
            yield Use("parameter", code, chain, chain.links, stmt)


def _chains(code: Code) -> Iterator[tuple[Chain, Bind | None]]:
    """The chains of some code, lambdas included, each with the statement that assigns to it."""
    targets: dict[int, Bind] = {}
    left: list[Any] = [code.block]
    while left:
        for node in walk(left.pop(), into=False):
            if isinstance(node, Bind):
                targets.update((id(target), node) for target in node.targets)
            elif isinstance(node, Lambda):
                left.append(node.body)
            elif isinstance(node, Chain):
                yield node, targets.get(id(node))


def _written(use: Use) -> list[Expr]:
    """What a use puts into the object: ``x.auth = value``, ``x.headers[key] = value``, ``x.headers.update(value)``."""
    if use.stmt is not None:
        plain = bool(use.rest) and all(isinstance(link, Attr | Index) for link in use.rest)
        return [use.stmt.value] if plain and use.stmt.value is not None else []
    path = [link.name for link in use.rest[:-1] if isinstance(link, Attr)]
    call = use.rest[-1] if use.rest else None
    if not isinstance(call, Call) or len(path) < 2 or len(path) != len(use.rest) - 1 or path[-1] not in _MUTATORS:
        return []
    return [arg.value for arg in call.args]


class _Own(NamedTuple):
    """Tells data of one instance, which its constructor or callers gave it, from what is the same for all.

    ``stored``: the value is kept in an attribute, so that arguments of any method make it the instance's own.
    """

    values: Values
    function: FunctionFacts
    steps: int = _STEPS
    stored: bool = False

    def holds(self, expr: Expr | None) -> bool:
        return any(
            self.attribute(node) if isinstance(node, Chain) else isinstance(node, Name) and self.name(node.id)
            for node in walk(expr)
        )

    def name(self, name: str) -> bool:
        """Whether a name is an argument that tells, or bound to something that does."""
        if name == self.function.receiver:
            return False
        if name in _parameters(self.function) and (self.stored or is_constructor(self.function)):
            return True
        found = self.function.scope.bindings.get(name, ()) if self.steps else ()
        inner = self._replace(steps=self.steps - 1)
        return any(inner.holds(one.stmt.value) for one in found if isinstance(one, Assigned))

    def attribute(self, chain: Chain) -> bool:
        """Whether it starts with a field of ``self``, or with an attribute that is assigned what tells."""
        cls, link = self.function.cls, chain.links[0]
        if cls is None or not is_name(chain.base, self.function.receiver) or not isinstance(link, Attr):
            return False
        bound = [one.stmt for one in cls.scope.bindings.get(link.name, ()) if isinstance(one, Assigned)]
        if any(stmt.annotation and _kind(self.values, cls, link.name, stmt) in {"field", "private"} for stmt in bound):
            return True
        assigned = self.values.field_assignments(cls, link.name) if self.steps else ()
        return any(_Own(self.values, by, self.steps - 1, stored=True).holds(stmt.value) for by, stmt in assigned)


def _parameters(function: FunctionFacts) -> set[str]:
    return {param.name for param in _plain(function.node.params)}


def _plain(params: tuple[Param, ...]) -> Iterator[Param]:
    return (param for param in params if param.kind in {"positional", "plain", "keyword"})


def is_guarded(code: Code, chain: Chain, about: set[str]) -> bool:
    """Whether a condition decides that asks about something other than the object itself."""
    left = [*code.block]
    while left:
        stmt = left.pop()
        if isinstance(stmt, If):
            asked = all(_mentions(test, about) for test, _ in stmt.branches)
            if not asked and any(node is chain for node in walk(stmt)):
                return True
        left += [inner for block in blocks(stmt) for inner in block]
    return False


def _mentions(test: Expr, about: set[str]) -> bool:
    return any(
        (isinstance(node, Name) and node.id in about) or (isinstance(node, Attr) and node.name in about)
        for node in walk(test)
    )

"""Containers that each object of a class has for itself: made by its constructor, or by the default of a field.

They are used through ``self.name`` in the class, its ancestors and heirs, and through ``other.name`` anywhere in the
project. A rebinding outside the constructors is an eviction: the old entries go.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from toollint.analyses.claims import called_factory, default_factory, is_constructor
from toollint.analyses.retention import Container, row_of
from toollint.analyses.uses import Use
from toollint.analyses.values import Instance, Values
from toollint.catalog import Container as Row
from toollint.facts import Assigned, ClassFacts, FunctionFacts, ModuleFacts, Scope, classes_of
from toollint.syntax import Bind, Chain, Const, Expr, Name, argument, is_none, last_call, prefix, walk

_MADE = re.compile(
    rb"\bself\s*\.\s*\w+[ \t]*(?::[^=\r\n]*)?=\s*\(?\s*(?:[{\[]|[\w.]+\()|\b(?:default_factory|PrivateAttr|factory)\b"
    rb"|^[ \t]+\w+[ \t]*:[^=\r\n]+=[ \t]*(?:\{\}|\[\])",
    re.MULTILINE,
)
"""An attribute that is bound to a display or a call, or a field with a default of its own."""
_RESETS = re.compile(rb"\.\s*__init__\s*\(\s*\)|__dict__\s*\.\s*(?:clear|update)\b|\bself\.__dict__\s*=")
"""An object that starts anew, or whose attributes are set by name."""


@dataclass(frozen=True, eq=False)
class InstanceContainer(Container):
    """A dict, list or set that lives as long as the object of ``owner`` that it belongs to.

    ``injectable``: it is a field that the generated constructor takes, so a caller may hold it too.
    """

    owner: ClassFacts
    injectable: bool = False

    @classmethod
    def find(cls, values: Values, module: ModuleFacts) -> Iterator[InstanceContainer]:
        """The containers that the constructors of a file's classes make, in source order."""
        if b"class" in values.project.words(module.path) and _MADE.search(module.utf8):
            for facts in classes_of(module, frozenset({b"class"})):
                yield from cls.of(values, facts)

    @classmethod
    def of(cls, values: Values, owner: ClassFacts) -> Iterator[InstanceContainer]:
        """The containers of each object of a class, by their declaration in the class itself."""
        yield from _fields(values, owner)
        for name, assigned in owner.assignments.items():
            if not _is_declared_above(values, owner, name):
                yield from _constructed(values, owner, name, assigned)

    # --- the declaration

    @property
    def level(self) -> str:
        """``instance``."""
        return "instance"

    @cached_property
    def initial(self) -> Expr | None:
        """What it is made by: a display or a call."""
        return _made_by(self.stmt.value)

    @cached_property
    def annotated(self) -> tuple[tuple[Instance, ...], ...]:
        """The alternatives for each type argument of its annotation, where it is made or in the class body."""
        declared = [(self.scope, self.stmt)]
        declared += [
            (self.owner.scope, one.stmt)
            for one in self.owner.scope.bindings.get(self.name, ())
            if isinstance(one, Assigned)
        ]
        found = [self.values.annotation(scope, stmt.annotation) for scope, stmt in declared]
        return next((one[0].args for one in found if len(one) == 1 and one[0].args), ())

    # --- the uses

    @cached_property
    def near(self) -> tuple[Use, ...]:
        """The uses in the file that declares it, which are nearly all."""
        return tuple(use for use in self._uses_in(self.owner.module) if self._is_meant(use))

    def _modules(self) -> Iterator[ModuleFacts]:
        """The files that may use it, its own first."""
        used = re.compile(rb"\.\s*%b\b" % self.name.encode())
        yield self.owner.module
        in_test = self.owner.module.is_test
        for module in self.values.project.mentioning(self.name):
            if module is not self.owner.module and (in_test or not module.is_test) and used.search(module.utf8):
                yield module

    def _bare_names(self, module: ModuleFacts) -> frozenset[str]:  # noqa: ARG002 - there is always an owner in front
        return frozenset()

    def _is_declaration(self, use: Use) -> bool:
        """Whether a constructor of the family binds it: then the object is new and holds nothing yet."""
        function = use.code.function
        bound = use.how == "rebind" and use.what == "evict"
        made = use.code.scope is self.scope and use.node is self.stmt.targets[0]
        return made or (bound and function is not None and function.cls is not None and is_constructor(function))

    def _is_meant(self, use: Use) -> bool | None:
        """Whether a use is of this class's container; a mixin's `self` may be an object of any class."""
        if not isinstance(use.container, Chain):
            return False
        value = self.values.of(use.code.scope, prefix(use.container, len(use.container.links) - 1))
        cls = value.cls if isinstance(value, Instance) else value
        if not isinstance(cls, ClassFacts):
            return None if value is None else False
        family = self.values.project.lineage(cls).classes
        if self.owner in family or cls in self.values.project.lineage(self.owner).classes:
            return True
        own = any(self.name in one.assignments or self.name in one.scope.bindings for one in family)
        return False if own else None

    def only_grows(self, write: Use) -> bool:
        """Whether nothing can take out again what ``write`` puts in, and every use is understood."""
        return not self.is_reflected and super().only_grows(write)

    @cached_property
    def is_reflected(self) -> bool:
        """Whether the attribute is named in a string, or all attributes are set at once."""
        named = re.compile(rb"attr\([^()\r\n]*,\s*[\"']%b[\"']" % self.name.encode())
        start, end = self.owner.at(self.owner.node.start, self.owner.node.end).span
        own = self.owner.module.utf8[start:end]
        return _RESETS.search(own) is not None or any(named.search(module.utf8) for module in self._modules())


# --- declarations ------------------------------------------------------------------------------------------------


def _fields(values: Values, owner: ClassFacts) -> Iterator[InstanceContainer]:
    """The fields of a dataclass or model whose default is a container of their own."""
    for name, bindings in owner.scope.bindings.items():
        for binding in bindings if len(bindings) == 1 else ():
            stmt = binding.stmt if isinstance(binding, Assigned) else None
            if stmt is None or stmt.value is None or not _gives_each_its_own(values, owner, stmt):
                continue
            made = _made_by(stmt.value)
            row = row_of(values, owner.scope, made) if made is not None else None
            if row is not None:
                yield InstanceContainer(
                    name, values, owner.scope, owner.origin, stmt, row, owner, injectable=_is_argument(name, stmt)
                )


def _gives_each_its_own(values: Values, owner: ClassFacts, stmt: Bind) -> bool:
    """Whether each object gets a copy of the default: by a factory, or because models copy it."""
    annotation = stmt.annotation
    if any(isinstance(node, Name) and node.id == "ClassVar" for node in walk(annotation)):
        return False
    if default_factory(stmt.value) is not None if stmt.value is not None else False:
        return True
    lineage = values.project.lineage(owner)
    bases = [values.catalog.base(name) for name in lineage.libraries]
    return annotation is not None and lineage.known and any(base is not None and base.pydantic for base in bases)


def _is_argument(name: str, stmt: Bind) -> bool:
    """Whether the generated constructor takes the field."""
    call = last_call(stmt.value)
    init = argument(call, "init") if call is not None else None
    return not name.startswith("_") and not (isinstance(init, Const) and init.value is False)


def _made_by(value: Expr | None) -> Expr | None:
    """What makes the container: the value, what its default factory gives, or the default that is copied."""
    if value is None:
        return None
    factory = default_factory(value)
    if factory is not None:
        return called_factory(factory)
    call = last_call(value)
    given = argument(call, "default", 0) if call is not None and _is_field(value) else None
    return value if given is None else given


def _is_field(value: Expr) -> bool:
    return isinstance(value, Chain) and isinstance(value.base, Name) and value.base.id in {"PrivateAttr", "Field"}


def _constructed(
    values: Values, owner: ClassFacts, name: str, assigned: tuple[tuple[FunctionFacts, Bind], ...]
) -> Iterator[InstanceContainer]:
    """What a constructor, or a private method that only constructors call, binds to ``self.name``; None aside."""
    found: list[tuple[Scope, FunctionFacts, Bind, Row]] = []
    for function, stmt in assigned:
        if stmt.op or is_none(stmt.value) or stmt.value is None:
            continue
        if not is_constructor(function) and not _helps_constructors(owner, function):
            continue
        row = row_of(values, function.scope, stmt.value) if len(stmt.targets) == 1 else None
        if row is None:
            return  # a caller's, or something else
        found.append((function.scope, function, stmt, row))
    if found:
        scope, function, stmt, row = found[0]
        yield InstanceContainer(name, values, scope, function.origin, stmt, row, owner)


def _helps_constructors(owner: ClassFacts, function: FunctionFacts) -> bool:
    """Whether all that the class does with a private method is to call it while an object is made."""
    if not function.name.startswith("_") or function.name.startswith("__"):
        return False
    start, end = owner.at(owner.node.start, owner.node.end).span
    called = re.compile(rb"\.\s*%b\b" % function.name.encode())
    places = [found.start() for found in called.finditer(owner.module.utf8, start, end)]
    makers = [one.at(one.node.start, one.node.end).span for one in owner.functions if is_constructor(one)]
    return bool(places) and all(any(low <= place < high for low, high in makers) for place in places)


def _is_declared_above(values: Values, owner: ClassFacts, name: str) -> bool:
    """Whether an ancestor in the project has the attribute: then it is the ancestor's."""
    above = values.project.lineage(owner).classes[1:]
    return any(name in one.assignments or name in one.scope.bindings for one in above)

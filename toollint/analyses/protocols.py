"""Classes that are context managers by half: one of the two methods is there, the other one nowhere.

``with`` looks both methods up on the class, so what an instance holds or ``__getattr__`` gives does not help. What a
base that is not seen, a decorator, a subclass or code elsewhere brings does: then nothing is said.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from toollint.analyses.release import is_empty
from toollint.analyses.values import Instance, Value, Values
from toollint.analyses.verbs import heirs
from toollint.facts import ClassFacts, Code, FunctionFacts, ModuleFacts, classes_of, code_of
from toollint.project import Library, Lineage
from toollint.syntax import Attr, Chain, Expr, Raise, Return, callee, last_name, prefix, walk

_PARTNERS = {"__enter__": "__exit__", "__exit__": "__enter__", "__aenter__": "__aexit__", "__aexit__": "__aenter__"}
_WORDS = frozenset(name.encode() for name in _PARTNERS)
_HARMLESS = (Library("dataclasses.dataclass"), Library("typing.final"), Library("functools.total_ordering"))
_PROTOCOLS = (Library("typing.Protocol"), Library("typing_extensions.Protocol"))
_UNFINISHED = (*_PROTOCOLS, Library("abc.ABC"), Library("abc.ABCMeta"))
_DELEGATES = frozenset({"__getattr__", "__getattribute__"})
_PUSHED = re.compile(rb"\.push(?:_async_exit)?\(")


class Half(NamedTuple):
    """A context manager that lacks ``missing``; ``method`` is the half that it has."""

    cls: ClassFacts
    method: FunctionFacts
    missing: str
    values: Values

    @classmethod
    def find(cls, values: Values, module: ModuleFacts) -> Iterator[Half]:
        """The half context managers of a file, in source order; of two halves in one class the first."""
        if not module.path.endswith(".pyi"):
            for facts in sorted(classes_of(module, _WORDS), key=lambda c: (c.origin, c.node.start)):
                yield from [half for half in _halves(values, facts) if half.is_certain][:1]

    @property
    def is_async(self) -> bool:
        """Whether it is half of what ``async with`` asks for."""
        return self.missing.startswith("__a")

    @property
    def lacks_exit(self) -> bool:
        """Whether it can be entered and never left; else it is the other way round."""
        return self.missing.endswith("exit__")

    @property
    def mate(self) -> str:
        """Half of the other protocol that stands where the missing one should; empty if there is none."""
        other = self.missing.replace("__a", "__") if self.is_async else self.missing.replace("__", "__a", 1)
        return other if other in self.cls.methods and _PARTNERS[other] not in self.cls.methods else ""

    # --- whether anything else makes up for it

    @property
    def is_certain(self) -> bool:
        """Whether nothing in the project supplies the missing method or does without it.

        An exit alone says less than an entry alone: exit stacks take objects that can only leave, and fakes need no
        more than that.
        """
        if not self.lacks_exit and (self.cls.module.is_test or "enter" in self.cls.methods):
            return False
        return not (self._is_set_from_outside or self._is_called_by_hand or self._is_completed)

    @property
    def _is_set_from_outside(self) -> bool:
        """Whether some code assigns the missing method, or names it in a string."""
        name = self.missing.encode()
        given = re.compile(rb"""\.[ \t]*%s[ \t]*=(?!=)|["']%s["']""" % (name, name))
        own = [cls.module for cls in self.values.project.lineage(self.cls).classes]
        others = self.values.project.mentioning(self.cls.name, self.missing)
        return any(given.search(module.utf8) for module in (*own, *others))

    @property
    def _is_called_by_hand(self) -> bool:
        """Whether the method is called like any other, on what is or may be an object of the class.

        What calls an exit need not know the class; what enters by hand has usually made the object.
        """
        name = self.method.name
        call = re.compile(rb"\.\s*%s\b" % name.encode())
        for module in self.values.project.mentioning(*((name, self.cls.name) if self.lacks_exit else (name,))):
            if call.search(module.utf8):
                for code in code_of(module, frozenset({name.encode()})):
                    own = code.function is not None and code.function.name == name
                    if not own and any(self._may_call(code, node) for node in walk(code.block, into=False)):
                        return True
        makers = self.values.project.mentioning(self.cls.name)
        return not self.lacks_exit and any(_PUSHED.search(module.utf8) for module in makers)

    def _may_call(self, code: Code, node: object) -> bool:
        if isinstance(node, Chain):
            for index, link in enumerate(node.links):
                if isinstance(link, Attr) and link.name == self.method.name:
                    return self._may_be(self.values.of(code.scope, prefix(node, index)))
        return False

    def _may_be(self, value: Value | None) -> bool:
        """Whether a value may be an object of the class: all but those that are known to be something else."""
        if not isinstance(value, Instance):
            return True
        if isinstance(value.cls, Library):
            return self.values.catalog.kind(value.cls.name) is None
        lineage = self.values.project.lineage
        related = self.cls in lineage(value.cls).classes or value.cls in lineage(self.cls).classes
        return related or not set(_PROTOCOLS).isdisjoint(map(Library, lineage(value.cls).libraries))

    @property
    def _is_completed(self) -> bool:
        """Whether a subclass has the missing method, from itself or another base, or may have it."""
        lineages = [self.values.project.lineage(heir) for heir in heirs(self.values, self.cls)]
        return any(not lineage.known or has_method(self.values, lineage, self.missing) for lineage in lineages)


def _halves(values: Values, cls: ClassFacts) -> Iterator[Half]:
    halves = [name for name in _PARTNERS if name in cls.methods and _PARTNERS[name] not in cls.scope.bindings]
    if not halves or _may_get_methods(values, cls):
        return
    lineage = values.project.lineage(cls)
    for name in halves:
        method, missing = cls.methods[name], _PARTNERS[name]
        inherited = any(name in ancestor.scope.bindings for ancestor in lineage.classes[1:])
        if not inherited and not _is_hollow(method) and not has_method(values, lineage, missing):
            yield Half(cls, method, missing, values)


def _may_get_methods(values: Values, cls: ClassFacts) -> bool:
    """Whether the class is not meant to be complete, or something that is not understood may add to it."""
    lineage = values.project.lineage(cls)
    bases = [values.project.resolve_base(cls, arg.value) for arg in cls.node.args]
    return (
        not lineage.known
        or "Mixin" in cls.name
        or any(base in _UNFINISHED for base in bases)
        or any(not _DELEGATES.isdisjoint(ancestor.scope.bindings) for ancestor in lineage.classes)
        or any(_is_abstract(function) for function in cls.functions)
        or any(not _is_harmless(values, one, decorator) for one in lineage.classes for decorator in one.node.decorators)
    )


def _is_harmless(values: Values, cls: ClassFacts, decorator: Expr) -> bool:
    return values.project.resolve(cls.outer, callee(decorator) or decorator) in _HARMLESS


def _is_abstract(function: FunctionFacts) -> bool:
    """Whether a method is left to subclasses, by its decorator or by what it raises."""
    raised = [stmt.value for stmt in function.node.body if isinstance(stmt, Raise) and stmt.value is not None]
    return "abstractmethod" in map(last_name, function.decorators) or "NotImplementedError" in map(last_name, raised)


def _is_hollow(function: FunctionFacts) -> bool:
    """Whether a method does nothing, or always raises: a stub, or a guard that sends people to the other protocol."""
    returns = any(isinstance(node, Return) for node in walk(function.node.body, into=False))
    return is_empty(function) or (not returns and isinstance(function.node.body[-1], Raise))


def has_method(values: Values, lineage: Lineage, name: str) -> bool:
    """Whether a class has the method: from its project, or from a library's base, which has both halves or none."""
    if any(name in cls.scope.bindings for cls in lineage.classes):
        return True
    leave = name.replace("enter", "exit")
    for library in lineage.libraries:
        base, resource = values.catalog.base(library), values.catalog.resource(library)
        if base is not None and leave in base.closers:
            return True
        if resource is not None and (resource.async_with if leave == "__aexit__" else resource.with_) != "absent":
            return True
    return False

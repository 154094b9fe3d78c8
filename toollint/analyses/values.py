"""What an expression is: an object of which class, or the name of what.

A forward evaluation without paths: constructors, annotations, factories' return types and attributes of `self` tell.
Whatever it does not understand is None.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

from toollint.catalog import Acquisition, Tool, Type
from toollint.facts import Assigned, Binding, ClassFacts, Entered, FunctionFacts, ModuleFacts, Parameter, Scope
from toollint.project import Library, Project, Target, Variable
from toollint.sieve import Sieve
from toollint.syntax import (
    Attr,
    Await,
    Binary,
    Bind,
    Call,
    Chain,
    Const,
    Expr,
    Link,
    Name,
    Return,
    Walrus,
    argument,
    callee,
    is_none,
    last_call,
    last_name,
    subscripted,
    walk,
)


class Instance(NamedTuple):
    """An object of a class; ``args`` are the type arguments of an annotation, each with its alternatives."""

    cls: Library | ClassFacts
    args: tuple[tuple[Instance, ...], ...] = ()

    @property
    def name(self) -> str:
        """The class's name as a message gives it."""
        return self.cls.name.rpartition(".")[2]


class Method(NamedTuple):
    """A method bound to an object."""

    receiver: Instance
    function: FunctionFacts


Value: TypeAlias = Library | ModuleFacts | ClassFacts | FunctionFacts | Instance | Method

_WRAPPERS = frozenset({"Optional", "Annotated", "ClassVar", "Final", "Required", "Awaitable", "Coroutine"})
_UNIONS = frozenset({"Union"})
_TYPING = frozenset({"typing", "typing_extensions", "collections.abc"})
_STEPS = 6
"""How many names, factories and attributes in a row are followed."""


class Values:
    """Evaluates expressions of one project."""

    def __init__(self, project: Project) -> None:
        """Take the project whose names are followed."""
        self.project = project
        self.catalog = project.catalog
        self.sieve = Sieve(project)
        self.owners: dict[ClassFacts, object] = {}  # `toollint.analyses.ownership` keeps its answers here
        self._steps = 0

    # --- expressions

    def of(self, scope: Scope, expr: Expr | None) -> Value | None:
        """The value of an expression where it is used."""
        if self._steps >= _STEPS:
            return None
        self._steps += 1
        try:
            return self._of(scope, expr)
        finally:
            self._steps -= 1

    def _of(self, scope: Scope, expr: Expr | None) -> Value | None:
        if isinstance(expr, Await):
            return self.of(scope, expr.value)
        if isinstance(expr, Walrus):
            return self.of(scope, expr.value)
        if isinstance(expr, Name):
            return self._target(self.project.named(scope, expr.id))
        if isinstance(expr, Chain):
            value = self.of(scope, expr.base)
            for link in expr.links:
                value = self._link(scope, value, link)
            return value
        return None

    def acquisition(self, scope: Scope, expr: Expr | None) -> Acquisition | None:
        """The catalogue's row where the expression is a call that acquires, whose value is the resource itself."""
        called = callee(expr.value if isinstance(expr, Await) else expr) if expr is not None else None
        return self._acquired(self.of(scope, called), last_call(expr))

    def _acquired(self, called: Value | None, call: Call | None) -> Acquisition | None:
        """The row of what is called, where the call gives the resource itself and the argument that it asks for."""
        name = (
            called.name if isinstance(called, Library) else called.full_name if isinstance(called, ClassFacts) else ""
        )
        found = self.catalog.acquisition(name) if name else None
        if found is None or found.manager or found.element is not None:
            return None
        given = argument(call, found.when) if call is not None and found.when else None
        return found if not found.when or (isinstance(given, Const) and bool(given.value)) else None

    def instance(self, scope: Scope, expr: Expr | None) -> Instance | None:
        """The object that an expression gives."""
        value = self.of(scope, expr)
        return value if isinstance(value, Instance) else None

    def _link(self, scope: Scope, value: Value | None, link: Link) -> Value | None:
        if isinstance(link, Call):
            if value == Library("builtins.type") and len(link.args) == 1:
                return _class_of(self.of(scope, link.args[0].value))
            return self.called(value, link)
        if isinstance(link, Attr):
            if isinstance(value, Instance):
                return self.attribute(value, link.name)
            return None if isinstance(value, Method) else self._target(self.project.attribute(value, link.name))
        return self._element(value)

    def _element(self, value: Value | None) -> Value | None:
        """What a subscript of a container with known element types gives."""
        if isinstance(value, Instance) and value.args and len(value.args[-1]) == 1:
            return value.args[-1][0]
        return None

    def called(self, value: Value | None, call: Call | None = None) -> Value | None:
        """What a call of ``value`` gives."""
        if isinstance(value, Library):
            if self.catalog.acquisition(value.name) is not None:
                found = self._acquired(value, call)
                return None if found is None else Instance(Library(found.resource.name))
            tool = self.catalog.tool(value.name)
            made = tool.returns if tool is not None and tool.kind == "factory" else self.catalog.returns(value.name)
            return Instance(Library(made)) if made else None
        if isinstance(value, ClassFacts):
            return Instance(value)
        if isinstance(value, FunctionFacts):
            return self.returned(value)
        if isinstance(value, Method):
            return self.returned(value.function)
        return None

    def returned(self, function: FunctionFacts) -> Value | None:
        """What a call of a project's function gives: its annotation, else what all its returns agree on."""
        if function.node.returns is not None:
            alternatives = self.annotation(function.scope, function.node.returns)
            return alternatives[0] if len(alternatives) == 1 else None
        results = [node.value for node in walk(function.node.body, into=False) if isinstance(node, Return)]
        values = [self.instance(function.scope, result) for result in results]
        return values[0] if values and all(v is not None and v == values[0] for v in values) else None

    def attribute(self, owner: Instance, name: str) -> Value | None:
        """What ``object.name`` gives: a method, a property's value, a field by annotation or assignments."""
        if name == "__class__":
            return owner.cls
        if isinstance(owner.cls, Library):
            return Library(f"{owner.cls.name}.{name}")
        member = self.project.class_member(owner.cls, name)
        if isinstance(member, FunctionFacts):
            if is_property(member):
                return self.returned(member)
            return Method(owner, member)
        if isinstance(member, Variable):
            found = self._variable(member)
            if found is not None:
                return found
        return self._field(owner.cls, name)

    def _field(self, cls: ClassFacts, name: str) -> Value | None:
        """What the methods of a class assign to ``self.name``, where they agree."""
        found: Value | None = None
        for function, stmt in self.field_assignments(cls, name):
            if stmt.annotation is not None:
                alternatives = self.annotation(function.scope, stmt.annotation)
                if len(alternatives) == 1:
                    return alternatives[0]
            if stmt.value is None or is_none(stmt.value):
                continue
            value = self.instance(function.scope, stmt.value)
            if value is None or (found is not None and found != value):
                return None
            found = value
        return found

    def field_assignments(self, cls: ClassFacts, name: str) -> Iterator[tuple[FunctionFacts, Bind]]:
        """Each ``self.name = ...`` in the methods of a class and its ancestors in the project."""
        for ancestor in self.project.lineage(cls).classes:
            yield from ancestor.assignments.get(name, ())

    # --- names

    def _target(self, target: Target | None) -> Value | None:
        if isinstance(target, Variable):
            return self._variable(target)
        if isinstance(target, FunctionFacts):
            tool = self.decorated_tool(target)
            if tool is not None:
                return Instance(Library(tool.returns))
        return target

    def _variable(self, variable: Variable) -> Value | None:
        """What all bindings of a variable agree on."""
        found: Value | None = None
        for binding in variable.bindings:
            if isinstance(binding, Assigned) and binding.stmt.annotation is None and is_none(binding.stmt.value):
                continue
            value = self._bound(variable.scope, binding, variable.name)
            if value is None or (found is not None and found != value):
                return None
            found = value
        return found

    def _bound(self, scope: Scope, binding: Binding, name: str) -> Value | None:
        if isinstance(binding, Parameter):
            return self._parameter(scope, binding, name)
        if isinstance(binding, Assigned):
            if binding.stmt.annotation is not None:
                alternatives = self.annotation(scope, binding.stmt.annotation)
                if len(alternatives) == 1:
                    return alternatives[0]
            return self.of(scope, binding.stmt.value)
        if isinstance(binding, Entered):
            return self._entered(self.of(scope, binding.context))
        return None

    def _parameter(self, scope: Scope, binding: Parameter, name: str) -> Value | None:
        function = scope.owner
        if isinstance(function, FunctionFacts) and function.cls is not None and function.receiver == name:
            return function.cls if function.is_classmethod else Instance(function.cls)
        if binding.param.kind in {"var", "kwvar"}:
            return None
        alternatives = self.annotation(scope, binding.param.annotation)
        return alternatives[0] if len(alternatives) == 1 else None

    def _entered(self, value: Value | None) -> Value | None:
        """What ``with value as name`` binds, where the object enters itself."""
        if not isinstance(value, Instance):
            return None
        if isinstance(value.cls, Library):
            resource = self.catalog.resource(value.cls.name)
            return value if resource is not None and resource.yields == "self" else None
        return None

    # --- annotations

    def annotation(self, scope: Scope, expr: Expr | None) -> tuple[Instance, ...]:
        """The classes that an annotation allows, None among them left out; empty where it is not understood."""
        if self._steps >= _STEPS or expr is None or is_none(expr):
            return ()
        self._steps += 1
        try:
            return tuple(self._annotation(scope, expr))
        finally:
            self._steps -= 1

    def _annotation(self, scope: Scope, expr: Expr) -> Iterator[Instance]:
        if isinstance(expr, Binary) and set(expr.ops) == {"|"}:
            for operand in expr.operands:
                yield from self.annotation(scope, operand)
            return
        head, arguments = subscripted(expr)
        target = self.project.resolve(scope, head)
        name = target.name.rpartition(".") if isinstance(target, Library) else ("", "", "")
        if name[0] in _TYPING and name[2] in _WRAPPERS | _UNIONS:
            used = arguments if name[2] in _UNIONS else arguments[-1:] if name[2] == "Coroutine" else arguments[:1]
            for argument in used:
                yield from self.annotation(scope, argument)
        elif isinstance(target, Library | ClassFacts):
            yield Instance(target, tuple(self.annotation(scope, argument) for argument in arguments))
        elif isinstance(target, Variable):
            yield from self._type_alias(target)

    def _type_alias(self, variable: Variable) -> Iterator[Instance]:
        if len(variable.bindings) == 1 and isinstance(variable.bindings[0], Assigned):
            value = variable.bindings[0].stmt.value
            if isinstance(value, Chain) and isinstance(value.links[-1], Call) and len(value.links[-1].args) > 1:
                value = value.links[-1].args[1].value  # NewType("Name", Base)
            yield from self.annotation(variable.scope, value)

    # --- kinds

    def type_of(self, instance: Instance) -> Type | None:
        """The catalogue's row for the class of an object, or for the nearest ancestor that has a kind."""
        if isinstance(instance.cls, Library):
            return self.catalog.kind(instance.cls.name)
        lineage = self.project.lineage(instance.cls)
        names = [cls.full_name for cls in lineage.classes]
        for name in (*names, *lineage.libraries):
            found = self.catalog.kind(name)
            if found is not None:
                return found
        return None

    def decorated_tool(self, function: FunctionFacts) -> Tool | None:
        """The framework's decorator that makes a tool of a function."""
        for decorator in function.decorators:
            target = self.project.resolve(function.outer, callee(decorator) or decorator)
            found = self.catalog.tool(target.name) if isinstance(target, Library) else None
            if found is not None and found.kind == "decorator":
                return found
        return None


def _class_of(value: Value | None) -> Value | None:
    return value.cls if isinstance(value, Instance) else None


def is_property(function: FunctionFacts) -> bool:
    """Whether reading the attribute calls the function."""
    return not {"property", "cached_property", "abstractproperty"}.isdisjoint(map(last_name, function.decorators))

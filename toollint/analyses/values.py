"""What an expression is: an object of which class, or the name of what.

A forward evaluation without paths: constructors, annotations, factories' return types and attributes of `self` tell.
Whatever it does not understand is None.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeAlias

from toollint.catalog import Acquisition, Tool, Type
from toollint.facts import Assigned, Binding, ClassFacts, Entered, FunctionFacts, ModuleFacts, Opaque, Parameter, Scope
from toollint.project import Library, Project, Target, Variable
from toollint.sieve import Sieve
from toollint.syntax import (
    Attr,
    Await,
    Binary,
    Bind,
    Bool,
    Call,
    Chain,
    Collection,
    Const,
    Dots,
    Expr,
    For,
    IfExp,
    Index,
    Link,
    Name,
    Return,
    Walrus,
    argument,
    callee,
    is_none,
    last_call,
    last_name,
    prefix,
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
_MAPPINGS = frozenset({"dict", "defaultdict", "OrderedDict", "Dict", "DefaultDict", "Mapping", "MutableMapping"})
_ITERABLES = frozenset(
    {
        *("list", "set", "frozenset", "tuple", "deque", "List", "Set", "FrozenSet", "Tuple", "Deque", "Sequence"),
        *("MutableSequence", "AbstractSet", "MutableSet", "Collection", "Iterable", "Iterator", "Generator"),
        *("AsyncIterable", "AsyncIterator", "AsyncGenerator"),
    }
)
_MANAGERS = frozenset(
    {
        *("AbstractContextManager", "AbstractAsyncContextManager", "ContextManager", "AsyncContextManager"),
        *("Iterator", "AsyncIterator", "Generator", "AsyncGenerator", "Iterable", "AsyncIterable"),
    }
)
"""What a function that gives a context manager is annotated with, the decorated generators among them."""
_PASSES = frozenset({"list", "tuple", "set", "frozenset", "sorted", "reversed", "iter"})
"""Builtins that give the elements of their argument."""
_TRANSPARENT = frozenset({"abstractmethod", "override", "final", "staticmethod", "classmethod", "overload"})
"""Decorators after which a coroutine function is one still."""
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
        self.noted: dict[str, object] = {}  # what an analysis has found in the whole project, by its own name
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
        if isinstance(expr, Name):
            return self._target(self.project.named(scope, expr.id))
        if isinstance(expr, Chain):
            return self._chain(scope, expr, awaited=False)
        if isinstance(expr, Await) and isinstance(expr.value, Chain):
            return self._chain(scope, expr.value, awaited=True)
        if isinstance(expr, Await | Walrus):
            return self.of(scope, expr.value)
        if isinstance(expr, Bool):
            return self._agreed(scope, expr.operands) if expr.op == "or" else None
        return self._agreed(scope, (expr.then, expr.orelse)) if isinstance(expr, IfExp) else None

    def _chain(self, scope: Scope, chain: Chain, *, awaited: bool) -> Value | None:
        """What a chain gives; a call of a coroutine function gives nothing before it is awaited."""
        value = self.of(scope, chain.base)
        for link in chain.links:
            function = value.function if isinstance(value, Method) else value
            pending = isinstance(link, Call) and isinstance(function, FunctionFacts) and is_coroutine(function)
            if pending and not (awaited and link is chain.links[-1]):
                return None
            value = self._link(scope, value, link)
        return value

    def _agreed(self, scope: Scope, alternatives: Sequence[Expr]) -> Value | None:
        """What all of several expressions give, None among them left out."""
        values = [self.of(scope, expr) for expr in alternatives if not is_none(expr)]
        return values[0] if values and all(value == values[0] for value in values) else None

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
        return found if opens(found, call) else None

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
        return self._element(value, link)

    def _element(self, value: Value | None, link: Index) -> Value | None:
        """What a subscript of a container with known element types gives."""
        if not isinstance(value, Instance) or not value.args:
            return None
        if value.name in {"tuple", "Tuple"} and len(value.args) > 1:
            index = link.key.value if isinstance(link.key, Const) else None
            return _one(value.args[index]) if isinstance(index, int) and index < len(value.args) else None
        return _one(value.args[-1])

    def called(self, value: Value | None, call: Call | None = None) -> Value | None:
        """What a call of ``value`` gives."""
        if isinstance(value, Library):
            row = self.catalog.acquisition(value.name)
            if row is not None and not (row.manager and self.catalog.find("returns", value.name)):
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
            result = self.returned(value.function)
            return value.receiver if _is_self(result) else result
        return None

    def returned(self, function: FunctionFacts) -> Value | None:
        """What a call of a project's function gives: its annotation, else what all its returns agree on."""
        if function.node.returns is not None:
            alternatives = self.annotation(function.outer, function.node.returns)
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
            if found is not None or any(self._declared(member)):
                return found
        return self._field(owner.cls, name)

    def _declared(self, variable: Variable) -> Iterator[tuple[Instance, ...]]:
        """The classes that the annotations of a variable allow, one annotation after the other."""
        for binding in variable.bindings:
            if isinstance(binding, Assigned):
                yield self.annotation(variable.scope, binding.stmt.annotation)

    def _field(self, cls: ClassFacts, name: str) -> Value | None:
        """What the methods of a class assign to ``self.name``, where they agree."""
        found: Value | None = None
        for function, stmt in self.field_assignments(cls, name):
            if stmt.annotation is not None:
                alternatives = self.annotation(function.scope, stmt.annotation)
                if alternatives:
                    return _one(alternatives)
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
        """What a variable is annotated as, else what all its bindings agree on."""
        declared = next(filter(None, self._declared(variable)), ())
        if declared:
            return _one(declared)
        found: Value | None = None
        for binding in variable.bindings:
            if isinstance(binding, Assigned) and is_none(binding.stmt.value):
                continue
            opaque = isinstance(binding, Opaque)
            value = self._iterated(variable) if opaque else self._bound(variable.scope, binding, variable.name)
            if value is None or (found is not None and found != value):
                return None
            found = value
        return found

    def _bound(self, scope: Scope, binding: Binding, name: str) -> Value | None:
        if isinstance(binding, Parameter):
            return self._parameter(scope, binding, name)
        if isinstance(binding, Assigned):
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
        outside = scope.parent or scope  # a parameter may be named like the module that its type comes from
        return _one(self.annotation(outside, binding.param.annotation))

    def _entered(self, value: Value | None) -> Value | None:
        """What ``with value as name`` binds: the object where it enters itself, what a decorated generator yields."""
        if not isinstance(value, Instance):
            return None
        if isinstance(value.cls, Library):
            if value.name in _MANAGERS:
                return _one(value.args[0]) if value.args else None
            return value if self._enters_itself(value.cls.name) else None
        members = [self.project.class_member(value.cls, name) for name in ("__enter__", "__aenter__")]
        entered = [self._entered_by(value, member) for member in members if isinstance(member, FunctionFacts | Library)]
        return entered[0] if entered and all(one == entered[0] for one in entered) else None

    def _entered_by(self, value: Instance, member: FunctionFacts | Library) -> Value | None:
        """What one of an object's two methods for ``with`` gives."""
        if isinstance(member, Library):
            return value if self._enters_itself(member.name.rpartition(".")[0]) else None
        results = [node.value for node in walk(member.node.body, into=False) if isinstance(node, Return)]
        if results and all(isinstance(one, Name) and one.id == member.receiver for one in results):
            return value
        return self.called(Method(value, member))

    def _enters_itself(self, name: str) -> bool:
        resource = self.catalog.resource(name)
        return resource is not None and resource.yields == "self"

    # --- loops

    def _iterated(self, variable: Variable) -> Value | None:
        """What a variable is that loops bind and nothing else does that tells as little."""
        owner = variable.scope.owner
        if not isinstance(owner, FunctionFacts):
            return None
        loops = [node for node in walk(owner.node.body, into=False) if isinstance(node, For)]
        bound = [(loop, place) for loop in loops for place in _targets(loop, variable.name)]
        if len(bound) != sum(isinstance(binding, Opaque) for binding in variable.bindings):
            return None
        values = [self._item(variable.scope, loop.iter, place) for loop, place in bound]
        return values[0] if all(value == values[0] for value in values) else None

    def _item(self, scope: Scope, iterable: Expr, place: int | None) -> Value | None:
        """What a loop over ``iterable`` binds; ``place`` is that of the name in an unpacked pair."""
        if isinstance(iterable, Collection):
            return self._agreed(scope, iterable.items) if place is None else None
        called, call = callee(iterable), last_call(iterable)
        if isinstance(called, Name) and call is not None and call.args and not call.args[0].stars:
            if called.id in _PASSES:
                return self._item(scope, call.args[0].value, place)
            return self._item(scope, call.args[0].value, None) if (called.id, place) == ("enumerate", 1) else None
        if isinstance(called, Chain) and isinstance(called.links[-1], Attr) and called.links[-1].name in _VIEWS:
            owner = self.instance(scope, prefix(called, len(called.links) - 1))
            index = _VIEWS[called.links[-1].name].get(place)
            if owner is not None and owner.name in _MAPPINGS and len(owner.args) == 2:
                return None if index is None else _one(owner.args[index])
        owner = self.instance(scope, iterable)
        if owner is None or not owner.args or place is not None:
            return None
        pair = owner.name in {"tuple", "Tuple"} and len(owner.args) > 1
        iterates = owner.name in _MAPPINGS | _ITERABLES and not pair
        return _one(owner.args[0]) if iterates else None

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
            kept = (argument for argument in arguments if not isinstance(argument, Dots))  # tuple[int, ...]
            yield Instance(target, tuple(self.annotation(scope, argument) for argument in kept))
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


_VIEWS: dict[str, dict[int | None, int]] = {"keys": {None: 0}, "values": {None: 1}, "items": {0: 0, 1: 1}}
"""The methods of a mapping to loop over: which type argument the loop binds, by the place in an unpacked pair."""


def _targets(loop: For, name: str) -> Iterator[int | None]:
    """Where a loop binds a name: its one target (None), or a place in the pair that it unpacks."""
    if isinstance(loop.target, Name):
        yield from [None] if loop.target.id == name else []
    elif isinstance(loop.target, Collection):
        yield from (i for i, item in enumerate(loop.target.items) if isinstance(item, Name) and item.id == name)


def _one(alternatives: Sequence[Instance]) -> Instance | None:
    """The only one of the classes that an annotation allows."""
    return alternatives[0] if len(alternatives) == 1 else None


def _is_self(value: Value | None) -> bool:
    return isinstance(value, Instance) and value.cls in (Library("typing.Self"), Library("typing_extensions.Self"))


def opens(row: Acquisition, call: Call | None) -> bool:
    """Whether a call acquires what its row says: it is asked to, and is not brought what it would open."""
    if call is None:
        return not row.when
    asked = argument(call, row.when) if row.when else None
    brought = argument(call, row.brought) if row.brought else None
    return (not row.when or (isinstance(asked, Const) and bool(asked.value))) and (brought is None or is_none(brought))


def is_coroutine(function: FunctionFacts) -> bool:
    """Whether a call of the function gives a coroutine for certain: no generator, no decorator that may change it."""
    if not function.node.is_async or function.is_generator:
        return False
    return all(last_name(decorator) in _TRANSPARENT for decorator in function.decorators)


def _class_of(value: Value | None) -> Value | None:
    return value.cls if isinstance(value, Instance) else None


def is_property(function: FunctionFacts) -> bool:
    """Whether reading the attribute calls the function."""
    return not {"property", "cached_property", "abstractproperty"}.isdisjoint(map(last_name, function.decorators))

"""What a finalizer can call without its object: the one call that its method makes, on the resource that it closes.

``weakref.finalize(self, self.close)`` becomes ``weakref.finalize(self, self._conn.close)`` where `close` does nothing
else, the catalogue knows `_conn` and its release, `_conn` is the same object from the constructor on, and nothing gives
it a way back to its owner.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

from toollint.analyses.callbacks import Registration
from toollint.analyses.holding import Hold, bound_method
from toollint.analyses.once import heirs_and
from toollint.analyses.ownership import Owned, Owner
from toollint.analyses.values import Values
from toollint.facts import Assigned, ClassFacts, FunctionFacts
from toollint.syntax import (
    Attr,
    Bind,
    Call,
    Chain,
    Const,
    Delete,
    Dots,
    Evaluate,
    Expr,
    For,
    Lambda,
    Name,
    Return,
    With,
    argument,
    attribute_of,
    callee,
    last_call,
    walk,
)

_Call: TypeAlias = tuple[str, str]
"""The attribute and the verb of ``self._conn.close()``."""


class Detached(NamedTuple):
    """A callback without the object: ``self._conn.close``; ``doubt`` says why it may not be the same in every run."""

    text: str
    doubt: str


def detached(registration: Registration) -> Detached | None:
    """What to register instead, None where the callback does more than release one resource of the object."""
    hold, method, thing = registration.hold, registration.method, registration.thing
    if hold is None or method is None or thing is None or registration.arguments:
        return None
    if not isinstance(thing.cls, ClassFacts) or thing.path or thing[:2] != (method.scope, method.receiver):
        return None
    called = _only_call(registration.values, thing.cls, hold, method)
    if called is None:
        return None
    attribute, verb = called
    owned = next((one for one in Owner.of(registration.values, thing.cls).owned if one.attribute == attribute), None)
    if owned is None or not _fits(owned, verb) or not _is_the_same(registration.values, thing.cls, attribute):
        return None
    if _knows_its_owner(registration.values, thing.cls, attribute):
        return None
    return Detached(f"{method.receiver}.{attribute}.{verb}", _doubt(registration, hold, owned))


def recipe(registration: Registration) -> str:
    """The Python to write by hand: a function that is given what the callback reads from the object."""
    return release_of(registration.subject_text, _attributes_read(registration))


def release_of(subject: str, attributes: tuple[str, ...]) -> str:
    """A finalizer of ``subject`` that is given some of its attributes."""
    names = attributes[:4]
    given = ", ".join(f"{subject}.{name}" for name in names) or "resource"
    params = ", ".join(name.strip("_") or name for name in names) or "resource"
    lines = (
        f"def _release({params}):  # gets what is there when it is registered",
        f"    ...  # without `{subject}`",
        "",
        "",
        f"weakref.finalize({subject}, _release, {given})",
    )
    return "\n".join(lines) + "\n"


def is_weakly_referenceable(values: Values, cls: ClassFacts) -> bool:
    """Whether objects of a class are known to be: a finalizer needs that."""
    lineage = values.project.lineage(cls)
    bases = [values.catalog.base(name) for name in lineage.libraries]
    slots = any("__slots__" in one.scope.bindings or _has_slots(one) for one in lineage.classes)
    return lineage.known and not slots and all(base is not None and base.weakref for base in bases)


def _has_slots(cls: ClassFacts) -> bool:
    calls = [last_call(decorator) for decorator in cls.node.decorators]
    return any(call is not None and argument(call, "slots") is not None for call in calls)


def _attributes_read(registration: Registration) -> tuple[str, ...]:
    """The attributes of the object, methods aside, that the callback reads, in order: what it has to be given."""
    hold, thing = registration.hold, registration.thing
    if hold is None or thing is None or not isinstance(thing.cls, ClassFacts):
        return ()
    function = hold.function
    body = function.node.body if function is not None else hold.expr
    receiver = function.receiver if function is not None and function.cls is not None else thing.name
    found = [
        link.name
        for node in walk(body)
        if isinstance(node, Chain) and isinstance(node.base, Name) and node.base.id == receiver
        if isinstance(link := node.links[0], Attr)
    ]
    return tuple(dict.fromkeys(name for name in found if bound_method(registration.values, thing.cls, name) is None))


# --- what it calls -----------------------------------------------------------------------------------------------


def _only_call(values: Values, cls: ClassFacts, hold: Hold, method: FunctionFacts) -> _Call | None:
    """The attribute and the verb of ``self._conn.close()``, where the callback does just that."""
    if hold.how == "lambda" and isinstance(hold.expr, Lambda) and not hold.expr.params:
        return _call_on_attribute(values, cls, hold.expr.body, method.receiver)
    if hold.how == "partial" and isinstance(hold.expr, Chain) and len(_arguments(hold.expr)) == 1:
        function = hold.function
        return None if function is None or function.cls is None else _only_statement(values, cls, function)
    if hold.how in {"method", "function"} and hold.function is not None:
        return _only_statement(values, cls, hold.function, method.receiver)
    return None


def _arguments(chain: Chain) -> tuple[object, ...]:
    last = chain.links[-1]
    return last.args if isinstance(last, Call) else ()


def _only_statement(values: Values, cls: ClassFacts, function: FunctionFacts, outer: str | None = None) -> _Call | None:
    """The call that is all that a plain function does; ``outer`` is the object's name where it is no method."""
    receiver = function.receiver if function.cls is not None else outer
    extra = function.node.params[1:] if function.cls is not None else function.node.params
    body = [stmt for stmt in function.node.body if not _is_remark(stmt)]
    if function.node.is_async or extra or len(body) != 1 or not isinstance(body[0], Evaluate | Return):
        return None
    return _call_on_attribute(values, cls, body[0].value, receiver)


def _is_remark(stmt: object) -> bool:
    return isinstance(stmt, Evaluate) and isinstance(stmt.value, Const | Dots)


def _call_on_attribute(values: Values, cls: ClassFacts, expr: Expr | None, receiver: str | None) -> _Call | None:
    """``self._conn.close()``, or ``self.close()`` of a method that does just that."""
    called, call = (None, None) if expr is None else (callee(expr), last_call(expr))
    if not isinstance(called, Chain) or call is None or call.args or not isinstance(called.base, Name):
        return None
    names = [link.name for link in called.links if isinstance(link, Attr)]
    if called.base.id != receiver or len(names) < len(called.links):
        return None
    if len(names) == 2:
        return names[0], names[1]
    method = bound_method(values, cls, names[0]) if len(names) == 1 else None
    return _only_statement(values, cls, method) if isinstance(method, FunctionFacts) else None


# --- on what -----------------------------------------------------------------------------------------------------


def _fits(owned: Owned, verb: str) -> bool:
    """Whether every object holds the resource, alone, and the verb releases it at once."""
    resource = owned.acquisition.resource
    plain = owned.always and owned.part is None and not owned.shared and not owned.cached and not owned.injectable
    return plain and not resource.async_ and verb in {resource.release, *resource.others} and verb not in resource.never


def _is_the_same(values: Values, cls: ClassFacts, attribute: str) -> bool:
    """Whether the attribute is bound by one statement in the class, its ancestors and subclasses, and never deleted."""
    classes = {*values.project.lineage(cls).classes, *heirs_and(values, cls)}
    bound = [target for one in classes for function in one.functions for target in _targets(function, attribute)]
    body = [binding for one in classes for binding in one.scope.bindings.get(attribute, ())]
    return len(bound) == 1 and all(isinstance(binding, Assigned) for binding in body)


def _targets(function: FunctionFacts, attribute: str) -> Iterator[Expr]:
    """Each place where a method binds or deletes the attribute."""
    for node in walk(function.node.body):
        targets: tuple[Expr | None, ...] = ()
        if isinstance(node, Bind | Delete):
            targets = node.targets
        elif isinstance(node, For):
            targets = (node.target,)
        elif isinstance(node, With):
            targets = tuple(target for _, target in node.items)
        for part in walk(targets):
            if isinstance(part, Chain) and attribute_of(part, function.receiver) == attribute:
                yield part


def _knows_its_owner(values: Values, cls: ClassFacts, attribute: str) -> bool:
    """Whether anything that the class does with the attribute could give it the object, or a method of it."""
    for one in values.project.lineage(cls).classes:
        for function in one.functions:
            for node in walk(function.node.body):
                if isinstance(node, Bind) and _touches(node.targets, function, attribute):
                    if _gives(values, cls, function, node.value):
                        return True
                elif isinstance(node, Chain) and _touches((node,), function, attribute):
                    arguments = tuple(link.args for link in node.links if isinstance(link, Call))
                    if _gives(values, cls, function, arguments):
                        return True
    return False


def _touches(exprs: tuple[Expr, ...], function: FunctionFacts, attribute: str) -> bool:
    """Whether an expression is the attribute, or starts from it."""
    return any(
        isinstance(expr, Chain)
        and isinstance(expr.base, Name)
        and expr.base.id == function.receiver
        and isinstance(expr.links[0], Attr)
        and expr.links[0].name == attribute
        for expr in exprs
    )


def _gives(values: Values, cls: ClassFacts, function: FunctionFacts, given: object) -> bool:
    """Whether something may lead to the object: ``self`` other than to read plain data, or a local name for such."""
    if _leads_back(values, cls, function, given):
        return True
    names = {node.id for node in walk(given) if isinstance(node, Name)}
    bound = [binding for name in names for binding in function.scope.bindings.get(name, ())]
    return any(
        isinstance(binding, FunctionFacts)
        or (isinstance(binding, Assigned) and _leads_back(values, cls, function, binding.stmt.value))
        for binding in bound
    )


def _leads_back(values: Values, cls: ClassFacts, function: FunctionFacts, given: object) -> bool:
    nodes = [*walk(given)]
    plain = {
        id(node.base)
        for node in nodes
        if isinstance(node, Chain) and isinstance(node.links[0], Attr) and _is_data(values, cls, node.links[0].name)
    }
    return any(isinstance(node, Name) and node.id == function.receiver and id(node) not in plain for node in nodes)


def _is_data(values: Values, cls: ClassFacts, name: str) -> bool:
    """Whether an attribute is assigned what others have given, and nothing of the object's own."""
    fields = [*values.field_assignments(cls, name)]
    own = any(isinstance(node, Name) and node.id == f.receiver for f, stmt in fields for node in walk(stmt.value))
    return bool(fields) and not own and not isinstance(values.project.class_member(cls, name), FunctionFacts)


def _doubt(registration: Registration, hold: Hold, owned: Owned) -> str:
    """Why the call may not be the same, empty if it is."""
    if hold.how != "method" or hold.expr is not registration.callback:
        return "what was looked up when the callback ran is looked up at once"
    if registration.code.function is not owned.function or registration.place.span.start < owned.place.span.start:
        return f"`{owned.attribute}` has to be there when the finalizer is made"
    if _is_overridden(registration, hold):
        return f"a subclass has another `{hold.text.rpartition('.')[2]}`"
    if not owned.attribute.startswith("_") or _is_lent(hold, owned.attribute):
        return f"whoever has got `{owned.attribute}`, or something of it, loses it with the object"
    return ""


def _is_lent(hold: Hold, attribute: str) -> bool:
    """Whether another method gives its caller the attribute, or at once what a method of it gives: a cursor."""
    cls = hold.function.cls if hold.function is not None else None
    for function in cls.functions if cls is not None else ():
        for node in walk(function.node.body, into=False):
            value = node.value if isinstance(node, Return) and function is not hold.function else None
            if isinstance(value, Chain) and _touches((value,), function, attribute):
                calls = [index for index, link in enumerate(value.links) if isinstance(link, Call)]
                if not calls or calls == [len(value.links) - 1]:
                    return True
    return False


def _is_overridden(registration: Registration, hold: Hold) -> bool:
    """Whether a subclass in the project has another method of that name."""
    thing = registration.thing
    if thing is None or hold.function is None or not isinstance(thing.cls, ClassFacts):
        return True
    return any(hold.function.name in one.methods for one in heirs_and(registration.values, thing.cls)[1:])

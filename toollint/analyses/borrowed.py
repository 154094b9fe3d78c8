"""What a class or function closes although it is somebody else's: what it was given, or whatever happens to exist.

Who owns what a constructor is given is often agreed without a word. So a class is silent here that says anything about
ownership, in code or in words, that opens what it closes, that stands in for what it was given, or whose makers have
made the object for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from toollint.analyses.claims import assignments
from toollint.analyses.closers import OPENERS, closing_verb
from toollint.analyses.handover import handovers
from toollint.analyses.release import is_closer
from toollint.analyses.shared import is_guarded
from toollint.analyses.values import Instance, Values
from toollint.catalog import Resource
from toollint.facts import Assigned, ClassFacts, Code, FunctionFacts, ModuleFacts, Parameter, classes_of, code_of
from toollint.model import Place
from toollint.project import Library
from toollint.syntax import (
    Arg,
    Attr,
    Await,
    Bind,
    Call,
    Chain,
    Comprehension,
    Expr,
    For,
    Name,
    Param,
    With,
    argument,
    attribute_of,
    is_none,
    last_name,
    prefix,
    walk,
)

_VERBS = frozenset({"close", "aclose", "shutdown", "disconnect", "dispose", "async_close", "close_async", "cleanup"})
_ABOUT = frozenset({b"with", *(verb.encode() for verb in _VERBS)})
_SAYS_WHO_OWNS = re.compile(
    rb"\b_*(?:is_)?(?:own_\w+|(?:owns|owned|owner|ownership)(?:_\w+)?)\b|\w+_(?:owned|injected|provided|external)\b"
    rb"|borrow|should_close|close_\w*(?:on|when|after)_|auto_?close|take_?over|ref_?count|ExitStack",
    re.IGNORECASE,
)
"""Words of a class after which its author has thought of who owns what."""
_STANDS_IN = re.compile(r".*(?:Wrapper|Proxy|Adapter|Bridge|Closing|Decorator|Stream|Iterator|Guard|Handle(?!r))\w*")
_CLOSABLE = re.compile(
    r"_*(?:\w+_)?(?:client|session|conn|connection|engine|pool|browser|driver|channel|server|toolset|database|db|redis)"
)
"""What an attribute is called that holds something to be closed, where no annotation tells."""
_ALL_OBJECTS = Library("gc.get_objects")


class Closed(NamedTuple):
    """A call that closes what belongs to others.

    ``given`` is the parameter that brought it, which ``origin`` stores as ``attribute``. Where there is none, it is
    taken from all objects of the process there. ``type`` is the class of the object, where that is known.
    """

    function: FunctionFacts
    chain: Chain
    origin: Place
    attribute: str = ""
    given: Param | None = None
    type: str = ""

    @property
    def place(self) -> Place:
        """The closing call."""
        return self.function.at(self.chain.start, self.chain.end)

    @classmethod
    def find(cls, values: Values, module: ModuleFacts) -> Iterator[Closed]:
        """Every such call in a file; tests may close what they like."""
        if module.is_test:
            return
        for facts in classes_of(module, _ABOUT):
            yield from _given(values, facts)
        for code in code_of(module, frozenset({b"get_objects"})):
            yield from _swept(values, code)


# --- what a constructor was given --------------------------------------------------------------------------------


class _Stored(NamedTuple):
    """A parameter of the constructor in an attribute; ``resource`` is what the catalogue knows of the object."""

    param: Param
    place: Place
    type: str
    resource: Resource | None


def _given(values: Values, cls: ClassFacts) -> Iterator[Closed]:
    stored = _stored_in(values, cls)
    if stored and not _is_silent(values, cls):
        for method in cls.functions:
            if method.receiver is not None and not method.is_classmethod:
                for attribute, chain in _closings(method, stored):
                    one = stored[attribute]
                    if not _is_made_for_it(values, cls, attribute, one.param):
                        yield Closed(method, chain, one.place, attribute, one.param, one.type)


def _closings(method: FunctionFacts, stored: dict[str, _Stored]) -> Iterator[tuple[str, Chain]]:
    """What a method closes of it: by its verb at the end of an object's life, or by a ``with`` at any time."""
    code = Code(method.scope, method.origin, method.node.body)
    for node in walk(method.node.body, into=False):
        if isinstance(node, With):
            for context, _ in node.items:
                attribute = attribute_of(context, method.receiver)
                if attribute in stored and _ends_with(stored[attribute].resource, node) and isinstance(context, Chain):
                    yield attribute, context
        elif is_closer(method.name):
            attribute = _closes(node, method.receiver)
            if attribute in stored and not is_guarded(code, node, {attribute}):
                yield attribute, node


def _ends_with(resource: Resource | None, node: With) -> bool:
    kept = resource and (resource.async_with if node.is_async else resource.with_)
    return kept == "releases"


def _stored_in(values: Values, cls: ClassFacts) -> dict[str, _Stored]:
    """The attributes that hold a parameter of the constructor and nothing else, and may be closed."""
    constructor = cls.methods.get("__init__")
    if constructor is None or not values.project.lineage(cls).known:
        return {}
    found = {}
    for attribute, stmt in assignments(constructor):
        param = _parameter(constructor, stmt.value)
        if param is not None and _is_only(values, cls, attribute, stmt):
            place = constructor.at(stmt.start, stmt.end)
            stored = _closable(values, constructor, attribute, _Stored(param, place, "", None))
            if stored is not None:
                found[attribute] = stored
    return found


def _parameter(function: FunctionFacts, value: Expr | None) -> Param | None:
    """The parameter that a name is, where nothing else is ever bound to it and there is no default but None."""
    bound = function.scope.bindings.get(value.id, ()) if isinstance(value, Name) else ()
    if len(bound) != 1 or not isinstance(bound[0], Parameter):
        return None
    param = bound[0].param
    plain = param.kind in {"positional", "plain", "keyword"} and param is not function.node.params[0]
    return param if plain and (param.default is None or is_none(param.default)) else None


def _is_only(values: Values, cls: ClassFacts, attribute: str, stmt: Bind) -> bool:
    """Whether every other assignment to the attribute is None."""
    others = [other for _, other in values.field_assignments(cls, attribute) if other is not stmt]
    bound = [
        binding
        for ancestor in values.project.lineage(cls).classes
        for binding in ancestor.scope.bindings.get(attribute, ())
    ]
    plain = all(isinstance(one, Assigned) and (one.stmt.value is None or is_none(one.stmt.value)) for one in bound)
    return plain and all(is_none(other.value) for other in others)


def _closable(values: Values, function: FunctionFacts, attribute: str, stored: _Stored) -> _Stored | None:
    """What a parameter takes, by its annotation or else by its name; None where it may be anything."""
    alternatives = values.annotation(function.outer, stored.param.annotation)
    if any(_stands_in_for(values, function, one) for one in alternatives):
        return None
    for one in alternatives:
        if isinstance(one.cls, ClassFacts):
            if closing_verb(values, one.cls) is not None:
                return stored._replace(type=one.name)
        else:
            resource = values.catalog.resource(one.cls.name)
            if resource is not None and resource.category != "file":
                return stored._replace(type=one.name, resource=resource)
    known = any(isinstance(one.cls, ClassFacts) for one in alternatives)
    return stored if not known and _CLOSABLE.fullmatch(attribute) else None


def _stands_in_for(values: Values, function: FunctionFacts, given: Instance) -> bool:
    """Whether the class is of the kind that its constructor takes: then it takes its place, and ends its life."""
    lineage = values.project.lineage(function.cls) if function.cls is not None else None
    return lineage is not None and (given.cls in lineage.classes or given.cls.name in lineage.libraries)


def _is_silent(values: Values, cls: ClassFacts) -> bool:
    """Whether the class has thought of ownership, or stands in for what it was given."""
    for ancestor in values.project.lineage(cls).classes:
        place = ancestor.at(ancestor.node.start, ancestor.node.end)
        if _SAYS_WHO_OWNS.search(ancestor.module.utf8, *place.span):
            return True
    return _STANDS_IN.fullmatch(cls.name) is not None or "__getattr__" in cls.methods


def _closes(node: Any, receiver: str | None) -> str | None:
    """The attribute that ``self.attribute.close()`` closes."""
    if not isinstance(node, Chain) or len(node.links) != 3 or not isinstance(node.links[2], Call):
        return None
    verb = node.links[1]
    return attribute_of(prefix(node, 1), receiver) if isinstance(verb, Attr) and verb.name in _VERBS else None


# --- who made it -------------------------------------------------------------------------------------------------


def _is_made_for_it(values: Values, cls: ClassFacts, attribute: str, param: Param) -> bool:
    """Whether the class opens what it was given, or everybody in sight who makes such an object makes one for it."""
    if any(_opens(function, attribute) for function in cls.functions):
        return True
    if any(one.attribute == attribute for one in handovers(values, cls)):
        return True
    made = [_is_fresh(code, given) for code, given in _arguments(values, cls, param)]
    return bool(made) and all(made)


def _opens(function: FunctionFacts, attribute: str) -> bool:
    return any(
        isinstance(node, Chain)
        and len(node.links) > 1
        and isinstance(node.links[1], Attr)
        and node.links[1].name in OPENERS
        and attribute_of(prefix(node, 1), function.receiver) == attribute
        for node in walk(function.node.body)
    )


def _arguments(values: Values, cls: ClassFacts, param: Param) -> Iterator[tuple[Code, Expr | None]]:
    """What each call of the class in the running program gives for a parameter of its constructor."""
    constructor = cls.methods["__init__"]
    position = None if param.kind == "keyword" else [*constructor.node.params].index(param) - 1
    for module in values.project.mentioning(cls.name):
        for code in code_of(module, frozenset({cls.name.encode()})) if not module.is_test else ():
            for node in walk(code.block, into=False):
                for called, call in _calls(node):
                    if last_name(called) in {cls.name, "cls"} and values.of(code.scope, called) is cls:
                        yield code, argument(call, param.name, position)


def _calls(node: Any) -> Iterator[tuple[Expr, Call]]:
    """Each call in a chain, with what is called."""
    for index, link in enumerate(node.links if isinstance(node, Chain) else ()):
        if isinstance(link, Call):
            yield prefix(node, index), link


def _is_fresh(code: Code, given: Expr | None) -> bool:
    """Whether an argument has been made for this one call, so that nobody else has it, or gives itself away."""
    if isinstance(given, Name) and code.function is not None and given.id == code.function.receiver:
        return True
    if isinstance(given, Name):
        bound = code.scope.bindings.get(given.id, ())
        times = sum(
            isinstance(node, Arg) and isinstance(node.value, Name) and node.value.id == given.id
            for node in walk(code.block, into=False)
        )
        made = [one.stmt.value for one in bound if isinstance(one, Assigned)]
        return bool(made) and len(made) == len(bound) and times == 1 and all(map(_is_call, made))
    return is_none(given) or _is_call(given)


def _is_call(expr: Expr | None) -> bool:
    expr = expr.value if isinstance(expr, Await) else expr
    return isinstance(expr, Chain) and isinstance(expr.links[-1], Call)


# --- whatever exists ---------------------------------------------------------------------------------------------


def _swept(values: Values, code: Code) -> Iterator[Closed]:
    """The closing of what a loop finds among all objects of the process."""
    if code.function is None:
        return
    for node in walk(code.block, into=False):
        loops: list[tuple[Expr, Expr]] = []
        body: tuple[Any, ...] = ()
        if isinstance(node, For):
            loops, body = [(node.target, node.iter)], node.body
        elif isinstance(node, Comprehension):
            loops, body = [(clause.target, clause.iter) for clause in node.clauses], node.elements
        taken = {
            target.id: place
            for target, source in loops
            if isinstance(target, Name) and (place := _taken_from_all(values, code, source)) is not None
        }
        for chain in walk(body, into=False):
            if isinstance(chain, Chain) and isinstance(chain.base, Name) and chain.base.id in taken:
                verb = chain.links[0]
                if isinstance(verb, Attr) and is_closer(verb.name) and isinstance(chain.links[-1], Call):
                    yield Closed(code.function, chain, taken[chain.base.id])


def _taken_from_all(values: Values, code: Code, source: Expr) -> Place | None:
    """Where an expression, or the local name that it is, is taken from all objects."""
    bound = code.scope.bindings.get(source.id, ()) if isinstance(source, Name) else ()
    sources = [one.stmt.value for one in bound if isinstance(one, Assigned)] if bound else [source]
    for node in walk(*sources):
        for called, _ in _calls(node):
            if values.of(code.scope, called) == _ALL_OBJECTS:
                return code.at(node.start, node.end)
    return None

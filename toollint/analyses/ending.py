"""What the end of a `with` closes for good, and which values need that still.

Certain on purpose. Every use after the release has to fail: the catalogue says of which resources this is known. A
value needs the object where it keeps it: an argument that the catalogue says is retained, a constructor of the project
that stores it, a closure, a generator that has not run yet. Whatever was read out of it is a plain value;
`toollint.analyses.tied` has the generous question.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple, TypeAlias

from toollint.analyses.holding import hold_of, thing_at
from toollint.analyses.lifetimes.calls import LOOKS, only_tells
from toollint.analyses.managers import colour_of
from toollint.analyses.values import Instance, Method, Values, is_coroutine
from toollint.catalog import Effect, Resource
from toollint.facts import Assigned, Code, FunctionFacts
from toollint.project import Library
from toollint.syntax import (
    Attr,
    Await,
    Bind,
    Block,
    Bool,
    Call,
    Chain,
    Clause,
    Collection,
    Comprehension,
    Dict,
    Expr,
    For,
    IfExp,
    Index,
    Lambda,
    Name,
    Return,
    Star,
    While,
    With,
    Yield,
    callee,
    last_call,
    last_name,
    prefix,
    walk,
)

_CLOSING = (Library("contextlib.closing"), Library("contextlib.aclosing"))
_STACKS = (Library("contextlib.ExitStack"), Library("contextlib.AsyncExitStack"))
_ENTERS = frozenset({"enter_context", "enter_async_context"})
_STAYS = _ENTERS | {"callback", "push", "push_async_callback", "push_async_exit"}
"""Methods of an exit stack after which its `with` still closes everything; `pop_all` is none of them."""

_PLAIN_DECORATORS = frozenset({"staticmethod", "classmethod", "override", "final"})
_STEPS = 3
"""How many functions of the project in a row a value is followed through."""


class Dead(NamedTuple):
    """A name whose value a `with` has closed at its end; ``built`` is the call that built it, None for the object."""

    name: str
    built: Expr | None = None


# --- what a `with` closes ----------------------------------------------------------------------------------------


_Ended: TypeAlias = tuple[Expr, tuple[str, ...], Resource]
"""What is entered, the names that it is bound to, and what is closed at the end of the block."""


def ended_by(values: Values, code: Code, statement: With, steps: int = _STEPS) -> Iterator[_Ended]:
    """What the end of a `with` closes for good, bound to names there or by an exit stack inside."""
    for item, target in statement.items:
        resource = closed(values, code, item, is_async=statement.is_async, steps=steps)
        if resource is not None:
            yield item, _names(target) or _made_before(code, item), resource
        if isinstance(target, Name) and values.of(code.scope, callee(item)) in _STACKS:
            yield from _entered(values, code, statement, target.id, steps)


def _names(target: Expr | None) -> tuple[str, ...]:
    parts = target.items if isinstance(target, Collection) else (target,)
    return tuple(part.id for part in parts if isinstance(part, Name) and part.id != "_")


def _made_before(code: Code, item: Expr) -> tuple[str, ...]:
    """The local name of something that the same function has made before it enters it."""
    bindings = code.scope.bindings.get(item.id, ()) if isinstance(item, Name) else ()
    made = len(bindings) == 1 and isinstance(bindings[0], Assigned)
    return (item.id,) if isinstance(item, Name) and made else ()


def _entered(values: Values, code: Code, statement: With, stack: str, steps: int) -> Iterator[_Ended]:
    """What an exit stack enters in the block of its own `with`, where nothing else is done with the stack."""
    uses = [node for node in walk(statement.body) if isinstance(node, Name) and node.id == stack]
    calls = [node for node in walk(statement.body) if isinstance(node, Chain) and _verb(node, stack) in _STAYS]
    if len(uses) != len(calls):
        return
    for stmt in walk(statement.body, into=False):
        value = stmt.value if isinstance(stmt, Bind) and len(stmt.targets) == 1 else None
        value = value.value if isinstance(value, Await) else value
        if isinstance(stmt, Bind) and isinstance(value, Chain) and _verb(value, stack) in _ENTERS:
            call = last_call(value)
            item = call.args[0].value if call is not None and len(call.args) == 1 else None
            is_async = _verb(value, stack) == "enter_async_context"
            resource = closed(values, code, item, is_async=is_async, steps=steps) if item is not None else None
            if item is not None and resource is not None:
                yield item, _names(stmt.targets[0]), resource


def _verb(chain: Chain, name: str) -> str:
    """The method of ``name.method(...)``."""
    links = chain.links
    plain = isinstance(chain.base, Name) and chain.base.id == name and len(links) == 2 and isinstance(links[1], Call)
    return links[0].name if plain and isinstance(links[0], Attr) else ""


def closed(values: Values, code: Code, item: Expr, *, is_async: bool, steps: int = _STEPS) -> Resource | None:
    """What entering an expression gives that is closed for good when the block ends; None where that is not certain."""
    called = callee(item)
    target = values.of(code.scope, called) if called is not None else None
    call = last_call(item)
    if target in _CLOSING and call is not None and len(call.args) == 1:
        instance = values.instance(code.scope, call.args[0].value)
        return _lost(_resource(values, instance))
    function = target.function if isinstance(target, Method) else target
    if isinstance(function, FunctionFacts) and colour_of(values, function):
        return _yielded(values, function, steps - 1) if steps else None
    row = values.catalog.acquisition(target.name) if isinstance(target, Library) else None
    if row is not None and row.manager:
        return None if _is_of_pool(values, code, called) else _lost(row.resource)
    resource = _resource(values, values.instance(code.scope, item))
    releases = resource is not None and (resource.async_with if is_async else resource.with_) == "releases"
    return _lost(resource) if releases else None


def _resource(values: Values, instance: Instance | None) -> Resource | None:
    known = instance is not None and isinstance(instance.cls, Library)
    return values.catalog.resource(instance.cls.name) if instance is not None and known else None


def _lost(resource: Resource | None) -> Resource | None:
    """The resource, where every use of it after the release fails."""
    return resource if resource is not None and resource.after_release == "fails" else None


def _is_of_pool(values: Values, code: Code, called: Expr | None) -> bool:
    """Whether it is a pool's method: what the pool takes back stays open."""
    owner = prefix(called, len(called.links) - 1) if isinstance(called, Chain) else None
    found = _resource(values, values.instance(code.scope, owner)) if owner is not None else None
    return found is not None and found.category == "db-pool"


def _yielded(values: Values, function: FunctionFacts, steps: int) -> Resource | None:
    """What a decorated generator yields from inside a `with` that closes it."""
    code = Code(function.scope, function.origin, function.node.body)
    yields = [node for node in walk(function.node.body, into=False) if isinstance(node, Yield)]
    if len(yields) != 1 or yields[0].value is None or yields[0].delegates:
        return None
    for node in walk(function.node.body, into=False):
        if isinstance(node, With) and any(inner is yields[0] for inner in walk(node.body, into=False)):
            for _, names, resource in ended_by(values, code, node, steps):
                block = Needing(values, code, node.body, names, resource=resource, steps=steps)
                if block.carried(yields[0].value) is not None:
                    return resource
    return None


# --- what keeps it -----------------------------------------------------------------------------------------------


class Needing:
    """The block of a `with`, and the names in it whose values need what the `with` closes."""

    def __init__(  # noqa: PLR0913
        self,
        values: Values,
        code: Code,
        body: Block,
        names: Iterable[str],
        *,
        resource: Resource | None = None,
        steps: int = _STEPS,
    ) -> None:
        self.values = values
        self.code = code
        self.resource = resource
        self.steps = steps
        self.dead = {name: Dead(name) for name in names if not _is_rebound(body, name)}
        for stmt in walk(body, into=False):
            if isinstance(stmt, Bind) and len(stmt.targets) == 1 and isinstance(stmt.targets[0], Name):
                name, found = stmt.targets[0].id, self.carried(stmt.value)
                if found is not None and self.is_bound_once(name):
                    self.dead.setdefault(name, found._replace(name=name))

    def is_bound_once(self, name: str) -> bool:
        """Whether nothing else in the function binds a name."""
        return len(self.code.scope.bindings.get(name, ())) == 1

    def carried(self, expr: Expr | None) -> Dead | None:
        """What in an expression needs what has been closed, where its value keeps that for certain."""
        if isinstance(expr, Name):
            return self.dead.get(expr.id) or self.held(expr)
        if isinstance(expr, Await):
            return self.call(expr.value, awaited=True) if isinstance(expr.value, Chain) else None
        if isinstance(expr, Chain):
            return self.call(expr, awaited=False) if isinstance(expr.links[-1], Call) else self.member(expr)
        if isinstance(expr, Lambda):
            return self.held(expr)
        return next(filter(None, map(self.carried, self.parts(expr))), None)

    def parts(self, expr: Expr | None) -> tuple[Expr | None, ...]:
        """The expressions of which a display or choice is made; a generator reads from its source when it runs."""
        if isinstance(expr, Collection | Star):
            return expr.items if isinstance(expr, Collection) else (expr.value,)
        if isinstance(expr, Dict):
            return tuple(value for _, value in expr.items)
        if isinstance(expr, IfExp | Bool):
            return (expr.then, expr.orelse) if isinstance(expr, IfExp) else expr.operands
        if isinstance(expr, Comprehension):
            return (*expr.elements, expr.clauses[0].iter) if expr.kind == "generator" else expr.elements
        return ()

    def member(self, chain: Chain) -> Dead | None:
        """What a member of a closed object gives that works through it."""
        owner = prefix(chain, len(chain.links) - 1)
        if isinstance(chain.links[-1], Index) or not isinstance(owner, Name) or owner.id not in self.dead:
            return None
        return Dead("", chain) if self.gives_tools(owner, last_name(chain)) else None

    def gives_tools(self, owner: Name, name: str) -> bool:
        """Whether a member of a closed object gives tools that work through it."""
        resource = _resource(self.values, self.values.instance(self.code.scope, owner))
        known = resource or (self.resource if self.dead[owner.id].built is None else None)
        return known is not None and name in known.gives_tools

    def call(self, chain: Chain, *, awaited: bool) -> Dead | None:
        """What a call builds on the object: by what the catalogue knows, a class or a function of the project."""
        called, call = callee(chain), last_call(chain)
        if called is None or call is None:
            return None
        target = self.values.of(self.code.scope, called)
        if isinstance(target, Library):
            return Dead("", chain) if self.keeps(target, called, call) else None
        function = target.function if isinstance(target, Method) else target
        if isinstance(function, FunctionFacts):
            return Dead("", chain) if self.passes(function, target, call, awaited=awaited) else None
        return self.held(chain)

    def passes(self, function: FunctionFacts, target: object, call: Call, *, awaited: bool) -> bool:
        """Whether a function of the project builds its result on an argument, or reads from it when it is run later."""
        params = [param.name for param in function.node.params if param.kind in {"positional", "plain"}]
        params = params[1:] if isinstance(target, Method) or function.is_classmethod else params
        given = [
            arg.keyword or params[position]
            for position, arg in enumerate(call.args)
            if not arg.stars and (arg.keyword or position < len(params)) and self.carried(arg.value) is not None
        ]
        if not given or not self.steps or not {last_name(one) for one in function.decorators} <= _PLAIN_DECORATORS:
            return False
        if function.is_generator or (is_coroutine(function) and not awaited):
            return True
        inner = Code(function.scope, function.origin, function.node.body)
        block = Needing(self.values, inner, function.node.body, given, steps=self.steps - 1)
        results = [node.value for node in walk(function.node.body, into=False) if isinstance(node, Return)]
        return any(block.carried(result) is not None for result in results)

    def keeps(self, target: Library, called: Expr, call: Call) -> bool:
        """Whether a library's function keeps an argument that needs the object, or is a method of the object."""
        effect = self.values.catalog.effect(target.name)
        if effect is not None:
            return any(self.carried(value) is not None for value in retained(effect, call))
        owner = prefix(called, len(called.links) - 1) if isinstance(called, Chain) else None
        if not isinstance(owner, Name) or owner.id not in self.dead:
            return False
        return self.gives_tools(owner, last_name(called)) or self.is_of_a_kind(owner, target)

    def is_of_a_kind(self, owner: Name, target: Library) -> bool:
        """Whether a method opens something that ends with its object: a browser ends with its playwright."""
        row = self.values.catalog.acquisition(target.name)
        resource = _resource(self.values, self.values.instance(self.code.scope, owner))
        return (
            row is not None
            and resource is not None
            and _lost(row.resource) is not None
            and row.resource.category == resource.category
        )

    def held(self, expr: Expr) -> Dead | None:
        """What holds one of the objects strongly, as a closure or a constructor of the project does."""
        for name in self.dead:
            start = Name(name, expr.start, expr.start)
            thing = thing_at(self.values, self.code.scope, start)
            hold = hold_of(self.values, thing, self.code, [expr]) if thing is not None and thing.fixed else None
            if hold is not None and not (isinstance(expr, Name) and hold.how == "argument"):
                return None if hold.how == "helper" and _works_at_once(hold.function) else Dead("", expr)
        return None


def _works_at_once(constructor: FunctionFacts | None) -> bool:
    """Whether a constructor does more than keep and make things: it may have read everything that it needs."""
    if constructor is None:
        return True
    nodes = [*walk(constructor.node.body, into=False)]
    calls = [node for node in nodes if isinstance(node, Chain) and any(isinstance(link, Call) for link in node.links)]
    plain = all(only_makes(last_name(callee(node) or node)) or last_name(node) == "__init__" for node in calls)
    return not plain or any(isinstance(node, For | While | With | Clause) for node in nodes)


def only_makes(word: str) -> bool:
    """Whether what is called by that name makes an object, looks at one, or tells of it."""
    return only_tells(word) or word in LOOKS or word.lstrip("_")[:1].isupper()


def retained(effect: Effect, call: Call) -> Iterator[Expr]:
    """The arguments that a call keeps as long as its result lives."""
    for position, arg in enumerate(call.args):
        name = arg.keyword or (effect.params[position] if position < len(effect.params) else "")
        if not arg.stars and name in effect.retains:
            yield arg.value


def _is_rebound(body: Block, name: str) -> bool:
    """Whether a block binds the name to something else: what an exit stack enters there is what is meant."""
    targets = [target for node in walk(body) if isinstance(node, Bind) for target in node.targets if not _enters(node)]
    inner = [target for node in walk(body) if isinstance(node, With) for _, target in node.items]
    bound = [part for target in (*targets, *inner) if target is not None for part in walk(target)]
    return any(isinstance(part, Name) and part.id == name for part in bound)


def _enters(stmt: Bind) -> bool:
    called = (
        callee(stmt.value.value if isinstance(stmt.value, Await) else stmt.value) if stmt.value is not None else None
    )
    return called is not None and last_name(called) in _ENTERS

"""Clients, pools and sessions that belong to the event loop that used them first, and are kept longer than a loop.

They are kept for the process by a variable, a class attribute, a dict or a memo, or by an object for all its calls.
That is right as long as the program has one loop. Where another one may reach them (`toollint.analyses.loops`), what
the first has opened is still in their pools: the loop is closed, and the connections fail, hang or stay open.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from toollint.analyses.claims import is_constructor
from toollint.analyses.loops import Again, Reach, Site, in_turn, is_start, nodes_of, reaches, runs_again, sites, text_of
from toollint.analyses.memoizers import applied
from toollint.analyses.origins import Kind
from toollint.analyses.ownership import Owner
from toollint.analyses.retention import Container
from toollint.analyses.uses import Use
from toollint.analyses.values import Instance, Values, is_property
from toollint.catalog import Acquisition, Resource
from toollint.facts import Assigned, ClassFacts, Code, FunctionFacts, ModuleFacts, Scope, code_of
from toollint.model import Place
from toollint.project import Library, Variable
from toollint.syntax import (
    Attr,
    Await,
    Bind,
    Chain,
    Const,
    Dict,
    Expr,
    If,
    Name,
    Return,
    With,
    attribute_of,
    callee,
    last_call,
    last_name,
    prefix,
    subscripted,
    walk,
)
from toollint.syntax import Scope as ScopeStmt

_LOOPS = frozenset({Library("asyncio.get_running_loop"), Library("asyncio.get_event_loop")})
_AWARE = re.compile(rb"\b(?:get_running_loop|get_event_loop|new_event_loop|is_closed|\w*_loops?|WeakKeyDictionary)\b")
"""What code mentions that thinks of loops: it may make another client for another loop."""
_UNPOOLED = re.compile(r"poolclass|force_close|\w*keepalive\w*|creator")
"""Arguments after which no connection is kept between two uses."""
_HINT = re.compile(rb"[aA]sync|aio")
"""What a file mentions, in whatever word, that has to do with event loops."""
_REUSE = b"nest_asyncio"
_DERIVED = 2
"""How many variables in a row that a module derives from it are followed."""
_REACHES = 24
"""How many runs of loops are looked at for one client."""


class Ended(NamedTuple):
    """A run of a loop that ends while the program goes on, and why it is not the only one."""

    reach: Reach
    again: Again


@dataclass(frozen=True, eq=False)
class Keeper:
    """What keeps a loop-bound object.

    ``how`` is ``memo``, ``variable``, ``attribute`` (of a class), ``entry`` (of a dict) or ``object``. ``place`` is
    where it is kept, ``acquired`` where it is made: by ``maker``, if that is a function.
    """

    values: Values
    how: str
    name: str
    place: Place
    acquisition: Acquisition
    acquired: Place
    home: Scope
    maker: FunctionFacts | None = None

    @classmethod
    def find(cls, values: Values, module: ModuleFacts) -> Iterator[Keeper | LoopKeyed]:
        """The keepers of a file, and its dicts that are keyed on loops."""
        about = values.sieve.words(module.path, "acquisition")
        if module.is_test or not about or not _HINT.search(values.project.text(module.path)):
            return
        classes: list[ClassFacts] = []
        for code in code_of(module, about):
            function = code.function
            if function is not None:
                yield from _memoized(values, function)
            for stmt in walk(code.block, into=False):
                if isinstance(stmt, Bind) and not stmt.op:
                    yield from _stored(values, code, stmt)
            if isinstance(code.scope.owner, ClassFacts):
                classes.append(code.scope.owner)
        for one in classes:
            yield from _held_by_objects(values, one)
        if {b"get_running_loop", b"get_event_loop"} & values.project.words(module.path):
            yield from (LoopKeyed(box) for box in Container.find(values, module) if box.shape == "dict")

    @property
    def resource(self) -> Resource:
        """What is kept."""
        return self.acquisition.resource

    @property
    def made(self) -> str:
        """Its class, or the call that gives it, as a message names it."""
        return self.resource.name.rpartition(".")[2]

    @cached_property
    def ended(self) -> Ended | None:
        """The run of a loop that makes it one client for several loops; None where there may be one loop only."""
        if self.maker is not None and _AWARE.search(text_of(self.maker)):
            return None
        found = [reach for reach in self._reaches() if not self._is_managed(reach)]
        for reach in found:
            again = runs_again(self.values, reach.run.code, reach.run.call)
            if again is not None and (not again.at_import or self._is_used_apart_from(reach)):
                return Ended(reach, again)
        return self._in_turn(found)

    def _in_turn(self, found: list[Reach]) -> Ended | None:
        """Two loops, one after the other: in one function, or in two blocking methods of one object."""
        for index, first in enumerate(found):
            for second in found[index + 1 :]:
                function = second.run.code.function
                if in_turn(first.run, second.run):
                    return Ended(second, Again("run", second.run.place))
                both = {reach.run.code.function for reach in (first, second)}
                if self.how == "object" and function is not None and len(both) > 1 and all(map(_is_blocking, both)):
                    return Ended(second, Again(f"call of `{function.name}`", function.place))
        return None

    def _reaches(self) -> Iterator[Reach]:
        for _, reach in zip(range(_REACHES), reaches(self.values, self._uses(), self._follows), strict=False):
            yield reach

    def _follows(self, site: Site) -> bool:
        """Whether a call is followed: of what an object holds, calls of methods of this very object only."""
        if self.how == "object":
            return _is_of_one_object(self.values, site)
        return not (_is_entered(site) and not _is_manager(self.values, site))

    # --- where it is used

    def _uses(self) -> Iterator[Site]:
        """Where it is used, and not entered, as ``async with`` would do to close it in the end."""
        if self.how == "object":
            found = (site for cls in self._family for site in _attribute_sites(cls, self._names))
            yield from (site for site in found if not _is_entered(site))
        elif self.how == "memo":
            yield from (
                site for site in sites(self.values, self.name, self._is_it) if site.called and not _is_entered(site)
            )
        else:
            yield from self._mentions(self.name, self.home, _DERIVED)

    def _mentions(self, name: str, home: Scope, steps: int) -> Iterator[Site]:
        """The uses of a variable or class attribute, and of what a module makes of it: ``sessionmaker(engine)``."""

        def is_it(scope: Scope, expr: Expr) -> bool:
            target: object = self.values.project.resolve(scope, expr)
            if target is None and isinstance(home.owner, ClassFacts) and isinstance(expr, Chain):
                target = _member(self.values, scope, expr, home.owner)
            return isinstance(target, Variable) and target.scope is home and target.name == name

        for site in sites(self.values, name, is_it):
            if site.code.function is not None:
                yield from [site] if steps < _DERIVED or not _is_entered(site) else []
            elif steps and site.code.scope.kind == "module":
                yield from self._derived(site, steps)

    def _derived(self, site: Site, steps: int) -> Iterator[Site]:
        for stmt in site.code.block:
            call = last_call(stmt.value) if isinstance(stmt, Bind) else None
            given = [arg.value for arg in call.args] if call is not None else []
            if isinstance(stmt, Bind) and site.node in given and isinstance(stmt.targets[0], Name):
                yield from self._mentions(stmt.targets[0].id, site.code.scope, steps - 1)

    def _is_it(self, scope: Scope, expr: Expr) -> bool:
        return self.values.project.resolve(scope, expr) is self.maker

    def _is_used_apart_from(self, reach: Reach) -> bool:
        """Whether anything but the functions of one run uses it: on the program's own loop, as far as one can tell."""
        return any(site.code.function not in reach.functions for site in self._uses())

    @cached_property
    def _names(self) -> frozenset[str]:
        """The attributes that give what an object holds: its own, and the properties that return it."""
        methods = [method for cls in self._family for method in cls.functions if is_property(method)]
        giving = (
            method.name
            for method in methods
            for node in walk(method.node.body, into=False)
            if isinstance(node, Return) and node.value is not None
            if attribute_of(node.value, method.receiver) == self.name
        )
        return frozenset([self.name, *giving])

    @cached_property
    def _family(self) -> tuple[ClassFacts, ...]:
        owner = self.home.owner
        return self.values.project.lineage(owner).classes if isinstance(owner, ClassFacts) else ()

    # --- who sees to it

    def _is_managed(self, reach: Reach) -> bool:
        """Whether something on the way closes it or puts another one in its place, or the loop may be the same one."""
        modules = [self.home.module, *(function.module for function in reach.functions)]
        if any(_REUSE in self.values.project.words(module.path) for module in modules):
            return True
        names = self._menders
        functions = [function for function in reach.functions if function is not self.maker]
        return any(
            self._ends.search(text_of(function)) or not names.isdisjoint(re.findall(rb"\w+", text_of(function)))
            for function in functions
        )

    @cached_property
    def _ends(self) -> re.Pattern[bytes]:
        verbs = {verb for verb in (self.resource.release, *self.resource.others) if verb.isidentifier()}
        closing = b"|".join(re.escape(verb.encode()) for verb in sorted(verbs | {"close", "aclose"}))
        return re.compile(rb"(?<!loop)\.(?:%b)\(|\b%b\s*=(?!=)" % (closing, re.escape(self.name.encode())))

    @cached_property
    def _menders(self) -> frozenset[bytes]:
        """The functions beside it that close it, or put another one in its place."""
        word = re.compile(rb"\b%b\b" % re.escape(self.name.encode()))
        return frozenset(
            code.function.name.encode()
            for code in code_of(self.home.module, frozenset({self.name.encode()}))
            if code.function is not None and code.function is not self.maker and code.function.name != "__init__"
            if word.search(text_of(code.function)) and self._ends.search(text_of(code.function))
        )


# --- what keeps it -----------------------------------------------------------------------------------------------


def _memoized(values: Values, function: FunctionFacts) -> Iterator[Keeper]:
    """A function under a memo that makes it: called again it gives the same one."""
    if function.node.is_async or function.outer.kind == "function":
        return
    for decorator in function.decorators:
        memo = applied(values, function.outer, decorator)
        if memo is not None and (memo.row is None or not memo.row.async_):
            made = values.returned(function)
            cls = made.cls if isinstance(made, Instance) else None
            row = values.catalog.resource(cls.name) if isinstance(cls, Library) else None
            for node in walk(function.node.body, into=False) if row is not None and row.loop_bound else ():
                acquisition = _acquired(values, function.scope, node)
                if acquisition is not None:
                    acquired = function.at(node.start, node.end)
                    yield Keeper(
                        values, "memo", function.name, function.place, acquisition, acquired, function.outer, function
                    )
                    return


def shared_by_loops(values: Values, function: FunctionFacts) -> bool:
    """Whether a memo hands one client to several event loops, which is worse than that it keeps some."""
    return any(keeper.ended is not None for keeper in _memoized(values, function))


def _stored(values: Values, code: Code, stmt: Bind) -> Iterator[Keeper]:
    """A statement that stores it where it stays: of a function only such as asks first whether it is there."""
    acquisition = _acquired(values, code.scope, stmt.value) or _named(values, code.scope, stmt.value)
    target = stmt.targets[0]
    if acquisition is None or len(stmt.targets) != 1 or stmt.value is None:
        return
    how, name, home = _home(values, code, target)
    if home is None or (code.function is not None and not _asks_first(code.function, stmt, name)):
        return
    place, acquired = code.at(target.start, target.end), code.at(stmt.value.start, stmt.value.end)
    yield Keeper(values, how, name, place, acquisition, acquired, home, code.function)


def _home(values: Values, code: Code, target: Expr) -> tuple[str, str, Scope | None]:
    """How a target keeps what it is given, its name, and the scope of the variable; no scope where it does not last."""
    function = code.function
    if isinstance(target, Name):
        if function is not None:
            return "variable", target.id, code.scope.module.scope if target.id in _globals(function) else None
        kept = code.scope if code.scope.kind == "module" or _is_class_wide(values, code.scope) else None
        return ("variable" if code.scope.kind == "module" else "attribute"), target.id, kept
    head, keys = subscripted(target)
    if function is not None and keys and isinstance(head, Name):
        box = values.project.named(code.scope, head.id)
        lasting = isinstance(box, Variable) and box.scope.kind == "module" and _is_dict(box)
        thinks = any(isinstance(node, Name) and "loop" in node.id for node in walk(keys))
        return "entry", head.id, box.scope if isinstance(box, Variable) and lasting and not thinks else None
    if function is not None and isinstance(target, Chain) and isinstance(target.links[-1], Attr):
        owner = values.of(code.scope, prefix(target, len(target.links) - 1))
        name = target.links[-1].name
        member = values.project.class_member(owner, name) if isinstance(owner, ClassFacts) else None
        return "attribute", name, member.scope if isinstance(member, Variable) else None
    return "", "", None


def _globals(function: FunctionFacts) -> set[str]:
    nodes = walk(function.node.body, into=False)
    return {name for node in nodes if isinstance(node, ScopeStmt) and node.word == "global" for name in node.names}


def _is_class_wide(values: Values, scope: Scope) -> bool:
    """Whether what a class body binds is one object for all instances: no field of a model or dataclass."""
    owner = scope.owner
    if not isinstance(owner, ClassFacts):
        return False
    lineage = values.project.lineage(owner)
    bases = [values.catalog.base(name) for name in lineage.libraries]
    return lineage.known and not owner.node.decorators and not any(base is not None and base.pydantic for base in bases)


def _is_dict(variable: Variable) -> bool:
    found = [one.stmt.value for one in variable.bindings if isinstance(one, Assigned)]
    return len(found) == len(variable.bindings) == 1 and isinstance(found[0], Dict | Chain) and not _is_weak(found[0])


def _is_weak(value: Expr) -> bool:
    return "Weak" in last_name(value)


def _asks_first(function: FunctionFacts, stmt: Bind, name: str) -> bool:
    """Whether a test before or around a statement mentions what it fills, or leaves the function where it is filled."""
    tests = [node for node in walk(function.node.body, into=False) if isinstance(node, If) and node.start <= stmt.start]
    parts = [part for node in tests for test, _ in node.branches for part in walk(test)]
    leaves = any(isinstance(body[-1], Return) for node in tests if node.end <= stmt.start for _, body in node.branches)
    return leaves or any(
        (isinstance(part, Name) and part.id == name) or (isinstance(part, Attr) and part.name == name) for part in parts
    )


def _held_by_objects(values: Values, cls: ClassFacts) -> Iterator[Keeper]:
    """An attribute that objects of the class get once: from the constructor, or when it is asked for and not there."""
    for attribute, claims in Owner.of(values, cls).claims.items():
        if any(claim.kind is Kind.UNKNOWN or claim.shared for claim in claims):
            continue
        for claim in claims:
            acquisition = claim.made if isinstance(claim.made, Acquisition) else None
            maker = claim.function
            if (
                acquisition is None
                or not acquisition.resource.loop_bound
                or not _is_kept(maker, claim.place, attribute)
            ):
                continue
            if maker is None or not _is_unpooled_at(maker, claim.place):
                yield Keeper(values, "object", attribute, claim.place, acquisition, claim.place, cls.scope, maker)
                break


def _is_kept(maker: FunctionFacts | None, place: Place, attribute: str) -> bool:
    if maker is None or is_constructor(maker) or "cached_property" in map(last_name, maker.decorators):
        return True
    stmts = (node for node in walk(maker.node.body, into=False) if isinstance(node, Bind) and node.value is not None)
    found = (stmt for stmt in stmts if stmt.value and maker.at(stmt.value.start, stmt.value.end) == place)
    return any(_asks_first(maker, stmt, attribute) for stmt in found)


def _is_unpooled_at(maker: FunctionFacts, place: Place) -> bool:
    nodes = (node for node in walk(maker.node.body, into=False) if isinstance(node, Chain | Await))
    return any(_is_unpooled(node) for node in nodes if maker.at(node.start, node.end) == place)


def _acquired(values: Values, scope: Scope, expr: object) -> Acquisition | None:
    """What a call acquires, where that belongs to a loop and keeps something between two uses."""
    if not isinstance(expr, Chain | Await) or last_call(expr) is None:
        return None
    found = values.acquisition(scope, expr)
    return found if found is not None and found.resource.loop_bound and not _is_unpooled(expr) else None


def _named(values: Values, scope: Scope, expr: Expr | None) -> Acquisition | None:
    """What a local name was given by its one assignment."""
    found = scope.bindings.get(expr.id, ()) if isinstance(expr, Name) and scope.kind == "function" else ()
    only = found[0] if len(found) == 1 else None
    return _acquired(values, scope, only.stmt.value) if isinstance(only, Assigned) else None


def _is_unpooled(expr: Chain | Await) -> bool:
    """Whether its arguments say that no connection waits in it for the next use; SQLite has none that could fail."""
    call = last_call(expr)
    words = [node.keyword for node in walk(expr) if hasattr(node, "keyword") and node.keyword is not None]
    first = call.args[0].value if call is not None and call.args else None
    local = isinstance(first, Const) and isinstance(first.value, str) and first.value.startswith("sqlite")
    return local or any(_UNPOOLED.fullmatch(word) for word in words)


# --- its uses ----------------------------------------------------------------------------------------------------


def _attribute_sites(cls: ClassFacts, names: frozenset[str]) -> Iterator[Site]:
    """Where the methods of a class read one of the attributes of their object."""
    for function in cls.functions:
        for code in _codes_of(function):
            for node in nodes_of(code):
                if isinstance(node, Chain) and attribute_of(prefix(node, 1), function.receiver) in names:
                    yield Site(code, prefix(node, 1), called=False)


def _codes_of(function: FunctionFacts) -> Iterator[Code]:
    yield Code(function.scope, function.origin, function.node.body)
    for bindings in function.scope.bindings.values():
        for one in bindings:
            if isinstance(one, FunctionFacts):
                yield from _codes_of(one)


def _is_of_one_object(values: Values, site: Site) -> bool:
    """Whether a call comes back to the same object: from a method of its own or of what holds it, or by a global.

    A function within a method is the method's own.
    """
    base = site.node.base if isinstance(site.node, Chain) else site.node
    found = site.code.scope.find(base.id) if isinstance(base, Name) else None
    if found is None or not isinstance(base, Name):
        return False
    scope, bindings = found
    if isinstance(bindings[0], FunctionFacts):
        return scope.kind == "function"
    owner = scope.owner
    if isinstance(owner, FunctionFacts):
        return owner.receiver == base.id and not owner.is_classmethod
    return isinstance(values.project.named(site.code.scope, base.id), Variable) and isinstance(site.node, Chain)


def _member(values: Values, scope: Scope, expr: Chain, cls: ClassFacts) -> object:
    """What ``self.name`` or ``cls.name`` stands for in a method of the class."""
    owner = values.of(scope, prefix(expr, len(expr.links) - 1))
    found = getattr(owner, "cls", owner)
    last = expr.links[-1]
    if (
        not isinstance(found, ClassFacts)
        or cls not in values.project.lineage(found).classes
        or not isinstance(last, Attr)
    ):
        return None
    return values.project.class_member(found, last.name)


def _is_entered(site: Site) -> bool:
    """Whether ``async with`` enters the very thing, which closes it in the end."""
    heads = (context for node in nodes_of(site.code) if isinstance(node, With) for context, _ in node.items)
    return any((head.start, head.end) == (site.node.start, site.node.end) for head in heads)


def _is_manager(values: Values, site: Site) -> bool:
    """Whether what is called is a generator that ``with`` runs, not a function that gives the thing."""
    called = callee(site.node)
    target = None if called is None else values.of(site.code.scope, called)
    function = getattr(target, "function", target)
    return isinstance(function, FunctionFacts) and function.is_manager


def _is_blocking(function: FunctionFacts | None) -> bool:
    """Whether it is a public method that is there to be called any number of times."""
    return (
        function is not None
        and function.cls is not None
        and not function.name.startswith("_")
        and not is_start(function)
    )


# --- dicts that are keyed on loops -------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class LoopKeyed:
    """A lasting dict whose keys are event loops: each has an object of its own, and the dict keeps both."""

    box: Container

    @property
    def values(self) -> Values:
        """The project's values."""
        return self.box.values

    @cached_property
    def write(self) -> Use | None:
        """The write that makes a loop a key."""
        return next((use for use in self.box.writes if use.keys and self._is_loop(use) and not use.nested), None)

    def _is_loop(self, use: Use) -> bool:
        key = use.keys[0]
        bound = use.code.scope.bindings.get(key.id, ()) if isinstance(key, Name) else ()
        made = [one.stmt.value for one in bound if isinstance(one, Assigned)] or [key]
        calls = (callee(one) for one in made if one is not None)
        return any(one is not None and self.values.project.resolve(use.code.scope, one) in _LOOPS for one in calls)

    @cached_property
    def resource(self) -> Resource | None:
        """What is kept for each loop, where it has to be released."""
        kept = None if self.write is None else self.box.keeps_value(self.write)
        cls = kept.instance.cls if kept is not None else None
        return self.values.catalog.resource(cls.name) if isinstance(cls, Library) else None

    @cached_property
    def ended(self) -> Ended | None:
        """A loop that ends while the program goes on, and of which nothing on its way takes the entry out."""
        if self.write is None or self.resource is None or self.box.limited:
            return None
        use = Site(self.write.code, self.write.node, called=False)
        found = reaches(self.values, [use], lambda _: True)
        for _, reach in zip(range(_REACHES), found, strict=False):
            if not self._is_taken_out(reach):
                again = runs_again(self.values, reach.run.code, reach.run.call)
                if again is not None:
                    return Ended(reach, again)
        return None

    def _is_taken_out(self, reach: Reach) -> bool:
        """Whether a function on the way removes entries, or mentions one that does."""
        removing = {use.code.function for use in self.box.uses if use.what == "evict"}
        names = {function.name.encode() for function in removing if function is not None}
        return any(
            function in removing or not names.isdisjoint(re.findall(rb"\w+", text_of(function)))
            for function in reach.functions
        )

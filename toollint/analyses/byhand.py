"""Managers that are entered by hand, with `__enter__` or `__aenter__`, and that nothing in sight ever leaves.

Most code that enters by hand leaves in another method: whatever merely may be the exit counts, a closer of the manager
or of what entering gave among them. A local manager is followed as long as nobody else gets it. A class that can be
entered and not left at all is `toollint.analyses.protocols`' subject.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from toollint.analyses.managers import generated_by
from toollint.analyses.once import lives_once, runs_once
from toollint.analyses.protocols import has_method
from toollint.analyses.release import ANYTHING, Held, is_closer, may_be_released_outside, may_release
from toollint.analyses.values import Values
from toollint.analyses.verbs import heirs
from toollint.facts import Assigned, ClassFacts, Code, FunctionFacts, ModuleFacts, code_of
from toollint.model import Place
from toollint.project import Library
from toollint.syntax import (
    Arg,
    Attr,
    Await,
    Bind,
    Call,
    Chain,
    Class,
    Collection,
    Def,
    Delete,
    Dict,
    Expr,
    Lambda,
    Name,
    Return,
    With,
    Yield,
    attribute_of,
    callee,
    is_none,
    last_name,
    prefix,
    walk,
)

_EXITS = {"__enter__": "__exit__", "__aenter__": "__aexit__"}
_WORDS = frozenset(word.encode() for word in _EXITS)
_ENTERS = frozenset({"enter_context", "enter_async_context"})
"""Methods of an exit stack that leave later what they are given."""
_MANAGER = ANYTHING._replace(release="__exit__", others=("__aexit__", "close", "aclose"))
"""What has to be left, in questions that ask for the exit by its name."""


@dataclass(frozen=True, eq=False)
class Entered:
    """A call that enters a manager by hand, and no exit of it.

    ``owner`` is the manager as an expression; ``attribute`` the attribute that keeps it, empty where it is a local name
    or dropped at once (``dropped``).
    """

    values: Values
    code: Code
    function: FunctionFacts
    call: Chain
    owner: Expr
    attribute: str
    dropped: bool

    @classmethod
    def find(cls, values: Values, module: ModuleFacts) -> Iterator[Entered]:
        """The managers of a file that are entered by hand and never left, one for each attribute of a class."""
        if module.is_test or values.project.words(module.path).isdisjoint(_WORDS):
            return
        seen: set[tuple[ClassFacts | None, str]] = set()
        for code in code_of(module, _WORDS):
            function = code.function
            for node in walk(code.block, into=False) if function is not None else ():
                if isinstance(node, Chain) and isinstance(node.links[-1], Call) and last_name(node) in _EXITS:
                    found = _judged(values, code, function, node) if function is not None else None
                    key = (found.function.cls, found.attribute) if found is not None else (None, "")
                    if found is not None and (not found.attribute or key not in seen):
                        seen.add(key)
                        yield found

    @property
    def place(self) -> Place:
        """The call."""
        return self.code.at(self.call.start, self.call.end)

    @property
    def exit(self) -> str:
        """The method that should be called."""
        return _EXITS[last_name(self.call)]

    @property
    def is_async(self) -> bool:
        """Whether it is entered by a coroutine."""
        return last_name(self.call) == "__aenter__"


def _judged(values: Values, code: Code, function: FunctionFacts, call: Chain) -> Entered | None:
    method = callee(call)
    if not isinstance(method, Chain) or not isinstance(method.links[-1], Attr) or len(method.links) < 1:
        return None
    owner = prefix(method, len(method.links) - 1)
    word = method.links[-1].name
    if _is_half(values, function) or _has_no_exit(values, code, owner, word):
        return None
    attribute = attribute_of(owner, function.receiver) or ""
    found = Entered(values, code, function, call, owner, attribute, dropped=isinstance(owner, Chain) and not attribute)
    if attribute:
        lost = function.cls is not None and not _is_left_by_class(values, function.cls, found)
        return found if lost and function.cls is not None and not lives_once(values, function.cls) else None
    if isinstance(owner, Name):
        return found if _is_lost(values, function, owner, call) and not runs_once(values, code) else None
    gives_other = callee(owner) is not None and generated_by(values, code, owner)
    return found if gives_other else None


def _is_half(values: Values, function: FunctionFacts) -> bool:
    """Whether it is done by one half of a manager of which the other half is missing: TL105 has that."""
    exit_ = _EXITS.get(function.name)
    if exit_ is None or function.cls is None:
        return False
    lineage = values.project.lineage(function.cls)
    return lineage.known and not has_method(values, lineage, exit_)


def _has_no_exit(values: Values, code: Code, owner: Expr, word: str) -> bool:
    """Whether the object cannot be left, or leaving it does nothing; a stack's own entering does nothing either."""
    instance = values.instance(code.scope, owner)
    if instance is None:
        return False
    if isinstance(instance.cls, Library):
        row = values.catalog.resource(instance.cls.name)
        return row is not None and row.category == "stack"
    lineage = values.project.lineage(instance.cls)
    if lineage.known and not has_method(values, lineage, _EXITS[word]):
        return True
    leave = values.project.class_member(instance.cls, _EXITS[word])
    return isinstance(leave, FunctionFacts) and not any(isinstance(node, Call | Bind) for node in walk(leave.node.body))


# --- kept by an object -------------------------------------------------------------------------------------------


def _is_left_by_class(values: Values, cls: ClassFacts, found: Entered) -> bool:
    """Whether a method of the class, of its ancestors or heirs, or code elsewhere may leave what an attribute keeps."""
    lineage = values.project.lineage(cls)
    if not lineage.known or not _is_made_here(values, cls, found.attribute):
        return True
    family = [*lineage.classes, *heirs(values, cls)]
    names = {found.attribute, *_given(found)}
    for name in sorted(names):
        held = Held(name, ANYTHING)
        if any(may_release(function, held) for one in family for function in one.functions):
            return True
    return may_be_released_outside(values, cls, Held(found.attribute, _MANAGER))


def _is_made_here(values: Values, cls: ClassFacts, attribute: str) -> bool:
    """Whether the class itself makes what the attribute keeps: what it was given is left by whoever gave it."""
    stores = [stmt.value for _, stmt in values.field_assignments(cls, attribute) if not is_none(stmt.value)]
    calls = [callee(value) for value in stores if value is not None]
    return bool(calls) and all(called is not None and last_name(called) not in _ENTERS for called in calls)


def _given(found: Entered) -> Iterator[str]:
    """The attributes that get what entering gives: closing that may end both."""
    receiver = found.function.receiver
    for node in walk(found.function.node.body, into=False):
        value = node.value if isinstance(node, Bind) else None
        value = value.value if isinstance(value, Await) else value
        if isinstance(node, Bind) and value is found.call:
            for target in node.targets:
                parts = target.items if isinstance(target, Collection) else (target,)
                yield from filter(None, (attribute_of(part, receiver) for part in parts))


# --- kept by a name ----------------------------------------------------------------------------------------------


def _is_lost(values: Values, function: FunctionFacts, name: Name, call: Chain) -> bool:
    """Whether a local manager is never left, and nobody else gets it who might."""
    bindings = function.scope.bindings.get(name.id, ())
    if not bindings or not all(isinstance(one, Assigned) for one in bindings):
        return False
    made = [one.stmt.value for one in bindings if isinstance(one, Assigned) and one.stmt.value is not None]
    if not made or not all(callee(value) is not None for value in made):
        return False
    nodes = [*walk(function.node.body)]
    if any(_lets_go(node, name.id) for node in nodes):
        return False
    result = _result(nodes, call)
    if result and any(_lets_go(node, result) for node in nodes):
        return all(generated_by(values, Code(function.scope, function.origin, ()), value) for value in made)
    return not _gives_back(nodes, call)


def _lets_go(node: object, name: str) -> bool:
    """Whether a node leaves what a name holds, or gives it to somebody who may."""
    if isinstance(node, Chain):
        links = node.links
        own = isinstance(node.base, Name) and node.base.id == name and isinstance(links[0], Attr)
        return own and isinstance(links[0], Attr) and is_closer(links[0].name)
    if isinstance(node, Arg | Return | Yield | Await | Bind):
        return _is_or_holds(node.value, name)
    if isinstance(node, With):
        return any(isinstance(item, Name) and item.id == name for item, _ in node.items)
    if isinstance(node, Delete | Def | Class | Lambda):
        return any(isinstance(part, Name) and part.id == name for part in walk(node))
    return False


def _is_or_holds(expr: Expr | None, name: str) -> bool:
    parts = expr.items if isinstance(expr, Collection) else (expr,)
    parts = tuple(value for _, value in expr.items) if isinstance(expr, Dict) else parts
    return any(isinstance(part, Name) and part.id == name for part in parts)


def _result(nodes: list[object], call: Chain) -> str:
    """The name that gets what entering gives."""
    for node in nodes:
        value = node.value if isinstance(node, Bind) else None
        value = value.value if isinstance(value, Await) else value
        if isinstance(node, Bind) and value is call and isinstance(node.targets[0], Name):
            return node.targets[0].id
    return ""


def _gives_back(nodes: list[object], call: Chain) -> bool:
    """Whether what entering gives is returned or stored: it may be the manager itself."""
    for node in nodes:
        value = node.value if isinstance(node, Return | Yield | Bind | Arg) else None
        value = value.value if isinstance(value, Await) else value
        if value is call and not (isinstance(node, Bind) and isinstance(node.targets[0], Name)):
            return True
    return False

"""Objects that something of their own keeps alive, although their death is to release something.

Two shapes. An owner keeps a helper that stores the owner: dropped, neither is freed before a full collection finds the
cycle, and what a `__del__` or a finalizer of either releases stays open until then. Or a thread that never ends by
itself is given the owner: a running thread is a root, so the death that would end it never comes.

The files that release at an object's death are few, so the search starts there, once for the whole project: a finding
belongs to the file where the owner is stored, which may be another one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, cast

from toollint.analyses.callbacks import FINALIZE
from toollint.analyses.claims import is_constructor
from toollint.analyses.holding import Hold, Thing, hold_of, self_of
from toollint.analyses.once import lives_once
from toollint.analyses.release import is_closer
from toollint.analyses.values import Method, Values
from toollint.analyses.verbs import heirs
from toollint.facts import ClassFacts, Code, FunctionFacts, ModuleFacts, classes_of
from toollint.model import Place
from toollint.project import Library
from toollint.syntax import (
    Attr,
    Bind,
    Block,
    Call,
    Chain,
    Const,
    Delete,
    Expr,
    If,
    Name,
    Return,
    Simple,
    While,
    argument,
    attribute_of,
    callee,
    is_none,
    last_call,
    last_name,
    prefix,
    walk,
)

DEL = "__del__"
_THREAD = Library("threading.Thread")
_ENDS = frozenset({"cancel", "join", "unlink", "rmtree", "free"})
"""Calls that release something, beside the closers."""
_SERVES = frozenset({"run_forever", "serve_forever"})
"""Calls that come back when somebody stops them."""
_STOPPED = re.compile(
    r"_*(?:is_)?(?:stop\w*|shut\w*|clos\w*|exit\w*|quit\w*|running|terminat\w*|cancel\w*|run)"
    r"|\w+_(?:stop(?:ped)?|shutdown|event|flag|running|closed|exit)|is_set|wait",
    re.IGNORECASE,
)
"""What a loop asks that runs until somebody stops it."""


class Late(NamedTuple):
    """What an object of ``cls`` releases when it dies: by its ``__del__``, or by a ``finalizer``."""

    cls: ClassFacts
    how: str
    place: Place


@dataclass(frozen=True, eq=False)
class Entangled:
    """An owner that is held by what it keeps.

    ``place`` is where it is stored, in ``attribute`` of its helper, or given to a thread (then there is no ``helper``).
    ``kept`` is where the owner keeps that, ``loop`` what a thread runs until somebody stops it. ``how`` tells what is
    held: the object as an ``argument``, a ``method`` of it. ``also`` are places where it is given to another thread.
    """

    values: Values
    owner: ClassFacts
    helper: ClassFacts | None
    attribute: str
    place: Place
    kept: Place
    late: Late
    how: str
    loop: Place | None
    also: tuple[Place, ...] = ()

    @classmethod
    def find(cls, values: Values, module: ModuleFacts) -> Iterator[Entangled]:
        """The owners that a file stores in their helpers, or gives to its threads."""
        name = cls.__name__
        if name not in values.noted:
            values.noted[name] = _by_file(values)
        yield from cast("Mapping[str, Sequence[Entangled]]", values.noted[name]).get(module.path, ())


def _by_file(values: Values) -> Mapping[str, Sequence[Entangled]]:
    """Everything in the project, by the file that it belongs to."""
    found: dict[Place, Entangled] = {}
    for late in _dying(values):
        for one in (*_cycles(values, late), *_threads(values, late)):
            found.setdefault(one.place, one)
    by_file: dict[str, list[Entangled]] = {}
    for place in sorted(found):
        by_file.setdefault(place.path, []).append(found[place])
    return by_file


# --- who releases when it dies -----------------------------------------------------------------------------------


def _dying(values: Values) -> Iterator[Late]:
    """The classes of the running program whose objects release something when they die, subclasses too."""
    seen: set[ClassFacts] = set()
    for path in values.project.paths:
        words = values.project.words(path)
        if DEL.encode() not in words and not words.issuperset({b"finalize", b"weakref"}):
            continue
        module = values.project.module_at(path)
        if module is None or module.is_test:
            continue
        for cls in classes_of(module, frozenset({DEL.encode(), b"finalize"})):
            if cls in seen or _late(values, cls) is None:
                continue
            for one in (cls, *heirs(values, cls)):
                late = _late(values, one) if one not in seen and not one.module.is_test else None
                seen.add(one)
                if late is not None:
                    yield late


def _late(values: Values, cls: ClassFacts) -> Late | None:
    """What an object of the class releases when it dies; none where a finalizer keeps it until exit."""
    lineage = values.project.lineage(cls).classes
    functions = (function for one in lineage if _mentions(one, b"finalize") for function in one.functions)
    finalizers = [found for function in functions for found in _finalizers(values, function)]
    if any(holds for _, _, holds in finalizers):
        return None
    method = next((one.methods[DEL] for one in lineage if DEL in one.methods), None)
    if method is not None and _releases(values, method):
        return Late(cls, DEL, method.place)
    places = [place for place, name, _ in finalizers if is_closer(name) or name in _ENDS]
    return Late(cls, "finalizer", places[0]) if places else None


def _mentions(cls: ClassFacts, word: bytes) -> bool:
    """Whether the text of a class has a word: most have not, and are not looked into."""
    return cls.module.utf8.find(word, cls.origin + cls.node.start, cls.origin + cls.node.end) >= 0


def _releases(values: Values, method: FunctionFacts) -> bool:
    """Whether a `__del__` calls something that sounds like a release, and is none that somebody has to await."""
    called = [callee(node) for node in walk(method.node.body) if isinstance(node, Chain)]
    names = [last_name(one) for one in called if one is not None and not _is_coroutine(values, method, one)]
    return any(is_closer(name) or name in _ENDS for name in names) and not any("iscoroutine" in one for one in names)


def _is_coroutine(values: Values, method: FunctionFacts, called: Expr) -> bool:
    found = values.of(method.scope, called)
    return isinstance(found, Method) and found.function.node.is_async


def _finalizers(values: Values, function: FunctionFacts) -> Iterator[tuple[Place, str, bool]]:
    """The finalizers that a method makes of its own object: where, what they call, whether they hold it."""
    thing, code = self_of(function), Code(function.scope, function.origin, ())
    if thing is None:
        return
    for node in walk(function.node.body, into=False):
        call = last_call(node) if isinstance(node, Chain) and last_name(node) == "finalize" else None
        given = [arg.value for arg in call.args] if call is not None else []
        if len(given) < 2 or values.project.resolve(function.scope, callee(node)) != Library(FINALIZE):
            continue
        if isinstance(given[0], Name) and given[0].id == function.receiver:
            holds = hold_of(values, thing, code, given[1:]) is not None
            yield function.at(node.start, node.end), last_name(given[1]), holds


# --- an owner and its helper -------------------------------------------------------------------------------------


def _cycles(values: Values, late: Late) -> Iterator[Entangled]:
    """The cycles of objects of a class and what they keep, or what keeps them."""
    owners = [late.cls]
    name = late.cls.name.encode()
    for module in _files(values, re.compile(rb"\b%b\([^()]*\bself\b" % re.escape(name)), late.cls.name, "self"):
        owners += classes_of(module, frozenset({name}))
    for owner in dict.fromkeys(owners):
        for function, stmt in _assigned(values, owner):
            found = _cycle(values, late, owner, function, stmt)
            if found is not None and not _is_meant(values, found):
                yield found


def _cycle(values: Values, late: Late, owner: ClassFacts, function: FunctionFacts, stmt: Bind) -> Entangled | None:
    """The cycle that a statement makes: it keeps an object that stores the one that it is kept by."""
    thing, code = self_of(function), Code(function.scope, function.origin, ())
    hold = hold_of(values, thing, code, [stmt.value]) if thing is not None and stmt.value is not None else None
    helper = values.of(function.scope, callee(hold.expr)) if hold is not None and hold.how == "helper" else None
    call = last_call(hold.expr) if hold is not None else None
    if thing is None or hold is None or call is None or not isinstance(helper, ClassFacts):
        return None
    if late.cls not in {owner, helper} or (helper is late.cls and any(_started(values, helper))):
        return None  # a thread that holds the helper itself is told where it starts
    kept = {name for target in stmt.targets if (name := attribute_of(target, function.receiver)) is not None}
    stored = _attribute_at(hold)
    if any(_lets_go(values, owner, name) for name in kept) or stored is None or _lets_go(values, helper, stored):
        return None
    given = hold_of(values, thing, code, [arg.value for arg in call.args])
    how = given.how if given is not None else "argument"
    place, loop = function.at(stmt.start, stmt.end), _thread_of(values, helper)
    return Entangled(values, owner, helper, stored, hold.place, place, late, how, loop)


def _attribute_at(hold: Hold) -> str | None:
    """The attribute in which a helper's constructor stores its owner."""
    constructor = hold.function
    for node in walk(constructor.node.body, into=False) if constructor is not None else ():
        if isinstance(node, Bind) and constructor is not None and constructor.at(node.start, node.end) == hold.place:
            return next(filter(None, (attribute_of(target, constructor.receiver) for target in node.targets)), None)
    return None


def _holds_itself(values: Values, owner: ClassFacts) -> bool:
    """Whether an owner keeps a method of its own, or a function that refers to it: it is in a cycle anyway."""
    for function, stmt in _assigned(values, owner):
        thing, code = self_of(function), Code(function.scope, function.origin, ())
        hold = hold_of(values, thing, code, [stmt.value]) if thing is not None and stmt.value is not None else None
        if hold is not None and hold.how in {"method", "lambda", "function", "partial"}:
            return True
    return False


def _files(values: Values, pattern: re.Pattern[bytes], *words: str) -> Iterator[ModuleFacts]:
    """The files of the running program whose text matches; those that lack one of the words are not looked into."""
    project, wanted = values.project, {word.encode() for word in words}
    for path in project.paths:
        if project.words(path).issuperset(wanted) and pattern.search(project.text(path)):
            module = project.module_at(path)
            if module is not None and not module.is_test:
                yield module


def _assigned(values: Values, owner: ClassFacts) -> Iterator[tuple[FunctionFacts, Bind]]:
    for cls in values.project.lineage(owner).classes:
        for found in cls.assignments.values():
            yield from (one for one in found if not one[0].is_classmethod)


def _lets_go(values: Values, cls: ClassFacts, name: str) -> bool:
    """Whether anything sets the attribute to None after the start, or deletes it."""
    word = name.encode()
    family = (one for one in values.project.lineage(cls).classes if _mentions(one, word))
    late = (f for one in family for f in one.functions if not is_constructor(f) and f.name != DEL)
    if any(attribute_of(target, function.receiver) == name for function in late for target in _emptied(function)):
        return True
    emptied = re.compile(rb"\.%b\s*=\s*None\b" % re.escape(word))
    texts = (values.project.text(path) for path in values.project.paths if word in values.project.words(path))
    return any(not text.endswith(b"self", 0, found.start()) for text in texts for found in emptied.finditer(text))


def _emptied(function: FunctionFacts) -> Iterator[Expr]:
    for node in walk(function.node.body):
        if isinstance(node, Delete) or (isinstance(node, Bind) and is_none(node.value)):
            yield from node.targets


def _is_meant(values: Values, found: Entangled) -> bool:
    """Whether it makes no difference: the owner is in another cycle, or the only one of the process."""
    bases = [values.catalog.base(name) for name in values.project.lineage(found.owner).libraries]
    anyway = any(base is not None and base.frees in {"gc", "never"} for base in bases)
    if found.loop is None and (anyway or _holds_itself(values, found.owner)):
        return True
    return lives_once(values, found.owner)


# --- threads -----------------------------------------------------------------------------------------------------


def _threads(values: Values, late: Late) -> Iterator[Entangled]:
    """The threads that a class starts, and that hold its objects while they run."""
    found = [*_started(values, late.cls)]
    if found and not lives_once(values, late.cls):
        place, loop, how = found[0]
        also = tuple(dict.fromkeys(other for other, _, _ in found[1:3]))
        yield Entangled(values, late.cls, None, "", place, place, late, how, loop, also)


def _thread_of(values: Values, helper: ClassFacts) -> Place | None:
    """The loop that keeps objects of a class alive: of a thread that they are, or that they start."""
    lineage = values.project.lineage(helper)
    run = values.project.class_member(helper, "run") if _THREAD.name in lineage.libraries else None
    if isinstance(run, FunctionFacts):
        return _endless(run)
    return next((loop for _, loop, _ in _started(values, helper)), None)


def _started(values: Values, cls: ClassFacts) -> Iterator[tuple[Place, Place, str]]:
    """Each thread that a class makes with its object, the loop that it runs, and how it holds the object."""
    for one in values.project.lineage(cls).classes:
        for function in one.functions if _mentions(one, b"Thread") else ():
            thing = self_of(function)
            if thing is None or function.is_classmethod:
                continue
            for node in walk(function.node.body):
                for index, link in enumerate(node.links if isinstance(node, Chain) else ()):
                    called = prefix(node, index)
                    if isinstance(link, Call) and last_name(called) == "Thread":
                        yield from _given(values, function, thing, called, link)


def _given(
    values: Values, function: FunctionFacts, thing: Thing, called: Expr, call: Call
) -> Iterator[tuple[Place, Place, str]]:
    """The same of one call, where it makes a thread that is given the object."""
    target = argument(call, "target", 1)
    if target is None or values.project.resolve(function.scope, called) != _THREAD:
        return
    run = _function(values, function, target)
    loop = _endless(run) if run is not None else None
    code = Code(function.scope, function.origin, ())
    hold = hold_of(values, thing, code, [arg.value for arg in call.args]) if loop is not None else None
    if hold is not None and loop is not None:
        yield function.at(called.start, call.end), loop, hold.how


def _function(values: Values, function: FunctionFacts, target: Expr) -> FunctionFacts | None:
    found = function.scope.find(target.id) if isinstance(target, Name) else None
    if found is not None and len(found[1]) == 1 and isinstance(found[1][0], FunctionFacts):
        return found[1][0]
    value = values.of(function.scope, target)
    value = value.function if isinstance(value, Method) else value
    return value if isinstance(value, FunctionFacts) else None


def _endless(function: FunctionFacts) -> Place | None:
    """The loop of a function that runs until somebody stops it."""
    for node in walk(function.node.body, into=False):
        if isinstance(node, While) and _is_endless(node):
            return function.at(node.start, node.test.end)
        if isinstance(node, Chain) and callee(node) is not None and last_name(node) in _SERVES:
            return function.at(node.start, node.end)
    return None


def _is_endless(loop: While) -> bool:
    """Whether a loop runs until a flag stops it: it asks for one, or is left for no other reason."""
    if not isinstance(loop.test, Const):
        return _asks_for_a_flag(loop.test)
    left = [test for node in walk(loop.body) if isinstance(node, If) for test, body in node.branches if _leaves(body)]
    return bool(loop.test.value) and (not _leaves(loop.body) or any(map(_asks_for_a_flag, left)))


def _leaves(block: Block) -> bool:
    return any(isinstance(n, Return) or (isinstance(n, Simple) and n.word == "break") for n in walk(block, into=False))


def _asks_for_a_flag(test: Expr) -> bool:
    for node in walk(test):
        name = node.name if isinstance(node, Attr) else node.id if isinstance(node, Name) else ""
        if isinstance(node, Const) and isinstance(node.value, str):
            name = node.value
        if _STOPPED.fullmatch(name):
            return True
    return False

"""Containers of an object that its teardown forgets, or that a lasting object fills for ever.

The author has agreed that the entries have an end: a method takes them out of one container of the object, and leaves
them in its sibling, which is filled under the same key. Where nobody has thought of an end, only objects of which the
process has one, and things that are heavy, are certain enough.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from toollint.analyses.claims import is_constructor
from toollint.analyses.closers import closing_verb
from toollint.analyses.instances import InstanceContainer
from toollint.analyses.kinds import Kept, object_of
from toollint.analyses.uses import VAGUE, Use, key_name
from toollint.analyses.values import Values
from toollint.facts import ClassFacts, FunctionFacts, ModuleFacts, Scope, classes_of
from toollint.model import Place
from toollint.project import Library
from toollint.syntax import Bind, Call, Chain, Delete, Evaluate, Expr, Index, Name, walk

_WRITTEN = re.compile(
    rb"\.\s*(\w+)(?:\[[^\r\n]*\]\s*=(?!=)|(?:\[[^\r\n]*\])?\.(?:append|add|setdefault|insert|appendleft)\()"
)
EVICTED = re.compile(rb"\.\s*(\w+)\.(?:pop|popitem|popleft|clear|remove|discard)\b|\bdel\s[^\r\n]*?\.(\w+)\[")
_ENDS = re.compile(
    r"_*(?:a|async_|on_|handle_|_on_|do_|safe_|maybe_)?_?"
    r"(?:close|disconnect|end|forget|remove|unregister|deregister|unsubscribe|delete|destroy|dispose|drop|clean_?up"
    r"|tear_?down|terminate|kill|purge|evict|expire|reap|prune|log_?out|leave|detach|unload|uninstall|shut_?down|stop)"
    r"(?:_\w+)?|_*(?:on|handle)_\w+_(?:closed?|disconnect(?:ed)?|end(?:ed)?|removed?|deleted|left|gone)"
)
"""A method after which what it is told of is over."""
_STATE = re.compile(
    r"_*(?:open|active|pending|running|waiting|live|current|in_?flight|ongoing|busy|idle|free|available|ready|dirty|queued"
    r"|scheduled|processing|cached?|unfinished|unanswered)(?:_|$)"
)
"""Containers of what is in a state that passes: leaving the state is no end."""


@dataclass(frozen=True, eq=False)
class Forgotten:
    """A container, a write into it that lasts, what that keeps, and the eviction that cleans a sibling only.

    ``key`` is what has to be taken out as the teardown knows it, None where the teardown empties the sibling.
    """

    box: InstanceContainer
    write: Use
    kept: Kept
    teardown: FunctionFacts
    sibling: InstanceContainer
    eviction: Use
    key: Expr | None

    @classmethod
    def find(cls, values: Values, module: ModuleFacts) -> Iterator[Forgotten]:
        """The forgotten containers of a file, tests aside."""
        text = module.utf8
        evicted = {one or other for one, other in EVICTED.findall(text)}
        written = frozenset(_WRITTEN.findall(text)) - evicted
        if module.is_test or not evicted or not written:
            return
        for facts in classes_of(module, written):
            yield from _Family(values, facts, evicted, written).forgotten()

    # --- the way out

    @property
    def removal(self) -> str:
        """What takes the entry out, behind the container."""
        key = self._text(self.key) if self.key is not None else ""
        if not key:
            return ".clear()"
        methods = {"set": "discard({})", "list": "remove({})"}
        return "." + methods.get(self.box.shape, "pop({}, None)").format(key)

    @property
    def receiver(self) -> str:
        """What the teardown calls its object."""
        return self.teardown.receiver or "self"

    @property
    def statement(self) -> Place | None:
        """The whole statement that cleans the sibling and does nothing else; None where it is part of another one."""
        around = [
            node
            for node in walk(self.eviction.code.block, into=False)
            if isinstance(node, Evaluate | Bind | Delete)
            and node.start <= self.eviction.node.start
            and self.eviction.node.end <= node.end
        ]
        plain = len(around) == 1 and self.eviction.code.function is self.teardown
        return self.eviction.code.at(around[0].start, around[0].end) if plain else None

    @property
    def release(self) -> str:
        """The call that ends what is kept, with a place for its name; empty where nothing has to be released."""
        cls = self.kept.instance.cls
        if self.kept.kind == "task":
            return "{}.cancel()"
        if isinstance(cls, Library):
            resource = self.box.values.catalog.resource(cls.name)
            release, awaits = (resource.release, resource.async_) if resource is not None else ("", False)
        else:
            verb = closing_verb(self.box.values, cls)
            release, awaits = (verb.name, verb.is_async) if verb is not None else ("", False)
        return f"{'await ' if awaits else ''}{{}}.{release}()" if release.isidentifier() else ""

    def _text(self, node: Expr) -> str:
        start, end = self.eviction.code.at(node.start, node.end).span
        return self.eviction.code.scope.module.utf8[start:end].decode()


class _Family:
    """The containers of one class: which of them methods fill, and which of them methods empty."""

    def __init__(self, values: Values, cls: ClassFacts, evicted: set[bytes], written: frozenset[bytes]) -> None:
        self.cls = cls
        boxes = [*InstanceContainer.of(values, cls)]
        self.siblings = [box for box in boxes if box.name.encode() in evicted]
        self.candidates = [box for box in boxes if box.name.encode() in written and not box.injectable]

    def forgotten(self) -> Iterator[Forgotten]:
        for box in self.candidates if self.siblings else ():
            found = next(self._missed(box), None)
            if found is not None and found.box.only_grows(found.write):
                yield found

    def _missed(self, box: InstanceContainer) -> Iterator[Forgotten]:
        for write, kept in _filled(box):
            for sibling, eviction, key in self._evictions:
                teardown, function = method_of(eviction), method_of(write)
                fits, item = _same_life(write, sibling, key)
                stays = teardown is None or teardown is function or _is_meant_to_stay(box, teardown, sibling)
                if fits and teardown is not None and not stays:
                    yield Forgotten(box, write, kept, teardown, sibling, eviction, item)

    @cached_property
    def _evictions(self) -> list[tuple[InstanceContainer, Use, Expr | None]]:
        """What the methods that end something take out of which container, under which key."""
        found = []
        for sibling in self.siblings:
            for use in sibling.near:
                function = method_of(use)
                if use.what == "evict" and function is not None and _ENDS.fullmatch(function.name):
                    key = evicted_key(use)
                    if key is not None or use.how in {"clear", "rebind"}:
                        found.append((sibling, use, key))
        return found


def _filled(box: InstanceContainer) -> Iterator[tuple[Use, Kept]]:
    """What methods put into a container, constructors aside, where it stands for something going on."""
    for write in box.near:
        function = method_of(write)
        if write.what == "write" and function is not None and not is_constructor(function):
            kept = thing_in(box, write)
            if kept is not None:
                yield write, kept


def thing_in(box: InstanceContainer, write: Use) -> Kept | None:
    """What a write keeps that stands for something going on: its value, or else its key."""
    found = box.keeps_value(write) or box.keeps_object(write)
    if found is None and box.shape == "set" and write.key is not None:
        found = box.keeps_key(write) or object_of(box.values, box.values.instance(write.code.scope, write.key))
    return found if found is not None and found.kind else None


def _is_meant_to_stay(box: InstanceContainer, teardown: FunctionFacts, sibling: InstanceContainer) -> bool:
    """Whether the teardown looks at the container and leaves it, or the sibling lists what is in a passing state."""
    looks = any(method_of(use) is teardown for use in box.near)
    return looks or _STATE.match(sibling.name) is not None


def _same_life(write: Use, sibling: InstanceContainer, key: Expr | None) -> tuple[bool, Expr | None]:
    """Whether the entries of two containers begin and end together, and what then has to be taken out.

    They do where they are made under one key, and where the teardown is told the very thing that is kept.
    """
    if write.appends or (write.how == "add" and not write.nested):
        item = key.base if isinstance(key, Chain) else key
        together = [one for one in _written_with(write, sibling) if _is_of(one.key, item) or _is_of(one.value, item)]
        return isinstance(item, Name) and _is_of(write.value, item) and bool(together), item
    name = key_name(write.key)
    together = [one for one in _written_with(write, sibling) if one.text == write.text]
    if key is None:
        return bool(together) and write.key is not None, None
    alike = any(one.what == "write" and key_name(one.key) == name for one in sibling.near)
    return bool(name) and key_name(key) == name and (bool(together) or (alike and name not in VAGUE)), key


def _written_with(write: Use, sibling: InstanceContainer) -> Iterator[Use]:
    """What the method that writes puts into the sibling."""
    return (one for one in sibling.near if one.what == "write" and method_of(one) is method_of(write))


def _is_of(expr: Expr | None, item: Expr | None) -> bool:
    """Whether an expression is the item, or an attribute of it."""
    base = expr.base if isinstance(expr, Chain) and not any(isinstance(link, Call) for link in expr.links) else expr
    return isinstance(base, Name) and isinstance(item, Name) and base.id == item.id


def evicted_key(use: Use) -> Expr | None:
    """The key of the whole entry that an eviction takes out."""
    count = len(use.container.links) if isinstance(use.container, Chain) else 0
    rest = use.node.links[count:] if isinstance(use.node, Chain) else ()
    if len(rest) == 1 and isinstance(rest[0], Index) and use.how == "del":
        return rest[0].key
    if len(rest) > 1 and isinstance(rest[1], Call) and use.how in {"pop", "discard", "remove"}:
        args = rest[1].args
        return args[0].value if args and not args[0].stars and args[0].keyword is None else None
    return None


def method_of(use: Use) -> FunctionFacts | None:
    """The method that a use stands in, also in a function inside it."""
    scope: Scope | None = use.code.scope
    found = None
    while scope is not None:
        if isinstance(scope.owner, FunctionFacts):
            found = scope.owner
        scope = scope.parent
    return found

"""Calls that are meant to end the life of an object whose class is known.

A *closing* is ``receiver.verb`` with a verb that ends lives, called or merely mentioned. What the verb means on the
receiver's class is `toollint.analyses.verbs`' part, what the code asks first that of `toollint.analyses.asking`; here
stands what becomes of the value, what is around it, and where the receiver comes from.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from toollint.analyses.release import is_closer
from toollint.analyses.values import Instance, Values
from toollint.analyses.verbs import Verb, verb_of
from toollint.facts import Assigned, ClassFacts, Code, FunctionFacts, ModuleFacts, code_of
from toollint.model import Place, Span
from toollint.project import Library
from toollint.syntax import (
    Attr,
    Await,
    Block,
    Bool,
    Call,
    Chain,
    Evaluate,
    Expr,
    If,
    IfExp,
    Name,
    Try,
    With,
    attribute_of,
    callee,
    is_none,
    prefix,
    walk,
)

_MENTION = re.compile(
    rb"\.\s*(_*(?:a|async_|do_|safe_|try_)?(?:close|shut_?down|disconnect|clean_?up|dispose|terminate|tear_?down|destroy"
    rb"|stop|release|quit|kill|exit|finali[sz]e|logout)\w*)"
)
"""Where a text may mention a closing; `is_closer` has the last word."""
_CONSTRUCTORS = frozenset({"__init__", "__post_init__", "model_post_init"})


@dataclass(frozen=True, eq=False)
class Closing:
    """``receiver.verb`` or ``receiver.verb(...)``, which ``chain`` spells.

    ``wait`` is the ``await`` around it. ``statement`` is the statement that drops its value: by itself, or behind an
    ``and``, ``or`` or ``if``.
    """

    values: Values
    code: Code
    chain: Chain
    receiver: Expr
    verb: str
    call: Call | None
    wait: Await | None
    statement: Evaluate | None

    @classmethod
    def find(cls, values: Values, module: ModuleFacts) -> Iterator[Closing]:
        """Every closing of a file, in source order of the code that it stands in."""
        words = frozenset(word for word in set(_MENTION.findall(module.utf8)) if is_closer(word.decode()))
        for code in code_of(module, words) if words else ():
            if code.block and _MENTION.search(module.utf8, *code.at(code.block[0].start, code.block[-1].end).span):
                yield from _closings(values, code)

    # --- places and words

    @property
    def place(self) -> Place:
        """The verb with its receiver and its call."""
        return self.code.at(self.chain.start, self.chain.end)

    @property
    def verb_place(self) -> Place:
        """The verb alone."""
        end = self.chain.links[-2 if self.call is not None else -1].end
        return self.code.at(end - len(self.verb), end)

    @cached_property
    def name(self) -> str:
        """The receiver as it is written, on one line."""
        if isinstance(self.receiver, Name | Chain):
            return " ".join(self.text(self.receiver).split())
        start = self.code.at(self.chain.start, 0).span.start
        return " ".join(self._slice(Span(start, self.verb_place.span.start)).rstrip(". \t\r\n").split())

    def text(self, node: Expr) -> str:
        """What is written where a node stands."""
        return self._slice(self.code.at(node.start, node.end).span)

    def text_between(self, start: int, end: int) -> str:
        """What is written between two offsets of the code."""
        return self._slice(self.code.at(start, end).span)

    def _slice(self, span: Span) -> str:
        return self.code.scope.module.utf8[span.start : span.end].decode()

    # --- what it means

    @cached_property
    def instance(self) -> Instance | None:
        """The object that is closed, where its class is known."""
        return self.values.instance(self.code.scope, self.receiver)

    @cached_property
    def meaning(self) -> Verb:
        """What the verb means on the receiver's class."""
        return Verb("unknown") if self.instance is None else verb_of(self.values, self.instance, self.verb)

    # --- where it stands

    @property
    def function(self) -> FunctionFacts | None:
        """The function that it runs in."""
        return self.code.function

    @property
    def can_wait(self) -> bool:
        """Whether an ``await`` may stand here."""
        return self.function is not None and self.function.node.is_async

    @property
    def is_whole(self) -> bool:
        """Whether the statement consists of nothing else."""
        value, own = self.statement and self.statement.value, self.wait or self.chain
        return value is not None and (value.start, value.end) == (own.start, own.end)

    @cached_property
    def functions(self) -> tuple[FunctionFacts, ...]:
        """The functions that it stands in, the innermost first; where a class comes between them, those inside it."""
        found: list[FunctionFacts] = []
        scope = self.code.scope
        while isinstance(scope.owner, FunctionFacts) and scope.parent is not None:
            found.append(scope.owner)
            scope = scope.parent
        return tuple(found)

    @property
    def in_del(self) -> bool:
        """Whether it runs when an object is collected."""
        return any(function.name == "__del__" for function in self.functions)

    @property
    def in_final(self) -> bool:
        """Whether it stands in a ``finally``."""
        return any(isinstance(node, Try) and self.is_in(node.final) for node in walk(self.code.block, into=False))

    @cached_property
    def around(self) -> frozenset[str]:
        """The names in the tests, handlers and context managers that it stands under."""
        words: set[str] = set()
        for node in walk(self.code.block, into=False):
            heads: list[Expr | None] = []
            if isinstance(node, If) and node.start <= self.chain.start < node.end:
                heads = [test for test, _ in node.branches]
            elif isinstance(node, With) and self.is_in(node.body):
                heads = [context for context, _ in node.items]
            elif isinstance(node, Try) and self.is_in(node.body):
                heads = [handler.type for handler in node.handlers]
            for part in walk(*heads):
                if isinstance(part, Name | Attr):
                    words.add(part.id if isinstance(part, Name) else part.name)
        return frozenset(words)

    def is_in(self, block: Block) -> bool:
        """Whether it stands in a block."""
        return bool(block) and block[0].start <= self.chain.start < block[-1].end

    @property
    def pattern(self) -> str:
        """A regular expression for the receiver, however it is spaced."""
        return r"\s*".join(map(re.escape, self.name.split()))

    @cached_property
    def surroundings(self) -> str:
        """The text of the outermost function, decorators included; of the file where it stands in none."""
        if not self.functions:
            return self.code.scope.module.utf8.decode()
        function = self.functions[-1]
        start = min([function.node.start, *(decorator.start for decorator in function.decorators)])
        return self._slice(function.at(start, function.node.end).span)

    # --- where the receiver comes from

    @cached_property
    def makers(self) -> tuple[tuple[FunctionFacts | None, Expr], ...]:
        """Each call that constructs the receiver, with the function that it stands in; none where others give it."""
        assigned = [*self._assigned()]
        made = [self._constructs(function, value) for function, value in assigned]
        return tuple(assigned) if all(made) else ()

    def _assigned(self) -> Iterator[tuple[FunctionFacts | None, Expr]]:
        """What is assigned to the receiver, a local name or an attribute of ``self``, None aside."""
        function = self.function
        if isinstance(self.receiver, Name):
            for binding in self.code.scope.bindings.get(self.receiver.id, ()):
                value = binding.stmt.value if isinstance(binding, Assigned) else self.receiver
                if value is not None and not is_none(value):
                    yield function, value
        elif function is not None and function.cls is not None:
            attribute = attribute_of(self.receiver, function.receiver)
            for where, stmt in self.values.field_assignments(function.cls, attribute) if attribute else ():
                if stmt.value is not None and not is_none(stmt.value):
                    yield where, stmt.value

    def _constructs(self, function: FunctionFacts | None, value: Expr) -> bool:
        """Whether an expression is a call of a class, or of something that acquires what the catalogue says."""
        called = callee(value.value if isinstance(value, Await) else value)
        target = self.values.of(self.code.scope if function is None else function.scope, called)
        acquires = isinstance(target, Library) and self.values.catalog.acquisition(target.name) is not None
        return acquires or isinstance(target, ClassFacts)

    @property
    def constructions(self) -> list[Place]:
        """The places of what those calls call."""
        made = [(where, value.value if isinstance(value, Await) else value) for where, value in self.makers]
        called = [(where, callee(value)) for where, value in made]
        return [(where or self.code).at(node.start, node.end) for where, node in called if node is not None]

    @property
    def is_made_here(self) -> bool:
        """Whether the receiver is constructed in the same function, or in the constructor of the object that has it."""
        return bool(self.makers) and all(
            function is self.function or (function is not None and function.name in _CONSTRUCTORS)
            for function, _ in self.makers
        )


def _closings(values: Values, code: Code) -> Iterator[Closing]:
    """The closings in the statements of one scope."""
    waits: dict[int, Await] = {}
    drops: dict[int, Evaluate] = {}
    for node in walk(code.block, into=False):
        if isinstance(node, Await):
            waits[id(node.value)] = node
        elif isinstance(node, Evaluate):
            drops.update((id(part), node) for part in _dropped(node.value))
        elif isinstance(node, Chain):
            for index, link in enumerate(node.links):
                if isinstance(link, Attr) and is_closer(link.name):
                    after = node.links[index + 1] if index + 1 < len(node.links) else None
                    if after is None or isinstance(after, Call):
                        links = node.links[: index + 1 if after is None else index + 2]
                        chain = Chain(node.base, links, node.start, links[-1].end)
                        is_all = chain.end == node.end
                        wait = waits.get(id(node)) if is_all else None
                        drop = drops.get(id(wait or node)) if is_all else None
                        yield Closing(values, code, chain, prefix(node, index), link.name, after, wait, drop)


def _dropped(value: Expr) -> Iterator[Expr]:
    """The expressions of which a statement that is nothing but ``value`` may be left with the result."""
    yield value
    if isinstance(value, Bool):
        yield from _dropped(value.operands[-1])
    elif isinstance(value, IfExp):
        yield from _dropped(value.then)
        yield from _dropped(value.orelse)

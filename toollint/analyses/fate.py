"""What becomes of an object in the function that makes it: whether anything there ends it, or may keep it.

A look without paths, for rules that ask whether an object is *never* ended: names that stand for it, or for something
that goes on needing it (a session of an engine, a path below a directory), are followed through the function and into
the functions of the project that it calls. Whatever is not understood may keep what it is given.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from toollint.analyses.lifetimes.calls import DATA, LOOKS, PASSES, READS, gives_itself, only_tells
from toollint.analyses.release import is_closer
from toollint.analyses.values import Method, Values
from toollint.facts import ClassFacts, Code, FunctionFacts
from toollint.project import Library
from toollint.syntax import (
    Arg,
    Attr,
    Await,
    Binary,
    Bind,
    Bool,
    Call,
    Chain,
    Class,
    Collection,
    Comprehension,
    Def,
    Dict,
    Expr,
    For,
    FString,
    IfExp,
    Lambda,
    Name,
    Other,
    Return,
    Scope,
    Star,
    Walrus,
    With,
    Yield,
    last_name,
    prefix,
    walk,
)

NOTHING, NEEDS, IS = 0, 1, 2
"""What an expression is to the object: unrelated, something that goes on needing it, the object itself."""

Verdict = Literal["borrows", "retains", "ends", "keeps"]
"""What a call does with an argument; ``retains``: as long as its own result lives."""

_DEPTH = 2
"""How many functions deep it is followed what becomes of an argument."""
_KEEPS = re.compile(
    r"(?:add|append|put|submit|push|insert|extend|set|register|store|attach|schedule|create_task|apply_async|run_in"
    r"|callback|defer|enter)\w*"
)
"""Methods that may keep what they are given."""
_READS_OR_WRITES = re.compile(r"(?:to|read)_(?!thread|process)\w+|(?:create|drop)_all|reflect")
"""Methods that go through what they are given and let go of it."""
_WRITES_TO = re.compile(
    r"(?:save|write|dump|export|extract|download|render|savefig|generate)\w*|to_(?!thread|process)\w+"
)
"""Methods that make files under a path that they are given."""
_FAILURE = re.compile(r"\w*(?:Error|Exception|Warning|Exit)")
_ROWS = frozenset(
    {
        *("all", "first", "one", "one_or_none", "scalar", "scalar_one", "scalar_one_or_none", "tolist", "data"),
        *("single", "keys", "values", "items", "count", "add", "delete", "merge", "close", "dispose", "run", "arun"),
    }
)
"""Methods that give plain values, or nothing, however they are called."""
_STARTS = frozenset({"start", "start_soon", "submit", "apply_async", "delay"})
"""Methods that let something go on with what their object was given, when the call is over."""
_TELLS = frozenset({"dialect", "driver", "url"})
"""Attributes that tell what an engine is for, and open nothing."""
_SPELLS = frozenset({"str", "repr", "format"})
_OF_PATHS = frozenset(
    {
        *("read_text", "read_bytes", "write_text", "write_bytes", "exists", "is_file", "is_dir", "stat", "mkdir"),
        *("touch", "chmod", "read", "readlines", "readline", "write", "writelines", "close", "flush", "strip", "split"),
        *("startswith", "endswith", "encode", "count", "lower", "upper", "is_symlink", "samefile"),
    }
)
"""Methods of paths and of files below them that give plain values."""
_COMMON = frozenset({"close", "aclose"})
"""Releases that many things have: of others it is enough that the function mentions them."""
_DELETES = frozenset({"rmtree", "rmdir", "unlink", "cleanup", "remove", "removedirs"})
_REST = (("p",), ("args",))
"""Under which names the catalogue has a last parameter that takes any number of arguments."""
_PLAIN = frozenset({"staticmethod", "classmethod", "override", "final"})


@dataclass
class Fate:
    """What was found: something ends the object, may keep it; what of it is returned; what of it is lent.

    ``lent``: a generator yields something that needs it, and has it back afterwards. ``guessed``: the name of a call
    alone says that it lets go of what it is given. ``used``: something is done with it but to ask what it is. ``names``
    are those that were followed.
    """

    used: bool = False
    ended: bool = False
    kept: bool = False
    returned: int = NOTHING
    lent: bool = False
    guessed: bool = False
    names: dict[str, int] = field(default_factory=dict)


def fate_of(values: Values, code: Code, made: Expr, release: str, *, path: bool = False) -> Fate:
    """What becomes of the object that the call ``made`` gives; ``path``: it is the path of something on the disk."""
    return _Follower(values, code, made, release, path=path, depth=_DEPTH).follow({})


class _Follower:
    """Follows one object through one function."""

    def __init__(  # noqa: PLR0913
        self, values: Values, code: Code, made: Expr | None, release: str, *, path: bool, depth: int
    ) -> None:
        self.values = values
        self.code = code
        self.made = (made.start, made.end) if made is not None else None
        self.release = release
        self.path = path
        self.depth = depth
        self.found = Fate()
        self.verdicts: dict[tuple[int, int], Verdict] = {}

    def follow(self, names: dict[str, int]) -> Fate:
        """The fate of the object, which has these names at first."""
        self.found.names = names
        size = -1
        while size != sum(names.values()):
            size = sum(names.values())
            for name, level in self._bound():
                if level:
                    names[name] = max(names.get(name, NOTHING), level)
        for node in walk(self.code.block, into=False):
            self._look_at(node)
        return self.found

    # --- names

    def _bound(self) -> Iterator[tuple[str, int]]:
        """The names that statements give to the object, or to something that needs it."""
        for node in walk(self.code.block, into=False):
            if isinstance(node, Bind):
                pairs = [(target, self.level(node.value)) for target in node.targets]
            elif isinstance(node, Walrus):
                pairs = [(node.target, self.level(node.value))]
            elif isinstance(node, With):
                pairs = [(target, self.level(context)) for context, target in node.items if target is not None]
            elif isinstance(node, For) and self.path:
                pairs = [(node.target, self.level(node.iter))]
            else:
                continue
            for target, level in pairs:
                if isinstance(target, Name):
                    yield target.id, level
                elif isinstance(target, Collection):
                    yield from ((one.id, min(level, NEEDS)) for one in walk(target) if isinstance(one, Name))

    def level(self, expr: Expr | None) -> int:
        """What the value of an expression is to the object."""
        if isinstance(expr, Name):
            return self.found.names.get(expr.id, NOTHING)
        if isinstance(expr, Chain):
            return self._chain(expr)
        if isinstance(expr, Await | Walrus | Star):
            return self.level(expr.value)
        if isinstance(expr, Bool | IfExp):
            return max(map(self.level, expr.operands if isinstance(expr, Bool) else (expr.then, expr.orelse)))
        return min(NEEDS, max(map(self.level, self._parts(expr)), default=NOTHING))

    def _parts(self, expr: Expr | None) -> list[Expr]:
        """The parts of an expression that its value is made of."""
        parts: list[Expr] = []
        if isinstance(expr, Collection):
            parts = [*expr.items]
        elif isinstance(expr, Dict):
            parts = [value for _, value in expr.items]
        elif isinstance(expr, Other):
            parts = [*expr.children]
        elif isinstance(expr, Comprehension):
            parts = [*expr.elements, *(clause.iter for clause in expr.clauses if self.path)]
        elif isinstance(expr, Lambda):
            parts = [node for node in walk(expr.body) if isinstance(node, Name)]
        elif self.path and isinstance(expr, FString):
            parts = [*expr.parts]
        elif self.path and isinstance(expr, Binary):
            parts = [*expr.operands]
        return parts

    def _chain(self, chain: Chain) -> int:
        level = self.level(chain.base)
        for index, link in enumerate(chain.links):
            if self.made == (chain.start, link.end):
                level = IS
            elif isinstance(link, Call):
                level = self._called(chain, index, level)
            elif isinstance(link, Attr):
                plain = link.name in DATA | _TELLS and not self.path
                level = NOTHING if plain else min(level, NEEDS)
        return level

    def _called(self, chain: Chain, index: int, level: int) -> int:
        """What the result of a call is to the object."""
        link = chain.links[index]
        word = last_name(prefix(chain, index)) if index else ""
        if level:  # a method of it, or of what needs it; or a factory that needs it is called
            plain = word in _OF_PATHS if self.path else bool(word) and (word in _ROWS or not gives_itself(word))
            return NOTHING if plain else NEEDS
        verdicts = [self._verdict(chain, index, arg, position) for position, arg in self._given(link)]
        return NEEDS if "retains" in verdicts else NOTHING

    def _given(self, call: object) -> list[tuple[int, Arg]]:
        """The arguments of a call that hold the object, or something that needs it, with their positions."""
        args = call.args if isinstance(call, Call) else ()
        return [(position, arg) for position, arg in enumerate(args) if self.level(arg.value)]

    # --- what is done with it

    def _look_at(self, node: object) -> None:
        if isinstance(node, Return):
            self.found.returned = max(self.found.returned, self.level(node.value))
        elif isinstance(node, Yield):
            self._yielded(self.level(node.value))
        elif isinstance(node, Bind):
            plain = all(isinstance(target, Name | Collection) for target in node.targets)
            self.found.kept = self.found.kept or (not plain and self.level(node.value) > NOTHING)
        elif isinstance(node, With):
            self.found.ended = self.found.ended or any(self.level(context) == IS for context, _ in node.items)
        elif isinstance(node, Def | Class | Lambda):
            self.found.kept = self.found.kept or self._mentions(node)
        elif isinstance(node, Scope):
            self.found.kept = self.found.kept or not self.found.names.keys().isdisjoint(node.names)
        elif isinstance(node, Chain):
            self._look_at_chain(node)

    def _yielded(self, level: int) -> None:
        self.found.kept = self.found.kept or level == IS
        self.found.lent = self.found.lent or level == NEEDS

    def _mentions(self, node: Def | Class | Lambda) -> bool:
        """Whether a nested function or class may have one of the names from here."""
        own = {param.name for param in node.params} if not isinstance(node, Class) else set()
        held = self.found.names.keys() - own
        return not {part.id for part in walk(node) if isinstance(part, Name)}.isdisjoint(held)

    def _look_at_chain(self, chain: Chain) -> None:
        for index, link in enumerate(chain.links):
            below = prefix(chain, index)
            level = self.level(below)
            tells = isinstance(link, Attr) and link.name in DATA | _TELLS
            self.found.used = self.found.used or (level == IS and not tells)
            if isinstance(link, Attr):
                self.found.ended = self.found.ended or self._ends(link.name, below, level)
                self.found.kept = self.found.kept or (level > NOTHING and link.name in _STARTS)
            elif isinstance(link, Call) and not level and self.made != (chain.start, link.end):
                for position, arg in self._given(link):
                    verdict = self._verdict(chain, index, arg, position)
                    self.found.used = self.found.used or self.level(arg.value) == IS
                    self.found.ended = self.found.ended or verdict == "ends"
                    self.found.kept = self.found.kept or verdict == "keeps"

    def _ends(self, word: str, owner: Expr, level: int) -> bool:
        """Whether an attribute of the object, or of what may lead to it, is a way to end the object."""
        if self.path:
            return level > NOTHING and word in _DELETES
        if word == self.release and word not in _COMMON:
            return True
        whole = level == IS or (isinstance(owner, Chain) and isinstance(owner.links[-1], Attr))
        return level > NOTHING and whole and (word == self.release or is_closer(word))

    # --- calls

    def _verdict(self, chain: Chain, index: int, arg: Arg, position: int) -> Verdict:
        """What a call that is no method of the object does with an argument."""
        key = (id(arg), self.level(arg.value))
        known = self.verdicts.get(key)
        if known is None:
            known = self.verdicts[key] = self._judged(chain, index, arg, position)
        return known

    def _judged(self, chain: Chain, index: int, arg: Arg, position: int) -> Verdict:
        called = prefix(chain, index)
        word = last_name(called)
        if (index and only_tells(word)) or _FAILURE.fullmatch(word):
            return "borrows"
        target = self.values.of(self.code.scope, called)
        function = target.function if isinstance(target, Method) else target
        if arg.stars:
            return "keeps"
        if isinstance(function, FunctionFacts):
            return self._by_function(function, arg, position, bound=isinstance(target, Method))
        if isinstance(target, Library):
            return self._by_library(target.name, word, arg, position)
        return self._by_word(word, self.level(arg.value), is_class=isinstance(target, ClassFacts), is_method=index > 0)

    def _by_library(self, name: str, word: str, arg: Arg, position: int) -> Verdict:
        if name == self.release:
            return "ends"
        if name == f"builtins.{word}":
            if self.path and word in _SPELLS | READS:
                return "retains"
            return "borrows" if word in LOOKS | READS else "retains" if word in PASSES | {"open"} else "keeps"
        effect = self.values.catalog.effect(name)
        if effect is None:
            return self._by_word(word, self.level(arg.value), is_class=word[:1].isupper(), is_method=False)
        params, rest = effect.params, effect.params[-1:] if effect.params[-1:] in _REST else ()
        param = arg.keyword or next(iter(params[position : position + 1] or rest), "")
        if param in effect.retains:
            return "retains"
        return "borrows" if param in effect.borrows else "keeps"

    def _by_word(self, word: str, level: int, *, is_class: bool, is_method: bool) -> Verdict:
        """What a call of something unknown does: one of a path, or of the object itself, may do anything."""
        if self.path:
            self.found.guessed = True
            return "borrows" if is_method and _WRITES_TO.fullmatch(word) else "keeps"
        if _READS_OR_WRITES.fullmatch(word):
            return "borrows"
        if level == IS or (_KEEPS.fullmatch(word) and not is_class):
            return "keeps"
        return "retains"

    def _by_function(self, function: FunctionFacts, arg: Arg, position: int, *, bound: bool) -> Verdict:
        """What a function of the project does with its parameter."""
        names = [param.name for param in function.node.params if param.kind in {"positional", "plain", "keyword"}]
        names = names[1:] if bound and not function.is_static else names
        name = arg.keyword or (names[position] if position < len(names) else "")
        plain = not function.is_generator and {last_name(one) for one in function.decorators} <= _PLAIN
        if not self.depth or name not in names or not plain:
            return "keeps"
        code = Code(function.scope, function.origin, function.node.body)
        below = _Follower(self.values, code, None, self.release, path=self.path, depth=self.depth - 1)
        found = below.follow({name: self.level(arg.value)})
        self.found.guessed = self.found.guessed or found.guessed
        return "ends" if found.ended else "keeps" if found.kept else "retains" if found.returned else "borrows"

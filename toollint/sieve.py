"""Which identifiers can mean a thing of the catalogue in a file: what need not be looked into is never translated.

Derived from the catalogue and from the text of imports alone, before anything is parsed: a library's names where the
file mentions the library, whatever it imports from project files that lead there, and other names given to either. The
answer may hold too much, never too little.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from toollint.lower import absolute
from toollint.project import Project
from toollint.source import identifiers

_FROM = re.compile(
    rb"^[ \t]*(?:try:[ \t]*)?from[ \t]+(?P<dots>\.*)[ \t]*(?P<module>[\w.]*)[ \t]+import[ \t]*"
    rb"(?P<names>\([^)]*\)|(?:[^\r\n#\\]|\\\r?\n)+)",
    re.MULTILINE,
)
_PLAIN = re.compile(rb"^[ \t]*import[ \t]+(?P<names>[^\r\n#]+)", re.MULTILINE)
_ALIAS = re.compile(rb"^[ \t]*(\w+)[ \t]*(?::[^=\r\n]+)?=[ \t]*(?:\w+\.)*(\w+)[ \t]*(?:#.*)?$", re.MULTILINE)
_DEFINITION = re.compile(rb"^(?=def |async def |class |@)", re.MULTILINE)
_HEAD = re.compile(rb"(?:async )?(?P<word>def|class) (?P<name>\w+)")
_BASES = re.compile(rb"class \w+[ \t]*\(([^)]*)\)")
_CALLED = re.compile(rb"\w+(?=[ \t]*\()|(?<=factory=)[\w.]+")
_STORE = re.compile(rb"\][ \t]*=(?!=)|setdefault")
_MADE = re.compile(rb"^(\w+)[ \t]*(?::[^=\r\n]+)?=[ \t]*(?:\w+\.)*(\w+)\(", re.MULTILINE)


class _Import(NamedTuple):
    """``name`` (``*``: all) of a module, bound as ``alias``; ``path`` is its file, empty for a library's.

    ``root`` and ``last`` are the first and the last part of what is imported.
    """

    path: str
    root: bytes
    last: bytes
    name: bytes
    alias: bytes


class Sieve:
    """The identifiers of interest, by file and subject.

    ``acquisition`` and ``memo`` are the catalogue's; ``ownership`` adds the project's own classes and functions that
    acquire, to the fixpoint: what makes an owner may own it. ``handler`` adds classes of the project the same way.
    ``passing`` are the calls that acquire if they are asked to, which may be done by who gives the caller its keywords.
    """

    def __init__(self, project: Project) -> None:
        """Take the project whose imports are followed."""
        self._project = project
        self._triggers = project.catalog.triggers()
        self._found: dict[tuple[str, str], frozenset[bytes]] = {}
        self._imports: dict[str, tuple[_Import, ...]] = {}
        self._aliases: dict[str, list[tuple[bytes, bytes]]] = {}
        self._makers: dict[str, list[tuple[bytes, frozenset[bytes]]]] = {}

    def words(self, path: str, subject: str) -> frozenset[bytes]:
        """The identifiers by which a file can mean something of the subject."""
        if (path, subject) not in self._found:
            self._settle(self._reached(path, subject), subject)
        return self._found[path, subject]

    def _reached(self, path: str, subject: str) -> list[str]:
        """The file and all that its imports lead to, what is imported first; without those that are settled."""
        reached: dict[str, None] = {}
        left = [path]
        while left:
            path = left.pop()
            if path not in reached and (path, subject) not in self._found:
                reached[path] = None
                left += [one.path for one in self._imports_of(path) if one.path]
        return [*reversed(reached)]

    def _settle(self, paths: list[str], subject: str) -> None:
        """Work files out together, until no word is added: imports may lead back to where they came from."""
        for path in paths:
            self._found[path, subject] = self._direct(path, subject)
        changed = True
        while changed:
            changed = False
            for path in paths:
                words = self._followed(path, subject)
                changed = changed or words != self._found[path, subject]
                self._found[path, subject] = words

    def _direct(self, path: str, subject: str) -> frozenset[bytes]:
        mentioned = self._project.words(path)
        owning = subject == "ownership"
        triggers = self._triggers["acquisition" if owning else subject]
        leaves = [
            found for root, found in triggers.items() if root in mentioned or (root == b"builtins" and not owning)
        ]
        renamed = frozenset(
            one.alias
            for one in self._imports_of(path)
            if one.root in triggers and not one.path and one.alias != one.last
        )
        direct = renamed.union(*leaves)
        return direct | self._memoizers(path, direct) if subject == "memo" else direct

    def _memoizers(self, path: str, direct: frozenset[bytes]) -> set[bytes]:
        """What may memoize what it decorates: definitions with an inner function that store, or use a memoizer."""
        text = self._project.text(path)
        found = {name for name, maker in _MADE.findall(text) if maker in direct}
        for block in _DEFINITION.split(text):
            head = re.match(rb"(?:def|class) (\w+)", block)
            stores = _STORE.search(block) or not direct.isdisjoint(identifiers(block))
            if head is not None and block.count(b"def ") > 1 and stores:
                found.add(head[1])
        return found

    def _followed(self, path: str, subject: str) -> frozenset[bytes]:
        """What is known of a file, with what its imports bring in and the other names that it gives to any of it."""
        found = set(self._found[path, subject])
        for one in self._imports_of(path):
            words = self._found[one.path, subject] if one.path else frozenset()
            if one.name == b"*" and words:
                found |= {one.alias, *words}
            elif one.name in words:
                found.add(one.alias)
        follows_makers = subject in {"ownership", "handler"}
        size = -1
        while len(found) != size:
            size = len(found)
            found.update(alias for alias, name in self._aliases_of(path) if name in found)
            if follows_makers and found:
                found.update(name for name, called in self._makers_of(path) if not called.isdisjoint(found))
        return frozenset(found)

    def _makers_of(self, path: str) -> list[tuple[bytes, frozenset[bytes]]]:
        """The top-level classes, and functions that return something, each with what it calls or derives from."""
        if path not in self._makers:
            blocks = _DEFINITION.split(self._project.text(path))
            heads = [(_HEAD.match(block), block) for block in blocks]
            self._makers[path] = [
                (head["name"], _called(block))
                for head, block in heads
                if head is not None and (head["word"] == b"class" or b"return" in block)
            ]
        return self._makers[path]

    def _imports_of(self, path: str) -> tuple[_Import, ...]:
        if path not in self._imports:
            self._imports[path] = tuple(self._read_imports(path))
        return self._imports[path]

    def _read_imports(self, path: str) -> Iterator[_Import]:
        text = self._project.text(path)
        for statement in _FROM.finditer(text):
            base = absolute(statement["module"].decode(), len(statement["dots"]), self._project.package_of(path))
            for name, alias in _names(statement["names"]):
                yield self._import(base, name, alias)
                yield self._import(f"{base}.{name.decode()}", b"*", alias)
        for statement in _PLAIN.finditer(text):
            for name, alias in _names(statement["names"]):
                parts = name.decode().split(".")
                for count in range(1, len(parts) + 1):
                    yield self._import(".".join(parts[:count]), b"*", alias.partition(b".")[0])

    def _import(self, module: str, name: bytes, alias: bytes) -> _Import:
        root, last = module.partition(".")[0].encode(), module.rpartition(".")[2].encode() if name == b"*" else name
        return _Import(self._project.path_of(module) or "", root, last, name, alias)

    def _aliases_of(self, path: str) -> list[tuple[bytes, bytes]]:
        if path not in self._aliases:
            self._aliases[path] = _ALIAS.findall(self._project.text(path))
        return self._aliases[path]


def _called(block: bytes) -> frozenset[bytes]:
    """What a definition calls, derives from or names as a default factory."""
    bases = [identifiers(found) for found in _BASES.findall(block)[:1]]
    return frozenset(name.rpartition(b".")[2] for name in _CALLED.findall(block)).union(*bases)


def _names(text: bytes) -> list[tuple[bytes, bytes]]:
    """``a as b, c`` as pairs of a name and what it is bound to."""
    pairs = []
    for part in re.sub(rb"#[^\r\n]*|[()\\]", b" ", text).split(b","):
        words = part.split()
        if words:
            pairs.append((words[0], words[2] if len(words) == 3 and words[1] == b"as" else words[0]))
    return pairs

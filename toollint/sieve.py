"""Which identifiers can mean a thing of the catalogue in a file: what need not be looked into is never translated.

Derived from the catalogue and from the text of imports alone, before anything is parsed: a library's names where the
file mentions the library, whatever it imports from project files that lead there, and other names given to either. The
answer may hold too much, never too little.
"""

from __future__ import annotations

import re

from toollint.lower import absolute
from toollint.project import Project

_FROM = re.compile(
    rb"^[ \t]*(?:try:[ \t]*)?from[ \t]+(?P<dots>\.*)[ \t]*(?P<module>[\w.]*)[ \t]+import[ \t]*"
    rb"(?P<names>\([^)]*\)|(?:[^\r\n#\\]|\\\r?\n)+)",
    re.MULTILINE,
)
_PLAIN = re.compile(rb"^[ \t]*import[ \t]+(?P<names>[^\r\n#]+)", re.MULTILINE)
_ALIAS = re.compile(rb"^[ \t]*(\w+)[ \t]*(?::[^=\r\n]+)?=[ \t]*(?:\w+\.)*(\w+)[ \t]*(?:#.*)?$", re.MULTILINE)
_DEFINITION = re.compile(rb"^(?=def |async def |class |@)", re.MULTILINE)
_NEW_DICT = re.compile(rb"=[ \t]*(?:\{\}|dict\(\)|(?:\w+\.)?OrderedDict\(\))")


class Sieve:
    """The identifiers of interest, by file and subject (``acquisition``, ``memo``, ``kind``)."""

    def __init__(self, project: Project) -> None:
        """Take the project whose imports are followed."""
        self._project = project
        self._triggers = project.catalog.triggers()
        self._found: dict[tuple[str, str], frozenset[bytes]] = {}

    def words(self, path: str, subject: str) -> frozenset[bytes]:
        """The identifiers by which a file can mean something of the subject."""
        key = (path, subject)
        if key not in self._found:
            direct = self._direct(path, subject)
            if subject == "memo":
                direct |= self._memoizers(path)
            self._found[key] = direct  # what a cycle of imports sees
            self._found[key] = self._with_aliases(path, direct | self._imported(path, subject))
        return self._found[key]

    def _direct(self, path: str, subject: str) -> frozenset[bytes]:
        mentioned = self._project.words(path)
        leaves = [found for root, found in self._triggers[subject].items() if root in mentioned or root == b"builtins"]
        return frozenset().union(*leaves)

    def _memoizers(self, path: str) -> set[bytes]:
        """Functions of the file with an inner function and a new dict: they may memoize what they decorate."""
        blocks = _DEFINITION.split(self._project.text(path))
        heads = [
            re.match(rb"def (\w+)", block) for block in blocks if block.count(b"def ") > 1 and _NEW_DICT.search(block)
        ]
        return {head[1] for head in heads if head is not None}

    def _imported(self, path: str, subject: str) -> set[bytes]:
        """Names bound by imports from project files where they mean something, and by ``as`` clauses."""
        found: set[bytes] = set()
        text = self._project.text(path)
        for statement in _FROM.finditer(text):
            base = absolute(statement["module"].decode(), len(statement["dots"]), self._project.package_of(path))
            inner = self._of_module(base, subject)
            for name, alias in _names(statement["names"]):
                found |= self._of_module(f"{base}.{name.decode()}", subject)
                if name == b"*":
                    found |= inner
                elif name in inner:
                    found.add(alias)
        for statement in _PLAIN.finditer(text):
            for name, _ in _names(statement["names"]):
                found |= self._of_module(name.decode(), subject)
        return found

    def _of_module(self, name: str, subject: str) -> frozenset[bytes]:
        path = self._project.path_of(name)
        return frozenset() if path is None else self.words(path, subject)

    def _with_aliases(self, path: str, found: frozenset[bytes]) -> frozenset[bytes]:
        text = self._project.text(path)
        pairs = [(name, alias) for statement in _FROM.finditer(text) for name, alias in _names(statement["names"])]
        pairs += [(target, name) for name, target in _ALIAS.findall(text)]
        names = set(found)
        size = -1
        while len(names) != size:
            size = len(names)
            names.update(alias for name, alias in pairs if name in names)
        return frozenset(names)


def _names(text: bytes) -> list[tuple[bytes, bytes]]:
    """``a as b, c`` as pairs of a name and what it is bound to."""
    pairs = []
    for part in re.sub(rb"#[^\r\n]*|[()\\]", b" ", text).split(b","):
        words = part.split()
        if words:
            pairs.append((words[0], words[2] if len(words) == 3 and words[1] == b"as" else words[0]))
    return pairs

"""Declarations and recipes that several rules offer."""

from toollint.analyses.retention import Container
from toollint.model import Place
from toollint.syntax import Dict, Name, last_call, last_name, subscripted

BOUNDED = """\
from cachetools import LRUCache

{name} = LRUCache(maxsize=256)  # bounded; what the entries hold is closed by the application's lifespan
"""

_MAPPINGS = {"dict", "Dict"}


def weak_declaration(box: Container, weak: str) -> list[tuple[Place, str]] | None:
    """The replacements that make a container a weak dict; None where its declaration or a use does not allow it."""
    value = box.stmt.value
    empty = isinstance(value, Dict) and not value.items
    call = last_call(value)
    empty = empty or (call is not None and not call.args and value is not None and last_name(value) == "dict")
    if not empty or value is None or not all(use.what in {"read", "write"} and use.how in _PLAIN for use in box.uses):
        return None
    changes = [(box.at(value), f"weakref.{weak}()")]
    if box.stmt.annotation is not None:
        head, arguments = subscripted(box.stmt.annotation)
        if not isinstance(head, Name) or (
            (head.start, head.end) == (box.stmt.annotation.start, box.stmt.annotation.end) and arguments
        ):
            return None
        if last_name(head) in _MAPPINGS:
            changes.insert(0, (box.at(head), f"weakref.{weak}"))
    return changes


_PLAIN = frozenset({"[]", "get", "setdefault", "bare", "pop"})

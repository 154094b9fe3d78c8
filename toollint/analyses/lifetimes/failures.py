"""Which handler catches which failure.

A failure has a kind: ``any`` ordinary exception (``any!KeyError``: but that one), ``own`` (a method of the resource
failed: whoever writes a handler around it knows what it raises), ``cancel`` (an awaiting task is cancelled), ``exit``
(a generator is closed), or the name of the class that is raised.
"""

from __future__ import annotations

import builtins
import re

from toollint.syntax import Collection, Expr, last_name

YES, MAYBE, NO = "yes", "maybe", "no"
ANY = "any"
_CLASS = re.compile(r"_*[A-Z]\w*|error|timeout|herror|gaierror")
_MISTAKES = frozenset(
    {
        "AttributeError",
        "KeyError",
        "IndexError",
        "LookupError",
        "NameError",
        "TypeError",
        "ImportError",
        "StopIteration",
    }
    | {"AssertionError", "NotImplementedError", "ModuleNotFoundError"}
)
"""What a resource's own methods do not raise when they fail."""
_OUTSIDE = {"cancel": "CancelledError", "exit": "GeneratorExit"}


def is_class(name: str) -> bool:
    """Whether a name is written as an exception's class is: `OSError`, and `error` of `socket`."""
    return _CLASS.fullmatch(name) is not None


def is_base(kind: str) -> bool:
    """Whether ``except Exception`` lets it through."""
    return kind in _OUTSIDE or not _is_ordinary(kind)


def catches(handled: Expr | None, kind: str) -> str:
    """Whether a handler for a type, or a tuple of types, catches a failure of a kind."""
    if handled is None:
        return YES
    if isinstance(handled, Collection):
        verdicts = {catches(item, kind) for item in handled.items}
        return YES if YES in verdicts else MAYBE if MAYBE in verdicts else NO
    return _by_name(last_name(handled), kind)


def divided(handled: Expr | None, kind: str) -> tuple[str, str]:
    """What a handler that may catch a failure has then caught, and what is left for the next one."""
    names = [last_name(one) for one in (handled.items if isinstance(handled, Collection) else (handled,)) if one]
    if not kind.startswith(ANY):
        return kind, kind
    return (names[0] if len(names) == 1 else ANY), "!".join((kind, *names))


def _by_name(name: str, kind: str) -> str:
    if name == "BaseException" or not is_class(name):
        return YES
    if kind in _OUTSIDE:
        return YES if name == _OUTSIDE[kind] else NO
    if name == "Exception":
        return YES if _is_ordinary(kind) else NO
    if kind == "own":
        return NO if name in _OUTSIDE.values() or name in _MISTAKES else YES
    if kind.startswith(ANY):
        known = name in _OUTSIDE.values() or name in kind.split("!") or not _is_ordinary(name)
        return NO if known else MAYBE
    return _among_classes(name, kind)


def _among_classes(name: str, kind: str) -> str:
    """Whether an exception of one named class is one of another: certain for the builtins, and for equal names."""
    handled, raised = (getattr(builtins, one, None) for one in (name, kind))
    if name == kind:
        return YES
    if isinstance(handled, type) and isinstance(raised, type):
        return YES if issubclass(raised, handled) else NO
    if name.islower() and raised is None:
        return NO  # a project's own class is no `socket.gaierror`
    return MAYBE


def _is_ordinary(kind: str) -> bool:
    """Whether it is an `Exception`, as all classes are that are not known to be something else."""
    found = getattr(builtins, kind, Exception)
    return not (isinstance(found, type) and issubclass(found, BaseException)) or issubclass(found, Exception)

"""Something is held weakly that nobody else holds: it is gone before anybody can ask for it.

## Why
A weak reference keeps nothing alive. `self.on_event` makes a new method object each time that it is read, so a
`WeakSet` of methods is always empty and no handler is ever called; a lambda, a partial, or an object that is made in
the very statement that stores it goes the same way (cpython#120466, axiom#33). Nothing fails: events are silently lost,
and a cache never hits.

## Bad
```python
import weakref


class Bus:
    def __init__(self) -> None:
        self.handlers = weakref.WeakSet()


class Listener:
    def __init__(self, bus: Bus) -> None:
        bus.handlers.add(self.on_event)

    def on_event(self, event: str) -> None:
        print(event)
```

## Good
```python
import weakref


class Bus:
    def __init__(self) -> None:
        self.handlers: list[weakref.WeakMethod] = []


class Listener:
    def __init__(self, bus: Bus) -> None:
        bus.handlers.append(weakref.WeakMethod(self.on_event))

    def on_event(self, event: str) -> None:
        print(event)
```

## Fix
Shown, not applied: `weakref.WeakMethod` for methods; for everything else somebody has to own the object first, and only
the program's author knows who.

## Not reported
Objects that the statement also gives to somebody (`x = d[k] = X()`, `return d.setdefault(k, X())`); names, other than
one that is used nowhere else and dies with the statement's function; attributes, properties, static and class methods,
methods under decorators that are not known; classes whose objects may be held as soon as they are made: because the
constructor gives `self` away, because of a decorator, a metaclass, `__new__`, or a base that is not known; what other
functions give; tests, which often want to see an object go.
"""

from collections.abc import Iterator

from toollint.analyses.temporaries import Temporary, temporary
from toollint.analyses.weakly import Weakly
from toollint.model import Finding, Note, Repair, Role, Safety, Severity, rule

_NOTES = {
    "method": "each `{name}` makes a new method object, which dies with this statement",
    "object": "the new `{name}` dies with this statement, and its entry with it",
    "lambda": "the lambda dies with the statement that makes it",
    "partial": "the partial dies with the statement that makes it",
    "function": "`{name}` dies when the function around it returns",
}
_METHODS = """\
{holder}: list[weakref.WeakMethod] = []
{holder}.append(weakref.WeakMethod({name}))
for reference in {holder}:
    method = reference()  # None when its object has died: drop the reference then
"""
_OWNED = """\
self.{attribute} = {text}  # somebody has to hold it, for as long as it is wanted
"""


@rule("TL305", "weak-container-holds-temporary", subject=Weakly, severity=Severity.ERROR, fix=Safety.DISPLAY)
def check(weakly: Weakly) -> Iterator[Finding]:
    """Report a weak hold of something that nobody else holds."""
    made = temporary(weakly)
    if made is None:
        return
    yield Finding(
        weakly.place,
        _message(weakly, made),
        label="empty again at once" if weakly.box is not None else "dead at once",
        related=[*_related(weakly, made)],
        notes=[_NOTES[made.kind].format(name=made.name)],
        help=_help(made),
        fixes=[_repair(weakly, made)],
    )


def _message(weakly: Weakly, made: Temporary) -> str:
    name = f"`{made.name}()`" if made.kind == "object" else f"`{made.name}`"
    return f"`{weakly.text(weakly.holder)}` holds {name} weakly and nobody else does: it is gone at once"


def _related(weakly: Weakly, made: Temporary) -> Iterator[Note]:
    if weakly.box is not None:
        yield Note(weakly.box.place, "the weak container", Role.STORED)
    if made.place is not None:
        yield Note(made.place, "the method" if made.kind == "method" else "what is made", Role.ACQUIRED)


def _help(made: Temporary) -> str:
    if made.kind == "method":
        return f"use `weakref.WeakMethod({made.name})`, which lives as long as the object of the method"
    if made.kind == "object":
        return "give it to the object that owns it first, and hold that one weakly"
    return "hold it strongly, and remove it when it is no longer wanted"


def _repair(weakly: Weakly, made: Temporary) -> Repair:
    if made.kind == "method" and weakly.box is not None:
        recipe = _METHODS.format(holder=weakly.text(weakly.holder), name=made.name)
        return Repair("hold the methods by `WeakMethod`", Safety.DISPLAY, recipe=recipe)
    if made.kind == "method":
        return Repair("use `WeakMethod`", Safety.DISPLAY, recipe=f"weakref.WeakMethod({made.name})\n")
    attribute = "owned" if made.kind == "object" else "callback"
    recipe = _OWNED.format(attribute=attribute, text=weakly.text(weakly.held))
    return Repair("let somebody own it", Safety.DISPLAY, recipe=recipe)

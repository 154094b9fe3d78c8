"""A lasting container is keyed on `id()`: when the object dies, its number goes to another, and the entry with it.

## Why
`id()` is unique only among objects that live at the same time; CPython gives the address of a dead object to the next
one, often at once. An entry that outlives its object therefore answers for a stranger: a new engine looks configured
and is not, a graph gets another graph's compiled form, an agent meets another agent's open circuit breaker. And it is
never taken out, since the object that would know its key is gone (openai-agents-python#4210, splink#2589, wandb#1729,
hypothesis#1607, spack#7675).

## Bad
```python
from sqlalchemy.engine import Engine

_CONFIGURED: set[int] = set()


def configure(engine: Engine) -> None:
    if id(engine) not in _CONFIGURED:
        _CONFIGURED.add(id(engine))
        engine.dispose()
```

## Good
```python
import weakref

from sqlalchemy.engine import Engine

_CONFIGURED: set[int] = set()


def configure(engine: Engine) -> None:
    if id(engine) not in _CONFIGURED:
        _CONFIGURED.add(id(engine))
        weakref.finalize(engine, _CONFIGURED.discard, id(engine))
        engine.dispose()
```

## Fix
Shown, not applied: a finalizer that takes the entry out with its object, or a container that holds the objects weakly.
Which one the object allows, only its author can say.

## Not reported
Entries that hold their object, may hold it, or hold a weak reference to it; objects that the same function puts
somewhere else too; objects with a finalizer; containers that anything in the project removes from, clears, rebinds,
passes on or returns; bounded and weak containers; local sets and memo parameters; containers of an object that is not
the only one of its class, which mostly owns what it files (a client, session, agent or tool that a caller brings and
the method gives to nobody is reported); classes, functions, modules, code objects and objects of which the process has
one; writes at import time; tests.
"""

from collections.abc import Iterator

from toollint.analyses.identity import IdKey
from toollint.model import Finding, Hop, Note, Repair, Role, Safety, Severity, rule

_FINALIZER = """\
weakref.finalize({subject}, {container}.{remove}, {key})  # the entry goes with its object
"""


@rule("TL304", "id-of-object-as-cache-key", subject=IdKey, severity=Severity.WARNING, fix=Safety.DISPLAY)
def check(key: IdKey) -> Iterator[Finding]:
    """Report an entry under the number of an object that may die before the entry."""
    if key.is_right:
        return
    box, subject = key.box, key.text
    yield Finding(
        key.place,
        f"`id({subject})` is reused after the object dies: `{box.name}` can answer for another",
        label="stays when the object goes",
        related=[Note(box.place, f"{box.level}-level {box.shape}", Role.KEPT_BY)],
        chain=[Hop(f"{box.level}-level {box.shape} `{box.name}`", box.place), Hop("the entry", key.place)],
        notes=["nothing takes the entry out or keeps the object alive: the next object at that address inherits it"],
        help="take the entry out with the object by `weakref.finalize`, or key on something that is not reused",
        fixes=[Repair("let the entry go with its object", Safety.DISPLAY, recipe=_recipe(key))],
    )


def _recipe(key: IdKey) -> str:
    remove = {"dict": "pop", "set": "discard", "list": "remove"}[key.box.shape]
    written = f"{key.key_text}, None" if remove == "pop" else key.key_text
    return _FINALIZER.format(subject=key.text, container=key.container_text, remove=remove, key=written)

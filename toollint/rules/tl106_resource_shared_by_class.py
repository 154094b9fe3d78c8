"""A resource is made once, while a module is imported, and used as if every instance or call had its own.

## Why
A class body and the defaults of parameters are evaluated once, at import. A connection opened there is opened by
whoever imports the module, needed or not, and all instances talk over it; a client made there is closed for all by the
first one that closes it, and gets the headers and credentials of whoever came last. Clients of two accounts used one
static session, so that both sent the key of one (gw2-api-interface#4), and a configuration model shared one
`AsyncClient` among all its objects until it got a `default_factory` (square#590). In a pydantic model the default of a
private attribute is copied for each instance: connections and clients of sqlite3, httpx, redis, pymongo and SQLAlchemy
refuse that with `TypeError`, and a `requests.Session` becomes one unclosed copy for each instance (measured with
pydantic 2.14). ruff's B008 and RUF009 report every call in a default, whatever it makes; this rule speaks of resources
only, and of what is wrong with them.

## Bad
```python
import requests


class Tracker:
    session = requests.Session()

    def __init__(self, token: str) -> None:
        self.session.headers["Authorization"] = f"Bearer {token}"

    def issues(self) -> object:
        return self.session.get("https://tracker/issues", timeout=10).json()
```

## Good
```python
import requests


class Tracker:
    def __init__(self, session: requests.Session, token: str) -> None:
        self.session = session
        self.headers = {"Authorization": f"Bearer {token}"}

    def issues(self) -> object:
        return self.session.get("https://tracker/issues", headers=self.headers, timeout=10).json()
```

## Fix
All of them unsafe, since each instance or call then acquires. A field or private attribute gets a `default_factory`,
and the class a closer where it has none. A parameter that is closed by who was given it gets None as its default, and
is acquired in the function. A class attribute that every instance replaces is emptied. Only shown otherwise: moving a
plain class attribute into a constructor, a default that nothing ever closes, a call that uses names of the class body.

## Not reported
What is shared by design: names in capitals or with `shared`, `pool`, `default` and the like, `ClassVar`, `Final`,
enums, attributes used through the class or in the class body, classes of which the process makes one object, parameters
with a leading underscore. What holds nothing before its first use (`requests.Session`, `httpx.Client`, engines), except
as the field of a pydantic model, unless an instance closes it or writes its own data into it. Resources of low weight,
those of medium weight that nobody misuses; files (ruff has SIM115); clients of model providers; what anything in sight
may release; a closer that asks a flag first; classes with a base that is not known; tests; code inside functions.
"""

import re
from collections.abc import Iterator, Mapping

from toollint.analyses.missing_closer import unreleased
from toollint.analyses.ownership import Owned, Owner
from toollint.analyses.shared import Harm, Shared
from toollint.facts import ClassFacts, FunctionFacts
from toollint.model import (
    AddImport,
    Finding,
    InsertLines,
    Note,
    Place,
    Repair,
    Replace,
    Role,
    Safety,
    Severity,
    Span,
    Step,
    rule,
)
from toollint.syntax import (
    Call,
    Chain,
    Const,
    Evaluate,
    Expr,
    Name,
    callee,
    is_none,
    last_name,
    prefix,
    subscripted,
    walk,
)

_KEYWORD = re.compile(rb"default[ \t]*=[ \t]*\Z")
"""What stands before the default that a field function is given by keyword."""


@rule("TL106", "resource-shared-by-class", subject=Shared, severity=Severity.WARNING, fix=Safety.UNSAFE)
def check(shared: Shared) -> Iterator[Finding]:
    """Report a resource of a class body or a default that sharing is wrong for."""
    harm = shared.harm
    if harm is not None:
        yield Finding(
            shared.place,
            _message(shared, harm),
            label="made once, at import",
            related=[*_related(harm)],
            notes=[_note(shared, harm)],
            help=_help(shared, harm),
            fixes=[_repair(shared, harm)],
        )


# --- words -------------------------------------------------------------------------------------------------------


def _message(shared: Shared, harm: Harm) -> str:
    type_, call = shared.acquisition.resource.name.rpartition(".")[2], _short(shared)
    cls = shared.cls.name if shared.cls is not None else ""
    where = f"{shared.home.name}.{shared.name}"
    if shared.kind == "default" and harm.what == "opened":
        maker = cls if shared.home.name == "__init__" else shared.home.name
        return f"`{maker}` opens `{call}` at import, as the default of `{shared.name}`"
    if harm.use is not None and harm.what == "closed":
        if harm.use.method is None:
            return f"`{shared.home.name}` closes the one `{type_}` that is the default of `{shared.name}`"
        return f"`{harm.use.method.name}` of one `{cls}` closes the `{type_}` that all of them share"
    return {
        "opened": f"`{where}` opens `{call}` at import, once for all instances",
        "written": f"each `{cls}` writes its own data into the `{type_}` that all of them share",
        "replaced": f"`{where}` opens `{call}` at import, and no instance uses it",
        "copied": f"`{where}` is one `{type_}` made at import, which pydantic has to copy",
        "field": f"`{where}` is one `{type_}` made at import, and all instances share it",
    }[harm.what]


def _short(shared: Shared) -> str:
    """The acquiring call: a class by its name, a function with the module or class that it belongs to."""
    *_, owner, name = ["", *shared.acquisition.name.split(".")]
    deep = shared.acquisition.name.count(".") > 1
    return name if deep and name[:1].isupper() else f"{owner}.{name}".lstrip(".")


def _note(shared: Shared, harm: Harm) -> str:
    return {
        "opened": f"importing `{shared.home.module.name}` opens it, needed or not, and it stays open until the end",
        "closed": "whoever comes next uses what has been closed: with most resources that raises an error",
        "written": "every instance then works with the data of the last one, credentials included",
        "replaced": "it stays open until the process exits: nothing refers to it but the class",
        "copied": "most resources refuse to be copied, with TypeError; of others each instance holds a copy of its own",
        "field": "who closes it, or binds it to an event loop, does so for every instance that was given no other",
    }[harm.what]


def _help(shared: Shared, harm: Harm) -> str:
    if harm.what == "replaced":
        return "leave the class attribute without a value"
    if shared.kind == "default":
        return "make None the default, and acquire it in the function where none is given"
    if shared.kind in {"field", "private"}:
        return "use `default_factory`, so that each instance has its own"
    if harm.what == "opened":
        return "acquire it in the constructor, or declare it `ClassVar` if all instances are meant to share it"
    return "acquire it in the constructor, so that each instance has its own"


def _related(harm: Harm) -> Iterator[Note]:
    words = {
        "closed": ("closed here, for everybody", Role.CLOSES),
        "written": ("an instance's own data", Role.STORED),
        "replaced": ("every instance replaces it here", Role.STORED),
    }
    if harm.use is not None:
        yield Note(harm.use.place, *words[harm.what])


# --- repairs -----------------------------------------------------------------------------------------------------


def _repair(shared: Shared, harm: Harm) -> Repair:
    if isinstance(shared.home, FunctionFacts):
        return _acquire_in_function(shared, shared.home, harm)
    if harm.what == "replaced":
        steps = (Replace(shared.place, "None"),)
        return Repair("leave it empty", Safety.UNSAFE, steps, "code that reads it from the class gets None")
    if shared.kind == "attribute":
        recipe = f"def __init__(self) -> None:\n    self.{shared.name} = {_text(shared, shared.value)}\n"
        why = "the constructor has to acquire it, and somebody has to release it"
        return Repair("acquire it in the constructor", Safety.DISPLAY, why=why, recipe=recipe)
    return _make_for_each(shared, shared.home, harm)


def _make_for_each(shared: Shared, cls: ClassFacts, harm: Harm) -> Repair:
    """A default factory, and a closer where the class has none that would release what it makes."""
    title = "make one for each instance"
    function = "PrivateAttr" if shared.kind == "private" else "Field" if shared.is_pydantic else "field"
    factory = _factory(shared)
    steps = [_default_factory(shared, function, factory)]
    if shared.whole is shared.value:
        steps.append(AddImport(cls.module.path, "pydantic" if shared.is_pydantic else "dataclasses", function))
    obstacle = _obstacle(shared, cls)
    if not obstacle and harm.what != "closed":
        closer = _closer(shared, cls)
        obstacle = closer.why if closer.safety is Safety.DISPLAY else ""
        steps += closer.steps
    if obstacle:
        recipe = f"{shared.name} = {function}(default_factory={factory})\n"
        return Repair(title, Safety.DISPLAY, why=obstacle, recipe=recipe)
    return Repair(title, Safety.UNSAFE, tuple(steps), why="each instance then acquires one, and has to be closed")


def _default_factory(shared: Shared, function: str, factory: str) -> Step:
    given = f"default_factory={factory}"
    if shared.whole is shared.value:
        return Replace(shared.place, f"{function}({given})")
    path, span = shared.place
    keyword = _KEYWORD.search(shared.home.module.utf8, 0, span.start)
    return Replace(Place(path, Span(keyword.start() if keyword else span.start, span.end)), given)


def _factory(shared: Shared) -> str:
    link = shared.value.links[-1] if isinstance(shared.value, Chain) else None
    if isinstance(shared.value, Chain) and isinstance(link, Call) and not link.args:
        return _text(shared, prefix(shared.value, len(shared.value.links) - 1))
    return f"lambda: {_text(shared, shared.value)}"


def _obstacle(shared: Shared, cls: ClassFacts) -> str:
    """Why the call cannot be made later, empty if it can."""
    if _uses_names(shared.value, cls.scope.bindings):
        return "the call uses names of the class body, which a function does not see"
    words = {last_name(callee(one) or one) for one in cls.node.decorators}
    if not shared.is_pydantic and "dataclass" not in words:
        return "a factory is spelled in another way here"
    return ""


def _closer(shared: Shared, cls: ClassFacts) -> Repair:
    """The closer that the class needs once each instance has its own."""
    owner = Owner.of(shared.values, cls)
    if owner.closers:
        return Repair("", Safety.DISPLAY, why=f"`{owner.closers[0]}` has to release it then")
    owned = Owned(
        shared.name, shared.acquisition, shared.place, always=True, declared=True, injectable=shared.kind == "field"
    )
    return unreleased(owner, [owned], owner.component).fixes[0]


def _acquire_in_function(shared: Shared, function: FunctionFacts, harm: Harm) -> Repair:
    """None as the default, and ``if name is None: name = ...`` as the first statement."""
    title = "acquire it in the function"
    lines = (f"if {shared.name} is None:", f"    {shared.name} = {_text(shared, shared.value)}")
    obstacle = _obstacle_in_function(shared, function, harm)
    if obstacle:
        return Repair(title, Safety.DISPLAY, why=obstacle, recipe="\n".join(lines) + "\n")
    body = function.node.body
    first = body[1] if _is_docstring(body[0]) and len(body) > 1 else body[0]
    steps: list[Step] = [
        Replace(shared.place, "None"),
        *_optional(shared, function),
        InsertLines(function.at(first.start, first.end), lines, below=_is_docstring(first)),
    ]
    return Repair(title, Safety.UNSAFE, tuple(steps), why="each call then acquires one where none is given")


def _obstacle_in_function(shared: Shared, function: FunctionFacts, harm: Harm) -> str:
    if harm.what != "closed":
        return "nothing would close what each call acquires"
    if "\n" in _text(shared, shared.value) or "\r" in _text(shared, shared.value):
        return "the call spans several lines"
    meant = {**function.scope.bindings, **(function.cls.scope.bindings if function.cls is not None else {})}
    if _uses_names(shared.value, meant):
        return "the call uses names that mean something else in the function"
    return ""


def _optional(shared: Shared, function: FunctionFacts) -> Iterator[Step]:
    """The annotation with None among what it allows."""
    annotation = next(param.annotation for param in function.node.params if param.name == shared.name)
    if annotation is None or last_name(subscripted(annotation)[0]) in {"Optional", "Any"}:
        return
    if not any(is_none(node) for node in walk(annotation)):
        text = _text(shared, annotation)
        quote = text[-1] if text[-1] in "\"'" else ""
        yield Replace(
            function.at(annotation.start, annotation.end),
            f"{text.removesuffix(quote) if quote else text} | None{quote}",
        )


def _is_docstring(stmt: object) -> bool:
    return isinstance(stmt, Evaluate) and isinstance(stmt.value, Const) and isinstance(stmt.value.value, str)


def _uses_names(expr: Expr, names: Mapping[str, object]) -> bool:
    return any(isinstance(node, Name) and node.id in names for node in walk(expr))


def _text(shared: Shared, expr: Expr) -> str:
    start, end = shared.home.at(expr.start, expr.end).span
    return shared.home.module.utf8[start:end].decode()

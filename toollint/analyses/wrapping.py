"""How a resource is closed whatever happens: in a `with`, or in a `finally`, around exactly what needs it open.

The type's own `with` where that only closes; `closing` or `aclosing` where it does more (a commit), or where there is
none; `finally` for a release of another name, and where a `try` is there already. What was closed on the ordinary way
is closed there still, at the same place; the statements that did it go.
"""

from __future__ import annotations

import re
from typing import NamedTuple, TypeAlias

from toollint.analyses.lifespan import Close, Lifespan, asks_whether_it_is_there, droppable, lifespan
from toollint.analyses.lifetimes import Leak
from toollint.analyses.lifetimes.presumed import CATEGORY as PRESUMED
from toollint.analyses.naming import unnamed
from toollint.analyses.obligation import PROJECT
from toollint.analyses.values import Values
from toollint.catalog import Acquisition, Resource
from toollint.model import AddImport, InsertLines, Place, Repair, Replace, ReplaceLines, Safety, Span, Step, Surround
from toollint.syntax import Attr, Await, Bind, Chain, Expr, Raise, Try, is_name, walk

_WITH = "close it at the end of a `with`"
_FINALLY = "close it in a `finally`"
_AT_ONCE = "close it at once"
_USED_LATER = "whoever goes on using it finds it closed"
_EQUALS = re.compile(r"\s*=\s*(?:await\s+)?")
_TRY = re.compile(rb"try[ \t]*:[ \t]*(?:\r\n|\r|\n)")
_LINES_ABOVE = re.compile(rb"(?P<line>[ \t\f]*(?:#[^\r\n]*)?(?:\r\n|\r|\n))\s*\Z")
_FINALLY_ABOVE = re.compile(rb"(?:\r\n|\r|\n)[ \t]*finally[ \t]*:[ \t]*(?:\r\n|\r|\n)[ \t]*\Z")
_STARTS = frozenset({"start", "open", "initialize", "launch", "setup", "begin", "__enter__", "__aenter__"})
"""Methods that do what entering may do as well."""
_TRANSACTIONS = frozenset({"db", "db-pool", "mq"})
"""Categories whose `with` may do more than close."""
_AFTER_TYPE = re.compile(r"[ \t]*:")
_REST = re.compile(rb"[ \t\f]*(?:\r|\n|\Z)")

_Found: TypeAlias = tuple[str, tuple[Step, ...]]
"""The title of a fix, and its steps."""


class Head(NamedTuple):
    """What makes a ``with`` of ``name = call``: the text before and after the call, and what has to be imported.

    ``takes_call``: an ``await`` in front of the call goes.
    """

    before: str
    after: str = ""
    imports: str = ""
    takes_call: bool = False


def repairs(leak: Leak, values: Values) -> tuple[Repair, ...]:
    """The fix that closes what a function loses; none where none is certain."""
    resource = leak.acquisition.resource
    if resource.evidence == PROJECT and resource.second_close != "ok":
        return ()  # the closer of a class of the project that does more than release: it may wait, or fail
    found = _repair(leak, values) if leak.name else _named(leak, values)
    return () if found is None else (found,)


def _repair(leak: Leak, values: Values) -> Repair | None:
    life = lifespan(leak)
    if life is None or not droppable(life) or (leak.released and not life.closes):
        return None
    if asks_whether_it_is_there(life) and not _is_there(life, values):
        return None
    nested = len(life.closes) > (life.sibling is not None)
    own = _in_its_try(life)
    found = (own if nested else None) or _in_a_wider_try(life)
    if found is None and not _opens_more(life, values):
        found = _in_a_with(life, leak.acquisition)
    found = found or own or _in_a_try(life)
    if found is None:
        return None
    title, steps = found
    why = _doubt(life, leak) or ("" if title == _WITH else "whoever handles a failure meets it closed")
    adds = (leak.function.name,) if leak.function.is_generator else ()
    return Repair(title, Safety.UNSAFE if why else Safety.SAFE, steps, why=why, adds=adds)


def _doubt(life: Lifespan, leak: Leak) -> str:
    """Why closing it may change more than what a failure leaves behind; empty where it does not."""
    if leak.is_definite or life.is_left_early or life.sibling is None:
        return _USED_LATER
    if leak.given:
        return "whoever it is handed to finds it closed after a failure"
    if len(life.closes) > 1 or life.sibling.is_guarded:
        return "it is closed at another place than before"
    if leak.acquisition.resource.category == PRESUMED:
        return "nobody knows what else its close does: it may finish what had better be left undone"
    return ""


# --- a `with` ----------------------------------------------------------------------------------------------------


def _in_a_with(life: Lifespan, acquisition: Acquisition) -> _Found | None:
    """The opening becomes the head of a `with` around what needs the resource."""
    opening, head = life.opening, _head(life, acquisition)
    dropped = _dropped(life, life.closes)
    value = opening.value if isinstance(opening, Bind) else None
    if head is None or dropped is None or not isinstance(opening, Bind) or value is None or not _does_more(life):
        return None
    call = value.value if isinstance(value, Await) else value
    plain = len(opening.targets) == 1 and opening.annotation is None and is_name(opening.targets[0], life.name)
    written = _EQUALS.fullmatch(life.text(opening.targets[0].end, call.start))
    if not plain or not written or not call.end == value.end == opening.end:
        return None
    start = call.start if head.takes_call else value.start
    above = life.at(opening.start, opening.end)
    steps: list[Step] = [
        Replace(life.at(opening.start, start), head.before),
        Replace(life.at(opening.end, opening.end), f"{head.after} as {life.name}:"),
        Surround(life.at(life.region[0].start, life.region[-1].end), (), (), above),
        *dropped,
    ]
    if head.imports:
        steps.append(AddImport(life.function.module.path, "contextlib", head.imports))
    return _WITH, tuple(steps)


def _named(leak: Leak, values: Values) -> Repair | None:
    """What never had a name gets one, in a `with` around the statement that used it."""
    found, resource = unnamed(leak, values), leak.acquisition.resource
    if found is None:
        return None
    place = leak.function.at(found.call.start, found.call.end)
    text = leak.function.module.utf8[slice(*place.span)].decode()
    if resource.with_ == "releases" and _only_closes(resource):
        head = Head("with ")
    elif resource.release == "close" and not resource.async_:
        head = Head("with closing(", ")", "closing")
    else:
        return None
    if found.is_dropped:
        end = Place(place.path, Span(place.span.end, place.span.end))
        steps: tuple[Step, ...] = (Replace(end, ".close()"),)
        return Repair(_AT_ONCE, Safety.UNSAFE, steps, why=_USED_LATER) if resource.release == "close" else None
    if "\n" in text or "\r" in text:
        return None
    line = f"{head.before}{text}{head.after} as {found.name}:"
    around = Surround(leak.function.at(found.stmt.start, found.stmt.end), (line,), ())
    imports = (AddImport(place.path, "contextlib", head.imports),) if head.imports else ()
    return Repair(_WITH, Safety.UNSAFE, (Replace(place, found.name), around, *imports), why=_USED_LATER)


def _head(life: Lifespan, acquisition: Acquisition) -> Head | None:
    """The manager that does what the closes do, or what the catalogue says where there are none."""
    resource = acquisition.resource
    written = {(close.word, close.is_awaited) for close in life.closes} or {(resource.release, resource.async_)}
    if len(written) > 1 or acquisition.element is not None:
        return None
    word, awaited = written.pop()
    is_async = life.function.node.is_async
    own = not _is_started(life) and _only_closes(resource) and word in {resource.release, "close", "aclose"}
    if own and not awaited and word == resource.release and resource.with_ == "releases":
        return Head("with ")
    if own and is_async and resource.async_with == "releases" and (awaited or not life.closes):
        keeps = acquisition.awaited == "yes"
        return Head("async with ", takes_call=not keeps)
    if word == "close" and not awaited:
        return Head("with closing(", ")", "closing")
    if word == "aclose" and awaited and is_async:
        return Head("async with aclosing(", ")", "aclosing")
    return None


def _only_closes(resource: Resource) -> bool:
    """Whether entering gives the resource, and leaving does nothing but close it; of databases somebody has to know."""
    known = resource.with_evidence in {"measured", "source"} or resource.category not in _TRANSACTIONS
    return known and not resource.with_commits and resource.yields == "self"


def _is_there(life: Lifespan, values: Values) -> bool:
    """Whether the catalogue knows the call that opens: it gives no None."""
    made = (node.value for node in walk(life.opening, into=False) if isinstance(node, Bind))
    return any(value is not None and values.acquisition(life.function.scope, value) is not None for value in made)


def _opens_more(life: Lifespan, values: Values) -> bool:
    """Whether the resource gives others that hold something, and that only its own release is seen to end."""
    opened = (
        values.acquisition(life.function.scope, node.value)
        for node in walk(life.region, into=False)
        if isinstance(node, Bind) and node.value is not None and _is_method_of(node.value, life.name)
    )
    return any(one is not None and one.resource.category != "db-cursor" for one in opened)


def _is_method_of(value: Expr, name: str) -> bool:
    call = value.value if isinstance(value, Await) else value
    return isinstance(call, Chain) and is_name(call.base, name)


def _is_started(life: Lifespan) -> bool:
    """Whether a statement starts or opens the resource, as entering it may do again."""
    return any(
        isinstance(node, Chain)
        and is_name(node.base, life.name)
        and isinstance(node.links[0], Attr)
        and (node.links[0].name in _STARTS or (life.resource.async_ and node.links[0].name == "connect"))
        for node in walk(life.region)
    )


# --- a `try` -----------------------------------------------------------------------------------------------------


def _in_a_try(life: Lifespan) -> _Found | None:
    """What needs the resource becomes the body of a `try` with a `finally`."""
    uses = life.region if life.sibling is None else life.region[:-1]
    lines, others = _finally(life), tuple(close for close in life.closes if close is not life.sibling)
    dropped = _dropped(life, others)
    if lines is None or dropped is None or not _does_more(life):
        return None
    above, below = life.at(life.opening.start, life.opening.end), life.at(uses[-1].start, uses[-1].end)
    place = life.at(uses[0].start, uses[-1].end)
    if life.sibling is None:
        return _FINALLY, (Surround(place, ("try:",), lines, above), *dropped)
    close = life.at(life.sibling.stmt.start, life.sibling.stmt.end)
    return _FINALLY, (Surround(place, ("try:",), (), above), Surround(close, ("finally:",), (), below), *dropped)


def _in_its_try(life: Lifespan) -> _Found | None:
    """The `try` right below the opening gets a `finally`."""
    first, others = life.region[0], life.region[1:]
    if not isinstance(first, Try) or first.final or (others and (len(others) > 1 or life.sibling is None)):
        return None
    turned = _handler_into_finally(life, first)
    if turned is not None:
        return _FINALLY, turned
    place, sibling = life.at(first.start, first.end), life.sibling
    lines, dropped = _finally(life), _dropped(life, tuple(one for one in life.closes if one is not sibling))
    if lines is None or dropped is None:
        return None
    if sibling is None:
        return _FINALLY, (*dropped, InsertLines(place, lines, below=True))
    close = Surround(life.at(sibling.stmt.start, sibling.stmt.end), ("finally:",), (), place)
    return _FINALLY, (*dropped, close)


def _handler_into_finally(life: Lifespan, stmt: Try) -> tuple[Step, ...] | None:
    """The only handler, which closes and raises again, becomes the `finally`."""
    handler = stmt.handlers[0] if len(stmt.handlers) == 1 and not stmt.orelse else None
    if handler is None or handler.name is not None or len(handler.body) != 2:
        return None
    close = next((one for one in life.closes if one.stmt is handler.body[0]), None)
    again = handler.body[1]
    if close is None or not isinstance(again, Raise) or again.value is not None:
        return None
    dropped = _dropped(life, tuple(one for one in life.closes if one is not close))
    end = handler.type.end if handler.type is not None else handler.start + len("except")
    if dropped is None or not _AFTER_TYPE.match(life.text(end, handler.body[0].start)):
        return None
    words = Replace(life.at(handler.start, end), "finally")
    return (words, ReplaceLines(life.at(again.start, again.end), ()), *dropped)


def _in_a_wider_try(life: Lifespan) -> _Found | None:
    """The `try` whose `finally` closes the resource, and does nothing else, begins right below the opening."""
    *gap, stmt = life.region
    if not gap or not isinstance(stmt, Try) or stmt.handlers or len(life.closes) != 1 or len(stmt.final) != 1:
        return None
    start, path, utf8 = life.at(stmt.start, stmt.start).span.start, life.function.module.path, life.function.module.utf8
    head, above = _TRY.match(utf8, start), _LINES_ABOVE.match(utf8, life.at(gap[-1].end, gap[-1].end).span.start, start)
    if life.closes[0].stmt is not stmt.final[0] or head is None or above is None:
        return None
    header = Place(path, Span(above.end("line"), head.end()))
    opening = life.at(life.opening.start, life.opening.end)
    return _FINALLY, (
        Surround(life.at(gap[0].start, gap[-1].end), ("try:",), (), opening),
        Replace(header, ""),
    )


def _finally(life: Lifespan) -> tuple[str, ...] | None:
    """The lines of a `finally` that closes the resource as the function does, or as the catalogue says."""
    resource = life.resource
    written = {life.text(close.call.start, close.call.end) for close in life.closes}
    if len(written) > 1 or any("\n" in text or "\r" in text for text in written):
        return None
    if not written and (not resource.release or "." in resource.release):
        return None
    if not written and resource.async_ and not life.function.node.is_async:
        return None
    word = "await " if resource.async_ else ""
    text = written.pop() if written else f"{word}{life.name}.{resource.release}()"
    return ("finally:", f"    {text}")


# --- what goes ---------------------------------------------------------------------------------------------------


def _does_more(life: Lifespan) -> bool:
    """Whether the statements do anything but close."""
    return any(all(close.stmt is not stmt for close in life.closes) for stmt in life.region)


def _dropped(life: Lifespan, closes: tuple[Close, ...]) -> list[Step] | None:
    """The steps that take closes away; None where one cannot go."""
    steps = [_drop(life, close) for close in closes]
    return None if None in steps else [step for step in steps if step is not None]


def _drop(life: Lifespan, close: Close) -> Step | None:
    place, parent = life.at(close.stmt.start, close.stmt.end), close.parent
    if len(close.block) > 1 or parent is None:
        return ReplaceLines(place, ())
    if isinstance(parent, Try) and close.block is parent.final:
        return _without_finally(life, close) if parent.handlers else None
    return ReplaceLines(place, ("pass",)) if isinstance(parent, Try) and close.block is not parent.body else None


def _without_finally(life: Lifespan, close: Close) -> Step | None:
    """A `finally` that does nothing else goes with its close."""
    (start, end), utf8 = life.at(close.stmt.start, close.stmt.end).span, life.function.module.utf8
    above = _FINALLY_ABOVE.search(utf8, max(0, start - 200), start)
    if above is None or not _REST.match(utf8, end):
        return None
    return Replace(Place(life.function.module.path, Span(above.start(), end)), "")

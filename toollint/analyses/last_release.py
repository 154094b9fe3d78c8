"""Whether a call looks like the last thing that is done to an object, and nothing in sight releases the object."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from toollint.analyses.closing import Closing
from toollint.analyses.release import is_closer
from toollint.facts import ClassFacts, FunctionFacts
from toollint.project import Library
from toollint.syntax import (
    Arg,
    Bind,
    Call,
    Chain,
    Delete,
    Expr,
    For,
    If,
    Name,
    Not,
    While,
    Yield,
    attribute_of,
    prefix,
    walk,
)


def is_last_release(closing: Closing, verbs: Iterable[str]) -> bool:
    """Whether the receiver, constructed here, is left for good, and none of the verbs that release it is in sight."""
    return bool(closing.makers) and not is_released(closing, verbs) and _is_left(closing)


# --- released after all ------------------------------------------------------------------------------------------


def is_released(closing: Closing, verbs: Iterable[str]) -> bool:
    """Whether the function, or the class that has the receiver as its attribute, mentions a release of it."""
    verb = rf"\.\s*(?:{'|'.join(map(re.escape, sorted(verbs)))})\b"
    attribute = _attribute(closing)
    texts = [closing.surroundings] if attribute is None else [*_classes(closing)]
    if any(_mentions_release(closing, verb, text) for text in texts):
        return True
    outside = re.compile(rf"\.\s*{attribute}\s*{verb}")
    found = closing.values.project.mentioning(attribute) if attribute else ()
    return any(outside.search(module.utf8.decode()) for module in found)


def _mentions_release(closing: Closing, verb: str, text: str) -> bool:
    """Whether a text enters the receiver, or calls a releasing verb of it, or of anything if it has another name."""
    manager = rf"(?:\bwith|closing\(|enter_(?:async_)?context\()\s*{closing.pattern}(?!\w)"
    taken = rf"(?:[=(,\[{{]|\b(?:return|in|yield|await|or|else))\s*{closing.pattern}(?![\w.])(?!\s*(?:is\b|,\s*[\"']))"
    owner = "" if re.search(taken, text) else rf"(?<![\w.]){closing.pattern}"
    return re.search(rf"{owner}{verb}|{manager}", text) is not None


def _attribute(closing: Closing) -> str | None:
    """The attribute of ``self`` that the receiver is, None for a local name."""
    function = closing.function
    return None if function is None else attribute_of(closing.receiver, function.receiver)


def _classes(closing: Closing) -> Iterator[str]:
    """The text of the class that has the receiver, and of its ancestors in the project."""
    cls = closing.function.cls if closing.function is not None else None
    for ancestor in closing.values.project.lineage(cls).classes if isinstance(cls, ClassFacts) else ():
        start, end = ancestor.at(ancestor.node.start, ancestor.node.end).span
        yield ancestor.module.utf8[start:end].decode()


# --- left for good -----------------------------------------------------------------------------------------------


def _is_left(closing: Closing) -> bool:
    """Whether it stands in a closer or a ``finally``, or nothing comes after it; what gets out is not left."""
    name = closing.receiver.id if isinstance(closing.receiver, Name) else None
    function = closing.function
    if function is None or (name is not None and _gets_out(closing, function, name)):
        return False
    if closing.in_final or any(is_closer(one.name) for one in closing.functions):
        return True
    return name is not None and not _is_in_loop(closing, function) and not _is_used_after(closing, function, name)


def _is_in_loop(closing: Closing, function: FunctionFacts) -> bool:
    loops = (node for node in walk(function.node.body, into=False) if isinstance(node, For | While))
    return any(loop.start <= closing.chain.start < loop.end for loop in loops)


def _is_used_after(closing: Closing, function: FunctionFacts, name: str) -> bool:
    nodes = walk(function.node.body)
    return any(isinstance(node, Name) and node.id == name and node.start >= closing.chain.end for node in nodes)


def _gets_out(closing: Closing, function: FunctionFacts, name: str) -> bool:
    """Whether the object is returned, stored, or given to something that is no library's."""
    lent = {id(node) for nodes in _lent(closing, function) for node in nodes}
    nodes = walk(function.node.body)
    return any(isinstance(node, Name) and node.id == name and id(node) not in lent for node in nodes)


def _lent(closing: Closing, function: FunctionFacts) -> Iterator[Iterable[Expr | None]]:
    """The places where a name may stand without its object getting out."""
    for node in walk(function.node.body):
        if isinstance(node, Chain):
            yield [node.base]
            for index, link in enumerate(node.links):
                if isinstance(link, Call) and _is_library(closing, prefix(node, index)):
                    yield [arg.value for arg in link.args if isinstance(arg, Arg)]
        elif isinstance(node, Bind | Delete):
            yield node.targets
        elif isinstance(node, Yield | Not):
            yield [node.value if isinstance(node, Yield) else node.operand]
        elif isinstance(node, If | While):
            yield [test for test, _ in node.branches] if isinstance(node, If) else [node.test]


def _is_library(closing: Closing, called: Expr) -> bool:
    return isinstance(closing.values.of(closing.code.scope, called), Library)

"""Classes of which a process makes one object, or a few while it is imported: what those keep, they may keep.

Written as a singleton, or made at module level, by `main`, into a global, by a memoized function without arguments, or
in the constructor of such an object. A class that nothing in the project makes is a library's, and made by anybody.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from toollint.analyses.values import Values
from toollint.facts import ClassFacts, Code, FunctionFacts, ModuleFacts, classes_of, code_of
from toollint.project import Library
from toollint.syntax import Attr, Bind, Call, Chain, Expr, Index, Name, Scope, callee, last_name, prefix, walk

_ONE = re.compile(r"_*(?:the_)?(?:instances?|singletons?)_*", re.IGNORECASE)
_GETTER = re.compile(r"_?(?:get_)?_?(?:instance|singleton|shared\w*)")
_MAIN = re.compile(r"_*(?:a|async_)?main|cli")
_STEPS = 4
"""How many callers and owners in a row are followed."""


def lives_once(values: Values, cls: ClassFacts) -> bool:
    """Whether the process has one object of the class, or none that is made after the start."""
    return _is_singleton(values, cls) or _is_made_once(values, cls, _STEPS)


def runs_once(values: Values, code: Code) -> bool:
    """Whether the code runs while its module is imported, or is a function that does its work once."""
    return _runs_once(values, code, _STEPS)


def _is_singleton(values: Values, cls: ClassFacts) -> bool:
    """Whether the class, or an ancestor, is written as one of which there is one object."""
    for ancestor in values.project.lineage(cls).classes:
        getters = (f for f in ancestor.functions if f.is_classmethod or f.is_static)
        words = [last_name(arg.value) for arg in ancestor.node.args]
        words += [last_name(callee(decorator) or decorator) for decorator in ancestor.node.decorators]
        data = (name for name in ancestor.scope.bindings if name not in ancestor.methods)
        maker = ancestor.methods.get("__new__")
        if (
            any(map(_ONE.fullmatch, data))
            or (maker is not None and (leaves_a_mark(values, maker) or _files_away(maker)))
            or any(_GETTER.fullmatch(function.name) for function in getters)
            or any("singleton" in word.lower() for word in words)
        ):
            return True
    return False


def _is_made_once(values: Values, cls: ClassFacts, steps: int) -> bool:
    made = [code for one in heirs_and(values, cls) for code in _calls(values, one)]
    return bool(made) and all(_runs_once(values, code, steps) for code in made)


def heirs_and(values: Values, cls: ClassFacts) -> list[ClassFacts]:
    """The class and its subclasses in the project, tests aside."""
    family = [cls]
    for one in family:  # grows on the way
        for module in _running(values, one.name):
            for heir in classes_of(module, frozenset({one.name.encode()})):
                if heir not in family and one in values.project.lineage(heir).classes[1:]:
                    family.append(heir)
    return family


def _running(values: Values, name: str) -> Iterator[ModuleFacts]:
    """The files of the running program that mention a name."""
    return (module for module in values.project.mentioning(name) if not module.is_test)


def _calls(values: Values, target: ClassFacts | FunctionFacts) -> Iterator[Code]:
    """The code that calls a class or function, once for each call."""
    word = target.name.encode()
    for module in _running(values, target.name):
        aliases = re.findall(rb"\b%b[ \t]+as[ \t]+(\w+)" % re.escape(word), module.utf8)
        names = {target.name, "cls", *(alias.decode() for alias in aliases)}
        for code in code_of(module, frozenset([word, *aliases])):
            for node in walk(code.block, into=False):
                if isinstance(node, Chain):
                    yield from (code for called in _callees(node, names) if values.of(code.scope, called) is target)


def _callees(chain: Chain, names: set[str]) -> Iterator[Expr]:
    for index, link in enumerate(chain.links):
        called = prefix(chain, index)
        if isinstance(link, Call) and last_name(called) in names:
            yield called


# --- code that runs once -----------------------------------------------------------------------------------------


def _runs_once(values: Values, code: Code, steps: int) -> bool:
    """Whether the code runs while its module is imported, or is a function that does its work once."""
    function = code.function
    if function is None or code.scope.module.name.rpartition(".")[2] == "__main__":
        return True
    if _MAIN.fullmatch(function.name) or _is_command(function) or _is_constant(values, function):
        return True
    if leaves_a_mark(values, function):
        return True
    if not steps:
        return False
    if function.cls is not None:
        return function.name == "__init__" and (
            _is_singleton(values, function.cls) or _is_made_once(values, function.cls, steps - 1)
        )
    callers = [*_calls(values, function)]
    return bool(callers) and all(_runs_once(values, caller, steps - 1) for caller in callers)


def _is_command(function: FunctionFacts) -> bool:
    """Whether it is what a command line runs."""
    return any(last_name(callee(one) or one) in {"command", "group"} for one in function.decorators)


def leaves_a_mark(values: Values, function: FunctionFacts) -> bool:
    """Whether a function binds a global or an attribute of a class: the next call finds it and can leave it at that."""
    nodes = [*walk(function.node.body, into=False)]
    marks = {name for node in nodes if isinstance(node, Scope) and node.word == "global" for name in node.names}
    targets = [target for node in nodes if isinstance(node, Bind) for target in node.targets]
    return any(
        target.id in marks if isinstance(target, Name) else _is_class_attribute(values, function, target)
        for target in targets
    )


def _files_away(function: FunctionFacts) -> bool:
    """Whether a function puts something under a key, where the next call finds it."""
    targets = [t for node in walk(function.node.body) if isinstance(node, Bind) for t in node.targets]
    return any(isinstance(target, Chain) and isinstance(target.links[-1], Index) for target in targets)


def _is_class_attribute(values: Values, function: FunctionFacts, target: Expr) -> bool:
    if not isinstance(target, Chain) or not isinstance(target.links[-1], Attr):
        return False
    return isinstance(values.of(function.scope, prefix(target, len(target.links) - 1)), ClassFacts)


def _is_constant(values: Values, function: FunctionFacts) -> bool:
    """Whether it is memoized and has no arguments."""
    makers = [values.project.resolve(function.outer, callee(one) or one) for one in function.decorators]
    memo = any(isinstance(maker, Library) and values.catalog.memoizer(maker.name) is not None for maker in makers)
    return memo and not function.node.params

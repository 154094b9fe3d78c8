"""Event loops that end while the program goes on: where one is started, what it runs, and what that leads to.

`asyncio.run` makes a loop and closes it. Called once, from the program's entry, that is the program's life; called by a
tool, a task or a blocking method it is one loop of many. A use is followed upwards: the functions that it stands in,
those that call these, by name and through the project, as far as a call that runs one of them on a loop of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from toollint.analyses.invoked import invoked, loops_around
from toollint.analyses.values import Method, Values
from toollint.facts import Assigned, Code, Entered, FunctionFacts, ModuleFacts, Scope, code_of
from toollint.lower import blocks
from toollint.model import Place
from toollint.project import Library
from toollint.syntax import (
    Arg,
    Attr,
    Bind,
    Block,
    Call,
    Chain,
    Expr,
    If,
    Lambda,
    Name,
    callee,
    last_name,
    prefix,
    walk,
)

_NEW = frozenset({Library("asyncio.new_event_loop"), Library("asyncio.Runner")})
_MAIN = re.compile(r"_*(?:a|async_|sync_|run_)?(?:main|cli)_*")
_STARTS = re.compile(
    r"_*(?:a|async_)?(?:run|start|serve|launch|entry_?point|execute|app|demo|example|benchmark)(?:_\w+)?"
)
"""Names of functions that the user of a program may call once."""
_SCRIPTS = frozenset({"__main__", "main", "cli", "scripts", "script", "examples", "bin", "commands"})
"""Parts of the names of modules whose functions are commands: each runs in a process of its own."""
_SETTINGS = re.compile(
    r"args|argv|namespace|ctx|context|config\w*|settings|options?|opts|host|port|transport|app|server|debug|log_?level"
    r"|env\w*|coro\w*|awaitable"
)
"""Parameters by which a program is set up, rather than given work; and what a runner runs."""
_PLACES = re.compile(r"(?:\w+_)?(?:path|dir|file|files|folder|url|uri|dsn|name)")
"""Parameters that may be work for a function, and are a setting of one that starts something."""
_COMMANDS = frozenset({"command", "group", "callback"})
_STEPS = 4
"""How many calls on the way from a use to a run are followed."""
_FILES = 40
"""A name that more files mention says nothing about who calls it."""
_FUNCTIONS = 30
"""How many functions are looked for on the ways from one use."""


class Site(NamedTuple):
    """A piece of code that mentions what is looked for, and the expression that does; ``called``: with its call."""

    code: Code
    node: Expr
    called: bool

    @property
    def place(self) -> Place:
        """The expression."""
        return self.code.at(self.node.start, self.node.end)


class Run(NamedTuple):
    """A call that runs something on a loop of its own."""

    code: Code
    call: Expr

    @property
    def place(self) -> Place:
        """What is called."""
        called = callee(self.call) or self.call
        return self.code.at(called.start, called.end)

    @property
    def name(self) -> str:
        """What is called, as a message gives it."""
        called = callee(self.call) or self.call
        names = [link.name for link in called.links if isinstance(link, Attr)] if isinstance(called, Chain) else []
        base = called.base if isinstance(called, Chain) else called
        return ".".join([base.id if isinstance(base, Name) else "...", *names])


class Reach(NamedTuple):
    """A run of a loop that leads to a use; ``path`` is the use and the calls on the way up to what is run."""

    run: Run
    path: tuple[Site, ...]

    @property
    def functions(self) -> tuple[FunctionFacts, ...]:
        """The functions on the way; that which runs the loop comes last."""
        found = (code.function for code in (*(site.code for site in self.path), self.run.code))
        return tuple(dict.fromkeys(function for function in found if function is not None))


# --- from a use upwards ------------------------------------------------------------------------------------------


def reaches(values: Values, uses: Iterable[Site], follows: Callable[[Site], bool]) -> Iterator[Reach]:
    """The runs of loops of their own that lead to one of the uses; ``follows`` says which calls are followed."""
    pending: list[tuple[Site, ...]] = [(use,) for use in uses]
    seen: set[int] = set()
    while pending and len(seen) < _FUNCTIONS:
        path = pending.pop(0)
        run = _run_of(values, path[-1], is_use=len(path) == 1)
        if run is not None:
            yield Reach(run, path)
            continue
        function = path[-1].code.function if path[-1].called or len(path) == 1 else None
        if function is None or id(function) in seen or len(path) > _STEPS:
            continue
        seen.add(id(function))
        decorator = next((d for d in function.decorators if _wraps(values, function.outer, d)), None)
        if decorator is not None:
            yield Reach(Run(Code(function.scope, function.origin, function.node.body), decorator), path)
        pending += [(*path, site) for site in references(values, function) if follows(site)]


def references(values: Values, function: FunctionFacts) -> Iterator[Site]:
    """Where the running program mentions a function by its name."""

    def is_it(scope: Scope, expr: Expr) -> bool:
        found = values.of(scope, expr)
        return (found.function if isinstance(found, Method) else found) is function

    return sites(values, function.name, is_it)


def sites(values: Values, name: str, is_it: Callable[[Scope, Expr], bool]) -> Iterator[Site]:
    """Where the running program mentions something by a name, or by another one that an import gives it."""
    word = name.encode()
    paths = [path for path in values.project.paths if word in values.project.words(path)]
    for path in paths if len(paths) <= _FILES else ():
        module = values.project.module_at(path)
        if module is not None and not module.is_test:
            aliases = re.findall(rb"\b%b[ \t]+as[ \t]+(\w+)" % re.escape(word), module.utf8)
            names = {name, *(alias.decode() for alias in aliases)}
            for code in code_of(module, frozenset([word, *aliases])):
                if code.function is None or any(one in text_of(code.function) for one in (word, *aliases)):
                    yield from (site for site in _mentions(code, names) if is_it(site.code.scope, _named(site)))


def text_of(function: FunctionFacts) -> bytes:
    """The source of a function, without its decorators."""
    start, end = function.at(function.node.start, function.node.end).span
    return function.module.utf8[start:end]


def _mentions(code: Code, names: set[str]) -> Iterator[Site]:
    bases: set[int] = set()
    for node in nodes_of(code):
        if isinstance(node, Chain):
            bases.add(id(node.base))
            counts = [0] if isinstance(node.base, Name) and node.base.id in names else []
            counts += [i + 1 for i, link in enumerate(node.links) if isinstance(link, Attr) and link.name in names]
            for count in counts:
                called = count < len(node.links) and isinstance(node.links[count], Call)
                yield Site(code, prefix(node, count + called), called)
        elif isinstance(node, Name) and node.id in names and id(node) not in bases:
            yield Site(code, node, called=False)


def _named(site: Site) -> Expr:
    """The name of what is mentioned, without its call."""
    return (callee(site.node) or site.node) if site.called else site.node


def nodes_of(code: Code) -> Iterator[Any]:
    """Every node of a piece of code, the bodies of its lambdas included, those of its functions not."""
    for node in walk(code.block, into=False):
        yield node
        if isinstance(node, Lambda):
            yield from walk(node.body)


# --- what is run -------------------------------------------------------------------------------------------------


def _run_of(values: Values, site: Site, *, is_use: bool) -> Run | None:
    """The call in the same code that runs what stands at the site on a loop of its own.

    ``coroutine = work()`` is looked for under its name; where the site is a use, so is all that mentions the name.
    """
    names = _names_for(site)

    def is_meant(expr: Expr) -> bool:
        if expr.start <= site.node.start and site.node.end <= expr.end:
            return True
        parts = walk(expr) if is_use else (expr,)
        return any(isinstance(part, Name) and part.id in names for part in parts)

    for node in nodes_of(site.code):
        for index, link in enumerate(node.links) if isinstance(node, Chain) else ():
            takes = isinstance(link, Call) and any(is_meant(arg.value) for arg in link.args)
            given = _given(values, site.code, prefix(node, index), link) if takes and isinstance(link, Call) else ()
            if any(map(is_meant, given)):
                return Run(site.code, prefix(node, index + 1))
    return None


def _names_for(site: Site) -> set[str]:
    """The local names that are bound to what stands at the site."""
    bound = (
        target
        for stmt in walk(site.code.block, into=False)
        if isinstance(stmt, Bind) and stmt.value is not None
        if stmt.value.start <= site.node.start and site.node.end <= stmt.value.end
        for target in stmt.targets
    )
    return {target.id for target in bound if isinstance(target, Name)} if site.code.function is not None else set()


def _given(values: Values, code: Code, called: Expr, call: Call, steps: int = 2) -> Sequence[Expr]:
    """What a call runs on a new loop: itself, by handing a runner on, or as a function of the project does."""
    if _is_runner(values, code.scope, called):
        return [arg.value for arg in call.args[:1]]
    for index, arg in enumerate(call.args):  # submit(asyncio.run, work())
        if isinstance(arg.value, Name | Chain) and _is_runner(values, code.scope, arg.value):
            return [one.value for one in call.args[index + 1 :]]
    target = values.of(code.scope, called) if steps else None
    function = target.function if isinstance(target, Method) else target
    if not isinstance(function, FunctionFacts) or function.node.is_async:
        return []
    return _passed(values, function, call.args, steps)


def _is_runner(values: Values, scope: Scope, called: Expr) -> bool:
    """Whether it is a function that runs a coroutine on a loop that is new, or a method of such a loop."""
    if isinstance(called, Chain) and last_name(called) in {"run_until_complete", "run"}:
        is_method = isinstance(called.links[-1], Attr) and _is_new(values, scope, prefix(called, len(called.links) - 1))
    else:
        is_method = False
    target = values.project.resolve(scope, called)
    return is_method or (isinstance(target, Library) and values.catalog.runner(target.name) is not None)


def _wraps(values: Values, scope: Scope, decorator: Expr) -> bool:
    """Whether a decorator gives a plain function that runs what it decorates on a new loop."""
    target = values.project.resolve(scope, decorator)
    row = values.catalog.runner(target.name) if isinstance(target, Library) else None
    return row is not None and row.takes == "function"


def _is_new(values: Values, scope: Scope, loop: Expr) -> bool:
    """Whether a loop is made by the function that uses it: what `get_event_loop` gives may be that of the last call."""
    made = callee(loop)
    if made is not None:
        return values.project.resolve(scope, made) in _NEW
    found = scope.find(loop.id) if isinstance(loop, Name) else None
    if found is None or found[0].kind != "function":
        return False
    made_by = [
        one.context if isinstance(one, Entered) else one.stmt.value if isinstance(one, Assigned) else None
        for one in found[1]
    ]
    return all(one is not None and callee(one) is not None and _is_new(values, found[0], one) for one in made_by)


def _passed(values: Values, function: FunctionFacts, args: Sequence[Arg], steps: int) -> list[Expr]:
    """The arguments of a call that a function of the project runs on a new loop, as ``run_sync(coroutine)`` does."""
    params = [param.name for param in function.node.params if param.name != function.receiver]
    plain = [arg.value for arg in args if arg.keyword is None]
    given = [*zip(params, plain, strict=False), *((arg.keyword, arg.value) for arg in args if arg.keyword in params)]
    return [value for name, value in given if name is not None and _runs_parameter(values, function, name, steps)]


def _runs_parameter(values: Values, function: FunctionFacts, name: str, steps: int) -> bool:
    """Whether a function runs what it is given, or a function within it that does something with that."""

    def is_parameter(scope: Scope, expr: Expr) -> bool:
        found = scope.find(expr.id) if isinstance(expr, Name) else None
        return found is not None and found[0] is function.scope and isinstance(expr, Name) and expr.id == name

    def leads_there(scope: Scope, expr: Expr) -> bool:
        called = values.project.resolve(scope, callee(expr) or expr)
        inner = isinstance(called, FunctionFacts) and called.outer.owner is function
        return is_parameter(scope, expr) or (
            inner
            and isinstance(called, FunctionFacts)
            and any(is_parameter(called.scope, node) for node in walk(called.node.body) if isinstance(node, Name))
        )

    for code in _codes_within(function):
        for node in nodes_of(code):
            for index, link in enumerate(node.links) if isinstance(node, Chain) else ():
                if isinstance(link, Call) and any(leads_there(code.scope, arg.value) for arg in link.args):
                    given = _given(values, code, prefix(node, index), link, steps - 1)
                    if any(leads_there(code.scope, one) for one in given):
                        return True
    return False


def _codes_within(function: FunctionFacts) -> Iterator[Code]:
    """The body of a function and those of the functions in it."""
    yield Code(function.scope, function.origin, function.node.body)
    for bindings in function.scope.bindings.values():
        for one in bindings:
            if isinstance(one, FunctionFacts):
                yield from _codes_within(one)


# --- whether the program goes on ---------------------------------------------------------------------------------


class Again(NamedTuple):
    """Why a loop is not the only one of the program: ``each`` is what has a loop of its own, ``place`` says so.

    ``at_import``: it runs once, but before the program has begun.
    """

    each: str
    place: Place
    at_import: bool = False


def runs_again(values: Values, code: Code, node: Expr, steps: int = 3) -> Again | None:
    """Why a piece of code may run again in one process, or runs before the program does; None where nothing says so."""
    loops = loops_around(code, node)
    if loops:
        return Again("round of the loop", code.at(loops[-1].start, loops[-1].start + 5))
    function = code.function
    if function is None:
        at_import = not _is_script(values, code)
        return Again("import", code.at(node.start, node.end), at_import=True) if at_import else None
    if _MAIN.fullmatch(function.name) or _is_command(function):
        return None
    found = invoked(values, function)
    if found is not None:
        each = found.event if found.event != "run" else found.role
        return Again(f"{each} of `{found.entry.name}`", found.place)
    return _called_again(values, function, steps)


def _called_again(values: Values, function: FunctionFacts, steps: int) -> Again | None:
    """Whether what calls a function runs again, or it waits for callers that the project does not have."""
    mentions = [*references(values, function)]
    if any(map(_starts_process, mentions)):
        return None
    calls = [site for site in mentions if site.called and site.code.function is not function]
    ways = (runs_again(values, site.code, site.node, steps - 1) for site in (calls if steps else ()))
    again = next((way for way in ways if way is not None), None)
    if again is not None or calls or isinstance(function.outer.owner, FunctionFacts) or not is_offered(function):
        return again
    return Again(f"call of `{function.name}`", function.place)


def is_offered(function: FunctionFacts) -> bool:
    """Whether a function is there to be called with ever new work: it is public and takes some."""
    hidden = function.name.startswith("_") and function.name != "__call__"
    if hidden or not _SCRIPTS.isdisjoint(function.module.name.split(".")):
        return False
    params = function.node.params[1:] if function.receiver is not None else function.node.params
    work = [p.name for p in params if p.default is None and p.kind in {"positional", "plain", "keyword"}]
    if is_start(function):
        work = [name for name in work if _PLACES.fullmatch(name) is None]
    return any(_SETTINGS.fullmatch(name) is None for name in work)


def is_start(function: FunctionFacts) -> bool:
    """Whether a function is named like one that is called once."""
    return _STARTS.fullmatch(function.name) is not None or _MAIN.fullmatch(function.name) is not None


def _is_command(function: FunctionFacts) -> bool:
    return any(last_name(callee(one) or one) in _COMMANDS for one in function.decorators)


def _starts_process(site: Site) -> bool:
    """Whether the function is what another process runs: there is nothing yet that it could share."""
    return any(
        isinstance(link, Call)
        and last_name(prefix(node, index)) == "Process"
        and any(arg.value.start <= site.node.start and site.node.end <= arg.value.end for arg in link.args)
        for node in nodes_of(site.code)
        if isinstance(node, Chain)
        for index, link in enumerate(node.links)
    )


def _is_script(values: Values, code: Code) -> bool:
    """Whether code of a module runs because the module is the program: under its guard, or it is never imported."""
    module, stmt = code.scope.module, code.block[0] if code.block else None
    tests = [test for test, _ in stmt.branches] if isinstance(stmt, If) else []
    if any(isinstance(node, Name) and node.id == "__name__" for test in tests for node in walk(test)):
        return True
    return not module.is_package and not _is_imported(values, module)


def _is_imported(values: Values, module: ModuleFacts) -> bool:
    last = module.name.rpartition(".")[2]
    pattern = re.compile(rb"^[ \t]*(?:from|import)[ \t][^#\r\n]*\b%b\b" % re.escape(last.encode()), re.MULTILINE)
    return any(one is not module and pattern.search(one.utf8) for one in values.project.mentioning(last, "import"))


def in_turn(first: Run, second: Run) -> bool:
    """Whether a function runs one loop after the other: the two stand in one block."""
    return first.code.scope is second.code.scope and any(
        _index_in(block, first.call) != _index_in(block, second.call)
        for block in _blocks_of(first.code.block)
        if None not in {_index_in(block, first.call), _index_in(block, second.call)}
    )


def _blocks_of(block: Block) -> Iterator[Block]:
    yield block
    for stmt in block:
        for inner in blocks(stmt):
            yield from _blocks_of(inner)


def _index_in(block: Block, node: Expr) -> int | None:
    """Which statement of a block a node is a direct part of, not of a block in it."""
    for index, stmt in enumerate(block):
        if stmt.start <= node.start and node.end <= stmt.end and not any(map(len, blocks(stmt))):
            return index
    return None

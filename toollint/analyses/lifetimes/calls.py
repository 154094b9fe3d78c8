"""What a call means for the resources of a function: whether it opens one, closes one, borrows, takes over, or fails.

What is not understood takes over whatever it is given, and may fail.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from toollint.analyses.closers import closers_of
from toollint.analyses.lifetimes.presumed import escaping, kept_on_failure, may_close, presumed
from toollint.analyses.obligation import PROJECT, obligation
from toollint.analyses.origins import Kind, origins
from toollint.analyses.passing import may_bring, passes_on
from toollint.analyses.release import is_closer
from toollint.analyses.values import Instance, Method, Values, opens
from toollint.catalog import Acquisition, Resource
from toollint.facts import ClassFacts, FunctionFacts
from toollint.project import Library, Lineage
from toollint.syntax import (
    Arg,
    Attr,
    Await,
    Call,
    Chain,
    Const,
    Expr,
    Import,
    ImportFrom,
    Index,
    Name,
    OtherStmt,
    Raise,
    Return,
    Yield,
    argument,
    is_name,
    is_none,
    last_name,
    prefix,
    subscripted,
    walk,
)

LOOKS = frozenset(
    {
        *("len", "print", "isinstance", "issubclass", "id", "repr", "str", "bool", "hash", "type", "hasattr"),
        *("callable", "format", "dir", "vars", "range", "super", "object", "getattr", "locals", "globals"),
        *("int", "float", "round", "abs", "ord", "chr"),
    }
)
"""Builtins that look at their arguments, keep nothing, and do not fail."""
READS = frozenset(
    {"list", "tuple", "set", "frozenset", "sorted", "sum", "any", "all", "min", "max", "dict", "next", "bytes"}
)
"""Builtins that read their arguments and keep nothing."""
STOPS_EARLY = frozenset({"next", "any", "all"})
"""Those of them that may stop before the end."""
PASSES = frozenset({"iter", "aiter", "enumerate", "zip", "map", "filter", "reversed", "cast"})
"""Builtins whose result reads from their arguments later."""
ENDS = frozenset({"exit", "_exit", "quit", "abort", "execv", "execve", "execvp"})
"""Functions after which there is no process left to leak in."""
_CALM = frozenset(
    {
        *("append", "appendleft", "extend", "add", "discard", "get", "items", "keys", "values", "update", "setdefault"),
        *("join", "split", "rsplit", "splitlines", "strip", "lstrip", "rstrip", "lower", "upper", "title", "replace"),
        *("startswith", "endswith", "format", "copy", "count", "insert", "clear", "sort", "reverse", "isoformat"),
        *(
            "debug",
            "info",
            "warning",
            "warn",
            "error",
            "exception",
            "critical",
            "log",
            "getLogger",
            "time",
            "monotonic",
        ),
        *("perf_counter", "is_set", "set", "is_closing", "is_closed", "fileno", "getpid", "uuid4", "zfill", "rjust"),
        *("partition", "rpartition", "basename", "dirname", "exists", "isfile", "isdir", "isdigit", "total_seconds"),
        *(
            "cursor",
            "fstat",
            "S_ISREG",
            "S_ISDIR",
            "S_ISLNK",
            "getsockname",
            "getpeername",
            "settimeout",
            "setblocking",
            "setsockopt",
            "isatty",
            "hexdigest",
            "center",
        ),
        *("pop", "get_debug", "version", "get_running_loop", "get_event_loop", "now", "utcnow", "today", "alarm"),
        *("umask", "getuid", "getgid", "getcwd", "S_ISSOCK", "S_ISFIFO", "S_ISCHR", "S_ISBLK", "monotonic_ns"),
    }
)
"""Methods of plain values, loggers, clocks and event loops, that do not fail."""
_MAKES = frozenset(
    {
        *("suppress", "closing", "aclosing", "nullcontext", "ExitStack", "AsyncExitStack", "Path", "partial", "Lock"),
        *("RLock", "Event", "deque", "defaultdict", "OrderedDict", "Counter", "StringIO", "BytesIO", "Condition"),
    }
)
"""Constructors of plain values, that do not fail."""
_SAYS = frozenset({"debug", "info", "warning", "warn", "error", "exception", "critical", "log"})
_FAILURE = re.compile(r"\w*(?:Error|Exception|Warning|Exit|Interrupt|Timeout)")
_PLAIN_RESULT = re.compile(
    r"(?:a|async_)?(?:read|recv|get|post|put|patch|delete|head|request|send|write|fetch|execute|query|search|list|load"
    r"|dump|json|text|info|count|find|scroll|scan|invoke|commit|rollback|call|tell|seek|peek|stat|name|extract|decode"
    r"|show|key|item|value|exist|ping|describe|upload|download|publish|receive|save|insert|update|upsert|remove|encode"
    r"|next|flush|truncate|poll|is_|has_|run_until|model_dump|to_|verify|check|wait|sync|use|fileno|select)\w*"
)
"""Methods that give plain values."""
_DEPENDENT = re.compile(
    r"\w*(?:client|session|connection|cursor|channel|collection|container|bucket|database|db|table|index|graph|page"
    r"|context|iter|iterator|lines|reader|writer|stream|file|socket|transaction|pipeline|_for|objects|handle|conn|pool)s?"
)
"""Methods that give something that goes on using the resource, whatever their name starts with."""


_ASKS_IF_OPEN = re.compile(r"is_?(?:open(?:ed)?|connected|alive|running|active|valid|ready)", re.IGNORECASE)


def gives_itself(word: str) -> bool:
    """Whether a method of that name may give the object itself, or something that goes on using it."""
    if word in {"readlines", "writelines"}:
        return False
    return _PLAIN_RESULT.fullmatch(word) is None or _DEPENDENT.fullmatch(word) is not None


PARTS = frozenset(
    {"raw", "buffer", "fp", "file", "stream", "stdout", "stdin", "stderr", "body", "connection", "conn", "session"}
    | {"client", "transport", "content_stream", "fd", "sock", "socket", "_file", "tmpdir", "name_"}
)
"""Attributes that are the resource over again."""
DATA = frozenset(
    {
        *("status", "status_code", "headers", "url", "name", "text", "content", "encoding", "ok", "reason", "closed"),
        *("mode", "pid", "returncode", "code", "msg", "info", "total_changes", "row_factory", "rowcount", "lastrowid"),
        *(
            "description",
            "is_closed",
            "http_version",
            "cookies",
            "history",
            "port",
            "host",
            "errors",
            "newlines",
            "size",
        ),
    }
)
"""Attributes that are plain values."""
SERVES = frozenset({"serve_forever"})
"""Methods that come back when the process ends, if ever."""
WAITS = frozenset({"communicate", "wait_closed", "detach", "__exit__", "__aexit__", "release", "rmtree"})
"""Methods that release whatever they are called on, besides the catalogue's and those called like a closer."""


_IN_MEMORY = ":memory:"
"""A database that nobody else can open, and that is gone with its connection."""
_VALUES = frozenset({"str", "int", "float", "bool", "bytes", "dict", "Dict", "list", "List"})
"""Types of plain values."""


class Spot(NamedTuple):
    """A call: the link of a chain that it is."""

    chain: Chain
    at: int

    @property
    def link(self) -> Any:
        """The link."""
        return self.chain.links[self.at]

    @property
    def args(self) -> tuple[Arg, ...]:
        """The arguments."""
        return self.link.args if isinstance(self.link, Call) else ()

    @property
    def word(self) -> str:
        """The last identifier of what is called."""
        if not self.at:
            return self.chain.base.id if isinstance(self.chain.base, Name) else ""
        link = self.chain.links[self.at - 1]
        return link.name if isinstance(link, Attr) else ""

    @property
    def called(self) -> Expr:
        """What is called."""
        return prefix(self.chain, self.at)

    @property
    def whole(self) -> Expr:
        """The call with what is called."""
        return prefix(self.chain, self.at + 1)


class Meaning(NamedTuple):
    """What is known of a call before it happens.

    ``acquisition`` is the row of what it opens; ``owns``, ``borrows`` and ``drains`` say what it does with arguments,
    of which ``params`` are the names; ``function`` is the project's function that it runs, ``bound`` if its first
    parameter is not given by the call; ``cls`` is the project's class that it makes an object of; ``name`` that of a
    library's.
    """

    acquisition: Acquisition | None = None
    owns: frozenset[str] = frozenset()
    borrows: frozenset[str] = frozenset()
    drains: frozenset[str] = frozenset()
    params: tuple[str, ...] = ()
    function: FunctionFacts | None = None
    bound: bool = False
    cls: ClassFacts | None = None
    name: str = ""


NOTHING = Meaning()


class Calls:
    """The meaning of the calls in one function, each looked up once."""

    def __init__(self, values: Values, function: FunctionFacts, text: Callable[[Expr], str]) -> None:
        """Take the function and what gives an expression as it is written."""
        self.values = values
        self.scope = function.scope
        path = function.module.path
        self._opens = values.sieve.words(path, "acquisition")
        self._makes = values.sieve.words(path, "ownership")
        self._passing = values.sieve.words(path, "passing")
        self._function = function
        self._text = text
        closes = may_close(function)
        self._presumed = presumed(function) if closes else {}
        self._kept = kept_on_failure(function) if closes else {}
        self._known: dict[int, Meaning] = {}
        self._harmless: dict[int, bool] = {}

    def may_open(self, word: str) -> bool:
        """Whether a function of that name may open something."""
        return word.encode() in self._opens or word.encode() in self._makes

    def may_acquire(self, spot: Spot) -> bool:
        """Whether a call may open something, by the names of what it calls and of its arguments."""
        asked = (arg.keyword for arg in spot.args if arg.keyword)
        if self.may_open(spot.word) or any(word.encode() in self._opens for word in asked):
            return True
        return spot.word.encode() in self._passing and isinstance(spot.link, Call) and passes_on(spot.link)

    def is_builtin(self, called: Expr, names: frozenset[str]) -> bool:
        """Whether it is one of these names, and nothing here has taken the name."""
        if isinstance(called, Name):
            return called.id in names and self.scope.find(called.id) is None
        return last_name(called) == "cast" and "cast" in names

    def of(self, spot: Spot, *, given: bool) -> Meaning:
        """The meaning of a call; ``given``: something that is owed is among its arguments."""
        presumed = None if given else self._presumed.get(id(spot.link))
        if not given and presumed is None and not self.may_acquire(spot):
            return NOTHING
        known = self._known.get(id(spot.link))
        if known is None:
            known = self._known[id(spot.link)] = self._look_up(spot)
        if given and known.cls is not None:
            return known._replace(acquisition=None)  # what it is given may be all that it holds
        if presumed is None or known.acquisition is not None or not self._may_owe(known):
            return known
        lazy = known.cls is not None  # what their constructors are known to open is no presumption
        return known._replace(acquisition=presumed._replace(lazy=lazy))

    def refusals(self, spot: Spot, meaning: Meaning) -> Iterator[str]:
        """The exceptions by which a call gives back what it was given, past the handlers that would close it."""
        types = self._kept.get(id(spot.link))
        if types and meaning.function is not None:
            yield from escaping(self.values, meaning.function, types)

    def runs(self, meaning: Meaning, arg: Arg, position: int) -> bool:
        """Whether an awaited call runs the function that an argument is, and is done with it then."""
        function = meaning.function
        if function is None:
            name = arg.keyword or (meaning.params[position] if position < len(meaning.params) else "")
            return name in meaning.borrows
        plain = [p.name for p in function.node.params if p.kind in {"positional", "plain", "keyword"}][meaning.bound :]
        name = arg.keyword or (plain[position] if position < len(plain) else "")
        nodes = [*walk(function.node.body)]
        called = sum(isinstance(n, Chain) and is_name(n.base, name) and isinstance(n.links[0], Call) for n in nodes)
        used = sum(is_name(node, name) for node in nodes)
        return function.node.is_async and 0 < used == called and any(isinstance(node, Await) for node in nodes)

    def gives_more(self, spot: Spot, row: Acquisition) -> bool:
        """Whether what a method gives may go on using the resource, as the answers of some clients ask for more."""
        if row.resource.category == "client":
            return True
        if row.resource.evidence != PROJECT:
            return False
        target = self.values.of(self.scope, spot.called)
        return not (isinstance(target, Method) and _is_plain(target.function))

    def _may_owe(self, meaning: Meaning) -> bool:
        """Whether what a call gives may need a release, if the function closes it: nothing known speaks against."""
        if meaning.cls is not None:
            return any(map(is_closer, closers_of(self.values, meaning.cls)))
        return not meaning.name or self.values.catalog.acquisition(meaning.name) is None

    def never_fails(self, spot: Spot) -> bool:
        """Whether it is a function or class of the project that calls nothing and raises nothing."""
        link, base = spot.link, spot.chain.base
        if id(link) not in self._harmless:
            target: object = None if spot.at or not isinstance(base, Name) else self.values.of(self.scope, base)
            if isinstance(target, ClassFacts) and is_plain(self.values.project.lineage(target)):
                target = self.values.project.class_member(target, "__init__")
            self._harmless[id(link)] = isinstance(target, FunctionFacts) and not any(
                isinstance(node, Call | Raise | Index | Await | Import | ImportFrom | OtherStmt)
                for node in walk(target.node.body)
            )
        return self._harmless[id(link)]

    def _look_up(self, spot: Spot) -> Meaning:
        target = self.values.of(self.scope, spot.called)
        function = target.function if isinstance(target, Method) else target
        if isinstance(function, FunctionFacts):
            made = self._made(spot.whole, function)
            bound = isinstance(target, Method) or (function.cls is not None and function.is_classmethod)
            return Meaning(made, function=function, bound=bound and not function.is_static)
        name = (
            target.name if isinstance(target, Library) else target.full_name if isinstance(target, ClassFacts) else ""
        )
        if not name:
            return NOTHING
        effect = self.values.catalog.effect(name)
        acquisition = self._acquisition(name, spot.link)
        if isinstance(target, ClassFacts) and effect is None and acquisition is None:
            return Meaning(obligation(self.values, target), cls=target)
        if effect is None:
            return Meaning(acquisition, name=name)
        owns, borrows, drains = map(frozenset, (effect.owns, effect.borrows, effect.drains))
        return Meaning(acquisition, owns, borrows, drains, effect.params, name=name)

    def _acquisition(self, name: str, call: Call) -> Acquisition | None:
        """The catalogue's row, where the call gives something that can be released (perhaps inside what it gives)."""
        found = self.values.catalog.acquisition(name)
        if found is None or found.manager or not can_be_released(found.resource):
            return None
        if found.resource.category == "file" and self._is_in_memory(call):
            return None
        if any(isinstance(arg.value, Const) and arg.value.value == _IN_MEMORY for arg in call.args):
            return None
        asked = found.when and may_bring(self.values, self._function, call, found.when)
        return found if asked or opens(found, call) else None

    def _is_in_memory(self, call: Call) -> bool:
        """Whether a file is made of something else that is open already, or of bytes: it holds nothing of its own."""
        if argument(call, "fileobj") is not None:
            return True
        value = self.values.of(self.scope, call.args[0].value) if call.args else None
        return isinstance(value, Instance) and value.name in {"BytesIO", "StringIO"}

    def _made(self, call: Expr, function: FunctionFacts) -> Acquisition | None:
        """What a factory of the project makes for its caller, and nothing else."""
        if function.name.encode() not in self._makes:
            return None
        expr: Expr = call
        if function.node.is_async:
            expr = Await(call, call.start, call.end)
        found = origins(self.values, self.scope, expr)
        made = found[0].made if len(found) == 1 and found[0].kind is Kind.MADE else None
        if not isinstance(made, Acquisition) or not can_be_released(made.resource):
            return None
        return made._replace(awaited="yes" if function.node.is_async else "no", element=None)


def _is_plain(function: FunctionFacts) -> bool:
    """Whether a function gives nothing, or says that it gives a plain value."""
    if function.node.returns is not None:
        return is_none(function.node.returns) or last_name(subscripted(function.node.returns)[0]) in _VALUES
    return not any(isinstance(node, Return | Yield) and node.value for node in walk(function.node.body, into=False))


def is_plain(lineage: Lineage) -> bool:
    """Whether a class has no ancestor but those of the project, and `object`."""
    return {*lineage.libraries} <= {"builtins.object"}


def is_part(name: str) -> bool:
    """Whether an attribute of that name is the resource over again, or something that goes on using it."""
    return name in PARTS or _DEPENDENT.fullmatch(name) is not None


def can_be_released(resource: Resource) -> bool:
    """Whether it holds anything, and there is a way to let go of it."""
    return resource.weight != "none" and bool(resource.release or "releases" in {resource.with_, resource.async_with})


def releases(resource: Resource, word: str) -> bool:
    """Whether a method of that name releases the resource, or may."""
    return word in WAITS or word in resource.others or word == resource.release or is_closer(word)


def is_calm(spot: Spot) -> bool:
    """Whether a call does not fail: methods and makers of plain values, closers, exceptions in the making."""
    word = spot.word
    plain = spot.at > 0 and (word in _CALM or word.startswith("set_"))
    return plain or word in _MAKES or is_closer(word) or _FAILURE.fullmatch(word) is not None


def asks_if_open(word: str) -> bool:
    """Whether a method of that name tells if a resource is open: where it says no, nothing is held."""
    return _ASKS_IF_OPEN.fullmatch(word) is not None


def asks_if_closed(word: str) -> bool:
    """Whether a method of that name tells if a resource is closed: where it says yes, nothing is held."""
    return word in {"is_closed", "isclosed", "is_closing"}


def only_tells(word: str) -> bool:
    """Whether a method of that name writes its arguments to a log."""
    return word in _SAYS

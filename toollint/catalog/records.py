"""What a row of the catalogue holds: one frozen record for each section of the tables.

A field that a table may write carries the table's key with ``-`` for ``_``; Python's keywords get a trailing ``_``
(``with`` is `Resource.with_`). Fields without a default are compulsory. README.md explains every key.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, TypeAlias

With: TypeAlias = Literal["releases", "keeps", "raises", "absent"]
"""What a ``with`` block does at its end: release, leave open, fail at once; or the protocol is missing."""

Leak: TypeAlias = Literal["open after gc", "freed by full gc pass", "freed by refcount", "unknown"]
"""What becomes of a resource that is dropped without a release."""

KindName: TypeAlias = Literal[
    "", "tool", "agent", "graph", "session", "runnable", "resource", "model", "component", "callable", "answer"
]
"""What an object is to the rules; empty for a class that is merely harmless as a base."""

Role: TypeAlias = Literal[
    "",
    "toolkit",
    "retriever",
    "vectorstore",
    "checkpointer",
    "store",
    "memory",
    "model",
    "embeddings",
    "mcp",
    "agent",
    "middleware",
    "workbench",
]
"""The part that a component plays in an agent; empty for a class that is no component."""


class Resource(NamedTuple):
    """Something that must be released, keyed by its type (or by its acquiring call where the type has no name).

    ``release`` is a method without arguments, a dotted function that takes the value (``os.close``), or empty where
    there is none or only a context manager releases. ``async_`` tells that the release must be awaited.
    ``yields`` is what entering gives: ``self`` or a word for something else. ``never`` are methods that look like a
    release and must never be written by a fix. ``with_commits``: the end of a ``with`` ends a transaction too, so that
    a fix must not enter what nobody entered. ``loop_bound`` tells how it is known that the object belongs to the
    event loop that used it first and fails in another; empty where it does not. ``thread_bound``: it fails in other
    threads than the one that opened it, unless the argument of that name is given as False. ``pool``: it keeps
    connections for all who use it, and is meant to be made once and shared. ``needs_entering`` are the methods that
    fail, or wait for ever, as long as nobody has entered or connected it. ``coroutines`` are methods that have to be
    awaited: code that does not was written for another release. ``gives_tools`` are the members that give tools which
    work only as long as it is open. ``task_bound`` tells how it is known that only the task that entered it may leave
    it. ``after_release``: what using it then does, where that is known. ``stopped_by``: the method that has to end what
    it does first; until then the release raises. ``drained_by`` are the members that read it to its end, where it gives
    up what it holds by itself; ``looped_by`` those that give what does so in a loop to the end (``__iter__``: itself).
    """

    name: str
    category: str
    weight: Literal["high", "medium", "low", "none"]
    evidence: str
    release: str = ""
    async_: bool = False
    with_: With = "absent"
    async_with: With = "absent"
    with_evidence: Literal["measured", "source", "presence", ""] = ""
    with_commits: bool = False
    yields: str = "self"
    second_close: Literal["ok", "raises", "unknown"] = "unknown"
    leak: Leak = "unknown"
    weakref: bool = True
    hashable: bool = True
    eq_by_value: bool = False
    others: tuple[str, ...] = ()
    never: tuple[str, ...] = ()
    loop_bound: Literal["measured", "source", "judged", ""] = ""
    thread_bound: str = ""
    task_bound: Literal["measured", "source", "judged", ""] = ""
    after_release: Literal["fails", ""] = ""
    stopped_by: str = ""
    drained_by: tuple[str, ...] = ()
    looped_by: tuple[str, ...] = ()
    pool: bool = False
    runs: bool = False
    needs_entering: tuple[str, ...] = ()
    coroutines: tuple[str, ...] = ()
    gives_tools: tuple[str, ...] = ()
    deprecated: str = ""
    note: str = ""


class Acquisition(NamedTuple):
    """A call that acquires ``resource``.

    ``awaited``: the call must not, may or must be awaited to give the resource. ``manager``: the call gives a context
    manager that yields the resource, not the resource itself. ``lazy``: nothing is held before the first use (None:
    not known). ``element``: where the resource is in what the call returns: a position in the tuple, a key of the
    dict, ``*`` for each item of the tuple; None where the call returns the resource itself. ``when``: the argument
    that has to be given and true; without it the call acquires nothing. ``defer``: the argument that, given as False,
    keeps a constructor from opening what only `await` should open. ``unless``: the argument that says how it keeps
    its connections, or that it keeps none; given, it is not known to be a pool. ``brought``: the argument that brings
    what the call would open otherwise (a connection pool); given, it acquires nothing.
    """

    name: str
    resource: Resource
    kind: Literal["constructor", "function", "classmethod", "method"]
    awaited: Literal["no", "either", "yes"] = "no"
    manager: Literal["", "sync", "async"] = ""
    generator: bool = False
    lazy: bool | None = None
    element: int | str | None = None
    when: str = ""
    defer: str = ""
    unless: str = ""
    brought: str = ""


class Type(NamedTuple):
    """A class: what it is, what it defines for its lifecycle, how it behaves as a key.

    ``closers`` are the lifecycle methods that it defines or inherits, ``async_closers`` those of them that are
    coroutine functions, ``empty_closers`` those that do nothing: they release nothing of a subclass. ``in_memory`` says
    what an instance keeps in the memory of the process for good, where it is made to be exchanged for a database.
    ``lifespan``: the constructor takes a context manager of that name that runs around the program, and this is what
    recipes call the object that it is given.
    """

    name: str
    kind: KindName = ""
    role: Role = ""
    closers: tuple[str, ...] = ()
    async_closers: tuple[str, ...] = ()
    empty_closers: tuple[str, ...] = ()
    pydantic: bool = False
    hashable: bool = True
    weakref: bool = True
    eq_by_value: bool = False
    frees: Literal["refcount", "gc", "never", "unknown"] = "unknown"
    in_memory: str = ""
    lifespan: str = ""
    since: str = ""
    until: str = ""
    evidence: str = ""
    note: str = ""

    @property
    def weak_key_safe(self) -> bool:
        """Whether an instance may be a key of a WeakKeyDictionary: hashed, compared by identity, weakly held."""
        return self.hashable and self.weakref and not self.eq_by_value

    @property
    def weak_value_valid(self) -> bool:
        """Whether an instance may be a value of a WeakValueDictionary."""
        return self.weakref


class Tool(NamedTuple):
    """How a framework makes tools: a base class, a class to call, a decorator, a factory, a toolkit, a holder.

    ``returns`` names the type that a decorator or factory gives. ``called`` tells whether the framework ever calls
    the ``hooks``; ``caller`` is a sentence for a message that says who has to. ``closer`` is the color that a closer
    added to a subclass must have. ``reserved`` are names that a fix must not define. ``threads``: a plain function
    under the decorator runs in a worker thread.
    """

    name: str
    framework: str
    kind: Literal["base", "class", "decorator", "factory", "toolkit", "holder"]
    caller: str
    called: bool = False
    closer: Literal["any", "sync", "async"] = "any"
    hooks: tuple[str, ...] = ()
    returns: str = ""
    pydantic: bool = False
    reserved: tuple[str, ...] = ()
    threads: bool = False
    since: str = ""
    until: str = ""
    evidence: str = ""
    note: str = ""


class Returns(NamedTuple):
    """A function or method that gives an object of the catalogue type ``type``."""

    name: str
    type: str
    awaited: bool = False
    evidence: str = ""
    note: str = ""


class Memoizer(NamedTuple):
    """A decorator that keeps arguments and results of the function under it.

    ``form``: used bare (``@cache``), called (``@lru_cache(8)``) or both. ``bound``: how many entries it keeps unless
    told otherwise, None without limit. ``store``: the argument that brings a container of its own, which then decides
    about bounds. ``keeps``: arguments and results, results only (the key is a text or a hash), or nothing that lives
    on (pickled copies, entries that expire by themselves). ``ruff`` tells that B019 reports it on methods.
    """

    name: str
    form: Literal["bare", "called", "both"]
    bound: int | None = None
    store: str = ""
    keeps: Literal["all", "results", "nothing"] = "all"
    async_: bool = False
    per_instance: bool = False
    ruff: bool = False
    evidence: str = ""
    note: str = ""


class Memoized(NamedTuple):
    """A third-party function that is memoized: calling it keeps ``keeps`` alive, at most ``bound`` calls of it."""

    name: str
    keeps: str
    bound: int | None = None
    since: str = ""
    until: str = ""
    evidence: str = ""
    note: str = ""


class Container(NamedTuple):
    """A constructor of containers. ``bound`` names what limits it: always, never, or the argument that has to be set.

    ``weak`` tells which side is held weakly, ``expires`` that entries go after some time of their own accord.
    """

    name: str
    shape: Literal["mapping", "sequence", "set"]
    bound: str = "never"
    weak: Literal["", "keys", "values", "items"] = ""
    expires: bool = False
    evidence: str = ""
    note: str = ""


class Effect(NamedTuple):
    """What a call does with its arguments, by parameter name; ``params`` is their positional order.

    ``owns``: it takes over the release. ``retains``: it keeps the argument as long as its result lives.
    ``borrows``: it uses the argument and lets go; ``drains``: and has read it to its end by then. ``registers``: a
    process-wide registry keeps the argument. ``entered``: the argument, or each item of it, has to be entered or
    connected by others.

    ``grows``: each call adds a listener to those that are kept; ``twice``, of the same object too. ``decorates``: the
    call gives a decorator, and what stands under it is kept. ``undo`` are the functions and methods that take a
    listener out again.
    """

    name: str
    params: tuple[str, ...]
    owns: tuple[str, ...] = ()
    retains: tuple[str, ...] = ()
    borrows: tuple[str, ...] = ()
    drains: tuple[str, ...] = ()
    registers: tuple[str, ...] = ()
    entered: tuple[str, ...] = ()
    grows: bool = False
    twice: bool = False
    decorates: bool = False
    undo: tuple[str, ...] = ()
    evidence: str = ""
    note: str = ""


class Handler(NamedTuple):
    """A callback handler, tracer or exporter that is no value: each object ``starts`` threads or ``keeps`` things.

    Both are phrases for a message; one of them may be empty. What it starts stays when the object goes, what it keeps
    goes with it. ``by``: objects with the same values of these arguments share what they start. ``unless``: the
    argument that has it start nothing.
    """

    name: str
    starts: str = ""
    keeps: str = ""
    by: tuple[str, ...] = ()
    unless: str = ""
    evidence: str = ""
    note: str = ""


class Entry(NamedTuple):
    """What makes functions run again and again, once for each ``event``; ``role`` is a word for such a function.

    A decorator; a call whose parameters ``runs`` are such functions (``params`` is their positional order); or a base
    class whose ``methods`` are. ``threads``: a plain function under the decorator runs in a
    worker thread.
    """

    name: str
    role: str
    event: str
    params: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    threads: bool = False
    evidence: str = ""
    note: str = ""


class Runner(NamedTuple):
    """A call that makes an event loop, runs something on it and closes it.

    ``takes``: its first argument is the ``coroutine``, or the coroutine ``function`` that it calls.
    """

    name: str
    takes: Literal["coroutine", "function"] = "coroutine"
    evidence: str = ""
    note: str = ""


RECORDS: dict[str, Any] = {
    "resource": Resource,
    "acquire": Acquisition,
    "type": Type,
    "tool": Tool,
    "returns": Returns,
    "memoizer": Memoizer,
    "memoized": Memoized,
    "container": Container,
    "effect": Effect,
    "handler": Handler,
    "entry": Entry,
    "runner": Runner,
}
"""The sections; all but ``acquire``, which is written inside its resource, are tables of their own."""


def key_of(field: str) -> str:
    """A record's field as tables spell it: ``async_with`` is the key ``async-with``."""
    return field.rstrip("_").replace("_", "-")

"""Engines, pools and clients with a pool that are made again each time something is asked of the program.

The catalogue tells what is meant to be made once and shared. Made by a function that runs once for each request, tool
call or step, never ended there and given to nobody who could, each one keeps its connections until it is collected.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from toollint.analyses.fate import IS, fate_of
from toollint.analyses.invoked import Invoked, invoked, is_asked_first
from toollint.analyses.origins import Kind, origins
from toollint.analyses.values import Instance, Values
from toollint.catalog import Acquisition, Resource
from toollint.facts import Assigned, Code, FunctionFacts, ModuleFacts, code_of
from toollint.model import Place
from toollint.source import identifiers
from toollint.syntax import Await, Call, Chain, Const, Expr, Name, callee, last_call, last_name, prefix, walk

_IN_MEMORY = (":memory:", "sqlite://", "sqlite+aiosqlite://", "mode=memory")
"""How the address of a database in memory ends: each engine is to have its own."""


@dataclass(frozen=True, eq=False)
class PerCall:
    """A pool that ``call`` makes each time its function runs, and ``invoked``, which makes the function run."""

    code: Code
    call: Expr
    resource: Resource
    name: str
    invoked: Invoked

    @classmethod
    def find(cls, values: Values, module: ModuleFacts) -> Iterator[PerCall]:
        """Those of a file, in source order."""
        words = _words(values, module)
        for code in code_of(module, words) if words else ():
            if code.function is not None:
                yield from pools_made_by(values, code.function)

    @property
    def place(self) -> Place:
        """The call."""
        return self.code.at(self.call.start, self.call.end)

    @cached_property
    def varies(self) -> bool:
        """Whether what it connects to may be another each time: it is made with a parameter of the function."""
        function, call = self.code.function, last_call(self.call)
        params = [one.name for one in function.node.params if one.name != function.receiver] if function else []
        args = [arg.value for arg in call.args] if call is not None else []
        names = {node.id for arg in args for node in walk(arg) if isinstance(node, Name)}
        for name in [*names]:
            bound = (one.stmt.value for one in self.code.scope.bindings.get(name, ()) if isinstance(one, Assigned))
            names |= {node.id for value in bound for node in walk(value) if isinstance(node, Name)}
        return not names.isdisjoint(params)


def pools_made_by(values: Values, function: FunctionFacts) -> Iterator[PerCall]:
    """The pools that a function makes each time it runs, that nothing in it ends, and that nobody gets hold of."""
    words = _words(values, function.module)
    start, end = function.at(function.node.start, function.node.end).span
    if not words or identifiers(function.module.utf8[start:end]).isdisjoint(words):
        return
    code = Code(function.scope, function.origin, function.node.body)
    runs: Invoked | None = None
    for call, row in _pools(values, code, words):
        fate = fate_of(values, code, call, row.resource.release)
        if fate.ended or fate.kept or is_asked_first(code, call) or (row.lazy and not fate.used):
            continue
        if fate.returned and (fate.returned == IS or not _is_out_of_reach(values, function, row.resource)):
            continue
        runs = runs or invoked(values, function)
        if runs is None:
            return
        if not fate.lent or runs.role == "dependency":
            name = next((name for name, level in fate.names.items() if level == IS), "")
            yield PerCall(code, call, row.resource, name, runs)


def _is_out_of_reach(values: Values, function: FunctionFacts, pool: Resource) -> bool:
    """Whether the function returns something to close that leads to its pool, and none who calls it ends the pool."""
    given = values.returned(function)
    row = values.catalog.resource(given.cls.name) if isinstance(given, Instance) else None
    if row is None or row.pool or not row.release or row.release == pool.release:
        return False
    callers = values.project.mentioning(function.name)
    return not any(pool.release.encode() in values.project.words(module.path) for module in callers)


def _words(values: Values, module: ModuleFacts) -> frozenset[bytes]:
    """The identifiers by which a file can make something that the catalogue knows."""
    if module.is_test or module.name.rpartition(".")[2] == "__main__":
        return frozenset()
    found = values.sieve.words(module.path, "acquisition") | values.sieve.words(module.path, "ownership")
    return found & values.project.words(module.path)


def _pools(values: Values, code: Code, words: frozenset[bytes]) -> Iterator[tuple[Expr, Acquisition]]:
    """The calls that make a pool."""
    for node in walk(code.block, into=False):
        for index, link in enumerate(node.links if isinstance(node, Chain) else ()):
            if isinstance(link, Call) and last_name(prefix(node, index)).encode() in words:
                call = prefix(node, index + 1)
                row = values.acquisition(code.scope, call) or _by_factory(values, code, call)
                if row is not None and row.resource.pool and not _is_its_own(row, link):
                    yield call, row


def _by_factory(values: Values, code: Code, call: Expr) -> Acquisition | None:
    """What a function of the project makes for its caller."""
    called = callee(call)
    function = values.of(code.scope, called) if called is not None else None
    if not isinstance(function, FunctionFacts):
        return None
    found = origins(values, code.scope, Await(call, call.start, call.end) if function.node.is_async else call)
    made = found[0].made if len(found) == 1 and found[0].kind is Kind.MADE else None
    if not isinstance(made, Acquisition):
        return None
    start, end = function.at(function.node.start, function.node.end).span
    chosen = made.unless and made.unless.encode() in identifiers(function.module.utf8[start:end])
    return None if chosen else made


def _is_its_own(row: Acquisition, call: Call) -> bool:
    """Whether the call says how connections are kept, or the database is one in memory."""
    address = call.args[0].value if call.args else None
    in_memory = isinstance(address, Const) and isinstance(address.value, str) and address.value.endswith(_IN_MEMORY)
    return in_memory or any(arg.stars == 2 or (row.unless and arg.keyword == row.unless) for arg in call.args)

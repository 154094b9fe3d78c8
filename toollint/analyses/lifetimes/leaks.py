"""What functions lose: acquisitions that are not released on every path, each with the place where it gets lost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, cast

from toollint.analyses.lifetimes.calls import Calls, Spot
from toollint.analyses.lifetimes.evaluator import ExhaustedError
from toollint.analyses.lifetimes.interpreter import Interpreter, Loss
from toollint.analyses.lifetimes.ledger import Site
from toollint.analyses.lifetimes.presumed import closed_at_end, closing_words, may_presume
from toollint.analyses.values import Values
from toollint.catalog import Acquisition
from toollint.facts import FunctionFacts, ModuleFacts, code_of
from toollint.model import Place
from toollint.source import identifiers
from toollint.syntax import Call, Chain, last_name, walk

_DEPTH = 3
"""How many functions deep it is followed what becomes of an argument."""
_PLAIN = frozenset({"staticmethod", "classmethod", "override", "final"})
_NOTED = "lifetimes"


class Leak(NamedTuple):
    """An acquisition that a function loses.

    ``how`` says where, at ``lost``: an ordinary path gets there by ``end`` or ``return`` of the function, a ``rebind``
    of the name, the next round of a ``loop``, or it never had a name (``drop``). Where only a failure loses it, ``how``
    is what fails: ``raise``, ``method`` (of the resource), ``await``, ``yield`` or an unknown ``call``. ``released``:
    some path releases it; ``given``: some path hands it to somebody else; ``drained``: some path reads it to its end;
    ``entered``: it is opened in the head of a ``with`` that does not close it. ``others`` are the less sure losses of
    the same acquisition, surest first.
    """

    function: FunctionFacts
    acquisition: Acquisition
    place: Place
    name: str
    how: str
    lost: Place
    released: bool
    given: bool
    drained: bool
    entered: bool
    others: tuple[tuple[str, Place], ...] = ()

    @property
    def is_seen_to(self) -> bool:
        """Whether some path releases it, hands it over or reads it to its end."""
        return self.released or self.given or self.drained

    @property
    def is_definite(self) -> bool:
        """Whether an ordinary path loses it, and no failure is needed."""
        return self.how in {"end", "return", "rebind", "loop", "drop"}


@dataclass
class Statistics:
    """What was interpreted, and where a bound was hit: at most so many states, so much work.

    ``functions`` were gone through for what they lose, ``exhausted`` of them (or of those that they give something to)
    were given up; alternatives were joined at ``joins`` points; ``heaviest`` is the most work that one function took.
    """

    functions: int = 0
    joins: int = 0
    exhausted: int = 0
    heaviest: int = 0

    def __add__(self, other: Statistics) -> Statistics:
        """Give both together."""
        return Statistics(
            self.functions + other.functions,
            self.joins + other.joins,
            self.exhausted + other.exhausted,
            max(self.heaviest, other.heaviest),
        )


@dataclass(eq=False)
class _Memory:
    """What is known of the functions of one project."""

    leaks: dict[FunctionFacts, tuple[Leak, ...]] = field(default_factory=dict)
    fates: dict[FunctionFacts, dict[str, str]] = field(default_factory=dict)
    active: list[FunctionFacts] = field(default_factory=list)
    statistics: Statistics = field(default_factory=Statistics)


def take_statistics(values: Values) -> Statistics:
    """What the interpretation of a project's functions has cost since this was asked last."""
    memory = _memory(values)
    taken, memory.statistics = memory.statistics, Statistics()
    return taken


def leaks_of(values: Values, function: FunctionFacts) -> tuple[Leak, ...]:
    """What a function acquires and loses, in source order; at most one for each acquisition."""
    memory = _memory(values)
    if function not in memory.leaks:
        memory.leaks[function] = tuple(_leaks(values, function)) if _may_acquire(values, function) else ()
    return memory.leaks[function]


def leaks_in(values: Values, module: ModuleFacts) -> Iterator[Leak]:
    """What the functions of a file lose."""
    words = values.sieve.words(module.path, "acquisition") | values.sieve.words(module.path, "ownership")
    words |= closing_words(module) | _passing(values, module.path, module.utf8)
    for code in code_of(module, words) if words else ():
        if code.function is not None:
            yield from leaks_of(values, code.function)


def _memory(values: Values) -> _Memory:
    if _NOTED not in values.noted:
        values.noted[_NOTED] = _Memory()
    return cast("_Memory", values.noted[_NOTED])


# --- one function ------------------------------------------------------------------------------------------------


def _may_acquire(values: Values, function: FunctionFacts) -> bool:
    """Whether a call in the function acquires anything: nothing else is interpreted."""
    start, end = function.at(function.node.start, function.node.end).span
    text = function.module.utf8[start:end]
    path = function.module.path
    opens = values.sieve.words(path, "acquisition") | values.sieve.words(path, "ownership")
    opens |= _passing(values, path, text)
    if identifiers(text).isdisjoint(opens) and not may_presume(text):
        return False
    calls = Calls(values, function, str)
    return bool(closed_at_end(function)) or any(
        calls.of(Spot(node, index), given=False).acquisition is not None
        for node in walk(function.node.body, into=False)
        if isinstance(node, Chain)
        for index, link in enumerate(node.links)
        if isinstance(link, Call)
    )


def _passing(values: Values, path: str, text: bytes) -> frozenset[bytes]:
    """The words of calls that acquire if they are asked to, where a text passes keywords on that it does not name."""
    return values.sieve.words(path, "passing") if b"**" in text else frozenset()


def _leaks(values: Values, function: FunctionFacts) -> Iterator[Leak]:
    memory = _memory(values)
    memory.statistics.functions += 1
    run = Interpreter(values, function, _Summaries(values).fate)
    try:
        run.run(presumed=closed_at_end(function))
    except (ExhaustedError, RecursionError):
        memory.statistics.exhausted += 1
        return
    memory.statistics.joins += run.joins
    memory.statistics.heaviest = max(memory.statistics.heaviest, run.work)
    given = {*run.params.values()}
    ranked = [sorted(losses, key=_order) for site, losses in run.losses.items() if site not in given]
    ranked += [found for site in given if (found := [loss for loss in run.losses.get(site, ()) if loss.how == "yield"])]
    for losses in sorted(ranked, key=lambda losses: run.site(losses[0].site).start):
        site = run.site(losses[0].site)
        if site.acquisition is not None:
            yield _leak(function, site, site.acquisition, losses)


def _order(loss: Loss) -> tuple[int, int]:
    """The surest loss first, of these the first one."""
    return loss.tier, loss.start


def _leak(function: FunctionFacts, site: Site, acquisition: Acquisition, losses: list[Loss]) -> Leak:
    (how, lost), *others = dict.fromkeys((loss.how, function.at(loss.start, loss.end)) for loss in losses)
    return Leak(
        function,
        acquisition,
        function.at(site.start, site.end),
        site.name,
        how,
        lost,
        site.released,
        site.given,
        site.drained,
        site.entered,
        tuple(others),
    )


# --- what becomes of an argument ---------------------------------------------------------------------------------


class _Summaries:
    """Says what the project's functions do with their parameters; asked for only where something owed is given."""

    def __init__(self, values: Values) -> None:
        self.values = values
        self.memory = _memory(values)

    def fate(self, function: FunctionFacts, param: str, awaited: bool) -> str:
        """``closes``, ``borrows``, ``gives`` (returns it), or ``owns``, which is also the answer to what is unclear."""
        if function.node.is_async != awaited or not _is_plain(function):
            return "owns"
        if function not in self.memory.fates:
            if function in self.memory.active or len(self.memory.active) >= _DEPTH:
                return "owns"
            self.memory.active.append(function)
            self.memory.fates[function] = self._fates(function)
            self.memory.active.pop()
        return self.memory.fates[function].get(param, "owns")

    def _fates(self, function: FunctionFacts) -> dict[str, str]:
        plain = [p.name for p in function.node.params if p.kind in {"positional", "plain", "keyword"}]
        names = [name for name in plain if name != function.receiver]  # the calls of its methods are followed
        run = Interpreter(self.values, function, self.fate)
        try:
            run.run(names)
        except (ExhaustedError, RecursionError):
            self.memory.statistics.exhausted += 1
            return {}
        return {name: _fate(run, run.params[name]) for name in names}


def _fate(run: Interpreter, number: int) -> str:
    """What became of a parameter on all paths that return."""
    site = run.site(number)
    owed = {number in state.debts for how, state in run.ends if how != "raise"}
    if site.given and not site.released and run.returns(number):
        return "gives"
    if site.given or len(owed) != 1:
        return "owns"
    return "borrows" if owed == {True} else "closes" if site.released else "owns"


def _is_plain(function: FunctionFacts) -> bool:
    """Whether a call of the function runs it, to its end, and nothing else."""
    return not function.is_generator and {last_name(one) for one in function.decorators} <= _PLAIN

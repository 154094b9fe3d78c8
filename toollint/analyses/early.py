"""Pools whose constructor opens connections that only `await` should open, where nobody enters the pool.

The catalogue knows the argument that puts it off. Entering the pool is fine as well, so whatever may enter it, or may
bring the argument, is silence.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from toollint.analyses.values import Values
from toollint.catalog import Acquisition
from toollint.facts import Code, ModuleFacts, code_of
from toollint.model import Place
from toollint.syntax import Await, Bind, Call, Chain, Const, Expr, Name, argument, callee, last_call, walk

_CLOSE = re.compile(rb"\s*,?\s*\)")


@dataclass(frozen=True, eq=False)
class Early:
    """``target = Pool(...)`` that opens in the constructor."""

    code: Code
    binding: Bind
    chain: Chain
    call: Call
    acquisition: Acquisition

    @classmethod
    def find(cls, values: Values, module: ModuleFacts) -> Iterator[Early]:
        """The pools of a file, in source order of the code that they stand in."""
        words = values.sieve.words(module.path, "acquisition")
        if not words or b"await" not in values.project.words(module.path) or module.is_test:
            return
        for code in code_of(module, words):
            for node in walk(code.block, into=False):
                found = _opens(values, code, node) if isinstance(node, Bind) else None
                if found is not None and not found.is_entered(module):
                    yield found

    @property
    def place(self) -> Place:
        """The call of the constructor."""
        return self.code.at(self.chain.start, self.chain.end)

    @property
    def called(self) -> str:
        """What is called, as it is written."""
        return self.text(callee(self.chain) or self.chain)

    @property
    def target(self) -> Expr:
        """What the pool is bound to."""
        return self.binding.targets[0]

    @property
    def given(self) -> Expr | None:
        """The value of the argument, where it is given."""
        return argument(self.call, self.acquisition.defer)

    @cached_property
    def opened(self) -> Place | None:
        """Where the same function awaits the opening."""
        for node in walk(self.code.block, into=False):
            called = callee(node.value) if isinstance(node, Await) else None
            if called is not None and self.text(called) == f"{self.text(self.target)}.open":
                return self.code.at(node.start, node.end)
        return None

    @property
    def end(self) -> Place | None:
        """Where one more argument can be put: behind the last one; None where that is not plain."""
        last = self.call.args[-1].value.end if self.call.args else self.call.end - 1
        between = self.code.scope.module.utf8[slice(*self.code.at(last, self.call.end).span)]
        return self.code.at(last, last) if _CLOSE.fullmatch(between) else None

    def text(self, node: Expr) -> str:
        """What is written where a node stands, on one line."""
        start, end = self.code.at(node.start, node.end).span
        return " ".join(self.code.scope.module.utf8[start:end].decode().split())

    def is_entered(self, module: ModuleFacts) -> bool:
        """Whether the file enters something of the same name, by hand or by a `with`, or hands it to a stack."""
        target = re.escape(self.text(self.target)).encode()
        enters = rb"async\s+with\b[^:]*\b%b\b(?!\s*[.\[(])|enter_async_context\(\s*%b\b|\b%b\s*\.\s*__aenter__" % (
            (target,) * 3
        )
        return re.search(enters, module.utf8) is not None


def _opens(values: Values, code: Code, stmt: Bind) -> Early | None:
    """The pool that a statement makes, where it opens for certain."""
    call, chain = last_call(stmt.value), stmt.value
    if call is None or not isinstance(chain, Chain) or len(stmt.targets) != 1:
        return None
    if not isinstance(stmt.targets[0], Name | Chain) or any(arg.stars for arg in call.args):
        return None
    found = values.acquisition(code.scope, chain)
    if found is None or not found.defer:
        return None
    given = argument(call, found.defer)
    if given is not None and not (isinstance(given, Const) and given.value is True):
        return None
    return Early(code, stmt, chain, call, found)

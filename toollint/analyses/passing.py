"""Arguments on their way through functions that pass on whatever they are given: ``session.request(url, **kwargs)``."""

from __future__ import annotations

from toollint.analyses.invoked import callers
from toollint.analyses.values import Values
from toollint.facts import FunctionFacts
from toollint.syntax import Call, Const, argument, is_name

_STEPS = 3
"""How many functions in a row are followed."""


def passes_on(call: Call) -> bool:
    """Whether a call may be given keywords that it does not name."""
    return any(arg.stars == 2 for arg in call.args)


def may_bring(values: Values, function: FunctionFacts, call: Call, keyword: str, steps: int = _STEPS) -> bool:
    """Whether a call in a function passes its ``**kwargs`` on, and some caller gives a keyword there that is true."""
    taken = next((param.name for param in function.node.params if param.kind == "kwvar"), None)
    if taken is None or not any(arg.stars == 2 and is_name(arg.value, taken) for arg in call.args):
        return False
    for code, chain in callers(values, function):
        inner = chain.links[-1]
        if not isinstance(inner, Call):
            continue
        given = argument(inner, keyword)
        if isinstance(given, Const) and given.value:
            return True
        outer = code.function if steps and given is None else None
        if outer is not None and may_bring(values, outer, inner, keyword, steps - 1):
            return True
    return False

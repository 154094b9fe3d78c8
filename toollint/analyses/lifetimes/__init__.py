"""Lifetimes: what a function acquires is released, or handed to somebody else, on every path.

`leaks_of` interprets one function: `interpreter` its statements, `branching` its tests, `evaluator` its expressions,
over the alternatives of `states`; `ledger` keeps the books. `calls` says what a call means, `failures` who catches
what, `conditions` which tests come out the same again; `unreleased` is what rules look at.
"""

from toollint.analyses.lifetimes.leaks import Leak, Statistics, leaks_in, leaks_of, take_statistics

__all__ = ["Leak", "Statistics", "leaks_in", "leaks_of", "take_statistics"]

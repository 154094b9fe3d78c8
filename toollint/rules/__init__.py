"""The rules, one a file: a module in this folder that makes a `toollint.model.Rule` is one, nothing else is needed."""

from __future__ import annotations

import functools
import importlib
import pkgutil

from toollint.model import Rule


@functools.cache
def load() -> tuple[Rule, ...]:
    """All rules, by code."""
    found = []
    for module in pkgutil.iter_modules(__path__):
        members = vars(importlib.import_module(f"{__name__}.{module.name}"))
        found += [member for member in members.values() if isinstance(member, Rule)]
    return tuple(sorted(found, key=lambda rule: rule.code))

"""Says what names are in the environment that it runs in: classes and their methods, functions and their parameters.

It knows nothing of the catalogue and needs nothing but the standard library. Reads a JSON list of fully qualified names
from standard input and writes a JSON object to the file given: each name with its facts, or with an ``error``.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import json
import sys
import types
import typing
import warnings
from pathlib import Path
from typing import Any


def find(name: str) -> Any:
    """Give what a name stands for; the longest part of it that is a module is imported.

    Raises whatever the import raises, and AttributeError where the module has no such thing.
    """
    parts = name.split(".")
    for count in range(len(parts) - 1, 0, -1):
        module = ".".join(parts[:count])
        try:
            found = importlib.import_module(module)
        except ModuleNotFoundError as error:
            if count > 1 and error.name and f"{module}.".startswith(f"{error.name}."):
                continue  # that part of the name is no module
            raise
        for part in parts[count:]:
            found = getattr(_behind(found), part)
        return found
    raise ModuleNotFoundError(name)


def _behind(found: Any) -> Any:
    """The class that a property gives by its annotation (``client.chat.completions``); anything else is itself."""
    getter = getattr(found, "fget", None) or (found.func if isinstance(found, functools.cached_property) else None)
    return found if getter is None else typing.get_type_hints(getter)["return"]


def facts(name: str) -> dict[str, Any]:
    """Say what a name is.

    Either ``error``; or ``is`` (``class``, ``function``, ``other``), ``id`` (equal for names of one thing) and what
    `parameters` and `of_class` or `of_function` say.
    """
    try:
        found = find(name)
    except BaseException as error:  # noqa: BLE001 - packages raise anything, SystemExit included, when imported
        return {"error": f"{type(error).__name__}: {str(error)[:200]}"}
    if not inspect.isclass(found) and hasattr(found, "__mro_entries__"):  # typing.Dict, Base[int]: bases nonetheless
        found = types.resolve_bases((found,))[0]
    if inspect.isclass(found):
        return {"is": "class", "id": str(id(found)), **parameters(found), **of_class(found)}
    if callable(found):
        return {"is": "function", "id": str(id(found)), **parameters(found), **of_function(found)}
    return {"is": "other", "id": str(id(found))}


def of_class(cls: type) -> dict[str, Any]:
    """Members with the colour of methods (``async``, ``sync``, ``value``), and how an instance behaves as a key."""
    members: dict[str, str] = {}
    for owner in reversed(cls.__mro__[:-1]):
        members.update({name: _colour(value) for name, value in vars(owner).items()})
    members.update(dict.fromkeys(_fields(cls), "value"))
    pydantic = any(
        owner.__module__ in {"pydantic.main", "pydantic.v1.main"} and owner.__name__ == "BaseModel"
        for owner in cls.__mro__
    )
    heir = as_key(_heir(cls))
    instance = heir if inspect.isabstract(cls) else as_key(cls)
    return {"members": members, "pydantic": pydantic, "instance": instance, "heir": heir}


def as_key(cls: Any) -> dict[str, bool]:
    """Whether instances can be hashed, weakly referenced, and are found by value.

    Where the hash is that of the identity, so is what a dict finds, whatever ``==`` says.
    """
    return {
        "hashable": getattr(cls, "__hash__", None) is not None,
        "weakref": getattr(cls, "__weakrefoffset__", 0) != 0,
        "eq_by_value": cls.__eq__ is not object.__eq__ and cls.__hash__ is not object.__hash__,
    }


def of_function(function: Any) -> dict[str, Any]:
    """Colour, and the kind of context manager that a call gives."""
    inner = getattr(function, "__func__", function)
    body = getattr(inner, "__wrapped__", None)
    manager = "async" if inspect.isasyncgenfunction(body) else "sync" if inspect.isgeneratorfunction(body) else ""
    return {"colour": _colour(function), "manager": manager}


def parameters(function: Any) -> dict[str, list[str]]:
    """The names of the parameters that have a position, and of all; neither where a signature does not tell.

    A parameter that cannot be named has an empty name.
    """
    try:
        found = list(inspect.signature(function).parameters.values())
    except (ValueError, TypeError):
        return {}
    kinds = {one.kind for one in found}
    names = ["" if one.kind is one.POSITIONAL_ONLY else one.name for one in found]
    positional = {inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD}
    told = {"positional": [name for name, one in zip(names, found, strict=True) if one.kind in positional]}
    if inspect.Parameter.VAR_POSITIONAL in kinds:
        del told["positional"]
    return told if inspect.Parameter.VAR_KEYWORD in kinds else {**told, "parameters": names}


def _fields(cls: type) -> set[str]:
    """What the class bodies annotate and a model declares: not all of it is there before there is an instance."""
    annotations = (vars(owner).get("__annotations__") for owner in cls.__mro__)
    return {name for found in annotations if isinstance(found, dict) for name in found if not hasattr(cls, name)}


def _heir(cls: type) -> type:
    """A plain subclass, or the class itself where it cannot have one."""
    try:
        return types.new_class("Heir", (cls,))
    except BaseException:  # noqa: BLE001 - final classes, and whatever a metaclass minds
        return cls


def _colour(value: Any) -> str:
    """``async`` for what has to be awaited as far as one can see, ``sync`` for other callables, else ``value``."""
    while isinstance(value, classmethod | staticmethod):
        value = value.__func__
    if not callable(value):
        return "value"
    while not inspect.iscoroutinefunction(value) and hasattr(value, "__wrapped__"):
        value = value.__wrapped__
    returned = str(getattr(value, "__annotations__", {}).get("return", ""))
    awaitable = returned.rpartition(".")[2] if "[" not in returned else returned.partition("[")[0].rpartition(".")[2]
    return "async" if inspect.iscoroutinefunction(value) or awaitable in {"Awaitable", "Coroutine"} else "sync"


def main() -> None:
    """Answer for the names on standard input."""
    warnings.simplefilter("ignore")
    names = json.load(sys.stdin)
    answer = {name: facts(name) for name in names}
    Path(sys.argv[1]).write_text(json.dumps(answer), encoding="utf-8")


if __name__ == "__main__":
    main()

"""The probe of a rule: a script with which readers count, in their own program, what the rule says is kept."""

from __future__ import annotations

from string import Template
from typing import NamedTuple


class _Probe(NamedTuple):
    """What is special about a rule: imports, the lines to adapt (as they stand, they leak), what grows.

    ``outside`` is what keeps an object that no module leads to.
    """

    imports: tuple[str, ...]
    lines: str
    size: str
    outside: str = "C code or a thread"


def script(code: str) -> str | None:
    """The script for the rule with this code, which runs as it is; None where there is nothing to count."""
    probe = _PROBES.get(code)
    if probe is None:
        return None
    imports = ", ".join(sorted({"gc", "sys", "types", *probe.imports}))
    return _SCRIPT.substitute(code=code, imports=imports, lines=probe.lines, size=probe.size, outside=probe.outside)


_SCRIPT = Template('''\
"""$code: what does each call leave alive, and who keeps it? Adapt the numbered lines, run it, mend, run it again."""
import $imports

$lines
def live():
    gc.collect()
    return [each for each in gc.get_objects() if Watched in type(each).__mro__]

def path(thing):  # from a module down to it: looked for upwards, level by level, by who refers to whom
    seen = set() if Watched.__module__ == "__main__" else {id(globals())}  # this script only looks on
    modules = [(name, vars(each)) for name, each in sys.modules.copy().items() if isinstance(each, types.ModuleType)]
    tops = {id(names): f"module {name}" for name, names in modules if id(names) not in seen}
    levels, above = [], [thing]
    while above and len(levels) < 12 and seen.isdisjoint(tops):
        levels.append(above)
        seen.update(map(id, [above, *above]))
        above = [each for each in gc.get_referrers(*above) if not (id(each) in seen or type(each) is types.FrameType)]
    holder = max(levels.pop(), key=lambda each: tops.get(id(each), ""))
    words = [tops.get(id(holder), f"$outside -> {type(holder).__name__}")]
    while levels:
        held = {id(each) for each in gc.get_referents(holder)}
        names = {id(value): key for key, value in holder.items()} if type(holder) is dict else {}
        holder = next(each for each in levels.pop() if id(each) in held)
        name = names.get(id(holder)) or getattr(holder, "__qualname__", "")
        words.append(f"{type(holder).__name__} {name if type(name) is str else ''}".strip())
    return " -> ".join(words)

action(0)  # what the first call makes for all others is not counted
before, size = len(live()), $size
for number in range(1, 21):
    action(number)
after = live()
print(f"20 calls left {len(after) - before} live {Watched.__name__}")
print("$size was", size, "and is", $size)
print("kept by", path(after.pop()) if len(after) > before else "nobody, if action() makes any at all")
''')

_CONTAINER = """\
class Watched: ...                             # 1. instead: from app.tools import SqlTool as Watched
KEPT = {}                                      # 2. instead: from app.tools import TOOLS as KEPT
def action(number): KEPT[number] = Watched()   # 3. instead: def action(number): serve(f"user {number}")
"""
_KEYS = """\
class Watched: ...                             # 1. instead: from app.agents import Agent as Watched
KEPT = {}                                      # 2. instead: from app.usage import USAGE as KEPT
def action(number): KEPT[Watched()] = number   # 3. instead: def action(number): serve(f"user {number}")
"""
_ATTRIBUTE = """\
class Watched: ...                             # 1. instead: from app.sessions import Session as Watched
KEPT = {}                                      # 2. instead: from app.main import server; KEPT = server.sessions
def action(number): KEPT[number] = Watched()   # 3. instead: def action(number): server.handle(f"user {number}")
"""
_MEMO = """\
class Watched: ...                             # 1. instead: from app.tools import SqlTool as Watched
MEMO = functools.cache(lambda key: Watched())  # 2. instead: from app.tools import tool_for as MEMO
def action(number): MEMO(f"user {number}")     # 3. instead: def action(number): serve(f"user {number}")
"""
_REGISTRATION = """\
class Watched:                                 # 1. instead: from app.notes import Notes as Watched
    def __init__(self): {registered}
    def close(self): ...
def action(number): Watched().close()          # 2. instead: def action(number): Watched("notes.db").close()
"""
_PROBES = {
    "TL201": _Probe((), _CONTAINER, "len(KEPT)"),
    "TL202": _Probe(("functools",), _MEMO, "MEMO.cache_info()"),
    "TL206": _Probe((), _ATTRIBUTE, "len(KEPT)"),
    "TL301": _Probe((), _KEYS, "len(KEPT)"),
    "TL302": _Probe(
        ("weakref",),
        _REGISTRATION.format(registered="weakref.finalize(self, self.close)"),
        "len(weakref.finalize._registry)",
    ),
    "TL303": _Probe(
        ("atexit",),
        _REGISTRATION.format(registered="atexit.register(self.close)"),
        "atexit._ncallbacks()",
        "the registry of atexit (or a thread)",
    ),
}

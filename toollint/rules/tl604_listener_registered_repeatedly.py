"""A listener is added to a bus, a dispatcher or a logger again and again, and nothing ever takes one out.

## Why
An event bus lives as long as the process and keeps every listener. Registered in a loop, in a request handler or in the
constructor of what each request makes, one more is called for each event every time: messages come twice, then ten
times, and all that the listeners refer to stays (datarobot-genai#273: `@crewai_event_bus.on` inside the loop over a
crew's output; PraisonAI#1174: agents that subscribe, and a bus without a way to unsubscribe).

## Bad
```python
from crewai.events import crewai_event_bus
from crewai.events.types.tool_usage_events import ToolUsageStartedEvent


def follow(output, queue) -> None:
    for chunk in output:

        @crewai_event_bus.on(ToolUsageStartedEvent)
        def started(source, event) -> None:
            queue.put(event)

        print(chunk)
```

## Good
```python
from crewai.events import crewai_event_bus
from crewai.events.types.tool_usage_events import ToolUsageStartedEvent


def follow(output, queue) -> None:
    with crewai_event_bus.scoped_handlers():

        @crewai_event_bus.on(ToolUsageStartedEvent)
        def started(source, event) -> None:
            queue.put(event)

        for chunk in output:
            print(chunk)
```

## Fix
Moves the registration above the loop, where it uses nothing that the loop binds (unsafe: it then also runs where the
loop has no round, and before what the first round does above it).

## Not reported
What is registered while a module is imported, or by a function that nobody is known to run again; the same function
given to a registrar that takes it once; one that replaces the listener before (`signal.signal`); a bus that is local,
or chosen by an argument; weak registrars; a registration that a test decides about (`if not logger.handlers`), or of
which a round brings something; a bus that anything in the same file, or class, takes listeners out of; a
`with bus.scoped_handlers():` around it; constructors that no request, tool call or step is known to run; tests. Methods
of an object that `atexit` and loggers keep are TL303's.
"""

from collections.abc import Iterator

from toollint.analyses.callbacks import ATEXIT
from toollint.analyses.listeners import Listening
from toollint.model import Default, Finding, InsertLines, Note, Repair, ReplaceLines, Role, Safety, Severity, rule

_TITLE = "register it once, above the loop"
_KEPT_BY_TL303 = (ATEXIT, "logging.Logger.addHandler")


@rule(
    "TL604",
    "listener-registered-repeatedly",
    subject=Listening,
    severity=Severity.WARNING,
    default=Default.PREVIEW,
    fix=Safety.UNSAFE,
)
def check(listening: Listening) -> Iterator[Finding]:
    """Report a registration that adds one more listener each time."""
    if not listening.is_lasting or listening.is_undone:
        return
    when = _when(listening)
    if not when:
        return
    entry = listening.invoked if listening.loop is None else None
    said = f"the {entry.role} runs once a {entry.event}" if entry is not None else ""
    undo = sorted(listening.registrar.undo)
    yield Finding(
        listening.place,
        f"`{listening.text}` adds another listener {when}",
        label="nothing takes it out again",
        related=[Note(entry.place, said, Role.REGISTERED)] if entry is not None else [],
        notes=["all of them are kept and called, one more each time, with whatever they refer to"],
        help="register it once, while the program starts" + (f", or take it out with `{undo[0]}`" if undo else ""),
        fixes=[_repair(listening)] if listening.loop is not None else [],
    )


def _when(listening: Listening) -> str:
    """How often a listener is added; empty where it is not known to be more than once, or adds nothing."""
    function = listening.function
    if listening.loop is not None:
        return "in each round of the loop" if listening.adds else ""
    entry = listening.invoked
    if entry is None:
        return ""
    if listening.is_of_object and function is not None and function.cls is not None:
        return "" if listening.registrar.name in _KEPT_BY_TL303 else f"for each `{function.cls.name}`"
    return f"for each {entry.event} of `{entry.entry.name}`" if listening.adds else ""


def _repair(listening: Listening) -> Repair:
    found, loop = listening.hoisted, listening.loop
    if found is None or loop is None:
        why = "it uses what the loop binds, or is no whole statement of it"
        return Repair(_TITLE, Safety.DISPLAY, why=why, recipe="bus.on(Event, listener)  # above the loop\n")
    stmt, lines = found
    steps = (
        InsertLines(listening.code.at(loop.start, loop.end), lines, below=False),
        ReplaceLines(listening.code.at(stmt.start, stmt.end), ()),
    )
    return Repair(_TITLE, Safety.UNSAFE, steps, why="it then also runs where the loop has no round")

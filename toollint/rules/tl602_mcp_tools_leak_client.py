"""A client of an MCP server is made on each call, and only its tools live on: nobody can close it any more.

## Why
The tools of a toolset go on using its connection, and for a local server that is a process of its own. Who gets the
tools cannot close it. A function that makes the client, hands the tools on and forgets the client leaves one server
process for each call: one for each activity of a workflow (temporalio/sdk-python#1663), for each run of an ADK agent
(adk-python#823, #2196), 40 orphans in a day (hermes-agent#50169).

## Bad
```python
from crewai_tools import MCPServerAdapter
from desk import research_crew
from fastapi import FastAPI

app = FastAPI()


@app.post("/report")
def report(topic: str) -> str:
    adapter = MCPServerAdapter({"url": "https://tools.example.com/mcp"})
    crew = research_crew(topic, tools=adapter.tools)
    return str(crew.kickoff())
```

## Good
```python
from crewai_tools import MCPServerAdapter
from desk import research_crew
from fastapi import FastAPI

app = FastAPI()


@app.post("/report")
def report(topic: str) -> str:
    with MCPServerAdapter({"url": "https://tools.example.com/mcp"}) as tools:
        crew = research_crew(topic, tools=tools)
        return str(crew.kickoff())
```

## Fix
Only shown: the agent runs inside the client's `with`, or the client is made at start-up and closed at the end.

## Not reported
Functions that nothing is known to call again and again; one that first asks whether it has a client already; a client
that is closed or entered anywhere in the function, or that is returned, stored or given to anything but an agent that
is known to leave the closing to others; one that is never opened (TL601); what a function plainly loses, tools and all
(TL405, TL413); tests.
"""

from collections.abc import Iterator

from toollint.analyses.toolsets import Toolset
from toollint.catalog import Resource
from toollint.model import Default, Finding, Note, Repair, Role, Safety, Severity, rule


@rule(
    "TL602",
    "mcp-tools-leak-client",
    subject=Toolset,
    severity=Severity.WARNING,
    default=Default.PREVIEW,
    fix=Safety.DISPLAY,
)
def check(toolset: Toolset) -> Iterator[Finding]:
    """Report a client that its tools outlive."""
    entry = toolset.invoked
    if entry is None:
        return
    lost = toolset.code.at(toolset.lost.start, toolset.lost.end)
    label = f"given to `{toolset.taker}`" if toolset.taker else "only the tools go on"
    why = f"`{toolset.taker}` does not" if toolset.taker else "only its tools go on"
    yield Finding(
        toolset.place,
        f"`{toolset.name}` is opened on every {entry.event} and never closed: {why}",
        label="one more on each call",
        related=[
            Note(lost, label, Role.ESCAPES),
            Note(entry.place, f"runs once for each {entry.event}", Role.REGISTERED),
        ],
        notes=[f"each {entry.event} leaves one connection behind, for a local server one process"],
        help=f"run the agent inside {_block(toolset.resource)}, or open one at start-up and share it",
        fixes=[Repair("close it when the agent is done", Safety.DISPLAY, recipe=_recipe(toolset))],
    )


def _block(resource: Resource) -> str:
    if "releases" not in {resource.with_, resource.async_with}:
        return "a `try` that closes it in `finally`"
    return f"its `{_word(resource)}`"


def _word(resource: Resource) -> str:
    return "async with" if resource.async_with == "releases" and resource.with_ != "releases" else "with"


def _recipe(toolset: Toolset) -> str:
    resource, name = toolset.resource, toolset.name
    made = resource.name.rpartition(".")[2]
    if "releases" in {resource.with_, resource.async_with}:
        given = "tools" if resource.yields == "tools" else name
        return f"{_word(resource)} {made}(...) as {given}:\n    ...  # make the agent and run it in here\n"
    close = f"{'await ' if resource.async_ else ''}{name}.{resource.release}()"
    return f"{name} = {made}(...)\ntry:\n    ...  # make the agent and run it in here\nfinally:\n    {close}\n"

"""A graph or an agent is built anew for each request.

## Why
Building takes some milliseconds for each node (2.3 measured) and makes everything that the graph holds anew: tools,
their clients, schemas. The graph itself goes afterwards (measured), so this costs time rather than memory. One compiled
graph serves all requests, which their `thread_id` keeps apart (agent-service-toolkit#308). Agents that depend on the
user are built for each request on purpose: therefore the rule is off unless it is selected.

## Bad
```python
from fastapi import FastAPI
from langgraph.prebuilt import create_react_agent

app = FastAPI()


@app.post("/ask")
def ask(question: str) -> object:
    agent = create_react_agent("openai:gpt-5", [])
    return agent.invoke({"messages": [question]})
```

## Good
```python
from fastapi import FastAPI
from langgraph.prebuilt import create_react_agent

app = FastAPI()
agent = create_react_agent("openai:gpt-5", [])


@app.post("/ask")
def ask(question: str) -> object:
    return agent.invoke({"messages": [question]})
```

## Not reported
Graphs built while a module is imported, in a lifespan, in a function that is memoized, binds a global or asks first
whether there is one; functions that nobody is known to run for each request, tool call, message or step; tests.
"""

from collections.abc import Iterator

from toollint.analyses.compiled import Compiled
from toollint.model import Default, Finding, Note, Role, Severity, rule


@rule("TL607", "graph-compiled-per-request", subject=Compiled, severity=Severity.INFO, default=Default.OFF)
def check(compiled: Compiled) -> Iterator[Finding]:
    """Report what builds a graph or an agent each time."""
    entry = compiled.invoked
    yield Finding(
        compiled.place,
        f"the {compiled.kind} is built anew for each {entry.event} of `{entry.entry.name}`",
        label="built again each time",
        related=[Note(entry.place, f"the {entry.role} runs once a {entry.event}", Role.REGISTERED)],
        notes=["each time it costs some milliseconds a node, and makes all that it holds anew"],
        help="build it when the program starts, and keep the users apart by their configuration",
    )

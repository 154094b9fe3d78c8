"""An MCP server or client is used, or given to an agent, and nobody has connected it.

## Why
`Agent(mcp_servers=[...])` of the OpenAI Agents SDK does not connect the servers that it is given: the first run fails
with «Server not initialized. Make sure you call `connect()` first» (openai-agents#446, #1316). A `fastmcp.Client`
outside its `async with` raises at its first call; a bare `mcp.ClientSession` of mcp 1 waits for ever for an answer that
nobody reads. `MultiServerMCPClient` is the other way round: since langchain-mcp-adapters 0.1.0 it must not be entered,
and `async with` over it raises NotImplementedError.

## Bad
```python
from agents import Agent, Runner
from agents.mcp import MCPServerStdio


async def answer(question: str) -> str:
    server = MCPServerStdio(params={"command": "npx", "args": ["-y", "@acme/files"]})
    agent = Agent(name="files", mcp_servers=[server])
    result = await Runner.run(agent, question)
    return str(result.final_output)
```

## Good
```python
from agents import Agent, Runner
from agents.mcp import MCPServerStdio


async def answer(question: str) -> str:
    async with MCPServerStdio(params={"command": "npx", "args": ["-y", "@acme/files"]}) as server:
        agent = Agent(name="files", mcp_servers=[server])
        result = await Runner.run(agent, question)
        return str(result.final_output)
```

## Fix
Enters it in `async with` (or `with`) and moves what follows into the block. Unsafe: the server ends with the block.
Only shown where the object is used outside that block, has no name, or where `async with` may not stand.

## Not reported
An object that is entered, connected, started, returned, stored, put into an exit stack or a manager, or given to
anything but the arguments that are known to need it open: somebody may connect it there. Names that another file
imports or binds again; servers of agents where the project asks an agent for its servers (`agent.mcp_servers`).
Frameworks that connect by themselves: toolsets of pydantic-ai and ADK, `MCPClient` among the tools of a Strands agent,
AutoGen's workbenches. A `MultiServerMCPClient` that is entered by code for the old releases, which do not await
`get_tools`; tests.
"""

from collections.abc import Iterator

from toollint.analyses.unentered import Entering, Refusing, Unentered
from toollint.model import Default, Finding, Note, Repair, Replace, Role, Safety, Severity, Surround, rule


@rule(
    "TL601",
    "mcp-server-not-connected",
    subject=Entering,
    severity=Severity.ERROR,
    default=Default.ON,
    fix=Safety.UNSAFE,
)
def check(found: Unentered | Refusing) -> Iterator[Finding]:
    """Report what is used unconnected, and what is entered that must not be."""
    yield _unentered(found) if isinstance(found, Unentered) else _refusing(found)


# --- not entered -------------------------------------------------------------------------------------------------


def _unentered(found: Unentered) -> Finding:
    use = found.use.code.at(found.use.node.start, found.use.node.end)
    return Finding(
        found.place,
        f"`{found.name}` is {found.use.words}, and nobody connects or enters it",
        label="never connected",
        related=[Note(use, "needs it connected", Role.LAST_USE)],
        notes=[_note(found)],
        help=f"use it inside `{_word(found)} {found.called}(...) as {_variable(found)}:`",
        fixes=[_wrap(found)],
    )


def _note(found: Unentered) -> str:
    if found.use.taker:
        return (
            f"{found.use.words.removeprefix('given to ')} does not connect it: the first run fails, or lacks its tools"
        )
    return "before that a call fails, gives nothing, or waits for an answer that never comes"


def _word(found: Unentered) -> str:
    return "async with" if found.resource.async_with == "releases" else "with"


def _variable(found: Unentered) -> str:
    return found.name if found.name.isidentifier() and found.binding is not None else "server"


def _wrap(found: Unentered) -> Repair:
    word, name, title = _word(found), _variable(found), f"enter it by `{_word(found)}`"
    recipe = f"{word} {found.called}(...) as {name}:\n    ...  # everything that needs `{name}`\n"
    function, binding, rest = found.code.function, found.binding, found.rest
    if binding is None or binding.value is None or function is None or not rest:
        return Repair(title, Safety.DISPLAY, why="it is used in other places than the block", recipe=recipe)
    if word == "async with" and not function.node.is_async:
        return Repair(title, Safety.DISPLAY, why="the function is not async", recipe=recipe)
    at, value = found.code.at, binding.value
    steps = (
        Replace(at(binding.start, value.start), f"{word} "),
        Replace(at(value.end, value.end), f" as {name}:"),
        Surround(at(rest[0].start, rest[-1].end), (), ()),
    )
    return Repair(title, Safety.UNSAFE, steps, why="the connection ends with the block")


# --- must not be entered -----------------------------------------------------------------------------------------


def _refusing(found: Refusing) -> Finding:
    name = found.resource.name.rpartition(".")[2]
    word = "async with" if found.resource.async_with == "raises" else "with"
    return Finding(
        found.place,
        f"`{name}` must not be entered: `{word}` raises before the block runs",
        label="raises",
        notes=[found.resource.note],
        help=f"bind it to a name without `{word}`",
    )

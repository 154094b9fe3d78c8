"""The leak that toollint was founded on, in small (langgraph issue 3842).

Every query builds a tool on a database connection of its own and a graph around it, and drops both. langgraph up to
0.3.15 looks for subgraphs with a langchain-core function that remembers 256 functions and what their closures hold.

Usage: ``python founding_leak.py QUERIES``; prints how many connections are left.
"""

from __future__ import annotations

import gc
import sqlite3
import sys

from langchain_core.messages import AIMessage
from langchain_core.tools import StructuredTool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition


def query() -> None:
    """Let a graph use its tool once."""
    connection = sqlite3.connect(":memory:", check_same_thread=False)

    def look_up(number: int) -> int:
        """Ask the database for a number."""
        (answer,) = connection.execute("SELECT ?", (number,)).fetchone()
        return answer

    tool = StructuredTool.from_function(look_up)

    def assistant(state: MessagesState) -> dict[str, list[AIMessage]]:
        if state["messages"][-1].type == "tool":
            return {"messages": [AIMessage("done")]}
        call = {"name": tool.name, "args": {"number": 7}, "id": "1"}
        return {"messages": [AIMessage("", tool_calls=[call])]}

    builder = StateGraph(MessagesState)
    builder.add_node("assistant", assistant)
    builder.add_node("tools", ToolNode([tool]))
    builder.add_edge(START, "assistant")
    builder.add_conditional_edges("assistant", tools_condition)
    builder.add_edge("tools", "assistant")
    result = builder.compile().invoke({"messages": [("user", "seven?")]})
    if [message.type for message in result["messages"]] != ["human", "ai", "tool", "ai"]:
        sys.exit(f"the graph did not use its tool: {result}")


for _ in range(int(sys.argv[1])):
    query()
gc.collect()
print(sum(isinstance(thing, sqlite3.Connection) for thing in gc.get_objects()))

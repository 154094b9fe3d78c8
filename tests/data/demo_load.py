"""Sends requests to the demo agent in the current folder and counts what is left of them.

Usage: ``python demo_load.py REQUESTS...``; prints one JSON object for each number of requests, counted from the start.
"""

from __future__ import annotations

import gc
import json
import sqlite3
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, "")

from demo_agent import Request, serve
from demo_agent.handbook import HandbookSearch
from demo_agent.leave import LeaveBalance
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langgraph.graph.state import CompiledStateGraph


class ScriptedModel(BaseChatModel):
    """Asks both tools once, then repeats what they said."""

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, *_: Any, **__: Any) -> ScriptedModel:
        """Know the tools by heart."""
        return self

    def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        heard = [str(message.content) for message in messages if message.type == "tool"]
        calls = [
            {"name": "search_handbook", "args": {"query": "leave"}, "id": "1"},
            {"name": "leave_balance", "args": {"days_taken": 4}, "id": "2"},
        ]
        reply = AIMessage(" | ".join(heard)) if heard else AIMessage("", tool_calls=calls)
        return ChatResult(generations=[ChatGeneration(message=reply)])


def main() -> None:
    """Serve up to the largest number of requests, each from another user."""
    counts = {int(argument) for argument in sys.argv[1:]}
    with tempfile.TemporaryDirectory() as folder:
        handbook = Path(folder, "handbook.db")
        write_handbook(handbook)
        model = ScriptedModel()
        for number in range(1, max(counts) + 1):
            answer = serve(Request(f"user-{number}", "How much leave do I have?"), model, handbook)
            expected = f"Leave\nEverybody has 30 days of leave. | user-{number} has 26 of 30 days left."
            if answer != expected:
                sys.exit(f"wrong answer: {answer!r}")
            if number in counts:
                print(json.dumps(left_over()))


def write_handbook(path: Path) -> None:
    """One passage is enough to answer."""
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE passages (title TEXT, body TEXT)")
    connection.execute("INSERT INTO passages VALUES ('Leave', 'Everybody has 30 days of leave.')")
    connection.commit()
    connection.close()


def left_over() -> dict[str, int]:
    """What survives a full garbage collection, by the rule that speaks of it."""
    gc.collect()
    living = gc.get_objects()
    return {
        "TL101 open connections": sum(isinstance(thing, sqlite3.Connection) and is_open(thing) for thing in living),
        "TL201 leave tools": sum(isinstance(thing, LeaveBalance) for thing in living),
        "TL202 search tools": sum(isinstance(thing, HandbookSearch) for thing in living),
        "TL301 graphs": sum(isinstance(thing, CompiledStateGraph) for thing in living),
    }


def is_open(connection: sqlite3.Connection) -> bool:
    """A closed connection refuses every question."""
    try:
        connection.total_changes  # noqa: B018
    except sqlite3.ProgrammingError:
        return False
    return True


main()

"""A database session or connection is held while a model is asked.

## Why
A model answers in seconds or minutes, a pool has five or ten connections. Whoever asks the model inside the session's
`with`, or in an endpoint whose session has been used, keeps a connection out of the pool for all that time, mostly with
a transaction open on it, and a few requests at once bring the service down: «QueuePool limit reached» (dify#22306,
#21437, langflow#6866, #8814, agenticos#1084, Chainlit#2111). The answer does not need the session; what was read for
the question, and what is written of the answer, do.

## Bad
```python
from langchain_openai import ChatOpenAI
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

engine = create_engine("postgresql://db/jobs")
llm = ChatOpenAI()


def summarise(key: str) -> str:
    with Session(engine) as session:
        row = session.execute(text("select body from jobs where key = :key"), {"key": key}).one()
        return llm.invoke(row.body).text
```

## Good
```python
from langchain_openai import ChatOpenAI
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

engine = create_engine("postgresql://db/jobs")
llm = ChatOpenAI()


def summarise(key: str) -> str:
    with Session(engine) as session:
        body = session.execute(text("select body from jobs where key = :key"), {"key": key}).one().body
    return llm.invoke(body).text
```

## Not reported
A session that has not been used yet when the model is asked, or has been committed, rolled back or closed since;
sessions that a caller hands in; calls that are left to a task, a thread or a nested function; functions of the project
that commit or close anything on the way to the model; what neither the catalogue nor an unmistakable name
(`llm.invoke`, `chat.completions.create`) says to be a model; sqlite's connections; tests.
"""

from collections.abc import Iterator

from toollint.analyses.heldsession import HeldSession
from toollint.model import Default, Finding, Note, Role, Severity, rule

_HELP = {
    False: "read what the question needs, leave the block, ask the model, and write the answer in another block",
    True: "commit before the model is asked: that gives the connection back, and the next use takes one again",
}


@rule(
    "TL508",
    "db-session-held-across-llm-call",
    subject=HeldSession,
    severity=Severity.WARNING,
    default=Default.PREVIEW,
)
def check(found: HeldSession) -> Iterator[Finding]:
    """Report the first call in a session's block that waits for a model."""
    wait = found.wait
    label = "held until the request is over" if found.for_request else "taken here, until the block ends"
    related = [Note(found.taken_at, label, Role.ACQUIRED)]
    if wait.inner is not None:
        related.append(Note(wait.inner, "the model is asked here", Role.LAST_USE))
    yield Finding(
        found.place,
        f"`{found.name}` keeps its connection while `{wait.called}` waits for a model",
        label="waits for a model",
        related=related,
        notes=["for as long as the model takes, the connection is missing in the pool, and its transaction stays open"],
        help=_HELP[found.for_request],
    )

"""A tool, endpoint or graph step starts something that runs by itself, and loses its hold of it.

## Why
A process, a browser, a container or a sandbox goes on when the object that started it is gone; garbage collection stops
none of them. Started once for each call they pile up: 127 Chromes on one machine (playwright-cli#460), the driver
process of each `async_playwright().start()` (langchain#15605, browser-use#2890), sandboxes that are billed until they
time out (ROMA#11, kodeagent#53). Nobody else can stop them, because nobody else has the handle.

## Bad
```python
from langchain_core.tools import tool
from playwright.sync_api import sync_playwright


@tool
def title_of(url: str) -> str:
    \"\"\"The title of a page.\"\"\"
    playwright = sync_playwright().start()
    browser = playwright.chromium.launch()
    page = browser.new_page()
    page.goto(url)
    return page.text_content("title") or ""
```

## Good
```python
from langchain_core.tools import tool
from playwright.sync_api import sync_playwright


@tool
def title_of(url: str) -> str:
    \"\"\"The title of a page.\"\"\"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch()
        page = browser.new_page()
        page.goto(url)
        return page.text_content("title") or ""
```

## Fix
Only shown: whether it should end with the call, or be kept for the next one, is the program's own business.

## Not reported
What any way through the function stops, waits for, enters by `with`, returns, stores, or hands to something that may
(stopped on some ways only: TL405); what is asked for a number, a name or an address by which it can be found again; a
process that is waited for, read from, or asked how it does; one without pipes, which may be on an errand, and one that
is started to live on by itself (`start_new_session`, `creationflags`); threads and worker processes that run a function
which comes to an end, or is not known; timers; what a test around it, or a flag of the object, lets happen but once;
functions that nothing is known to call again and again; tests.
"""

from collections.abc import Iterator

from toollint.analyses.dropped import Dropped
from toollint.model import Finding, Note, Repair, Role, Safety, Severity, rule

_NOTES = {
    "process": "the process runs on",
    "thread": "the thread runs on, with all that it holds",
    "kernel": "the kernel's process runs on",
    "browser": "the browser's processes run on",
    "container": "the container runs on",
    "sandbox": "the sandbox runs on, and is paid for",
}


@rule("TL410", "started-handle-dropped", subject=Dropped, severity=Severity.WARNING, fix=Safety.DISPLAY)
def check(found: Dropped) -> Iterator[Finding]:
    """Report what each call starts and leaves to itself."""
    leak, resource, event = found.leak, found.resource, found.invoked.event
    name = leak.name or resource.name.rpartition(".")[2]
    verb = f"{resource.release}()" if resource.release else "with"
    yield Finding(
        leak.place,
        f"`{name}` is started on every {event} and left running: nobody can stop it",
        label="nobody keeps hold of it",
        related=[Note(found.invoked.place, f"runs once for each {event}", Role.REGISTERED)],
        notes=[f"{_NOTES[resource.category]} when the {event} is over: no garbage collection ends it"],
        help=f"end it with `{verb}` in a `finally`, or start one and keep it where something can stop it",
        fixes=[_repair(name, verb, is_async=resource.async_)],
    )


def _repair(name: str, verb: str, *, is_async: bool) -> Repair:
    wait = "await " if is_async else ""
    recipe = f"try:\n    ...  # what needs it\nfinally:\n    {wait}{name}.{verb}\n"
    return Repair("end it in a `finally`", Safety.DISPLAY, recipe=recipe)

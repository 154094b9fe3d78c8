"""Spot checks of the tables: streams and responses, what calls do with their arguments, memos, handlers, loops."""

from __future__ import annotations

import json

import pytest

from toollint.catalog import TABLE, load

ROWS = [line.partition("\t")[::2] for line in TABLE.read_text(encoding="utf-8").splitlines()]
OWN = {(key.partition(" ")[0], key.partition(" ")[2]): json.loads(row) for key, row in ROWS if row.startswith("{")}


def acquisition(call):
    found = load().acquisition(call)
    assert found is not None, call
    return found


# --- what a call acquires ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "when"),
    [
        ("requests.get", "stream"),
        ("requests.sessions.Session.post", "stream"),
        ("httpx.AsyncClient.send", "stream"),
        ("openai.OpenAI.chat.completions.create", "stream"),
        ("anthropic.AsyncAnthropic.messages.create", "stream"),
        ("docker.models.containers.Container.logs", "stream"),
        ("openpyxl.load_workbook", "read_only"),
        ("docker.DockerClient.events", ""),
        ("urllib.request.urlopen", ""),
    ],
)
def test_call_may_depend_on_an_argument(call, when):
    assert acquisition(call).when == when


@pytest.mark.parametrize(
    ("call", "element"),
    [
        ("tempfile.mkstemp", 0),
        ("os.pipe", "*"),
        ("socket.socketpair", "*"),
        ("multiprocessing.Pipe", "*"),
        ("anyio.create_memory_object_stream", "*"),
        ("botocore.client.BaseClient.get_object", "Body"),
        ("paramiko.SSHClient.exec_command", "*"),
        ("asyncio.AbstractEventLoop.create_connection", 0),
        ("os.scandir", None),
    ],
)
def test_resource_may_be_a_part_of_what_the_call_gives(call, element):
    assert acquisition(call).element == element


@pytest.mark.parametrize(
    ("call", "release", "is_async", "leak", "weight"),
    [
        ("PIL.Image.open", "close", False, "freed by refcount", "low"),
        ("requests.get", "close", False, "freed by refcount", "low"),
        ("httpx.Client.send", "close", False, "open after gc", "medium"),
        ("httpx.AsyncClient.send", "aclose", True, "open after gc", "medium"),
        ("openai.AsyncOpenAI.chat.completions.create", "close", True, "open after gc", "low"),
        ("docker.models.containers.Container.logs", "close", False, "freed by refcount", "medium"),
        ("os.popen", "close", False, "open after gc", "medium"),
        ("gzip.open", "close", False, "freed by refcount", "medium"),
        ("http.server.HTTPServer", "server_close", False, "freed by refcount", "high"),
        ("asyncio.start_server", "close", False, "open after gc", "high"),
        ("watchdog.observers.Observer", "stop", False, "open after gc", "high"),
        ("anyio.open_process", "aclose", True, "open after gc", "high"),
        ("pexpect.spawn", "close", False, "freed by refcount", "high"),
        ("aiohttp.web.AppRunner", "cleanup", True, "open after gc", "high"),
        ("urllib3.PoolManager.urlopen", "release_conn", False, "freed by refcount", "low"),
        ("langfuse.Langfuse", "shutdown", False, "open after gc", "low"),
    ],
)
def test_release_and_what_a_drop_leaves(call, release, is_async, leak, weight):
    found = acquisition(call).resource
    assert (found.release, found.async_, found.leak, found.weight) == (release, is_async, leak, weight)


@pytest.mark.parametrize(
    ("call", "manager"),
    [
        ("httpx.stream", "sync"),
        ("httpx.AsyncClient.stream", "async"),
        ("anthropic.Anthropic.messages.stream", "sync"),
        ("openai.AsyncOpenAI.responses.stream", "async"),
        ("pydantic_ai.Agent.run_stream", "async"),
        ("psycopg_pool.ConnectionPool.connection", "sync"),
        ("fsspec.open", "sync"),
    ],
)
def test_call_gives_a_context_manager(call, manager):
    assert acquisition(call).manager == manager


@pytest.mark.parametrize("call", ["PIL.Image.open", "requests.get", "httpx.Client.send", "zipfile.ZipFile.open"])
def test_mere_data_is_no_kind_of_object_that_caches_are_judged_by(call):
    resource = acquisition(call).resource.name
    assert load().kind(resource) is None
    assert load().base(resource) is not None


@pytest.mark.parametrize(
    ("name", "verbs"),
    [
        ("xmlrpc.client.ServerProxy", {"close"}),
        ("psycopg_pool.ConnectionPool.getconn", {"close"}),
        ("redis.client.Pipeline", {"shutdown", "quit", "delete"}),
        ("langsmith.Client", {"flush"}),
        ("aiohttp.web.AppRunner", {"shutdown"}),
    ],
)
def test_verbs_that_do_not_release(name, verbs):
    resource = load().resource(name)
    assert resource is not None
    assert verbs <= set(resource.never)


@pytest.mark.parametrize("browser", ["chromium", "firefox", "webkit"])
def test_browser_is_launched_through_the_attribute_of_playwright(browser):
    launched = acquisition(f"playwright.async_api.Playwright.{browser}.launch")
    assert launched.resource.name == "playwright.async_api.Browser"


# --- loops ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("httpx.AsyncClient", "measured"),
        ("httpx2.AsyncClient", "measured"),
        ("aiohttp.ClientSession", "measured"),
        ("openai.AsyncOpenAI", "measured"),
        ("anthropic.AsyncAnthropic", "measured"),
        ("motor.motor_asyncio.AsyncIOMotorClient", "source"),
        ("asyncpg.Pool", "judged"),
        ("httpx.Client", ""),
        ("aiosqlite.Connection", ""),
        ("chromadb.api.async_client.AsyncClient", ""),
    ],
)
def test_loop_bound_objects(name, known):
    resource = load().resource(name)
    assert resource is not None
    assert resource.loop_bound == known


def test_what_only_a_coroutine_releases_is_loop_bound_or_known_not_to_be():
    free = {name for (section, name), row in OWN.items() if section == "resource" and row.get("async_")} - {
        name for (section, name), row in OWN.items() if section == "resource" and row.get("loop_bound")
    }
    assert {"aiosqlite.Connection", "anyio.AsyncFile", "aiofiles.open"} <= free
    assert not {name for name in free if name.startswith(("redis.", "asyncpg.", "httpx.", "aiohttp.", "playwright."))}


# --- calls and their arguments -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "role", "parameter"),
    [
        ("langgraph.graph.state.StateGraph.compile", "retains", "checkpointer"),
        ("langgraph.graph.StateGraph.compile", "retains", "store"),
        ("langgraph.func.entrypoint", "retains", "checkpointer"),
        ("langchain_mcp_adapters.tools.load_mcp_tools", "retains", "session"),
        ("langchain_mcp_adapters.prompts.load_mcp_prompt", "borrows", "session"),
        ("agents.Agent", "retains", "mcp_servers"),
        ("agents.Runner.run", "borrows", "starting_agent"),
        ("agents.Runner.run_streamed", "retains", "starting_agent"),
        ("pydantic_ai.toolsets.CombinedToolset", "owns", "toolsets"),
        ("google.adk.agents.LoopAgent", "retains", "sub_agents"),
        ("agno.team.Team", "retains", "members"),
        ("strands.Agent", "retains", "tools"),
        ("autogen_agentchat.teams.Swarm", "retains", "participants"),
        ("semantic_kernel.Kernel.add_plugin", "retains", "plugin"),
        ("httpx.AsyncClient", "owns", "transport"),
        ("openai.OpenAI", "owns", "http_client"),
        ("requests.Session.mount", "owns", "adapter"),
        ("ssl.SSLContext.wrap_socket", "owns", "sock"),
        ("zipfile.ZipFile", "borrows", "file"),
        ("json.load", "borrows", "fp"),
        ("csv.reader", "retains", "csvfile"),
        ("signal.signal", "registers", "handler"),
        ("logging.Logger.addHandler", "registers", "hdlr"),
        ("crewai.events.crewai_event_bus.register_handler", "registers", "handler"),
        ("unittest.TestCase.addCleanup", "owns", "function"),
        ("threading.Thread", "retains", "target"),
    ],
)
def test_call_does_with_its_argument(call, role, parameter):
    effect = load().effect(call)
    assert effect is not None, call
    assert parameter in getattr(effect, role)


def test_effect_says_something_of_each_parameter_once():
    for (section, name), row in OWN.items():
        if section == "effect":
            fates = [each for role in ("owns", "retains", "borrows") for each in row.get(role, [])]
            assert len(fates) == len(set(fates)), name
            assert fates or row.get("registers"), name


# --- memos and handlers --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "bound"),
    [
        ("langchain_core.runnables.utils.get_function_nonlocals", 256),
    ],
)
def test_library_call_that_keeps_a_function(name, bound):
    memoized = load().memoized(name)
    assert memoized is not None
    assert memoized.bound == bound
    assert "function" in memoized.keeps


@pytest.mark.parametrize(
    ("name", "starts", "keeps"),
    [
        ("langfuse.langchain.CallbackHandler", "", "run"),
        ("langfuse.callback.CallbackHandler", "thread", ""),
        ("opentelemetry.sdk.trace.export.BatchSpanProcessor", "thread", ""),
        ("langchain_core.tracers.LangChainTracer", "", "run"),
        ("opik.Opik", "thread", ""),
    ],
)
def test_handler_tells_what_each_object_costs(name, starts, keeps):
    handler = load().handler(name)
    assert handler is not None
    assert starts in handler.starts
    assert keeps in handler.keeps
    assert bool(handler.starts) is bool(starts)
    assert bool(handler.keeps) is bool(keeps)


def test_handler_starts_or_keeps_something():
    handlers = [row for (section, _), row in OWN.items() if section == "handler"]
    assert handlers
    assert all(row.get("starts") or row.get("keeps") for row in handlers)


# --- a method is found -----------------------------------------------------------------------------------------------


def test_method_is_written_under_the_canonical_name_of_its_class():
    for (section, name), row in OWN.items():
        if section == "acquire" and row["kind"] == "method":
            owner = name.rpartition(".")[0]
            found = load().base(owner)
            assert found is None or found.name == owner, name


# --- what runs again, and what is added again ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "event"),
    [
        ("fastapi.applications.FastAPI.post", "request"),
        ("fastapi.APIRouter.websocket", "connection"),
        ("langgraph.graph.state.StateGraph.add_node", "step"),
        ("chainlit.on_message", "message"),
        ("celery.shared_task", "run"),
    ],
)
def test_entry_point_runs_once_for_each_event(name, event):
    entry = load().entry(name)
    assert entry is not None
    assert entry.event == event


def test_entry_point_names_its_own_parameters():
    for (section, name), row in OWN.items():
        if section == "entry":
            assert set(row.get("runs", [])) <= set(row.get("params", [])), name


@pytest.mark.parametrize(
    ("call", "twice", "undo"),
    [
        ("logging.Logger.addHandler", False, "removeHandler"),
        ("crewai.events.crewai_event_bus.on", False, "off"),
        ("loguru.logger.add", True, "remove"),
        ("llama_index.core.instrumentation.dispatcher.Dispatcher.add_event_handler", True, ""),
    ],
)
def test_registrar_adds_another_listener(call, twice, undo):
    effect = load().effect(call)
    assert effect is not None
    assert effect.grows
    assert effect.twice is twice
    assert (undo in effect.undo) is bool(undo)


def test_what_takes_the_place_of_the_listener_before_does_not_grow():
    effect = load().effect("signal.signal")
    assert effect is not None
    assert not effect.grows

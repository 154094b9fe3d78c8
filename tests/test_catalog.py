"""The catalogue: its tables are well formed, the compiled table is theirs, and it says what was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from toollint.catalog import TABLE, Catalog, load
from toollint.catalog.compile import CatalogError, build, extend

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LINES = [line for line in TABLE.read_text(encoding="utf-8").splitlines() if not line.startswith("trigger ")]
ROWS = [line.replace("\t", " ", 1).split(" ", 2) for line in LINES]
NAMES = [(section, name) for section, name, _ in ROWS]
LOOKUP: dict[str, Callable[[str], Any]] = {
    "acquire": load().acquisition,
    "resource": load().resource,
    "type": load().base,
    "tool": load().tool,
    "memoizer": load().memoizer,
    "memoized": load().memoized,
    "container": load().container,
    "effect": load().effect,
    "returns": load().returns,
    "handler": load().handler,
    "entry": load().entry,
    "runner": load().runner,
}
RESOURCE = '[resource."db.Pool"]\ncategory = "db"\nweight = "high"\nevidence = "judged"\n'


def compiled(folder: Path, text: str) -> Catalog:
    (folder / "some.toml").write_text(text, encoding="utf-8")
    return Catalog(build(folder).dump())


# --- the table that ships ------------------------------------------------------------------------------------------


def test_compiled_table_equals_the_tables():
    assert build(TABLE.parent).dump() == TABLE.read_text(encoding="utf-8")


def test_every_name_has_an_immutable_record():
    for section, name in NAMES:
        found = LOOKUP[section](name)
        assert found is not None, (section, name)
        hash(found)


def test_every_alias_shares_the_row_of_its_name():
    aliases = [(section, alias, name) for section, alias, name in ROWS if not name.startswith("{")]
    assert aliases
    for section, alias, name in aliases:
        assert LOOKUP[section](alias) == LOOKUP[section](name)


def test_every_row_tells_its_evidence():
    words = ("measured", "source", "introspected", "judged")
    for section, name in NAMES:
        row = LOOKUP[section](name)
        evidence = row.resource.evidence if section == "acquire" else getattr(row, "evidence", "judged")
        assert evidence.startswith(words), (section, name)


def test_triggers_cover_every_name_that_a_rule_could_ask_for():
    triggers = load().triggers()
    found = [(name, load().kind(name)) for section, name in NAMES if section == "type"]
    kinds = [name for name, kind in found if kind is not None and kind.kind != "callable"]
    resources = [(name, load().acquisition(name).resource) for section, name in NAMES if section == "acquire"]
    subjects = {
        "acquisition": [name for section, name in NAMES if section == "acquire"],
        "kind": [*kinds, *(name for section, name in NAMES if section in {"tool", "returns"})],
        "memo": [name for section, name in NAMES if section in {"memoizer", "memoized"}],
        "handler": [name for section, name in NAMES if section == "handler" and load().handler(name).starts],
        "listener": [name for section, name in NAMES if section == "effect" and load().effect(name).grows],
        "passing": [name for section, name in NAMES if section == "acquire" and load().acquisition(name).when],
        "server": [name for name, one in resources if one.needs_entering or one.coroutines or one.gives_tools],
    }
    assert set(triggers) == set(subjects)
    for subject, names in subjects.items():
        for name in names:
            acquired = load().acquisition(name) if subject == "acquisition" else None
            word = (acquired and acquired.when) or name.rpartition(".")[2]
            assert word.encode() in triggers[subject][name.partition(".")[0].encode()]
    assert b"asyncio" not in triggers["memo"]
    assert b"typing" not in triggers["kind"]


# --- what it says: the surprises of the measurements ---------------------------------------------------------------

RELEASES = [
    # name, release, async, with, async with
    ("sqlite3.connect", "close", False, "keeps", "absent"),
    ("psycopg2.connect", "close", False, "keeps", "absent"),
    ("pyodbc.connect", "close", False, "keeps", "absent"),
    ("psycopg.connect", "close", False, "releases", "absent"),
    ("duckdb.connect", "close", False, "releases", "absent"),
    ("aiohttp.ClientSession", "close", True, "raises", "releases"),
    ("aiomysql.create_pool", "close", False, "raises", "releases"),
    ("ollama.Client", "close", False, "releases", "raises"),
    ("ollama.AsyncClient", "close", True, "keeps", "releases"),
    ("httpx.Client", "close", False, "releases", "absent"),
    ("httpx.AsyncClient", "aclose", True, "absent", "releases"),
    ("openai.AsyncOpenAI", "close", True, "absent", "releases"),
    ("sqlalchemy.create_engine", "dispose", False, "absent", "absent"),
    ("sqlalchemy.ext.asyncio.create_async_engine", "dispose", True, "absent", "absent"),
    ("psycopg2.pool.ThreadedConnectionPool", "closeall", False, "absent", "absent"),
    ("concurrent.futures.ThreadPoolExecutor", "shutdown", False, "releases", "absent"),
    ("cassandra.cluster.Cluster", "shutdown", False, "releases", "absent"),
    ("clickhouse_driver.Client", "disconnect", False, "releases", "absent"),
    ("aiokafka.AIOKafkaProducer", "stop", True, "absent", "releases"),
    ("urllib3.PoolManager", "clear", False, "releases", "absent"),
    ("sqlalchemy.orm.scoped_session", "remove", False, "absent", "absent"),
    ("zmq.Context", "term", False, "releases", "absent"),
    ("e2b.Sandbox.create", "kill", False, "releases", "absent"),
    ("imaplib.IMAP4_SSL", "logout", False, "releases", "absent"),
    ("selenium.webdriver.Chrome", "quit", False, "releases", "absent"),
    ("subprocess.Popen", "wait", False, "releases", "absent"),
    ("asyncio.create_subprocess_exec", "wait", True, "absent", "absent"),
    ("asyncpg.connect", "close", True, "absent", "absent"),
    ("os.open", "os.close", False, "absent", "absent"),
    ("lancedb.connect", "", False, "absent", "absent"),
    ("chromadb.AsyncHttpClient", "", False, "absent", "absent"),
    ("mcp.ClientSession", "", False, "absent", "releases"),
    ("agents.mcp.MCPServerStdio", "cleanup", True, "absent", "releases"),
    ("redis.asyncio.from_url", "aclose", True, "absent", "releases"),
    ("redis.from_url", "close", False, "releases", "absent"),
    ("langchain_mcp_adapters.client.MultiServerMCPClient", "", False, "absent", "raises"),
    ("playwright.async_api.PlaywrightContextManager.start", "stop", True, "absent", "absent"),
]


@pytest.mark.parametrize(("call", "release", "is_async", "with_", "async_with"), RELEASES)
def test_release_is_the_one_that_works(call, release, is_async, with_, async_with):
    found = load().acquisition(call)
    assert found is not None
    resource = found.resource
    assert (resource.release, resource.async_, resource.with_, resource.async_with) == (
        release,
        is_async,
        with_,
        async_with,
    )


@pytest.mark.parametrize(
    ("call", "field", "value"),
    [
        ("asyncpg.connect", "awaited", "yes"),
        ("asyncpg.create_pool", "awaited", "either"),
        ("aiosqlite.connect", "awaited", "either"),
        ("psycopg.AsyncConnection.connect", "awaited", "yes"),
        ("httpx.AsyncClient", "awaited", "no"),
        ("langgraph.checkpoint.sqlite.SqliteSaver.from_conn_string", "manager", "sync"),
        ("langgraph.checkpoint.postgres.aio.AsyncPostgresSaver.from_conn_string", "manager", "async"),
        ("mcp.client.stdio.stdio_client", "manager", "async"),
        ("playwright.sync_api.sync_playwright", "manager", "sync"),
        ("tempfile.mkstemp", "element", 0),
        ("asyncio.open_connection", "element", 1),
        ("psycopg_pool.ConnectionPool", "lazy", False),
        ("sqlalchemy.create_engine", "lazy", True),
        ("pymongo.MongoClient", "lazy", False),
    ],
)
def test_call_gives_its_resource_in_its_own_way(call, field, value):
    assert getattr(load().acquisition(call), field) == value


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        ("asyncpg.Pool", "leak", "open after gc"),
        ("aiosqlite.Connection", "leak", "open after gc"),
        ("pymongo.MongoClient", "leak", "open after gc"),
        ("subprocess.Popen", "leak", "open after gc"),
        ("kafka.KafkaConsumer", "leak", "open after gc"),
        ("httpx.Client", "leak", "freed by full gc pass"),
        ("sqlite3.Connection", "leak", "freed by full gc pass"),
        ("psycopg.Connection", "leak", "freed by refcount"),
        ("psycopg2.pool.SimpleConnectionPool", "second_close", "raises"),
        ("oracledb.ConnectionPool", "second_close", "raises"),
        ("pyodbc.Connection", "second_close", "raises"),
        ("google.cloud.pubsub_v1.PublisherClient", "second_close", "raises"),
        ("sqlite3.Connection", "weakref", False),
        ("shelve.Shelf", "hashable", False),
        ("tempfile.TemporaryDirectory", "yields", "path"),
        ("smolagents.MCPClient", "yields", "tools"),
        ("openai.OpenAI", "category", "llm"),
        ("lancedb.DBConnection", "weight", "none"),
    ],
)
def test_resource_is_as_measured(name, field, value):
    assert getattr(load().resource(name), field) == value


@pytest.mark.parametrize(
    ("name", "verbs"),
    [
        ("oracledb.Connection", {"shutdown"}),
        ("redis.Redis", {"shutdown", "quit", "delete"}),
        ("redis.asyncio.Redis", {"shutdown", "quit", "delete"}),
        ("imaplib.IMAP4", {"close"}),
        ("selenium.webdriver.Firefox", {"close"}),
        ("multiprocessing.Process", {"close"}),
        ("sqlalchemy.orm.Session", {"delete"}),
        ("httpx.Client", {"delete"}),
        ("requests.Session", {"delete"}),
        ("docker.APIClient", {"stop", "kill"}),
        ("paramiko.SFTPClient", {"remove", "unlink"}),
        ("logging.FileHandler", {"release"}),
        ("socket.socket", {"shutdown"}),
    ],
)
def test_dangerous_verbs_are_on_the_deny_list(name, verbs):
    resource = load().resource(name)
    assert resource is not None
    assert verbs <= set(resource.never)
    assert not verbs & {resource.release, *resource.others}


@pytest.mark.parametrize(
    ("name", "kind", "key_safe", "value_valid"),
    [
        ("langgraph.graph.state.CompiledStateGraph", "graph", True, True),
        ("langgraph.graph.StateGraph", "graph", True, True),
        ("langgraph.pregel.Pregel", "graph", True, True),
        ("langgraph.prebuilt.ToolNode", "tool", True, True),
        ("langchain_core.tools.BaseTool", "tool", False, True),
        ("langchain_core.runnables.RunnableLambda", "runnable", False, True),
        ("langchain_core.retrievers.BaseRetriever", "component", False, True),
        ("crewai.Crew", "graph", True, True),
        ("crewai.Flow", "graph", True, True),
        ("crewai.Agent", "agent", True, True),
        ("crewai.tools.BaseTool", "tool", False, True),
        ("agents.Agent", "agent", False, True),
        ("agents.FunctionTool", "tool", False, True),
        ("pydantic_ai.Agent", "agent", False, True),
        ("llama_index.core.workflow.Workflow", "graph", True, True),
        ("smolagents.CodeAgent", "agent", True, True),
        ("autogen_agentchat.teams.DiGraph", "graph", False, True),
        ("google.adk.agents.LlmAgent", "agent", False, True),
        ("haystack.Pipeline", "graph", False, True),
        ("networkx.DiGraph", "graph", True, True),
        ("rustworkx.PyGraph", "graph", False, False),
        ("sqlite3.Connection", "resource", False, False),
        ("mcp.ClientSession", "session", True, True),
        ("langgraph.checkpoint.memory.MemorySaver", "component", True, True),
        ("requests.Session", "session", True, True),
        ("langchain_core.chat_history.InMemoryChatMessageHistory", "session", False, True),
        ("collections.abc.Callable", "callable", True, True),
    ],
)
def test_kind_tells_whether_weak_containers_take_it(name, kind, key_safe, value_valid):
    found = load().kind(name)
    assert found is not None
    assert (found.kind, found.weak_key_safe, found.weak_value_valid) == (kind, key_safe, value_valid)


@pytest.mark.parametrize(
    ("name", "closers", "empty"),
    [
        ("builtins.object", set(), set()),
        ("builtins.ValueError", set(), set()),
        ("typing.Protocol", set(), set()),
        ("typing_extensions.TypedDict", set(), set()),
        ("pydantic.BaseModel", set(), set()),
        ("threading.Thread", set(), set()),
        ("langchain_core.tools.BaseTool", set(), set()),
        ("langchain_core.vectorstores.VectorStore", set(), set()),
        ("logging.Handler", {"close"}, set()),
        ("contextlib.AbstractContextManager", {"__exit__"}, {"__exit__"}),
        ("agno.db.base.BaseDb", {"close"}, {"close"}),
        ("agno.tools.Toolkit", {"close"}, {"close"}),
        ("google.adk.tools.base_toolset.BaseToolset", {"close"}, {"close"}),
        ("autogen_core.tools.Workbench", {"stop", "__aexit__"}, {"stop"}),
        ("httpx.AsyncClient", {"aclose", "__aexit__"}, set()),
        ("sqlite3.Connection", {"close"}, set()),
    ],
)
def test_base_brings_its_closers(name, closers, empty):
    found = load().base(name)
    assert found is not None
    assert (set(found.closers), set(found.empty_closers)) == (closers, empty)


@pytest.mark.parametrize(
    ("name", "kind", "called", "closer"),
    [
        ("langchain.tools.BaseTool", "base", False, "any"),
        ("langchain_core.tools.tool", "decorator", False, "any"),
        ("langchain_core.tools.retriever.create_retriever_tool", "factory", False, "any"),
        ("langgraph.prebuilt.ToolNode", "holder", False, "any"),
        ("crewai_tools.BaseTool", "base", False, "any"),
        ("agents.function_tool", "decorator", False, "any"),
        ("pydantic_ai.toolsets.AbstractToolset", "toolkit", True, "async"),
        ("google.adk.tools.base_toolset.BaseToolset", "toolkit", True, "async"),
        ("smolagents.Tool", "base", False, "any"),
        ("haystack.tools.Toolset", "toolkit", True, "any"),
        ("autogen_core.tools.Workbench", "toolkit", False, "async"),
        ("fastmcp.FastMCP.tool", "decorator", True, "any"),
    ],
)
def test_tool_tells_who_closes_it(name, kind, called, closer):
    tool = load().tool(name)
    assert tool is not None
    assert (tool.kind, tool.called, tool.closer) == (kind, called, closer)
    assert tool.caller
    assert not tool.caller.endswith(".")


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("langchain_core.retrievers.BaseRetriever", "retriever"),
        ("langchain_core.vectorstores.VectorStore", "vectorstore"),
        ("langgraph.checkpoint.base.BaseCheckpointSaver", "checkpointer"),
        ("langchain_core.language_models.BaseChatModel", "model"),
        ("langchain_core.tools.BaseToolkit", "toolkit"),
        ("agents.mcp.MCPServerStdio", "mcp"),
        ("crewai.Agent", "agent"),
        ("langchain_core.chat_history.BaseChatMessageHistory", "memory"),
    ],
)
def test_component_has_a_role(name, role):
    component = load().component(name)
    assert component is not None
    assert component.role == role


@pytest.mark.parametrize(
    ("name", "type_"),
    [
        ("langgraph.graph.StateGraph.compile", "langgraph.graph.state.CompiledStateGraph"),
        ("langgraph.graph.state.StateGraph.compile", "langgraph.graph.state.CompiledStateGraph"),
        ("langgraph.prebuilt.create_react_agent", "langgraph.graph.state.CompiledStateGraph"),
        ("langchain.agents.create_agent", "langgraph.graph.state.CompiledStateGraph"),
        ("langgraph.pregel.main.Pregel", "langgraph.pregel.Pregel"),
        ("langgraph.graph.StateGraph.no_such_method", None),
        ("builtins.no_such_name", None),
    ],
)
def test_returns_gives_the_canonical_type(name, type_):
    assert load().returns(name) == type_


def test_memoizers_and_memoized_functions():
    catalog = load()
    cache, lru = catalog.memoizer("functools.cache"), catalog.memoizer("functools.lru_cache")
    own = catalog.memoizer("methodtools.lru_cache")
    founding = catalog.memoized("langchain_core.runnables.utils.get_function_nonlocals")
    assert cache is not None
    assert (cache.form, cache.bound, cache.ruff) == ("bare", None, True)
    assert lru is not None
    assert (lru.form, lru.bound, lru.ruff) == ("both", 128, True)
    assert own is not None
    assert own.per_instance
    assert founding is not None
    assert founding.bound == 256


@pytest.mark.parametrize(
    ("name", "shape", "bound", "weak"),
    [
        ("builtins.dict", "mapping", "never", ""),
        ("collections.deque", "sequence", "maxlen", ""),
        ("cachetools.TTLCache", "mapping", "always", ""),
        ("weakref.WeakKeyDictionary", "mapping", "never", "keys"),
        ("weakref.WeakSet", "set", "never", "items"),
    ],
)
def test_container_tells_its_bound(name, shape, bound, weak):
    container = load().container(name)
    assert container is not None
    assert (container.shape, container.bound, container.weak) == (shape, bound, weak)


# --- wrong tables --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            RESOURCE + 'relase = "close"',
            ['some.toml: [resource."db.Pool"]: unknown key `relase`: did you mean `release`?'],
        ),
        (RESOURCE + "release = 1", ["`release` must be a string, not an integer"]),
        (RESOURCE + 'release = "close()"', ["`release` must name a method or a function, not `close()`"]),
        (RESOURCE + 'with = "closes"', ["`with` must be one of", "`keeps`", "not `closes`"]),
        (RESOURCE + 'never = "shutdown"', ["`never` must be an array of strings, not `shutdown`"]),
        (RESOURCE + "never = [1]", ["`never` must be an array of strings, not an array that holds an integer"]),
        (RESOURCE + "second-close = true", ["`second-close`", "`raises`", "not a boolean"]),
        (RESOURCE + 'aliases = "db.P"', ["`aliases` must be an array, not a string"]),
        (RESOURCE + "aliases = [1]", ["`aliases` must hold strings only, not an integer"]),
        (RESOURCE + 'aliases = ["db P.x"]', ["`db P.x` is no full name"]),
        (RESOURCE + "acquire = 1", ["`acquire` must be an array, not an integer"]),
        ("[default]\ntype = 1\n[type]", ["[default.type]", "`type` must be a table"]),
        ("type = 1", ["some.toml: [type]", "`type` must be a table"]),
        ('[type]\n"db.Pool" = 1', ['[type."db.Pool"]', "`db.Pool` must be a table"]),
        ("[type.db.Pool]", ["[type.db]: `db` is no full name: write it in quotes with its module"]),
        (RESOURCE + 'acquire = ["db.open"]', ["`acquire` must be a table, not a string"]),
        (RESOURCE + 'acquire = [{ kind = "function" }]', ['[resource."db.Pool"]', "no `call`"]),
        (RESOURCE + 'acquire = [{ call = "db.open", lazy = 1 }]', ["`lazy` must be true or false, not an integer"]),
        (RESOURCE + 'release = "stop"\nnever = ["stop"]', ["`release` has `stop`, which `never` forbids"]),
        (RESOURCE + 'others = ["stop"]\nnever = ["stop"]', ["`others` has `stop`, which `never` forbids"]),
        (RESOURCE + 'aliases = ["db.Pool"]', ["`db.Pool` already has a row"]),
        (RESOURCE + '[type."db.Pool"]', ["`db.Pool` already has a row in section `type`"]),
        ('[resource."db.Pool"]\ncategory = "db"', ['[resource."db.Pool"]', "`weight` is missing"]),
        ('[resorce."db.Pool"]', ["some.toml: unknown section `resorce`: did you mean `resource`?"]),
        ('[default.typ]\nkind = "graph"', ["unknown section `typ`: did you mean `type`?"]),
        ('[acquire."db.open"]', ["unknown section `acquire`"]),
        ('[type."db.Pool"]\nkind = "grap"', ["`kind` must be one of", "`graph`", "not `grap`"]),
        (
            '[returns."db.open"]\ntype = "db.Pol"\n[type."db.Pool"]',
            ['some.toml: [returns."db.open"]: `type` names no type: `db.Pol`: did you mean `db.Pool`?'],
        ),
        ("[type", ["some.toml: "]),
    ],
)
def test_wrong_table_is_refused_with_file_and_key(tmp_path, text, says):
    with pytest.raises(CatalogError) as error:
        compiled(tmp_path, text)
    for part in says:
        assert part in str(error.value)


def test_defaults_hold_for_their_section_and_file(tmp_path):
    catalog = compiled(
        tmp_path,
        '[default.type]\nevidence = "measured: x"\n[type]\n"a.B" = {}\n"a.C" = { evidence = "judged" }\n'
        '[container."a.D"]\nshape = "set"\n',
    )
    first, second, third = catalog.base("a.B"), catalog.base("a.C"), catalog.container("a.D")
    assert first is not None
    assert second is not None
    assert third is not None
    assert (first.evidence, second.evidence, third.evidence) == ("measured: x", "judged", "")


def test_resource_is_also_a_type_under_all_its_constructors(tmp_path):
    catalog = compiled(
        tmp_path,
        RESOURCE
        + 'aliases = ["db.pool.Pool"]\nrelease = "stop"\nasync = true\nasync-with = "releases"\nwith = "raises"\n'
        + 'acquire = [{ call = "db.Pool", kind = "constructor" }, { call = "db.BigPool", kind = "constructor" }]\n',
    )
    for name in ("db.Pool", "db.pool.Pool", "db.BigPool"):
        found = catalog.kind(name)
        assert found is not None
        assert (found.name, found.kind, found.closers) == ("db.Pool", "resource", ("stop", "__aexit__"))
        assert found.async_closers == ("stop", "__aexit__")
        assert catalog.acquisition(name) is not None


def test_call_named_like_its_resource_constructs_it_unless_told_otherwise(tmp_path):
    catalog = compiled(tmp_path, RESOURCE + 'acquire = [{ call = "db.Pool" }, { call = "db.connect" }]')
    kinds = [catalog.acquisition(name) for name in ("db.Pool", "db.connect")]
    assert [each and each.kind for each in kinds] == ["constructor", "function"]


def test_function_that_names_a_nameless_resource_is_no_type(tmp_path):
    catalog = compiled(tmp_path, RESOURCE + 'acquire = [{ call = "db.Pool", kind = "function" }]')
    assert catalog.acquisition("db.Pool") is not None
    assert catalog.base("db.Pool") is None


# --- what users add ------------------------------------------------------------------------------------------------


def added(*configurations: dict[str, Any]) -> Catalog:
    """The catalogue that ships with what configurations say, the last one last."""
    tables: tuple[str, ...] = ()
    for number, sections in enumerate(configurations):
        tables += (extend(load(tables), sections, f"/{number}.toml"),)
    return load(tables)


@pytest.mark.parametrize(
    ("section", "row", "look_up", "expected"),
    [
        ("resources", {"release": "stop"}, "resource", {"release": "stop", "weight": "high", "category": "own"}),
        ("resources", {"release": "stop", "async": True}, "acquisition", {"kind": "constructor", "awaited": "no"}),
        ("resources", {"release": "stop", "with": "releases"}, "kind", {"closers": ("stop", "__exit__")}),
        ("tools", {}, "tool", {"kind": "base", "framework": "own"}),
        ("tools", {"kind": "decorator"}, "tool", {"kind": "decorator"}),
        ("tools", {"closers": ["stop"], "hashable": False}, "kind", {"kind": "tool", "closers": ("stop",)}),
        ("graphs", {}, "kind", {"kind": "graph", "weak_key_safe": True}),
        ("graphs", {"kind": "agent", "hashable": False}, "kind", {"kind": "agent", "weak_key_safe": False}),
        ("types", {"closers": ["close"]}, "base", {"kind": "", "closers": ("close",)}),
        ("calls", {"retains": ["tools"]}, "effect", {"retains": ("tools",), "params": ()}),
        ("returns", {"type": "sqlite3.Connection"}, "returns", {}),
        ("memoizers", {"bound": 3}, "memoizer", {"form": "both", "bound": 3}),
        ("memoized", {"keeps": "its arguments"}, "memoized", {"keeps": "its arguments"}),
        ("handlers", {"starts": "a thread"}, "handler", {"starts": "a thread"}),
        ("containers", {"weak": "keys"}, "container", {"shape": "mapping", "weak": "keys"}),
    ],
)
def test_users_tell_of_their_libraries_in_few_words(section, row, look_up, expected):
    catalog = added({section: {"own.lib.Thing": row}})
    found = getattr(catalog, look_up)("own.lib.Thing")
    assert found is not None
    assert {key: getattr(found, key) for key in expected} == expected
    assert getattr(load(), look_up)("own.lib.Thing") is None


def test_users_rows_are_triggers_beside_those_that_ship():
    catalog = added(
        {"resources": {"own.Pool": {}, "psycopg.Own": {}}, "graphs": {"own.Graph": {}}, "memoizers": {"own.memo": {}}},
        {"resources": {"own.Other": {"acquire": [{"call": "own.open"}]}}},
    )
    triggers, shipped = catalog.triggers(), load().triggers()
    assert triggers["acquisition"][b"own"] == {b"Pool", b"open"}
    assert triggers["acquisition"][b"psycopg"] == shipped["acquisition"][b"psycopg"] | {b"Own"}
    assert triggers["kind"][b"own"] == {b"Pool", b"Graph", b"Other"}
    assert triggers["memo"][b"own"] == {b"memo"}


def test_a_row_that_is_there_keeps_what_is_not_said_anew():
    catalog = added({"resources": {"oracledb.Connection": {"weight": "low"}}}, {"types": {"networkx.Graph": {}}})
    shipped, changed = load().resource("oracledb.Connection"), catalog.resource("oracledb.Connection")
    assert shipped is not None
    assert changed == shipped._replace(weight="low")
    assert catalog.kind("networkx.Graph") == load().kind("networkx.Graph")
    assert catalog.tables("resource", "oracledb.connection.Connection") == ["db.toml", "/0.toml"]
    assert catalog.tables("resource", "no.Such") == []


@pytest.mark.parametrize("name", ["psycopg.Connection", "psycopg.connection.Connection", "psycopg.connect"])
def test_a_resource_answers_to_all_its_names_and_calls(name):
    catalog = added({"resources": {name: {"release": "stop"}}})
    acquisition, class_ = catalog.acquisition("psycopg.connect"), catalog.kind("psycopg.Connection")
    assert acquisition is not None
    assert class_ is not None
    assert (acquisition.resource.name, acquisition.resource.release) == ("psycopg.Connection", "stop")
    assert {"close", "stop", "__exit__"} <= set(class_.closers)


def test_later_configurations_beat_earlier_ones_key_by_key():
    first = {"resources": {"own.Pool": {"release": "stop", "weight": "low"}}, "graphs": {"own.Graph": {}}}
    catalog = added(first, {"resources": {"own.Pool": {"weight": "none"}}})
    pool, class_ = catalog.resource("own.Pool"), catalog.base("own.Pool")
    assert pool is not None
    assert class_ is not None
    assert (pool.release, pool.weight, class_.kind) == ("stop", "none", "")
    assert catalog.kind("own.Graph") is not None
    assert catalog.tables("resource", "own.Pool") == ["/0.toml", "/1.toml"]


@pytest.mark.parametrize(
    ("section", "name", "row", "keys", "says"),
    [
        ("resources", "oracledb.Connection", {"release": "shutdown"}, "release", "forbids: did you mean `close`?"),
        ("resources", "oracledb.connect", {"others": ["shutdown"]}, "others", "forbids: did you mean `close`?"),
        (
            "resources",
            "own.Pool",
            {"aliases": ["sqlite3.Connection"], "acquire": []},
            "",
            "`sqlite3.Connection` already has a row",
        ),
        ("returns", "own.make", {"type": "sqlite3.Conection"}, "type", "did you mean `sqlite3.Connection`?"),
        ("returns", "own.make", {}, "type", "`type` is missing"),
        ("tools", "own.make", {"kind": "factory", "returns": "own.Tool"}, "returns", "names no type: `own.Tool`"),
        ("tools", "own.Tool", {"hookes": []}, "hookes", "did you mean `hooks`?"),
        ("types", "a\tb.c", {}, "", "is no full name"),
    ],
)
def test_what_users_get_wrong_is_said_with_its_place(section, name, row, keys, says):
    with pytest.raises(CatalogError) as error:
        added({section: {name: row}})
    assert says in error.value.message
    assert error.value.keys[:2] == (section, name)
    assert error.value.keys[2:] == ((keys,) if keys else ())


def test_what_users_write_is_left_as_it_is():
    sections = {"resources": {"psycopg.Connection": {"aliases": ["own.Connection"], "acquire": [{"call": "own.open"}]}}}
    before = repr(sections)
    added(sections)
    assert repr(sections) == before

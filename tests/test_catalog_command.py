"""Libraries that users tell of, from the configuration to findings; `toollint catalog`, which shows what is known."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from toollint.catalog import load
from toollint.catalog.records import RECORDS
from toollint.cli import main
from toollint.output import catalog as output
from toollint.output.terminal import Look

NAMES = sorted({name for section in RECORDS for name in load().names(section) if section != "type"})
DOCS = (Path(__file__).parents[1] / "docs" / "catalogue.md").read_text()
CONFIGURATION = """\
[tool.toollint]
preview = true
[tool.toollint.resources."mydb.Pool"]
release = "shutdown"
acquire = [{ call = "mydb.Pool" }, { call = "mydb.connect" }]
[tool.toollint.tools."myfw.BaseTool"]
[tool.toollint.graphs."myfw.Graph"]
[tool.toollint.memoizers."myfw.remember"]
form = "bare"
[tool.toollint.containers."myfw.Registry"]
"""
VENDOR = "from mydb import Pool as DbPool, connect\nfrom myfw import BaseTool, Graph, Registry, remember\n"
OWNER = """\
class Lookup(BaseTool):
    def __init__(self, dsn):
        self._pool = {}

    def run(self, query):
        return self._pool.execute(query)
"""
KEYED = """\
CACHE = {}


def put(name):
    CACHE[Graph(name)] = name
"""
MEMOIZED = """\
@remember
def pool(dsn):
    return DbPool(dsn)
"""


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch) -> Path:
    """A project that tells of its libraries and takes them from a module of its own, seen from its root."""
    (tmp_path / "pyproject.toml").write_text(CONFIGURATION)
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "__init__.py").write_text("from .vendor import *\n")
    (tmp_path / "app" / "vendor.py").write_text(VENDOR)
    monkeypatch.chdir(tmp_path)
    for name in ("NO_COLOR", "FORCE_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def checked(capsys, *arguments: str) -> list[str]:
    main(["--output-format", "concise", "-q", *arguments])
    return [re.sub(r"^.*?: (TL\d+) .*", r"\1", line) for line in capsys.readouterr().out.splitlines()]


# --- from the configuration to findings ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("imports", "text", "code"),
    [
        ("from myfw import BaseTool\nimport mydb", OWNER.format("mydb.Pool(dsn)"), "TL101"),
        ("from myfw import BaseTool\nfrom mydb import connect", OWNER.format("connect(dsn)"), "TL101"),
        ("from app.vendor import BaseTool, DbPool", OWNER.format("DbPool(dsn)"), "TL101"),
        ("from app import BaseTool, connect as open_pool", OWNER.format("open_pool(dsn)"), "TL101"),
        ("from app import *", OWNER.format("connect(dsn)"), "TL101"),
        ("import app as a", OWNER.replace("BaseTool", "a.BaseTool").format("a.DbPool(dsn)"), "TL101"),
        ("from myfw import Graph", KEYED.format("{}"), "TL301"),
        ("from app import Graph", KEYED.format("{}"), "TL301"),
        ("from app import Graph, Registry", KEYED.replace("{}", "Registry()"), "TL301"),
        ("from app import DbPool, remember", MEMOIZED, "TL202"),
    ],
)
def test_what_users_tell_is_found_through_re_exports_too(project, capsys, imports, text, code):
    (project / "service.py").write_text(f"{imports}\n\n\n{text}")
    assert checked(capsys) == [code]
    assert checked(capsys, "--frontend", "libcst") == [code]
    assert checked(capsys, "--isolated", "--preview") == []


def test_the_release_that_users_name_is_what_a_fix_writes(project, capsys):
    (project / "service.py").write_text("from app import BaseTool, DbPool\n\n\n" + OWNER.format("DbPool(dsn)"))
    assert main(["--fix"]) == 0
    assert "            pool.shutdown()\n" in (project / "service.py").read_text()
    assert checked(capsys)[1:] == []


def test_processes_are_told_as_well(project, capsys):
    for number in range(70):
        (project / f"service{number}.py").write_text("from app import Graph\n\n\n" + KEYED)
    assert checked(capsys, "--jobs", "2") == ["TL301"] * 70


@pytest.mark.parametrize(
    ("edit", "line", "message"),
    [
        (('release = "shutdown"', 'relase = "shutdown"'), 4, "unknown key `relase`: did you mean `release`?"),
        (('release = "shutdown"', "release = 1"), 4, "`release` must be a string, not an integer"),
        (
            ('"mydb.Pool"', '"oracledb.Connection"'),
            4,
            "`release` has `shutdown`, which `never` forbids: did you mean `close`?",
        ),
        (("graphs", "grphs"), 7, "unknown key `grphs`: did you mean `graphs`?"),
        (('form = "bare"', 'form = "plain"'), 9, "`form` must be one of `bare`, `called`, `both`, not `plain`"),
    ],
)
def test_a_wrong_table_is_one_line_with_its_place(project, capsys, edit, line, message):
    (project / "pyproject.toml").write_text(CONFIGURATION.replace(*edit, 1))
    for arguments in (["."], ["catalog", "psycopg.connect"]):
        assert main(arguments) == 2
        assert capsys.readouterr() == ("", f"toollint: pyproject.toml:{line}: {message}\n")


def test_what_the_docs_show_is_so(project, capsys):
    (tables,) = re.findall(r"^```toml\n(.*?)^```", DOCS, re.MULTILINE | re.DOTALL)
    (page,) = re.findall(r"^```console\n\$ toollint catalog sqlite3.connect\n(.*?)^```", DOCS, re.MULTILINE | re.DOTALL)
    (project / "pyproject.toml").write_text(tables)
    assert main(["catalog", "mydb.connect", "mydb.Pool", "myfw.BaseTool", "myfw.Graph", "myfw.Agent"]) == 0
    capsys.readouterr()
    assert main(["catalog", "sqlite3.connect"]) == 0
    assert capsys.readouterr().out == page


# --- toollint catalog ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        (
            "psycopg.connect",
            ["Gives psycopg.Connection, a resource (db).", "release close(), may be called again", "with releases it"],
        ),
        (
            "sqlite3.Connection",
            [
                "A resource (db): whoever constructs it has to release it.",
                "acquired by sqlite3.connect",
                "with leaves it open",
                "if dropped closed only by a full gc pass",
                "in caches cannot be held weakly",
                "also named sqlite3.dbapi2.Connection",
                "from toollint/catalog/db.toml",
            ],
        ),
        ("oracledb.Connection", ["never shutdown(): no release, whatever it sounds like"]),
        ("os.open", ["Gives a resource (file).", "release os.close(x), raises when called again"]),
        ("tempfile.mkstemp", ["in its result as item 0"]),
        ("asyncpg.create_pool", ["release await close(), may be called again", "async with releases it"]),
        ("asyncpg.connect", ["awaited always"]),
        (
            "mcp.client.stdio.stdio_client",
            ["Gives an async context manager, which gives a resource (mcp).", "release by leaving the block"],
        ),
        ("requests.Session", ["Also a session."]),
        (
            "botocore.response.StreamingBody",
            ["read out it holds nothing after read, readlines, a loop over it, a loop over iter_lines(), a"],
        ),
        ("asyncio.AbstractEventLoop", ["before that stop(): while it runs the release raises"]),
        (
            "langchain_core.tools.tool",
            [
                "A decorator that makes tools of LangChain.",
                "who closes LangChain never calls `close`: whoever builds the tool has to",
                "gives langchain_core.tools.StructuredTool",
            ],
        ),
        ("google.adk.tools.base_toolset.BaseToolset", ["hooks close(): called by the framework", "to await close()"]),
        ("langgraph.graph.state.CompiledStateGraph", ["A graph."]),
        (
            "langchain_core.retrievers.BaseRetriever",
            ["A part of an agent (retriever).", "pydantic fields must be declared"],
        ),
        ("contextlib.AbstractContextManager", ["empty __exit__(): nothing is released there"]),
        ("functools.lru_cache", ["written @lru_cache or @lru_cache(...)", "bound 128 entries, unless told otherwise"]),
        ("cachetools.cached", ["bound as the container that `cache` brings"]),
        (
            "langchain_core.runnables.utils.get_function_nonlocals",
            ["A function that remembers what it was called with."],
        ),
        ("weakref.WeakKeyDictionary", ["A container (mapping).", "weakly held its keys: an entry goes when they do"]),
        ("collections.deque", ["bound only where `maxlen` is set"]),
        ("weakref.finalize", ["registered func: for the whole process", "by position obj, func"]),
        (
            "langgraph.graph.StateGraph.compile",
            ["Gives langgraph.graph.state.CompiledStateGraph.", "What becomes of its arguments:"],
        ),
    ],
)
def test_the_page_of_a_name(capsys, name, lines):
    assert main(["catalog", name]) == 0
    title, *page = capsys.readouterr().out.splitlines()
    assert title == name
    told = [" ".join(line.split()) for line in page]
    assert [line for line in lines if line not in told] == []
    assert any(line.startswith(("evidence measured", "evidence introspected", "evidence source")) for line in told)
    assert any(line.startswith("from toollint/catalog/") for line in told)


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("mydb.connect", "  from           pyproject.toml\n"),
        ("myfw.BaseTool", "  who closes     myfw is not known to call `close`: whoever builds the tool has to\n"),
        ("sqlite3.connect", "  weight         low: too slight to be reported in a tool\n"),
        ("sqlite3.connect", "  from           pyproject.toml over toollint/catalog/db.toml\n"),
    ],
)
def test_what_users_tell_is_shown_with_their_file(project, capsys, name, line):
    with (project / "pyproject.toml").open("a") as file:
        file.write('[tool.toollint.resources."sqlite3.Connection"]\nweight = "low"\n')
    assert main(["catalog", name]) == 0
    assert line in capsys.readouterr().out
    assert main(["catalog", name, "--isolated"]) == (name[:2] == "my")
    assert line not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("psycopg.conect", "the catalogue has no 'psycopg.conect': did you mean psycopg.connect, "),
        ("StateGraph", "the catalogue has no 'StateGraph': did you mean langgraph.graph.StateGraph, "),
        ("open", "the catalogue has no 'open': did you mean builtins.open, "),
        ("psycopg", "the catalogue has no 'psycopg': did you mean psycopg.Cursor, psycopg.connect, "),
        ("app.vendor.DbPool", "the catalogue has no 'app.vendor.DbPool'"),
        ("nothing\x1b[31m\nlike it", "the catalogue has no 'nothing"),
    ],
)
def test_an_unknown_name_is_one_line_and_exits_1(capsys, name, message):
    assert main(["catalog", "httpx.Client", name]) == 1
    out, err = capsys.readouterr()
    assert out.startswith("httpx.Client\nA resource (http): ")
    assert err.startswith(f"toollint: {message}")
    assert err.count("\n") == 1
    assert "\x1b" not in err


def test_several_names_as_json(capsys):
    assert main(["catalog", "psycopg.connect", "no.such.name", "mydb.Pool", "--output-format", "json"]) == 1
    first, second = json.loads(capsys.readouterr().out)
    assert (first["name"], second["name"]) == ("psycopg.connect", "mydb.Pool")
    call, resource = first["entries"]
    assert (call["section"], call["name"], call["resource"]) == ("acquire", "psycopg.connect", "psycopg.Connection")
    assert (resource["section"], resource["release"], resource["async-with"]) == ("resource", "close", "absent")
    assert resource["tables"] == ["toollint/catalog/db.toml"]
    assert resource["evidence"].startswith("measured: psycopg")
    assert {entry["section"] for entry in second["entries"]} == {"acquire", "resource", "type"}
    assert all(table.endswith("/pyproject.toml") for entry in second["entries"] for table in entry["tables"])


@pytest.mark.parametrize(("choice", "title"), [("always", "\x1b[1mhttpx.Client\x1b[0m\n"), ("never", "httpx.Client\n")])
def test_colours_of_a_page(capsys, choice, title):
    assert main(["catalog", "httpx.Client", "--color", choice]) == 0
    assert capsys.readouterr().out.startswith(title)


def test_every_name_that_is_no_mere_class_has_a_page_of_short_lines():
    for name in NAMES:
        page = output.page(name, output.entries(load(), name), Look())
        title, headline, *rest = page.splitlines()
        assert title == name
        assert headline[0].isupper(), name
        assert headline[-1] in ".:", name
        assert any(line.startswith("  from  ") for line in rest), name
        assert all(len(line) <= 100 or len(line[17:].split()) == 1 for line in rest), name

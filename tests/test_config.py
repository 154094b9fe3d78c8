"""Configuration: where it is found, what it may say, and the one line that tells what is wrong with it."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path

import pytest

from toollint import catalog, config
from toollint.config import Config, ConfigError, load
from toollint.model import Default, Rule, Severity


@dataclass(frozen=True)
class Options:
    llm_clients: bool = False
    limit: int = 3
    names: tuple[str, ...] = ()


def rule(code: str, name: str, default: Default = Default.ON, options: type | None = None) -> Rule:
    return Rule(code, name, object, Severity.WARNING, default, None, lambda _: iter(()), "", "stem", options)


RULES = (
    rule("TL101", "tool-owns", options=Options),
    rule("TL102", "tool-leaks"),
    rule("TL201", "module-cache", Default.PREVIEW),
    rule("TL301", "strong-key", Default.OFF),
)


def put(folder: Path, **files: str) -> None:
    """Write files; ``__`` in a name is a dot."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)


def loaded(start: Path, **arguments) -> Config:
    return load(start, rules=RULES, **arguments)


def codes(**settings) -> list[str]:
    path = settings.pop("path", Path("/project/a.py"))
    return [each.code for each in Config(**settings).enabled(RULES, path)]


# --- finding -----------------------------------------------------------------------------------------------------


def test_without_a_file_everything_is_as_usual(tmp_path):
    assert loaded(tmp_path) == Config()


def test_the_nearest_file_wins(tmp_path):
    put(tmp_path, toollint__toml="src = ['far']")
    put(tmp_path / "near", pyproject__toml="[tool.toollint]\nsrc = ['near']\n")
    put(tmp_path / "near/sub", pyproject__toml="[project]\nname = 'toollint-user'\n", a__py="")
    found = loaded(tmp_path / "near/sub/a.py")
    assert (found.src, found.root) == (("near",), tmp_path / "near")


def test_within_a_folder_our_own_file_wins(tmp_path):
    put(tmp_path, pyproject__toml="[tool.toollint]\npreview = true\n", __toollint__toml="src = ['dotted']\n")
    assert loaded(tmp_path) == Config(src=("dotted",), root=tmp_path)
    put(tmp_path, toollint__toml="src = ['plain']\n")
    assert loaded(tmp_path) == Config(src=("plain",), root=tmp_path)


def test_a_file_may_be_named_or_forbidden(tmp_path):
    put(tmp_path, toollint__toml="preview = true\n", other__toml="unsafe-fixes = true\n")
    assert loaded(tmp_path, config_file=tmp_path / "other.toml") == Config(unsafe_fixes=True, root=tmp_path)
    assert loaded(tmp_path, isolated=True) == Config()


def test_a_foreign_pyproject_need_not_even_be_valid(tmp_path):
    put(tmp_path, pyproject__toml="<<<<<<< HEAD\n")
    assert loaded(tmp_path) == Config()


# --- what it may say ---------------------------------------------------------------------------------------------


def test_every_key(tmp_path):
    put(
        tmp_path,
        toollint__toml="""
            select = ["ALL"]
            extend-select = ["tool-owns"]
            ignore = ["TL2"]
            preview = true
            exclude = ["a"]
            extend-exclude = ["b"]
            force-exclude = true
            src = ["lib"]
            frontend = "libcst"
            unsafe-fixes = true
            output-format = "json"
            [per-file-ignores]
            "tests/**" = ["TL101"]
            [rules.tool-owns]
            llm-clients = true
            limit = 4
            names = ["x"]
        """,
    )
    assert loaded(tmp_path) == Config(
        select=("ALL",),
        extend_select=("tool-owns",),
        ignore=("TL2",),
        preview=True,
        exclude=("a",),
        extend_exclude=("b",),
        force_exclude=True,
        src=("lib",),
        frontend="libcst",
        unsafe_fixes=True,
        output_format="json",
        per_file_ignores={"tests/**": ("TL101",)},
        rules={"TL101": {"llm_clients": True, "limit": 4, "names": ("x",)}},
        root=tmp_path,
    )


def test_what_is_extended_comes_first_and_the_command_line_last(tmp_path):
    put(
        tmp_path,
        base__toml="select = ['ALL']\nextend-select = ['TL1']\nsrc = ['base']\nrules.TL101.limit = 1\n"
        "rules.TL101.names = ['base']\n[per-file-ignores]\na = ['TL1']\nb = ['TL1']\n",
    )
    put(
        tmp_path / "sub",
        middle__toml="extend = '../base.toml'\nextend-select = ['TL2']\n[per-file-ignores]\nb = ['TL2']\n",
        pyproject__toml="[tool.toollint]\nextend = 'middle.toml'\nselect = ['TL3']\n[tool.toollint.rules.TL101]\n"
        "limit = 2\n",
    )
    overrides = {"extend_select": ("TL3",), "src": ["cli"], "preview": None, "per_file_ignores": {"c": ["ALL"]}}
    assert loaded(tmp_path / "sub", overrides=overrides) == Config(
        select=("TL3",),
        extend_select=("TL1", "TL2", "TL3"),
        src=("cli",),
        rules={"TL101": {"limit": 2, "names": ("base",)}},
        per_file_ignores={"a": ("TL1",), "b": ("TL2",), "c": ("ALL",)},
        root=tmp_path / "sub",
    )


def test_rows_of_the_catalogue(tmp_path):
    put(
        tmp_path,
        base__toml="[resources.'mydb.Pool']\nrelease = 'shutdown'\nweight = 'low'\n[graphs.'myfw.Graph']\n",
        toollint__toml="extend = 'base.toml'\n[resources.'mydb.Pool']\nweight = 'high'\n[tools.'myfw.BaseTool']\n"
        "[calls.'myfw.Agent']\nretains = ['tools']\n",
    )
    found = loaded(tmp_path)
    known = catalog.load(found.catalogue)
    pool, agent = known.resource("mydb.Pool"), known.effect("myfw.Agent")
    assert pool is not None
    assert agent is not None
    assert (pool.release, pool.weight, agent.retains) == ("shutdown", "high", ("tools",))
    assert known.kind("myfw.Graph") is not None
    assert known.tool("myfw.BaseTool") is not None
    own = str(tmp_path / "toollint.toml")
    assert known.tables("resource", "mydb.Pool") == [str(tmp_path / "base.toml"), own]
    assert known.tables("tool", "myfw.BaseTool") == [own]


def test_a_configuration_is_a_value(tmp_path):
    put(tmp_path, toollint__toml="[resources.'mydb.Pool']\nrelease = 'shutdown'\n")
    first, second = loaded(tmp_path), loaded(tmp_path)
    assert first == second == pickle.loads(pickle.dumps(first))
    put(tmp_path, toollint__toml="[resources.'mydb.Pool']\nrelease = 'close'\n")
    assert loaded(tmp_path) != first
    assert catalog.load(first.catalogue) is catalog.load(second.catalogue)


# --- what is wrong -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("# x\nselct = []\n", 2, "unknown key `selct`: did you mean `select`?"),
        ("extend_exclude = []", 1, "unknown key `extend_exclude`: did you mean `extend-exclude`?"),
        ("src = []\n\n[resource.X]\na = 1", 3, "unknown key `resource`: did you mean `resources`?"),
        ("src = []\n[resources.mydb.Pool]\n", 2, "`mydb` is no full name: write it in quotes with its module"),
        ("resources = 1", 1, "`resources` must be a table, not an integer"),
        ("[graphs]\n'a.G' = 1", 2, "`a.G` must be a table, not an integer"),
        ("[resources.'a.P']\n\nrelase = 'stop'", 3, "unknown key `relase`: did you mean `release`?"),
        ("[resources.'a.P']\nrelease = 1", 2, "`release` must be a string, not an integer"),
        ("[resources.'a.P']\nweight = 'hi'", 2, "`weight` must be one of `high`, `medium`, `low`, `none`, not `hi`"),
        ("[resources.'a.P']\nrelease = 'a'\nnever = ['a']", 2, "`release` has `a`, which `never` forbids"),
        (
            "[graphs.'a.G']\n[resources.'oracledb.Connection']\nrelease = 'shutdown'",
            3,
            "`release` has `shutdown`, which `never` forbids: did you mean `close`?",
        ),
        ("[resources.'a.P']\nacquire = [\n  { call = 'a.open', lasy = true }]", 2, "unknown key `lasy`"),
        ("[tools]\n'a.T' = { hashable = 1 }", 2, "`hashable` must be true or false, not an integer"),
        ("[calls.'a.C']\nretains = 'tools'", 2, "`retains` must be an array of strings, not `tools`"),
        ("[returns.'a.make']\n", 1, "`type` is missing"),
        ("select = 'ALL'", 1, "`select` must be an array of strings, not a string"),
        ("select = ['ALL', 3]", 1, "`select` must hold strings only, not an integer"),
        ("preview = 1", 1, "`preview` must be true or false, not an integer"),
        ("preview = 2020-01-01", 1, "`preview` must be true or false, not a date or time"),
        ("frontend = true", 1, "`frontend` must be a string, not a boolean"),
        ("frontend = 'cst'", 1, "`frontend` must be one of `ast`, `libcst`, not `cst`"),
        ("per-file-ignores = []", 1, "`per-file-ignores` must be a table, not an array"),
        ("extend = 1", 1, "`extend` must be a string, not an integer"),
        ("select = [\n  'TL101',\n  'TL999', # x\n]", 3, "unknown rule `TL999`"),
        ("select = ['tl102']", 1, "unknown rule `tl102`: did you mean `TL102`?"),
        ("ignore = ['tool-own']", 1, "unknown rule `tool-own`: did you mean `tool-owns`?"),
        ("select = ['']", 1, "unknown rule ``"),
        ("select = ['T']", 1, "unknown rule `T`"),
        ("[per-file-ignores]\nb = ['TL1']\n'a/*' = [\n 'TL9']", 4, "unknown rule `TL9`"),
        ("rules.TL102.limit = 1", 1, "unknown option `limit` of TL102"),
        ("[rules]\n[rules.TL101]\nlimits = 1", 3, "unknown option `limits` of TL101: did you mean `limit`?"),
        ("[rules.TL101]\nlimit = true", 2, "`limit` must be an integer, not a boolean"),
        ("[rules.TL101]\nnames = 'x'", 2, "`names` must be an array of strings, not a string"),
        ("[rules.'TL10']\n", 1, "unknown rule `TL10`"),
        ("rules.TL101 = 1", 1, "`TL101` must be a table, not an integer"),
        ("src = []\nselect = [\n\n", 2, "not valid TOML"),
        ("a: b\n", 1, "not valid TOML (column 2)"),
        ("extend = 'nowhere.toml'", 1, "cannot extend `nowhere.toml`: no such file"),
        ("extend = '/dev/zero'", 1, "cannot extend `/dev/zero`: no such file"),
    ],
)
def test_one_line_says_what_is_wrong_and_where(tmp_path, monkeypatch, text, line, message):
    monkeypatch.chdir(tmp_path)
    put(tmp_path, toollint__toml=text)
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path)
    assert (caught.value.file, caught.value.line) == ("toollint.toml", line)
    assert caught.value.message.startswith(message)
    assert str(caught.value) == f"toollint.toml:{line}: {caught.value.message}"
    assert "\n" not in str(caught.value)


def test_places_in_pyproject_count_from_its_tables(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    put(tmp_path, pyproject__toml="[tool.other]\nselct = 1\n[tool.toollint]\nsrc = []\nselct = 1\n")
    with pytest.raises(ConfigError, match=r"^pyproject\.toml:5: unknown key `selct`"):
        loaded(tmp_path)
    put(tmp_path, pyproject__toml="[tool]\ntoollint = 3\n")
    with pytest.raises(ConfigError, match=r"^pyproject\.toml:2: `tool\.toollint` must be a table, not an integer"):
        loaded(tmp_path)


def test_the_command_line_is_checked_as_well(tmp_path):
    with pytest.raises(ConfigError, match=r"^--extend-select: unknown rule `TL9`"):
        loaded(tmp_path, overrides={"extend_select": ("TL9",)})


def test_a_circle_of_files_is_shown(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    put(tmp_path, toollint__toml="extend = 'b.toml'", b__toml="src = []\nextend = './toollint.toml'")
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path)
    assert str(caught.value) == "b.toml:2: `extend` goes in a circle: toollint.toml -> b.toml -> toollint.toml"


def test_nothing_of_a_file_that_is_no_toml_is_repeated(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    put(tmp_path, toollint__toml="extend = 'passwords'", passwords="root:x:0:0:secret\n")
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path)
    assert str(caught.value) == "passwords:1: not valid TOML (column 5)"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"#" * (config.LIMIT + 1), "larger than 1 MiB"),
        (b"src = " + b"[" * 100_000, "nested too deeply|not valid TOML"),
        (b"src = ['\xff']", "not valid TOML"),
        (b"a = " + b"9" * 10_000, "not valid TOML|unknown key"),
    ],
)
def test_hostile_files_are_refused(tmp_path, data, message):
    (tmp_path / "toollint.toml").write_bytes(data)
    with pytest.raises(ConfigError, match=message):
        loaded(tmp_path)


def test_a_named_file_must_be_there(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere\.toml: cannot be read: no such file"):
        loaded(tmp_path, config_file=tmp_path / "nowhere.toml")


# --- which rules run ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, ["TL101", "TL102"]),
        ({"preview": True}, ["TL101", "TL102", "TL201"]),
        ({"select": ()}, []),
        ({"select": ("ALL",)}, ["TL101", "TL102", "TL301"]),
        ({"select": ("ALL",), "preview": True}, ["TL101", "TL102", "TL201", "TL301"]),
        ({"select": ("TL201",)}, []),
        ({"select": ("TL2",), "preview": True}, ["TL201"]),
        ({"select": ("TL3",)}, []),
        ({"select": ("TL301",)}, ["TL301"]),
        ({"select": ("strong-key",)}, ["TL301"]),
        ({"extend_select": ("strong-key",)}, ["TL101", "TL102", "TL301"]),
        ({"ignore": ("TL1",)}, []),
        ({"ignore": ("tool-owns",)}, ["TL102"]),
        ({"select": ("TL101",), "ignore": ("TL1",)}, ["TL101"]),
        ({"select": ("tool-owns",), "ignore": ("TL101",)}, []),
        ({"select": ("TL10",), "ignore": ("TL1",)}, ["TL101", "TL102"]),
        ({"select": ("TL1",), "ignore": ("TL10",)}, []),
        ({"select": ("TL1",), "ignore": ("ALL",)}, ["TL101", "TL102"]),
        ({"select": ("ALL",), "ignore": ("ALL",)}, []),
        ({"ignore": ("TL1",), "extend_select": ("TL102",)}, ["TL102"]),
    ],
)
def test_the_more_specific_selector_wins(settings, expected):
    assert codes(**settings) == expected


@pytest.mark.parametrize(
    ("pattern", "path", "applies"),
    [
        ("tests/**", "/project/tests/unit/test_a.py", True),
        ("tests/**", "/project/src/tests/a.py", False),
        ("tests", "/project/src/tests/a.py", True),
        ("/tests", "/project/src/tests/a.py", False),
        ("test_*.py", "/project/src/test_a.py", True),
        ("**/tests/*.py", "/project/src/tests/a.py", True),
        ("!src/**", "/project/src/a.py", False),
        ("!src/**", "/project/a.py", True),
        ("tests/**", "/elsewhere/tests/a.py", False),
        ("test_*.py", "/elsewhere/test_a.py", True),
    ],
)
def test_rules_are_silenced_for_some_files(pattern, path, applies):
    settings = {"per_file_ignores": {pattern: ("TL101",)}, "select": ("TL101",), "root": Path("/project")}
    assert codes(path=Path(path), **settings) == ([] if applies else ["TL101"])

"""The command, from end to end: options, exit codes, streams, colours, signals."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from toollint import cli
from toollint.cli import exit_code, main
from toollint.model import Diagnostic, Position, Region, Report, Severity, Span

SCHEMA = json.loads((Path(__file__).parents[1] / "docs" / "diagnostic.schema.json").read_text())
COMMAND = [sys.executable, "-m", "toollint"]

CLEAN = "x = 1\n"
UNPARSABLE = "x = 1\ndef f(:\n"
UNUSED = "x = 1  # toollint: ignore[TL101]\ny = 2\n"
UNUSED_FIXED = "x = 1\ny = 2\n"
LEAK = """\
import sqlite3

from langchain_core.tools import BaseTool


class Lookup(BaseTool):
    name: str = "lookup"

    def __init__(self, path):
        super().__init__()
        self._conn = sqlite3.connect(path)

    def _run(self, query):
        return self._conn.execute(query).fetchall()
"""


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch) -> Path:
    """An empty project that is the current folder, with nothing in the environment that changes colours."""
    (tmp_path / "pyproject.toml").write_text("[tool.toollint]\npreview = false\n")
    monkeypatch.chdir(tmp_path)
    for name in ("NO_COLOR", "FORCE_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)


def codes(output: str) -> list[str]:
    return [found["code"] for found in json.loads(output)]


def spawn(*arguments: str, text: str = "", **options) -> subprocess.CompletedProcess[str]:
    options.setdefault("stdout", subprocess.PIPE)
    return subprocess.run(
        [*COMMAND, *arguments], input=text, stderr=subprocess.PIPE, text=True, timeout=60, check=False, **options
    )


# --- words and options -----------------------------------------------------------------------------------------------


def test_help_lists_commands_and_options(capsys):
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert re.search(r"^  (catalog|check|rule|server) ", text, re.MULTILINE)
    documented = (
        "select ignore extend-select per-file-ignores preview fix unsafe-fixes diff show-fixes exit-zero statistics "
        "isolated config exclude output-format output-file color no-progress jobs no-cache frontend stdin-filename "
        "quiet verbose version"
    )
    assert [name for name in documented.split() if f"--{name}" not in text] == []


@pytest.mark.parametrize(
    "arguments", [["--help"], ["check", "--help"], ["rule", "--help"], ["catalog", "--help"], ["--version"], ["-V"]]
)
def test_help_and_version_import_nothing_dear(arguments):
    program = (
        "import sys; from toollint.cli import main; code = main(sys.argv[1:]); "
        "print(sorted(name for name in sys.modules if name.startswith(('libcst', 'toollint', 'tomli'))),"
        " file=sys.stderr); sys.exit(code)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, timeout=60, check=True
    )
    assert ran.stdout
    assert ran.stderr.strip() == "['toollint', 'toollint.cli', 'toollint.model']"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--selct", "TL101"], "--select"),
        (["check", "--unsafe-fix"], "--unsafe-fixes"),
        (["--output-format", "xml"], "xml"),
        (["--color", "maybe"], "maybe"),
        (["--frontend", "lib2to3"], "lib2to3"),
        (["--jobs", "-1"], "--jobs"),
        (["--jobs", "many"], "many"),
        (["--per-file-ignores", "tests"], "'tests' is not of the form PATTERN:CODE"),
        (["-", "a.py"], "standard input (-) cannot be checked together with files"),
        (["missing.py"], "missing.py"),
        (["missing\n\x1b[31m.py"], "missing ␛[31m.py"),
        (["--config", "missing.toml"], "missing.toml"),
        (["--select", "TL10l", "."], "TL10l"),
        (["rule"], "name one rule"),
        (["rule", "TL101", "--all"], "name one rule"),
        (["rule", "tool-owns-unreleased-resorce"], "did you mean TL101 (tool-owns-unreleased-resource)?"),
        (["rule", "nothing-like-it"], "no rule 'nothing-like-it'"),
        (["catalog"], "NAME"),
        (["catalog", "psycopg.connect", "--output-format", "xml"], "xml"),
        (["server"], "--stdio"),
    ],
)
def test_misuse_is_one_clear_line(capsys, arguments, message):
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert err.startswith("toollint: ")
    assert err.count("\n") == 1


def test_a_mistake_in_the_configuration_is_one_clear_line(project, capsys):
    (project / "pyproject.toml").write_text("[tool.toollint]\nselct = []\n")
    assert main(["."]) == 2
    assert re.fullmatch(r"toollint: .*pyproject\.toml:2: .*`?selct`?.*select.*\n", capsys.readouterr().err)


def test_a_command_goes_before_a_folder_of_its_name(project, capsys):
    (project / "rule").mkdir()
    write(project / "rule", a=UNPARSABLE)
    assert main(["rule", "TL101"]) == 0
    assert capsys.readouterr().out.startswith("TL101 tool-owns-unreleased-resource\n")
    assert main(["./rule"]) == 1
    assert main(["check", "rule"]) == 1


def test_no_path_means_the_current_folder(project, capsys):
    write(project, a=UNPARSABLE)
    assert main([]) == main(["check"]) == main(["."]) == 1
    assert capsys.readouterr().out.count("a.py:2:") == 3


# --- exit codes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "changed", "diff", "expected"),
    [
        ((), False, False, 0),
        ((("TL101", Severity.WARNING),), False, False, 1),
        ((("TL999", Severity.ERROR),), False, False, 1),
        ((("TL605", Severity.INFO),), False, False, 0),
        ((("TL605", Severity.INFO), ("TL101", Severity.WARNING)), False, False, 1),
        ((("TL000", Severity.ERROR),), False, False, 2),
        ((("TL998", Severity.ERROR), ("TL101", Severity.WARNING)), False, False, 2),
        ((("TL002", Severity.ERROR),), True, False, 2),
        ((), True, False, 0),
        ((), True, True, 1),
        ((("TL101", Severity.WARNING),), False, True, 0),
        ((("TL000", Severity.ERROR),), True, True, 2),
    ],
)
def test_exit_codes(found, changed, diff, expected):
    place = Region("a.py", Span(0, 0), Position(1, 1), Position(1, 1))
    diagnostics = tuple(Diagnostic(code, "n", severity, "m", place) for code, severity in found)
    report = Report(diagnostics, changes={"a.py": ("", "x")} if changed else {})
    assert exit_code(report, diff=diff, exit_zero=False) == expected
    assert exit_code(report, diff=diff, exit_zero=True) == (2 if expected == 2 else 0)


@pytest.mark.parametrize(
    ("text", "arguments", "expected"),
    [
        (CLEAN, [], 0),
        (UNPARSABLE, [], 1),
        (UNPARSABLE, ["--exit-zero"], 0),
        (LEAK, [], 1),
        (LEAK, ["--ignore", "TL101"], 0),
        (LEAK, ["--ignore", "tool-owns-unreleased-resource"], 0),
        (LEAK, ["--select", "TL3"], 0),
        (LEAK, ["--select", "TL3,TL101"], 1),
        (LEAK, ["--select", "TL3", "--extend-select", "TL101"], 1),
        (LEAK, ["--per-file-ignores", "b.py:TL101"], 1),
        (LEAK, ["--per-file-ignores", "b.py:TL101,a.py:TL101"], 0),
        (LEAK, ["--fix"], 0),
        (LEAK, ["--diff"], 1),
        (CLEAN, ["--diff"], 0),
        (LEAK, ["--frontend", "libcst", "--no-cache", "--jobs", "1", "--no-progress", "--preview", "--isolated"], 1),
    ],
)
def test_exit_codes_of_runs(project, text, arguments, expected):
    write(project, a=text)
    assert main(["a.py", *arguments]) == expected


def test_excluded_files_are_not_found(project, capsys):
    write(project, a=UNPARSABLE)
    assert main(["--exclude", "a.py,b.py"]) == 0
    out, err = capsys.readouterr()
    assert out == "No problems found in 0 files.\n"
    assert "no Python files" in err


# --- what is printed -------------------------------------------------------------------------------------------------


def test_concise(project, capsys):
    write(project, a=UNPARSABLE, b=LEAK)
    assert main(["--output-format", "concise"]) == 1
    first, second, closing = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"a\.py:2:\d+: TL999 error .+", first)
    assert re.fullmatch(r"b\.py:\d+:\d+: TL101 warning .+ \[fix: safe\]", second)
    assert closing == "Found 2 problems (1 fixable with --fix)."


def test_full_shows_the_code(project, capsys):
    write(project, a=LEAK)
    assert main([]) == 1
    text = capsys.readouterr().out
    assert text.startswith("warning[TL101]: ")
    assert "\n11 |         self._conn = sqlite3.connect(path)\n" in text
    assert "= fix (safe, --fix): " in text
    assert text.endswith("\n\nFound 1 problem (1 fixable with --fix).\n`toollint rule TL101` says more.\n")


def test_json(project, capsys):
    write(project, a=UNPARSABLE, b=LEAK, c=UNUSED)
    assert main(["--output-format", "json"]) == 1
    out, err = capsys.readouterr()
    found = json.loads(out)
    jsonschema.validate(found, SCHEMA)
    assert [(item["code"], Path(item["filename"])) for item in found] == [
        ("TL999", project / "a.py"),
        ("TL101", project / "b.py"),
        ("TL001", project / "c.py"),
    ]
    assert err == ""


def test_json_edits_are_what_fix_writes(project, capsys):
    write(project, a=LEAK)
    main(["--output-format", "json"])
    (found,) = json.loads(capsys.readouterr().out)
    lines = LEAK.splitlines(keepends=True)

    def offset(place: dict[str, int]) -> int:
        return sum(map(len, lines[: place["row"] - 1])) + place["column"] - 1

    text = LEAK
    for edit in sorted(found["fixes"][0]["edits"], key=lambda edit: offset(edit["location"]), reverse=True):
        text = text[: offset(edit["location"])] + edit["content"] + text[offset(edit["end_location"]) :]
    assert main(["--fix"]) == 0
    assert (project / "a.py").read_text() == text


def test_quiet_leaves_the_findings(project, capsys):
    write(project, a=UNPARSABLE)
    main(["-q", "--output-format", "concise"])
    out, err = capsys.readouterr()
    assert out.count("\n") == 1
    assert err == ""


def test_verbose_says_what_was_done(project, capsys):
    write(project, a=CLEAN)
    main(["-v"])
    assert capsys.readouterr().err == f"toollint: note: configuration from {project}; 1 files checked\n"


def test_statistics(project, capsys):
    write(project, a=UNUSED, b=UNUSED, c=LEAK)
    assert main(["--statistics", "-q"]) == 1
    assert capsys.readouterr().out.startswith("2  TL001  unused-suppression  (2 fixable)\n1  TL101  ")
    main(["--statistics", "--output-format", "json"])
    assert [(row["code"], row["count"]) for row in json.loads(capsys.readouterr().out)] == [("TL001", 2), ("TL101", 1)]


UNCLOSED = """\
import socket


def ask(host):
    sock = socket.create_connection(host)
    sock.sendall(b"?")


def tell(host):
    with socket.create_connection(host) as sock:
        sock.sendall(b"!")
"""
COSTS = """\
lifetimes, functions given up: 0
lifetimes, functions interpreted: {}
lifetimes, points where states were joined: 0
lifetimes, work of the heaviest function: 8
"""


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_statistics_tell_what_the_interpretation_has_cost(project, capsys, jobs):
    """Summed over processes, and absent where no rule asks for it."""
    write(project, **{f"f{number}": UNCLOSED for number in range(70)})
    main(["--statistics", "-q", "--jobs", jobs, "--preview", "--select", "TL413"])
    assert capsys.readouterr().out == "70  TL413  unreleased-resource\n" + COSTS.format(140)
    main(["--statistics", "-q", "--jobs", jobs, "--preview", "--select", "TL413", "f1.py"])
    assert capsys.readouterr().out.endswith(COSTS.format(2))
    main(["--statistics", "-q", "--jobs", jobs, "--select", "TL101"])
    assert capsys.readouterr().out == ""


def test_findings_can_go_to_a_file(project, capsys):
    write(project, a=UNPARSABLE)
    assert main(["--output-format", "json", "--output-file", "out.json"]) == 1
    assert capsys.readouterr().out == ""
    assert codes((project / "out.json").read_text()) == ["TL999"]
    assert main(["--output-file", "missing/out.txt"]) == 2
    assert capsys.readouterr().err == "toollint: No such file or directory: missing/out.txt\n"


def test_the_output_format_may_be_configured(project, capsys):
    (project / "pyproject.toml").write_text('[tool.toollint]\noutput-format = "json"\n')
    write(project, a=UNPARSABLE)
    main([])
    assert codes(capsys.readouterr().out) == ["TL999"]


# --- fixing ----------------------------------------------------------------------------------------------------------


def test_fix_writes_and_says_so(project, capsys):
    write(project, a=UNUSED, b=UNPARSABLE)
    assert main(["--fix", "--show-fixes", "--output-format", "concise"]) == 1
    out, err = capsys.readouterr()
    assert (project / "a.py").read_text() == UNUSED_FIXED
    assert out.endswith("Found 2 problems: 1 fixed, 1 left.\n")
    assert err == "a.py:\n  1 x TL001\n"


def test_diff_writes_nothing_and_can_be_applied(project, capsys):
    write(project, a=UNUSED, b=LEAK)
    assert main(["--diff"]) == 1
    out, err = capsys.readouterr()
    assert (project / "a.py").read_text() == UNUSED
    assert err == "Would fix 2 problems in 2 files.\n"
    subprocess.run(["git", "apply", "-"], cwd=project, input=out.encode(), check=True)
    assert main(["--diff"]) == 0
    assert capsys.readouterr().err == "Nothing to fix.\n"


def test_diff_goes_before_fix(project, capsys):
    write(project, a=UNUSED)
    assert main(["--diff", "--fix"]) == 1
    assert (project / "a.py").read_text() == UNUSED
    assert capsys.readouterr().out.startswith("--- a/a.py\n+++ b/a.py\n@@ ")


# --- standard input --------------------------------------------------------------------------------------------------


def test_standard_input_is_checked():
    ran = spawn("-", "--stdin-filename", "pkg/a.py", "--output-format", "concise", text=UNPARSABLE)
    assert ran.returncode == 1
    assert ran.stdout.startswith("pkg/a.py:2:")
    assert spawn("-", text=UNPARSABLE).returncode == 1
    assert spawn("-", text=CLEAN).returncode == 0


@pytest.mark.parametrize(
    ("data", "fixed"),
    [
        pytest.param(UNUSED.encode(), UNUSED_FIXED.encode(), id="fixed"),
        pytest.param(CLEAN.encode(), CLEAN.encode(), id="clean"),
        pytest.param(b"\xef\xbb\xbf" + UNUSED.encode(), b"\xef\xbb\xbf" + UNUSED_FIXED.encode(), id="BOM"),
        pytest.param(
            b"# coding: latin-1\r\nx = '\xe9'  # noqa: TL101\r\n", b"# coding: latin-1\r\nx = '\xe9'\r\n", id="latin-1"
        ),
        pytest.param(b"x = '\xff'\n", b"x = '\xff'\n", id="undecodable"),
        pytest.param(b"", b"", id="empty"),
    ],
)
def test_fix_turns_standard_input_into_standard_output(data, fixed):
    ran = subprocess.run([*COMMAND, "--fix", "-"], input=data, capture_output=True, timeout=60, check=False)
    assert ran.stdout == fixed


def test_under_fix_findings_of_standard_input_go_beside():
    ran = spawn("-", "--fix", "--output-format", "concise", text=UNPARSABLE)
    assert (ran.returncode, ran.stdout) == (1, UNPARSABLE)
    assert "TL999" in ran.stderr


def test_diff_of_standard_input():
    ran = spawn("-", "--diff", "--stdin-filename", "a.py", text=UNUSED)
    assert ran.returncode == 1
    assert ran.stdout.startswith("--- a/a.py\n+++ b/a.py\n")


# --- rule and server -------------------------------------------------------------------------------------------------


def test_the_page_of_a_rule_by_code_or_name(capsys):
    assert main(["rule", "tl101"]) == 0
    by_code = capsys.readouterr().out
    assert main(["rule", "tool-owns-unreleased-resource"]) == 0
    assert capsys.readouterr().out == by_code
    assert "\nWhy\n" in by_code


def test_rule_pages_as_json(capsys):
    assert main(["rule", "--all", "--output-format", "json"]) == 0
    pages = json.loads(capsys.readouterr().out)
    assert [page["code"] for page in pages] == sorted(page["code"] for page in pages)
    assert main(["rule", "TL101", "--output-format", "json"]) == 0
    page = json.loads(capsys.readouterr().out)
    assert page in pages
    assert list(page) == ["code", "name", "severity", "default", "fix", "summary", "page", "url"]
    assert main(["rule", "--all"]) == 0
    text = capsys.readouterr().out
    assert [page["code"] for page in pages if f"{page['code']} {page['name']}\n" not in text] == []


def test_without_pygls_one_line_says_how_to_get_it():
    program = "import sys; sys.modules['pygls'] = None; from toollint.cli import main; sys.exit(main(sys.argv[1:]))"
    ran = subprocess.run(
        [sys.executable, "-c", program, "server", "--stdio"], capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 2
    assert "toollint-lifecycle[lsp]" in ran.stderr
    assert ran.stderr.count("\n") == 1


# --- the terminal ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "environ", "coloured"),
    [
        ([], {}, True),
        ([], {"NO_COLOR": "1"}, False),
        ([], {"TERM": "dumb"}, False),
        (["--color", "never"], {"FORCE_COLOR": "1"}, False),
        (["--color", "always"], {"NO_COLOR": "1"}, True),
    ],
)
@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo terminal")
def test_colours_on_a_terminal(project, arguments, environ, coloured):
    import pty

    write(project, a=UNPARSABLE)
    ours, theirs = pty.openpty()
    ran = spawn(*arguments, env={**os.environ, "TERM": "xterm", **environ}, stdout=theirs)
    os.close(theirs)
    printed = os.read(ours, 65536)
    os.close(ours)
    assert ran.returncode == 1
    assert b"TL999" in printed
    assert (b"\x1b[" in printed) is coloured


@pytest.mark.parametrize(("environ", "coloured"), [({}, False), ({"FORCE_COLOR": "1"}, True)])
def test_colours_in_a_pipe(project, environ, coloured):
    write(project, a=UNPARSABLE)
    assert ("\x1b[" in spawn(env={**os.environ, **environ}).stdout) is coloured


def test_a_terminal_that_cannot_write_the_source(project):
    write(project, a="'日本 🎉'; def\n")
    ran = spawn(env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert ran.returncode == 1
    assert "'\\u65e5\\u672c \\U0001f389'; def" in ran.stdout


def test_progress_waits_is_rewritten_and_goes_away(capsys):
    progress = cli._Progress()
    progress.due = float("inf")
    progress(1, 9)
    progress.clear()
    assert capsys.readouterr().err == ""
    progress.due = 0.0
    progress(2, 9)
    progress(3, 9)  # too soon after the last
    progress.clear()
    assert capsys.readouterr().err == "\r\x1b[Kchecked 2 of 9 files\r\x1b[K"


def test_a_reader_that_goes_away_is_no_error(project):
    write(project, a=UNPARSABLE)
    with subprocess.Popen(COMMAND, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        errors = process.stderr.read()
        code = process.wait(timeout=60)
    assert (code, errors) == (1, b"")


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGINT")
def test_an_interrupt_exits_130():
    program = (  # who runs the tests in the background may have taught us to ignore the signal
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from toollint.cli import main; sys.exit(main(['-']))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdin.write(
            CLEAN.encode() * 100_000
        )  # more than a pipe holds: the process is reading when this returns
        process.stdin.flush()
        process.send_signal(signal.SIGINT)
        process.stdin.close()  # a signal that comes between two reads is seen after the second one
        code = process.wait(timeout=60)
        errors = process.stderr.read()
    assert code == 130
    assert errors.strip() == b""


def test_an_error_of_ours_is_one_line(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.StringIO("no bytes below"))  # nothing that bytes can be read from
    assert main(["-"]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith("toollint: internal error, please report it: ")


def test_each_file_gets_the_configuration_nearest_to_it(project, capsys):
    for name in ("loud", "quiet"):
        (project / name).mkdir()
        (project / name / "tool.py").write_text(LEAK)
    (project / "quiet" / "toollint.toml").write_text('ignore = ["TL101"]\n')
    assert main(["--output-format", "concise", "."]) == 1
    whole = capsys.readouterr().out
    assert "loud" in whole
    assert "quiet" not in whole
    assert main(["quiet/tool.py"]) == 0
    assert main(["loud/tool.py"]) == 1


def test_a_wrong_configuration_further_down_is_one_line(project, capsys):
    (project / "inner").mkdir()
    (project / "inner" / "a.py").write_text(CLEAN)
    (project / "inner" / "toollint.toml").write_text('selct = ["TL1"]\n')
    assert main(["."]) == 2
    assert "inner/toollint.toml:1: unknown key `selct`: did you mean `select`?" in capsys.readouterr().err


def test_modules_in_the_current_folder_are_never_imported(project):
    for name in ("json", "click", "tomllib"):
        (project / f"{name}.py").write_text('raise SystemExit("imported")\n')
    done = subprocess.run([*COMMAND, "."], cwd=project, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "No problems found in 3 files.\n")

"""The language server: conversions on hand-made reports, and real sessions over standard input and output."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lsprotocol import types
from pygls.protocol import default_converter
from pytest_lsp import LanguageClient
from pytest_lsp.client import DEFAULT_CLIENT_FEATURES, register_lsp_features

from toollint import server
from toollint.model import Diagnostic, Edit, Fix, Link, Position, Region, Related, Role, Safety, Severity, Span
from toollint.source import decode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

UTF8, UTF16, UTF32 = (kind.value for kind in types.PositionEncodingKind)
ENCODINGS = (UTF8, UTF16, UTF32)


# --- an editor's side, written without the server's code ----------------------------------------------------------


def offset(text: str, place: types.Position, encoding: str) -> int:
    """The index in ``text`` of a position in an editor's units."""
    starts = [0, *(newline.end() for newline in re.finditer(r"\r\n|\r|\n", text))]
    codec, size = {UTF8: ("utf-8", 1), UTF16: ("utf-16-le", 2), UTF32: ("utf-32-le", 4)}[encoding]
    units = text[starts[place.line] :].encode(codec)[: place.character * size]
    return starts[place.line] + len(units.decode(codec))


def between(text: str, part: types.Range, encoding: str = UTF16) -> str:
    """The text in a range."""
    return text[offset(text, part.start, encoding) : offset(text, part.end, encoding)]


def applied(text: str, edits: Sequence[types.TextEdit], encoding: str = UTF16) -> str:
    """The text after edits, applied from the last to the first as editors do."""
    for edit in sorted(edits, key=lambda edit: (edit.range.start.line, edit.range.start.character), reverse=True):
        start, end = offset(text, edit.range.start, encoding), offset(text, edit.range.end, encoding)
        text = text[:start] + edit.new_text + text[end:]
    return text


def edits_of(action: types.CodeAction) -> dict[str, Sequence[types.TextEdit]]:
    """The text edits of an action by document."""
    assert action.edit is not None
    assert action.edit.document_changes is not None
    return {change.text_document.uri: change.edits for change in action.edit.document_changes}


# --- conversions --------------------------------------------------------------------------------------------------

PATH = "/project/tools.py"
OTHER = "/project/other.py"
CLIENT = types.ClientCapabilities(
    workspace=types.WorkspaceClientCapabilities(
        workspace_edit=types.WorkspaceEditClientCapabilities(document_changes=True)
    ),
    text_document=types.TextDocumentClientCapabilities(
        code_action=types.CodeActionClientCapabilities(disabled_support=True)
    ),
)


def region(text: str, part: str, path: str = PATH) -> Region:
    """The first occurrence of ``part``."""
    source = decode(path, text.encode())
    start = len(text[: text.index(part)].encode())
    return source.region(Span(start, start + len(part.encode())))


def finding(place: Region, *fixes: Fix, **more: object) -> Diagnostic:
    return Diagnostic("TL301", "strong-key", Severity.WARNING, "the dict keeps it", place, fixes=fixes, **more)


def translator(
    text: str, *, encoding: str = UTF16, client: types.ClientCapabilities = CLIENT, other: str = ""
) -> server.Translator:
    documents = {Path(PATH): server.Document("file:///project/tools.py", 7, text)}
    return server.Translator(server.Snapshot(1, client, encoding, documents), {PATH: text, OTHER: other})


def answer(text: str, *findings: Diagnostic, **more: object) -> server.Answer:
    say = translator(text, **more)
    return server.Answer(findings, [say.diagnostic(found) for found in findings], say)


def actions(known: server.Answer, only: Sequence[str] | None = None, row: int = 0) -> list[types.CodeAction]:
    cursor = types.Position(row, 0)
    params = types.CodeActionParams(
        types.TextDocumentIdentifier("file:///project/tools.py"),
        types.Range(cursor, types.Position(row, 999)),
        types.CodeActionContext([], only),
    )
    return server.code_actions(known, params)


@settings(max_examples=200, deadline=None)
@given(
    st.text(st.sampled_from("ab\tß\u0301€\u2028\x0c\x85👋🏽\r\n"), min_size=1, max_size=30),
    st.integers(0, 30),
    st.integers(0, 30),
    st.sampled_from(ENCODINGS),
)
def test_ranges_hold_the_same_text_in_every_encoding(text, one, two, encoding):
    start, end = sorted((min(one, len(text)), min(two, len(text))))
    if "\r\n" in (text[start - 1 : start + 1], text[end - 1 : end + 1]):
        return  # no place of a finding lies between the two
    span = Span(len(text[:start].encode()), len(text[:end].encode()))
    place = translator(text, encoding=encoding).range(decode(PATH, text.encode()).region(span))
    assert (offset(text, place.start, encoding), offset(text, place.end, encoding)) == (start, end)


@pytest.mark.parametrize(("encoding", "column"), [(UTF8, 19), (UTF16, 17), (UTF32, 16)])
def test_an_emoji_moves_columns_by_its_code_units(encoding, column):
    text = 'GREETING = "👋"; SEEN = {}\n'
    assert translator(text, encoding=encoding).range(region(text, "SEEN")).start == types.Position(0, column)


def test_a_diagnostic_says_all_that_a_finding_says():
    text, other = "SEEN = {}\n", "def f(graph):\n    SEEN[graph] = 1\n"
    found = finding(
        region(text, "SEEN"),
        related=(Related("a graph becomes a key here", Role.STORED, region(other, "SEEN[graph]", OTHER)),),
        chain=(Link("module `tools`", region(text, "SEEN")),),
        notes=("it grows with every request",),
        help="hold the keys weakly",
        url="https://example.org/TL301",
        fingerprint="f00",
    )
    shown = translator(text, other=other).diagnostic(found)
    assert shown.message == "the dict keeps it\nit grows with every request\nhelp: hold the keys weakly"
    assert (shown.source, shown.code, shown.severity) == ("toollint", "TL301", types.DiagnosticSeverity.Warning)
    assert shown.code_description == types.CodeDescription("https://example.org/TL301")
    assert shown.data == {"fingerprint": "f00"}
    assert shown.tags is None
    related = [(place.location.uri, place.location.range.start, place.message) for place in shown.related_information]
    assert related == [
        ("file:///project/other.py", types.Position(1, 4), "a graph becomes a key here"),
        ("file:///project/tools.py", types.Position(0, 0), "leak path 1: module `tools`"),
    ]


@pytest.mark.parametrize(
    ("severity", "shown"),
    [(Severity.ERROR, "Error"), (Severity.WARNING, "Warning"), (Severity.INFO, "Information")],
)
def test_severities(severity, shown):
    found = Diagnostic("TL301", "strong-key", severity, "m", region("x\n", "x"))
    assert translator("x\n").diagnostic(found).severity is types.DiagnosticSeverity[shown]


def test_a_place_in_a_file_without_text_keeps_its_row():
    place = Region("/project/gone.py", Span(0, 0), Position(3, 5), Position(3, 5))
    assert translator("").range(place).start == types.Position(2, 0)


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("x = 'é'\n", "x = 'é'\n".encode()),
        ("# coding: latin-1\nx = 'é'\n", "# coding: latin-1\nx = 'é'\n".encode("latin-1")),
        ("\ufeffx = 'é'\n", b"\xef\xbb\xbfx = '\xc3\xa9'\n"),
        ("# coding: no-such\nx = 'é'\n", "# coding: no-such\nx = 'é'\n".encode()),
        ("# coding: ascii\nx = 'é'\n", "# coding: ascii\nx = 'é'\n".encode()),
        ("x = '\ud800'\n", b"x = '\xed\xa0\x80'\n"),
    ],
)
def test_a_buffer_is_encoded_as_a_save_would(text, data):
    assert server.Document("file:///a.py", 1, text).encoded() == data


def replace(text: str, old: str, new: str, path: str = PATH) -> Edit:
    return Edit(region(text, old, path), new)


def test_each_alternative_is_an_action():
    text = 'x = "👋"; SEEN = {}\n'
    safe = Fix("use a weak dict", Safety.SAFE, (replace(text, "{}", "WeakKeyDictionary()"),))
    unsafe = Fix("drop it", Safety.UNSAFE, (replace(text, "SEEN = {}", "pass"),))
    recipe = Fix("bound it", Safety.DISPLAY, why="only you know how many", recipe="SEEN = LRU(10)")
    known = answer(text, finding(region(text, "SEEN"), unsafe, safe, recipe))
    by_title = {action.title: action for action in actions(known)}
    after = {
        title: applied(text, *edits_of(action).values())
        for title, action in by_title.items()
        if action.edit is not None
    }
    assert after == {
        "use a weak dict": 'x = "👋"; SEEN = WeakKeyDictionary()\n',
        "drop it (unsafe)": 'x = "👋"; pass\n',
        "Ignore TL301 on this line": 'x = "👋"; SEEN = {}  # toollint: ignore[TL301]\n',
        "Fix all safely fixable toollint problems": 'x = "👋"; SEEN = WeakKeyDictionary()\n',
    }
    assert [title for title, action in by_title.items() if action.is_preferred] == ["use a weak dict"]
    assert by_title["bound it"].disabled == types.CodeActionDisabled("only you know how many")
    assert by_title["use a weak dict"].diagnostics == list(known.diagnostics)


def test_an_editor_that_cannot_grey_out_is_offered_no_recipe():
    text = "SEEN = {}\n"
    found = finding(region(text, "SEEN"), Fix("bound it", Safety.DISPLAY, recipe="SEEN = LRU(10)"))
    known = answer(text, found, client=types.ClientCapabilities())
    assert [action.title for action in actions(known)] == ["Ignore TL301 on this line"]


def test_edits_reach_other_files_and_name_the_version_of_open_ones():
    text, other = "SEEN = {}\n", "from tools import SEEN\n"
    move = Fix("rename", Safety.UNSAFE, (replace(text, "SEEN", "GRAPHS"), replace(other, "SEEN", "GRAPHS", OTHER)))
    found = finding(region(text, "SEEN"), move)
    versioned, _ = actions(answer(text, found, other=other))
    versions = {change.text_document.uri: change.text_document.version for change in versioned.edit.document_changes}
    assert versions == {"file:///project/tools.py": 7, "file:///project/other.py": None}
    plain, _ = actions(answer(text, found, other=other, client=types.ClientCapabilities()))
    assert {uri: applied(other, edits) for uri, edits in plain.edit.changes.items() if "other" in uri} == {
        "file:///project/other.py": "from tools import GRAPHS\n"
    }


def test_fix_all_takes_safe_fixes_of_this_file_that_do_not_overlap():
    text, other = "a = {}\nb = {}\nc = {}\n", "d = {}\n"

    def fixed(safety: Safety, *edits: Edit) -> Diagnostic:
        return finding(edits[0].region, Fix("weak", safety, edits))

    known = answer(
        text,
        finding(
            region(text, "a = {}"),
            Fix("weak", Safety.SAFE, (replace(text, "a = {}", "a = W()"),)),
            Fix("another way", Safety.SAFE, (replace(text, "c = {}", "c = V()"),)),
        ),
        fixed(Safety.SAFE, replace(text, "{}", "other()")),
        fixed(Safety.UNSAFE, replace(text, "b = {}", "b = W()")),
        fixed(Safety.SAFE, replace(text, "c = {}", "c = W()"), replace(other, "{}", "W()", OTHER)),
        other=other,
    )
    (action,) = actions(known, [server.FIX_ALL])
    assert applied(text, *edits_of(action).values()) == "a = W()\nb = {}\nc = {}\n"


@pytest.mark.parametrize(
    ("only", "kinds"),
    [
        (None, {"quickfix", "source.fixAll.toollint"}),
        ([""], {"quickfix", "source.fixAll.toollint"}),
        (["quickfix"], {"quickfix"}),
        (["source"], {"source.fixAll.toollint"}),
        (["source.fixAll"], {"source.fixAll.toollint"}),
        (["source.fixAll.toollint"], {"source.fixAll.toollint"}),
        (["source.fixAll.ruff"], set()),
        (["refactor", "sour"], set()),
    ],
)
def test_only_kinds_that_are_asked_for(only, kinds):
    text = "SEEN = {}\n"
    known = answer(text, finding(region(text, "SEEN"), Fix("weak", Safety.SAFE, (replace(text, "{}", "W()"),))))
    assert {action.kind for action in actions(known, only)} == kinds


def test_no_quick_fix_away_from_the_finding():
    text = "x = 1\nSEEN = {}\n"
    known = answer(text, finding(region(text, "SEEN")))
    assert not actions(known, row=0)
    assert len(actions(known, row=1)) == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("SEEN = {}", "SEEN = {}  # toollint: ignore[TL301]", id="no newline at the end"),
        pytest.param("SEEN = {} \r\nx\r\n", "SEEN = {}  # toollint: ignore[TL301] \r\nx\r\n", id="CRLF and blanks"),
        pytest.param("SEEN = {  # all\n}\n", "SEEN = {  # all  # toollint: ignore[TL301]\n}\n", id="after a comment"),
        pytest.param("SEEN = {}  # noqa: E1\n", "SEEN = {}  # noqa: E1  # toollint: ignore[TL301]\n", id="noqa"),
        pytest.param(
            "SEEN = {}  # toollint: ignore[TL201] why\n",
            "SEEN = {}  # toollint: ignore[TL201, TL301] why\n",
            id="extends a list",
        ),
        pytest.param(
            'SEEN = f("""\n  👋\n""")\n', 'SEEN = f("""\n  👋\n""")  # toollint: ignore[TL301]\n', id="past a string"
        ),
        pytest.param("SEEN = 1 + \\\n  2\n", "SEEN = 1 + \\\n  2  # toollint: ignore[TL301]\n", id="past a backslash"),
        pytest.param(
            "# coding: latin-1\né = 1; SEEN = {}\n",
            "# coding: latin-1\né = 1; SEEN = {}  # toollint: ignore[TL301]\n",
            id="another encoding",
        ),
    ],
)
def test_ignore_goes_where_it_works(text, expected):
    found = finding(region(text, "SEEN"))
    row = found.region.start.row - 1
    (action,) = actions(answer(text, found), row=row)
    after = applied(text, *edits_of(action).values())
    assert after == expected
    assert decode(PATH, server.Document("", 1, after).encoded()).suppressions.match(
        found.region.span.start, found.code, found.name
    )


@pytest.mark.parametrize("code", ["TL000", "TL001", "TL998", "TL999"])
def test_what_cannot_be_silenced_is_not_offered_to_be(code):
    broken = Diagnostic(code, "syntax-error", Severity.ERROR, "invalid syntax", region("x = (\n", "("))
    assert not actions(answer("x = (\n", broken))


def test_a_message_that_is_too_long_is_skipped(monkeypatch):
    monkeypatch.setattr(server, "MAX_MESSAGE", 10)
    reader = server.BoundedReader(io.BytesIO(b"x" * 100_000 + b"0123456789" + b"end"))
    assert json.loads(reader.read(100_000))["method"] == "$/skipped"
    assert reader.read(10) == b"0123456789"
    assert reader.read(99_999_999_999) == b""


def test_nothing_but_standard_input_and_output_yet():
    with pytest.raises(ValueError, match="--stdio"):
        server.main(stdio=False)


# --- sessions -------------------------------------------------------------------------------------------------------

LEAK = """\
from langgraph.graph.state import CompiledStateGraph

GREETING = "👋"; SEEN: dict[CompiledStateGraph, int] = {}


def remember(graph: CompiledStateGraph) -> None:
    SEEN[graph] = SEEN.get(graph, 0) + 1
"""
CODE = "TL301"
PUBLISH = types.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS
DEADLINE = 60
"""Seconds after which a session is given up: nothing is measured, nothing hangs."""


class Editor:
    """A client with its documents, as an editor keeps them."""

    def __init__(self) -> None:
        self.published: list[types.PublishDiagnosticsParams] = []
        self.registered: list[types.Registration] = []
        self.refreshed = 0
        self._news = asyncio.Event()
        self.client = LanguageClient(converter_factory=default_converter)
        register_lsp_features(
            self.client,
            {
                **DEFAULT_CLIENT_FEATURES,
                PUBLISH: self.take(self.published.append),
                types.CLIENT_REGISTER_CAPABILITY: self.take(
                    lambda params: self.registered.extend(params.registrations)
                ),
                types.WORKSPACE_DIAGNOSTIC_REFRESH: self.take(self._refresh),
                types.WINDOW_SHOW_MESSAGE: self.take(self.client.messages.append),
            },
        )

    def _refresh(self, _: None) -> None:
        self.refreshed += 1

    def take(self, use):
        """A handler (a plain function, as the client demands) that wakes whoever waits for news."""

        def handler(params):
            use(params)
            self._news.set()

        return handler

    async def until(self, true) -> None:
        """Wait for a message of the server to make something true."""
        while not true():
            self._news.clear()
            await self._news.wait()

    def open(self, path: Path, text: str, version: int = 1) -> None:
        item = types.TextDocumentItem(path.as_uri(), "python", version, text)
        self.client.text_document_did_open(types.DidOpenTextDocumentParams(item))

    def change(self, path: Path, text: str, version: int) -> None:
        document = types.VersionedTextDocumentIdentifier(version, path.as_uri())
        change = types.TextDocumentContentChangeWholeDocument(text)
        self.client.text_document_did_change(types.DidChangeTextDocumentParams(document, [change]))

    def close(self, path: Path) -> None:
        document = types.TextDocumentIdentifier(path.as_uri())
        self.client.text_document_did_close(types.DidCloseTextDocumentParams(document))

    def changed_on_disk(self, path: Path) -> None:
        event = types.FileEvent(path.as_uri(), types.FileChangeType.Changed)
        self.client.workspace_did_change_watched_files(types.DidChangeWatchedFilesParams([event]))

    async def pull(self, path: Path, known: str | None = None) -> types.DocumentDiagnosticReport:
        document = types.TextDocumentIdentifier(path.as_uri())
        return await self.client.text_document_diagnostic_async(
            types.DocumentDiagnosticParams(document, previous_result_id=known)
        )

    async def findings(self, path: Path) -> list[types.Diagnostic]:
        return list((await self.pull(path)).items)

    async def actions(self, path: Path, only: str | None = None) -> list[types.CodeAction]:
        everything = types.Range(types.Position(0, 0), types.Position(9999, 0))
        context = types.CodeActionContext([], [only] if only else None)
        document = types.TextDocumentIdentifier(path.as_uri())
        return await self.client.text_document_code_action_async(types.CodeActionParams(document, everything, context))


@contextlib.asynccontextmanager
async def editing(root: Path, *, pulls: bool = True, encoding: str = UTF16) -> AsyncIterator[Editor]:
    """A session with a server of its own, over its standard input and output."""
    editor = Editor()
    capabilities = types.ClientCapabilities(
        general=types.GeneralClientCapabilities(position_encodings=[encoding]),
        text_document=types.TextDocumentClientCapabilities(
            diagnostic=types.DiagnosticClientCapabilities() if pulls else None,
            code_action=types.CodeActionClientCapabilities(disabled_support=True),
        ),
        workspace=types.WorkspaceClientCapabilities(
            workspace_edit=types.WorkspaceEditClientCapabilities(document_changes=True),
            did_change_watched_files=types.DidChangeWatchedFilesClientCapabilities(dynamic_registration=True),
            diagnostics=types.DiagnosticWorkspaceClientCapabilities(refresh_support=True),
        ),
    )
    watchdog = asyncio.get_running_loop().call_later(DEADLINE, asyncio.current_task().cancel)
    await editor.client.start_io(sys.executable, "-m", "toollint", "server", "--stdio")
    try:
        started = await editor.client.initialize_session(
            types.InitializeParams(capabilities=capabilities, root_uri=root.as_uri())
        )
        assert started.capabilities.position_encoding == encoding
        yield editor
        await editor.client.shutdown_session()
    finally:
        watchdog.cancel()
        if editor.client._server.returncode is None:  # the test failed; `stop` would wait for ever
            editor.client._server.kill()
        await editor.client.stop()


@pytest.fixture
def leak(tmp_path: Path) -> Path:
    """A project of one file with one finding."""
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'agent'\n")
    path = tmp_path / "agent.py"
    path.write_text(LEAK, encoding="utf-8")
    return path


@pytest.mark.asyncio
@pytest.mark.parametrize("encoding", ENCODINGS)
async def test_a_finding_behind_an_emoji(leak, encoding):
    async with editing(leak.parent, encoding=encoding) as editor:
        editor.open(leak, LEAK)
        (found,) = await editor.findings(leak)
        assert (found.code, found.source) == (CODE, "toollint")
        assert offset(LEAK, found.range.start, encoding) == LEAK.index("SEEN")
        assert found.code_description.href.endswith(".py")
        assert found.data["fingerprint"]
        stored = found.related_information[0].location
        assert stored.uri == leak.as_uri()
        assert "SEEN" in between(LEAK, stored.range, encoding)
        by_title = {action.title: action for action in await editor.actions(leak)}
        ignored = applied(LEAK, *edits_of(by_title[f"Ignore {CODE} on this line"]).values(), encoding=encoding)
        assert ignored == LEAK.replace("= {}", f"= {{}}  # toollint: ignore[{CODE}]")
        editor.change(leak, ignored, 2)
        assert await editor.findings(leak) == []


@pytest.mark.asyncio
async def test_fix_all_takes_an_unused_suppression_away(tmp_path):
    path, text = tmp_path / "plain.py", 'WAVE = "👋"  # toollint: ignore\n'
    async with editing(tmp_path) as editor:
        editor.open(path, text)
        assert [found.code for found in await editor.findings(path)] == ["TL001"]
        (fix_all,) = await editor.actions(path, only="source.fixAll.toollint")
        assert applied(text, *edits_of(fix_all).values()) == 'WAVE = "👋"\n'
        (quick_fix,) = await editor.actions(path, only="quickfix")
        assert quick_fix.is_preferred
        assert edits_of(quick_fix) == edits_of(fix_all)


@pytest.mark.asyncio
async def test_pulling_again_is_cheap_until_something_changes(leak):
    async with editing(leak.parent) as editor:
        editor.open(leak, LEAK)
        first = await editor.pull(leak)
        again = await editor.pull(leak, first.result_id)
        assert isinstance(again, types.RelatedUnchangedDocumentDiagnosticReport)
        assert again.result_id == first.result_id
        editor.change(leak, f"\n{LEAK}", 2)
        moved = await editor.pull(leak, first.result_id)
        assert [found.range.start.line for found in moved.items] == [first.items[0].range.start.line + 1]
        assert editor.published == []


@pytest.mark.asyncio
async def test_the_buffer_counts_and_not_the_disk(leak):
    unsaved = leak.with_name("unsaved.py")
    async with editing(leak.parent) as editor:
        assert len(await editor.findings(leak)) == 1, "a file that is not open is read from the disk"
        editor.open(leak, "pass\n")
        assert await editor.findings(leak) == []
        editor.open(unsaved, LEAK)
        assert len(await editor.findings(unsaved)) == 1
        editor.close(leak)
        assert len(await editor.findings(leak)) == 1


@pytest.mark.asyncio
async def test_another_buffer_counts_too(leak):
    """The eviction in another file of the project is seen before it is saved, and so is its removal."""
    leak.with_name("janitor.py").write_text("", encoding="utf-8")
    async with editing(leak.parent) as editor:
        editor.open(leak, LEAK)
        assert len(await editor.findings(leak)) == 1
        editor.open(leak.with_name("janitor.py"), "from agent import SEEN\n\n\ndef forget():\n    SEEN.clear()\n")
        assert await editor.findings(leak) == []
        editor.change(leak.with_name("janitor.py"), "", 2)
        assert len(await editor.findings(leak)) == 1


@pytest.mark.asyncio
async def test_pushed_findings_belong_to_the_version_they_name(leak):
    """Version N of the buffer has its finding N lines lower."""
    last = 40
    async with editing(leak.parent, pulls=False) as editor:
        editor.open(leak, LEAK, version=0)
        for version in range(1, last + 1):
            editor.change(leak, "\n" * version + LEAK, version)
            await asyncio.sleep(0)
        await editor.until(lambda: editor.published and editor.published[-1].version == last)
        row = LEAK[: LEAK.index("SEEN")].count("\n")
        for sent in editor.published:
            assert [found.range.start.line for found in sent.diagnostics] == [row + sent.version]
        versions = [sent.version for sent in editor.published]
        assert versions == sorted(versions)
        editor.close(leak)
        await editor.until(lambda: not editor.published[-1].diagnostics)
        assert editor.published[-1].uri == leak.as_uri()


@pytest.mark.asyncio
async def test_a_bad_configuration_is_shown_once_and_forgiven(leak):
    settings_file = leak.with_name("toollint.toml")
    settings_file.write_text("selct = ['TL301']\n")
    async with editing(leak.parent) as editor:
        editor.open(leak, LEAK)
        for version in (2, 3, 4):
            assert await editor.findings(leak) == []
            editor.change(leak, LEAK, version)
        (message,) = editor.client.messages
        assert "toollint.toml:1: unknown key `selct`" in message.message
        assert any("selct" in logged.message for logged in editor.client.log_messages)
        settings_file.write_text("select = ['TL301']\n")
        editor.changed_on_disk(settings_file)
        await editor.until(lambda: editor.refreshed)
        assert len(await editor.findings(leak)) == 1
        settings_file.write_text("ignore = ['TL301']\n")
        editor.changed_on_disk(settings_file)
        assert await editor.findings(leak) == []
        assert len(editor.client.messages) == 1


@pytest.mark.asyncio
async def test_files_to_watch_are_registered(leak):
    async with editing(leak.parent) as editor:
        await editor.until(lambda: editor.registered)
        (registration,) = editor.registered
        assert registration.method == types.WORKSPACE_DID_CHANGE_WATCHED_FILES


@pytest.mark.asyncio
async def test_a_file_outside_the_workspace_has_its_own_configuration(leak, tmp_path_factory):
    (leak.parent / "toollint.toml").write_text("ignore = ['TL301']\n")
    outside = tmp_path_factory.mktemp("elsewhere") / "agent.py"
    outside.write_text(LEAK, encoding="utf-8")
    async with editing(leak.parent) as editor:
        editor.open(leak, LEAK)
        editor.open(outside, LEAK)
        assert await editor.findings(leak) == []
        assert len(await editor.findings(outside)) == 1


@pytest.mark.asyncio
async def test_a_session_survives_nonsense(leak):
    async with editing(leak.parent) as editor:
        gone = leak.with_name("gone.py")
        await editor.findings(gone)
        editor.change(gone, "x", 1)  # was never opened
        broken = leak.with_name("broken.py")
        editor.open(broken, "x = (\n")
        assert [found.code for found in await editor.findings(broken)] == ["TL999"]
        editor.change(broken, "x = '\ud800'\n", 2)
        assert [found.code for found in await editor.findings(broken)] == ["TL999"]
        untitled = types.TextDocumentItem("untitled:Untitled-1", "python", 1, LEAK)
        notes = types.TextDocumentItem(leak.with_name("notes.md").as_uri(), "markdown", 1, "x = (")
        for item in (untitled, notes):
            editor.client.text_document_did_open(types.DidOpenTextDocumentParams(item))
            document = types.TextDocumentIdentifier(item.uri)
            report = await editor.client.text_document_diagnostic_async(types.DocumentDiagnosticParams(document))
            assert not report.items
        editor.open(leak, LEAK)
        assert len(await editor.findings(leak)) == 1
        assert editor.client.messages == []


def message(body: bytes, length: int | None = None) -> bytes:
    return b"Content-Length: %d\r\n\r\n%s" % (len(body) if length is None else length, body)


def request(number: int, method: str, params: object = None) -> bytes:
    return message(json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}).encode())


ABUSE = (
    message(b"{not json"),
    message(b"[1, 2]"),
    message(b"\xff\xfe{}"),
    message(b"", length=-5) + b"\r\n",
    b"Nonsense: 1\r\n\r\n",
    request(2, "textDocument/diagnostic", {"textDocument": 7}),
    request(2, "textDocument/diagnostic", {"textDocument": {"uri": "http://["}}),
    request(2, "no/such"),
    message(b'{"jsonrpc": "2.0", "method": "$/cancelRequest", "params": {"id": 9}}'),
    message(b'{"jsonrpc": "2.0", "id": 9, "result": null}'),
)


def test_the_wire_survives_abuse():
    start = request(1, "initialize", {"capabilities": {}})
    end = request(3, "shutdown") + message(b'{"jsonrpc": "2.0", "method": "exit"}')
    command = [sys.executable, "-m", "toollint", "server", "--stdio"]
    sent = b"".join([start, *ABUSE, end])
    done = subprocess.run(command, input=sent, capture_output=True, check=False, timeout=DEADLINE)
    answered = {json.loads(body)["id"] for body in re.findall(rb"\r\n\r\n(\{.*?\})(?=Content-|$)", done.stdout)}
    assert {1, 2, 3} <= answered, done.stderr.decode()
    assert (done.returncode, b"window/showMessage" in done.stdout) == (0, False)


def test_without_pygls_the_command_says_how_to_get_it():
    code = (
        "import sys; sys.modules['pygls'] = None; from toollint.cli import main; sys.exit(main(['server', '--stdio']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert "toollint-lifecycle[lsp]" in line

"""The language server: the engine's pure function over what the editor has in its buffers.

An analysis belongs to one *generation*: the state of all open buffers between two events that could change a finding.
It runs in a thread of its own, one at a time; whatever belongs to an older generation is thrown away, so neither a
diagnostic nor an edit for a text that is gone ever leaves the server. Everything else happens on the event loop.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import io
import logging
import re
import sys
import threading
import tokenize
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, ParamSpec, TypeVar
from urllib.parse import unquote

from lsprotocol import types
from pygls.capabilities import get_capability
from pygls.lsp.server import LanguageServer
from pygls.uris import to_fs_path

from toollint import config, engine, fixes, rules, source
from toollint.model import Diagnostic, Edit, Fix, Position, Region, Report, Safety, Severity, Span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

FIX_ALL = "source.fixAll.toollint"
PAUSE = 0.03
"""Seconds of quiet after an edit before findings are pushed."""
MAX_MESSAGE = 64 << 20
"""Bytes of the longest message that is read; a longer one is skipped."""
MAX_STATEMENT = 200
"""Lines of a statement that are tried for an ignore comment."""
STACK = 64 << 20
"""Bytes of stack for the thread that parses: what parsers in C need for deeply nested text."""
OWN_REPORTS = ("TL0", "TL99")
"""How the codes begin that no comment silences, or none should."""
WATCHED = ("**/*.py", "**/*.toml", "**/.gitignore")

log = logging.getLogger(__name__)
P = ParamSpec("P")
R = TypeVar("R")

_SEVERITIES = {
    Severity.ERROR: types.DiagnosticSeverity.Error,
    Severity.WARNING: types.DiagnosticSeverity.Warning,
    Severity.INFO: types.DiagnosticSeverity.Information,
}
_WIDTHS: Mapping[str, Callable[[str], int]] = {
    types.PositionEncodingKind.Utf8: lambda text: len(text.encode("utf-8", "surrogatepass")),
    types.PositionEncodingKind.Utf16: lambda text: len(text.encode("utf-16-le", "surrogatepass")) // 2,
    types.PositionEncodingKind.Utf32: len,
}
_NEWLINE = re.compile(r"\r\n|\r|\n")


# --- from our values to the protocol's -----------------------------------------------------------------------------


class Document(NamedTuple):
    """An open Python buffer, as the editor last sent it."""

    uri: str
    version: int | None
    text: str

    def encoded(self) -> bytes:
        """The text as the bytes that a save would write: in the encoding that its own first lines declare."""
        utf8 = self.text.encode("utf-8", "surrogatepass")
        try:
            declared, _ = tokenize.detect_encoding(io.BytesIO(utf8).readline)
            return self.text.encode("utf-8" if declared == "utf-8-sig" else declared)
        except (SyntaxError, LookupError, UnicodeError):
            return utf8


class Snapshot(NamedTuple):
    """All that an analysis depends on but the disk, as it stood at one moment; safe to hand to a thread."""

    generation: int
    client: types.ClientCapabilities
    encoding: str
    documents: Mapping[Path, Document]


@dataclass(frozen=True)
class Translator:
    """Puts places, findings and edits into the protocol's words; ``texts`` are those of a report."""

    snapshot: Snapshot
    texts: Mapping[str, str]
    _lines: dict[str, list[str]] = field(default_factory=dict)

    def lines(self, path: str) -> list[str]:
        """The lines of a file, without their ends; none if its text is not known."""
        if path not in self._lines:
            self._lines[path] = _NEWLINE.split(self.texts.get(path, ""))
        return self._lines[path]

    def position(self, path: str, place: Position) -> types.Position:
        """Rows and code points from 1 become rows and code units from 0."""
        lines = self.lines(path)
        line = lines[place.row - 1] if place.row <= len(lines) else ""
        return types.Position(place.row - 1, _WIDTHS[self.snapshot.encoding](line[: place.column - 1]))

    def range(self, region: Region) -> types.Range:
        """Where a region lies in its file."""
        return types.Range(self.position(region.path, region.start), self.position(region.path, region.end))

    def uri(self, path: str) -> str:
        """The editor's own name of an open file, otherwise the usual one."""
        document = self.snapshot.documents.get(Path(path))
        return document.uri if document else Path(path).absolute().as_uri()

    def diagnostic(self, found: Diagnostic) -> types.Diagnostic:
        """A finding with its related places and leak path, its notes and help below the message."""
        related = [(note.message, note.region) for note in found.related]
        path = [(f"leak path {step}: {hop.label}", hop.region) for step, hop in enumerate(found.chain, 1)]
        return types.Diagnostic(
            range=self.range(found.region),
            message="\n".join([found.message, *found.notes, *([f"help: {found.help}"] if found.help else [])]),
            severity=_SEVERITIES[found.severity],
            code=found.code,
            code_description=types.CodeDescription(found.url) if found.url else None,
            source="toollint",
            related_information=[
                types.DiagnosticRelatedInformation(types.Location(self.uri(place.path), self.range(place)), message)
                for message, place in related + path
            ],
            data={"fingerprint": found.fingerprint},
        )

    def workspace_edit(self, edits: Iterable[Edit]) -> types.WorkspaceEdit:
        """Edits by file, tied to the versions that were analysed where the editor can check them. Equal ones merge."""
        by_path: dict[str, list[types.TextEdit]] = {}
        for edit in dict.fromkeys(edits):
            new = types.TextEdit(self.range(edit.region), edit.content)
            by_path.setdefault(edit.region.path, []).append(new)
        if not get_capability(self.snapshot.client, "workspace.workspace_edit.document_changes"):
            return types.WorkspaceEdit(changes={self.uri(path): new for path, new in by_path.items()})
        return types.WorkspaceEdit(
            document_changes=[types.TextDocumentEdit(self._versioned(path), new) for path, new in by_path.items()]
        )

    def _versioned(self, path: str) -> types.OptionalVersionedTextDocumentIdentifier:
        document = self.snapshot.documents.get(Path(path))
        return types.OptionalVersionedTextDocumentIdentifier(self.uri(path), document.version if document else None)


# --- one analysis --------------------------------------------------------------------------------------------------


class Answer(NamedTuple):
    """The findings in one file, in our words and, at the same index, in the protocol's."""

    findings: Sequence[Diagnostic]
    diagnostics: Sequence[types.Diagnostic]
    translator: Translator


def analyse(path: Path, snapshot: Snapshot) -> tuple[dict[Path, Answer], set[str]]:
    """Check a file together with all open ones that share its configuration: they share the work, too.

    Returns the answers by path, and what is wrong with the configurations. A file whose own configuration is wrong
    gets an empty answer.
    """
    configs, problems = _configurations({path, *snapshot.documents})
    group = sorted(other for other in configs if path in configs and configs[other] == configs[path])
    buffers = {other: document.encoded() for other, document in snapshot.documents.items()}
    report = engine.check_buffers(group, buffers, configs[path]) if group else Report()
    say = Translator(snapshot, report.texts)
    findings: dict[Path, list[Diagnostic]] = {other: [] for other in group or [path]}
    for found in report.diagnostics:
        findings[Path(found.path)].append(found)
    answers = {other: Answer(found, [*map(say.diagnostic, found)], say) for other, found in findings.items()}
    return answers, problems


def _configurations(paths: Iterable[Path]) -> tuple[dict[Path, config.Config], set[str]]:
    """Load the configuration of each file, once a folder; says what is wrong with those that cannot be loaded."""
    by_folder: dict[Path, config.Config] = {}
    problems = set()
    paths = sorted(paths)
    for folder in {path.parent for path in paths}:
        try:
            by_folder[folder] = config.load(folder, config_file=None, isolated=False, overrides={}, rules=rules.load())
        except config.ConfigError as error:  # noqa: PERF203 - each folder stands for itself
            problems.add(str(error))
    return {path: by_folder[path.parent] for path in paths if path.parent in by_folder}, problems


# --- code actions --------------------------------------------------------------------------------------------------


def code_actions(answer: Answer, params: types.CodeActionParams) -> list[types.CodeAction]:
    """What can be done about the findings in the range that is asked about, and fix-all for the whole file."""

    def wanted(kind: str) -> bool:
        only = params.context.only
        return only is None or any(asked in ("", kind) or kind.startswith(f"{asked}.") for asked in only)

    actions: list[types.CodeAction] = []
    if wanted(types.CodeActionKind.QuickFix):
        for found, shown in zip(answer.findings, answer.diagnostics, strict=True):
            if shown.range.start <= params.range.end and params.range.start <= shown.range.end:
                actions += _alternatives(found, shown, answer.translator)
                actions += _ignore(found, shown, answer.translator)
    if wanted(FIX_ALL):
        actions += _fix_all(answer)
    return actions


def _alternatives(found: Diagnostic, shown: types.Diagnostic, translator: Translator) -> Iterator[types.CodeAction]:
    """One quick fix for each alternative; the first safe one is preferred, one without edits says why it is not run."""
    greyed = get_capability(translator.snapshot.client, "text_document.code_action.disabled_support")
    for repair in found.fixes:
        runs = repair.safety is not Safety.DISPLAY and repair.edits
        if not runs and not greyed:
            continue
        reason = repair.why or "it needs a decision: follow the recipe on the rule's page"
        yield types.CodeAction(
            title=f"{repair.title} (unsafe)" if repair.safety is Safety.UNSAFE else repair.title,
            kind=types.CodeActionKind.QuickFix,
            diagnostics=[shown],
            is_preferred=True if repair is _preferred(found) else None,
            edit=translator.workspace_edit(repair.edits) if runs else None,
            disabled=None if runs else types.CodeActionDisabled(reason),
        )


def _preferred(found: Diagnostic) -> Fix | None:
    """Choose the first safe alternative."""
    return next((repair for repair in found.fixes if repair.safety is Safety.SAFE), None)


def _fix_all(answer: Answer) -> Iterator[types.CodeAction]:
    """Apply the preferred fix of every finding, as far as they do not overlap and stay in this file."""
    here = [
        (found, repair)
        for found in answer.findings
        if (repair := _preferred(found)) and all(edit.region.path == found.path for edit in repair.edits)
    ]
    edits = [edit for _, repair in fixes.select(here) for edit in repair.edits]
    if edits:
        yield types.CodeAction(
            title="Fix all safely fixable toollint problems",
            kind=FIX_ALL,
            edit=answer.translator.workspace_edit(edits),
        )


def _ignore(found: Diagnostic, shown: types.Diagnostic, translator: Translator) -> Iterator[types.CodeAction]:
    """Silence a finding by a comment on its statement."""
    document = translator.snapshot.documents.get(Path(found.path))
    edit = None if document is None or found.code.startswith(OWN_REPORTS) else ignore_comment(found, document)
    if edit is not None:
        yield types.CodeAction(
            title=f"Ignore {found.code} on this line",
            kind=types.CodeActionKind.QuickFix,
            diagnostics=[shown],
            edit=translator.workspace_edit([edit]),
        )


def ignore_comment(found: Diagnostic, document: Document) -> Edit | None:
    """Find the first line of the finding's statement where an ignore comment can stand, and really silences it.

    A line may end inside a string or before a backslash: rather than guess, each place is tried and the outcome asked
    of the grammar that will read it.
    """
    text = source.decode(found.path, document.encoded())
    first = found.region.start.row
    for row in range(first, min(first + MAX_STATEMENT, len(text.line_starts) + 1)):
        line = text.line(row).rstrip()
        ours = (piece for piece in text.suppressions.by_row.get(row, ()) if piece.kind == "ignore")
        codes = next((piece.codes for piece in ours if piece.codes), None)
        offset = codes[-1].span.end if codes else text.offset(Position(row, len(line) + 1))
        comment = f", {found.code}" if codes else f"  # toollint: ignore[{found.code}]"
        edit = Edit(text.region(Span(offset, offset)), comment)
        silenced = source.decode(found.path, text.splice([edit])).suppressions
        if not line.endswith("\\") and silenced.match(found.region.span.start, found.code, found.name):
            return edit
    return None


# --- the server ----------------------------------------------------------------------------------------------------


class Server(LanguageServer):
    """The editor's buffers, the newest answers, and whom to tell."""

    def __init__(self) -> None:
        # Whole texts rather than increments: pygls splits lines at form feeds and other characters that the protocol
        # (and Python) do not count as line ends, so an increment could land in the wrong place.
        super().__init__(
            "toollint", metadata.version("toollint-lifecycle"), text_document_sync_kind=types.TextDocumentSyncKind.Full
        )
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="analysis")
        self._busy = asyncio.Lock()
        self._generation = 0
        self._answers: dict[Path, Answer] = {}
        self._problems: set[str] = set()
        self._publishing: asyncio.Task[None] | None = None

    @property
    def pulls(self) -> bool:
        """Whether the editor asks for diagnostics; then none are pushed."""
        return get_capability(self.client_capabilities, "text_document.diagnostic") is not None

    def documents(self) -> dict[Path, Document]:
        """The open Python buffers that have a place on disk, whether or not anything is saved there."""
        return {
            path: Document(buffer.uri, buffer.version, buffer.source)
            for buffer in self.workspace.text_documents.values()
            if (path := self.python_file(buffer.uri))
        }

    def changed(self) -> None:
        """Begin a new generation: what was known is no longer; what is running will not be heard."""
        self._generation += 1
        self._answers.clear()
        if self._publishing is not None:
            self._publishing.cancel()
        if not self.pulls:
            self._publishing = asyncio.create_task(self._publish())

    def python_file(self, uri: str) -> Path | None:
        """The place on disk of a document, None if it has none or is known to be something else than Python."""
        path = to_fs_path(uri)
        buffer = self.workspace.text_documents.get(unquote(uri))
        return Path(path) if path and (buffer is None or buffer.language_id == "python") else None

    def is_current(self, answer: Answer) -> bool:
        """Whether nothing has changed since."""
        return answer.translator.snapshot.generation == self._generation

    async def answer(self, path: Path) -> Answer:
        """The findings of a file for the newest state of the buffers; waits as long as that keeps changing."""
        async with self._busy:
            while path not in self._answers:
                snapshot = Snapshot(
                    self._generation,
                    self.client_capabilities,
                    self.workspace.position_encoding or types.PositionEncodingKind.Utf16,
                    self.documents(),
                )
                nothing: tuple[dict[Path, Answer], set[str]] = {path: Answer((), (), Translator(snapshot, {}))}, set()
                answers, problems = await self.in_background(nothing, analyse, path, snapshot)
                if snapshot.generation == self._generation:
                    self._answers.update(answers)
                    self._tell(problems)
            return self._answers[path]

    async def in_background(self, otherwise: R, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run pure work in the thread; where it fails, log and go on: editors show failed requests as windows."""
        try:
            call = functools.partial(work, *args, **kwargs)
            return await asyncio.get_running_loop().run_in_executor(self._worker, call)
        except Exception:
            log.exception("%s failed", work.__name__)
            return otherwise

    async def _publish(self) -> None:
        await asyncio.sleep(PAUSE)
        for path, document in self.documents().items():
            answer = await self.answer(path)
            self.text_document_publish_diagnostics(
                types.PublishDiagnosticsParams(document.uri, answer.diagnostics, document.version)
            )

    def _tell(self, problems: set[str]) -> None:
        """Show what is wrong with the configuration, once until it changes."""
        for problem in sorted(problems - self._problems):
            self.window_show_message(types.ShowMessageParams(types.MessageType.Error, f"toollint: {problem}"))
            self.window_log_message(types.LogMessageParams(types.MessageType.Error, problem))
        self._problems = problems

    def report_server_error(self, error: Exception, source: type[Exception]) -> None:
        """Log what went wrong, where pygls would open a window for it."""
        log.error("%s: %s", source.__name__, error, exc_info=error)


# --- handlers ------------------------------------------------------------------------------------------------------


async def on_initialized(ls: Server, _: types.InitializedParams) -> None:
    """Ask to be told of files that change outside the editor."""
    if get_capability(ls.client_capabilities, "workspace.did_change_watched_files.dynamic_registration"):
        watchers = [types.FileSystemWatcher(pattern) for pattern in WATCHED]
        options = types.DidChangeWatchedFilesRegistrationOptions(watchers)
        method = types.WORKSPACE_DID_CHANGE_WATCHED_FILES
        registration = types.Registration("files", method, options)
        await ls.client_register_capability_async(types.RegistrationParams([registration]))


def on_change(ls: Server, _: types.DidOpenTextDocumentParams | types.DidChangeTextDocumentParams) -> None:
    """A buffer was opened or changed."""
    ls.changed()


def on_close(ls: Server, params: types.DidCloseTextDocumentParams) -> None:
    """Take back what was pushed for a buffer; the files that see its text on disk again may have news."""
    if not ls.pulls:
        ls.text_document_publish_diagnostics(types.PublishDiagnosticsParams(params.text_document.uri, []))
    ls.changed()


def on_disk_change(ls: Server, _: types.DidSaveTextDocumentParams | types.DidChangeWatchedFilesParams) -> None:
    """A file or a configuration has changed on disk; an editor that pulls is asked to do so again."""
    ls.changed()
    if ls.pulls and get_capability(ls.client_capabilities, "workspace.diagnostics.refresh_support"):
        ls.workspace_diagnostic_refresh(None)


async def on_diagnostic(ls: Server, params: types.DocumentDiagnosticParams) -> types.DocumentDiagnosticReport:
    """All findings of one file, or that they are the same as last time."""
    path = ls.python_file(params.text_document.uri)
    shown = (await ls.answer(path)).diagnostics if path else ()
    result_id = hashlib.sha256(repr(shown).encode("utf-8", "surrogatepass")).hexdigest()
    if result_id == params.previous_result_id:
        return types.RelatedUnchangedDocumentDiagnosticReport(result_id)
    return types.RelatedFullDocumentDiagnosticReport(shown, result_id=result_id)


async def on_code_action(ls: Server, params: types.CodeActionParams) -> list[types.CodeAction]:
    """What can be done in a range."""
    path = ls.python_file(params.text_document.uri)
    if path is None:
        return []
    while True:
        answer = await ls.answer(path)
        actions = await ls.in_background([], code_actions, answer, params)
        if ls.is_current(answer):
            return actions


def create() -> Server:
    """Make a server that knows what to do; `Server.start_io` runs it."""
    server = Server()
    kinds = [types.CodeActionKind.QuickFix, FIX_ALL]
    pull = types.DiagnosticOptions(inter_file_dependencies=True, workspace_diagnostics=False)
    for method, handler, options in (
        (types.INITIALIZED, on_initialized, None),
        (types.TEXT_DOCUMENT_DID_OPEN, on_change, None),
        (types.TEXT_DOCUMENT_DID_CHANGE, on_change, None),
        (types.TEXT_DOCUMENT_DID_CLOSE, on_close, None),
        (types.TEXT_DOCUMENT_DID_SAVE, on_disk_change, None),
        (types.WORKSPACE_DID_CHANGE_WATCHED_FILES, on_disk_change, None),
        (types.TEXT_DOCUMENT_DIAGNOSTIC, on_diagnostic, pull),
        (types.TEXT_DOCUMENT_CODE_ACTION, on_code_action, types.CodeActionOptions(kinds)),
    ):
        server.feature(method, options)(handler)
    return server


# --- standard input and output ---------------------------------------------------------------------------------------


class BoundedReader(io.BufferedReader):
    """Standard input that skips messages longer than `MAX_MESSAGE` instead of holding them in memory."""

    def read(self, size: int | None = -1, /) -> bytes:
        """Read a message of ``size`` bytes; one that is too long becomes a notification that nobody handles."""
        if size is None or size <= MAX_MESSAGE:
            return super().read(size)
        while size > 0 and (skipped := super().read(min(size, 1 << 16))):
            size -= len(skipped)
        return b'{"jsonrpc": "2.0", "method": "$/skipped", "params": null}' if size == 0 else b""


def main(*, stdio: bool) -> None:
    """Serve one editor until it says exit or closes its end.

    Raises:
        ValueError: anything but standard input and output is asked for; there is nothing else yet.
    """
    if not stdio:
        raise ValueError("the language server speaks over standard input and output only: use --stdio")
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="toollint: %(levelname)s: %(message)s")
    threading.stack_size(STACK)
    output = sys.stdout.buffer
    sys.stdout = sys.stderr  # a stray print must not end up between two messages
    create().start_io(BoundedReader(io.FileIO(sys.stdin.fileno(), closefd=False)), output)

"""The command: options in, exit code out.

Exit codes: 0 nothing to report (or all of it fixed), 1 findings, 2 anything that kept a question from being answered
(usage, configuration, an unreadable file, a rule that crashed, a rejected fix), 130 interrupted.
"""

# Whatever is dear to import is imported by the command that needs it: `--help` answers without engine or rules.
# ruff: noqa: PLC0415

from __future__ import annotations

import gc
import io
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from toollint.config import Config
    from toollint.engine import Mode
    from toollint.model import Report, Rule
    from toollint.output.terminal import Look

DISTRIBUTION = "toollint-lifecycle"
BROKEN = frozenset({"TL000", "TL002", "TL998"})
"""Codes that mean that toollint could not do what it was asked to: a crash, a rejected fix, an unreadable file."""

_INTERRUPTED = 130
_STDIN = "-"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; every failure is one line on standard error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # file names and source may hold what the terminal cannot write
            stream.reconfigure(errors="backslashreplace")
    try:
        return int(toollint.main(arguments, prog_name="toollint", standalone_mode=False) or 0)
    except click.ClickException as error:
        return _fail(error.format_message())
    except (click.Abort, KeyboardInterrupt):
        return _INTERRUPTED
    except OSError as error:
        return _fail(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}")
    except Exception as error:  # the last resort: a user is never shown a traceback unasked
        if os.environ.get("TOOLLINT_TRACEBACK"):
            raise
        return _fail(
            f"internal error, please report it: {type(error).__name__}: {error} (TOOLLINT_TRACEBACK=1 shows more)"
        )


def _fail(message: str) -> int:
    from toollint.output.terminal import visible

    _say(f"toollint: {visible(' '.join(message.split()))}\n", err=True)
    return 2


def _say(text: str | bytes, *, err: bool = False) -> None:
    # click would think about colours and encodings for itself: both are settled. No text, no write: the stream may be
    # closed.
    if text:
        click.echo(text, file=sys.stderr if err else sys.stdout, nl=False, color=True)


# --- the group: `check` is what runs when no command is named ---------------------------------------------------------


class _DefaultCheck(click.Group):
    """A group that takes a first word that is not a command's name as the first word after ``check``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        own = {*self.commands, *(name for option in self.get_params(ctx) for name in option.opts)}
        return super().parse_args(ctx, args if args and args[0] in own else ["check", *args])

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_options(ctx, formatter)
        check = click.Context(self.commands["check"], parent=ctx)
        options = (option for option in check.command.params if isinstance(option, click.Option))
        records = [option.get_help_record(check) for option in options]
        with formatter.section("Options of check"):
            formatter.write_dl([record for record in records if record])


@click.group(
    cls=_DefaultCheck,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    options_metavar="",
    subcommand_metavar="[check] [OPTIONS] [PATHS]...",
)
@click.version_option(None, "-V", "--version", package_name=DISTRIBUTION, message="%(prog)s %(version)s")
def toollint() -> None:
    """Find agent tools, caches and graphs that are never released, and fix what can be fixed.

    PATHS are files or folders; none means the current folder, "-" means standard input.
    """


# --- check ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Options:
    """The options of ``check`` as they were given; None and empty leave the choice to the configuration."""

    paths: tuple[Path, ...]
    select: tuple[str, ...]
    ignore: tuple[str, ...]
    extend_select: tuple[str, ...]
    per_file_ignores: Mapping[str, Sequence[str]]
    preview: bool | None
    exclude: tuple[str, ...]
    config: Path | None
    isolated: bool
    fix: bool
    unsafe_fixes: bool | None
    diff: bool
    show_fixes: bool
    exit_zero: bool
    statistics: bool
    output_format: str | None
    output_file: Path | None
    stdin_filename: str | None
    frontend: str | None
    jobs: int
    no_cache: bool
    color: str
    no_progress: bool
    quiet: bool
    verbose: bool

    @property
    def stdin(self) -> bool:
        """Whether standard input is what is checked."""
        return self.paths == (Path(_STDIN),)

    @property
    def overrides(self) -> dict[str, object]:
        """What beats the configuration, under the names it has there."""
        names = ("select", "ignore", "extend_select", "per_file_ignores", "preview", "exclude", "unsafe_fixes")
        given = {name: getattr(self, name) for name in (*names, "output_format", "frontend")}
        return {name.replace("_", "-"): value for name, value in given.items() if value not in (None, (), {})}


def _comma_separated(_context: click.Context, _option: click.Parameter, values: Sequence[str]) -> tuple[str, ...]:
    return tuple(word.strip() for value in values for word in value.split(",") if word.strip())


def _by_pattern(context: click.Context, option: click.Parameter, values: Sequence[str]) -> dict[str, list[str]]:
    ignored: dict[str, list[str]] = {}
    for pair in _comma_separated(context, option, values):
        pattern, colon, code = pair.rpartition(":")
        if not (colon and pattern and code):
            raise click.BadParameter(f"'{pair}' is not of the form PATTERN:CODE")
        ignored.setdefault(pattern, []).append(code)
    return ignored


def _list_option(name: str, metavar: str, text: str, callback: Any = _comma_separated) -> Callable[..., Any]:
    return click.option(name, metavar=metavar, multiple=True, callback=callback, help=text)


_color = click.option(
    "--color",
    type=click.Choice(["auto", "always", "never"]),
    default="auto",
    help="Colour the output; auto obeys FORCE_COLOR, NO_COLOR and the terminal.",
)


_config = click.option("--config", type=click.Path(path_type=Path), help="Use this pyproject.toml or toollint.toml.")
_isolated = click.option("--isolated", is_flag=True, help="Use no configuration file.")


@toollint.command(short_help="Check files; this is what runs when no command is named.")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@_list_option("--select", "CODES", "Run these rules only: codes, prefixes, names or ALL, separated by commas.")
@_list_option("--ignore", "CODES", "Do not run these rules.")
@_list_option("--extend-select", "CODES", "Run these rules too.")
@_list_option("--per-file-ignores", "PATTERN:CODE", "Do not run a rule on files that match a pattern.", _by_pattern)
@click.option("--preview/--no-preview", default=None, help="Run rules that are still in preview.")
@click.option("--fix", is_flag=True, help="Apply safe fixes.")
@click.option("--unsafe-fixes/--no-unsafe-fixes", default=None, help="With --fix or --diff: take unsafe fixes too.")
@click.option("--diff", is_flag=True, help="Write nothing; show what --fix would change and exit 1 if it would.")
@click.option("--show-fixes", is_flag=True, help="List the fixes that were made, by file and rule.")
@click.option("--exit-zero", is_flag=True, help="Exit 0 in spite of findings.")
@click.option("--statistics", is_flag=True, help="Count findings by rule instead of listing them.")
@click.option("--output-format", type=click.Choice(["full", "concise", "json"]), help="How findings are printed.")
@click.option("--output-file", type=click.Path(dir_okay=False, path_type=Path), help="Print findings into a file.")
@_config
@_isolated
@_list_option("--exclude", "PATTERNS", "Do not look for files in what matches these patterns.")
@click.option("--stdin-filename", metavar="NAME", help="The name that standard input is checked under.")
@click.option("--frontend", type=click.Choice(["ast", "libcst"]), help="How files are parsed; findings are the same.")
@click.option("--jobs", type=click.IntRange(min=0), default=0, help="Processes to use; 0 means as many as is sensible.")
@click.option("--no-cache", is_flag=True, help="Neither read nor write the cache.")
@_color
@click.option("--no-progress", is_flag=True, help="Show no progress.")
@click.option("-q", "--quiet", is_flag=True, help="Print findings and nothing else.")
@click.option("-v", "--verbose", is_flag=True, help="Say what was done, too.")
def check(**given: Any) -> int:
    """Check files and folders; none means the current folder, "-" means standard input."""
    given["paths"] = given["paths"] or (Path(),)
    options = _Options(**given)
    if Path(_STDIN) in options.paths and not options.stdin:
        raise click.UsageError("standard input (-) cannot be checked together with files")
    config = _configure(_common_folder(options), options.config, options.overrides, isolated=options.isolated)
    data = sys.stdin.buffer.read() if options.stdin else None
    report = _run(options, config, data)
    _tell(options, config, report, data)
    return exit_code(report, diff=options.diff, exit_zero=options.exit_zero)


def _configure(start: Path, file: Path | None, overrides: Mapping[str, object], *, isolated: bool) -> Config:
    from toollint import config, rules

    try:
        return config.load(start, config_file=file, isolated=isolated, overrides=overrides, rules=rules.load())
    except config.ConfigError as error:
        raise click.ClickException(str(error)) from error


def _common_folder(options: _Options) -> Path:
    """Where the search for a configuration begins: the innermost folder that holds everything to check."""
    named = [Path(options.stdin_filename or "-").parent] if options.stdin else options.paths
    common = Path(os.path.commonpath([os.path.abspath(path) for path in named]))  # noqa: PTH100 - `..` has to go
    return common if common.is_dir() else common.parent


def _run(options: _Options, config: Config, data: bytes | None) -> Report:
    from toollint import engine, rules
    from toollint.config import ConfigError, Nearest
    from toollint.files import MissingPath

    one_for_all = options.isolated or options.config
    quiet = options.no_progress or options.quiet or options.stdin
    progress = None if quiet or not _is_terminal(sys.stderr) else _Progress()
    gc.disable()  # the process ends soon: looking through all that a run keeps would cost more than it brings back
    try:
        return engine.run(
            () if options.stdin else options.paths,
            config,
            mode=_mode(options),
            stdin=data,
            stdin_filename=options.stdin_filename,
            jobs=options.jobs,
            progress=progress,
            nearest=None if one_for_all else Nearest(rules.load(), options.overrides),
        )
    except (MissingPath, ConfigError) as error:
        raise click.ClickException(str(error)) from error
    finally:
        if progress:
            progress.clear()


def _mode(options: _Options) -> Mode:
    from toollint.engine import Mode

    if options.diff:
        return Mode.DIFF
    return Mode.FIX if options.fix else Mode.CHECK


def exit_code(report: Report, *, diff: bool, exit_zero: bool) -> int:
    """The exit code of a run: 2 for what could not be done, 1 for findings above info (for changes under ``diff``)."""
    from toollint.model import Severity

    if any(found.code in BROKEN for found in report.diagnostics):
        return 2
    bad = report.changes if diff else [found for found in report.diagnostics if found.severity is not Severity.INFO]
    return int(bool(bad) and not exit_zero)


# --- what check prints ------------------------------------------------------------------------------------------------


def _tell(options: _Options, config: Config, report: Report, data: bytes | None) -> None:
    """Print the outcome: what was asked for to standard output (or the file), what is said about it beside."""
    to_stderr = data is not None and options.fix and not options.diff
    if data is not None and to_stderr:  # standard output belongs to the fixed text
        _say(_fixed_bytes(report, data))
    look = _look(options.color, None if options.output_file else sys.stderr if to_stderr else sys.stdout)
    text = _diffs(report, look) if options.diff else _listing(options, config, report, look)
    if options.output_file:
        options.output_file.write_text(text, encoding="utf-8", errors="backslashreplace")
    else:
        _say(text, err=to_stderr)
    _say(_remarks(options, config, report, _look(options.color, sys.stderr)), err=True)


def _listing(options: _Options, config: Config, report: Report, look: Look) -> str:
    from toollint.output import concise, full, json, summary

    if config.output_format == "json":
        return json.dump(summary.counts(report)) if options.statistics else json.render(report)
    closing = "" if options.quiet else summary.closing(report, unsafe=config.unsafe_fixes, fixing=options.fix)
    if options.statistics:
        return summary.statistics(report, look) + closing
    if config.output_format == "concise":
        return concise.render(report, look) + closing
    return full.render(report, look) + closing + ("" if options.quiet else summary.pointer(report))


def _diffs(report: Report, look: Look) -> str:
    from toollint.output import diff

    changes = sorted(report.changes.items())
    return "".join(diff.coloured(diff.unified(look.path(path), old, new), look) for path, (old, new) in changes)


def _remarks(options: _Options, config: Config, report: Report, look: Look) -> str:
    """What goes to standard error: under --diff also what could not be done, for the findings are not listed there."""
    from toollint.output import concise, summary
    from toollint.output.terminal import visible

    broken = [found for found in report.diagnostics if found.code in BROKEN] if options.diff else []
    text = "".join(f"{concise.line(found, look)}\n" for found in broken)
    text += summary.fixes(report, look) if options.show_fixes else ""
    if options.quiet:
        return text
    remarks = [f"note: {notice}" for notice in report.notices]
    if not report.files:
        remarks.append("warning: there are no Python files here")
    if options.verbose:
        remarks.append(f"note: configuration from {config.root or 'no file'}; {report.files} files checked")
    text += "".join(f"toollint: {visible(remark)}\n" for remark in remarks)
    return text + summary.would_fix(report) if options.diff else text


def _fixed_bytes(report: Report, data: bytes) -> bytes:
    """Standard input after its fixes, in the encoding that it came in."""
    from toollint.source import decode

    for path, (_, new) in report.changes.items():
        source = decode(path, data)
        return source.bom + new.encode(source.encoding)
    return data


def _look(color: str, stream: Any) -> Look:
    from toollint.output.terminal import Look, wants_colour

    try:
        base = os.getcwd()  # noqa: PTH109
    except OSError:  # the folder is gone: paths are shown in full
        base = ""
    return Look(wants_colour(color, os.environ, tty=_is_terminal(stream)), base)


def _is_terminal(stream: Any) -> bool:
    return stream is not None and stream.isatty()


class _Progress:
    """How far a run is, on one line of standard error that is rewritten, once a run takes longer than a second."""

    DELAY = 1.0
    INTERVAL = 0.1

    def __init__(self) -> None:
        self.due = time.monotonic() + self.DELAY
        self.shown = False

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if now >= self.due:
            self.due, self.shown = now + self.INTERVAL, True
            _say(f"\r\x1b[Kchecked {done} of {total} files", err=True)

    def clear(self) -> None:
        """Take the line away."""
        if self.shown:
            _say("\r\x1b[K", err=True)


# --- rule, catalog and server ----------------------------------------------------------------------------------------


@toollint.command("rule")
@click.argument("name", metavar="CODE_OR_NAME", required=False)
@click.option("--all", "every", is_flag=True, help="Show the pages of all rules.")
@click.option("--probe", is_flag=True, help="Print a script that counts, in your own program, what stays alive.")
@click.option("--output-format", type=click.Choice(["text", "json"]), default="text", help="How pages are printed.")
@_color
def explain(name: str | None, *, every: bool, probe: bool, output_format: str, color: str) -> None:
    """Show the page of a rule: why, bad, good, its fix, and what it keeps silent about."""
    from toollint import rules
    from toollint.output import json, pages

    if (name is None) is not every:
        raise click.UsageError("name one rule, or say --all")
    if probe and (every or output_format == "json"):
        raise click.UsageError("--probe prints the script of one rule, and no JSON")
    chosen = rules.load() if name is None else (_find(name, rules.load()),)
    if probe:
        _say(_probe(chosen[0], rules.load()))
    elif output_format == "json":
        objects = [pages.data(rule) for rule in chosen]
        _say(json.dump(objects if every else objects[0]))
    else:
        look = _look(color, sys.stdout)
        _say("\n".join(pages.page(rule, look) for rule in chosen))


def _find(name: str, rules: Sequence[Rule]) -> Rule:
    from difflib import get_close_matches

    known = {key: rule for rule in rules for key in (rule.code.lower(), rule.name)}
    if name.lower() in known:
        return known[name.lower()]
    close = get_close_matches(name.lower(), known, n=1)
    raise click.ClickException(f"no rule {name!r}{f': did you mean {_spelled(known[close[0]])}?' if close else ''}")


def _probe(rule: Rule, rules: Sequence[Rule]) -> str:
    from toollint.output import probes

    text = probes.script(rule.code)
    if text is None:
        others = ", ".join(each.code for each in rules if probes.script(each.code))
        raise click.ClickException(f"{_spelled(rule)} has no probe: there is one for {others}")
    return text


def _spelled(rule: Rule) -> str:
    return f"{rule.code} ({rule.name})"


@toollint.command("catalog")
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.option("--output-format", type=click.Choice(["text", "json"]), default="text", help="How rows are printed.")
@_config
@_isolated
@_color
def look_up(names: Sequence[str], *, output_format: str, config: Path | None, isolated: bool, color: str) -> int:
    """Show what is known of full names, as psycopg.connect: what they acquire, release and keep, and who says so."""
    from toollint import catalog
    from toollint.output import catalog as output
    from toollint.output import json

    known = catalog.load(_configure(Path(), config, {}, isolated=isolated).catalogue)
    found = [(name, output.entries(known, name)) for name in names]
    if output_format == "json":
        _say(json.dump([output.data(name, rows) for name, rows in found if rows]))
    else:
        look = _look(color, sys.stdout)
        _say("\n".join(output.page(name, rows, look) for name, rows in found if rows))
    unknown = [name for name, rows in found if not rows]
    _say("".join(f"{_unknown(name, output.near(known, name))}\n" for name in unknown), err=True)
    return int(bool(unknown))


def _unknown(name: str, near: Sequence[str]) -> str:
    from toollint.output.terminal import visible

    hint = f": did you mean {', '.join(near)}?" if near else ""
    return f"toollint: the catalogue has no {visible(' '.join(name.split()))!r}{hint}"


@toollint.command()
@click.option("--stdio", is_flag=True, required=True, help="Speak through standard input and output.")
def server(*, stdio: bool) -> None:
    """Run the language server."""
    try:
        from toollint.server import main as serve
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in {"pygls", "lsprotocol"}:
            raise
        message = f"the language server needs pygls: install {DISTRIBUTION}[lsp] in place of {DISTRIBUTION}"
        raise click.ClickException(message) from error
    serve(stdio=stdio)

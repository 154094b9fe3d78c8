"""Every fixture: exactly the findings that it asks for, in both front ends, and its fixed form beside it."""

from __future__ import annotations

import pytest
from fixture_format import FIXTURES, cases, files_of, twin, wants, without_wants

import toollint
from toollint.config import Config

CASES = cases()
CONFIG = Config(select=("ALL",), preview=True, unsafe_fixes=True)


def _id(case):
    return str(case.relative_to(FIXTURES))


@pytest.fixture(scope="module")
def report_of():
    reports = {}

    def get(case, frontend="ast"):
        if (case, frontend) not in reports:
            config = Config(select=("ALL",), preview=True, unsafe_fixes=True, frontend=frontend)
            reports[case, frontend] = toollint.check(_placed(case), config)
        return reports[case, frontend]

    return get


def _placed(case):
    """The case's texts as a project of their own, wants left in: comments change nothing."""
    return {f"/project/{path.relative_to(case.parent)}": path.read_bytes() for path in files_of(case)}


@pytest.mark.parametrize("frontend", ["ast", "libcst"])
@pytest.mark.parametrize("case", CASES, ids=_id)
def test_findings(case, frontend, report_of):
    report = report_of(case, frontend)
    for path in files_of(case):
        name = f"/project/{path.relative_to(case.parent)}"
        left = [d for d in report.diagnostics if d.path == name]
        for want in wants(path.read_text()):
            hit = next((d for d in left if _meets(d, want)), None)
            assert hit is not None, f"missing: {want}\nfound: {_shown(left)}"
            left.remove(hit)
        assert not left, f"not asked for: {_shown(left)}"


def _meets(found, want):
    at = found.region.start
    return (
        (found.code, at.row) == (want.code, want.row)
        and want.column in {None, at.column}
        and want.text in found.message
    )


def _shown(diagnostics):
    return [f"{d.region.start.row}:{d.region.start.column} {d.code} {d.message}" for d in diagnostics]


@pytest.mark.parametrize("case", CASES, ids=_id)
def test_fixes(case, tmp_path, request):
    """What ``--fix --unsafe-fixes`` makes of a case is its twin, and of the twin nothing new; no twin: no change."""
    copies = {}
    for path in files_of(case):
        copy = tmp_path / path.relative_to(case.parent)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(without_wants(path.read_text()))
        copies[path] = copy
    report = toollint.fix([tmp_path], CONFIG)
    assert [d.message for d in report.diagnostics if d.code == "TL002"] == []
    for path, copy in copies.items():
        before, after = without_wants(path.read_text()), copy.read_text()
        if request.config.getoption("--bless"):
            twin(path).unlink(missing_ok=True)
            if after != before:
                twin(path).write_text(after)
        assert after == (twin(path).read_text() if twin(path).exists() else before)
    again = toollint.fix([tmp_path], CONFIG)
    assert not again.changes


def test_every_rule_has_fixtures_for_both_answers():
    from toollint import rules

    for rule in rules.load():
        folder = FIXTURES / f"{rule.code}_{rule.name.replace('-', '_')}"
        assert folder.is_dir(), f"{rule.code} has no folder {folder.name}"
        files = [path for case in CASES if case.parent == folder for path in files_of(case)]
        assert any(rule.code in {want.code for want in wants(path.read_text())} for path in files)
        silent = [path for path in folder.glob("silent*") if path.is_file() or path.is_dir()]
        assert silent, f"{rule.code} has no silent case"


def test_no_twin_without_its_case():
    for fixed in FIXTURES.glob("TL*/**/*.fixed.py"):
        assert fixed.with_name(fixed.name.replace(".fixed.py", ".py")).exists()

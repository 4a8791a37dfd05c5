"""Conditions of alerts over any figures, without a store or a server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from claims.alerts import KINDS, Alert, Met, Moment, alert_text, steps_text, subject_line
from claims.money import Money
from claims.store.findings import BankComparison, Finding
from claims.store.heartbeats import Heartbeat
from claims.store.leasing import WorkBacklog
from claims.store.payouts import UnclearPayout
from claims.texts import languages
from flows.config import AlertLimits
from flows.operations.conditions import CONDITIONS, Certificate, Observed, evaluate
from flows.operations.watch import read_certificates

NOW = datetime(2026, 11, 30, 8, 0, tzinfo=UTC)
LIMITS = AlertLimits()
NOTHING = Observed(NOW, {}, (), (), None, {}, ())
ages = st.integers(min_value=-7_200, max_value=400_000)  # seconds; a clock may have jumped


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def names(met: Sequence[Met]) -> list[str]:
    return [each.kind.name for each in met]


def subjects(met: Sequence[Met], name: str) -> list[str]:
    return [each.subject for each in met if each.kind.name == name]


def payout(number: int, age_seconds: float) -> UnclearPayout:
    return UnclearPayout(f"p{number}", f"c{number}", Money(100, "CNY"), ago(age_seconds))


def beat(name: str, age_seconds: float, **report: Any) -> Heartbeat:
    return Heartbeat(name, name.partition("@")[0], ago(age_seconds), report)


def comparison(age_seconds: float) -> BankComparison:
    return BankComparison(ago(age_seconds), ago(age_seconds), 0, 0, 0, 0, "")


def finding(number: int, payout_id: str) -> Finding:
    return Finding(number, payout_id, "c", "not_at_bank", "words", "x", "open", NOW, None, "", "")


def test_every_kind_of_alert_has_one_condition_and_nothing_is_met_where_nothing_is() -> None:
    assert [condition.kind.name for condition in CONDITIONS] == list(KINDS)
    assert evaluate(NOTHING, LIMITS) == ([], frozenset({"library.behind"}))


@given(st.lists(ages, max_size=40))
def test_payouts_are_unclear_from_the_limit_on_the_oldest_first_and_never_too_many(given_ages: list[int]) -> None:
    observed = replace(NOTHING, unclear=[payout(number, age) for number, age in enumerate(given_ages)])
    met, _ = evaluate(observed, LIMITS)
    late = sorted((age for age in given_ages if age >= LIMITS.payout_unclear_seconds), reverse=True)
    assert [each.figures["age_seconds"] for each in met] == late[: LIMITS.subjects_max]
    assert {each.figures["in_all"] for each in met} <= {len(late)}
    assert len({each.subject for each in met}) == len(met)


@given(st.integers(0, 5), ages)
def test_a_backlog_is_old_only_where_something_is_due(due: int, age: int) -> None:
    backlog = WorkBacklog(due=due, later=9, leased=9, dead=9, oldest_seconds=float(age))
    met, _ = evaluate(replace(NOTHING, backlogs={"settle": backlog}), LIMITS)
    assert subjects(met, "backlog.old") == (["settle"] if due and age >= LIMITS.backlog_seconds else [])


@given(st.lists(st.sampled_from(["a", "b", "c"]), max_size=6))
def test_each_payout_that_differs_is_one_alert_however_many_findings_it_has(payout_ids: list[str]) -> None:
    findings = [finding(number, payout_id) for number, payout_id in enumerate(payout_ids)]
    met, _ = evaluate(replace(NOTHING, findings=findings), LIMITS)
    assert sorted(subjects(met, "books.differ")) == sorted(set(payout_ids))


@given(ages)
def test_books_are_unread_from_three_intervals_on(age: int) -> None:
    met, _ = evaluate(replace(NOTHING, reconciled=comparison(age)), LIMITS)
    assert names(met) == (["books.unread"] if age >= LIMITS.reconciled_seconds else [])


@given(ages, st.sampled_from(["starting", "up", "down"]), st.integers(0, 3), st.integers(0, 3))
def test_the_ocr_is_down_by_a_living_workers_word_or_by_claims_that_wait(
    age: int, ocr: str, reader: int, disk: int
) -> None:
    waiting = {"reader": reader, "disk": disk}
    observed = replace(NOTHING, waiting=waiting, heartbeats=[beat("worker@h:1-a", age, ocr=ocr)])
    met, _ = evaluate(observed, LIMITS)
    says_so = ocr == "down" and age <= LIMITS.silent_seconds
    assert ("ocr.down" in names(met)) == (says_so or reader > 0)
    assert subjects(met, "resource.short") == (["disk"] if disk else [])


@given(st.integers(-5_000_000, 5_000_000))
def test_a_certificate_is_expired_or_expires_soon_and_never_both(seconds_left: int) -> None:
    observed = replace(NOTHING, certificates=[Certificate("ab12", NOW + timedelta(seconds=seconds_left))])
    met, _ = evaluate(observed, LIMITS)
    soon = 0 < seconds_left <= LIMITS.certificate_days * 86_400
    assert names(met) == (["certificate.expired"] if seconds_left <= 0 else ["certificate.expiring"] if soon else [])


def pem(*expire_in_days: int) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "camera maker")])
    made = b""
    for days in expire_in_days:
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        builder = builder.serial_number(days + 2_000).not_valid_before(ago(86_400 * 1_000))
        certificate = builder.not_valid_after(NOW + timedelta(days=days)).sign(key, SHA256())
        made += certificate.public_bytes(Encoding.PEM)
    return made


def test_certificates_are_read_from_a_file_and_one_that_cannot_be_read_is_not_known(tmp_path: Path) -> None:
    file = tmp_path / "anchors.pem"
    file.write_bytes(pem(-1, 10, 400))
    read = read_certificates(file)
    assert read is not None
    met, _ = evaluate(replace(NOTHING, certificates=read), LIMITS)
    assert names(met) == ["certificate.expired", "certificate.expiring"]
    assert [each.figures["expires"] for each in met] == ["2026-11-29", "2026-12-10"]
    assert subjects(met, "certificate.expired") == [read[0].fingerprint]
    assert read_certificates(None) == []
    assert read_certificates(tmp_path / "missing.pem") is None
    file.write_bytes(b"-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n")
    assert read_certificates(file) is None


def test_certificates_that_cannot_be_read_leave_their_alerts_as_they_are() -> None:
    _, unknown = evaluate(replace(NOTHING, certificates=None), LIMITS)
    assert unknown == {"certificate.expired", "certificate.expiring", "library.behind"}


@given(st.integers(0, 200_000), st.integers(0, 200_000))
def test_a_copy_of_the_library_is_behind_from_a_share_on_and_none_is_not_behind(held: int, stored: int) -> None:
    beats = [beat("worker@h:1-a", 0, library_rows_in_memory=held), beat("settle@h:2-b", 0)]
    met, _ = evaluate(replace(NOTHING, heartbeats=beats, library_rows=stored), LIMITS)
    far = abs(held - stored) > max(1_000, int(0.05 * stored))
    assert subjects(met, "library.behind") == (["worker@h:1-a"] if held and far else [])


@given(st.lists(st.tuples(st.sampled_from(["a", "b"]), ages), max_size=6))
def test_a_machine_is_silent_only_if_no_process_of_the_kind_reports_from_it(reports: list[tuple[str, int]]) -> None:
    beats = [beat(f"worker@{host}:{number}-x", age) for number, (host, age) in enumerate(reports)]
    met, _ = evaluate(replace(NOTHING, heartbeats=beats), LIMITS)
    hosts = {host for host, _ in reports}
    living = {host for host, age in reports if age <= LIMITS.silent_seconds}
    assert set(subjects(met, "process.silent")) == {f"worker@{host}" for host in hosts - living}


@pytest.mark.parametrize(("word", "expected"), [(True, ["audit.broken"]), (False, []), ("yes", []), (None, [])])
def test_the_audit_chain_is_broken_by_a_processs_word(word: object, expected: list[str]) -> None:
    observed = replace(NOTHING, heartbeats=[beat("refer@h:1-a", 0, audit_tip_missing=word)])
    assert names(evaluate(observed, LIMITS)[0]) == expected


EVERYTHING = Observed(
    NOW,
    {"settle": WorkBacklog(3, 0, 0, 0, 9_000)},
    [payout(1, 7_200)],
    [finding(1, "p2")],
    comparison(90_000),
    {"reader": 2, "disk": 1},
    [
        beat("worker@a:1-a", 0, ocr="down", library_rows_in_memory=5),
        beat("refer@a:1-a", 0, audit_tip_missing=True),
        beat("settle@a:2-b", 600),
    ],
    100_000,
    [Certificate("ab12", ago(5)), Certificate("cd34", NOW + timedelta(days=2))],
)


@pytest.mark.parametrize("language", languages())
def test_every_alert_has_words_for_all_of_its_figures_in_every_language(language: str) -> None:
    met, unknown = evaluate(EVERYTHING, LIMITS)
    assert {each.kind.name for each in met} == set(KINDS)
    assert unknown == frozenset()
    for each in met:
        kept = Alert(1, each.kind.name, each.subject, each.kind.severity, each.figures, NOW, NOW, NOW, None)
        text = alert_text(kept, language)
        assert "–" not in text, "a figure is missing"
        assert "{" not in text
        assert steps_text(kept, language)
        assert text in subject_line(kept, Moment.RESOLVED, language)


def test_an_alert_of_another_version_and_figures_that_break_lines_are_told_all_the_same() -> None:
    kind = KINDS["payout.unclear"]
    old = Alert(1, "payout.unclear", "p\r\nBcc: x", kind.severity, {}, NOW, NOW, NOW, None)
    assert alert_text(old, "en") == "payout p  Bcc: x: no final answer of the bank for – (claim –)"
    gone = replace(old, name="coffee.cold", subject="cup")
    assert (alert_text(gone, "en"), steps_text(gone, "en")) == ("coffee.cold: cup", "")
    assert gone.resource_id == "miaopei.coffee.cup"

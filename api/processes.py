"""Builds the configuration of each process of the flows from the settings."""

from __future__ import annotations

import os
import secrets
import socket
from dataclasses import replace
from typing import Any

from api import private
from api.settings import Settings
from claims.floods import FloodLimits
from claims.store.scrubbing import ScrubLimits
from flows.config import (
    AlertLimits,
    DescriptorConfig,
    JobsConfig,
    LeaseLimits,
    LibraryConfig,
    MailConfig,
    NoticeConfig,
    PartnerConfig,
    PrefectConfig,
    ReferConfig,
    RetentionLimits,
    RunnerConfig,
    SettleConfig,
    StoreConfig,
    TipConfig,
    TruthLimits,
    WatchConfig,
    WorkerConfig,
)
from flows.rails import http
from flows.rails.rail import ChosenRail
from flows.rails.registry import chosen


def process_name(kind: str) -> str:
    """Returns a name that is unique among processes, ended ones included: kind, host, process id (which containers
    reuse) and a random part."""
    return f"{kind}@{socket.gethostname()}:{os.getpid()}-{secrets.token_hex(3)}"


def worker_config(settings: Settings) -> WorkerConfig:
    work = settings.work
    return WorkerConfig(
        name=process_name("worker"),
        store=_store(settings),
        ocr_models=settings.ocr_models,
        paper_kinds=settings.paper_kinds,
        descriptor=descriptor_config(settings),
        c2pa_anchors=c2pa_anchors(settings),
        nose_keys=nose_keys(settings),
        nose_cards=settings.nose_cards,
        public_url=settings.public_url,
        prefect=prefect_config(settings),
        lease=LeaseLimits(
            batch_max=work.batch_max,
            batches_in_flight_max=work.batches_in_flight_max,
            lease_seconds=work.lease_seconds,
            heartbeat_seconds=work.lease_seconds / 4,
            attempts_max=work.attempts_max,
        ),
        floods=FloodLimits(settings.floods.claims_max, settings.floods.window_hours),
        library=LibraryConfig(settings.library.memory_mib_max * 2**20),
        cores=work.cores,
        retention=_retention(settings),
    )


def prefect_config(settings: Settings) -> PrefectConfig:
    """Returns how every process of ours reaches Prefect's server."""
    shown = settings.prefect
    return PrefectConfig(
        api_url=settings.prefect_api_url,
        api_key=settings.prefect_api_key.get_secret_value(),
        auth_string=settings.prefect_auth_string.get_secret_value(),
        ssl_cert_file=settings.prefect_ssl_cert_file,
        ui_url=settings.prefect_pages,
        truth=TruthLimits(
            silent_seconds=shown.silent_seconds,
            unknown_hours=shown.unknown_hours,
            runs_days=shown.runs_days,
            retention_every_seconds=shown.retention_seconds,
        ),
    )


def scrub_limits(settings: Settings, *, rewrite_all: bool = False) -> ScrubLimits:
    """Returns the limits on cleaning the database's files. rewrite_all: tables of any size, for as long as it takes."""
    retention, limits = settings.retention, ScrubLimits()
    if rewrite_all:
        return replace(limits, rewrite_bytes_max=2**62, rewrite_seconds_max=limits.vacuum_seconds_max)
    return replace(
        limits,
        rewrite_bytes_max=retention.rewrite_mib_max * 2**20,
        rewrite_seconds_max=retention.rewrite_seconds_max,
    )


def c2pa_anchors(settings: Settings) -> bytes:
    """Returns the operator's trusted certificates, b"" without any. Raises OSError when the file cannot be read."""
    return settings.c2pa_trust_anchors.read_bytes() if settings.c2pa_trust_anchors is not None else b""


def nose_keys(settings: Settings) -> tuple[bytes, ...]:
    """Returns the keys that encrypt nose templates, newest first: the settings', or the one of `home`/nose.key, which
    is made on first use. Raises OSError."""
    if settings.nose_key:
        return tuple(key.encode() for key in (settings.nose_key, *settings.nose_keys_old))
    private.open_home(settings.home)
    kept = settings.home / "nose.key"
    if not kept.exists():
        private.write_once(kept, secrets.token_urlsafe(48))
    return (kept.read_text(encoding="utf-8").strip().encode(),)


def descriptor_config(settings: Settings) -> DescriptorConfig | None:
    """Returns the operator's descriptor; None for our own."""
    torchscript, whitening = settings.descriptor_torchscript, settings.descriptor_whitening
    thresholds = settings.descriptor_thresholds
    if torchscript is None or whitening is None or thresholds is None:
        return None
    return DescriptorConfig(torchscript, whitening, thresholds)


def chosen_rail(settings: Settings) -> ChosenRail:
    """Returns the rail that `rail.kind` names. Raises InvalidRail."""
    rail, options = settings.rail, dict(settings.rail.options)
    if rail.kind == http.KIND.name:
        bank = settings.bank
        told: dict[str, Any] = {
            "url": bank.url,
            "token": bank.token,
            "reply_timeout_seconds": bank.reply_timeout_seconds,
        }
        if bank.final_refusals is not None:
            told["final_refusals"] = bank.final_refusals
        options = {**told, **options}
    return chosen(rail.kind, options)


def settle_config(settings: Settings) -> SettleConfig:
    """Returns the configuration of the settle process. Raises InvalidRail."""
    return SettleConfig(
        name=process_name("settle"),
        store=_store(settings),
        rail=chosen_rail(settings),
        reconcile_seconds=settings.bank.reconcile_seconds,
        watch=watch_config(settings),
        prefect=prefect_config(settings),
    )


def refer_config(settings: Settings) -> ReferConfig:
    partners = {
        key: PartnerConfig(key, partner.webhook_url, partner.secret.get_secret_value())
        for key, partner in settings.partners.items()
    }
    return ReferConfig(
        name=process_name("refer"),
        store=_store(settings),
        partners=partners,
        public_url=settings.public_url,
        prefect=prefect_config(settings),
        tips=_tips(settings),
        watch=watch_config(settings),
    )


def jobs_config(settings: Settings) -> JobsConfig:
    """Returns what the jobs that operators start need. Raises InvalidRail."""
    return JobsConfig(
        store=_store(settings),
        settle=settle_config(settings),
        tips=_tips(settings),
        retention=_retention(settings),
        descriptor=descriptor_config(settings),
    )


def runner_config(settings: Settings) -> RunnerConfig:
    """Returns the configuration of the process that runs jobs which Prefect schedules. Raises InvalidRail."""
    return RunnerConfig(
        name=process_name("runner"),
        jobs=jobs_config(settings),
        prefect=prefect_config(settings),
    )


def _retention(settings: Settings) -> RetentionLimits:
    return RetentionLimits(
        incoming_hours=settings.retention.incoming_hours,
        orphan_hours=settings.retention.orphan_hours,
        idempotency_hours=settings.idempotency_hours,
        every_seconds=settings.retention.every_seconds,
        scrub=scrub_limits(settings),
    )


def _tips(settings: Settings) -> TipConfig:
    return TipConfig(
        file=settings.audit_tips,
        every_seconds=settings.audit.every_seconds,
        every_records=settings.audit.every_records,
        webhook_url=settings.audit.webhook_url,
        secret=settings.audit.webhook_secret.get_secret_value(),
    )


def watch_config(settings: Settings) -> WatchConfig:
    """Returns the configuration of the watch for alerts."""
    alerts, limits = settings.alerts, AlertLimits()
    return WatchConfig(
        notices=notice_config(settings),
        limits=replace(
            limits,
            payout_unclear_seconds=alerts.payout_unclear_minutes * 60,
            backlog_seconds=alerts.backlog_minutes * 60,
            reconciled_seconds=3 * settings.bank.reconcile_seconds,
            certificate_days=alerts.certificate_days,
            silent_seconds=alerts.silent_seconds,
            library_rows_apart=alerts.library_rows_apart,
        ),
        every_seconds=alerts.every_seconds,
        resolve_after_seconds=alerts.resolve_after_seconds,
        repeat_hours=alerts.repeat_hours,
        resource_holds_seconds=alerts.resource_minutes * 60,
        ocr_holds_seconds=alerts.ocr_minutes * 60,
        c2pa_trust_anchors=settings.c2pa_trust_anchors,
    )


def notice_config(settings: Settings) -> NoticeConfig:
    """Returns the configuration of notices of alerts."""
    notices, mail = settings.notices, settings.notices.mail
    return NoticeConfig(
        webhook_url=notices.webhook_url,
        webhook_secret=notices.webhook_secret.get_secret_value(),
        mail=MailConfig(
            mail.host,
            mail.port,
            mail.sender,
            mail.recipients,
            mail.user,
            mail.password.get_secret_value(),
            mail.security,
        )
        if mail.host
        else None,
        block=notices.block,
        language=notices.language,
        public_url=settings.public_url,
        confirm_seconds=notices.confirm_seconds,
    )


def _store(settings: Settings) -> StoreConfig:
    return StoreConfig(dsn=settings.database_url, evidence_url=settings.evidence_url)

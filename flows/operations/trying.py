"""Tries whether notices of alerts arrive: one test notice by each way that is set."""

from __future__ import annotations

import asyncio
import secrets
import time
from dataclasses import dataclass
from typing import Final

import httpx

from claims.alerts import TEST, Alert, Moment
from flows.config import NoticeConfig, PrefectConfig
from flows.errors import FlowsError, InvalidNotices, NoticeRefused, PrefectAway
from flows.operations.notices import AlertMessage, mail, post
from flows.queues import utc_now

LOOK_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class TriedWay:
    """A way, and whether a test notice was taken there; detail: why not."""

    way: str
    taken: bool
    detail: str = ""


async def try_ways(config: NoticeConfig, prefect: PrefectConfig) -> list[TriedWay]:
    """Send a test notice by our webhook, by mail and through Prefect, as far as each is set."""
    tried = []
    if config.webhook_url:
        async with httpx.AsyncClient(timeout=config.timeout_seconds, trust_env=False) as client:
            tried.append(await _tried("webhook", post(client, config, _message(config), utc_now())))
    if config.mail is not None:
        tried.append(await _tried("mail", mail(config.mail, _message(config), config.timeout_seconds)))
    if prefect.api_url:
        tried.append(await _tried("prefect", _through_prefect(config, prefect)))
    return tried


async def _tried(way: str, sending: object) -> TriedWay:
    try:
        await sending  # type: ignore[misc]
    except FlowsError as error:
        return TriedWay(way, False, str(error))
    return TriedWay(way, True)


async def _through_prefect(config: NoticeConfig, prefect: PrefectConfig) -> None:
    """Raises PrefectAway, InvalidNotices, or NoticeRefused where Prefect does not say that it has sent it."""
    from flows.operations.automations import prefect_notices

    message = _message(config)
    async with prefect_notices(prefect, config) as notices:
        await notices.apply()
        if not await notices.ready(message.event):
            raise InvalidNotices("its automation is disabled, or neither a webhook nor a block is set")
        await notices.emit(message, by_prefect=True)
        until = time.monotonic() + config.confirm_seconds
        while (outcome := await notices.outcome(message)) == "unknown":
            if time.monotonic() > until:
                raise PrefectAway(f"no word within {config.confirm_seconds:g} s that it was sent")
            await asyncio.sleep(LOOK_SECONDS)
        if outcome == "refused":
            raise NoticeRefused("the receiver did not take it")


def _message(config: NoticeConfig) -> AlertMessage:
    now = utc_now()
    subject = secrets.token_hex(4)
    alert = Alert(0, TEST.name, subject, TEST.severity, {}, now, now, now, None)
    return AlertMessage(f"miaopei-test-{subject}", alert, Moment.TEST, now, config.language, config.public_url)

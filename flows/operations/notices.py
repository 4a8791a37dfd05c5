"""A notice of an alert, and the two ways by which our own process sends it: a signed webhook and mail.

A notice carries ids, codes, amounts and numbers. Its body is the same bytes on every attempt and by every sender, so
that a receiver can drop repeats by `data.id`.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import smtplib
import ssl
from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any, Final

import httpx

from claims.alerts import SEE, Alert, Moment, alert_text, severity_text, steps_text, subject_line
from claims.faults import fault
from claims.store.alerts import AlertNotice
from claims.texts import Texts, texts
from flows.config import MailConfig, NoticeConfig
from flows.errors import NoticeRefused
from flows.webhooks import signed_headers

_SUFFIXES: Final = {Moment.OPENED: "", Moment.AGAIN: ".again", Moment.RESOLVED: ".resolved", Moment.TEST: ""}


def event_name(alert: Alert, moment: Moment) -> str:
    """Returns the name of an event of ours: `miaopei.payout.unclear`, `miaopei.payout.unclear.resolved`."""
    return alert.kind.event + _SUFFIXES[moment]


def event_names(event: str) -> frozenset[str]:
    """Returns the names of all events of one kind of alert."""
    return frozenset(event + suffix for suffix in _SUFFIXES.values())


@dataclass(frozen=True, slots=True)
class AlertMessage:
    """The content of one notice. id: the same by every way; at: when it was put down."""

    id: str
    alert: Alert
    moment: Moment
    at: datetime
    language: str
    public_url: str

    @property
    def event(self) -> str:
        return event_name(self.alert, self.moment)

    @property
    def subject(self) -> str:
        return subject_line(self.alert, self.moment, self.language)

    @property
    def url(self) -> str:
        """Returns the address of the operators' page."""
        return f"{self.public_url.rstrip('/')}/operations" if self.public_url else ""

    def data(self) -> dict[str, Any]:
        """Returns what the notice says as plain JSON."""
        alert = self.alert
        return {
            "id": self.id,
            "name": alert.name,
            "moment": self.moment.value,
            "severity": alert.severity.value,
            "subject": alert.subject,
            "figures": dict(alert.figures),
            "text": alert_text(alert, self.language),
            "steps": steps_text(alert, self.language),
            "see": SEE,
            "url": self.url,
            "opened_at": _time(alert.opened_at),
            "closed_at": _time(alert.closed_at),
        }

    def body(self) -> bytes:
        """Returns the body of the webhook. `text` at its top is what chat services show."""
        event = {
            "type": self.event,
            "timestamp": self.at.isoformat(),
            "text": f"{self.subject}\n{self.text()}",
            "data": self.data(),
        }
        return json.dumps(event, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()

    def text(self) -> str:
        """Returns the notice for people, below its subject line."""
        alert, catalogue = self.alert, texts(self.language)
        lines = [
            f"{severity_text(alert.severity, self.language)} · {alert.name} · {alert.subject}",
            _times(alert, catalogue),
            catalogue["alert_words.steps"].format(steps=steps_text(alert, self.language)),
            " ".join(part for part in (self.url, SEE) if part),
        ]
        return "\n".join(line for line in lines if line)


def message_of(notice: AlertNotice, config: NoticeConfig) -> AlertMessage:
    """Returns the content of a notice that was put down."""
    language, url = config.language, config.public_url
    return AlertMessage(notice.message_id, notice.alert, notice.moment, notice.created_at, language, url)


def token_of(secret: str) -> str:
    """Returns the bearer token of what Prefect sends, which cannot sign: made of the secret, which it does not get. A
    receiver that holds the secret makes the same."""
    return hmac.new(secret.encode(), b"miaopei notices through prefect", hashlib.sha256).hexdigest()


async def post(client: httpx.AsyncClient, config: NoticeConfig, message: AlertMessage, now: datetime) -> None:
    """Send a notice to the webhook, signed where there is a secret. Raises NoticeRefused unless it answers 2xx."""
    body = message.body()
    headers = {"content-type": "application/json", "webhook-id": message.id}
    if config.webhook_secret:
        headers = signed_headers(message.id, body, config.webhook_secret, now)
    try:
        answer = await client.post(config.webhook_url, content=body, headers=headers)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise NoticeRefused(f"webhook: {fault(error)}") from error
    if not answer.is_success:
        raise NoticeRefused(f"webhook: answered {answer.status_code}")


async def mail(config: MailConfig, message: AlertMessage, timeout_seconds: float) -> None:
    """Send a notice by mail. Raises NoticeRefused unless the server takes it for at least one recipient."""
    letter = _letter(config, message)
    try:
        await asyncio.to_thread(_send, config, letter, timeout_seconds)
    except (smtplib.SMTPException, OSError) as error:
        code = getattr(error, "smtp_code", "")
        raise NoticeRefused(f"mail: {fault(error)} {code}".rstrip()) from error


def _send(config: MailConfig, letter: EmailMessage, timeout_seconds: float) -> None:
    if config.security == "tls":
        context = ssl.create_default_context()
        opened: smtplib.SMTP = smtplib.SMTP_SSL(config.host, config.port, timeout=timeout_seconds, context=context)
    else:
        opened = smtplib.SMTP(config.host, config.port, timeout=timeout_seconds)
    with opened as server:
        if config.security == "starttls":
            server.starttls(context=ssl.create_default_context())
        if config.user:
            server.login(config.user, config.password)
        server.send_message(letter)


def _letter(config: MailConfig, message: AlertMessage) -> EmailMessage:
    letter = EmailMessage()
    letter["From"] = Address(addr_spec=config.sender)
    letter["To"] = tuple(Address(addr_spec=recipient) for recipient in config.recipients)
    letter["Subject"] = message.subject
    letter["Date"] = format_datetime(message.at)
    letter["Message-ID"] = f"<{message.id}@{config.sender.rpartition('@')[2]}>"
    letter["Auto-Submitted"] = "auto-generated"
    letter.set_content(f"{alert_text(message.alert, message.language)}\n\n{message.text()}\n")
    return letter


def _times(alert: Alert, catalogue: Texts) -> str:
    if alert.opened_at is None:
        return ""
    opened = f"{alert.opened_at:%Y-%m-%d %H:%M} UTC"
    if alert.closed_at is None:
        return catalogue["alert_words.since"].format(opened=opened)
    return catalogue["alert_words.times"].format(opened=opened, closed=f"{alert.closed_at:%Y-%m-%d %H:%M} UTC")


def _time(at: datetime | None) -> str | None:
    return at.isoformat() if at is not None else None

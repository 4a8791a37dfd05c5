"""Signing what is posted to others, as Standard Webhooks asks (standardwebhooks.com)."""

from __future__ import annotations

from datetime import datetime

from standardwebhooks.webhooks import Webhook


def signed_headers(message_id: str, body: bytes, secret: str, at: datetime) -> dict[str, str]:
    """Returns the three webhook headers and the content type. message_id: the same on every attempt; the receiver drops
    repeats by it.

    `at` must be aware; the receiver refuses a timestamp more than five minutes off.
    """
    return {
        "content-type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign(message_id, at, body.decode()),
    }

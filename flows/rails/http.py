"""The payout rail of a bank with a small HTTP API.

POST /payouts          {"id", "amount_minor", "currency", "account", "note"} -> 201 paid, 4xx refused
GET  /payouts/{id}      200 {"state": "paid" | "refused", ...}, 404 never seen
GET  /payouts?after=N   {"payouts": [...], "next": N or null}
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import TracebackType
from typing import Literal, Self

import httpx
from pydantic import BaseModel, ConfigDict, ValidationError

from claims.faults import fault
from claims.money import Money
from flows.config import BankConfig
from flows.errors import RailError
from flows.rails.rail import Instruction, NotKnown, Paid, Refused, Unclear

# Replies that settle the matter: the bank understood and will not pay. Everything else that is not a success leaves
# the payment unclear; 401 and 403 too, because they speak of us and not of the payout.
REFUSALS = frozenset({400, 404, 409, 410, 422})


class _Record(BaseModel):
    """A payout as the bank states it."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    id: str
    state: Literal["paid", "refused"]
    amount_minor: int
    currency: str
    account: str
    reference: str = ""
    code: str = ""
    detail: str = ""


class _Page(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    payouts: tuple[_Record, ...]
    next: int | None


class _Problem(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    code: str
    detail: str = ""


def _verdict(record: _Record) -> Paid | Refused:
    if record.state == "paid":
        return Paid(record.id, record.reference, Money(record.amount_minor, record.currency), record.account)
    return Refused(record.id, record.code or "refused", record.detail)


class HttpRail:
    """One client for many payouts; an async context manager."""

    def __init__(self, config: BankConfig) -> None:
        headers = {"Authorization": f"Bearer {config.token}"} if config.token else {}
        timeout = httpx.Timeout(config.reply_timeout_seconds, connect=config.connect_timeout_seconds)
        # trust_env: a proxy meant for browsing must never see payments.
        self._client = httpx.AsyncClient(base_url=config.url, headers=headers, timeout=timeout, trust_env=False)

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.__aexit__(kind, error, trace)

    async def send(self, instruction: Instruction) -> Paid | Refused | Unclear:
        body = {
            "id": instruction.payout_id,
            "amount_minor": instruction.amount.minor,
            "currency": instruction.amount.currency,
            "account": instruction.account,
            "note": instruction.note,
        }
        try:
            response = await self._client.post("/payouts", json=body)
        except httpx.HTTPError as error:
            return Unclear(instruction.payout_id, _words(error))
        if response.is_success:
            return self._read(instruction.payout_id, response)
        if response.status_code in REFUSALS:
            return _refusal(instruction.payout_id, response)
        return Unclear(instruction.payout_id, f"the bank answered {response.status_code}")

    async def ask(self, payout_id: str) -> Paid | Refused | NotKnown | Unclear:
        try:
            response = await self._client.get(f"/payouts/{payout_id}")
        except httpx.HTTPError as error:
            return Unclear(payout_id, _words(error))
        if response.is_success:
            return self._read(payout_id, response)
        if response.status_code == 404 and _problem_code(response) == "payout_unknown":
            return NotKnown(payout_id)
        return Unclear(payout_id, f"asked, the bank answered {response.status_code}")

    async def payments(self) -> AsyncIterator[Paid]:
        after: int | None = 0
        while after is not None:
            try:
                response = await self._client.get("/payouts", params={"after": after})
                response.raise_for_status()
                page = _Page.model_validate_json(response.content)
            except (httpx.HTTPError, ValidationError) as error:
                raise RailError(f"the bank's list of payouts could not be read in full: {_words(error)}") from error
            for record in page.payouts:
                verdict = _verdict(record)
                if isinstance(verdict, Paid):
                    yield verdict
            after = page.next

    def _read(self, payout_id: str, response: httpx.Response) -> Paid | Refused | Unclear:
        try:
            record = _Record.model_validate_json(response.content)
        except ValidationError:
            return Unclear(payout_id, "the bank's reply could not be read")
        if record.id != payout_id:
            return Unclear(payout_id, f"the bank replied about another payout ({record.id})")
        return _verdict(record)


def _words(error: Exception) -> str:
    # A validation error quotes the bank's book, a transport error what was sent.
    return fault(error)


def _problem_code(response: httpx.Response) -> str:
    try:
        return _Problem.model_validate_json(response.content).code
    except ValidationError:
        return ""


def _refusal(payout_id: str, response: httpx.Response) -> Refused | Unclear:
    """A refusal counts only in the bank's own words: a proxy's bare 404 must not fail a payout that may have been
    made.
    """
    try:
        problem = _Problem.model_validate_json(response.content)
    except ValidationError:
        return Unclear(payout_id, f"a {response.status_code} that is not the bank's")
    return Refused(payout_id, problem.code, problem.detail)

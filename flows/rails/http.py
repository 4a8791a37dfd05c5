"""`http`: the payout rail of a bank with a small HTTP API.

POST /payouts          {"id", "amount_minor", "currency", "account", "note"} -> 201 paid, 4xx with a problem's code
GET  /payouts/{id}      200 {"state": "paid" | "refused" | "in_progress", ...}, 404 `payout_unknown`
GET  /payouts?after=N   {"payouts": [...], "next": N or null}

Three answers mean something: a whole record of the payout that was asked about, a refusal by one of the codes that the
bank uses for good, and the bank's own "I have never seen it". Everything else is Unclear: a status alone says nothing
(docs/decisions/0017-the-banks-word.md).
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Annotated, Final, Literal, Self

import httpx
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from claims.faults import fault
from claims.money import Money
from flows.errors import RailError
from flows.rails.rail import Instruction, NotKnown, Paid, RailKind, RailSettings, Refused, Unclear

UNKNOWN: Final = "payout_unknown"
# The codes by which a bank refuses a payout for good: the only answers after which no money can leave under its id. A
# closed set, about the payee or the amount, never about the request, its time or us: a refusal of those kinds may
# change later, while a payout under the same id is already on its way.
FINAL_REFUSALS: Final = frozenset(
    {
        "account_blocked",
        "account_closed",
        "account_unknown",
        "amount_refused",
        "currency_refused",
        "payee_refused",
    }
)
_WAITS: Final = (429, 503)  # with these statuses Retry-After asks for a pause in all requests


class HttpRailSettings(RailSettings):
    """The bank's address and its limits. token: a bearer token, "" for none. final_refusals: the codes by which this
    bank refuses for good. retry_after_seconds_max: the longest pause that is honoured; a bank that asks for more is
    asked again after that."""

    url: str = ""
    token: SecretStr = SecretStr("")
    connect_timeout_seconds: float = Field(default=2.0, gt=0)
    reply_timeout_seconds: float = Field(default=5.0, gt=0)
    final_refusals: frozenset[str] = FINAL_REFUSALS
    retry_after_seconds_max: float = Field(default=3_600.0, gt=0)


class _Record(BaseModel):
    """A payout as the bank states it. Strict: an amount in words, or an unknown state, is refused."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    id: str
    state: Literal["paid", "refused", "in_progress"]
    amount_minor: int
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")]
    account: str
    reference: str = ""
    code: str = ""
    detail: str = ""


class _Page(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    payouts: tuple[_Record, ...]
    next: int | None


class _Problem(BaseModel):
    """A problem document of the bank. id: the payout that it is about, where the bank names it."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    code: str
    detail: str = ""
    id: str = ""


class HttpRail:
    """Pays through one HTTP client; an async context manager. clock: monotonic seconds."""

    def __init__(self, config: HttpRailSettings, clock: Callable[[], float] = time.monotonic) -> None:
        token = config.token.get_secret_value()
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        timeout = httpx.Timeout(config.reply_timeout_seconds, connect=config.connect_timeout_seconds)
        self._config = config
        self._clock = clock
        self._quiet_until = 0.0
        # trust_env: a proxy meant for browsing must never see payments. Redirects are not followed: an answer counts
        # only from where the question was sent.
        self._client = httpx.AsyncClient(
            base_url=config.url, headers=headers, timeout=timeout, trust_env=False, follow_redirects=False
        )

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.__aexit__(kind, error, trace)

    async def send(self, instruction: Instruction) -> Paid | Refused | Unclear:
        payout_id = instruction.payout_id
        body = {
            "id": payout_id,
            "amount_minor": instruction.amount.minor,
            "currency": instruction.amount.currency,
            "account": instruction.account,
            "note": instruction.note,
        }
        response = await self._answer(payout_id, self._client.build_request("POST", "/payouts", json=body))
        if isinstance(response, Unclear):
            return response
        if response.status_code in (200, 201):
            return self._read(payout_id, response)
        if 400 <= response.status_code < 500:
            return self._refusal(payout_id, response)
        return self._unclear(payout_id, response)

    async def ask(self, payout_id: str) -> Paid | Refused | NotKnown | Unclear:
        response = await self._answer(payout_id, self._client.build_request("GET", f"/payouts/{payout_id}"))
        if isinstance(response, Unclear):
            return response
        if response.status_code == 200:
            return self._read(payout_id, response)
        if response.status_code == 404 and _problem(response) == (UNKNOWN, payout_id):
            return NotKnown(payout_id)
        return self._unclear(payout_id, response)

    async def payments(self) -> AsyncIterator[Paid]:
        after: int | None = 0
        while after is not None:
            request = self._client.build_request("GET", "/payouts", params={"after": after})
            response = await self._answer("", request)
            if isinstance(response, Unclear):
                raise RailError(f"the bank's list of payouts could not be read in full: {response.detail}")
            if response.status_code != 200:
                raise RailError(
                    f"the bank's list of payouts could not be read in full: {self._unclear('', response).detail}"
                )
            try:
                page = _Page.model_validate_json(response.content)
            except ValidationError as error:
                raise RailError(f"the bank's list of payouts could not be read in full: {_words(error)}") from error
            if page.next is not None and page.next <= after:
                raise RailError(f"the bank's list of payouts goes in circles after {after}")
            for record in page.payouts:
                if record.state == "paid":
                    yield _paid(record)
            after = page.next

    async def _answer(self, payout_id: str, request: httpx.Request) -> httpx.Response | Unclear:
        """Returns the whole answer, or Unclear with the reason, also while the bank has asked for a pause."""
        quiet_seconds = self._quiet_until - self._clock()
        if quiet_seconds > 0:
            return Unclear(payout_id, f"the bank asked for a pause of {quiet_seconds:.1f} s more", quiet_seconds)
        try:
            return await self._client.send(request)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return Unclear(payout_id, _words(error))

    def _read(self, payout_id: str, response: httpx.Response) -> Paid | Refused | Unclear:
        try:
            record = _Record.model_validate_json(response.content)
        except ValidationError:
            return Unclear(payout_id, f"the bank's {response.status_code} could not be read")
        if record.id != payout_id:
            return Unclear(payout_id, f"the bank answered about another payout ({record.id[:64]})")
        if record.state == "paid":
            return _paid(record)
        if record.state == "refused" and record.code in self._config.final_refusals:
            return Refused(payout_id, record.code, record.detail)
        return Unclear(payout_id, f"the bank says {record.state} {record.code}".rstrip())

    def _refusal(self, payout_id: str, response: httpx.Response) -> Refused | Unclear:
        """Returns Refused only for a code of the closed set, else Unclear: a 409 "in progress" must not fail a payout
        that is being made, nor a proxy's bare 404 one that may have been."""
        try:
            problem = _Problem.model_validate_json(response.content)
        except ValidationError:
            return self._unclear(payout_id, response)
        if problem.code in self._config.final_refusals and problem.id in ("", payout_id):
            return Refused(payout_id, problem.code, problem.detail)
        return self._unclear(payout_id, response)

    def _unclear(self, payout_id: str, response: httpx.Response) -> Unclear:
        code, _ = _problem(response)
        wait_seconds = self._pause(response)
        self._quiet_until = max(self._quiet_until, self._clock() + wait_seconds)
        return Unclear(payout_id, f"the bank answered {response.status_code} {code[:64]}".rstrip(), wait_seconds)

    def _pause(self, response: httpx.Response) -> float:
        """Returns the seconds that Retry-After asks for, as a number or as a date; 0 where it is missing or
        unreadable."""
        told = response.headers.get("retry-after", "").strip()
        if response.status_code not in _WAITS or not told:
            return 0.0
        if told.isascii() and told.isdigit():
            seconds = float(told[:12])
        else:
            try:
                until = parsedate_to_datetime(told)
            except ValueError:
                return 0.0
            seconds = (until.replace(tzinfo=until.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
        return min(max(0.0, seconds), self._config.retry_after_seconds_max)


def _paid(record: _Record) -> Paid:
    return Paid(record.id, record.reference, Money(record.amount_minor, record.currency), record.account)


def _problem(response: httpx.Response) -> tuple[str, str]:
    """Returns a problem's code and the payout that it is about (that of the request where it names none); "" without a
    code."""
    try:
        problem = _Problem.model_validate_json(response.content)
    except ValidationError:
        return "", ""
    return problem.code, problem.id or response.request.url.path.rsplit("/", 1)[-1]


def _words(error: Exception) -> str:
    # A validation error quotes the bank's book, a transport error what was sent.
    return fault(error)


KIND = RailKind(name="http", settings=HttpRailSettings, open=HttpRail)

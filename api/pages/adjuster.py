"""The queue and the case pages: a case is taken by one person at a time and decided in a few keystrokes.

Adjusters see every case, a partner insurer's people those referred to them.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode

from fastapi import APIRouter
from fastapi.responses import RedirectResponse, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from api.http.context import Context
from api.http.judging import judge
from api.http.matching import match_of, rule, take_back
from api.http.problems import Problem, validated
from api.http.repeats import KeyedRequest, Reply
from api.http.schemas.matches import RulingRequest, TakeBackRequest
from api.http.schemas.words import Id
from api.http.schemas.work import VerdictRequest
from api.http.tokens import Principal, Role
from api.pages import casefile, texts
from api.pages.failures import FORM_ERRORS, PageRoute, code_of
from api.pages.rendering import money_input, product_name
from api.pages.session import Handler, posted
from api.pages.visit import Visit
from claims import currencies, explain
from claims.decision import Outcome
from claims.disclosure import for_outsiders
from claims.errors import Conflict, NotFound
from claims.readings import signs
from claims.store import floods, referrals, views, waiting
from claims.store.referrals import OPEN, Referral

router = APIRouter(route_class=PageRoute)
QUEUE_ROWS: Final = 100  # on one page
_TRIED_MAX: Final = 20
_CAUSES: Final = ("refer", "appeal", "payout_failed", "stopped", "flood")
_VERDICTS: Final = {"approve": Outcome.PAY, "refuse": Outcome.DECLINE, "ask": Outcome.ASK}


@router.get("/queue")
async def queue_page(visit: Handler, done: str = "") -> Response:
    shown = await _queue(visit)
    decided = done if done in _VERDICTS else ""
    return visit.render("queue.html", **shown, done=decided, keys=_KEYS_QUEUE)


@router.get("/queue/rows")
async def queue_rows(visit: Handler) -> Response:
    """Show the table alone; the page asks for it again and again."""
    return visit.render("_queue_rows.html", **await _queue(visit))


@router.post("/cases/next")
async def take_next(visit: Handler) -> Response:
    """Take the most urgent case that nobody has taken."""
    await posted(visit)
    return RedirectResponse(await _next(visit, ""), 303)


@router.get("/cases/{referral_id}")
async def case_page(visit: Handler, referral_id: Id, done: str = "") -> Response:
    shown = await _case(visit, referral_id)
    return visit.render("case.html", **shown, done=done if done in _VERDICTS else "")


@router.post("/cases/{referral_id}/take")
async def take(visit: Handler, referral_id: Id) -> Response:
    """Take the case, or keep it longer; a case that somebody else has taken can only be read."""
    await posted(visit)
    try:
        async with visit.context.engine.begin() as conn:
            taken = await _take(conn, visit, referral_id)
    except Conflict as error:
        shown = await _case(visit, referral_id)
        failure = {"failure": visit.message_of(error), "done": ""}
        return visit.render("case.html", status=409, **shown | failure)
    if visit.wants_a_part:
        return visit.render("_lock.html", referral=taken)
    return RedirectResponse(f"/cases/{referral_id}", 303)


@router.post("/cases/{referral_id}/give-back")
async def give_back(visit: Handler, referral_id: Id) -> Response:
    await posted(visit)
    async with visit.context.engine.begin() as conn:
        await referrals.get(conn, referral_id, visit.principal.partner)
        await referrals.give_back(conn, referral_id, _name(visit.principal))
    return RedirectResponse("/queue", 303)


@router.post("/cases/{referral_id}/verdict")
async def verdict(visit: Handler, referral_id: Id) -> Response:
    """Decide the case and go on to the next one."""
    fields = await posted(visit)
    try:
        asked, sent = _verdict(fields), visit.sent(fields)

        async def write(conn: AsyncConnection) -> Reply:
            return await judge(conn, sent, await _taken_open(conn, visit, referral_id), asked)

        await sent.once(asked, write)
    except FORM_ERRORS as error:
        shown = await _case(visit, referral_id)
        typed = {name: fields.get(name, "") for name in ("verdict", "amount", "note")}
        typed["copy_paid"] = "yes" if code_of(error) == "copy_paid" or "although_copy_paid" in fields else ""
        typed["recover"] = fields.get("recover", "")
        failure = {"failure": _why_not(visit, error, fields), "code": code_of(error), "done": ""}
        failure |= {"typed": shown["typed"] | typed}
        return visit.render("case.html", status=422, **shown | failure)
    return RedirectResponse(await _next(visit, asked.verdict), 303)


@router.post("/cases/{referral_id}/rulings")
async def rule_match(visit: Handler, referral_id: Id) -> Response:
    """Confirm a match, reject it, or rule that everybody photographs this; the case stays open."""
    fields = await posted(visit)

    async def write(conn: AsyncConnection, sent: KeyedRequest, claim_id: str) -> Reply:
        return await rule(conn, sent, claim_id, _ruling(fields))

    return await _on_a_match(visit, referral_id, fields, write)


@router.post("/cases/{referral_id}/rulings/{ruling_id}/taking-back")
async def take_back_ruling(visit: Handler, referral_id: Id, ruling_id: Id) -> Response:
    """Take the ruling back; the match waits for another one."""
    fields = await posted(visit)

    async def write(conn: AsyncConnection, sent: KeyedRequest, claim_id: str) -> Reply:
        return await take_back(conn, sent, claim_id, ruling_id, TakeBackRequest())

    return await _on_a_match(visit, referral_id, fields, write)


async def _on_a_match(
    visit: Visit,
    referral_id: str,
    fields: dict[str, str],
    write: Callable[[AsyncConnection, KeyedRequest, str], Awaitable[Reply]],
) -> Response:
    """Call `write` for the claim of an open case that the visitor has taken, and show the match again. fields: name the
    match."""
    failure = ""
    try:
        sent = visit.sent(fields)

        async def in_our_case(conn: AsyncConnection) -> Reply:
            referral = await _taken_open(conn, visit, referral_id)
            return await write(conn, sent, referral.claim_id)

        await sent.once({name: fields.get(name, "") for name in ("evidence_id", "photo_id", "ruling")}, in_our_case)
    except FORM_ERRORS as error:
        failure = visit.message_of(error)
    shown = await _case(visit, referral_id)
    if not visit.wants_a_part:
        if failure:
            return visit.render("case.html", status=409, **shown | {"failure": failure, "done": ""})
        return RedirectResponse(f"/cases/{referral_id}#file-{fields.get('evidence_id', '')}", 303)
    photo, match = match_of(shown["case"].checked_photos, fields.get("evidence_id", ""), fields.get("photo_id", ""))
    return visit.render("_ruling.html", **shown, photo=photo, match=match, ruling_failure=failure)


async def _taken_open(conn: AsyncConnection, visit: Visit, referral_id: str) -> Referral:
    """Returns the open case, taken by the visitor: only the person who has taken a case may decide it, and a page whose
    time ran out is refused. Raises Conflict when the case was decided, or taken by another."""
    referral = await referrals.get(conn, referral_id, visit.principal.partner)
    if referral.state not in OPEN:
        raise Conflict(f"referral {referral_id} is {referral.state} already")
    await _take(conn, visit, referral_id)
    return referral


async def _take(conn: AsyncConnection, visit: Visit, referral_id: str) -> Referral:
    """Take the case for the visitor, or keep it longer. Raises Conflict."""
    name, partner = _name(visit.principal), visit.principal.partner
    return await referrals.take(conn, referral_id, name, visit.context.now(), partner=partner)


def _verdict(fields: dict[str, str]) -> VerdictRequest:
    document: dict[str, Any] = {"verdict": fields.get("verdict", ""), "note": fields.get("note", "")}
    if document["verdict"] == "approve":
        currency = fields.get("currency", "")
        if not currencies.is_current(currency):
            raise Problem("invalid_request", "/currency: the form has lost its currency")
        document |= {"amount_minor": currencies.read(fields.get("amount", ""), currency), "currency": currency}
        document["although_copy_paid"] = fields.get("although_copy_paid", "") == "yes"
    if document["verdict"] != "ask":
        document["recover"] = fields.get("recover", "") == "yes"
    return validated(VerdictRequest, document)


def _ruling(fields: dict[str, str]) -> RulingRequest:
    document = {name: fields.get(name, "") for name in ("evidence_id", "photo_id", "ruling")}
    return validated(RulingRequest, document)


def _why_not(visit: Visit, error: Exception, fields: dict[str, str]) -> str:
    if code_of(error) == "invalid_request" and fields.get("verdict") in ("refuse", "ask") and not fields.get("note"):
        return texts.say(visit.lang, "case.note_needed")
    return visit.message_of(error)


async def _next(visit: Visit, done: str) -> str:
    """Take the next free case and return its address; the queue's when none is left."""
    suffix = f"?done={done}" if done else ""
    name, partner = _name(visit.principal), visit.principal.partner
    wanted = waiting.Wanted(partner=partner, holder="free_or_mine", me=name)
    async with visit.context.engine.connect() as conn:
        # Several candidates, in case others take the first of them at this moment.
        ids = await waiting.ids(conn, wanted, visit.context.now(), limit=_TRIED_MAX)
    for referral_id in ids:
        try:
            async with visit.context.engine.begin() as conn:
                await _take(conn, visit, referral_id)
        except (Conflict, NotFound):
            continue  # somebody was faster
        return f"/cases/{referral_id}{suffix}"
    return f"/queue{suffix}"


async def _queue(visit: Visit) -> dict[str, Any]:
    """Returns one page of the queue, filtered as the address asks. An unknown filter is ignored."""
    context, request, lang = visit.context, visit.request, visit.lang
    now, name, partner = context.now(), _name(visit.principal), visit.principal.partner
    asked = {key: request.query_params.get(key, "") for key in ("product", "cause", "who")}
    if not re.fullmatch(r"[a-z0-9_]{0,100}", asked["product"]):
        asked["product"] = ""  # a name that no product can have is not looked up in the store, which takes no NUL
    cause = asked["cause"] if asked["cause"] in _CAUSES else ""
    who = asked["who"] if asked["who"] in ("free", "mine") else ""
    wanted = waiting.Wanted(partner, asked["product"], cause, who, name)  # type: ignore[arg-type]
    async with context.engine.connect() as conn:
        counted = await waiting.counts(conn, wanted, now)
        pages = max(1, -(-counted.fitting // QUEUE_ROWS))
        page = min(_number(request.query_params.get("page", "")), pages)
        rows = await views.queue_rows(conn, wanted, now, limit=QUEUE_ROWS, offset=(page - 1) * QUEUE_ROWS)
        flooded = await floods.counted(conn) if partner is None else {"open": 0, "held": 0}
    shown = for_outsiders if partner is not None else (lambda reason: reason)
    cases = [
        {
            "row": row,
            "product": product_name(context.catalogue, row.claim.product, lang),
            "reason": explain.reason_text(
                shown(row.decision.reasons[0]), lang, context.catalogue.get(row.claim.product), context.paper_kinds
            )
            if row.decision is not None
            else "",
            "more": sum(reason.pulls is not Outcome.PAY for reason in row.decision.reasons) - 1 if row.decision else 0,
            "holder": _holder(row.referral, now),
            "overdue": row.referral.due_at < now,
        }
        for row in rows
    ]
    chosen = {"product": asked["product"], "cause": cause, "who": who}
    query = urlencode({key: value for key, value in chosen.items() if value})
    return {
        "cases": cases,
        "counted": counted,
        "products": {key: product_name(context.catalogue, key, lang) for key in counted.by_product},
        "chosen": chosen,
        "query": query,
        "page": page,
        "pages": pages,
        "first": (page - 1) * QUEUE_ROWS + 1,
        "last": (page - 1) * QUEUE_ROWS + len(cases),
        "me": name,
        "flooded": flooded,
    }


def _number(words: str) -> int:
    """Returns the page number that an address names, 1 where it names none."""
    return max(1, int(words)) if re.fullmatch(r"[0-9]{1,6}", words) else 1


async def _case(visit: Visit, referral_id: str) -> dict[str, Any]:
    context, principal, lang, now = visit.context, visit.principal, visit.lang, visit.context.now()
    async with context.engine.connect() as conn:
        referral = await referrals.get(conn, referral_id, principal.partner)
        case = await casefile.load(conn, referral, context.catalogue, principal)
    holder, name = _holder(referral, now), _name(principal)
    return {
        "case": case,
        "claim": case.view.claim,
        "referral": referral,
        "product_name": case.product.name.in_language(lang),
        "peril": case.product.perils[case.view.claim.peril].in_language(lang)
        if case.view.claim.peril in case.product.perils
        else case.view.claim.peril,
        "reason_text": lambda reason: explain.reason_text(
            for_outsiders(reason) if case.outsider else reason, lang, case.product, context.paper_kinds
        ),
        "detail_text": lambda reason: explain.detail_text(
            for_outsiders(reason) if case.outsider else reason, lang, case.product, context.paper_kinds
        ),
        "explain": explain,
        "sign_kind": lambda kind: signs.kind_text(kind, lang),
        "sign_text": lambda sign: signs.sign_text(sign, lang),
        "outcome_text": lambda outcome: explain.outcome_text(outcome, lang),
        "status_text": lambda status: explain.status_text(status, lang),
        "explained": explain.explanation(case.recorded.row.decision, lang) if case.recorded is not None else (),
        "kind_text": lambda kind: explain.paper_kind_text(kind, lang, context.paper_kinds),
        "not_vouched_text": lambda because: explain.not_vouched_text(because, lang, context.paper_kinds),
        "field_text": lambda name: explain.field_text(name, lang),
        "doubtful_fields": case.doubtful_fields,
        "money_on": case.money_on,
        "clause_text": lambda number: case.product.clause_text(number, lang),
        "open": referral.state in OPEN,
        "holder": holder,
        "mine": holder == name,
        "myself": str(principal),
        "staff": principal.role is Role.ADJUSTER,
        "prefect": prefect_url(context) if principal.role is Role.ADJUSTER else "",
        "key": secrets.token_urlsafe(24),
        "new_key": lambda: secrets.token_urlsafe(24),
        "typed": {"verdict": "", "amount": money_input(case.due), "note": "", "copy_paid": "", "recover": ""},
        "failure": "",
        "code": "",
        "keys": _KEYS_CASE,
    }


def prefect_url(context: Context) -> str:
    """Returns the root of Prefect's pages, "" where no server is known."""
    return context.settings.prefect_pages


def _holder(referral: Referral, now: datetime) -> str:
    """Returns who has taken the case, "" for nobody."""
    return waiting.holder(referral.assigned_to, referral.assigned_until, now)


def _name(principal: Principal) -> str:
    return principal.subject


_KEYS_QUEUE: Final = (("j", "next"), ("k", "previous"), ("Enter", "open"), ("n", "take_next"), ("?", "help"))
_KEYS_CASE: Final = (
    ("a", "approve"),
    ("r", "refuse"),
    ("q", "ask"),
    ("Ctrl Enter", "send"),
    ("b", "give_back"),
    ("t", "take"),
    ("l", "lines"),
    ("o", "overlay"),
    ("c", "confirm"),
    ("x", "reject"),
    ("e", "common"),
    ("Esc", "leave"),
    ("?", "help"),
)

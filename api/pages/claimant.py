"""The claimant's pages: own claims, a new claim, one claim and what became of it.

Everything that changes a claim goes through the API's own functions; a form differs only in how it is signed.
"""

from __future__ import annotations

import secrets
from typing import Annotated, Any, Final

from fastapi import APIRouter, Header
from fastapi.responses import RedirectResponse, Response

from api.http import showing
from api.http.body import parse_json
from api.http.languages import Lang
from api.http.repeats import Key
from api.http.routes import claims as intake_routes
from api.http.schemas.claims import AppealRequest, NoteRequest
from api.http.schemas.words import Id, Moment
from api.pages.failures import FORM_ERRORS, PageRoute
from api.pages.rendering import product_name
from api.pages.session import Claimant, check_csrf, posted
from api.pages.visit import Visit
from claims import currencies, explain
from claims.claim import EvidenceKind, Status
from claims.decision import Decision, Ground, Outcome
from claims.errors import NotFound
from claims.explain import ExplainedLine
from claims.money import Money
from claims.store import policies, views
from claims.store.views import ClaimDetail
from claims.wire import canonical

router = APIRouter(prefix="/claims", route_class=PageRoute)
PAGE_ROWS: Final = 30
# Polling interval of a claim's page, by status; no entry: nothing will change by itself within minutes.
_POLL: Final = {Status.SUBMITTED: "1s", Status.APPROVED: "1s", Status.REFERRED: "20s", Status.PAYOUT_FAILED: "20s"}
Csrf = Annotated[str, Header(alias="X-CSRF-Token")]


@router.get("")
async def own_claims(visit: Claimant, before: Moment | None = None) -> Response:
    claimant_id = visit.principal.subject
    async with visit.context.engine.connect() as conn:
        rows = await views.list_claims(conn, claimant_id=claimant_id, before=before, limit=PAGE_ROWS + 1)
    more = rows[PAGE_ROWS - 1].created_at.isoformat() if len(rows) > PAGE_ROWS else ""
    return visit.render(
        "claims.html",
        rows=[(row, product_name(visit.context.catalogue, row.product, visit.lang)) for row in rows[:PAGE_ROWS]],
        status_text=lambda status: explain.status_text(status, visit.lang),
        more=more,
    )


@router.get("/new")
async def new_claim(visit: Claimant, policy: str = "") -> Response:
    """Let the claimant choose a policy (unless there is only one), then show the form that fits its product."""
    context, claimant_id = visit.context, visit.principal.subject
    async with context.engine.connect() as conn:
        own = await policies.of_claimant(conn, claimant_id)
        payee = await policies.last_payee_account(conn, claimant_id)
    offered = [(cover, context.catalogue[cover.product]) for cover in own if cover.product in context.catalogue]
    chosen = offered[0] if len(offered) == 1 else next((pair for pair in offered if pair[0].id == policy), None)
    if policy and chosen is None:
        raise NotFound(f"no policy {policy} of this claimant")
    if chosen is None:
        return visit.render("policies.html", offered=offered, now=context.now())
    currency = chosen[0].sum_insured.currency
    return visit.render(
        "claim_new.html",
        policy=chosen[0],
        product=chosen[1],
        only=len(offered) == 1,
        payee=payee,
        example=Money(5980 if currencies.decimals(currency) else 60, currency),
        key=secrets.token_urlsafe(24),
        limits=context.limits,
    )


@router.post("")
async def make_claim(visit: Claimant, key: Key, csrf: Csrf = "") -> Response:
    """Make a claim from the API's multipart body, sent by the page's script, which shows its progress."""
    check_csrf(visit.request, visit.visitor.csrf, csrf)
    return await intake_routes.create_claim(visit.keyed(key), visit.lang)


@router.post("/{claim_id}/evidence")
async def more_evidence(visit: Claimant, claim_id: Id, key: Key, csrf: Csrf = "") -> Response:
    check_csrf(visit.request, visit.visitor.csrf, csrf)
    return await intake_routes.add_evidence(visit.keyed(key), visit.lang, claim_id)


@router.get("/{claim_id}")
async def claim_page(visit: Claimant, claim_id: Id) -> Response:
    return visit.render("claim.html", **await _shown(visit, claim_id))


@router.get("/{claim_id}/live")
async def claim_live(visit: Claimant, claim_id: Id, seen: str = "") -> Response:
    """Show what changes while the claim is decided; 204 while nothing has changed."""
    shown = await _shown(visit, claim_id)
    if shown["mark"] == seen:
        return Response(status_code=204)
    return visit.render("_claim_live.html", **shown)


@router.post("/{claim_id}/appeal")
async def appeal(visit: Claimant, claim_id: Id) -> Response:
    fields = await posted(visit)
    try:
        words = parse_json(AppealRequest, canonical({"note": fields.get("note", "")}))
        await intake_routes.appeal_claim(visit.sent(fields), visit.lang, claim_id, words)
    except FORM_ERRORS as error:
        return await _again(visit, claim_id, error)
    return RedirectResponse(f"/claims/{claim_id}", 303)


@router.post("/{claim_id}/withdraw")
async def withdraw(visit: Claimant, claim_id: Id) -> Response:
    fields = await posted(visit)
    try:
        words = parse_json(NoteRequest, canonical({"note": fields.get("note", "")}))
        await intake_routes.withdraw_claim(visit.sent(fields), visit.lang, claim_id, words)
    except FORM_ERRORS as error:
        return await _again(visit, claim_id, error)
    return RedirectResponse(f"/claims/{claim_id}", 303)


@router.post("/{claim_id}/submit")
async def submit(visit: Claimant, claim_id: Id) -> Response:
    """Submit a draft that another client of the API began."""
    fields = await posted(visit)
    try:
        await intake_routes.submit_claim(visit.sent(fields), visit.lang, claim_id)
    except FORM_ERRORS as error:
        return await _again(visit, claim_id, error)
    return RedirectResponse(f"/claims/{claim_id}", 303)


async def _again(visit: Visit, claim_id: str, error: Exception) -> Response:
    """Show the claim's page again with the error."""
    shown = await _shown(visit, claim_id)
    return visit.render("claim.html", status=422, **shown | {"failure": visit.message_of(error)})


async def _shown(visit: Visit, claim_id: str) -> dict[str, Any]:
    context, lang = visit.context, visit.lang
    async with context.engine.connect() as conn:
        view = await views.claim_view(conn, claim_id, claimant_id=visit.principal.subject)
    product = context.catalogue.get(view.claim.product)
    newest = view.decision
    decision = newest.decision if newest is not None and view.claim.status not in _BEFORE_DECISION else None
    clauses = []
    if decision is not None and product is not None:
        cited = dict.fromkeys(
            reason.clause
            for reason in decision.reasons
            if reason.ground is Ground.CONTRACT and reason.pulls is decision.outcome
        )
        clauses = [(number, product.clause_text(number, lang)) for number in cited if number]
    return {
        "view": view,
        "claim": view.claim,
        "product": product,
        "product_name": product_name(context.catalogue, view.claim.product, lang),
        "decision": decision,
        "why": explain.claimant_texts(decision, lang, product, context.paper_kinds) if decision is not None else (),
        "clauses": clauses,
        "benefit": _benefit(view, decision, lang),
        "status_text": lambda status: explain.status_text(status, lang),
        "timeline": _timeline(view),
        "steps": showing.next_steps(view, visit.principal),
        "poll": _POLL.get(view.claim.status, ""),
        "mark": f"{view.claim.round}-{len(view.timeline)}-{sum(bool(row.preview_sha256) for row in view.evidence)}",
        "seconds_to_decide": _seconds_to_decide(view),
        "key": secrets.token_urlsafe(24),
        "limits": context.limits,
        "files_left": context.limits.files_per_claim_max - len(view.evidence),
        "kinds": [kind.value for kind in EvidenceKind if _asked(kind, product)],
        "failure": "",
    }


_BEFORE_DECISION: Final = frozenset({Status.DRAFT, Status.SUBMITTED})


def _asked(kind: EvidenceKind, product: Any) -> bool:
    """True if the product uses this kind of file."""
    if product is None or kind is EvidenceKind.PHOTO:
        return True
    return bool(product.evidence.papers) if kind is EvidenceKind.PAPER else bool(product.evidence.nose)


# Declined on an amount: the calculation is the reason.
_NOTHING_DUE: Final = frozenset({"below_deductible", "days_exhausted", "hospital_excluded"})


def _benefit(view: ClaimDetail, decision: Decision | None, lang: Lang) -> tuple[ExplainedLine, ...]:
    """Returns the explanation of benefits once something is paid on it or declined on its amounts: before, it is an
    estimate of the pipeline and not a promise."""
    if decision is None:
        return ()
    if view.claim.status is Status.DECLINED and decision.reasons[0].code in _NOTHING_DUE:
        return explain.explanation(decision, lang)
    if view.claim.status not in (Status.APPROVED, Status.PAID, Status.PAYOUT_FAILED):
        return ()
    paying = (row.decision for row in reversed(view.decisions) if row.decision.outcome is Outcome.PAY)
    approval = next(paying, None)
    return explain.explanation(approval, lang) if approval is not None else ()


def _timeline(view: ClaimDetail) -> list[views.TimelineEvent]:
    """Returns the events, newest first; a draft that was submitted at once is left out."""
    entries = list(view.timeline)
    if len(entries) > 1 and entries[0].status is Status.DRAFT and entries[0].at == entries[1].at:
        entries = entries[1:]
    return entries[::-1]


def _seconds_to_decide(view: ClaimDetail) -> float | None:
    """Returns the seconds from submission to the first decision when the rules made it."""
    if not view.decisions or view.claim.submitted_at is None or view.decisions[0].decision.decided_by != "rules":
        return None
    return (view.decisions[0].decision.decided_at - view.claim.submitted_at).total_seconds()

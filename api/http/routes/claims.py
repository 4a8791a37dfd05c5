"""Claims: claimants make, follow, supplement, withdraw and appeal them; every party to a claim reads it."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from api.http import described, names, problems, showing
from api.http.access import Claimant, Party
from api.http.body import parse_json
from api.http.context import Ctx
from api.http.languages import Lang, Language
from api.http.problems import Problem
from api.http.repeats import KeyedRequest, Reply, SentByClaimant, SentByClaimantKeyOptional
from api.http.schemas import claims as wire
from api.http.schemas.words import Id, Moment
from api.http.tokens import Principal, Role
from api.http.upload import Form, hold_files, receive_form
from claims import explain
from claims.claim import Claim, EvidenceKind, Status
from claims.errors import InvalidTransition
from claims.money import Money
from claims.store import adjudication, intake, views
from claims.store.intake import NewEvidence

router = APIRouter(prefix="/v1/claims", tags=["claims"])
_FILES = {
    "photo": "Photos of the damage: JPEG, HEIC, PNG, WebP, AVIF",
    "paper": "Bills, slips, receipts: JPEG, HEIC, PNG, WebP, AVIF, PDF",
    "nose": "Close-up of the pet's nose: JPEG, HEIC, PNG, WebP, AVIF",
}
_DRAFT: described.Responses = {201: {"model": wire.ClaimTaken, "description": "A draft"}}
_CLAIM_PART = {"$ref": "#/components/schemas/ClaimRequest"}
_NOTE_PART = {"type": "string", "maxLength": 4000, "description": "Words to whoever asked"}


@router.post(
    "",
    status_code=202,
    summary="Make a claim",
    description="As multipart/form-data: a JSON part `claim` and the files in parts named photo, paper or nose; the "
    "claim is submitted at once (202). As application/json: a draft (201), to which files are added before it is "
    "submitted.",
    response_model=wire.ClaimTaken,
    responses=_DRAFT
    | described.refusals(
        *described.CREATES,
        *described.UPLOADS,
        "claim_part_missing",
        "no_files",
        "not_found",
        "unknown_product",
        "product_mismatch",
        "peril_not_of_product",
        "currency_mismatch",
        "event_in_future",
    ),
    openapi_extra=described.body(
        described.multipart({"claim": _CLAIM_PART}, _FILES, ["claim"])
        | {"application/json": {"schema": _CLAIM_PART, "example": wire.CLAIM_EXAMPLE}}
    ),
)
async def create_claim(sent: SentByClaimant, lang: Language) -> Response:
    request, context = sent.request, sent.context
    content_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if content_type == "application/json":
        stated = parse_json(wire.ClaimRequest, await request.body())
        return await _create(sent, lang, stated, None)
    async with receive_form(
        request,
        context.blobs,
        context.limits,
        fields=("claim",),
        kinds=tuple(EvidenceKind),
        files_max=context.limits.files_per_claim_max,
    ) as form:
        if "claim" not in form.fields:
            raise Problem("claim_part_missing", "Send the claim as JSON in a part named `claim`.")
        if not form.uploads:
            raise Problem("no_files", "Send at least one photo or paper, or make a draft with application/json.")
        stated = parse_json(wire.ClaimRequest, form.fields["claim"])
        return await _create(sent, lang, stated, form)


async def _create(sent: KeyedRequest, lang: Lang, stated: wire.ClaimRequest, form: Form | None) -> Response:
    """Make a draft without a form, a submitted claim with one."""
    context, claimant_id, actor, now = sent.context, sent.principal.subject, sent.actor, sent.context.now()
    claim_id = f"C{now:%Y%m%d}-{secrets.token_hex(5)}"
    product = ""

    async def check(conn: AsyncConnection) -> None:
        nonlocal product
        product = await _check(conn, sent, stated, now)

    async def write(conn: AsyncConnection) -> Reply:
        claim = _claim(claim_id, claimant_id, product, stated, now)
        await intake.create_claim(conn, claim, now, actor=actor, trace_id=problems.trace_id(sent.request))
        status, round_number = Status.DRAFT, 0
        if form is not None:
            for file in _new_evidence(form, (), context.limits.name_characters_max):
                await intake.add_evidence(conn, claim_id, claimant_id, file, now)
            await hold_files(conn, context.blobs, [upload.sha256 for upload in form.uploads])
            round_number = await intake.submit(conn, claim_id, claimant_id, now, actor=actor)
            status = Status.SUBMITTED
        return _taken(claim_id, status, round_number, lang, 201 if form is None else 202)

    if form is None:
        return await sent.once(stated, write, check=check)
    return await sent.once(form.content(), write, check=check, keep=form.keep)


async def _check(conn: AsyncConnection, sent: KeyedRequest, stated: wire.ClaimRequest, now: datetime) -> str:
    """Refuse a statement that cannot be a claim at all. Returns the product's key. What the contract does not cover is
    left to `claims.decide`, which names the clause."""
    context = sent.context
    policy = await adjudication.policy_of(conn, stated.policy_id, sent.principal.subject)
    if stated.product and stated.product not in context.catalogue:
        raise Problem("unknown_product", f"Products: {', '.join(context.catalogue)}.")
    if stated.product and stated.product != policy.product:
        raise Problem("product_mismatch", f"Policy {policy.id} is of {policy.product}.")
    product = context.catalogue.get(policy.product)
    if product is None:
        raise Problem("unknown_product", f"{policy.product} is not offered any more.")
    if stated.peril not in product.perils:
        raise Problem("peril_not_of_product", f"Perils of {product.key}: {', '.join(product.perils)}.")
    if stated.currency != policy.sum_insured.currency:
        raise Problem("currency_mismatch", f"The policy is in {policy.sum_insured.currency}.")
    if stated.occurred_at > now + timedelta(seconds=context.limits.clock_skew_seconds_max):
        raise Problem("event_in_future", "A claim can only be made for what has happened.")
    return product.key


@router.get(
    "", summary="Own claims, newest first", responses=described.refusals(*described.SIGNED_IN, "invalid_request")
)
async def list_claims(
    context: Ctx,
    principal: Claimant,
    lang: Language,
    status: Annotated[list[Status] | None, Query(description="Statuses to filter by")] = None,
    before: Annotated[
        Moment | None, Query(description="Created earlier than this: `created_at` of the last row")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> wire.ClaimList:
    async with context.engine.connect() as conn:
        rows = await views.list_claims(
            conn, claimant_id=principal.subject, statuses=status or (), before=before, limit=limit
        )
    return wire.ClaimList(claims=[showing.claim_row(row, lang) for row in rows])


@router.get(
    "/{claim_id}",
    summary="A claim: status, amounts, timeline, decision with its reasons",
    responses=described.refusals(*described.READS),
)
async def get_claim(context: Ctx, principal: Party, lang: Language, claim_id: Id) -> wire.ClaimView:
    async with context.engine.connect() as conn:
        view = await views.claim_view(conn, claim_id, **scope(principal))
    return showing.claim(view, context, principal, lang)


@router.post(
    "/{claim_id}/evidence",
    status_code=202,
    summary="Send the information that was asked for, and submit again",
    description="Files in parts named photo, paper or nose, and an optional part `note`. On a draft the files are only "
    "added.",
    response_model=wire.ClaimTaken,
    responses=described.refusals(*described.CREATES, *described.UPLOADS, "no_files", "not_found", "invalid_transition"),
    openapi_extra=described.body(described.multipart({"note": _NOTE_PART}, _FILES, [])),
)
async def add_evidence(sent: SentByClaimant, lang: Language, claim_id: Id) -> Response:
    context, claimant_id = sent.context, sent.principal.subject
    async with context.engine.connect() as conn:
        await views.claim_row(conn, claim_id, claimant_id=claimant_id)
    async with receive_form(
        sent.request,
        context.blobs,
        context.limits,
        fields=("note",),
        kinds=tuple(EvidenceKind),
        files_max=context.limits.files_per_claim_max,
    ) as form:
        if not form.uploads:
            raise Problem("no_files", "Send at least one file.")
        note = _note(form)
        now, actor = context.now(), sent.actor
        files: Sequence[NewEvidence] = ()
        status = Status.DRAFT

        async def check(conn: AsyncConnection) -> None:
            nonlocal files, status
            view = await views.claim_view(conn, claim_id, claimant_id=claimant_id)
            status = view.claim.status
            if status not in (Status.DRAFT, Status.AWAITING_INFORMATION):
                raise InvalidTransition(f"a claim that is {status} takes no evidence")
            left = context.limits.files_per_claim_max - len(view.evidence)
            if len(form.uploads) > left:
                raise Problem("too_many_files", f"The claim takes {left} more files.")
            taken = [file.name for file in view.evidence]
            files = _new_evidence(form, taken, context.limits.name_characters_max)

        async def write(conn: AsyncConnection) -> Reply:
            for file in files:
                await intake.add_evidence(conn, claim_id, claimant_id, file, now)
            await hold_files(conn, context.blobs, [file.sha256 for file in files])
            if status is Status.DRAFT:
                return _taken(claim_id, status, 0, lang, 202)
            round_number = await intake.submit(conn, claim_id, claimant_id, now, actor=actor, note=note)
            return _taken(claim_id, Status.SUBMITTED, round_number, lang, 202)

        return await sent.once(form.content(), write, check=check, keep=form.keep)


@router.post(
    "/{claim_id}/submit",
    status_code=202,
    summary="Submit a draft",
    response_model=wire.ClaimTaken,
    responses=described.refusals(*described.READS, *described.REPEATABLE, "no_files", "invalid_transition"),
)
async def submit_claim(sent: SentByClaimantKeyOptional, lang: Language, claim_id: Id) -> Response:
    claimant_id = sent.principal.subject

    async def check(conn: AsyncConnection) -> None:
        view = await views.claim_view(conn, claim_id, claimant_id=claimant_id)
        if not view.evidence:
            raise Problem("no_files", "Add at least one photo or paper first.")

    async def write(conn: AsyncConnection) -> Reply:
        round_number = await intake.submit(conn, claim_id, claimant_id, sent.context.now(), actor=sent.actor)
        return _taken(claim_id, Status.SUBMITTED, round_number, lang, 202)

    return await sent.once({}, write, check=check)


@router.post(
    "/{claim_id}/withdraw",
    summary="Take the claim back, or its appeal",
    description="A claim that was never decided for good is closed. One that was paid or declined keeps that decision:"
    " only the appeal that is open ends.",
    response_model=wire.ClaimTaken,
    responses=described.refusals(*described.READS, *described.REPEATABLE, "invalid_transition"),
)
async def withdraw_claim(
    sent: SentByClaimantKeyOptional, lang: Language, claim_id: Id, words: wire.NoteRequest | None = None
) -> Response:
    note, claimant_id = words.note if words is not None else "", sent.principal.subject

    async def write(conn: AsyncConnection) -> Reply:
        await intake.withdraw(conn, claim_id, claimant_id, sent.context.now(), actor=sent.actor, note=note)
        row = await views.claim_row(conn, claim_id, claimant_id=claimant_id)
        return _taken(claim_id, row.status, row.round, lang, 200)

    return await sent.once({"note": note}, write)


@router.post(
    "/{claim_id}/appeal",
    status_code=202,
    summary="Have a person look again",
    response_model=wire.ClaimTaken,
    responses=described.refusals(*described.CREATES, "not_found", "invalid_transition"),
)
async def appeal_claim(sent: SentByClaimant, lang: Language, claim_id: Id, words: wire.AppealRequest) -> Response:
    context, claimant_id = sent.context, sent.principal.subject

    async def write(conn: AsyncConnection) -> Reply:
        row = await views.claim_row(conn, claim_id, claimant_id=claimant_id)
        await intake.appeal(
            conn,
            claim_id,
            claimant_id,
            words.note,
            context.now(),
            actor=sent.actor,
            partner=context.catalogue[row.product].partner,
            sla=timedelta(hours=context.settings.referral_hours),
        )
        return _taken(claim_id, Status.REFERRED, row.round, lang, 202)

    return await sent.once(words, write)


def scope(principal: Principal) -> dict[str, Any]:
    """Returns the filters that narrow the store's queries for this caller: claimants to their own claims, partners to
    those that were referred to them."""
    if principal.role is Role.CLAIMANT:
        return {"claimant_id": principal.subject}
    return {"partner": principal.subject} if principal.role is Role.PARTNER else {}


def _taken(claim_id: str, status: Status, round_number: int, lang: Lang, code: int) -> Reply:
    href = f"/v1/claims/{claim_id}"
    text = explain.status_text(status, lang)
    body = wire.ClaimTaken(id=claim_id, status=status, status_text=text, round=round_number, href=href)
    return Reply(code, body, {"Location": href})


def _note(form: Form) -> str:
    try:
        note = form.fields.get("note", b"").decode()
    except UnicodeDecodeError as error:
        raise Problem("malformed_multipart", "The part `note` is not UTF-8.") from error
    return parse_json(wire.NoteRequest, json.dumps({"note": note}).encode()).note


def _claim(claim_id: str, claimant_id: str, product: str, stated: wire.ClaimRequest, now: datetime) -> Claim:
    return Claim(
        id=claim_id,
        policy_id=stated.policy_id,
        claimant_id=claimant_id,
        product=product,
        peril=stated.peril,
        amount=Money(stated.amount_minor, stated.currency),
        occurred_at=stated.occurred_at,
        submitted_at=now,
        description=stated.description,
        payee_account=stated.payee_account,
        device_id=stated.device_id,
        address=stated.address,
        merchant_id=stated.merchant_id,
        order_number=stated.order_number,
        other_insurance_minor=stated.other_insurance_minor,
    )


def _new_evidence(form: Form, taken: Sequence[str], characters_max: int) -> list[NewEvidence]:
    files: list[NewEvidence] = []
    for upload in form.uploads:
        kind = EvidenceKind(upload.part)
        in_use = [*taken, *(file.name for file in files)]
        name = names.clean(upload.declared_name, kind, upload.media_type, in_use, characters_max)
        files.append(
            NewEvidence(
                id=f"E-{secrets.token_hex(10)}",
                name=name,
                kind=kind,
                media_type=upload.media_type,
                size_bytes=upload.size_bytes,
                sha256=upload.sha256,
            )
        )
    return files

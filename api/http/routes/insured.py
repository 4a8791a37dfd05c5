"""For the selling platform: registers policies with their claimants, pets, and photos of pets' noses."""

from __future__ import annotations

import secrets

from fastapi import APIRouter, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from api.http import described, showing
from api.http.access import Owner, Platform
from api.http.context import Context, Ctx
from api.http.problems import Problem
from api.http.repeats import Reply, SentByPlatform
from api.http.schemas import insured as wire
from api.http.schemas.words import Id
from api.http.tokens import Principal, Role
from api.http.upload import hold_files, receive_form
from claims.claim import EvidenceKind
from claims.errors import NotFound
from claims.money import Money
from claims.policy import Policy
from claims.store import adjudication, intake, noses, views

router = APIRouter(prefix="/v1", tags=["platform"])


@router.post(
    "/policies",
    status_code=201,
    summary="Register a policy with its claimant",
    response_model=wire.PolicyView,
    responses=described.refusals(*described.CREATES, "unknown_product", "unknown_pet", "currency_mismatch"),
)
async def create_policy(sent: SentByPlatform, policy: wire.PolicyRequest) -> Response:
    async def write(conn: AsyncConnection) -> Reply:
        stored = await _write_policy(conn, sent.context, sent.principal, policy.id, policy)
        return Reply(201, stored, {"Location": f"/v1/policies/{policy.id}"})

    async def record_claimant() -> None:
        await _record_claimant(sent.context, sent.principal, policy.claimant)

    _check_product(sent.context, policy)
    return await sent.once(policy, write, keep=record_claimant)


@router.put(
    "/policies/{policy_id}",
    summary="Register a policy, or change its dates, sums and insured name",
    responses=described.refusals(
        *described.READS, "json_too_large", "conflict", "unknown_product", "unknown_pet", "currency_mismatch"
    ),
)
async def put_policy(context: Ctx, principal: Platform, policy_id: Id, policy: wire.PolicyTerms) -> wire.PolicyView:
    _check_product(context, policy)
    await _record_claimant(context, principal, policy.claimant)
    async with context.engine.begin() as conn:
        return await _write_policy(conn, context, principal, policy_id, policy)


@router.get("/policies/{policy_id}", summary="A policy", responses=described.refusals(*described.READS))
async def get_policy(context: Ctx, principal: Owner, policy_id: Id) -> wire.PolicyView:
    async with context.engine.connect() as conn:
        return showing.policy(await adjudication.policy_of(conn, policy_id, _own(principal)))


@router.post(
    "/pets",
    status_code=201,
    summary="Register a pet with its claimant",
    response_model=wire.PetView,
    responses=described.refusals(*described.CREATES),
)
async def create_pet(sent: SentByPlatform, pet: wire.PetRequest) -> Response:
    async def write(conn: AsyncConnection) -> Reply:
        stored = await _write_pet(conn, sent.context, sent.principal, pet.id, pet)
        return Reply(201, stored, {"Location": f"/v1/pets/{pet.id}"})

    async def record_claimant() -> None:
        await _record_claimant(sent.context, sent.principal, pet.claimant)

    return await sent.once(pet, write, keep=record_claimant)


@router.put(
    "/pets/{pet_id}",
    summary="Register a pet, or rename it",
    responses=described.refusals(*described.READS, "json_too_large", "conflict"),
)
async def put_pet(context: Ctx, principal: Platform, pet_id: Id, pet: wire.PetTerms) -> wire.PetView:
    await _record_claimant(context, principal, pet.claimant)
    async with context.engine.begin() as conn:
        return await _write_pet(conn, context, principal, pet_id, pet)


@router.get(
    "/pets/{pet_id}",
    summary="A pet and how far its nose enrolment is",
    responses=described.refusals(*described.READS),
)
async def get_pet(context: Ctx, principal: Owner, pet_id: Id) -> wire.PetView:
    async with context.engine.connect() as conn:
        return await _pet(conn, pet_id, _own(principal))


@router.post(
    "/pets/{pet_id}/noses",
    status_code=202,
    summary="Send photos of the pet's nose for enrolment",
    description="At least three photos, in parts named `nose`. They are measured by a worker; "
    "`GET /v1/pets/{pet_id}` says how it went. A new enrolment takes the place of the old one.",
    response_model=wire.EnrolmentAccepted,
    responses=described.refusals(*described.CREATES, *described.UPLOADS, "no_files", "not_found"),
    openapi_extra=described.body(described.multipart({}, {"nose": "Close-up photos of the nose"}, ["nose"])),
)
async def enrol_noses(sent: SentByPlatform, pet_id: Id) -> Response:
    context = sent.context
    async with context.engine.connect() as conn:
        await noses.pet(conn, pet_id)
    async with receive_form(
        sent.request,
        context.blobs,
        context.limits,
        fields=(),
        kinds=(EvidenceKind.NOSE,),
        files_max=context.limits.files_per_enrolment_max,
    ) as form:
        if not form.uploads:
            raise Problem("no_files", "Send the photos in parts named `nose`.")
        sha256s = [upload.sha256 for upload in form.uploads]

        async def write(conn: AsyncConnection) -> Reply:
            enrolment_id = f"{pet_id}:{secrets.token_hex(8)}"
            await intake.enrol(conn, pet_id, enrolment_id, sha256s, context.now(), actor=sent.actor)
            await hold_files(conn, context.blobs, sha256s)
            return Reply(
                202, wire.EnrolmentAccepted(pet_id=pet_id, sha256s=sha256s), {"Location": f"/v1/pets/{pet_id}"}
            )

        return await sent.once(form.content(), write, keep=form.keep)


def _own(principal: Principal) -> str | None:
    return principal.subject if principal.role is Role.CLAIMANT else None


def _check_product(context: Context, policy: wire.PolicyTerms) -> None:
    product = context.catalogue.get(policy.product)
    if product is None:
        raise Problem("unknown_product", f"Products: {', '.join(context.catalogue)}.")
    if policy.currency != product.currency:
        raise Problem("currency_mismatch", f"{product.key} is written in {product.currency}.")


async def _record_claimant(context: Context, principal: Principal, claimant: wire.ClaimantRequest) -> None:
    """Record the claimant in a transaction of its own: the audit chain is locked from its record on, and no row of a
    policy may be waited for under that lock."""
    async with context.engine.begin() as conn:
        now, actor = context.now(), str(principal)
        if claimant.credit_attributes is None:
            await intake.ensure_claimant(conn, claimant.id, claimant.name, now, actor=actor)
        else:
            await intake.upsert_claimant(conn, claimant.id, claimant.name, claimant.credit_attributes, now, actor=actor)


async def _write_policy(
    conn: AsyncConnection, context: Context, principal: Principal, policy_id: str, terms: wire.PolicyTerms
) -> wire.PolicyView:
    policy = Policy(
        id=policy_id,
        number=terms.number,
        product=terms.product,
        claimant_id=terms.claimant.id,
        insured_name=terms.insured_name,
        pet_id=terms.pet_id,
        starts_at=terms.starts_at,
        ends_at=terms.ends_at,
        sum_insured=Money(terms.sum_insured_minor, terms.currency),
        insured_value=Money(terms.insured_value_minor, terms.currency),
    )
    try:
        await intake.upsert_policy(conn, policy, context.now(), actor=str(principal))
    except NotFound as error:
        # The claimant has just been recorded, so it is the pet that is missing.
        raise Problem("unknown_pet", f"{terms.claimant.id} has no pet {terms.pet_id}.") from error
    return showing.policy(await adjudication.policy_of(conn, policy_id))


async def _write_pet(
    conn: AsyncConnection, context: Context, principal: Principal, pet_id: str, terms: wire.PetTerms
) -> wire.PetView:
    await intake.upsert_pet(
        conn,
        pet_id,
        terms.claimant.id,
        terms.name,
        terms.species,
        context.now(),
        born_on=terms.born_on,
        actor=str(principal),
    )
    return await _pet(conn, pet_id, None)


async def _pet(conn: AsyncConnection, pet_id: str, claimant_id: str | None) -> wire.PetView:
    pet = await noses.pet(conn, pet_id, claimant_id)
    enrolment = await views.enrolment(conn, pet_id)
    return wire.PetView(
        id=pet.id,
        claimant_id=pet.claimant_id,
        name=pet.name,
        species=pet.species,
        born_on=pet.born_on,
        enrolment=wire.EnrolmentView(state=enrolment.state, templates=enrolment.templates, problem=enrolment.problem),
    )

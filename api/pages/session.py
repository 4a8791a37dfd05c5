"""Signs people in: a bearer token is pasted once and becomes a session; the cookie holds a random name for it, not the
token."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Final
from urllib.parse import parse_qsl, urlsplit

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response

from api.http import tokens
from api.http.access import good_token
from api.http.context import Context, Ctx
from api.http.problems import Problem
from api.http.tokens import Principal, Role
from api.pages import texts
from api.pages.failures import FormRefused, PageRoute, SignInNeeded
from api.pages.rendering import LANGUAGE_COOKIE, Visitor, render
from api.pages.visit import Visit
from claims.store import revocations, sessions
from claims.store.sessions import OpenedBy

router = APIRouter(route_class=PageRoute)
SESSION_COOKIE: Final = "miaopei_session"
SIGN_IN_COOKIE: Final = "miaopei_sign_in"
HOME: Final[Mapping[Role, str]] = {
    Role.CLAIMANT: "/claims",
    Role.ADJUSTER: "/queue",
    Role.PARTNER: "/queue",
    Role.OPERATOR: "/operations",
}
_LANGUAGE_SECONDS: Final = 365 * 24 * 3600
_REFUSED: Final[Mapping[type[tokens.TokenRefused], str]] = {
    tokens.TokenExpired: "session.token_expired",
    tokens.TokenInvalid: "session.token_invalid",
    tokens.TokenRevoked: "session.token_revoked",
}


async def visit_of(context: Context, request: Request) -> Visit:
    """Returns the visit of the person who is signed in. Raises SignInNeeded; a Problem when they send too many
    requests."""
    token = request.cookies.get(SESSION_COOKIE, "")
    if not token:
        raise SignInNeeded(ended=False)
    async with context.engine.connect() as conn:
        session = await sessions.find(conn, token, context.now())
    # A session goes with its token, and a token with its key.
    if session is None or not _in_force(context, session.key_id):
        await context.rates.fails(request)
        raise SignInNeeded(ended=True)
    principal = Principal(Role(session.role), session.subject)
    await context.rates.asks(request, principal)
    return Visit(context, Visitor(principal, session.csrf, session.expires_at), request)


def _in_force(context: Context, key_id: str) -> bool:
    try:
        return key_id in context.keys.verifying(context.now())
    except tokens.TokenInvalid:  # the file of the keys cannot be used: nobody is let in
        return False


def signed_in(*roles: Role) -> Any:
    """Returns a dependency that yields the Visit when the visitor's role is among `roles`; otherwise it shows the
    sign-in page or a 403."""

    async def check(context: Ctx, request: Request) -> Visit:
        visit = await visit_of(context, request)
        if visit.principal.role not in roles:
            raise Problem("forbidden", f"Only for: {', '.join(roles)}.")
        return visit

    return Depends(check)


Claimant = Annotated[Visit, signed_in(Role.CLAIMANT)]
Adjuster = Annotated[Visit, signed_in(Role.ADJUSTER)]
Handler = Annotated[Visit, signed_in(Role.ADJUSTER, Role.PARTNER)]
Operator = Annotated[Visit, signed_in(Role.OPERATOR)]
Party = Annotated[Visit, signed_in(Role.CLAIMANT, Role.ADJUSTER, Role.PARTNER)]


async def form_fields(request: Request) -> dict[str, str]:
    """Returns the fields of an ordinary form, each once. Raises Problem for anything else."""
    if request.headers.get("content-type", "").split(";")[0].strip() != "application/x-www-form-urlencoded":
        raise Problem("unsupported_content_type", "Send an ordinary form.")
    try:
        pairs = parse_qsl((await request.body()).decode(), keep_blank_values=True, max_num_fields=50)
    except ValueError as error:
        raise Problem("bad_request", "The form cannot be read.") from error
    return dict(pairs)


async def posted(visit: Visit) -> dict[str, str]:
    """Returns the fields of a form that this visitor's own page sent. Raises FormRefused for any other."""
    fields = await form_fields(visit.request)
    check_csrf(visit.request, visit.visitor.csrf, fields.get("csrf", ""))
    return fields


def check_csrf(request: Request, expected: str, given: str) -> None:
    """Check that the request comes from our own page and carries its token. Raises FormRefused otherwise."""
    origin = request.headers.get("origin", "")
    public = request.app.state.context.settings.public_url  # behind a proxy, Host may be another name
    if origin and urlsplit(origin).netloc not in (request.headers.get("host", ""), urlsplit(public).netloc):
        raise FormRefused("the request comes from another site")
    if not expected or not secrets.compare_digest(expected.encode(), given.encode()):
        raise FormRefused("the token is missing or another session's")


@router.get("/")
async def home(context: Ctx, request: Request) -> Response:
    """Redirect to the start page of the visitor's role."""
    visit = await visit_of(context, request)
    return RedirectResponse(HOME[visit.principal.role], 303)


@router.get("/sign-in")
async def sign_in_page(request: Request, ended: str = "") -> Response:
    return _form(request, message="session.ended" if ended else "")


@router.post("/sign-in")
async def sign_in(context: Ctx, request: Request) -> Response:
    await context.rates.signs_in(request)
    fields = await form_fields(request)
    check_csrf(request, request.cookies.get(SIGN_IN_COOKIE, ""), fields.get("csrf", ""))
    now, pasted = context.now(), "".join(fields.get("token", "").split()).removeprefix("Bearer")
    try:
        token = await good_token(context, pasted)
    except tokens.TokenRefused as refused:
        await context.rates.fails(request)
        return _form(request, message=_REFUSED[type(refused)], status=401)
    principal = token.principal
    if principal.role not in HOME:
        return _form(request, message="session.role_without_pages", status=403)
    await context.rates.signed_in(principal)
    # A session never outlives the token that opened it.
    expires_at = min(now + timedelta(hours=context.settings.session_hours), token.expires_at)
    cookie, csrf = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
    opened_by = OpenedBy(token.id, token.key_id, token.issued_at)
    async with context.engine.begin() as conn:
        await sessions.purge(conn, now)
        await revocations.purge(conn, now)
        await sessions.create(conn, cookie, principal.role, principal.subject, csrf, now, expires_at, opened_by)
    answer = RedirectResponse(HOME[principal.role], 303)
    seconds = max(1, int((expires_at - now).total_seconds()))
    _set_cookie(answer, context, SESSION_COOKIE, cookie, seconds)
    answer.delete_cookie(SIGN_IN_COOKIE)
    return answer


@router.post("/sign-out")
async def sign_out(context: Ctx, request: Request) -> Response:
    await posted(await visit_of(context, request))
    async with context.engine.begin() as conn:
        await sessions.end(conn, request.cookies.get(SESSION_COOKIE, ""))
    # Previews may lie in the browser's cache; the next user of the browser must not find them.
    answer = RedirectResponse("/sign-in", 303, {"Clear-Site-Data": '"cache"'})
    answer.delete_cookie(SESSION_COOKIE)
    return answer


@router.get("/language/{lang}")
async def choose_language(context: Ctx, lang: str, back: str = "/") -> Response:
    """Remember the language and return to the page."""
    # "//host" and "/\host" are other sites to a browser.
    safe = back.startswith("/") and not back.startswith(("//", "/\\")) and back.isprintable()
    answer = RedirectResponse(back if safe else "/", 303)
    if lang in texts.languages():
        _set_cookie(answer, context, LANGUAGE_COOKIE, lang, _LANGUAGE_SECONDS)
    return answer


def _form(request: Request, *, message: str, status: int = 200) -> Response:
    csrf = request.cookies.get(SIGN_IN_COOKIE, "") or secrets.token_urlsafe(32)
    answer = render(request, "sign_in.html", status=status, message=message, csrf=csrf)
    _set_cookie(answer, request.app.state.context, SIGN_IN_COOKIE, csrf, 3600)
    return answer


def _set_cookie(answer: Response, context: Context, name: str, value: str, seconds: int) -> None:
    secure = context.settings.public_url.startswith("https://")
    answer.set_cookie(name, value, max_age=seconds, httponly=True, samesite="strict", secure=secure, path="/")

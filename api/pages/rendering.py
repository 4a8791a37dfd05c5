"""Renders templates to responses. Everything is escaped; an unknown name in a template is an error, not a blank."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import jinja2
from fastapi import Request
from fastapi.responses import HTMLResponse
from markupsafe import Markup

from api.http.languages import Lang, preferred
from api.http.tokens import Principal
from api.pages import texts
from claims import currencies
from claims.explain import money_text
from claims.money import Money
from claims.product import Product

LANGUAGE_COOKIE: Final = "miaopei_lang"
HOME: Final[Lang] = "zh"  # the language of a browser that names none
_STATIC: Final = Path(__file__).parent / "static"
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Vary": "Cookie, Accept-Language",
    # With no-referrer, browsers send `Origin: null` with our own forms, and no form could be told from a foreign one.
    "Referrer-Policy": "same-origin",
}


@dataclass(frozen=True, slots=True)
class Visitor:
    """The person who is signed in. `csrf` must come back with every form."""

    principal: Principal
    csrf: str
    expires_at: datetime


def language(request: Request) -> Lang:
    """Returns the language chosen on the page, else the browser's."""
    chosen = request.cookies.get(LANGUAGE_COOKIE, "")
    if chosen in texts.languages():
        return chosen
    return preferred(request.headers.get("accept-language", HOME))


def render(
    request: Request, template: str, visitor: Visitor | None = None, *, status: int = 200, **values: Any
) -> HTMLResponse:
    """Returns `template` filled in with `values` for this visitor, in their language."""
    lang = language(request)

    def say(key: str, **fields: object) -> str:
        return texts.say(lang, key, **fields)

    def label(group: str, name: str) -> str:
        return texts.label(lang, group, name)

    shown = {
        "request": request,
        "visitor": visitor,
        "role": visitor.principal.role.value if visitor is not None else "",
        "lang": lang,
        "t": say,
        "label": label,
        "here": request.url.path + (f"?{request.url.query}" if request.url.query else ""),
    }
    return HTMLResponse(_environment.get_template(template).render(shown | values), status, dict(_HEADERS))


def product_name(catalogue: Mapping[str, Product], key: str, lang: Lang) -> str:
    """Returns the product's name; its key where it is no longer offered."""
    product = catalogue.get(key)
    return product.name.in_language(lang) if product is not None else key


def money_input(amount: Money) -> str:
    """Returns an amount as people type it: 4700 fen are "47.00", 4700 yen are "4700"."""
    return currencies.digits(amount.minor, amount.currency, grouped=False)


def _moment(at: datetime) -> Markup:
    """Returns a time element: the browser shows it in its own zone; without JavaScript it reads as UTC."""
    utc = at.astimezone(UTC)
    return Markup('<time datetime="{}" data-local>{} UTC</time>').format(
        utc.isoformat(timespec="seconds"), utc.strftime("%Y-%m-%d %H:%M")
    )


@jinja2.pass_context
def _seconds(context: jinja2.runtime.Context, value: float) -> str:
    """Returns a duration with as many digits as matter: 0.84 s, 12.4 s, 3 min 05 s; 0.84 秒, 3 分 05 秒."""
    lang = context["lang"]
    if value < 10:
        return texts.say(lang, "duration.seconds", seconds=f"{value:.2f}")
    if value < 100:
        return texts.say(lang, "duration.seconds", seconds=f"{value:.1f}")
    if value < 6000:
        minutes, seconds = divmod(int(value), 60)
        return texts.say(lang, "duration.minutes", minutes=minutes, seconds=f"{seconds:02d}")
    return texts.say(lang, "duration.hours", hours=f"{value / 3600:.1f}")


def _size(count: int) -> str:
    return f"{count / 1_000_000:.1f} MB" if count >= 100_000 else f"{count / 1000:.0f} kB"


def _heading(text: str) -> str:
    """Returns a phrase with a capital letter, for use as a heading."""
    return text[:1].upper() + text[1:]


def _asset(name: str) -> str:
    """Returns a static file's address; it changes with the file, so that no browser keeps an old one."""
    return f"/static/{name}?v={int((_STATIC / name).stat().st_mtime)}"


def _make_environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "money": money_text,
        "money_input": money_input,
        "moment": _moment,
        "seconds": _seconds,
        "size": _size,
        "json": json.dumps,
        "heading": _heading,
    }
    # Read here, so that a catalogue that lacks something is refused at start.
    languages = {code: texts.texts(code) for code in texts.languages()}
    environment.globals |= {"asset": _asset, "Money": Money, "languages": languages}
    return environment


_environment: Final = _make_environment()

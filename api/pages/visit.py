"""One visit of a page: the values that the functions behind every page need, in one object."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse

from api.http.context import Context
from api.http.languages import Lang
from api.http.problems import Problem
from api.http.repeats import KeyedRequest
from api.http.tokens import Principal
from api.pages.failures import message_of
from api.pages.rendering import Visitor, language, render


@dataclass(frozen=True, slots=True)
class Visit:
    """A request by a person who is signed in, with what is needed to answer it."""

    context: Context
    visitor: Visitor
    request: Request

    @property
    def principal(self) -> Principal:
        return self.visitor.principal

    @property
    def lang(self) -> Lang:
        """Returns the visitor's language."""
        return language(self.request)

    @property
    def wants_a_part(self) -> bool:
        """True if htmx sent the request, which replaces a part of the page."""
        return "hx-request" in self.request.headers

    def render(self, template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
        """Returns `template` filled in with `values` for this visitor, in their language."""
        return render(self.request, template, self.visitor, status=status, **values)

    def message_of(self, error: Exception) -> str:
        """Returns the refusal in words for this visitor. Raises `error` when it is a fault of ours."""
        return message_of(self.request, error)

    def keyed(self, key: str) -> KeyedRequest:
        """Returns this visit as a writing request of the API, under an Idempotency-Key."""
        return KeyedRequest(self.context, self.principal, key, self.request)

    def sent(self, fields: dict[str, str]) -> KeyedRequest:
        """Returns the same, under the key that the page put into its form. Raises Problem."""
        key = fields.get("key", "")
        if not 16 <= len(key) <= 64 or not key.isascii() or not key.isprintable() or " " in key:
            raise Problem("idempotency_key_invalid", "The form has lost its key.")
        return self.keyed(key)

"""Content credentials (C2PA) as the decoding child read them: who signed, and whether the file is what was signed.

Four results are kept apart. Trusted: signed by somebody on the operator's list, and unchanged. Untrusted: unchanged,
signed by somebody who is not on the list; this says nothing against the file. Expired: unchanged as far as can be told,
but the certificate was not valid when it was checked or when it signed. Invalid: the file does not show what was
signed, or the signature is not one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, cast

from vision.decode.exif import clean_text
from vision.decode.process import ANSWER_ERRORS, read_header
from vision.errors import ImageRefused

CredentialsState = Literal["trusted", "untrusted", "expired", "invalid", "absent", "remote", "unreadable"]
_STATES: Final = ("trusted", "untrusted", "expired", "invalid", "absent", "remote", "unreadable")


@dataclass(frozen=True, slots=True)
class Credentials:
    """The result of reading the credentials.

    state: also absent if the file carries none after all, remote if they lie on a server that is not asked, unreadable
    if the manifest breaks the format. codes: what failed, in C2PA's words. source_types: IPTC's words for how the
    picture, or a part of it, was made. program: what wrote the manifest. signer: an organisation's name, for a trusted
    signer only; others may be people.
    """

    state: CredentialsState
    codes: tuple[str, ...] = ()
    source_types: tuple[str, ...] = ()
    program: str = ""
    signer: str = ""


def read_credentials_answer(target: int) -> Credentials:
    """Read the child's answer. target: its descriptor. Raises ImageRefused for an answer that cannot be used."""
    try:
        plain = read_header(target)
        state = str(plain["state"])
        if state not in _STATES:
            raise ValueError("unknown state")
        return Credentials(
            state=cast("CredentialsState", state),
            codes=tuple(clean_text(str(code)[:300]) for code in plain["codes"][:12]),
            source_types=tuple(clean_text(str(kind)[:300]) for kind in plain["source_types"][:12]),
            program=clean_text(str(plain["program"])[:300]),
            signer=clean_text(str(plain["signer"])[:300]) if state == "trusted" else "",
        )
    except ANSWER_ERRORS as error:
        raise ImageRefused("decode_crashed", f"the answer cannot be used ({str(error)[:100]})") from None

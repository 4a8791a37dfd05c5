"""Reads and checks content credentials (C2PA 2.x) with c2pa-rs. Runs inside a decoding child only.

c2pa-rs may fetch remote manifests, revocation answers and trust lists. Its settings forbid all three, and the child's
system call filter allows no socket.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from types import ModuleType
from typing import Any, Final

# Failures that concern the signer or the time, not the content: a file with only these is what was signed.
_ABOUT_TIME: Final = ("signingCredential.expired", "claimSignature.outsideValidity", "timeStamp.")
_ABOUT_TRUST: Final = ("signingCredential.untrusted", "signingCredential.ocsp", "cawg.", "timeStamp.untrusted")
MANIFESTS_MAX: Final = 50

_library: ModuleType | None = None


def load() -> None:
    """Import the library, once, in the process that forks: its children can open no file."""
    global _library
    if _library is None:
        import c2pa

        _library = c2pa


def read_credentials(data: bytes, media_type: str, anchors: bytes) -> dict[str, Any]:
    """Return the answer for `vision.decode.credentials`, also for an unreadable manifest. Raises MemoryError."""
    if _library is None:
        raise RuntimeError("load() first")
    settings: dict[str, Any] = {
        "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False, "verify_trust": True},
        "core": {"allowed_network_hosts": [], "max_decompressed_manifest_size_in_mb": 32},
    }
    if anchors:
        settings["trust"] = {"trust_anchors": anchors.decode("ascii", "replace")}
    try:
        context = _library.Context(_library.Settings.from_dict(settings))
        reader = _library.Reader(media_type, io.BytesIO(data), context=context)
        state = str(reader.get_validation_state())
        store = json.loads(reader.json())
    except _library.C2paError as error:
        return _answer(_state_of_error(str(error)), (str(error).split(":")[0],))
    except (ValueError, RecursionError) as error:
        return _answer("unreadable", (type(error).__name__,))
    active = _dict(_dict(store, "validation_results"), "activeManifest")
    codes = tuple(str(entry.get("code", "")) for entry in _list(active, "failure") if isinstance(entry, dict))
    manifest = _dict(_dict(store, "manifests"), str(store.get("active_manifest", "")))
    programs = [entry for entry in _list(manifest, "claim_generator_info") if isinstance(entry, dict)]
    program = str(programs[0].get("name", "")) if programs else str(manifest.get("claim_generator", ""))
    return _answer(
        _state(state, codes), codes, tuple(dict.fromkeys(_source_types(store))), program,
        str(_dict(manifest, "signature_info").get("issuer", "")),
    )  # fmt: skip


def _answer(
    state: str, codes: tuple[str, ...], source_types: tuple[str, ...] = (), program: str = "", signer: str = ""
) -> dict[str, Any]:
    return {
        "state": state,
        "codes": [code[:120] for code in codes[:12]],
        "source_types": [kind[:60] for kind in source_types[:12]],
        "program": program[:120],
        "signer": signer[:120],
    }


def _state(validation: str, codes: tuple[str, ...]) -> str:
    if validation == "Trusted":
        return "trusted"
    if validation == "Valid":
        return "untrusted"
    rest = [code for code in codes if not code.startswith(_ABOUT_TRUST)]
    if not codes or not all(code.startswith(_ABOUT_TIME) for code in rest):
        return "invalid"
    return "expired" if rest else "untrusted"


def _state_of_error(words: str) -> str:
    if words.startswith("ManifestNotFound"):
        return "absent"
    return "remote" if words.startswith("RemoteManifest") else "unreadable"


def _source_types(store: dict[str, Any]) -> Iterator[str]:
    """Yield IPTC's word for every action of every manifest in the file, the active manifest's first."""
    manifests = _dict(store, "manifests")
    active = str(store.get("active_manifest", ""))
    for label in sorted(manifests, key=lambda label: label != active)[:MANIFESTS_MAX]:
        for assertion in _list(manifests[label], "assertions"):
            if not isinstance(assertion, dict) or not str(assertion.get("label", "")).startswith("c2pa.actions"):
                continue
            for action in _list(_dict(assertion, "data"), "actions"):
                kind = str(action.get("digitalSourceType", "")) if isinstance(action, dict) else ""
                if kind:
                    yield kind.rstrip("/").rsplit("/", 1)[-1]


def _dict(plain: Any, name: str) -> dict[str, Any]:
    value = plain.get(name) if isinstance(plain, dict) else None
    return value if isinstance(value, dict) else {}


def _list(plain: Any, name: str) -> list[Any]:
    value = plain.get(name) if isinstance(plain, dict) else None
    return value if isinstance(value, list) else []

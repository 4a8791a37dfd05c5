"""Says whether a document is what its signature was made over. Who signed is not checked: a forger can sign, too."""

from __future__ import annotations

from vision.decode.signature import FileSignature
from vision.documents.text.page import CheckReading


def signature_check(signature: FileSignature) -> CheckReading | None:
    """Return signature_covers_file; None without a signature, or with one whose digests were not compared."""
    if signature.differing:
        return CheckReading("signature_covers_file", False, f"not as it was signed: {signature.differing}")
    if not signature.compared:
        return None
    words = f"{signature.compared} parts are as they were signed; who signed them was not checked"
    return CheckReading("signature_covers_file", True, words)

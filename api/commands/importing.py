"""The library import with everything it needs opened and closed: for `miaopei photos import` and the demo."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from api.settings import Settings


async def import_folder(
    dsn: str,
    settings: Settings,
    sources: Sequence[Path],
    *,
    source: Literal["web", "stock"],
    advance: Callable[[int, int], None] = lambda _done, _total: None,
) -> dict[str, Any]:
    """Import into the library behind `dsn`; counts, and the reason for each refused picture."""
    from claims.store.blobs import BlobStore
    from claims.store.engine import connect
    from flows.library import count_pictures, import_pictures
    from vision.fingerprint import Fingerprinter
    from vision.image import Decoder

    total = count_pictures(sources)
    engine = connect(dsn, pool_size=1)
    try:
        with Decoder(processes=1) as decoder:
            report = await import_pictures(
                engine,
                BlobStore(settings.evidence_url),
                decoder,
                Fingerprinter(),
                sources,
                source,
                advance=lambda so_far: advance(so_far.seen, total),
            )
    finally:
        await engine.dispose()
    return {"added": report.added, "known": report.known, "refused": report.refused}

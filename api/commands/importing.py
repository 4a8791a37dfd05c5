"""Work on the whole library with everything it needs opened and closed: for `miaopei photos ...` and the demo."""

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
    from api.processes import descriptor_config
    from claims.store.blobs import BlobStore
    from claims.store.engine import connect
    from flows.library import count_pictures, import_pictures
    from flows.looking import fingerprinter
    from vision.image import Decoder

    total = count_pictures(sources)
    engine = connect(dsn, pool_size=1)
    try:
        with Decoder(processes=1) as decoder:
            report = await import_pictures(
                engine,
                BlobStore(settings.evidence_url),
                decoder,
                fingerprinter(descriptor_config(settings)),
                sources,
                source,
                advance=lambda so_far: advance(so_far.seen, total),
            )
    finally:
        await engine.dispose()
    return {"added": report.added, "known": report.known, "refused": report.refused}


async def refingerprint_library(
    dsn: str, settings: Settings, *, advance: Callable[[int, int], None] = lambda _done, _total: None
) -> dict[str, Any]:
    """Describe what another descriptor described; counts, and the reason for each picture that was left."""
    from api.processes import descriptor_config
    from claims.store.blobs import BlobStore
    from claims.store.engine import connect
    from flows.looking import describes
    from flows.refingerprint import refingerprint
    from vision.image import Decoder
    from vision.library.outdated import described_by

    descriptor = describes(descriptor_config(settings)).descriptor
    engine = connect(dsn, pool_size=1)
    try:
        async with engine.connect() as conn:
            counts = await described_by(conn)
        total = sum(count for label, count in counts.items() if label != descriptor.label)
        with Decoder(processes=1) as decoder:
            report = await refingerprint(
                engine,
                BlobStore(settings.evidence_url),
                decoder,
                descriptor,
                advance=lambda so_far: advance(so_far.described + len(so_far.left), total),
            )
    finally:
        await engine.dispose()
    return {"descriptor": descriptor.label, "described": report.described, "left": report.left}

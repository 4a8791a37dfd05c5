"""Nose photos go through the checks of photos of damage: at the enrolment and at the claim, on real files, with a real
PostgreSQL."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import text

from claims.claim import EvidenceKind
from claims.decision import Outcome
from claims.evidence import MatchOwner, PhotoFact, PhotoVerdict
from claims.store import adjudication, links, views
from claims.store.blobs import BlobStore
from claims.wire import canonical, to_plain
from fixtures import edits
from fixtures.cases import in_order
from fixtures.nose_attacks import burst
from fixtures.noses import CAREFUL, render_nose
from flows.stage_context import StageContext
from flows.stages import nose_facts
from flows.vision_pool import Stopwatch, VisionPool, vision_pool
from tests.flows import enrolling

pytestmark = pytest.mark.anyio


def nose(pet: int, capture: int) -> bytes:
    return render_nose(pet, 11, capture, **CAREFUL).jpeg()


def pixels_of(data: bytes) -> np.ndarray[Any, np.dtype[np.uint8]]:
    with Image.open(io.BytesIO(data)) as stored:
        return np.asarray(stored.convert("RGB"))


@pytest.fixture(scope="module")
def eyes(tmp_path_factory: pytest.TempPathFactory, worker_limits: Any) -> Iterator[tuple[VisionPool, str]]:
    url = (tmp_path_factory.mktemp("blobs") / "evidence").as_uri()
    with vision_pool(worker_limits(url)) as loaded:
        yield loaded, url


@pytest.fixture
def kennel(world: Any, eyes: tuple[VisionPool, str]) -> Any:
    return replace(world, blobs=BlobStore(eyes[1]))


@pytest.fixture
def enrol(kennel: Any, eyes: tuple[VisionPool, str], wait_until: Any) -> Any:
    async def enrolled(pet_id: str, key: str, photos: list[bytes]) -> views.Enrolment:
        return await enrolling.enrol(kennel, eyes[0], f"{pet_id}:{key}", photos, wait_until, pet_id)

    return enrolled


async def noses_of(kennel: Any, eyes: VisionPool, policy: Any, *photos: bytes) -> tuple[Any, ...]:
    """Sends the photos with a claim; returns its facts about them."""
    files = {f"{place}.jpg": (EvidenceKind.NOSE, data) for place, data in enumerate(photos)}
    claim_id = await kennel.claim(policy, files, peril="illness")
    async with kennel.engine.connect() as conn:
        file = await adjudication.load(conn, claim_id)
    return tuple(await nose_facts(StageContext(kennel.engine, eyes, Any), file, Stopwatch()))  # type: ignore[arg-type]


def outcome(fact: Any) -> tuple[Outcome, str]:
    """Returns how a claim that is in order otherwise comes out with this nose, and why."""
    case = in_order("pet_medical").with_policy(pet_id=fact.pet_id).with_facts(noses=(fact,))
    decision = case.decision()
    return decision.outcome, decision.reasons[0].code


async def test_a_new_photo_is_paid_and_the_enrolled_one_is_seen_by_a_person_however_it_is_sent(
    kennel: Any, eyes: Any, enrol: Any
) -> None:
    policy = await kennel.policy("anna", "pet_medical", pet_id="pet_1")
    photos = [nose(101, capture) for capture in (1, 2, 3)]
    assert (await enrol("pet_1", "a", photos)).state == "enrolled"
    pixels = pixels_of(photos[1])
    turned = edits.jpeg_bytes(np.ascontiguousarray(pixels[20:740, 12:760]), 40)
    mirrored = edits.jpeg_bytes(np.ascontiguousarray(pixels[:, ::-1]), 85)
    new, again, saved, flipped = await noses_of(kennel, eyes[0], policy, nose(101, 4), photos[0], turned, mirrored)
    assert outcome(new) == (Outcome.PAY, "nose_recognised")
    assert isinstance(new.photo, PhotoFact)
    assert not [match for match in new.photo.matches if match.verdict in ("same_bytes", "same_picture", "edited_copy")]
    for fact, verdict in ((again, PhotoVerdict.SAME_BYTES), (saved, PhotoVerdict.EDITED_COPY)):
        assert outcome(fact) == (Outcome.REFER, "nose_replayed")
        strongest = fact.photo.matches[0]
        assert (strongest.owner, strongest.verdict) == (MatchOwner.OWN_ENROLMENT, verdict)
        # What an adjuster compares it with is kept beside it.
        assert strongest.preview_sha256
        assert kennel.blobs.exists(strongest.preview_sha256)
    assert outcome(flipped) == (Outcome.REFER, "nose_replayed")


async def test_a_nose_photo_of_one_claim_is_not_paid_on_again_in_the_next(kennel: Any, eyes: Any, enrol: Any) -> None:
    policy = await kennel.policy("anna", "pet_medical", pet_id="pet_1")
    await enrol("pet_1", "a", [nose(101, capture) for capture in (1, 2, 3)])
    photo = nose(101, 4)
    (first,) = await noses_of(kennel, eyes[0], policy, photo)
    (second,) = await noses_of(kennel, eyes[0], policy, photo)
    assert outcome(first)[0] is Outcome.PAY
    assert outcome(second) == (Outcome.REFER, "nose_replayed")
    (other,) = [match.claim_id for match in second.photo.matches if match.verdict is PhotoVerdict.SAME_BYTES]
    # Erasing the first claim finds its picture in what was recorded of the second one.
    facts = {"noses": json.loads(canonical([to_plain(second)]))}
    assert links.claims_in(facts) == {other}
    links.blank(facts, [other])
    assert not any(match["preview_sha256"] for match in links.matches_in(facts) if match["claim_id"] == other)


async def test_an_enrolment_takes_a_burst_and_refuses_one_photo_saved_twice(kennel: Any, enrol: Any) -> None:
    await kennel.policy("anna", "pet_medical", pet_id="pet_1")
    shots = burst(600_000, 60_000, 60_000_000, 3)
    pixels = pixels_of(shots[0])
    small = edits.jpeg_bytes(edits.resize(pixels, 0.8), 85)
    for key, copy in (("a", shots[0]), ("b", edits.jpeg_bytes(pixels, 60)), ("c", small)):
        refused = await enrol("pet_1", key, [shots[0], copy, shots[1]])
        assert (refused.state, refused.templates) == ("refused", 0), key
        assert "is the same file as another" in refused.problem or "are one photo saved twice" in refused.problem
    assert (await enrol("pet_1", "d", shots)).state == "enrolled"


async def test_a_pet_is_not_enrolled_with_photos_of_another_enrolment_but_again_with_its_own(
    kennel: Any, enrol: Any
) -> None:
    await kennel.policy("anna", "pet_medical", pet_id="pet_1")
    await kennel.policy("bert", "pet_medical", pet_id="pet_2")
    photos = [nose(101, capture) for capture in (1, 2, 3)]
    assert (await enrol("pet_1", "a", photos)).state == "enrolled"
    assert (await enrol("pet_1", "b", photos)).state == "enrolled"
    saved = [edits.jpeg_bytes(pixels_of(data), 70) for data in photos]
    refused = await enrol("pet_2", "a", saved)
    assert (refused.state, refused.templates) == ("refused", 0)
    assert "photo 1 was used before, and not for this pet" in refused.problem
    # The refused photos leave nothing behind.
    async with kennel.engine.connect() as conn:
        ids = set(
            (await conn.execute(text("SELECT photo_id FROM library_photos WHERE source = 'enrolment'"))).scalars()
        )
    assert all(photo_id.startswith("enrolment:pet_1:") for photo_id in ids)
    assert len(ids) == len(photos)
    # Another pup of the litter is enrolled as usual.
    assert (await enrol("pet_2", "b", [nose(102, capture) for capture in (1, 2, 3)])).state == "enrolled"

"""Enrolments from the outbox: three photos of one nose are enrolled and recognised; bad ones are refused in words."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from PIL import Image

from claims.claim import EvidenceKind
from claims.store import adjudication, noses
from claims.store.blobs import BlobStore
from fixtures.noses import render_nose
from flows.queues import utc_now
from flows.stage_context import StageContext
from flows.stages import nose_facts
from flows.vision_pool import Stopwatch, VisionPool, vision_pool
from tests.flows.enrolling import enrol
from vision.nose.sealing import is_sealed

pytestmark = pytest.mark.anyio


def nose(pet: int, capture: int) -> bytes:
    target = io.BytesIO()
    Image.fromarray(render_nose(pet, 11, capture).pixels).save(target, "JPEG", quality=92)
    return target.getvalue()


@pytest.fixture(scope="module")
def eyes(tmp_path_factory: pytest.TempPathFactory, worker_limits: Any) -> Iterator[tuple[VisionPool, str]]:
    url = (tmp_path_factory.mktemp("blobs") / "evidence").as_uri()
    with vision_pool(worker_limits(url)) as loaded:
        yield loaded, url


@pytest.fixture
def kennel(world: Any, eyes: tuple[VisionPool, str]) -> Any:
    return replace(world, blobs=BlobStore(eyes[1]))


async def test_three_photos_of_one_nose_are_enrolled_and_the_pet_is_recognised(
    kennel: Any, eyes: Any, wait_until: Any
) -> None:
    policy = await kennel.policy("anna", "pet_medical", pet_id="pet_1")
    enrolment = await enrol(kennel, eyes[0], "pet_1:a", [nose(1, capture) for capture in (1, 2, 3)], wait_until)
    assert (enrolment.state, enrolment.templates) == ("enrolled", 3)
    claim_id = await kennel.claim(
        policy,
        {"own.jpg": (EvidenceKind.NOSE, nose(1, 9)), "sister.jpg": (EvidenceKind.NOSE, nose(2, 9))},
        peril="illness",
    )
    async with kennel.engine.connect() as conn:
        file = await adjudication.load(conn, claim_id)
    own, sister = await nose_facts(StageContext(kennel.engine, eyes[0], Any), file, Stopwatch())  # type: ignore[arg-type]
    assert own.similarity > sister.similarity + 0.2
    assert own.templates == 3


async def test_photos_that_make_no_enrolment_are_refused_in_words_and_leave_the_old_one(
    kennel: Any, eyes: Any, wait_until: Any
) -> None:
    await kennel.policy("anna", "pet_medical", pet_id="pet_1")
    same = nose(1, 1)
    enrolment = await enrol(kennel, eyes[0], "pet_1:a", [same, same, b"not a picture"], wait_until)
    assert (enrolment.state, enrolment.templates) == ("refused", 0)
    assert "photo 2 is the same file as another" in enrolment.problem
    assert "photo 3" in enrolment.problem
    await enrol(kennel, eyes[0], "pet_1:b", [nose(1, capture) for capture in (1, 2, 3)], wait_until)
    enrolment = await enrol(kennel, eyes[0], "pet_1:c", [nose(1, 4)], wait_until)
    assert (enrolment.state, enrolment.templates) == ("refused", 3)


async def test_a_nose_that_is_enrolled_for_another_pet_is_a_fact_and_no_refusal(
    kennel: Any, eyes: Any, wait_until: Any
) -> None:
    await kennel.policy("anna", "pet_medical", pet_id="pet_1")
    await kennel.policy("bella", "pet_medical", pet_id="pet_2")
    await kennel.policy("carl", "pet_medical", pet_id="pet_3")
    await enrol(kennel, eyes[0], "pet_1:a", [nose(1, capture) for capture in (1, 2, 3)], wait_until)
    await enrol(kennel, eyes[0], "pet_3:a", [nose(2, capture) for capture in (1, 2, 3)], wait_until, "pet_3")
    again = await enrol(kennel, eyes[0], "pet_2:a", [nose(1, capture) for capture in (7, 8, 9)], wait_until, "pet_2")
    assert (again.state, again.templates) == ("enrolled", 3)
    async with kennel.engine.connect() as conn:
        hits = await noses.list_hits(conn, "pet_1")
        assert await noses.list_hits(conn, "pet_3") == []  # a litter-mate
    assert [(hit.pet_id, hit.other_pet_id) for hit in hits] == [("pet_2", "pet_1")]
    assert hits[0].score >= hits[0].score_min
    assert hits[0].pets_searched >= 3
    assert "valid for renders" in hits[0].fitted_on
    # Enrolled anew with its own nose, the pet resembles nobody any more.
    await enrol(kennel, eyes[0], "pet_2:b", [nose(4, capture) for capture in (1, 2, 3)], wait_until, "pet_2")
    async with kennel.engine.connect() as conn:
        assert await noses.list_hits(conn) == []


async def test_what_is_stored_of_a_nose_is_encrypted_and_templates_of_before_are_searched(
    kennel: Any, eyes: Any, wait_until: Any
) -> None:
    await kennel.policy("anna", "pet_medical", pet_id="pet_1")
    await kennel.policy("bella", "pet_medical", pet_id="pet_2")
    await enrol(kennel, eyes[0], "pet_1:a", [nose(1, capture) for capture in (1, 2, 3)], wait_until)
    async with kennel.engine.begin() as conn:
        stored = await noses.list_templates(conn, "pet_1")
        assert all(is_sealed(row.template) and is_sealed(row.sketch) for row in stored)
        assert all(len(row.template) <= 32_000 for row in stored)
        plain = [
            replace(row, template=eyes[0].open_nose(row.template, "pet_1").to_bytes(), sketch=b"") for row in stored
        ]
        await noses.replace_templates(conn, "pet_1", plain, utc_now(), actor="flow:enrol")
    await enrol(kennel, eyes[0], "pet_2:a", [nose(1, capture) for capture in (7, 8, 9)], wait_until, "pet_2")
    async with kennel.engine.connect() as conn:
        assert [hit.other_pet_id for hit in await noses.list_hits(conn, "pet_2")] == ["pet_1"]

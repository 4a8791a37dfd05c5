"""The photos of a claim: the same file many times, many files, and a photo of something else."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from skimage import data
from sqlalchemy import select, text

from api.commands import measuring
from api.settings import Settings
from claims.catalogue import product_of
from claims.claim import EvidenceKind
from claims.credit import Scorecard
from claims.decide import decide
from claims.decision import Decision, Outcome
from claims.errors import TooManyFiles
from claims.evidence import CoverFact, Facts, PhotoFact, PhotoVerdict, UnmeasuredFact, UnmeasuredPhoto
from claims.rules import RULES
from claims.store import adjudication
from claims.store.tables import evidence
from claims.subject import Subject, SubjectFact
from fixtures import demo_world, edits, harder_edits
from flows.queues import utc_now
from flows.stage_context import StageContext
from flows.stages import PhotoFacts, cover, fraud, photos
from flows.vision_pool import Stopwatch, VisionPool, vision_pool
from models.registry import weights_path

pytestmark = pytest.mark.anyio
MANY = 60


@pytest.fixture(scope="module")
def eyes(tmp_path_factory: pytest.TempPathFactory, worker_limits: Any) -> Iterator[tuple[VisionPool, str]]:
    url = (tmp_path_factory.mktemp("blobs") / "evidence").as_uri()
    with vision_pool(worker_limits(url)) as loaded:
        loaded.warm_photos()
        yield loaded, url


@pytest.fixture
def shop(world: Any, eyes: tuple[VisionPool, str]) -> Any:
    from dataclasses import replace

    from claims.store.blobs import BlobStore

    return replace(world, blobs=BlobStore(eyes[1]))


async def judged_photos(shop: Any, eyes: VisionPool, claim_id: str) -> tuple[PhotoFacts, Decision, Stopwatch]:
    """Returns the facts of the photos stage and the rules' decision on them with everything else in order."""
    context = StageContext(shop.engine, eyes, Scorecard.from_json(weights_path("credit_scorecard").read_bytes()))
    async with shop.engine.connect() as conn:
        file = await adjudication.load(conn, claim_id)
    watch = Stopwatch()
    photo_facts = await photos(context, file, watch)
    covered: CoverFact = await cover(context, file, watch)
    facts = Facts(covered, photo_facts, (), (), UnmeasuredFact("not scored"), await fraud(context, file, watch))
    product = product_of(file.claim.product)
    return photo_facts, decide(file.under(product), facts, RULES, utc_now()), watch


def as_photos(files: list[bytes]) -> dict[str, tuple[EvidenceKind, bytes]]:
    return {f"{number:02}.jpg": (EvidenceKind.PHOTO, data) for number, data in enumerate(files)}


def small(number: int) -> bytes:
    """Returns another picture for each number: tiles of a real photograph in another order, 240 px."""
    whole = Image.open(io.BytesIO(demo_world.sample_photo("coffee.png"))).convert("RGB").resize((240, 240))
    pixels = np.asarray(whole)
    order = np.random.default_rng(number).permutation(9)
    tiles = [
        np.rot90(pixels[80 * (t // 3) : 80 * (t // 3 + 1), 80 * (t % 3) : 80 * (t % 3 + 1)], number) for t in order
    ]
    target = io.BytesIO()
    rows = [np.concatenate(tiles[start : start + 3], 1) for start in (0, 3, 6)]
    Image.fromarray(np.concatenate(rows)).save(target, "JPEG", quality=90)
    return target.getvalue()


def counted(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Counts examinations, comparisons and compared candidates from here on."""
    looked: Counter[str] = Counter()
    own_photo, own_compare = VisionPool.photo, VisionPool.compare_photo

    def photo(self: VisionPool, row: Any) -> Any:
        looked["photo"] += 1
        return own_photo(self, row)

    def compare(self: VisionPool, photo: Any, candidates: Any, subject: str) -> Any:
        looked["compare"] += 1
        looked["candidates"] += len(candidates)
        return own_compare(self, photo, candidates, subject)

    monkeypatch.setattr(VisionPool, "photo", photo)
    monkeypatch.setattr(VisionPool, "compare_photo", compare)
    return looked


async def test_one_file_twelve_times_is_looked_at_published_and_counted_once(
    shop: Any, eyes: tuple[VisionPool, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = counted(monkeypatch)
    claim_id = await shop.claim(await shop.policy("anna"), as_photos([demo_world.sample_photo("coffee.png")] * 12))
    photo_facts, decision, _ = await judged_photos(shop, eyes[0], claim_id)
    assert looked == {"photo": 1, "compare": 1, "candidates": 0}
    assert len({photo.evidence_id for photo in photo_facts}) == 12
    assert all(isinstance(photo, PhotoFact) and photo.verdict is PhotoVerdict.UNSEEN for photo in photo_facts)
    async with shop.engine.connect() as conn:
        published = (await conn.execute(text("SELECT photo_id FROM library_photos"))).scalars().all()
        previews = (await conn.execute(select(evidence.c.preview_sha256))).scalars().all()
    assert published == [photo_facts[0].evidence_id]
    assert len(previews) == 12
    assert len(set(previews)) == 1
    assert previews[0]
    assert decision.outcome is Outcome.PAY
    again, _, _ = await judged_photos(shop, eyes[0], claim_id)
    assert again == photo_facts, "a claim that is adjudicated again does not match itself"

    monkeypatch.undo()
    other = await shop.photo_claim("bert", demo_world.sample_photo("coffee.png"))
    ((copy,), refused, _) = await judged_photos(shop, eyes[0], other)
    assert isinstance(copy, PhotoFact)
    assert [match.photo_id for match in copy.matches] == [photo_facts[0].evidence_id]
    assert refused.reasons[0].code == "photo_of_another_claim"


async def test_the_store_takes_twelve_files_a_claim_and_says_so(shop: Any) -> None:
    with pytest.raises(TooManyFiles, match="a claim has at most 12 files"):
        await shop.claim(await shop.policy("anna"), as_photos([small(number) for number in range(13)]))
    async with shop.engine.connect() as conn:
        assert (await conn.execute(select(evidence.c.id))).all() == []


async def test_sixty_photos_in_one_claim_are_all_examined(
    shop: Any, eyes: tuple[VisionPool, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The API refuses so many; a higher limit some day must not bring the worker down."""
    claim_id = await shop.claim(await shop.policy("anna"), as_photos([small(0)]))
    async with shop.engine.begin() as conn:
        row = (await conn.execute(select(evidence))).mappings().one()
        for number in range(1, MANY):
            name = f"{number:02}.jpg"
            changes = {"id": f"ev_{name}", "name": name, "sha256": shop.blobs.put(small(number))}
            await conn.execute(evidence.insert().values({**row, **changes}))
    looked = counted(monkeypatch)
    photo_facts, decision, _ = await judged_photos(shop, eyes[0], claim_id)
    assert len(photo_facts) == MANY
    assert all(isinstance(photo, PhotoFact) for photo in photo_facts)
    assert decision.outcome is Outcome.PAY
    # Each once, and none with the others of its claim: the work grows with the photos and not with their square. What
    # one costs is for `miaopei bench photos` to say.
    assert looked == {"photo": MANY, "compare": MANY, "candidates": 0}


async def test_a_photo_of_another_thing_is_asked_for_again_and_a_fitting_one_settles_it(
    shop: Any, eyes: tuple[VisionPool, str]
) -> None:
    cat, coffee = demo_world.sample_photo("chelsea.png"), demo_world.sample_photo("coffee.png")
    ((fact,), decision, _) = await judged_photos(shop, eyes[0], await shop.photo_claim("anna", cat))
    assert isinstance(fact, PhotoFact)
    assert isinstance(fact.subject, SubjectFact)
    assert fact.subject.subjects[0].subject is Subject.CAT
    assert fact.subject.model in eyes[0].photo_models()
    assert (decision.outcome, decision.reasons[0].code) == (Outcome.ASK, "photo_of_another_thing")
    both = await shop.claim(await shop.policy("bert"), as_photos([small(7), coffee]))
    assert (await judged_photos(shop, eyes[0], both))[1].outcome is Outcome.PAY
    parcel = await shop.claim(await shop.policy("carl", "return_freight"), as_photos([small(8)]), peril="return")
    _, decision, _ = await judged_photos(shop, eyes[0], parcel)
    assert "photo_of_another_thing" not in {reason.code for reason in decision.reasons}


async def test_a_strip_and_a_single_pixel_among_the_photos_do_no_harm(shop: Any, eyes: tuple[VisionPool, str]) -> None:
    pixel, panorama = io.BytesIO(), io.BytesIO()
    Image.new("RGB", (1, 1), "red").save(pixel, "PNG")
    wide = np.concatenate([np.asarray(Image.open(io.BytesIO(small(n))).resize((500, 200))) for n in range(40)], 1)
    Image.fromarray(wide).save(panorama, "JPEG", quality=85)
    files = as_photos([pixel.getvalue(), panorama.getvalue(), demo_world.sample_photo("coffee.png")])
    photo_facts, decision, _ = await judged_photos(shop, eyes[0], await shop.claim(await shop.policy("anna"), files))
    assert isinstance(photo_facts[0], UnmeasuredPhoto)
    assert isinstance(photo_facts[1], PhotoFact)
    assert isinstance(photo_facts[1].subject, UnmeasuredFact)
    assert (photo_facts[1].width_px, photo_facts[1].height_px) == (20_000, 200)
    assert decision.outcome is Outcome.PAY


async def test_the_command_line_calls_a_photo_what_the_worker_calls_it(
    shop: Any, eyes: tuple[VisionPool, str], tmp_path: Path
) -> None:
    """Command line and worker agree on verdict, numbers, transform and signs of an edited copy, a look-alike, a file
    that is no photo, and a photo with nothing to compare by.
    """
    coffee, others = data.coffee(), [data.rocket(), data.immunohistochemistry(), data.cat()]
    known = await shop.photo_claim("anna", edits.jpeg_bytes(coffee))
    await judged_photos(shop, eyes[0], known)
    files = {
        "copied": edits.jpeg_bytes(edits.apply("crop_mirror_recompress", coffee, np.random.default_rng(3)), 60),
        "maybe": edits.jpeg_bytes(harder_edits.apply("new_background", coffee, np.random.default_rng(0), others), 50),
        "other": edits.jpeg_bytes(data.rocket()),
        "white": edits.jpeg_bytes(np.full((600, 800, 3), 255, np.uint8)),
        "none": b"no photo",
    }
    paths = [tmp_path / f"{name}.jpg" for name in files]
    for path, content in zip(paths, files.values(), strict=True):
        path.write_bytes(content)
    config = Settings(database_url=shop.dsn, evidence_url=eyes[1])
    lines = await measuring._check(shop.dsn, config, paths, None)
    for line, content in zip(lines, files.values(), strict=True):
        claim_id = await shop.photo_claim(f"bert-{Path(line['file']).stem}", content)
        ((fact,), _, _) = await judged_photos(shop, eyes[0], claim_id)
        if isinstance(fact, UnmeasuredPhoto):
            assert (line["verdict"], line["reason"]) == ("unmeasured", fact.reason)
            continue
        signs = [(sign["kind"], sign["state"], sign["value"], sign["score"]) for sign in line["provenance"]["signs"]]
        assert signs == [(sign.kind, sign.state, sign.value, sign.score) for sign in fact.signs]
        # The claims before this one sent photos, too: only the first claim's was there for both.
        first = [match for match in fact.matches if match.claim_id == known]
        assert line["verdict"] == (first[0].verdict if first else PhotoVerdict.UNSEEN)
        told = [
            (match["verdict"], match["probability"], match["inliers"], match["transform"]) for match in line["matches"]
        ]
        assert told == [
            (relation.verdict, round(relation.probability, 4), relation.inliers, relation.transform)
            for relation in first
        ]
    assert [line["verdict"] for line in lines] == ["edited_copy", "similar", "unseen", "unmeasured", "unmeasured"]


async def test_a_file_without_its_end_marker_is_judged_as_any_other_and_noted(
    shop: Any, eyes: tuple[VisionPool, str]
) -> None:
    whole = edits.jpeg_bytes(data.coffee())
    assert whole.endswith(b"\xff\xd9")
    claim_id = await shop.claim(await shop.policy("anna"), as_photos([whole[:-2]]))
    facts, _, _ = await judged_photos(shop, eyes[0], claim_id)
    (photo,) = facts
    assert isinstance(photo, PhotoFact)
    assert (photo.verdict, photo.notes) == (PhotoVerdict.UNSEEN, ("no_end_marker",))

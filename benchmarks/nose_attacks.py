"""Measures whether nose photos that were not taken for the claim are seen by a person, and honest ones are not:
part of `miaopei bench noses`.

Synthetic (`fixtures.noses`, `fixtures.nose_attacks`): it shows what the checks react to, not how much fraud they catch.
Each litter has two pets that are enrolled with three photos each. For each pet every attack is drawn once, and two new
photos of other sessions are taken. All go the way of a claim: examined as photos, compared with both enrolments, read
as noses, turned into facts and decided by the rules; only the library's search is left out. An enrolment's burst is
several shots within seconds, and its first shot saved again in three ways.

Its pets, litters and captures are in no other split.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any

import numpy as np
from PIL import Image

from claims.claim import EvidenceKind
from claims.evidence import MatchOwner, NoseFact, PhotoFact, PhotoMatch, UnmeasuredNose
from claims.rules import RULES
from claims.store.adjudication import EvidenceRow
from fixtures import edits
from fixtures.cases import PET, in_order
from fixtures.nose_attacks import ATTACKS, ON_A_LITTER_MATE, Pixels, burst
from fixtures.noses import NoseView, render_nose
from flows import evidence
from flows.enrolled_photos import copies_among
from flows.evidence import WeighedMatches
from vision import examine
from vision.copies.fingerprint import Fingerprinter
from vision.decode.image import Decoder
from vision.examine import ExaminedPhoto, PhotoInstruments
from vision.library.search import candidate_from, nearness
from vision.measurement import Unmeasured
from vision.nose import NoseReader, NoseTemplate
from vision.nose.compare import ENROLMENT_MIN, align_all, compare_aligned
from vision.nose.patchwork import patchwork

LITTERS, LITTERS_QUICK, PUPS = 50, 2, 2
HONEST = 2  # new photos a pet
SHOTS = 4  # of a burst
CAPTURES_MAX = 14  # an owner who fails this often gives up
_FIRST_LITTER, _FIRST_PET, _FIRST_CAPTURE = 50_000, 500_000, 50_000_000
_STRANGERS, _BURSTS = 700_000, 600_000
_NOW = datetime(2026, 11, 20, tzinfo=UTC)

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Sent:
    """A nose photo that was sent, measured as a photo and as a nose. view: what was drawn, None for an attack."""

    photo: ExaminedPhoto
    template: NoseTemplate | Unmeasured
    view: NoseView | None = None


class NoseDesk:
    """Measures nose photos as a worker does."""

    def __init__(self, decoder: Decoder) -> None:
        self._instruments = PhotoInstruments(decoder, Fingerprinter(threads=1))
        self._reader = NoseReader()
        self.fusion = self._instruments.fingerprinter.fusion

    def measure(self, data: bytes, view: NoseView | None = None) -> Sent:
        photo, picture = examine.measure(self._instruments, data, hashlib.sha256(data).hexdigest())
        return Sent(photo, self._reader.template(picture), view)

    def usable(self, pet: int, litter: int, captures: Iterator[int], count: int) -> list[Sent]:
        """Returns as many photos of sessions of their own as have a template; fewer where the owner gave up."""
        kept: list[Sent] = []
        for _, capture in zip(range(CAPTURES_MAX), captures, strict=False):
            view = render_nose(pet, litter, capture)
            sent = self.measure(view.jpeg(), view)
            if not isinstance(sent.template, Unmeasured):
                kept.append(sent)
            if len(kept) == count:
                break
        return kept

    def copies(self, sent: Sequence[Sent]) -> bool:
        """Returns if an enrolment takes any of the photos that have a template for another one saved again."""
        usable = [(shot.photo, shot.template) for shot in sent if isinstance(shot.template, NoseTemplate)]
        return bool(copies_among([photo for photo, _ in usable], [template for _, template in usable], self.fusion))


@contextmanager
def nose_desk() -> Iterator[NoseDesk]:
    with Decoder(processes=1) as decoder:
        yield NoseDesk(decoder)


def litter_rows(desk: NoseDesk, number: int) -> list[Row]:
    """Returns a row for each photo that was sent for the pets of one litter: kind, outcome, reasons, similarity."""
    litter = _FIRST_LITTER + number
    pets = [_FIRST_PET + PUPS * number + pup for pup in range(PUPS)]
    captures = {pet: iter(range(_FIRST_CAPTURE + 1_000 * (pet - _FIRST_PET), 10**9)) for pet in pets}
    enrolled = {pet: desk.usable(pet, litter, captures[pet], ENROLMENT_MIN) for pet in pets}
    rows = []
    for pet, mate in zip(pets, reversed(pets), strict=True):
        if len(enrolled[pet]) < ENROLMENT_MIN:
            continue
        rng = np.random.default_rng(pet)
        stranger = render_nose(_STRANGERS + pet, _STRANGERS + pet, next(captures[pet]))
        beside = render_nose(mate, litter, next(captures[pet]))
        sent = [("honest", new) for new in desk.usable(pet, litter, captures[pet], HONEST)]
        for name, attack in ATTACKS.items():
            view = enrolled[pet][int(rng.integers(ENROLMENT_MIN))].view
            assert view is not None
            sent.append((name, desk.measure(attack(view, beside if name in ON_A_LITTER_MATE else stranger, rng))))
        rows += [{"pet": pet, "kind": kind, **_decided(new, enrolled[pet], enrolled[mate])} for kind, new in sent]
    return rows


def burst_row(desk: NoseDesk, number: int) -> Row:
    """Returns if any shot of one burst was taken for another one saved again, and which files that are were left out of
    an enrolment: told, or without a nose that can be read."""
    files = burst(_BURSTS + number, _BURSTS + number, _FIRST_CAPTURE - 1 - number, SHOTS)
    shots = [desk.measure(data) for data in files]
    first = next((place for place, shot in enumerate(shots) if isinstance(shot.template, NoseTemplate)), None)
    if first is None:
        return {"kind": "burst", "refused": None, "told": {}}
    pixels = _pixels(files[first])
    height, width = pixels.shape[:2]
    cut = pixels[int(0.03 * height) : int(0.97 * height), int(0.04 * width) : int(0.96 * width)]
    again = {
        "same_file": files[first],
        "resaved": edits.jpeg_bytes(pixels, 60),
        "resized": edits.jpeg_bytes(edits.resize(pixels, 0.7), 85),
        "slightly_cropped": edits.jpeg_bytes(np.ascontiguousarray(cut), 85),
    }
    told = {}
    for name, data in again.items():
        copy = desk.measure(data)
        told[name] = isinstance(copy.template, Unmeasured) or desk.copies([shots[first], copy])
    return {"kind": "burst", "refused": desk.copies(shots), "told": told}


def _pixels(data: bytes) -> Pixels:
    with Image.open(io.BytesIO(data)) as stored:
        return np.asarray(stored.convert("RGB"))


def _decided(sent: Sent, ours: Sequence[Sent], mates: Sequence[Sent]) -> Row:
    """Returns how a claim in order comes out with this nose photo, compared with two enrolments."""
    row = EvidenceRow("nose-0", "nose.jpg", EvidenceKind.NOSE, "image/jpeg", 1, "0" * 64, "1" * 64, 1, _NOW)
    photo = evidence.photo_fact(row, sent.photo, _weighed(sent.photo, ours, mates), [])
    fact = _fact(row, sent, ours, photo)
    similarity = fact.similarity if isinstance(fact, NoseFact) else -1.0
    decision = in_order("pet_medical").with_facts(noses=(fact,)).decision()
    codes = sorted({why.code for why in decision.reasons if why.evidence_id == row.id})
    return {"outcome": str(decision.outcome), "codes": codes, "similarity": round(similarity, 4)}


def _fact(row: EvidenceRow, sent: Sent, ours: Sequence[Sent], photo: PhotoFact) -> NoseFact | UnmeasuredNose:
    if isinstance(sent.template, Unmeasured):
        return evidence.refused_nose(row, PET, sent.template, photo)
    enrolled = [other.template for other in ours if isinstance(other.template, NoseTemplate)]
    alignments = align_all(sent.template, enrolled)
    comparison = compare_aligned(sent.template.model, alignments)
    if isinstance(comparison, Unmeasured):
        return evidence.refused_nose(row, PET, comparison, photo)
    return evidence.nose_fact(row, PET, comparison, photo, ("", 0.0), patchwork(alignments))


def _weighed(photo: ExaminedPhoto, ours: Sequence[Sent], mates: Sequence[Sent]) -> WeighedMatches:
    owned = [(MatchOwner.OWN_ENROLMENT, sent) for sent in ours] + [(MatchOwner.OTHER_ENROLMENT, sent) for sent in mates]
    owner_of = {f"{place}": owner for place, (owner, _) in enumerate(owned)}
    candidates = [
        candidate_from(
            f"{place}",
            sent.photo.fingerprint,
            photo.fingerprint,
            nearness(photo.fingerprint, sent.photo.fingerprint.descriptor),
        )
        for place, (_, sent) in enumerate(owned)
    ]
    called = evidence.call(examine.compare(photo.fingerprint, candidates, ""))
    matches: list[PhotoMatch] = [
        evidence.photo_match(
            match, owner=owner_of[match.relation.photo_id], claim_status="", claim_paid=False, common="", ruling=""
        )
        for match in called
    ]
    return WeighedMatches(evidence.strongest(called), tuple(matches), "")


def run(*, quick: bool = False, progress: Callable[[int, int], None] | None = None) -> dict[str, Any]:
    """Measures all attacks, honest photos and bursts; returns the figures that `figures` makes of the rows."""
    litters = LITTERS_QUICK if quick else LITTERS
    rows: list[Row] = []
    with nose_desk() as desk:
        for number in range(litters):
            rows += litter_rows(desk, number)
            rows += [burst_row(desk, PUPS * number + pup) for pup in range(PUPS)]
            if progress is not None:
                progress(number + 1, litters)
    return figures(rows)


def figures(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Returns the shares. attacks: of each kind's photos, those after which a person looks before anything is paid.
    attacks_asked, attacks_paid: those after which another photo is asked for, or that are paid."""
    by_kind = {name: [row for row in rows if row["kind"] == name] for name in (*ATTACKS, "honest", "burst")}
    honest, bursts = by_kind["honest"], [row for row in by_kind["burst"] if row["told"]]
    ways = list(bursts[0]["told"]) if bursts else []
    return {
        "attacks": {name: _share(by_kind[name], lambda row: row["outcome"] == "refer") for name in ATTACKS},
        "attacks_asked": {name: _share(by_kind[name], lambda row: row["outcome"] == "ask") for name in ATTACKS},
        "attacks_paid": {name: sum(row["outcome"] == "pay" for row in by_kind[name]) for name in ATTACKS},
        "attacks_n": {name: len(by_kind[name]) for name in ATTACKS},
        "attacks_by_similarity_alone": {
            name: _share(by_kind[name], lambda row: row["similarity"] >= RULES.nose_replay_similarity_min)
            for name in ATTACKS
        },
        "honest_replayed": _share(honest, lambda row: "nose_replayed" in row["codes"]),
        "honest_similarity_max": max((row["similarity"] for row in honest), default=None),
        "honest_n": len(honest),
        "honest_bursts_refused": _share(bursts, lambda row: row["refused"]),
        "honest_bursts_n": len(bursts),
        "saved_again_left_out": {way: _share([row["told"] for row in bursts], itemgetter(way)) for way in ways},
    }


def _share(rows: Sequence[Mapping[str, Any]], counts: Callable[[Mapping[str, Any]], bool]) -> float | None:
    return round(sum(counts(row) for row in rows) / len(rows), 4) if rows else None

"""The photos that pets are enrolled with, as pictures of the library: told from one another, from everybody else's, and
found again when one is sent with a claim (docs/decisions/0046-noses-sent-again.md)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations

from claims.copies import COPIES
from claims.rules import RULES, Rules
from claims.store.noses import StoredTemplate
from flows import evidence
from vision.copies.copy_score import FusionModel
from vision.examine import ExaminedPhoto, PhotoRelation, compare
from vision.library import LibraryPhoto
from vision.library.search import candidate_from, nearness
from vision.nose import NoseTemplate
from vision.nose.compare import compare_pair


def enrolled_photo_id(pet_id: str, sha256: str) -> str:
    """Returns the library's id of a nose photo that the pet was enrolled with."""
    return f"enrolment:{pet_id}:{sha256}"


def enrolled_photo_ids(pet_id: str, stored: Iterable[StoredTemplate]) -> list[str]:
    """Returns the library's ids of the photos behind a pet's templates; those of old enrolments are not there."""
    return [enrolled_photo_id(pet_id, template.photo_sha256) for template in stored]


def library_photos(pet_id: str, claimant_id: str, photos: Iterable[ExaminedPhoto]) -> list[LibraryPhoto]:
    """Returns the pictures to publish for an enrolment."""
    return [
        LibraryPhoto(
            photo_id=enrolled_photo_id(pet_id, photo.fingerprint.sha256),
            source="enrolment",
            fingerprint=photo.fingerprint,
            owner_subject=claimant_id,
            reference=pet_id,
            preview_sha256=photo.preview_sha256,
        )
        for photo in photos
    ]


def saved_twice(first: int, second: int) -> str:
    """Returns the words for two photos, by their numbers from 1, of which one is the other saved again."""
    return f"photos {first} and {second} are one photo saved twice; take a new one each time"


def copies_among(
    photos: Sequence[ExaminedPhoto], templates: Sequence[NoseTemplate], fusion: FusionModel, rules: Rules = RULES
) -> list[tuple[int, int]]:
    """Returns the pairs of photos, by their places, of which one is the other saved again. templates: of the same
    photos.

    File and picture tell it. The nose's similarity alone never does, as shots of one nose within seconds are alike as
    well; but noses that are less alike than those of copies clear two such shots of what their pictures seem to say.
    """
    pairs = []
    for first, second in combinations(range(len(photos)), 2):
        earlier, later = photos[first].fingerprint, photos[second].fingerprint
        candidate = candidate_from("earlier", earlier, later, nearness(later, earlier.descriptor))
        relations = proven(compare(later, [candidate], "", fusion=fusion), rules)
        if any(relation.same for relation in relations) or (
            any(_saved_again(relation, rules) for relation in relations)
            and _noses_agree(templates[first], templates[second], rules)
        ):
            pairs.append((first, second))
    return pairs


def _saved_again(copy: PhotoRelation, rules: Rules) -> bool:
    """True for a proven copy of which points say that nothing moved between the two, not by half a pixel. Of shots
    within seconds the score alone may be sure as well: neither hand nor head moved much."""
    exact = copy.geometry.exactness
    points = exact.tight >= rules.nose_copied_inliers_min
    return points and exact.fine_rigid_ratio >= rules.nose_saved_again_fine_rigid_ratio_min


def _noses_agree(earlier: NoseTemplate, later: NoseTemplate, rules: Rules) -> bool:
    pair = compare_pair(earlier, later)
    return pair is not None and pair[0] >= rules.nose_saved_again_similarity_min


def proven(relations: Sequence[PhotoRelation], rules: Rules = RULES) -> list[PhotoRelation]:
    """Returns those relations that are proven copies."""
    return [called.relation for called in evidence.call(relations, rules) if called.verdict in COPIES]


def is_ours(relation: PhotoRelation, pet_id: str) -> bool:
    """True for a picture that this pet was enrolled with before, or that its owner sent with a claim of theirs."""
    if relation.source == "enrolment":
        return relation.reference == pet_id
    return relation.source == "claim" and relation.own

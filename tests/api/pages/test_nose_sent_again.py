"""The adjuster sees a nose photo beside the picture that it comes from; the claimant is asked for a new one."""

from __future__ import annotations

from typing import Any

from claims.decision import Outcome
from claims.evidence import MatchOwner, NoseFact, NoseSpecies, PhotoMatch, PhotoVerdict
from claims.store import adjudication
from tests.api.http.world import Api
from tests.api.pages import seeding
from tests.api.pages.test_pages_http import sign_in

ENROLLED = "enrolment:pet-1:" + "a" * 64


def test_the_pair_is_on_the_case_page_and_its_picture_is_served(site: Api) -> None:
    def facts(file: adjudication.ClaimFile, preview: str) -> dict[str, Any]:
        row = file.evidence[-1]
        pieces = PhotoMatch(
            ENROLLED, MatchOwner.OWN_ENROLMENT, "", PhotoVerdict.SAME_SCENE, 0.41, 81, "", seeding.PAIRS, preview,
            tight_inliers=77, tight_ratio=0.96, rigid_ratio=0.93, contained_ratio=0.9, pdq_bits=104,
        )  # fmt: skip
        other = PhotoMatch(
            "photo-scene", MatchOwner.OTHER_CLAIMANT, "C-9", PhotoVerdict.SAME_SCENE, 0.1, 30, "", seeding.PAIRS,
            preview, tight_inliers=12, tight_ratio=0.5, rigid_ratio=0.3,
        )  # fmt: skip
        photo = seeding.photo_facts(row, pieces, other)
        nose = NoseFact(row.id, "pet-1", 0.62, 21, 3, "nose_print@1", photo=photo, species=NoseSpecies("dog", 0.98))
        return {"noses": (nose,)}

    pet = {"claimant": {"id": "clm-again", "name": "李晓雯"}, "name": "豆豆", "species": "dog"}
    seeding.apart(site.as_("platform", "shop").put, "/v1/pets/pet-1", json=pet)
    seeding.register(site, "clm-again", "pol-again", product="pet_medical", pet_id="pet-1")
    claim_id = seeding.claim(
        site, "clm-again", "pol-again", "nose", seed=73, product="pet_medical", peril="illness", amount_minor=40_000
    )
    decision = seeding.record(site, claim_id, facts)
    assert (decision.outcome, decision.reasons[0].code) == (Outcome.REFER, "nose_replayed")
    adjuster = sign_in(site, "adjuster", "zhang").client
    case = adjuster.get(f"/cases/{seeding.referral_of(site, claim_id)}").text
    assert "A photo that the insured pet was enrolled with" in case
    assert "77 points fit exactly, 93% of them without any bend" in case
    assert "C-9" not in case  # another photo of a nose by right
    served = adjuster.get(f"/claims/{claim_id}/matches/{ENROLLED}")
    assert (served.status_code, served.headers["content-type"]) == (200, "image/jpeg")
    claimant = sign_in(site, "claimant", "clm-again").client.get(f"/claims/{claim_id}").text
    assert "take a new photo of your pet" in claimant
    assert "93%" not in claimant

"""Matches of a claim's photos, people's rulings on them, and floods, on the wire."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import ConfigDict, Field

from api.http.schemas.words import Id, Incoming, Outgoing, Words
from claims.evidence import MatchOwner, MatchRuling, PhotoVerdict

PhotoId = Field(pattern=r"^[\x21-\x7e]{1,200}$", description="As `GET .../matches` names it")


class PlacementView(Outgoing):
    """The place of the matching picture (the original) in the photo."""

    scale: float = Field(description="Pixels of the photo per pixel of the original, both as sent")
    degrees: float = Field(description="Rotation in degrees, -180 to 180, after mirroring")
    mirrored: bool
    shown_ratio: float = Field(description="Share of the original's area that the photo shows, 0 to 1")
    covers_ratio: float = Field(description="Share of the photo's area that the original fills, 0 to 1")
    outline: list[tuple[float, float]] = Field(
        description="The original's corners as fractions of the photo's width and height; may lie outside of 0 to 1"
    )


class MatchView(Outgoing):
    """A picture of the library that a photo relates to. `claim_id` is blank for web and stock, and where the caller may
    not see it."""

    photo_id: str
    owner: MatchOwner
    claim_id: str
    claim_status: str = Field(description="Status of that claim when the photo was examined")
    verdict: PhotoVerdict = Field(
        description="same_bytes, same_picture, edited_copy: a copy. similar: alike, or maybe a copy. same_scene: "
        "another photo of the same thing, no copy and no suspicion"
    )
    probability: float = Field(description="Calibrated probability that one is a copy of the other, 0 to 1")
    inliers: int = Field(description="Keypoints that agree on one transform")
    tight_inliers: int = Field(description="Keypoints that agree on one homography within 1.5 pixels, 0 for none")
    tight_ratio: float = Field(
        description="Share of the keypoints that fit that homography within 5 pixels, 0 to 1; a copy is near 1"
    )
    rigid_ratio: float = Field(
        description="Share of those within 5 pixels that agree on one similarity transform within 1.5 pixels, 0 to 1; "
        "near 1 for a picture that was only scaled, turned, cropped or pasted"
    )
    fine_ratio: float = Field(description="As tight_ratio, within half a pixel, 0 to 1")
    fine_rigid_ratio: float = Field(
        description="As rigid_ratio, within half a pixel, 0 to 1; two photos of one thing hardly come near 1"
    )
    contained_ratio: float = Field(
        description="The greater of the share of the other picture that is shown and the share of this photo that it "
        "fills, 0 to 1"
    )
    transform: str
    placement: PlacementView | None = Field(description="Null: no points agree on a transform")
    common: str = Field(description="Id of the known picture that explains the match, blank for none")
    flood: str = Field(description="The flood that the match waits for, blank for none")
    ruling: str = Field(description="A person's ruling on the two pictures: confirm, reject, common; blank for none")
    ruling_id: str = Field(description="Id of that ruling, to take it back; blank where it was made in another claim")
    overlay_href: str = Field(description="Both pictures with their agreeing points, blank where none was drawn")


class PhotoMatchesView(Outgoing):
    evidence_id: str
    name: str
    verdict: PhotoVerdict
    common: str = Field(description="Id of the known picture that this photo equals, blank for none")
    matches: list[MatchView]


class Matches(Outgoing):
    """The matches recorded with the newest decision on the claim's photos."""

    claim_id: str
    photos: list[PhotoMatchesView]


class RulingRequest(Incoming):
    """A person's ruling on a photo and a picture that it matched."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"evidence_id": "E-3f9a01bb27", "photo_id": "E-77ac0d18e2", "ruling": "reject", "note": ""}]
        }
    )

    evidence_id: Id
    photo_id: str = PhotoId
    ruling: MatchRuling = Field(
        description="confirm: one is a copy of the other. reject: it is not, and the two are not raised again. common: "
        "everybody photographs what they share."
    )
    note: Words = ""


class RulingTaken(Outgoing):
    id: str
    claim_id: str
    evidence_id: str
    photo_id: str
    ruling: MatchRuling
    ruled_at: datetime


class TakeBackRequest(Incoming):
    """The reason why a person's ruling on a match no longer holds."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"note": "Looked at the wrong photo."}]})

    note: Words = ""


class RulingTakenBack(Outgoing):
    """The ruling as it was. Decisions that rested on it stay."""

    id: str
    claim_id: str
    evidence_id: str
    photo_id: str
    ruling: MatchRuling
    ruled_by: str
    ruled_at: datetime
    taken_back_at: datetime
    unlearnt: bool = Field(
        description="True for common: the known picture that was learnt from the ruling is removed again; confirm and "
        "reject teach none"
    )


class FloodPicture(Outgoing):
    photo_id: str
    claim_id: str = Field(description="Blank for web and stock")
    matched: bool = Field(description="True if it is a copy of another picture; false if others are copies of it")
    href: str


class FloodView(Outgoing):
    """A picture that suddenly matches many claims, for a person to look at once."""

    id: str
    state: Literal["open", "ruled"]
    opened_at: datetime
    claims_seen: int = Field(description="Claims whose photos matched one another")
    claims_held: int = Field(description="Claims that wait for this ruling alone")
    ruling: str = Field(description="common, copies; blank while open")
    note: str
    ruled_by: str
    ruled_at: datetime | None
    pictures: list[FloodPicture] = Field(description="The first pictures of the flood")


class Floods(Outgoing):
    floods: list[FloodView]


class FloodRulingRequest(Incoming):
    """One ruling on all claims of the flood."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"ruling": "common", "note": "The courier's label, on every parcel."}]}
    )

    ruling: Literal["common", "copies"] = Field(
        description="common: everybody photographs this; the claims that wait for it alone are decided anew. copies: "
        "they are copies; each claim goes before a person."
    )
    note: Words = ""

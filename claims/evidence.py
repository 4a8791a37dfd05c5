"""Facts: measurements about a claim. Judgement (thresholds, outcomes) is in `claims.rules` and `claims.decide`.

A fact that could not be measured is `UnmeasuredFact(reason)`, never a zero. Every class carries a `fact` tag so that
stored facts read back into the same types (`claims.wire`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Final, Literal

from claims.paper_traits import UNDECLARED, PaperTraits
from claims.subject import SubjectFact


@dataclass(frozen=True, slots=True)
class UnmeasuredFact:
    """A measurement that could not be made. `reason`: in words the claimant can act on; `retryable`: better evidence
    could change it."""

    reason: str
    retryable: bool = True
    fact: Literal["unmeasured"] = "unmeasured"


class PhotoVerdict(StrEnum):
    """A photo's relation to one picture of the library. The first three are copies."""

    SAME_BYTES = "same_bytes"
    SAME_PICTURE = "same_picture"  # other bytes, the same pixels
    EDITED_COPY = "edited_copy"  # cropped, mirrored, recompressed, inside a screenshot, ...
    SIMILAR = "similar"  # looks alike, or maybe a copy: no proof
    SAME_SCENE = "same_scene"  # another photo of the same thing: the camera moved or turned, so neither is a copy
    UNSEEN = "unseen"


class MatchOwner(StrEnum):
    """The owner of the matching picture."""

    SAME_CLAIM = "same_claim"
    SAME_EVENT = "same_event"  # another claim of the claimant about the same damage (`claims.events`)
    OWN_EARLIER_CLAIM = "own_earlier_claim"
    OTHER_CLAIMANT = "other_claimant"
    WEB = "web"
    STOCK = "stock"
    OWN_ENROLMENT = "own_enrolment"  # a nose photo that the insured pet was enrolled with
    OTHER_ENROLMENT = "other_enrolment"  # one that another pet was enrolled with


@dataclass(frozen=True, slots=True)
class KeypointPair:
    """One agreeing point, as fractions (0..1) of the width and height of each picture."""

    x: float
    y: float
    match_x: float
    match_y: float


class MatchRuling(StrEnum):
    """A person's ruling on two pictures."""

    CONFIRM = "confirm"  # one is a copy of the other
    REJECT = "reject"  # two photos of their own: not raised again
    COMMON = "common"  # they share a known picture


@dataclass(frozen=True, slots=True)
class Placement:
    """Position of the matching picture (the original) in the photo, by the one transform on which keypoints agree.

    scale: pixels of the photo a pixel of the original, both as sent. degrees: turned by, -180..180, after mirroring.
    shown_ratio: share of the original's area that the photo shows. covers_ratio: share of the photo's area that it
    fills. outline: the original's corners as fractions of the photo's width and height, which may lie outside of 0..1.
    """

    scale: float
    degrees: float
    mirrored: bool
    shown_ratio: float
    covers_ratio: float
    outline: tuple[tuple[float, float], ...]
    fact: Literal["placement"] = "placement"


@dataclass(frozen=True, slots=True)
class PhotoMatch:
    """A library picture that this photo relates to. `probability`: 0..1, calibrated, that one is a copy of the
    other.

    tight_inliers: keypoints that agree on one homography within 1.5 px. tight_ratio: the share that they are of those
    within 5 px. rigid_ratio: the share of these that agree on one similarity transform within 1.5 px. contained_ratio:
    the greater of the share of the original that is shown and the share of the photo that it fills, by the homography.
    pdq_bits: 0..256, in which the two PDQ hashes differ. fit_agreement: -1..1, of the pixels when one is stretched over
    the other. Facts from before rules 3.4 carry none of the six.

    fine_ratio, fine_rigid_ratio: as tight_ratio and rigid_ratio, within half a pixel. agreement_floor: -1..1, of the
    pixels of the two laid over one another, what nine tenths of the picture reach. Facts from before rules 3.5 carry
    none of the three.
    """

    photo_id: str
    owner: MatchOwner
    claim_id: str  # "" for web and stock
    verdict: PhotoVerdict
    probability: float
    inliers: int  # keypoints that agree on one transform
    transform: str  # e.g. "mirrored, scaled to 62%, rotated 0 degrees, shows 55% of the original"
    pairs: tuple[KeypointPair, ...]  # at most 40, to draw
    preview_sha256: str  # of the match's preview picture in the evidence store
    placement: Placement | UnmeasuredFact = UnmeasuredFact("no points agree on a transform", retryable=False)
    overlay_sha256: str = ""  # of the picture that proves it to a person, in the evidence store
    claim_status: str = ""  # of the claim that the match belongs to, when the photo was examined
    common: str = ""  # the known picture that explains what the two share
    flood: str = ""  # the open flood that this match was counted in and waits for
    ruling: str = ""  # a person's ruling on these two pictures (`MatchRuling`), "" for nothing
    claim_paid: bool = False  # that claim has been paid or promised money, whatever its status
    tight_inliers: int = 0
    tight_ratio: float = 0.0
    rigid_ratio: float = 0.0
    contained_ratio: float = 0.0
    pdq_bits: int | UnmeasuredFact = UnmeasuredFact("not recorded", retryable=False)
    fit_agreement: float = 0.0
    fine_ratio: float = 0.0
    fine_rigid_ratio: float = 0.0
    agreement_floor: float = 0.0


class SignKind(StrEnum):
    """The kinds of signs that a photo is examined for about its origin (docs/provenance.md)."""

    EXIF_SOFTWARE = "exif_software"
    EXIF_DATES = "exif_dates"
    EXIF_THUMBNAIL = "exif_thumbnail"
    C2PA = "c2pa"
    SCREENSHOT = "screenshot"
    RECAPTURE = "recapture"
    GENERATOR = "generator"
    DOUBLE_JPEG = "double_jpeg"
    COPY_MOVE = "copy_move"


@dataclass(frozen=True, slots=True)
class ProvenanceSign:
    """One sign of a photo's origin. None decides alone.

    value: a stable word: of c2pa trusted, untrusted, expired or invalid, of generator generated or retouched, of
    `unmeasured` crashed or not_applicable. detail: a sentence for the adjuster, in English. score: the measure behind
    it (docs/provenance.md), None where there is none. said: the sentence as phrases, each a code (`sign_phrases` of the
    texts) and its values; () in facts that are older than phrases.
    """

    kind: SignKind
    state: Literal["found", "not_found", "unmeasured"]
    value: str
    detail: str
    score: float | None = None
    said: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class PhotoFact:
    """One photo of the claim. `verdict` is that of the strongest match outside this claim."""

    evidence_id: str
    name: str
    sha256: str
    width_px: int
    height_px: int
    verdict: PhotoVerdict
    matches: tuple[PhotoMatch, ...]
    taken_at: datetime | UnmeasuredFact  # EXIF DateTimeOriginal
    software: str | UnmeasuredFact  # EXIF Software
    camera: str | UnmeasuredFact  # EXIF make and model
    fact: Literal["photo"] = "photo"
    common: str = ""  # the known picture that this photo equals, pixel for pixel
    subject: SubjectFact | UnmeasuredFact = UnmeasuredFact("not looked", retryable=False)
    signs: tuple[ProvenanceSign, ...] = ()  # of its origin, at most one of a kind
    notes: tuple[str, ...] = ()  # what is wrong with a file that was decoded all the same; counts for nothing


@dataclass(frozen=True, slots=True)
class UnmeasuredPhoto:
    evidence_id: str
    name: str
    sha256: str
    reason: str
    retryable: bool
    fact: Literal["unmeasured_photo"] = "unmeasured_photo"


# A kind of paper is a word: an insurer adds one with a file that tells the reader how it looks. docs/papers.md
KIND_PATTERN: Final = r"^[a-z][a-z0-9_]*$"
UNKNOWN_KIND: Final = "unknown"  # reserved: a paper of which the reader could not tell what it is


@dataclass(frozen=True, slots=True)
class Box:
    """Left, top, right, bottom as fractions (0..1) of the page."""

    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True, slots=True)
class PaperField:
    """A field of a paper as read: `value` normalised (ISO dates, minor units as digits), `confidence` 0..1 from the
    reader."""

    name: str
    value: str
    confidence: float
    box: Box


@dataclass(frozen=True, slots=True)
class PaperItem:
    """One line of a bill. `item_class` is 甲, 乙, 丙, own or "" where the paper does not say."""

    text: str
    item_class: str
    amount_minor: int


@dataclass(frozen=True, slots=True)
class PaperCheck:
    """A check within one paper (docs/papers.md), passed or failed, with the two values compared."""

    name: str
    passed: bool
    detail: str


@dataclass(frozen=True, slots=True)
class FieldDoubt:
    """A field that is printed on the paper but is not accepted as read, and why, in words for a person."""

    name: str
    reason: str


class StandingKind(StrEnum):
    """The standings of a paper that is no paid bill (docs/papers.md)."""

    VOID = "void"
    REFUND = "refund"
    NEGATIVE = "negative"
    REIMBURSED = "reimbursed"
    COPY = "copy"
    ESTIMATE = "estimate"
    UNPAID = "unpaid"
    DEPOSIT = "deposit"
    SAMPLE = "sample"
    TRAINING = "training"
    STATEMENT = "statement"
    NO_VOUCHER = "no_voucher"
    UNSTATED = "unstated"
    UNSHOWN = "unshown"


@dataclass(frozen=True, slots=True)
class PaperStanding:
    """A sign that a paper is no paid bill: its words, where they stand, and how they were told (words, stamp, sign,
    capitals)."""

    standing: StandingKind
    words: str
    told_by: str
    box: Box


@dataclass(frozen=True, slots=True)
class PaperCurrency:
    """The currency of a paper's amounts. code: of ISO 4217, "" if the paper leaves it open. read_from: sign, code,
    word, country or script. text: the print that told it, or left it open; box: its place."""

    code: str
    read_from: str = ""
    text: str = ""
    box: Box = Box(0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class PaperFact:
    """One page. Field names by kind: docs/papers.md. `number_claimed_before`: ids of other claims with its number.

    accepted: the reader vouches for it, so that it may be paid on with no person looking. identities: keys that tell
    this paper from every other, any of them enough (`claims.paper_keys`); empty for what has no number.
    places_in_doubt: fields that were read, but perhaps from the wrong place on the paper. traits: what its kind means
    to the insurer; read them by `claims.paper_meaning.traits_of`, which also knows facts recorded without them.
    standing: signs that it is no paid bill, the gravest first; () for a paid bill, and in facts from before rules 3.5.
    """

    evidence_id: str
    name: str
    sha256: str
    kind: str
    fields: tuple[PaperField, ...]
    items: tuple[PaperItem, ...]
    checks: tuple[PaperCheck, ...]
    read_confidence: float  # the least confidence among the money-relevant fields
    missing_fields: tuple[str, ...]  # required for the kind, not found
    number_claimed_before: tuple[str, ...]
    fact: Literal["paper"] = "paper"
    # Older facts lack it, and were judged under rules that did not ask for it (`Rules.paper_accepted_required`).
    accepted: bool = False
    not_accepted_because: str = ""
    identities: tuple[str, ...] = ()
    doubts: tuple[FieldDoubt, ...] = ()
    places_in_doubt: tuple[FieldDoubt, ...] = ()
    may_show: tuple[str, ...] = ()  # names of the fields that papers of this kind can show; () in older facts
    traits: PaperTraits = UNDECLARED
    # Of its amounts, which are in that currency's minor units. Facts from before rules 3.5 have none.
    currency: PaperCurrency | UnmeasuredFact = UnmeasuredFact("not recorded", retryable=False)
    standing: tuple[PaperStanding, ...] = ()

    def value(self, field_name: str) -> str:
        """Return the field's value, or "" when the paper does not show it."""
        return next((field.value for field in self.fields if field.name == field_name), "")

    def confidence(self, field_name: str) -> float:
        """Return the confidence (0..1) with which the field was read, 0 when the paper does not show it."""
        return next((field.confidence for field in self.fields if field.name == field_name), 0.0)


@dataclass(frozen=True, slots=True)
class UnmeasuredPaper:
    evidence_id: str
    name: str
    sha256: str
    reason: str
    retryable: bool
    fact: Literal["unmeasured_paper"] = "unmeasured_paper"


@dataclass(frozen=True, slots=True)
class NoseSpecies:
    """The species of the animal that a nose is of: dog, cat or another word. confidence: 0..1, of the finder."""

    species: str
    confidence: float
    fact: Literal["nose_species"] = "nose_species"


NOT_RECORDED: Final = UnmeasuredFact("not recorded", retryable=False)


@dataclass(frozen=True, slots=True)
class NoseFact:
    """The nose photo compared with the enrolment of the insured pet.

    photo: the photo itself, checked like one of damage, and against the enrolment's photos; in facts from before rules
    3.6 it was not. species: not recorded where the finder does not tell it. alike_ratio, unlike_ratio: shares (0..1) of
    the nose's blocks that agree with one enrolled photo as one picture does, and as two noses do.
    """

    evidence_id: str
    pet_id: str
    similarity: float  # -1..1, cosine of the best template
    inliers: int  # agreeing keypoints with the best template
    templates: int  # how many enrolled templates were compared
    model: str  # name and version of the descriptor
    fact: Literal["nose"] = "nose"
    photo: PhotoFact | UnmeasuredPhoto | UnmeasuredFact = NOT_RECORDED
    species: NoseSpecies | UnmeasuredFact = NOT_RECORDED
    alike_ratio: float = 0.0
    unlike_ratio: float = 0.0


@dataclass(frozen=True, slots=True)
class UnmeasuredNose:
    evidence_id: str
    pet_id: str
    reason: str  # "too blurred: ...", "no enrolment", ...
    retryable: bool
    fact: Literal["unmeasured_nose"] = "unmeasured_nose"
    photo: PhotoFact | UnmeasuredPhoto | UnmeasuredFact = NOT_RECORDED


@dataclass(frozen=True, slots=True)
class CreditReason:
    """One reason for a lower score: the attribute, its bin and the points lost against its best bin."""

    attribute: str
    bin: str
    points_lost: float


@dataclass(frozen=True, slots=True)
class CreditFact:
    score: int  # 350-950
    reasons: tuple[CreditReason, ...]
    model: str
    fact: Literal["credit"] = "credit"


@dataclass(frozen=True, slots=True)
class WindowCount:
    """The number of claims that share one thing with this claim in a window before it, this claim not counted."""

    key: str  # name of a signal (`claims.fraud.signals.registry`)
    window_days: int
    claims: int
    claimants: int  # distinct


@dataclass(frozen=True, slots=True)
class FraudFact:
    counts: tuple[WindowCount, ...]
    fact: Literal["fraud"] = "fraud"


@dataclass(frozen=True, slots=True)
class CoverFact:
    """The policy's side of the claim: what has been paid under it already in this cover, and when it began."""

    paid_to_date_minor: int
    currency: str
    earlier_claims: int
    event_date: date
    fact: Literal["cover"] = "cover"
    rounds_asked: int = 0  # how often this claim was sent back for more information
    # Of the terms that run over the whole cover: what other claims have used up.
    deductible_borne_minor: int = 0
    days_paid: int = 0
    # Of this claim itself: what an earlier decision paid or promised and need not come back, and the codes of what
    # bank and books disagree about, apart by spaces.
    held_on_claim_minor: int = 0
    stopped_by: str = ""


@dataclass(frozen=True, slots=True)
class SharingClaim:
    """Another claim about the same order or the same event, a withdrawn one only if it was paid.

    order, event: which of the two it shares. paid_minor: paid or promised. earlier: submitted before this one, or at
    the same instant.
    """

    claim_id: str
    order: bool
    event: bool
    status: str
    paid_minor: int
    earlier: bool
    same_claimant: bool


@dataclass(frozen=True, slots=True)
class OtherIdentity:
    """Another claimant id that seems to be the same person: of the same name, with the same of `shares` (payee,
    device), and `claims` claims in the days before."""

    claimant_id: str
    shares: tuple[str, ...]
    claims: int


@dataclass(frozen=True, slots=True)
class RepeatFact:
    """The other claims for this order or this event.

    order_paid_minor: what other claims were paid or promised for the order, by products that pay for the same of it.
    order_price_minor: the least that a paper the reader vouches for shows as paid for the order, 0 for none.
    """

    claims: tuple[SharingClaim, ...] = ()
    order_paid_minor: int = 0
    order_price_minor: int = 0
    identities: tuple[OtherIdentity, ...] = ()
    fact: Literal["repeats"] = "repeats"


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that is known when a claim is decided. A stage that the product does not need leaves an empty
    tuple."""

    cover: CoverFact
    photos: tuple[PhotoFact | UnmeasuredPhoto, ...]
    papers: tuple[PaperFact | UnmeasuredPaper, ...]
    noses: tuple[NoseFact | UnmeasuredNose, ...]
    credit: CreditFact | UnmeasuredFact
    fraud: FraudFact | UnmeasuredFact
    repeats: RepeatFact = RepeatFact()

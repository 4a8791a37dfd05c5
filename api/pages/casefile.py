"""One case as an adjuster judges it: the claim, the facts recorded with the decision, and the amounts that may be
paid."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncConnection

from api.http.disclosure import disclosed
from api.http.tokens import Principal
from claims import copies, currencies
from claims.copies import is_copy, only_the_scene
from claims.decide import person_limit
from claims.decision import Decision, Outcome, Reason
from claims.disclosure import for_outsiders
from claims.evidence import (
    Facts,
    NoseFact,
    PaperFact,
    PhotoFact,
    PhotoMatch,
    PhotoVerdict,
    UnmeasuredFact,
    UnmeasuredNose,
    UnmeasuredPaper,
    UnmeasuredPhoto,
)
from claims.insured_claim import InsuredClaim
from claims.judge.papers import doubtful_fields
from claims.money import Money, smallest
from claims.product import Product
from claims.rules import RULES, Rules
from claims.store import adjudication, counts, repeats, rulings, views
from claims.store.adjudication import EvidenceRow
from claims.store.referrals import Referral
from claims.store.rulings import Ruling
from claims.store.views import ClaimDetail, DecisionRow
from claims.wire import from_plain


@dataclass(frozen=True, slots=True)
class RecordedDecision:
    """An automatic decision with the facts and thresholds it was made from."""

    row: DecisionRow
    facts: Facts
    rules: Rules


@dataclass(frozen=True, slots=True)
class CaseFile:
    """The contents of a case page. `recorded` is None where checking failed before there were facts, or another version
    recorded them.

    `due`: the calculated amount, at most `limit`; `limit`: the most that a person may approve for the whole claim.
    """

    view: ClaimDetail
    claimant_name: str
    referral: Referral
    product: Product
    recorded: RecordedDecision | None
    due: Money
    limit: Money
    rulings: Mapping[tuple[str, str], Ruling] = field(default_factory=dict)  # by photo and match
    disclosed: frozenset[str] = frozenset()  # photo ids of matches whose picture the visitor may see
    outsider: bool = False  # a partner's person: other people's claims have no name

    @property
    def decision(self) -> Decision | None:
        """Returns the decision that sent the claim to a person."""
        named = (row.decision for row in self.view.decisions if row.id == self.referral.decision_id)
        decision = next(named, self.view.decision.decision if self.view.decision is not None else None)
        if decision is None or not self.outsider:
            return decision
        return replace(decision, reasons=tuple(for_outsiders(reason) for reason in decision.reasons))

    @property
    def carrying(self) -> tuple[Reason, ...]:
        """Returns the reasons that led to the decision."""
        decision = self.decision
        return (
            tuple(reason for reason in decision.reasons if reason.pulls is not Outcome.PAY)
            if decision is not None
            else ()
        )

    @property
    def in_order(self) -> tuple[Reason, ...]:
        """Returns the reasons for checks that passed."""
        decision = self.decision
        return (
            tuple(reason for reason in decision.reasons if reason.pulls is Outcome.PAY) if decision is not None else ()
        )

    @property
    def files(self) -> Mapping[str, EvidenceRow]:
        """Returns the evidence by its id."""
        return {row.id: row for row in self.view.evidence}

    @property
    def photos(self) -> tuple[PhotoFact | UnmeasuredPhoto, ...]:
        return self.recorded.facts.photos if self.recorded is not None else ()

    @property
    def papers(self) -> tuple[PaperFact | UnmeasuredPaper, ...]:
        return self.recorded.facts.papers if self.recorded is not None else ()

    def doubtful_fields(self, paper: PaperFact) -> frozenset[str]:
        """Returns the fields of a paper that a person should check, by the thresholds of the decision."""
        return doubtful_fields(self.product, paper, self.recorded.rules) if self.recorded is not None else frozenset()

    def money_on(self, paper: PaperFact, minor: int) -> str:
        """Returns an amount of a paper in the paper's currency, without a sign where it is unknown; in the claim's for
        papers of which no currency was recorded."""
        if isinstance(paper.currency, UnmeasuredFact):
            return currencies.written(minor, self.view.claim.amount.currency)
        code = paper.currency.code
        return currencies.written(minor, code) if code else currencies.digits(minor, self.product.currency)

    def to_compare(self, match: PhotoMatch) -> bool:
        """True if a person compares the two pictures: a copy, or a possible one by the thresholds of the decision."""
        return copies.to_compare(match, self.recorded.rules) if self.recorded is not None else is_copy(match)

    def side_by_side(self, match: PhotoMatch) -> bool:
        """True if the two pictures are shown beside one another with their points: to be compared, or of one scene."""
        return self.to_compare(match) or only_the_scene(match)

    def matches_to_show(self, photo: PhotoFact, *, most: int = 4) -> tuple[PhotoMatch, ...]:
        """Returns the matches to show: proven copies first, then possible ones, those of one scene, and look-alikes."""
        ordered = sorted(
            photo.matches,
            key=lambda match: (
                not is_copy(match),
                copies.strength(match.verdict, weighing=self.to_compare(match)),
                -match.probability,
                -match.inliers,
            ),
        )
        return tuple(ordered[:most])

    def looks(self, photo: PhotoFact) -> str:
        """Returns the photo's verdict, or `maybe` where it has only pictures to compare."""
        maybe = photo.verdict is PhotoVerdict.SIMILAR and any(self.to_compare(match) for match in photo.matches)
        return "maybe" if maybe else str(photo.verdict)

    @property
    def checked_photos(self) -> tuple[PhotoFact, ...]:
        """Returns the photos of damage and of noses that were compared with other pictures."""
        photos = (*self.photos, *(nose.photo for nose in self.noses))
        return tuple(photo for photo in photos if isinstance(photo, PhotoFact))

    def replayed(self, match: PhotoMatch) -> bool:
        """True for a nose photo's match that comes from the same capture, by the thresholds of the decision."""
        return self.recorded is not None and copies.shares_capture(match, self.recorded.rules)

    @property
    def noses(self) -> tuple[NoseFact | UnmeasuredNose, ...]:
        return self.recorded.facts.noses if self.recorded is not None else ()

    @property
    def unexamined(self) -> tuple[EvidenceRow, ...]:
        """Returns the files that no recorded fact is about, such as those of a later round."""
        examined = {fact.evidence_id for fact in (*self.photos, *self.papers, *self.noses)}
        return tuple(row for row in self.view.evidence if row.id not in examined)


async def load(
    conn: AsyncConnection, referral: Referral, catalogue: Mapping[str, Product], principal: Principal
) -> CaseFile:
    """Returns the case of `referral` as `principal` may see it. Raises NotFound as `views.claim_view` does."""
    partner = principal.partner
    view = await views.claim_view(conn, referral.claim_id, partner=partner)
    product = catalogue[view.claim.product]
    recorded = _recorded(view)
    cover = await counts.cover(conn, referral.claim_id)
    file = await adjudication.load(conn, referral.claim_id)
    of_order = (await repeats.sharing(conn, file.claim, product, RULES)).order_paid_minor
    limit = person_limit(InsuredClaim(file.claim, view.policy, product), cover.paid_to_date_minor, of_order)
    lines = recorded.row.decision.benefit if recorded is not None else ()
    calculated = next((line.amount for line in lines if line.label == "due"), view.claim.amount)
    due = smallest(calculated, limit) if calculated.minor > 0 else limit
    made = await rulings.of_claim(conn, referral.claim_id)
    case = CaseFile(
        view=view,
        claimant_name=file.claimant_name,
        referral=referral,
        product=product,
        recorded=recorded,
        due=due,
        limit=limit,
        rulings=made,
        outsider=partner is not None,
    )
    matches = [match for photo in case.checked_photos for match in photo.matches]
    return replace(case, disclosed=await disclosed(conn, principal, matches))


def _recorded(view: ClaimDetail) -> RecordedDecision | None:
    for row in reversed(view.decisions):
        plain = json.loads(row.inputs)
        if plain.get("by") == "rules":
            try:
                return RecordedDecision(row, from_plain(Facts, plain["facts"]), from_plain(Rules, plain["rules"]))
            except ValidationError:
                # Recorded by another version. The reasons still tell what was found; the case must not be stuck.
                return None
    return None

"""A kind of paper is defined by its two files, not by its name: each of our own kinds, copied under another name into
an insurer's folder, is decided to the same bytes, names aside.

The worlds are drawn: for every kind and every product, claims with papers of that kind and of those beside it, in order
and not, the kind paid on, asked for or welcome.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from claims import paper_kind
from claims.catalogue import load_catalogue
from claims.claim import EvidenceKind
from claims.decide import inputs, replay
from claims.decision import Decision
from claims.evidence import PaperFact
from claims.paper_kind import PaperKinds, load_paper_kinds
from claims.product import Product
from claims.rules import RULES
from claims.store.adjudication import EvidenceRow
from claims.wire import canonical
from fixtures.cases import INSURED, NOW, Case, in_order
from flows.evidence import paper_fact
from flows.kinds import check_halves
from vision.documents import load_catalogue as read_kinds
from vision.documents.gate import ReadPage
from vision.documents.kinds.catalogue import OURS, Catalogue, PaperKind
from vision.documents.text.page import CurrencyReading, FieldReading, PageBox, PaperReading

KINDS = tuple(sorted(read_kinds()))
SEEDS = 24
# Two values and more of each field that somebody looks at, so that papers agree and disagree; "" is not shown.
VALUES = {
    "patient": (INSURED, INSURED, INSURED, "王明"),
    "owner": (INSURED, INSURED, "王明"),
    "buyer": (INSURED, "王明"),
    "recipient": (INSURED, "王明"),
    "sender": (INSURED, "鲜果小铺"),
    "hospital": ("杭州市第一人民医院", "杭州市第一人民医院", "康养之家疗养院", "康养之家诊所"),
    "pet_name": ("豆豆", "豆豆", "米粒"),
    "date": ("2026-11-19", "2026-11-19", "2026-11-12", "2026-05-01"),
    "admitted_date": ("2026-11-12", "2026-11-12", "2026-11-19", ""),
    "discharged_date": ("2026-11-19", "2026-11-19", "2026-11-10"),
    "birth_date": ("2020-03-01", "2026-11-15"),
    "number": ("0012345678", "0012345678", "26332000000001234567"),
    "code": ("033002100411", ""),
    "tracking_number": ("SF1234567890", "SF1234567891"),
    "order_number": ("order-1", "order-1", "order-2"),
    "company": ("安心宠物医院", "宠物用品店"),
    "carrier": ("顺丰速运", "中通快递"),
    "total_minor": ("60000", "60000", "8000", "500000"),
    "insurance_paid_minor": ("50000", "50000", "0", ""),
    "cash_paid_minor": ("10000", "10000", ""),
}


@dataclass(frozen=True)
class House:
    """Both halves of every kind; `kind` goes under `name`."""

    reads: Catalogue
    means: PaperKinds
    kind: str
    name: str

    def named(self, kinds: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(self.name if named == self.kind else named for named in kinds)

    def paper(self, kind: str, evidence_id: str, values: dict[str, str], confidence: float) -> PaperFact:
        """Returns the fact of a reading that the reader accepts."""
        described = self.reads[self.named((kind,))[0]]
        reading = reading_of(described, values, confidence)
        row = EvidenceRow(
            evidence_id, f"{evidence_id}.jpg", EvidenceKind.PAPER, "image/jpeg", 1, "1" * 64, "", 1, datetime.now(UTC)
        )
        return paper_fact(row, ReadPage(reading, ""), (), self.means)


def reading_of(described: PaperKind, values: dict[str, str], confidence: float) -> PaperReading:
    shown = {name: value for name, value in values.items() if name in described.fields and value}
    box = PageBox(0.1, 0.1, 0.5, 0.2)
    return PaperReading(
        kind=described.kind,
        fields=tuple(FieldReading(name, value, confidence, box) for name, value in shown.items()),
        items=(),
        checks=(),
        lines=(),
        read_confidence=confidence,
        missing_fields=tuple(name for name in described.required if name in VALUES and name not in shown),
        model="test@0",
        keys=described.keys,
        may_show=tuple(described.fields),
        relied_on=tuple(dict.fromkeys((*described.money, *described.required))),
        currency=CurrencyReading("CNY", "word", "元", box),
    )


def copied(folder: Path, kind: str, name: str) -> House:
    """Copies our kind under another name into an insurer's folder, with nothing else changed."""
    (folder / "claims").mkdir()
    for ours, theirs in ((OURS, folder), (paper_kind.OURS, folder / "claims")):
        described = (ours / f"{kind}.yaml").read_text(encoding="utf-8")
        described, changes = re.subn(rf"(?m)^kind: {kind}$", f"kind: {name}", described)
        assert changes == 1
        theirs.joinpath(f"{name}.yaml").write_text(described, encoding="utf-8")
    return House(read_kinds(folder), load_paper_kinds(folder), kind, name)


def ours() -> House:
    return House(read_kinds(), load_paper_kinds(), "", "")


def asking_for(product: Product, kind: str, draw: random.Random) -> Product:
    """Returns the product with that kind among those it pays on, asks for or welcomes."""
    if kind in product.kinds:
        return product
    where = draw.choice(["papers", "may_bring", *(["supporting"] if not product.evidence.photo_or_paper else [])])
    changed = {where: (*getattr(product.evidence, where), kind)}
    return product.model_copy(update={"evidence": product.evidence.model_copy(update=changed)})


def renamed(product: Product, house: House) -> Product:
    evidence = product.evidence
    lists = {name: house.named(getattr(evidence, name)) for name in ("papers", "may_bring", "supporting")}
    return product.model_copy(update={"evidence": evidence.model_copy(update=lists)})


def worlds(key: str, kind: str) -> Iterator[tuple[Case, tuple[tuple[str, str, dict[str, str], float], ...]]]:
    """Yields claims of the product, with kind, id, values and confidence of each paper."""
    for seed in range(SEEDS):
        draw = random.Random(f"{key} {kind} {seed}")
        case = in_order(key)
        product = asking_for(case.product, kind, draw)
        case = replace(case, product=product).with_claim(amount=product.money(draw.choice([60_000, 300_000])))
        beside = draw.choices(sorted(product.kinds), k=draw.randint(0, 3))
        papers = tuple(
            (
                kind_name,
                f"paper-{place}",
                {name: draw.choice(values) for name, values in VALUES.items()},
                draw.choice([0.97, 0.97, 0.97, 0.4]),
            )
            for place, kind_name in enumerate([kind, *beside])
        )
        yield case, papers


def decided(
    case: Case, papers: tuple[tuple[str, str, dict[str, str], float], ...], house: House
) -> tuple[bytes, Decision]:
    """Returns the inputs of the decision, and the decision."""
    facts = tuple(house.paper(*paper) for paper in papers)
    case = replace(case, product=renamed(case.product, house)).with_facts(papers=facts)
    return inputs(case.insured, case.facts, RULES, NOW), case.decision()


@pytest.mark.parametrize("kind", KINDS)
def test_each_of_our_kinds_is_decided_to_the_same_bytes_under_an_insurers_name(kind: str, tmp_path: Path) -> None:
    name = f"{kind}_copy"  # of one place with ours among all names, so that lists by name keep their order
    own, theirs = ours(), copied(tmp_path, kind, name)
    check_halves(theirs.reads, theirs.means)
    for key in load_catalogue():
        for case, papers in worlds(key, kind):
            known_inputs, known = decided(case, papers, own)
            other_inputs, other = decided(case, papers, theirs)
            assert canonical(other).decode().replace(name, kind) == canonical(known).decode(), (key, papers)
            assert other_inputs.decode().replace(name, kind) == known_inputs.decode()
            assert replay(other_inputs) == canonical(other)


def test_the_worlds_show_what_kinds_are_told_apart_by() -> None:
    """Each trait of a kind decides some world; otherwise the test above would hold for kinds without traits."""
    own = ours()
    codes: dict[str, set[str]] = {kind: set() for kind in KINDS}
    for kind in KINDS:
        for key in load_catalogue():
            for case, papers in worlds(key, kind):
                decision = decided(case, papers, own)[1]
                codes[kind] |= {
                    f"{reason.code} {reason.detail}"
                    for reason in decision.reasons
                    if reason.evidence_id in ("", "paper-0")
                } | {line.label for line in decision.benefit}
    assert {
        "paper_fields_missing paper-0.jpg",
        "papers_contradict patient",
        "insurance_paid",
        "below_deductible ",
    } <= codes["outpatient_invoice"]
    assert {"paper_dates_out_of_order admitted_date discharged_date", "papers_contradict hospital"} <= codes[
        "inpatient_invoice"
    ]
    assert "paper_dates_out_of_order admitted_date date" in codes["diagnosis_page"]
    assert {"papers_contradict owner", "paper_dates_out_of_order birth_date date"} <= codes["vet_invoice"]
    assert {"papers_contradict order_number", "paper_dates_out_of_order date date"} <= codes["return_slip"]
    assert {"paper_dates_out_of_order date date", "paper_date_outside_cover "} <= codes["parcel_slip"]
    assert {"order_price", "order_number_differs "} <= codes["order_screenshot"]
    for outside in ("order_screenshot", "pet_card"):
        assert "paper_date_outside_cover " not in codes[outside]
    assert all("paper_date_outside_cover " in codes[kind] for kind in ("receipt", "vat_invoice", "vet_invoice"))

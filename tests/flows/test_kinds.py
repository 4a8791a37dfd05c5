from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from claims.claim import EvidenceKind
from claims.decision import Decision
from claims.evidence import PaperFact
from claims.product import load_catalogue
from claims.store.adjudication import EvidenceRow
from fixtures.cases import in_order
from flows.errors import UnknownPaperKind
from flows.evidence import paper_fact
from flows.kinds import check_kinds
from vision.documents import load_catalogue as read_kinds
from vision.documents.kinds.catalogue import OURS, PaperKind
from vision.documents.parse import parse
from vision.documents.text.page import PageText, TextLine

TODAY = date(2026, 11, 20)
# A bill of 600.00 of which the state insurance paid 500.00, as an outpatient bill prints it.
PRINTED = (
    "浙江省医疗门诊收费票据（电子）", "票据号码：0012345678", "交款人：林秀英", "开票日期：2026年11月19日",
    "项目名称 等级 金额（元）", "合计（大写）陆佰元整", "（小写）600.00", "医保统筹基金支付：500.00",
    "个人现金支付：100.00", "收款单位（章）：杭州市协济医院",
)  # fmt: skip


def test_the_reader_knows_every_kind_that_the_products_ask_for() -> None:
    check_kinds(load_catalogue(), read_kinds())


def test_a_product_that_asks_for_a_kind_nobody_reads_is_refused_with_the_product_the_kind_and_what_to_do() -> None:
    known = {name: kind for name, kind in read_kinds().items() if name != "diagnosis_page"}
    with pytest.raises(UnknownPaperKind, match=r"inpatient_medical asks for diagnosis_page.*MIAOPEI_PAPER_KINDS"):
        check_kinds(load_catalogue(), known)


def insurers(tmp_path: Path, kind: str, name: str, *changes: tuple[str, str]) -> Mapping[str, PaperKind]:
    """A copy of one of our kinds under another name, in an insurer's folder, and nothing that competes with it."""
    described = (OURS / f"{kind}.yaml").read_text(encoding="utf-8").replace(f"kind: {kind}", f"kind: {name}")
    for old, new in changes:
        assert old in described
        described = described.replace(old, new)
    (tmp_path / f"{name}.yaml").write_text(described, encoding="utf-8")
    return {key: one for key, one in read_kinds(tmp_path).items() if key != kind}


def read(catalogue: Mapping[str, PaperKind], name: str) -> PaperFact:
    """What the reader makes of the page, as a fact that the reader vouches for."""
    lines = [
        TextLine(text, 0.98, ((60, top), (60 + 24 * len(text), top), (60 + 24 * len(text), top + 30), (60, top + 30)))
        for top, text in zip(range(80, 80 + 50 * len(PRINTED), 50), PRINTED, strict=True)
    ]
    reading = parse(PageText(1400, 700, tuple(lines), "test@0"), TODAY, catalogue)
    assert reading.kind == name
    row = EvidenceRow("paper-0", "bill.jpg", EvidenceKind.PAPER, "image/jpeg", 1, "1" * 64, "", 1, datetime.now(UTC))
    return replace(paper_fact(row, reading, ()), accepted=True, not_accepted_because="")


def decided(paper: PaperFact) -> Decision:
    case = in_order("outpatient_medical")
    evidence = case.product.evidence.model_copy(update={"papers": (paper.kind,)})
    case = replace(case, product=case.product.model_copy(update={"evidence": evidence}))
    return case.with_facts(papers=(paper,)).decision()


def test_what_the_state_insurance_paid_is_not_paid_again_on_a_kind_that_an_insurer_adds(tmp_path: Path) -> None:
    ours = read(read_kinds(), "outpatient_invoice")
    theirs = read(insurers(tmp_path, "outpatient_invoice", "clinic_bill"), "clinic_bill")
    assert decided(theirs).reasons[0].code == "below_deductible"  # 100.00 of own cost
    assert [(one.code, one.value) for one in decided(theirs).reasons] == [
        (one.code, one.value) for one in decided(ours).reasons
    ]
    assert decided(theirs).benefit == decided(ours).benefit
    unread = replace(theirs, fields=tuple(one for one in theirs.fields if not one.name.endswith("paid_minor")))
    assert decided(unread).reasons[0].code == "paper_fields_missing"  # a part that nobody read is not zero
    # And it is the same paper, whichever kind a picture of it is taken for.
    assert set(theirs.identities) == {"clinic_bill:0012345678", *ours.identities}


def test_a_bill_of_patients_that_cannot_show_what_the_state_insurance_paid_is_refused_at_the_start(
    tmp_path: Path,
) -> None:
    without = (("insurance_paid_minor", "other_paid_minor"), (", insurance_and_cash_equal_total", ""))
    blind = insurers(tmp_path, "outpatient_invoice", "clinic_bill", *without)
    product = load_catalogue()["outpatient_medical"]
    evidence = product.evidence.model_copy(update={"papers": ("clinic_bill",)})
    products = {product.key: product.model_copy(update={"evidence": evidence})}
    with pytest.raises(UnknownPaperKind, match=r"outpatient_medical pays on clinic_bill.*insurance_paid_minor"):
        check_kinds(products, blind)

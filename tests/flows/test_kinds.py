from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from claims import paper_kind
from claims.catalogue import load_catalogue
from claims.claim import EvidenceKind
from claims.decision import Decision
from claims.errors import InvalidPaperTerms
from claims.evidence import PaperFact
from claims.paper_kind import PaperKinds, load_paper_kinds
from claims.product import Product
from claims.store.adjudication import EvidenceRow
from fixtures.cases import in_order
from flows.errors import PaperHalvesDiffer, UnknownPaperKind
from flows.evidence import paper_fact
from flows.kinds import check_halves, check_kinds
from vision.documents import load_catalogue as read_kinds
from vision.documents.gate import ReadPage
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
    check_kinds(load_catalogue(), read_kinds(), load_paper_kinds())


def test_a_product_that_asks_for_a_kind_nobody_reads_is_refused_with_the_product_the_kind_and_what_to_do() -> None:
    known = {name: kind for name, kind in read_kinds().items() if name != "diagnosis_page"}
    meant = {name: terms for name, terms in load_paper_kinds().items() if name != "diagnosis_page"}
    with pytest.raises(UnknownPaperKind, match=r"inpatient_medical asks for diagnosis_page.*MIAOPEI_PAPER_KINDS"):
        check_kinds(load_catalogue(), known, meant)


Changes = tuple[tuple[str, str], ...]


def insurers(
    tmp_path: Path, kind: str, name: str, reader: Changes = (), insurer: Changes = ()
) -> tuple[Mapping[str, PaperKind], PaperKinds]:
    """Returns both halves of a copy of one of our kinds under another name in an insurer's folder, each with its
    changes, without the original.
    """
    (tmp_path / "claims").mkdir()
    for ours, theirs, changes in ((OURS, tmp_path, reader), (paper_kind.OURS, tmp_path / "claims", insurer)):
        described = (ours / f"{kind}.yaml").read_text(encoding="utf-8").replace(f"kind: {kind}", f"kind: {name}")
        for old, new in changes:
            assert old in described
            described = described.replace(old, new)
        (theirs / f"{name}.yaml").write_text(described, encoding="utf-8")
    return {key: definition for key, definition in read_kinds(tmp_path).items() if key != kind}, load_paper_kinds(
        tmp_path
    )


def read(catalogue: Mapping[str, PaperKind], kinds: PaperKinds, name: str) -> PaperFact:
    """Reads the page and returns the fact, marked as accepted by the reader."""
    lines = [
        TextLine(text, 0.98, ((60, top), (60 + 24 * len(text), top), (60 + 24 * len(text), top + 30), (60, top + 30)))
        for top, text in zip(range(80, 80 + 50 * len(PRINTED), 50), PRINTED, strict=True)
    ]
    reading = parse(PageText(1400, 700, tuple(lines), "test@0"), TODAY, catalogue)
    assert reading.kind == name
    row = EvidenceRow("paper-0", "bill.jpg", EvidenceKind.PAPER, "image/jpeg", 1, "1" * 64, "", 1, datetime.now(UTC))
    return paper_fact(row, ReadPage(reading, ""), (), kinds)


def decided(paper: PaperFact) -> Decision:
    case = in_order("outpatient_medical")
    evidence = case.product.evidence.model_copy(update={"papers": (paper.kind,)})
    case = replace(case, product=case.product.model_copy(update={"evidence": evidence}))
    return case.with_facts(papers=(paper,)).decision()


def test_what_the_state_insurance_paid_is_not_paid_again_on_a_kind_that_an_insurer_adds(tmp_path: Path) -> None:
    ours = read(read_kinds(), load_paper_kinds(), "outpatient_invoice")
    theirs = read(*insurers(tmp_path, "outpatient_invoice", "clinic_bill"), "clinic_bill")
    assert decided(theirs).reasons[0].code == "below_deductible"  # 100.00 of own cost
    assert [(reason.code, reason.value) for reason in decided(theirs).reasons] == [
        (reason.code, reason.value) for reason in decided(ours).reasons
    ]
    assert decided(theirs).benefit == decided(ours).benefit
    unread = replace(theirs, fields=tuple(field for field in theirs.fields if not field.name.endswith("paid_minor")))
    assert decided(unread).reasons[0].code == "paper_fields_missing"  # a part that nobody read is not zero
    # And it is the same paper, whichever kind a picture of it is taken for.
    assert theirs.identities == ours.identities == ("bill:0012345678",)


def test_a_bill_of_patients_that_cannot_show_what_the_state_insurance_paid_is_refused_at_the_start(
    tmp_path: Path,
) -> None:
    blind, kinds = insurers(
        tmp_path,
        "outpatient_invoice",
        "clinic_bill",
        reader=(("insurance_paid_minor", "other_paid_minor"), (", insurance_and_cash_equal_total", "")),
        insurer=(("state_insurance: {paid: insurance_paid_minor, cash: cash_paid_minor}\n", ""),),
    )
    with pytest.raises(UnknownPaperKind, match=r"outpatient_medical pays on clinic_bill.*insurance_paid_minor"):
        check_kinds(paying_on("outpatient_medical", "clinic_bill"), blind, without(kinds, "outpatient_invoice"))


def test_a_product_that_pays_by_the_day_is_refused_on_a_kind_that_shows_no_days() -> None:
    with pytest.raises(UnknownPaperKind, match=r"inpatient_medical pays on outpatient_invoice.*stay"):
        check_kinds(paying_on("inpatient_medical", "outpatient_invoice"), read_kinds(), load_paper_kinds())


def paying_on(key: str, kind: str) -> Mapping[str, Product]:
    product = load_catalogue()[key]
    evidence = product.evidence.model_copy(update={"papers": (kind,)})
    return {key: product.model_copy(update={"evidence": evidence})}


def without(kinds: PaperKinds, name: str) -> PaperKinds:
    return {key: terms for key, terms in kinds.items() if key != name}


def test_a_kind_of_which_one_half_is_missing_is_refused_with_the_file_to_write() -> None:
    with pytest.raises(PaperHalvesDiffer, match=r"receipt is known to the reader alone: write .*claims/receipt.yaml"):
        check_kinds(load_catalogue(), read_kinds(), without(load_paper_kinds(), "receipt"))
    unread = {name: kind for name, kind in read_kinds().items() if name != "receipt"}
    with pytest.raises(PaperHalvesDiffer, match=r"paper_kinds/receipt.yaml: the reader knows no receipt"):
        check_kinds(load_catalogue(), unread, load_paper_kinds())


@pytest.mark.parametrize(
    ("kind", "reader", "insurer", "told"),
    [
        ("outpatient_invoice", (), (("patient: name", "patent: name"),), "compared: .* no field patent; it has"),
        ("outpatient_invoice", (), (("listed_by: number", "listed_by: serial"),), "listed_by: .* no field serial"),
        ("outpatient_invoice", (), (("dates: {within_cover: [date]}", "dates: {}"),), "dates: date: name each date"),
        (
            "outpatient_invoice",
            (),
            (("state_insurance: {paid: insurance_paid_minor, cash: cash_paid_minor}\n", ""),),
            "state_insurance: the paper shows insurance_paid_minor and this file does not say so",
        ),
        (
            "vet_invoice",
            (("keys: [[hospital, number]]", "keys: [[number]]"),),
            (),
            "number.keys: the reader's half has the keys",
        ),
        (
            "order_screenshot",
            (("  order_number:", "  purchase_number:"), ("required: [merchant, order_number,", "required: [merchant,"),
             ("discount_minor, freight_minor, order_number]", "discount_minor, freight_minor]"),
             ("keys: [[order_number]]", "keys: [[purchase_number]]")),
            (("[[order_number]]", "[[purchase_number]]"),),
            "return_slip.yaml: compared: their_kind counts as order and its reader's half has no field order_number",
        ),
    ],
)  # fmt: skip
def test_halves_that_do_not_fit_are_refused_with_the_file_the_key_and_what_to_do(
    kind: str, reader: Changes, insurer: Changes, told: str, tmp_path: Path
) -> None:
    catalogue, kinds = insurers(tmp_path, kind, "their_kind", reader, insurer)
    with pytest.raises(PaperHalvesDiffer, match=told):
        check_halves(catalogue, without(kinds, kind))


@pytest.mark.parametrize(
    ("insurer", "told"),
    [
        ((("with: diagnosis", "with: diagnoses"),), "their_kind.yaml: compared: no kind counts as 'diagnoses'"),
        ((("within_cover: [date]", "within_cover: [date], may_be_older: [date]"),), "dates: .*either"),
        ((("patient: name", "patient: alike"),), "compared.0.same.patient: "),
        ((("kind: their_kind", "kind: their_bill"),), "the file describes 'their_bill'"),
        ((("counts_as:", "counts:"),), "counts: Extra inputs"),
    ],
)  # fmt: skip
def test_a_mistake_in_an_insurers_half_names_the_file_and_the_key(insurer: Changes, told: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidPaperTerms, match=told):
        insurers(tmp_path, "outpatient_invoice", "their_kind", insurer=insurer)


def test_a_folder_of_kinds_without_insurers_halves_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidPaperTerms, match=r"claims: no kind in it: write .*claims/KIND.yaml"):
        load_paper_kinds(tmp_path)
    assert not load_paper_kinds().keys() ^ read_kinds().keys()


def test_no_kind_is_named_in_the_code() -> None:
    """Kinds are files: code that names a kind would treat an insurer's similar kind differently. Exempt are old
    migrations and recipes that train on rendered papers.
    """
    root = Path(__file__).parents[2]
    names = re.compile(rf"[\"']({'|'.join(read_kinds())})[\"']")
    written = [
        f"{path.relative_to(root)}: {line.strip()}"
        for room in ("api", "claims", "flows", "vision", "models")
        for path in sorted((root / room).rglob("*.py"))
        if "migrations" not in path.parts and "train" not in path.parts
        for line in path.read_text(encoding="utf-8").splitlines()
        if names.search(line)
    ]
    assert written == []

from __future__ import annotations

import json
import textwrap
from pathlib import Path

import pytest

from claims.catalogue import CATALOGUE, load_catalogue, product_of, read_product
from claims.errors import InvalidProduct, UnknownProduct
from claims.formulas.registry import FORMULAS
from claims.product import Product
from claims.wire import canonical, from_plain

FOOD = (CATALOGUE / "fresh_food_rot.yaml").read_text(encoding="utf-8")


def test_catalogue_holds_seven_products_of_two_insurers() -> None:
    catalogue = load_catalogue()
    assert set(catalogue) == {
        "fresh_food_rot",
        "cosmetics_allergy",
        "parcel_damage",
        "return_freight",
        "outpatient_medical",
        "inpatient_medical",
        "pet_medical",
    }
    assert {product.partner for product in catalogue.values()} == {"anshun", "heyuan"}
    assert {product.currency for product in catalogue.values()} == {"CNY"}


def test_products_survive_the_record_of_a_decision() -> None:
    for product in load_catalogue().values():
        recorded = canonical(product)
        assert from_plain(Product, json.loads(recorded)) == product
        assert canonical(from_plain(Product, json.loads(recorded))) == recorded


def test_a_product_may_have_words_in_further_languages_and_is_read_in_the_default_one_otherwise() -> None:
    french = FOOD.replace("en: Fresh-food rot cover}", "en: Fresh-food rot cover, fr: Produits frais}")
    product = read_product(french, "fresh_food_rot")
    assert [product.name.in_language(code) for code in ("zh", "fr", "de")] == [
        "生鲜腐坏险",
        "Produits frais",
        "Fresh-food rot cover",
    ]
    assert from_plain(Product, json.loads(canonical(product))) == product


def test_unknown_product_names_those_there_are() -> None:
    with pytest.raises(UnknownProduct, match="fresh_food_rot"):
        product_of("moon_travel")


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("key: fresh_food_rot", "key: other", "says key 'other'"),
        ("per_claim_max_minor: 50000", "per_claim_max_minor: -1", "per_claim_max_minor"),
        ("per_claim_max_minor: 50000", "per_claim_max_minor: 100", "auto_pay_max_minor above"),
        ('pays_basis_points: {"": 10000}', 'pays_basis_points: {"": 10001}', "10000"),
        ('pays_basis_points: {"": 10000}', "pays_basis_points: {甲: 10000}", "no class"),
        ("photos_min: 1", "photos_min: 0", "on words alone"),
        ("photos_min: 1", "photos: 1", "photos"),
        ("benefit: stated_amount", "benefit: paper_total", "papers_min"),
        ("benefit: stated_amount", "benefit: by_the_moon", f"'by_the_moon'; known: {', '.join(sorted(FORMULAS))}"),
        ("benefit: stated_amount", "benefit: stated_amount\nterms: {rounds_once: true}", "rounds_once"),
        ("  waiting:", "  wating:", "clauses missing: waiting"),
        ("waiting_days: 0", "waiting_days: [", "fresh_food_rot"),
        ("name: {zh: 生鲜腐坏险, en:", "name: {en:", "no words in zh"),
        ("en: Fresh-food rot cover}", "fr: Fruits}", "no words in the language 'en'"),
        ("en: Fresh-food rot cover}", "en: Fresh-food rot cover, title: x}", "no code of a language: title"),
    ],
)
def test_product_file_that_makes_no_sense_is_refused(old: str, new: str, complaint: str) -> None:
    assert old in FOOD
    with pytest.raises(InvalidProduct, match=complaint):
        read_product(FOOD.replace(old, new), "fresh_food_rot")


STAY = (CATALOGUE / "inpatient_medical.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("supporting: [diagnosis_page]", "supporting: [unknown]", "nothing can ask for it"),
        ("supporting: [diagnosis_page]", "supporting: [Diagnosis]", "pattern"),
        ("supporting: [diagnosis_page]", "supporting: [inpatient_invoice]", "stands in one list"),
        ('own: 0, "": 6000}', 'own: 1, "": 6000}', "pay more than the list's for: own"),
        ("丙: 4000, own: 0", "own: 0", "other item classes"),
        ("  rounds_once: true\n", "", "rounds_once"),
        ("benefit: paper_total", "benefit: stated_amount", "Extra inputs are not permitted"),
        ("  hospitals:\n", "  hospitels:\n", "clauses missing: hospitals"),
        ("    day_limit_minor: 150000\n    allowance_day_minor: 10000\n", "", "day_limit_minor or an allowance"),
        ("days_max: 90", "days_max: 0", "days_max"),
    ],
)
def test_terms_of_a_stay_that_make_no_sense_are_refused(old: str, new: str, complaint: str) -> None:
    assert old in STAY
    with pytest.raises(InvalidProduct, match=complaint):
        read_product(STAY.replace(old, new), "inpatient_medical")


def test_terms_that_stand_beside_the_benefit_as_they_once_did_are_the_same_terms() -> None:
    begin, end = STAY.index("terms:\n"), STAY.index("# No claims_per_event_max")
    beside = textwrap.dedent(STAY[begin:end].removeprefix("terms:\n"))
    assert read_product(STAY[:begin] + beside + STAY[end:], "inpatient_medical") == product_of("inpatient_medical")
    nothing = "undesignated_pays_basis_points: null\ndesignated_hospitals: []\nrounds_once: false\nstay: null\n"
    assert read_product(FOOD + nothing, "fresh_food_rot") == product_of("fresh_food_rot")


def test_a_product_may_name_a_kind_of_paper_that_nobody_has_named_before() -> None:
    read = read_product(FOOD.replace("may_bring: [order_screenshot]", "may_bring: [warranty_card_2]"), "fresh_food_rot")
    assert read.kinds == {"warranty_card_2"}


def test_folder_without_products_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidProduct, match="no product files"):
        load_catalogue(tmp_path)


def test_clause_is_quoted_by_its_number() -> None:
    assert "thirty days" in load_catalogue()["outpatient_medical"].clause_text("1.3", "en")
    assert load_catalogue()["outpatient_medical"].clause_text("9.9", "en") == ""

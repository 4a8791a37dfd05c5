"""Texts are data: no key is missing or unused, every language fills the same slots, and a further language is a
file.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

import claims
from api.pages.texts import FOLDER as PAGES
from claims.alerts import KINDS, TEST, Moment, Severity
from claims.claim import Status
from claims.decision import Outcome
from claims.errors import InvalidTexts
from claims.evidence import MatchOwner, PhotoVerdict, SignKind, StandingKind
from claims.formulas.registry import LINES
from claims.fraud.signals.registry import SIGNALS
from claims.judge.papers import CODE_BY_CHECK
from claims.product import ItemClass
from claims.reasons import CODES
from claims.subject import Subject
from claims.texts import DEFAULT, FOLDER, catalogues, languages, problems, slots, texts
from flows.operations.automations import RUN_STATES
from flows.stages import STAGES
from models.train.credit import ATTRIBUTES
from vision.documents.block_signs import Sign
from vision.documents.kinds.catalogue import load_catalogue as kinds_read
from vision.errors import REFUSAL_CODES
from vision.origin.words import ENGLISH

CLAIMS = Path(claims.__file__).parent
ROOT = CLAIMS.parent
ALERTING = [CLAIMS / "alerts.py", *(ROOT / "flows/operations" / name for name in ("automations.py", "notices.py"))]
ASKING = [
    CLAIMS / "explain.py",
    CLAIMS / "benefit_lines.py",
    FOLDER / "__init__.py",
    *(CLAIMS / "readings").glob("*.py"),
    *ALERTING,
]
SOURCES = "\n".join(path.read_text(encoding="utf-8") for path in ASKING)
FIELDS_READ = {name for kind in kinds_read().values() for name in kind.fields}
SCORED = {
    entry["name"] for entry in json.loads((ROOT / "models/weights/credit_scorecard.json").read_text())["attributes"]
}

# Groups whose names are codes of facts, and those codes. A group named here is asked for as a whole.
GROUPS: dict[str, set[str]] = {
    "reasons": set(CODES),
    "statuses": set(Status),
    "outcomes": set(Outcome),
    "subjects": set(Subject),
    "looks": set(PhotoVerdict),
    "owners": {*MatchOwner, "another claim"},
    "other_claim_statuses": {*Status, "of unknown status"},
    "sign_kinds": set(SignKind),
    "species": {"dog", "cat", "other"},
    "standings": set(StandingKind),
    "second_paper_signs": set(get_args(Sign)),
    "sign_phrases": set(ENGLISH),
    "checks": set(CODE_BY_CHECK),
    "refusals": set(REFUSAL_CODES),
    # Recorded by earlier versions: "noses".
    "stages": {*STAGES, "load", "lease", "decide", "noses"},
    "shared": set(SIGNALS),
    "benefits": set(LINES),
    "benefit_sentences": set(LINES),
    "item_classes": {*get_args(ItemClass), "-"} - {""},
    "alerts": {kind.key for kind in (*KINDS.values(), TEST)},
    "alert_steps": {kind.key for kind in (*KINDS.values(), TEST)},
    "alert_moments": set(Moment),
    "alert_severities": set(Severity),
    "run_notices": {*RUN_STATES, "body"},
    # Not read from papers, and compared with them: what the claimant stated.
    "paper_fields": FIELDS_READ | {"occurred_at", "payee", "device", "check_code"},
}
SUBSETS = {
    "claimant_reasons": set(CODES),
    "credit": set(ATTRIBUTES),
}


def asked_one_by_one() -> set[str]:
    """Returns the keys that appear literally in the code."""
    groups = {key.partition(".")[0] for key in texts(DEFAULT).by_key}
    keys = set(re.findall(r'"([a-z_]+\.[a-z_]+)"', SOURCES))
    return {key for key in keys if key.partition(".")[0] in groups}


def test_every_key_that_the_code_names_has_a_text_and_every_text_is_asked_for() -> None:
    named, known = asked_one_by_one(), set(texts(DEFAULT).by_key)
    assert named - known == set(), "keys without a text"
    left = {key for key in known - named if key.partition(".")[0] not in {*GROUPS, *SUBSETS, "counts"}}
    assert left == set(), "texts that nothing asks for"
    units = {name.partition(".")[0] for name in texts(DEFAULT).names("counts")}
    assert units == set(re.findall(r'counted\("(\w+)"\)', SOURCES))


def test_groups_that_are_asked_for_by_a_code_of_a_fact_have_a_text_for_each_and_no_other() -> None:
    catalogue = r"(?:texts|texts\(lang\)|catalogue)"
    by_code = rf'named\("(\w+)"\)|{catalogue}\.(?:label|get)\("(\w+)"|f"(\w+)\.\{{'
    asked = {next(filter(None, groups)) for groups in re.findall(by_code, SOURCES)}
    assert asked - {*GROUPS, *SUBSETS} == set()
    for group, codes in GROUPS.items():
        assert set(texts(DEFAULT).names(group)) == codes, group
    for group, codes in SUBSETS.items():
        assert set(texts(DEFAULT).names(group)) <= codes, group
    assert set(texts(DEFAULT).names("credit")) >= SCORED


def test_a_lines_texts_have_no_slots_but_those_that_its_kind_fills() -> None:
    for kind in LINES.values():
        filled = {slot.name for slot in kind.slots}
        beside = kind.beside if "{" in kind.beside or not kind.beside else texts(DEFAULT)[kind.beside]
        for words in (texts(DEFAULT)[f"benefit_sentences.{kind.label}"], beside):
            assert slots(words) <= filled, f"{kind.label}: {words}"
        assert slots(texts(DEFAULT)[f"benefits.{kind.label}"]) == frozenset(), kind.label


def test_every_language_has_the_keys_and_slots_of_the_default_one() -> None:
    for language in languages():
        assert problems(texts(language), texts(DEFAULT)) == []
        assert set(languages()) == set(catalogues(PAGES))


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("  paid: paid\n", "", "de.yaml: statuses.paid is missing"),
        ("  paid: paid\n", "  paid: paid\n  given: given\n", "de.yaml: statuses.given is asked for by nothing"),
        ("scaled to {n}%", "scaled to {m}%", "transforms.scaled has other {slots}"),
        ("scaled to {n}%", "scaled", "transforms.scaled has other {slots}"),
        ("scaled to {n}%", "scaled to {n", "transforms.scaled: "),
        ("scaled to {n}%", "scaled to {n:d}%", "a slot is a {name} and nothing else"),
        ("[ of {threshold}] is used up", "[ of {threshold} is used up", "a [bracket] is not closed"),
        ("  days: {one:", "  days: {few:", "counts.days.one is missing"),
        ("  paid: paid\n", "  paid: no\n", "statuses.paid is no text; put it in quotes"),
        ("  paid: paid\n", '  paid: ""\n', "statuses.paid is empty"),
        ("  paid: paid\n", "  paid: [\n", "de.yaml"),
    ],
)
def test_a_catalogue_that_lacks_or_misspells_something_is_refused_by_name(
    tmp_path: Path, old: str, new: str, complaint: str
) -> None:
    english = (FOLDER / "en.yaml").read_text(encoding="utf-8")
    assert english.count(old) >= 1
    (tmp_path / "en.yaml").write_text(english, encoding="utf-8")
    (tmp_path / "de.yaml").write_text(english.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(InvalidTexts, match=re.escape(complaint)):
        catalogues(tmp_path)


def test_a_file_that_is_no_language_and_a_folder_without_the_default_one_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidTexts, match=r"no en\.yaml"):
        catalogues(tmp_path)
    shutil.copy(FOLDER / "en.yaml", tmp_path / "en.yaml")
    shutil.copy(FOLDER / "en.yaml", tmp_path / "xx.yaml")
    with pytest.raises(InvalidTexts, match="no language that CLDR knows"):
        catalogues.__wrapped__(tmp_path)


def test_numbers_and_days_have_the_forms_of_their_language() -> None:
    assert [texts("en").count("days", n) for n in (0, 1, 2)] == ["0 days", "1 day", "2 days"]
    assert texts("zh").count("people", 1) == "1 人"
    assert texts("en").day(date(2026, 9, 5)) == "5 Sep 2026"
    assert texts("zh").day(date(2026, 9, 5)) == "2026年9月5日"


# ---- a third language

MARK = "¤"
# French has a plural form that neither of the others has: 1 000 000 de jours.
FORMS = ("one", "many", "other")
ASKED = """
import json, sys
from datetime import timedelta
from starlette.requests import Request
from api.http.languages import preferred
from api.pages import rendering
from claims import explain
from claims.alerts import KINDS, TEST, Moment, Severity
from claims.claim import Status
from claims.readings import signs
from claims.texts import languages
from fixtures.cases import NOW, in_order

def page(headers):
    scope = {"type": "http", "method": "GET", "path": "/sign-in", "query_string": b"", "server": ("x", 80),
             "scheme": "http", "headers": [(k.encode(), v.encode()) for k, v in headers.items()]}
    return rendering.render(Request(scope), "sign_in.html", message="", csrf="c").body.decode()

late = in_order("fresh_food_rot").with_claim(occurred_at=NOW - timedelta(days=8))
paid = in_order("outpatient_medical")
json.dump({
    "languages": languages(),
    "preferred": preferred("fr-CA, en;q=0.3"),
    "reason": explain.reason_text(late.decision().reasons[0], "fr", late.product),
    "claimant": explain.claimant_texts(late.decision(), "fr", late.product),
    "in_order": [explain.reason_text(one, "fr", paid.product) for one in paid.decision().reasons],
    "explanation": [[row.label, row.words] for row in explain.explanation(paid.decision(), "fr")],
    "status": explain.status_text(Status.PAID, "fr"),
    "sign": signs.kind_text("recapture", "fr"),
    "product": late.product.name.in_language("fr"),
    "page": page({"accept-language": "fr"}),
    "chosen": page({"accept-language": "en", "cookie": "miaopei_lang=fr"}),
    "chinese": page({"accept-language": "zh"}),
}, sys.stdout)
"""


def marked(text: str) -> str:
    return f"{MARK}{text}"


def planted(catalogue: dict[str, Any], changed: dict[str, dict[str, str]]) -> str:
    """Returns the catalogue with a mark before every text, as YAML."""
    french = {
        group: {name: marked(str(text)) for name, text in entries.items()} for group, entries in catalogue.items()
    }
    if "counts" in catalogue:
        french["counts"] = {
            name: {form: marked(forms["other"]) for form in FORMS} for name, forms in catalogue["counts"].items()
        }
    for group, entries in changed.items():
        french[group] = entries
    return yaml.safe_dump(french, allow_unicode=True)


@pytest.fixture(scope="module")
def french(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Returns the output of a copy of the tree with two further catalogues: of claims and of the pages."""
    tree = tmp_path_factory.mktemp("tree")
    for package in ("api", "claims"):
        shutil.copytree(ROOT / package, tree / package, ignore=shutil.ignore_patterns("__pycache__"))
    for folder, changed in (
        (FOLDER, {"language": {"terms": "optional"}, "formats": {"day": f"'{MARK}'d MMM y"}}),
        (PAGES, {"language": {"tag": "fr", "name": "Français"}}),
    ):
        words = yaml.safe_load((folder / "en.yaml").read_text(encoding="utf-8"))
        (tree / folder.relative_to(ROOT) / "fr.yaml").write_text(planted(words, changed), encoding="utf-8")
    ran = subprocess.run(
        [sys.executable, "-c", ASKED],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": f"{tree}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    answers: dict[str, Any] = json.loads(ran.stdout)
    return answers


def test_a_third_language_is_a_file_and_reasons_come_out_in_it(french: dict[str, Any]) -> None:
    assert french["languages"] == ["fr", "zh", "en"]
    assert french["preferred"] == "fr"
    assert french["reason"] == (
        f"{MARK}{MARK}the claim was made {MARK}8 days after the event, too late (at most {MARK}3 days) (clause 3.1)"
    )
    assert french["claimant"] == [french["reason"]]
    assert all(text.startswith(MARK) for text in french["in_order"])
    assert french["status"].startswith(MARK)
    assert french["sign"] == f"{MARK}taken from a screen or print"
    assert french["product"] == "Fresh-food rot cover", "terms without words in the language have the default one's"


def test_explanations_of_benefits_come_out_in_it(french: dict[str, Any]) -> None:
    assert len(french["explanation"]) > 3
    for label, words in french["explanation"]:
        assert label.startswith(MARK)
        assert not words or words.startswith(MARK)


def test_pages_come_out_in_it_and_offer_every_other_language(french: dict[str, Any]) -> None:
    for page in (french["page"], french["chosen"]):
        assert '<html lang="fr">' in page
        assert f"{MARK}Sign in" in page
        assert f"{MARK}{MARK}" not in page
        assert re.findall(r'href="/language/(\w+)', page) == ["zh", "en"]
    assert re.findall(r'href="/language/(\w+)[^>]*>([^<]+)<', french["chinese"]) == [
        ("fr", "Français"),
        ("en", "English"),
    ]

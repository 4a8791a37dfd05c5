"""A kind of paper that an insurer added is called by its title wherever titles are shown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from api.cli import app
from api.settings import Settings
from claims.decision import Outcome
from claims.explain import not_vouched_text, paper_kind_text
from claims.paper_kind import OURS, load_paper_kinds
from claims.store import adjudication
from tests.api.http.world import Api, running
from tests.api.pages import seeding
from tests.api.pages.test_pages_http import sign_in

KIND = "dental_bill"
TITLES = {"zh": "口腔门诊收据", "en": "invoice of a dentist"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Returns an insurer's folder of kinds with one kind of theirs."""
    ours = (OURS / "outpatient_invoice.yaml").read_text(encoding="utf-8")
    changes = {
        "kind: outpatient_invoice": f"kind: {KIND}",
        "门诊发票": TITLES["zh"],
        "outpatient invoice": TITLES["en"],
    }
    for old, new in changes.items():
        assert old in ours
        ours = ours.replace(old, new)
    theirs = tmp_path / "kinds" / "claims"
    theirs.mkdir(parents=True)
    (theirs / f"{KIND}.yaml").write_text(ours, encoding="utf-8")
    return tmp_path / "kinds"


@pytest.fixture
def site(database_url: str, tmp_path: Path, folder: Path) -> Iterator[Api]:
    evidence = f"file://{tmp_path}/evidence"
    with running(
        Settings(home=tmp_path / "home", database_url=database_url, evidence_url=evidence, paper_kinds=folder)
    ) as api:
        yield api


def test_reasons_pages_and_api_call_it_by_its_title(site: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def facts(claimed_before: tuple[str, ...]) -> Any:
        def of(file: adjudication.ClaimFile, _: str) -> dict[str, Any]:
            bills = (seeding.invoice_facts(row) for row in file.evidence)
            return {"papers": tuple(replace(b, kind=KIND, number_claimed_before=claimed_before) for b in bills)}

        return of

    claim_ids = []
    for number, claimed_before in enumerate(((), ("claim-of-another",))):
        owner, policy = f"clm-{number}", f"pol-{number}"
        seeding.register(site, owner, policy, product="outpatient_medical")
        claim_id = seeding.claim(
            site,
            owner,
            policy,
            "paper",
            seed=number,
            product="outpatient_medical",
            peril="illness",
            amount_minor=40_000,
        )
        decision = seeding.record(site, claim_id, facts(claimed_before))
        assert decision.outcome is (Outcome.REFER if claimed_before else Outcome.ASK), decision.reasons
        claim_ids.append(claim_id)
    asked, referred = claim_ids

    for language, title in TITLES.items():
        headers = {"Accept-Language": language}
        claim = site.as_("claimant", "clm-0").get(f"/v1/claims/{asked}", headers=headers).json()
        (reason,) = [row for row in claim["decision"]["reasons"] if row["code"] == "paper_of_other_kind"]
        assert title in reason["text"]
        adjusters = site.as_("adjuster", "li").get(f"/v1/claims/{asked}", headers=headers).json()
        (reason,) = [row for row in adjusters["decision"]["reasons"] if row["code"] == "paper_of_other_kind"]
        assert title in reason["text"]

        claimant, adjuster = sign_in(site, "claimant", "clm-0"), sign_in(site, "adjuster", "li")
        assert title in claimant.client.get(f"/claims/{asked}", headers=headers).text
        page = adjuster.client.get(f"/cases/{seeding.referral_of(site, referred)}", headers=headers).text
        assert f'<span class="chip none">{title}</span>' in page
        assert KIND.replace("_", " ") not in page
        for name, setting in (("HOME", site.settings.home), ("DATABASE_URL", site.settings.database_url)):
            monkeypatch.setenv(f"MIAOPEI_{name}", str(setting))
        monkeypatch.setenv("MIAOPEI_PAPER_KINDS", str(site.settings.paper_kinds))
        shown = seeding.apart(CliRunner().invoke, app, ["claims", "show", asked, "--language", language])
        assert shown.exit_code == 0, shown.output
        assert title.split()[-1] in shown.output


def test_a_reading_that_two_kinds_fit_names_both_by_their_titles(folder: Path) -> None:
    kinds = load_paper_kinds(folder)
    for language, title in TITLES.items():
        because = f"the words point to {KIND} besides receipt"
        assert title in not_vouched_text(because, language, kinds)
        assert title not in not_vouched_text(because, language)
        assert paper_kind_text(KIND, language, kinds) == title
    assert paper_kind_text(KIND, "en") == "dental bill"  # from its name, where the installation has no such kind
    assert paper_kind_text(KIND, "zh") == "dental bill"


@pytest.mark.parametrize("command", [["api"], ["up"], ["claims", "show", "clm_1"]])
def test_a_folder_with_a_mistake_is_refused_at_start_by_the_name_of_the_file(
    command: list[str], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "claims" / "dog_bill.yaml").write_text("kind: dog_bill\ntitle: {zh: 犬}\n", encoding="utf-8")
    monkeypatch.setenv("MIAOPEI_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MIAOPEI_DATABASE_URL", "postgresql://nobody@127.0.0.1:9/none")
    monkeypatch.setenv("MIAOPEI_PAPER_KINDS", str(folder))
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 2, done.output
    assert "dog_bill.yaml: title" in "".join(done.output.split("\n"))

"""Trains the credit scorecard: `python -m models.train.credit --data ../shared/data/credit-taiwan-dev.csv` (about a
minute).

Data: "Default of Credit Card Clients" (Yeh and Lien, 2009; UCI, CC BY 4.0), card holders in Taiwan in 2005; target:
default in the month after the six months described. Sex, age, marriage and education are left out. Columns become
attributes that a payment platform has of its own customers; a Taiwan dollar counts 0.25 yuan.

Method: each attribute is cut by a small decision tree with a monotonic constraint, bins become weights of evidence, a
logistic regression weighs them (attributes whose weight would turn negative are dropped), and the log odds are scaled
so that 650 is 20 good to 1 bad and 50 points double the odds. Rows with equal attributes stay on one side of every
split. Writes models/weights/credit_scorecard.json, models/cards/credit_scorecard.yaml and models/results/credit.csv.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from claims.credit import SCORE_MAX, SCORE_MIN, Scorecard, score
from claims.evidence import CreditFact
from models.registry import CARDS, Card, ModelFile, sha256_of, write_card

NAME, VERSION, SEED = "credit_scorecard", "1.0", 20261122
PDO, SCORE_AT, ODDS_AT = 50.0, 650.0, 20.0
FACTOR = PDO / math.log(2.0)
OFFSET = SCORE_AT - FACTOR * math.log(ODDS_AT)
LEAVES_MAX, LEAF_SHARE_MIN = 8, 0.02
FOLDS = 5
YUAN_FEN_PER_TWD = 25  # 0.25 yuan in fen, about the rate of 2005
HUGE = 1e15

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]

# name: (higher is better?, minimum, maximum)
ATTRIBUTES: dict[str, tuple[bool, float, float]] = {
    "months_late_now": (False, 0, 24),
    "months_late_worst_6m": (False, 0, 24),
    "months_late_count_6m": (False, 0, 6),
    "months_late_sum_6m": (False, 0, 144),
    "months_paid_in_full_6m": (True, 0, 6),
    "months_revolving_6m": (False, 0, 6),
    "credit_line_minor": (True, 0, HUGE),
    "utilisation_now_ratio": (False, 0, 100),
    "utilisation_mean_6m_ratio": (False, 0, 100),
    "repaid_share_6m_ratio": (True, 0, 1),
    "repaid_last_month_minor": (True, 0, HUGE),
    "repaid_mean_6m_minor": (True, 0, HUGE),
    "repaid_least_6m_minor": (True, 0, HUGE),
}


def read(path: Path) -> tuple[dict[str, Floats], Floats, Labels]:
    """Return attributes by name, the raw columns without the personal ones (n, 20), and the labels, bad = 1."""
    with path.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    column = {name: np.array([float(row[name]) for row in rows]) for name in rows[0]}
    pays = ["PAY_0", *(f"PAY_{month}" for month in range(2, 7))]
    bills, repaid = [f"BILL_AMT{month}" for month in range(1, 7)], [f"PAY_AMT{month}" for month in range(1, 7)]
    raw = np.stack([column[name] for name in ["LIMIT_BAL", *pays, *bills, *repaid]], axis=1)
    pay = np.stack([column[name] for name in pays], axis=1)
    bill = np.maximum(0, np.stack([column[name] for name in bills], axis=1))
    paid = np.stack([column[name] for name in repaid], axis=1)
    line = np.maximum(1, column["LIMIT_BAL"])
    late = np.maximum(0, pay)
    owed = bill[:, 1:].sum(axis=1)  # a month's repayment pays the bill of the month before
    attributes = {
        "months_late_now": late[:, 0],
        "months_late_worst_6m": late.max(axis=1),
        "months_late_count_6m": (pay > 0).sum(axis=1).astype(float),
        "months_late_sum_6m": late.sum(axis=1),
        "months_paid_in_full_6m": (pay < 0).sum(axis=1).astype(float),
        "months_revolving_6m": (pay == 0).sum(axis=1).astype(float),
        "credit_line_minor": column["LIMIT_BAL"] * YUAN_FEN_PER_TWD,
        "utilisation_now_ratio": bill[:, 0] / line,
        "utilisation_mean_6m_ratio": bill.mean(axis=1) / line,
        "repaid_share_6m_ratio": np.where(owed > 0, np.minimum(1, paid[:, :5].sum(axis=1) / np.maximum(1, owed)), 1.0),
        "repaid_last_month_minor": paid[:, 0] * YUAN_FEN_PER_TWD,
        "repaid_mean_6m_minor": paid.mean(axis=1) * YUAN_FEN_PER_TWD,
        "repaid_least_6m_minor": paid.min(axis=1) * YUAN_FEN_PER_TWD,
    }
    return attributes, raw, column["Default"].astype(np.int64)


def edges(values: Floats, bad: Labels, *, higher_is_better: bool) -> list[float]:
    """Return the upper edges of all bins but the last, from a tree whose bad share rises or falls with the value."""
    tree = DecisionTreeClassifier(
        max_leaf_nodes=LEAVES_MAX,
        min_samples_leaf=LEAF_SHARE_MIN,
        criterion="entropy",
        monotonic_cst=[-1 if higher_is_better else 1],
        random_state=SEED,
    ).fit(values[:, None], bad)
    # Four significant digits, so that a person can read the edge; rows are counted on either side after rounding.
    rounded = {float(f"{cut:.4g}") for cut in tree.tree_.threshold[tree.tree_.feature >= 0]}
    return sorted(rounded)


def evidence_weights(values: Floats, bad: Labels, cuts: list[float]) -> list[float]:
    """Return ln(share of good / share of bad) of each bin; half a case of each kind keeps empty cells finite."""
    place = np.searchsorted(np.array(cuts), values, side="left")
    weights = []
    for bin_index in range(len(cuts) + 1):
        inside = place == bin_index
        good_share = (np.sum(inside & (bad == 0)) + 0.5) / (np.sum(bad == 0) + 0.5)
        bad_share = (np.sum(inside & (bad == 1)) + 0.5) / (np.sum(bad == 1) + 0.5)
        weights.append(float(np.log(good_share / bad_share)))
    return weights


def monotone_cuts(values: Floats, bad: Labels, *, higher_is_better: bool) -> list[float]:
    """Return the tree's edges without those that rounding left between two bins in the wrong order."""
    cuts = edges(values, bad, higher_is_better=higher_is_better)
    while True:
        weights = evidence_weights(values, bad, cuts)
        steps = [b - a if higher_is_better else a - b for a, b in pairwise(weights)]
        if all(step >= 0 for step in steps):
            return cuts
        cuts.pop(int(np.argmin(steps)))


def fit(attributes: dict[str, Floats], bad: Labels) -> dict[str, Any]:
    """Return the scorecard as plain data, ready to be written."""
    cuts = {n: monotone_cuts(values, bad, higher_is_better=ATTRIBUTES[n][0]) for n, values in attributes.items()}
    woe = {n: evidence_weights(values, bad, cuts[n]) for n, values in attributes.items()}
    names = [n for n in attributes if cuts[n]]
    while True:
        evidence_of_rows = np.stack(
            [np.array(woe[n])[np.searchsorted(np.array(cuts[n]), attributes[n], side="left")] for n in names], axis=1
        )
        weigh = LogisticRegression(C=1e6, max_iter=2000).fit(evidence_of_rows, 1 - bad)
        weights = weigh.coef_[0]
        if weights.min() >= 0:
            break
        names.pop(int(np.argmin(weights)))  # evidence with a reversed sign beside the others is noise or redundant
    return {
        "name": NAME,
        "version": VERSION,
        "factor": round(FACTOR, 6),
        "offset": round(OFFSET, 6),
        "base_points": round(OFFSET + FACTOR * float(weigh.intercept_[0]), 2),
        "attributes": [
            {
                "name": n,
                "minimum": ATTRIBUTES[n][1],
                "maximum": ATTRIBUTES[n][2],
                "bins": [
                    {"upper": upper, "points": round(FACTOR * float(weight) * evidence, 2)}
                    for upper, evidence in zip([*cuts[n], None], woe[n], strict=True)
                ],
            }
            for n, weight in zip(names, weights, strict=True)
        ],
    }


def scores(card: Scorecard, attributes: dict[str, Floats]) -> Floats:
    """Return the product's own score of every row, clamped as in use."""
    names = [attribute.name for attribute in card.attributes]
    row_scores = []
    for values in zip(*(attributes[n].tolist() for n in names), strict=True):
        fact = score(dict(zip(names, values, strict=True)), card)
        if not isinstance(fact, CreditFact):
            raise ValueError(f"a training row has no score: {fact.reason}")
        row_scores.append(float(fact.score))
    return np.array(row_scores)


def baselines(train: tuple[Floats, Labels], test: Floats) -> dict[str, Floats]:
    """Return the probability of bad on `test` by other methods, fitted on the same rows."""
    values, bad = train
    plain = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000)).fit(values, bad)
    boosted = HistGradientBoostingClassifier(
        learning_rate=0.05, max_iter=200, max_leaf_nodes=15, min_samples_leaf=50, random_state=SEED
    ).fit(values, bad)
    return {
        "majority": np.full(len(test), bad.mean()),
        "logistic": plain.predict_proba(test)[:, 1],
        "boosted_trees": boosted.predict_proba(test)[:, 1],
    }


def measure(
    train: NDArray[np.int64], test: NDArray[np.int64], data: tuple[dict[str, Floats], Floats, Labels]
) -> dict[str, float]:
    """Return the AUC on `test` of every method fitted on `train`."""
    attributes, raw, bad = data
    card = Scorecard.from_json(json.dumps(fit({n: v[train] for n, v in attributes.items()}, bad[train])))
    own = scores(card, {n: v[test] for n, v in attributes.items()})
    matrix = np.stack(list(attributes.values()), axis=1)
    auc = {"scorecard": roc_auc_score(bad[test], -own)}
    for name, chance in baselines((raw[train], bad[train]), raw[test]).items():
        auc[f"{name}_raw"] = roc_auc_score(bad[test], chance)
    for name, chance in baselines((matrix[train], bad[train]), matrix[test]).items():
        if name != "majority":
            auc[f"{name}_attributes"] = roc_auc_score(bad[test], chance)
    return {name: float(value) for name, value in auc.items()}


def calibration(card: Scorecard, own: Floats, bad: Labels) -> dict[str, Any]:
    """Compare the modelled bad share with the observed one, overall and by fifth of the scores."""
    chance = np.array([card.bad_ratio(value) for value in own])
    order = np.argsort(own, kind="stable")
    parts = np.array_split(order, 5)
    gaps = [abs(float(chance[part].mean() - bad[part].mean())) for part in parts]
    fifths = [
        {
            "scores": f"{own[part].min():.0f}-{own[part].max():.0f}",
            "expected": round(float(chance[part].mean()), 4),
            "observed": round(float(bad[part].mean()), 4),
        }
        for part in parts
    ]
    return {
        "brier": round(float(brier_score_loss(bad, chance)), 4),
        "brier_of_base_rate": round(float(bad.mean() * (1 - bad.mean())), 4),
        "log_loss": round(float(log_loss(bad, chance)), 4),
        "expected_calibration_error": round(float(np.mean(gaps)), 4),
        "fifths": fifths,
    }


def below(own: Floats, bad: Labels) -> list[dict[str, float]]:
    """Return, to choose a threshold, the share of people under each score, how many of them are bad, and which share of
    all bad that is."""
    return [
        {
            "score": cut,
            "share_below": round(float((own < cut).mean()), 4),
            "bad_below": round(float(bad[own < cut].mean()), 4) if (own < cut).any() else 0.0,
            "bad_caught": round(float((own[bad == 1] < cut).mean()), 4),
        }
        for cut in range(375, 651, 25)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/credit-taiwan-dev.csv"))
    path = parser.parse_args().data
    attributes, raw, bad = read(path)
    keys = [hashlib.sha256(row.tobytes()).hexdigest() for row in raw]
    groups = np.unique(keys, return_inverse=True)[1]
    data = (attributes, raw, bad)
    train, held = next(StratifiedGroupKFold(FOLDS, shuffle=True, random_state=SEED).split(raw, bad, groups))
    folds = [
        measure(train[a], train[b], data)
        for a, b in StratifiedGroupKFold(FOLDS, shuffle=True, random_state=SEED + 1).split(
            raw[train], bad[train], groups[train]
        )
    ]
    five_fold = {n: round(float(np.mean([fold[n] for fold in folds])), 4) for n in folds[0]}
    spread = {n: round(float(np.std([fold[n] for fold in folds])), 4) for n in folds[0]}
    holdout = {n: round(value, 4) for n, value in measure(train, held, data).items()}

    plain = fit({n: v[train] for n, v in attributes.items()}, bad[train])
    weights = CARDS.parent / "weights" / f"{NAME}.json"
    weights.write_text(json.dumps(plain, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    card = Scorecard.from_json(weights.read_bytes())
    own = scores(card, {n: v[held] for n, v in attributes.items()})
    rows = {"train": len(train), "holdout": len(held), "rows_with_a_twin": int(len(keys) - len(set(keys)))}
    # A leak check: a column that contained the answer would nearly order it alone.
    single = {n: round(float(max(a := roc_auc_score(bad, v), 1 - a)), 4) for n, v in attributes.items()}
    metrics: dict[str, Any] = {
        "rows": rows,
        "bad_share": round(float(bad.mean()), 4),
        "auc_five_fold": five_fold,
        "auc_five_fold_sd": spread,
        "auc_holdout": holdout,
        "calibration_holdout": calibration(card, own, bad[held]),
        "below_score_holdout": below(own, bad[held]),
        "clamped_share": round(float(np.mean((own <= SCORE_MIN) | (own >= SCORE_MAX))), 4),
        "auc_of_single_attributes": single,
    }
    _write(card, weights, metrics, path)
    print(json.dumps(metrics, indent=1))


def _write(card: Scorecard, weights: Path, metrics: dict[str, Any], data: Path) -> None:
    write_card(
        Card(
            name=NAME,
            version=VERSION,
            summary="A binned scorecard, 350-950, over attributes of how a customer uses and repays credit.",
            licence="Apache-2.0 (weights); data CC BY 4.0",
            source="Yeh and Lien, 2009: Default of Credit Card Clients (UCI), rows kept for development",
            how_to_get=f"python -m models.train.credit --data {data}",
            files={
                "weights": ModelFile(f"weights/{weights.name}", sha256_of(weights), weights.stat().st_size),
            },
            preprocessing={
                "attributes": [attribute.name for attribute in card.attributes],
                "left_out": ["sex", "age", "marriage", "education"],
                "money": "fen; Taiwan dollars counted at 0.25 yuan",
                "scale": "650 at 20 good to 1 bad, 50 points double the odds, clamped to 350-950",
            },
            trained_on=(
                "Credit card holders of one bank in Taiwan, April to September 2005; bad: default in October 2005."
                " Foreign, old and of another business: not the insurer's own customers, on whom this score has not"
                " been measured."
            ),
            metrics=metrics,
            limits=(
                "Default on a card is not insurance fraud, and nothing here shows that the two go together. The rules"
                " therefore never act on the score alone. The odds are those of a population with 22% bad; among an"
                " insurer's customers the same score means other odds. The attributes describe the six months before"
                " the target month, so none of them can know it; no single attribute orders the target better than the"
                " figure under auc_of_single_attributes. Fairness by sex or age was not measured: the columns are left"
                " out of training, which does not rule out proxies."
            ),
            root=CARDS.parent,
        )
    )
    result = CARDS.parent / "results" / "credit.csv"
    result.parent.mkdir(exist_ok=True)
    with result.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["model", "method", "auc_five_fold", "auc_five_fold_sd", "auc_holdout"])
        for method, value in metrics["auc_five_fold"].items():
            spread, held = metrics["auc_five_fold_sd"][method], metrics["auc_holdout"][method]
            writer.writerow([card.label, method, value, spread, held])


if __name__ == "__main__":
    main()

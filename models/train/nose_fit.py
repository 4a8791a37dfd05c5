"""Fits the fusion of nose scores and thresholds to animals that were photographed in several sessions; bootstrap
intervals are over animals, since photos of one animal are no independent witnesses."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from vision.nose import NoseTemplate
from vision.nose.compare import compare_pair
from vision.nose.likelihood import ImpostorTail, NoseLikelihood

Floats = npt.NDArray[np.float64]
Kind = Literal["genuine", "same_session", "impostor"]

SEED: Final = 7
ENROLLED_MAX: Final = 5
PROBES_A_SESSION: Final = 2
STRANGERS_A_PROBE: Final = 6  # beside every animal of the same group (litter-mates)
TAIL_SHARE: Final = 0.05  # of the impostors, to which the exponential tail is fitted
TAIL_MIN: Final = 20  # of them, at least
REPLAYED_SIMILARITY: Final = 0.95  # two sessions of one nose never came as close: one photo in two folders
MARGIN: Final = 0.02  # similarity, above the closest impostor
BOOTSTRAPS: Final = 200
FOLDS: Final = 5


class CannotFit(Exception):
    """The photos do not suffice, or are not where they should be; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class Animal:
    """An animal with the templates of each session. group: animals that resemble one another, such as a litter; ""
    without."""

    name: str
    sessions: tuple[tuple[NoseTemplate, ...], ...]
    group: str = ""


@dataclass(frozen=True, slots=True)
class ScoredPair:
    """A photo compared with one session's photos of an animal. Animals by their place in the list."""

    kind: Kind
    probe: int
    target: int
    similarity: float
    inliers: int


@dataclass(frozen=True, slots=True)
class Fit:
    """A fusion with its figures, ready for card and report. curve: false alarms and misses of the fused score."""

    likelihood: NoseLikelihood
    figures: dict[str, Any]
    thresholds: dict[str, float]
    curve: tuple[tuple[float, float], ...]


def score_pairs(
    animals: Sequence[Animal], progress: Callable[[int, int], None] | None = None
) -> tuple[list[ScoredPair], list[str]]:
    """Compare each session's photos with another session of the same animal, with their own session, and with other
    animals. Returns the pairs, and in words those that look like one photo in two sessions, which are left out."""
    rng = np.random.default_rng(SEED)
    pairs: list[ScoredPair] = []
    replayed = []
    for index, animal in enumerate(animals):
        mates = [i for i, other in enumerate(animals) if i != index and animal.group and other.group == animal.group]
        others = [i for i in range(len(animals)) if i != index and i not in mates]
        for place, session in enumerate(animal.sessions):
            targets = [*mates, *rng.permutation(others)[:STRANGERS_A_PROBE].tolist()]
            for probe in session[:PROBES_A_SESSION]:
                for other, enrolled in enumerate(animal.sessions):
                    own = other == place
                    kept = [template for template in enrolled if template is not probe]
                    kind: Kind = "same_session" if own else "genuine"
                    pair = _scored(kind, index, index, probe, kept)
                    if pair is not None and not own and pair.similarity >= REPLAYED_SIMILARITY:
                        replayed.append(f"{animal.name}: sessions {place + 1} and {other + 1}, {pair.similarity:.2f}")
                    elif pair is not None:
                        pairs.append(pair)
            for target in targets:
                chosen = int(rng.integers(len(animals[target].sessions)))
                pair = _scored("impostor", index, target, session[0], animals[target].sessions[chosen])
                if pair is not None:
                    pairs.append(pair)
        if progress is not None:
            progress(index + 1, len(animals))
    return pairs, replayed


def _scored(
    kind: Kind, probe_animal: int, target: int, probe: NoseTemplate, enrolled: Sequence[NoseTemplate]
) -> ScoredPair | None:
    scores = [compare_pair(probe, template) for template in enrolled[:ENROLLED_MAX]]
    measured = [score for score in scores if score is not None]
    if not measured:
        return None
    similarity, inliers = max(score[0] for score in measured), max(score[1] for score in measured)
    return ScoredPair(kind, probe_animal, target, similarity, inliers)


def fit(
    animals: Sequence[Animal], pairs: Sequence[ScoredPair], *, valid_for: str, provisional: bool, model: str
) -> Fit:
    """Fit fusion, tail and thresholds. Raises CannotFit if either kind of pair is missing."""
    across = [pair for pair in pairs if pair.kind != "same_session"]
    truth = np.array([pair.kind == "genuine" for pair in across], bool)
    if truth.sum() < TAIL_MIN or (~truth).sum() < 2 * TAIL_MIN:
        raise CannotFit(
            f"{int(truth.sum())} comparisons across sessions and {int((~truth).sum())} between animals: at least "
            f"{TAIL_MIN} and {2 * TAIL_MIN} are needed"
        )
    features = _features(across)
    weights = _logistic(features, truth)
    scores = features @ weights[1:] + weights[0]
    similarity = features[:, 0]
    likelihood = NoseLikelihood(
        bias=round(float(weights[0]), 6),
        similarity_weight=round(float(weights[1]), 6),
        inliers_weight=round(float(weights[2]), 6),
        # With none of n animals beyond, a rate of 3 / n is still possible (95%).
        log10_min=-round(float(np.log10(max(1.5, len(animals) / 3))), 3),
        log10_max=round(float(np.log10(max(1.5, _animal_pairs(across, truth) / 3))), 3),
        valid_for=valid_for,
        provisional=provisional,
        animals=len(animals),
        sessions=sum(len(animal.sessions) for animal in animals),
        genuine=int(truth.sum()),
        impostors=int((~truth).sum()),
        similarity_min=round(float(similarity.min()), 4),
        similarity_max=round(float(similarity.max()), 4),
        model=model,
        tail=_tail(scores[~truth]),
    )
    held_out = _out_of_fold(across, features, truth)
    return Fit(
        likelihood, _figures(pairs, across, truth, held_out), _thresholds(across, truth), _curve(held_out, truth)
    )


def _features(pairs: Sequence[ScoredPair]) -> Floats:
    return np.array([[pair.similarity, np.log1p(pair.inliers)] for pair in pairs], np.float64).reshape(-1, 2)


def _logistic(features: Floats, truth: npt.NDArray[np.bool_]) -> Floats:
    """Return bias and weights; both kinds count alike, so that the log odds are a log likelihood ratio."""
    spread = features.std(axis=0) + 1e-9
    model = LogisticRegression(class_weight="balanced", C=1.0).fit(features / spread, truth)
    return np.asarray(np.r_[model.intercept_, model.coef_[0] / spread], np.float64)


def _animal_pairs(pairs: Sequence[ScoredPair], truth: npt.NDArray[np.bool_]) -> int:
    return len({frozenset((pair.probe, pair.target)) for pair, own in zip(pairs, truth, strict=True) if not own})


def _tail(impostors: Floats) -> ImpostorTail:
    ordered = np.sort(impostors)[::-1]
    count = min(len(ordered) - 1, max(TAIL_MIN, int(TAIL_SHARE * len(ordered))))
    start = float(ordered[count])
    # The exponential is the heaviest tail a bounded score can have; an upper bound of its scale, not the mean.
    scale = float((ordered[:count] - start).mean()) * (1 + 1.645 / count**0.5)
    return ImpostorTail(round(start, 4), round(count / len(ordered), 6), round(scale, 4), len(ordered))


def _out_of_fold(pairs: Sequence[ScoredPair], features: Floats, truth: npt.NDArray[np.bool_]) -> Floats:
    """Return every pair's score by a fusion that was fitted without the probe's animal."""
    fold = np.array([pair.probe % FOLDS for pair in pairs])
    scores = np.empty(len(pairs))
    for part in range(FOLDS):
        rest = fold != part
        if rest.all():
            continue
        weights = _logistic(features[rest], truth[rest])
        scores[~rest] = features[~rest] @ weights[1:] + weights[0]
    return scores


def _thresholds(pairs: Sequence[ScoredPair], truth: npt.NDArray[np.bool_]) -> dict[str, float]:
    """Return what an insurer may put into its rules. Accept: above every impostor; review: what 1 owner in 500 falls
    below, and never above accept."""
    similarity = np.array([pair.similarity for pair in pairs])
    inliers = np.array([pair.inliers for pair in pairs])
    accept = float(similarity[~truth].max()) + MARGIN
    review = max(float(np.percentile(similarity[truth], 0.2)) - MARGIN, float(np.median(similarity[~truth])))
    return {
        "nose_accept_similarity_min": round(accept, 2),
        "nose_accept_inliers_min": int(np.percentile(inliers[~truth], 95)),
        "nose_review_similarity_min": round(min(review, accept), 2),
    }


def _figures(
    pairs: Sequence[ScoredPair], across: Sequence[ScoredPair], truth: npt.NDArray[np.bool_], fused: Floats
) -> dict[str, Any]:
    names = {
        "fused": fused,
        "similarity": np.array([pair.similarity for pair in across]),
        "inliers": np.array([float(pair.inliers) for pair in across]),
    }
    samples = _resampled(across, truth)
    result: dict[str, Any] = {"bootstraps": len(samples)}
    for name, scores in names.items():
        rows = [_rates(scores, truth, weight) for weight in samples]
        here = _rates(scores, truth, np.ones(len(truth)))
        result[name] = {
            key: {
                "value": round(here[key], 5),
                "low": round(float(np.percentile([row[key] for row in rows], 2.5)), 5),
                "high": round(float(np.percentile([row[key] for row in rows], 97.5)), 5),
            }
            for key in here
        }
    odds = np.where(truth, -fused, fused)
    cost = float(np.logaddexp(0, odds[truth]).mean() + np.logaddexp(0, odds[~truth]).mean())
    result["cllr_bits"] = round(cost / (2 * math.log(2)), 4)
    own = [pair for pair in pairs if pair.kind == "same_session"]
    result["same_session"] = {
        "comparisons": len(own),
        "similarity_p50": round(float(np.median([pair.similarity for pair in own])), 4) if own else None,
        "auc_similarity": _auc([pair.similarity for pair in own], names["similarity"][~truth]) if own else None,
    }
    result["across_sessions"] = {
        "comparisons": int(truth.sum()),
        "similarity_p5": round(float(np.percentile(names["similarity"][truth], 5)), 4),
        "similarity_p50": round(float(np.median(names["similarity"][truth])), 4),
    }
    result["impostors"] = {
        "comparisons": int((~truth).sum()),
        "similarity_p50": round(float(np.median(names["similarity"][~truth])), 4),
        "similarity_p99": round(float(np.percentile(names["similarity"][~truth], 99)), 4),
        "similarity_max": round(float(names["similarity"][~truth].max()), 4),
    }
    return result


def _auc(genuine: Sequence[float], impostors: Floats) -> float:
    truth = np.r_[np.ones(len(genuine)), np.zeros(len(impostors))]
    return round(float(roc_auc_score(truth, np.r_[np.asarray(genuine), impostors])), 5)


def _resampled(pairs: Sequence[ScoredPair], truth: npt.NDArray[np.bool_]) -> list[Floats]:
    """Return a weight for each pair and resample: how often its animals were drawn."""
    rng = np.random.default_rng(SEED)
    probes, targets = np.array([pair.probe for pair in pairs]), np.array([pair.target for pair in pairs])
    names = np.unique(probes)
    samples: list[Floats] = []
    while len(samples) < BOOTSTRAPS:
        drawn = np.zeros(max(int(probes.max()), int(targets.max())) + 1)
        np.add.at(drawn, rng.choice(names, len(names)), 1)
        weight = np.where(truth, drawn[probes], drawn[probes] * drawn[targets])
        if weight[truth].sum() > 0 and weight[~truth].sum() > 0:
            samples.append(weight)
    return samples


def _rates(scores: Floats, truth: npt.NDArray[np.bool_], weight: Floats) -> dict[str, float]:
    """Return AUC, equal error rate and misses at 1% and 0.1% false alarms, of weighted pairs."""
    order = np.argsort(-scores, kind="stable")
    own, other = weight[order] * truth[order], weight[order] * ~truth[order]
    hits, alarms = np.cumsum(own) / own.sum(), np.cumsum(other) / other.sum()
    last = np.r_[np.diff(scores[order]) != 0, True]  # pairs of equal score are called together
    hits, alarms = np.r_[0.0, hits[last]], np.r_[0.0, alarms[last]]
    crossing = int(np.argmax(alarms >= 1 - hits))
    return {
        "auc": float(np.trapezoid(hits, alarms)),
        "eer": float((alarms[crossing] + 1 - hits[crossing]) / 2),
        "miss_rate_at_1pct": float(1 - hits[alarms <= 0.01].max()),
        "miss_rate_at_0.1pct": float(1 - hits[alarms <= 0.001].max()),
    }


def _curve(scores: Floats, truth: npt.NDArray[np.bool_]) -> tuple[tuple[float, float], ...]:
    """Return (false alarm rate, miss rate) at up to 200 thresholds, falling misses."""
    cuts = np.unique(np.quantile(scores, np.linspace(0, 1, 200)))[::-1]
    return tuple((float((scores[~truth] >= cut).mean()), float((scores[truth] < cut).mean())) for cut in cuts)


def enough(animals: Sequence[Animal], sessions_min: int) -> int:
    """Return how many animals have at least so many sessions."""
    return sum(len(animal.sessions) >= sessions_min for animal in animals)

"""Figures of `miaopei bench photos` over the outcomes of its queries: by edit, by source, by method."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from benchmarks import retrieval
from benchmarks.retrieval import Answer
from claims.copies import COPIES
from claims.evidence import PhotoVerdict
from claims.rules import RULES

OURS: Final = "fused"
NOWHERE: Final = -float("inf")
CUT_OFFS: Final = (0.5, 0.9, 0.95, 0.99, 0.999)  # beside the product's own
SMALL_BELOW: Final = 100  # queries of copies: sources with fewer are listed, and pooled as well
WRONG_SHOWN_MAX: Final = 40  # wrong namings listed, to be looked at by eye
SAME_SCENE: Final = "same_scene"


@dataclass(frozen=True, slots=True)
class QueryOutcome:
    """The picture each method named, and the product's verdict at its own cut-offs.

    edit: "" for a photo as it is. answers: by method. verdict: None where nothing could be measured. accused_of: the
    picture named as the original, -1 for none. before_a_person: something proves or may prove a copy, so that nothing
    is paid unseen. candidate: the original is among the pictures that were compared.
    """

    photo: int
    source: str
    edit: str
    in_library: bool
    answers: Mapping[str, Answer]
    verdict: PhotoVerdict | None
    accused_of: int
    before_a_person: bool
    candidate: bool

    def is_right(self, photo: int) -> bool:
        return self.in_library and photo == self.photo

    @property
    def named(self) -> bool:
        """True if the product names the original."""
        return self.verdict in COPIES and self.is_right(self.accused_of)

    @property
    def honest(self) -> bool:
        """True for a photo as it was taken that the library does not hold."""
        return not self.edit and not self.in_library


def share(outcomes: Sequence[QueryOutcome], counts: Callable[[QueryOutcome], bool]) -> float | None:
    """Returns the share of outcomes that count, None without any."""
    return round(sum(map(counts, outcomes)) / len(outcomes), 4) if outcomes else None


def method_figures(outcomes: Sequence[QueryOutcome], method: str) -> dict[str, Any]:
    """Returns recall by edit and for `all` at 99% precision and at no wrong answer, and muAP."""
    answers = [outcome.answers[method] for outcome in outcomes]
    return {
        "recall_at_p99": retrieval.recall_at_precision(answers),
        "recall_at_zero_fp": retrieval.recall_at_zero_fp(answers),
        "muap": retrieval.mu_ap(answers),
    }


def baseline_figures(outcomes: Sequence[QueryOutcome], method: str) -> dict[str, Any]:
    """Returns `method_figures`, and recall at 99% precision within each source."""
    return {
        **method_figures(outcomes, method),
        "by_source": {source: _recall(part, method) for source, part in sources(outcomes).items()},
    }


def sources(outcomes: Sequence[QueryOutcome]) -> dict[str, list[QueryOutcome]]:
    parts: dict[str, list[QueryOutcome]] = {}
    for outcome in sorted(outcomes, key=lambda outcome: outcome.source):
        parts.setdefault(outcome.source, []).append(outcome)
    return parts


def by_source(outcomes: Sequence[QueryOutcome]) -> dict[str, dict[str, Any]]:
    """Returns the figures of each source, with how many queries they rest on."""
    return {source: source_figures(part) for source, part in sources(outcomes).items()}


def small_sources(outcomes: Sequence[QueryOutcome]) -> dict[str, Any]:
    """Returns the pooled figures of the sources with few copies."""
    small = {
        source: part
        for source, part in sources(outcomes).items()
        if sum(outcome.in_library for outcome in part) < SMALL_BELOW
    }
    pooled = [outcome for part in small.values() for outcome in part]
    return {"copies_below": SMALL_BELOW, "sources": list(small), **source_figures(pooled)}


def source_figures(outcomes: Sequence[QueryOutcome]) -> dict[str, Any]:
    """Returns the figures of the queries of one source, None where it has no such queries.

    recall_at_p99: at a cut-off over these queries alone. named_at_99: share of copies whose original the product names.
    named_or_maybe: share of copies that reach a person, whatever the picture. honest_maybe: share of honest photos that
    do. search_top: share of copies whose original is among the pictures compared.
    """
    copies = [outcome for outcome in outcomes if outcome.in_library]
    honest = [outcome for outcome in outcomes if outcome.honest]
    return {
        "copies": len(copies),
        "copied_photos": len({outcome.photo for outcome in copies}),
        "honest": len(honest),
        "edited_strangers": len(outcomes) - len(copies) - len(honest),
        "recall_at_p99": _recall(outcomes, OURS),
        "named_at_99": share(copies, lambda outcome: outcome.named),
        "named_or_maybe": share(copies, lambda outcome: outcome.before_a_person),
        "honest_maybe": share(honest, lambda outcome: outcome.before_a_person),
        "honest_maybe_photos": sum(outcome.before_a_person for outcome in honest),
        "honest_named": sum(outcome.verdict in COPIES for outcome in honest),
        "copies_called_same_scene": sum(called_same_scene(outcome.verdict) for outcome in copies),
        "search_top": share(copies, lambda outcome: outcome.candidate),
        "descriptor_recall_at_p99": _recall(outcomes, "descriptor"),
    }


def search_top(outcomes: Sequence[QueryOutcome]) -> dict[str, float | None]:
    """Returns the share of copies whose original is among the pictures compared, by edit and for `all`."""
    copies = [outcome for outcome in outcomes if outcome.in_library]
    edits = dict.fromkeys(outcome.edit for outcome in copies)
    return {
        **{
            edit: share([outcome for outcome in copies if outcome.edit == edit], lambda outcome: outcome.candidate)
            for edit in edits
        },
        "all": share(copies, lambda outcome: outcome.candidate),
    }


def accusations(outcomes: Sequence[QueryOutcome], labelled: str) -> dict[str, Any]:
    """Returns how many unedited photos the product accuses at its own cut-off; none is in the library, photos of the
    same sources and classes are. labelled: the edit of honest photos that share a printed label with one."""
    honest = [outcome for outcome in outcomes if outcome.honest]
    branded = [outcome for outcome in outcomes if outcome.edit == labelled]
    return {
        **retrieval.rate_per_10k(sum(outcome.verdict in COPIES for outcome in honest), len(honest)),
        "same_label": retrieval.rate_per_10k(sum(outcome.verdict in COPIES for outcome in branded), len(branded)),
    }


def verdicts(outcomes: Sequence[QueryOutcome]) -> dict[str, Any]:
    """Returns the product's own verdicts."""
    copies = [outcome for outcome in outcomes if outcome.in_library]
    called = [outcome for outcome in outcomes if outcome.verdict in COPIES]
    right = [outcome for outcome in called if outcome.named]
    honest = [outcome for outcome in outcomes if outcome.honest]
    asked = [outcome.answers[OURS] for outcome in copies]
    return {
        "cut_off": RULES.photo_copied_min,
        "copies_found": round(len(right) / max(1, len(copies)), 4),
        "precision": round(len(right) / max(1, len(called)), 4),
        "copies_found_by_cut_off": {
            str(at): round(sum(answer.right and answer.score >= at for answer in asked) / max(1, len(asked)), 4)
            for at in CUT_OFFS
        },
        # Proven or maybe, whatever the picture: nothing is paid before a person has looked.
        "copies_before_a_person": share(copies, lambda outcome: outcome.before_a_person),
        "copies_called_same_scene": sum(called_same_scene(outcome.verdict) for outcome in copies),
        "honest_before_a_person": retrieval.rate_per_10k(
            sum(outcome.before_a_person for outcome in honest), len(honest)
        ),
        "honest_called_similar": sum(outcome.verdict is PhotoVerdict.SIMILAR for outcome in honest),
        "honest_called_same_scene": sum(called_same_scene(outcome.verdict) for outcome in honest),
        "honest_unmeasured": sum(outcome.verdict is None for outcome in honest),
    }


def wrongly_named(outcomes: Sequence[QueryOutcome], names: Sequence[str]) -> list[dict[str, Any]]:
    """Returns the surest queries whose verdict names a picture that is not the original, for looking at them. names: of
    the photos."""
    wrong = [outcome for outcome in outcomes if outcome.verdict in COPIES and not outcome.named]
    wrong.sort(key=lambda outcome: -outcome.answers[OURS].score)
    return [
        {
            "photo": names[outcome.photo],
            "edit": outcome.edit,
            "called_a_copy_of": names[outcome.accused_of],
            "probability": round(outcome.answers[OURS].score, 4),
        }
        for outcome in wrong[:WRONG_SHOWN_MAX]
    ]


def called_same_scene(verdict: PhotoVerdict | None) -> bool:
    return verdict is not None and verdict.value == SAME_SCENE


def _recall(outcomes: Sequence[QueryOutcome], method: str) -> float | None:
    """Returns recall at 99% precision over these queries alone, None without a copy among them."""
    if not any(outcome.in_library for outcome in outcomes):
        return None
    return retrieval.recall_at_precision([outcome.answers[method] for outcome in outcomes])["all"]

"""Checks the two halves of each kind of paper, the reader's (its looks and its fields) and the insurer's (what they
mean for money), against each other and against the products, before a worker starts: a kind that only one half knows
could never be paid, or would be paid wrongly."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from claims.formulas.registry import formula_of, with_terms
from claims.paper_kind import PaperKinds, PaperTerms
from claims.paper_traits import PaperTraits
from claims.product import Product
from flows.errors import PaperHalvesDiffer, UnknownPaperKind
from vision.documents.kinds.catalogue import Catalogue, PaperKind

_WHERE = "in the folder that MIAOPEI_PAPER_KINDS names (docs/papers.md)"


def check_kinds(products: Mapping[str, Product], catalogue: Catalogue, kinds: PaperKinds) -> None:
    """Check kinds and products.

    Raises PaperHalvesDiffer where the two halves of a kind do not fit, and UnknownPaperKind that names each product
    with the kinds it asks for and nobody reads, or with kinds that cannot show what its terms need.
    """
    check_halves(catalogue, kinds)
    known = frozenset(catalogue)
    lacking = {key: sorted(product.kinds - set(known)) for key, product in products.items()}
    wrong = [f"{key} asks for {', '.join(names)}" for key, names in sorted(lacking.items()) if names]
    if wrong:
        raise UnknownPaperKind(
            f"{'; '.join(wrong)}: the reader knows {', '.join(sorted(known))}. A kind is two YAML files {_WHERE}"
        )
    for need in _NEEDS:
        paid_blindly = [
            f"{key} pays on {kind}"
            for key, product in sorted(products.items())
            if need.of(product)
            for kind in product.evidence.papers
            if not need.shown(kinds[kind].traits)
        ]
        if paid_blindly:
            raise UnknownPaperKind(f"{'; '.join(paid_blindly)}, {need.otherwise}")


@dataclass(frozen=True, slots=True)
class _Need:
    """A need of some products: a mark that every kind of paper that they pay on must show. otherwise: what is wrong
    with a kind that does not show it, and what to do."""

    of: Callable[[Product], bool]
    shown: Callable[[PaperTraits], bool]
    otherwise: str


def _pays_beside_the_state(product: Product) -> bool:
    return product.evidence.patient_is_insured and formula_of(product).pays_on_papers


def _counts_days(product: Product) -> bool:
    formula, terms = with_terms(product)
    return formula.counts_days(terms)


_NEEDS: Final = (
    _Need(
        _pays_beside_the_state,
        lambda traits: bool(traits.state_paid),
        "which cannot show insurance_paid_minor: what the state insurance paid would be paid again. Describe the field"
        " in the reader's half of the kind and name it under state_insurance in the insurer's half (docs/papers.md)",
    ),
    _Need(
        _counts_days,
        lambda traits: bool(traits.stay),
        "which shows no days of a stay: name its fields under stay in the insurer's half of the kind (docs/papers.md)",
    ),
)


def check_halves(catalogue: Catalogue, kinds: PaperKinds) -> None:
    """Check that the two halves of every kind fit. Raises PaperHalvesDiffer that names each file, what does not fit and
    what to do."""
    wrong = [
        f"{name} is known to the reader alone: write its insurer's half, claims/{name}.yaml, {_WHERE}"
        for name in sorted({*catalogue} - {*kinds})
    ]
    wrong += [
        f"{kinds[name].path}: the reader knows no {name}: write its reader's half, {name}.yaml, {_WHERE}"
        for name in sorted({*kinds} - {*catalogue})
    ]
    both = sorted({*kinds} & {*catalogue})
    paid_by_state = frozenset(terms.traits.state_paid for terms in kinds.values() if terms.traits.state_paid)
    for name in both:
        for problem in _problems(catalogue[name], kinds[name], paid_by_state):
            wrong.append(f"{kinds[name].path}: {problem}")
    wrong += [
        f"{kinds[name].path}: {problem}" for name in both for problem in _other_sides(kinds[name], catalogue, kinds)
    ]
    if wrong:
        raise PaperHalvesDiffer("; ".join(wrong))


def _problems(reads: PaperKind, terms: PaperTerms, paid_by_state: frozenset[str]) -> Iterator[str]:
    """Yields a sentence for each mismatch between the two halves of one kind."""
    lacking: dict[str, list[str]] = {}
    for where, name in terms.fields_named():
        if name not in reads.fields:
            lacking.setdefault(where, []).append(name)
    for where, names in lacking.items():
        yield (
            f"{where}: the reader's half has no field {', '.join(dict.fromkeys(names))}; it has"
            f" {', '.join(reads.fields)}"
        )
    if other := [key for key in reads.keys if key not in {key.fields for key in terms.keys}]:
        yield f"number.keys: the reader's half has the keys {other} and this file has not: write the same in both"
    settled = {*terms.traits.within_cover, *terms.may_be_older}
    if dates := [name for name in reads.dates() if name not in settled]:
        yield f"dates: {', '.join(dates)}: name each date of the paper under within_cover or may_be_older"
    if not terms.traits.state_paid and (paid := sorted(paid_by_state & {*reads.fields})):
        yield (
            f"state_insurance: the paper shows {', '.join(paid)} and this file does not say so: what the state"
            f" insurance paid would be paid again. Write state_insurance: {{paid: {paid[0]}}}"
        )


def _other_sides(terms: PaperTerms, catalogue: Catalogue, kinds: PaperKinds) -> Iterator[str]:
    """Yields a sentence for each comparison with a field that the compared kinds do not have."""
    sides = [
        (comparison.role, same.field, "compared") for comparison in terms.traits.compared for same in comparison.fields
    ]
    sides += [(comparison.role, comparison.its, "dates.not_before") for comparison in terms.traits.not_before]
    for role, name, where in sides:
        for other in sorted({*kinds} & {*catalogue}):
            if role in kinds[other].traits.roles and name not in catalogue[other].fields:
                yield f"{where}: {other} counts as {role} and its reader's half has no field {name}"

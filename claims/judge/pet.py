"""Judges if the insured animal is one that the terms insure, by its species and its age, and if the nose is of its
species."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from claims.decision import Reason
from claims.evidence import NoseFact, NoseSpecies, UnmeasuredNose
from claims.judge.cover import local_date
from claims.policy import InsuredPet, Policy
from claims.product import AnimalTerms, Product
from claims.reasons import reason
from claims.rules import Rules


def judge(policy: Policy, product: Product, noses: Sequence[NoseFact | UnmeasuredNose], rules: Rules) -> list[Reason]:
    """Return the doubts about the animal. None declines: the platform sold the cover, and a person looks who is wrong.

    Nothing is judged where the terms, the platform or the finder do not say: older terms name no animals.
    """
    pet, terms = policy.pet, product.pet
    if pet is None:
        return []
    reasons = [] if terms is None else _of_terms(policy, product, pet, terms)
    for nose in noses:
        species = nose.species if isinstance(nose, NoseFact) else None
        if (
            isinstance(species, NoseSpecies)
            and species.species != pet.species
            and species.confidence >= rules.nose_species_confidence_min
        ):
            reasons.append(reason("nose_species_differs", species.species, pet.species, evidence_id=nose.evidence_id))
    return reasons


def _of_terms(policy: Policy, product: Product, pet: InsuredPet, terms: AnimalTerms) -> list[Reason]:
    reasons = []
    clause = product.clauses["pet"].number if "pet" in product.clauses else ""
    if pet.species not in terms.species:
        reasons.append(reason("pet_species_not_covered", pet.species, ", ".join(terms.species), clause=clause))
    if pet.born_on is not None:
        months = months_between(pet.born_on, local_date(policy.starts_at, product))
        if not terms.age_months_min <= months <= terms.age_months_max:
            span = f"{terms.age_months_min} - {terms.age_months_max} months"
            reasons.append(reason("pet_age_not_covered", f"{months} months", span, clause=clause))
    return reasons


def months_between(born_on: date, day: date) -> int:
    """Return the full months from one day to another, below 0 where the second comes first."""
    months = 12 * (day.year - born_on.year) + day.month - born_on.month
    return months - (day.day < born_on.day)

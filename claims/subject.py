"""Subjects of photos: what a product may expect a photo to show, and the fact of what it showed.

The words are those of the table that the photos are measured by; a test holds the two together.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal


class Subject(StrEnum):
    """Kinds of things, coarse enough that a network trained on everyday photos can tell them apart."""

    FOOD = "food"  # fruit, vegetables, dishes, drinks
    SEAFOOD = "seafood"
    TABLEWARE = "tableware"
    PARCEL = "parcel"  # packing of every kind
    HOUSEHOLD = "household"  # cloths, papers and small things that lie about
    COSMETICS = "cosmetics"
    CLOTHING = "clothing"  # shoes and bags, too
    DOG = "dog"
    CAT = "cat"
    ANIMAL = "animal"  # any other
    PLANT = "plant"
    SCREEN = "screen"
    PAPER = "paper"
    DEVICE = "device"
    CLOCK = "clock"
    TOOL = "tool"
    FURNITURE = "furniture"
    INSTRUMENT = "instrument"
    SPORT = "sport"
    WEAPON = "weapon"
    VEHICLE = "vehicle"
    PLACE = "place"


@dataclass(frozen=True, slots=True)
class SubjectShare:
    """The probability (0..1) that the photo shows this subject; those of all subjects need not sum to 1."""

    subject: Subject
    probability: float


@dataclass(frozen=True, slots=True)
class ClassShare:
    """One class of the classifier, in its own words."""

    name: str
    probability: float


@dataclass(frozen=True, slots=True)
class SubjectFact:
    """The measured subjects of a photo. subjects: every one, likeliest first. classes: the likeliest few. model: name
    and version of the classifier."""

    subjects: tuple[SubjectShare, ...]
    classes: tuple[ClassShare, ...]
    model: str
    fact: Literal["subject"] = "subject"

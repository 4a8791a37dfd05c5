"""Errors of the models package.

ModelsError
├── UnknownModel    no card of that name
├── InvalidCard     a card that breaks the schema of `models.registry.Card`
├── ModelMissing    the card is there, its file is not
└── ModelCorrupt    the file's SHA-256 or size is not the card's
"""

from __future__ import annotations


class ModelsError(Exception):
    """Root of every error that the models package raises on purpose."""


class UnknownModel(ModelsError): ...


class InvalidCard(ModelsError): ...


class ModelMissing(ModelsError): ...


class ModelCorrupt(ModelsError): ...

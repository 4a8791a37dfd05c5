"""The photo library in PostgreSQL with pgvector: publish a photo, commit, then search."""

from vision.library.limits import SearchLimits
from vision.library.photos import LibraryPhoto, Source, publish, remove, remove_claim
from vision.library.search import Candidate, named, search

__all__ = [
    "Candidate",
    "LibraryPhoto",
    "SearchLimits",
    "Source",
    "named",
    "publish",
    "remove",
    "remove_claim",
    "search",
]

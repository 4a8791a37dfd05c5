"""The photo library in PostgreSQL with pgvector: publish a photo, commit, then search."""

from vision.library.photos import LibraryPhoto, Source, publish, remove_claim
from vision.library.search import Candidate, SearchLimits, search

__all__ = ["Candidate", "LibraryPhoto", "SearchLimits", "Source", "publish", "remove_claim", "search"]

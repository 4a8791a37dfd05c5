"""Errors of the vision package.

VisionError
├── ImageRefused            this file is not turned into pixels; carries a stable code and a sentence for the claimant
├── DecoderUnavailable      the decoder itself cannot run (not the file's doing); the same file may be tried again later
├── ReaderUnavailable       the OCR process cannot be started (not the page's doing); the page may be tried again later
├── InvalidPaperKind        the description of a kind of paper is wrong; names the file and the key
├── SearchTimedOut          the library did not answer in time (not the photo's doing); search again later
├── TemplateUnreadable      these bytes are no nose template of this format
├── TemplateKeyMissing      a nose template cannot be encrypted or decrypted: its key is not configured here
└── TemplatesIncompatible   nose templates of different models do not compare
"""

from __future__ import annotations

from typing import Final, Literal, get_args

RefusalCode = Literal[
    "empty_file",
    "unknown_format",  # by its first bytes neither a picture nor a document that is read, whatever its name says
    "unsupported_kind",  # of an accepted format, coded in a way that is not read: arithmetic or 12-bit JPEG, ...
    "broken",  # begins as a known format, but its structure cannot be read
    "truncated",  # begins well and ends too early
    "too_many_pixels",  # would cost more memory or CPU than one picture may (formats.cost)
    "file_too_large",
    "decode_timeout",  # ran past its seconds of CPU, or stood still twice
    "decode_memory",  # asked for more memory than one file may have
    "decode_crashed",  # the decoding process died
    "pdf_encrypted",  # opens with a password only; one that merely restricts its use opens
    "fonts_missing",  # its fonts are not embedded, and this machine has none in their place
    "pdf_too_many_pages",
    "pdf_broken",
]
REFUSAL_CODES: Final[frozenset[str]] = frozenset(get_args(RefusalCode))

# A file that exhausts or kills its decoder is an attack or a defect of ours, and fonts are ours to have: a person
# should look, not the claimant be asked again.
_FOR_A_PERSON: Final[frozenset[str]] = frozenset({"decode_memory", "decode_crashed", "fonts_missing"})


class VisionError(Exception):
    """Root of every error that the vision package raises on purpose."""


class ImageRefused(VisionError):
    """A file that was not turned into pixels.

    `code` is stable (one of `REFUSAL_CODES`); `detail` says in words what is wrong and what to send instead.
    """

    def __init__(self, code: RefusalCode, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code: RefusalCode = code
        self.detail = detail

    @property
    def retryable(self) -> bool:
        """True if another file from the claimant can help; False if a person should look at this one."""
        return self.code not in _FOR_A_PERSON

    def __reduce__(self) -> tuple[type[ImageRefused], tuple[RefusalCode, str]]:
        return (type(self), (self.code, self.detail))


class DecoderUnavailable(VisionError):
    """The decoding processes could not be started or do not answer. Says nothing about the file; try again later."""


class ReaderUnavailable(VisionError):
    """The OCR process could not be started or loaded. This says nothing about the page; try again later."""


class InvalidPaperKind(VisionError):
    """A file that describes a kind of paper cannot be used. Names the file and the key."""


class SearchTimedOut(VisionError):
    """The library's search exceeded its time limit: whether the photo is in the library is unknown."""


class TemplateUnreadable(VisionError):
    """The bytes are no nose template of this format: damaged, cut short, or of another version. Enrol the pet again."""


class TemplateKeyMissing(VisionError):
    """Nose templates cannot be encrypted or decrypted with the keys here. Says nothing about the template."""


class TemplatesIncompatible(VisionError):
    """Templates that different models made cannot be compared. Enrol the pet again with the model in use."""

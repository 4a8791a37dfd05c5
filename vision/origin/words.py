"""Phrases of the signs: a stable code with its values, and the English text of every code.

Other languages have texts for the same codes (`claims.texts`); a test keeps the two tables in step.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

Phrase = tuple[str, ...]  # a code of ENGLISH, then its values in the order of {0}, {1}, ...

ENGLISH: Mapping[str, str] = MappingProxyType(
    {
        # the file
        "not_looked": "the file was not looked at for signs",
        "metadata_unreadable": "the file's metadata cannot be read ({0})",
        "written_by": "written by {0}",
        "no_software": "the file names no software",
        "no_time_taken": "the file has no time of taking",
        "time_taken_no_date": "the file's time of taking is not a date",
        "time_taken_unset": "the file's time of taking is that of a clock that was not set",
        "time_taken_future": "the file's time of taking is still to come",
        "one_date": "the file has one date only",
        "gps_date_apart": "the satellites' date is {0} days from the camera's",
        "digitized_apart": "taken and digitized {0} days apart",
        "changed_before": "changed {0} days before it was taken",
        "changed_after": "changed {0} days after it was taken",
        "dates_agree": "the file's dates agree",
        "no_thumbnail": "the file has no thumbnail",
        "thumbnail_flat": "the thumbnail cannot be compared: it is all of one colour",
        "thumbnail_unreadable": "the thumbnail cannot be read",
        "thumbnail_no_number": "the comparison of the thumbnail gave no number",
        "thumbnail_other": "the thumbnail shows something else (likeness {0})",
        "thumbnail_same": "the thumbnail shows this picture (likeness {0})",
        "prompt_of": "the file carries a prompt of {0}",
        "labelled_generated": "labelled under GB 45438: it is generated",
        "labelled_maybe": "labelled under GB 45438: it may be generated",
        "labelled_suspected": "labelled under GB 45438: it is suspected to be generated",
        "made_how": "the file says how it was made: {0}",
        "done_to_it": "the file says what was done to it: {0}",
        "no_generator": "no mark of a generator",
        # content credentials
        "credentials_died": "the check of the content credentials died ({0})",
        "credentials_remote": "the content credentials lie on a server, which is not asked",
        "credentials_missing": "content credentials are announced, and none can be found",
        "no_credentials": "no content credentials",
        "signed_by_trusted": "signed by {0}, who is trusted, and unchanged since",
        "signed_trusted": "signed by somebody who is trusted, and unchanged since",
        "signed_untrusted": "unchanged since it was signed, by nobody on the list",
        "signed_expired": "signed with a certificate outside its time",
        "signed_otherwise": "not what was signed: {0}",
        "credentials_no_rule": "the content credentials follow no rule ({0})",
        # the pixels
        "app_screen": "an app's screen",
        "text_lines": "{0} lines of text, {1}% of the rows empty",
        "too_small": "the picture is too small to have a spectrum",
        "fine_pattern": "a fine pattern all over, as of a screen or a print photographed ({0} of 1)",
        "no_fine_pattern": "no fine pattern all over ({0} of 1)",
        "no_baseline_jpeg": "no baseline JPEG, or its metadata was not looked at",
        "too_little_detail": "too little detail at the top of the picture to count",
        "compressed_again": "compressed more than once, as messengers and editors do ({0})",
        "compressed_once": "no trace of an earlier compression ({0})",
        "too_few_points": "too few distinct points to compare",
        "repeated_part": "a part appears twice: {0} points, {1}% of the edge apart",
        "no_repeated_part": "no part appears twice",
    }
)


def english(phrases: tuple[Phrase, ...]) -> str:
    """Return the phrases as one text. Raises KeyError for a code without a text."""
    return ", ".join(ENGLISH[code].format(*values) for code, *values in phrases)

"""Readings of recorded strings, which say them again in the reader's language; one file for each subject."""

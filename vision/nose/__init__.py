"""Identifies pets by their nose: finds it, checks the capture, keeps a template, compares 1:1."""

from vision.nose.capture import CaptureLimits, CaptureQuality
from vision.nose.compare import EnrolmentLimits, NoseComparison, check_enrolment, compare
from vision.nose.read import NoseGuide, NoseReader
from vision.nose.template import NoseTemplate

__all__ = [
    "CaptureLimits",
    "CaptureQuality",
    "EnrolmentLimits",
    "NoseComparison",
    "NoseGuide",
    "NoseReader",
    "NoseTemplate",
    "check_enrolment",
    "compare",
]

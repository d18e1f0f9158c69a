"""Subjects: implementations of torch under test, each in a process of its own."""

from conformance.subjects.errors import SubjectError
from conformance.subjects.naming import (
    Availability,
    SubjectSpec,
    availability,
    available_subjects,
    open_subject,
    parse_subject,
    prepared_subjects,
)
from conformance.subjects.observation import (
    ContentsSeen,
    ErrorSeen,
    FlagsSeen,
    JsonSeen,
    Observation,
    StepSeen,
    TensorSeen,
)
from conformance.subjects.process import InProcessSubject, WorkerSubject
from conformance.subjects.subject import Subject

__all__ = [
    "Availability",
    "ContentsSeen",
    "ErrorSeen",
    "FlagsSeen",
    "InProcessSubject",
    "JsonSeen",
    "Observation",
    "StepSeen",
    "Subject",
    "SubjectError",
    "SubjectSpec",
    "TensorSeen",
    "WorkerSubject",
    "availability",
    "available_subjects",
    "open_subject",
    "parse_subject",
    "prepared_subjects",
]

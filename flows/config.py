"""Configuration of each process of the flows: frozen, with explicit limits, composed from the settings by the command
line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from claims.floods import FloodLimits
from claims.store.scrubbing import ScrubLimits
from flows.rails.rail import ChosenRail


@dataclass(frozen=True, slots=True)
class PrefectConfig:
    """Access to the Prefect server that shows flow runs. An empty `api_url` turns tracking off: every run is a plain
    function call.

    The client's timeout is short and it never retries by itself: a slow Prefect may cost a claim these seconds once,
    then the probe keeps runs untracked for `retry_after_seconds`.

    api_key: key of a server with accounts, sent as a bearer token. auth_string: `user:password` of a server behind
    basic auth. At most one of the two; both are secrets.
    """

    api_url: str = ""
    api_key: str = field(default="", repr=False)
    auth_string: str = field(default="", repr=False)
    probe_timeout_seconds: float = 1.0
    probe_every_seconds: float = 5.0  # how long a good probe is believed
    retry_after_seconds: float = 10.0  # how long a failure keeps runs untracked
    request_timeout_seconds: float = 5.0
    events_queue_max: int = 1_000  # state events waiting for a server that is away; more are dropped


@dataclass(frozen=True, slots=True)
class BrakeLimits:
    """Limits on comparing brakes with Prefect's pauses and limits. A click there holds work after `look_seconds` at the
    latest, and the time that Prefect takes to answer."""

    look_seconds: float = 3.0
    tries_max: int = 4  # of one request that Prefect answers with 5xx
    try_again_seconds: float = 0.2


@dataclass(frozen=True, slots=True)
class LeaseLimits:
    """Limits on taking work from a queue and keeping it leased."""

    batch_max: int = 64
    batches_in_flight_max: int = 2  # the second one computes while the first waits for Prefect
    lease_seconds: float = 30.0
    heartbeat_seconds: float = 8.0
    poll_seconds: float = 0.1  # between polls of an empty queue
    attempts_max: int = 3  # failures of one claim, of its own making, before a person takes it
    deaths_max: int = (
        3  # deaths of processes that held this claim alone, with no stage finished in between, before a person takes it
    )
    # Failures in a row for want of resources: with the pauses below about an hour. Then a person is asked, and the
    # claim is checked again as soon as the resource is back (RecheckLimits). A policy choice.
    postponed_max: int = 20
    backoff_seconds: float = 2.0  # doubled at each attempt
    backoff_seconds_max: float = 300.0
    shutdown_seconds: float = 20.0  # after SIGTERM, for claims under way; the rest is released
    report_seconds: float = 5.0  # between reports of the process to the operator page


@dataclass(frozen=True, slots=True)
class RecheckLimits:
    """Limits on rechecking claims that went to a person only because a resource was missing.

    Policy choices: the first recheck comes soon, as most outages are short; after `rechecks_max` (a week with these
    pauses) the claim stays with the person.
    """

    every_seconds: float = 30.0
    pause_seconds: float = 60.0  # since the referral; doubled with each recheck of the claim
    pause_seconds_max: float = 86_400.0
    rechecks_max: int = 16
    at_once_max: int = 20  # claims in one round: the resource may run short again


@dataclass(frozen=True, slots=True)
class RetentionLimits:
    """Retention times of files that belong to nobody, and the interval between sweeps.

    Choices, not measurements: an upload takes minutes at most, and a claim that is worked on names its files within
    seconds; the rest is time for a person to look into what went wrong.
    """

    incoming_hours: float = 24.0  # uploads that were never put under their hash
    orphan_hours: float = 72.0  # files that no row names
    idempotency_hours: float = 24.0  # answers kept for repeated requests
    every_seconds: float = 3_600.0
    scrub: ScrubLimits = field(
        default_factory=ScrubLimits
    )  # limits on cleaning what erasures left in the database's files


@dataclass(frozen=True, slots=True)
class StoreConfig:
    """Addresses of the database and of the evidence store."""

    dsn: str  # postgresql+asyncpg://...
    evidence_url: str  # any fsspec URL
    pool_size: int = 10


@dataclass(frozen=True, slots=True)
class DescriptorConfig:
    """A TorchScript of SSCD that describes photos instead of our own descriptor, with its fitted whitening and
    thresholds."""

    torchscript: Path
    whitening: Path
    thresholds: Path


@dataclass(frozen=True, slots=True)
class LibraryConfig:
    """Limit on the copy of the photo library in a worker's memory, in bytes; 0 keeps none."""

    memory_bytes_max: int = 2 * 2**30


@dataclass(frozen=True, slots=True)
class WorkerConfig:
    """Configuration of one adjudicating process."""

    name: str  # unique among live workers: host and process id
    store: StoreConfig
    ocr_models: Path
    paper_kinds: Path | None = None  # a folder of further kinds of papers
    descriptor: DescriptorConfig | None = None  # our own
    c2pa_anchors: bytes = b""  # PEM certificates whose content credentials are trusted; none: every signer is unknown
    prefect: PrefectConfig = field(default_factory=PrefectConfig)
    lease: LeaseLimits = field(default_factory=LeaseLimits)
    # Enrolments are rare and nobody waits for them: polled seldom, one batch at a time.
    enrol_lease: LeaseLimits = LeaseLimits(batch_max=4, batches_in_flight_max=1, poll_seconds=0.5)
    retention: RetentionLimits = RetentionLimits()
    recheck: RecheckLimits = RecheckLimits()
    floods: FloodLimits = field(default_factory=FloodLimits)
    library: LibraryConfig = LibraryConfig()
    cores: int = 2  # threads of the vision pool, and decoder processes
    readers: int = 1  # OCR processes, about 400 MB each
    claims_at_once: int = 8  # claims of a batch checked at once: bounds the pictures held in memory
    preview_long_edge_px: int = 1024
    photo_long_edge_px: int = 1024
    paper_long_edge_px: int = 1600
    nose_long_edge_px: int = 1024
    pdf_pages_read_max: int = 10  # OCR takes seconds a page; a longer PDF is refused with these words


@dataclass(frozen=True, slots=True)
class PartnerConfig:
    """A partner insurer's address for notices of referrals, and the secret (`whsec_` and base64) that signs them."""

    key: str
    webhook_url: str
    secret: str


@dataclass(frozen=True, slots=True)
class SettleConfig:
    name: str
    store: StoreConfig
    rail: ChosenRail
    prefect: PrefectConfig = field(default_factory=PrefectConfig)
    reconcile_seconds: float = 900.0  # between two reconciliations of books and bank, by any process
    # A payout whose outcome is unknown is asked for again and again, however long it takes: money is never given up
    # by a counter.
    lease: LeaseLimits = field(
        default_factory=lambda: LeaseLimits(batch_max=32, poll_seconds=0.5, backoff_seconds=0.5, backoff_seconds_max=60)
    )


@dataclass(frozen=True, slots=True)
class TipConfig:
    """Destination and interval of the audit chain's tips noted outside the database. An empty `webhook_url` notes them
    in the file alone. The interval is a choice: what is cut off within it leaves no trace."""

    file: Path
    every_seconds: float = 60.0
    every_records: int = 100
    webhook_url: str = ""
    secret: str = field(default="", repr=False)
    look_seconds: float = 2.0  # between reads of the newest record


@dataclass(frozen=True, slots=True)
class ReferConfig:
    name: str
    store: StoreConfig
    partners: Mapping[str, PartnerConfig]
    public_url: str  # of our own API, for the links in a notice
    prefect: PrefectConfig = field(default_factory=PrefectConfig)
    lease: LeaseLimits = field(
        default_factory=lambda: LeaseLimits(batch_max=32, poll_seconds=0.5, backoff_seconds=1, backoff_seconds_max=600)
    )
    timeout_seconds: float = 5.0
    tips: TipConfig | None = None  # None: no tips are noted

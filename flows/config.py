"""What each process of the flows is told: frozen, explicit limits, composed from the settings by the command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from claims.floods import FloodLimits
from claims.store.scrubbing import ScrubLimits
from flows.rails.rail import ChosenRail


@dataclass(frozen=True, slots=True)
class PrefectConfig:
    """How flow runs are shown. An empty `api_url` means that nothing is tracked and every run is a plain function call.

    The client's timeout is short and it never retries by itself: a slow Prefect may cost a claim these seconds once,
    then the probe keeps runs untracked for `retry_after_seconds`.
    """

    api_url: str = ""
    probe_timeout_seconds: float = 1.0
    probe_every_seconds: float = 5.0  # how long a good probe is believed
    retry_after_seconds: float = 10.0  # how long a failure keeps runs untracked
    request_timeout_seconds: float = 5.0
    events_queue_max: int = 1_000  # state events waiting for a server that is away; more are dropped


@dataclass(frozen=True, slots=True)
class LeaseLimits:
    """How work is taken from a queue and kept."""

    batch_max: int = 64
    batches_in_flight_max: int = 2  # the second one computes while the first waits for Prefect
    lease_seconds: float = 30.0
    heartbeat_seconds: float = 8.0
    poll_seconds: float = 0.1  # between looks at an empty queue
    attempts_max: int = 3  # failures of one claim, by its own doing, before a person takes it
    deaths_max: int = 3  # of processes that held this claim alone, without a step further: then a person takes it
    # In a row, for want of resources: with the pauses below about an hour. Then a person is asked, and the claim is
    # checked again as soon as the resource is back (RecheckLimits). A policy choice.
    postponed_max: int = 20
    backoff_seconds: float = 2.0  # doubled at each further attempt
    backoff_seconds_max: float = 300.0
    shutdown_seconds: float = 20.0  # after SIGTERM, for claims under way; the rest is released
    report_seconds: float = 5.0  # between reports of the process to the operator page


@dataclass(frozen=True, slots=True)
class RecheckLimits:
    """When claims that came before a person for want of resources are checked again by themselves.

    Policy choices: the first look comes soon, as most outages are short; after `rechecks_max` (a week with these
    pauses) the claim stays with the person.
    """

    every_seconds: float = 30.0
    pause_seconds: float = 60.0  # since the referral; doubled with each recheck of the claim
    pause_seconds_max: float = 86_400.0
    rechecks_max: int = 16
    at_once_max: int = 20  # claims in one round: what was short may be short again


@dataclass(frozen=True, slots=True)
class RetentionLimits:
    """How long is kept what belongs to nobody, and how often that is looked for.

    Choices, not measurements: an upload takes minutes at most, and a claim that is worked on names its files within
    seconds; the rest is time for a person to look at what went wrong.
    """

    incoming_hours: float = 24.0  # uploads that never got their key
    orphan_hours: float = 72.0  # files that no row names
    idempotency_hours: float = 24.0  # answers kept for whoever repeats a request
    every_seconds: float = 3_600.0
    scrub: ScrubLimits = field(default_factory=ScrubLimits)  # of what erasures left in the database's files


@dataclass(frozen=True, slots=True)
class StoreConfig:
    """Where the truth and the evidence lie."""

    dsn: str  # postgresql+asyncpg://...
    evidence_url: str  # any fsspec URL
    pool_size: int = 10


@dataclass(frozen=True, slots=True)
class DescriptorConfig:
    """A TorchScript of SSCD to compare photos by instead of our own descriptor, with what was fitted for it."""

    torchscript: Path
    whitening: Path
    thresholds: Path


@dataclass(frozen=True, slots=True)
class LibraryConfig:
    """The copy of the photo library in a worker's memory: how large it may be (0: none)."""

    memory_bytes_max: int = 2 * 2**30


@dataclass(frozen=True, slots=True)
class WorkerConfig:
    """Of one adjudicating process."""

    name: str  # unique among live workers: host and process id
    store: StoreConfig
    ocr_models: Path
    paper_kinds: Path | None = None  # a folder of further kinds of papers
    descriptor: DescriptorConfig | None = None  # our own
    c2pa_anchors: bytes = b""  # PEM certificates whose content credentials are trusted; none: every signer is unknown
    prefect: PrefectConfig = field(default_factory=PrefectConfig)
    lease: LeaseLimits = field(default_factory=LeaseLimits)
    # Enrolments come rarely and wait for nobody: looked for at leisure, one batch at a time.
    enrol_lease: LeaseLimits = LeaseLimits(batch_max=4, batches_in_flight_max=1, poll_seconds=0.5)
    retention: RetentionLimits = RetentionLimits()
    recheck: RecheckLimits = RecheckLimits()
    floods: FloodLimits = field(default_factory=FloodLimits)
    library: LibraryConfig = LibraryConfig()
    cores: int = 2  # threads of the vision pool, and decoder processes
    readers: int = 1  # OCR processes, about 400 MB each
    claims_at_once: int = 8  # of a batch: bounds the pictures held in memory
    preview_long_edge_px: int = 1024
    photo_long_edge_px: int = 1024
    paper_long_edge_px: int = 1600
    nose_long_edge_px: int = 1024
    pdf_pages_read_max: int = 10  # OCR takes seconds a page; a longer PDF is refused with these words


@dataclass(frozen=True, slots=True)
class PartnerConfig:
    """One partner insurer: where notices of referrals go, and the secret (`whsec_` and base64) that signs them."""

    key: str
    webhook_url: str
    secret: str


@dataclass(frozen=True, slots=True)
class SettleConfig:
    name: str
    store: StoreConfig
    rail: ChosenRail
    prefect: PrefectConfig = field(default_factory=PrefectConfig)
    reconcile_seconds: float = 900.0  # between two reconciliations of books and bank, whoever makes them
    # A payout whose outcome is unknown is asked for again and again, however long it takes: money is never given up
    # by a counter.
    lease: LeaseLimits = field(
        default_factory=lambda: LeaseLimits(batch_max=32, poll_seconds=0.5, backoff_seconds=0.5, backoff_seconds_max=60)
    )


@dataclass(frozen=True, slots=True)
class TipConfig:
    """Where and how often tips of the audit chain are noted outside the database. An empty `webhook_url`: in the file
    alone. How often is a choice: what is cut off within these seconds and records does not show."""

    file: Path
    every_seconds: float = 60.0
    every_records: int = 100
    webhook_url: str = ""
    secret: str = field(default="", repr=False)
    look_seconds: float = 2.0  # between looks at the newest record


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
    tips: TipConfig | None = None  # none are noted

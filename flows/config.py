"""Configuration of each process of the flows: frozen, with explicit limits, composed from the settings by the command
line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from claims.floods import FloodLimits
from claims.store.scrubbing import ScrubLimits
from flows.rails.rail import ChosenRail
from flows.run_record import RecordLimits


@dataclass(frozen=True, slots=True)
class PrefectConfig:
    """Access to the Prefect server that shows flow runs. An empty `api_url` turns tracking off: every run is a plain
    function call.

    The client's timeout is short and it never retries by itself: a slow Prefect may cost a claim these seconds once,
    then the probe keeps runs untracked for `retry_after_seconds`.

    api_key: key of a server with accounts, sent as a bearer token. auth_string: `user:password` of a server behind
    basic auth. At most one of the two; both are secrets. ssl_cert_file: PEM file of the authorities that vouch for the
    server; None for the public ones. ui_url: where people reach its pages, for links.
    """

    api_url: str = ""
    api_key: str = field(default="", repr=False)
    auth_string: str = field(default="", repr=False)
    ssl_cert_file: Path | None = None
    ui_url: str = ""
    probe_timeout_seconds: float = 1.0
    probe_every_seconds: float = 5.0  # how long a good probe is believed
    # How long a failure keeps runs untracked, doubled with each in a row: a busy machine misses one probe, and a server
    # that is away is not asked all the time.
    retry_after_seconds: float = 1.0
    retry_after_seconds_max: float = 10.0
    request_timeout_seconds: float = 5.0
    events_queue_max: int = 1_000  # state events waiting for a server that is away; more are dropped
    # Items of a run up to which each has its own graph of tasks and its own page. Above it one task run a stage stands
    # for the whole batch: each task run costs the server about 5 ms of CPU.
    graph_items_max: int = 4
    record: RecordLimits = field(default_factory=RecordLimits)
    report_seconds: float = 5.0  # between reports of a run that takes long
    report_tries_max: int = 3  # of one request of a report that the server answers with an error of its own
    shown_at_once_max: int = 16  # runs being shown; further ones go on untracked
    close_seconds: float = 5.0  # for runs still being reported when the process ends
    deployment_seconds: float = 60.0  # between looks for the deployment that runs of a flow belong to
    events_seconds_max: float = 2.0  # at the end of the process, for those that still wait
    truth: TruthLimits = field(default_factory=lambda: TruthLimits())


@dataclass(frozen=True, slots=True)
class TruthLimits:
    """Limits on making Prefect show what is so: runs of processes that died, and runs that are old. Policy choices,
    except where a line says otherwise.

    silent_seconds: a process that gave no sign of life for so long counts as dead. It gives four in that time.
    """

    silent_seconds: float = 20.0
    told_keep_hours: float = 24.0  # how long a crashed run is remembered, so that whoever takes its items over is named
    told_at_once_max: int = 50  # runs in one round; the others wait for the next
    successors_max: int = 10  # runs named as having taken over
    unknown_hours: float = 24.0  # age at which a run that nobody knows is shown as crashed
    unknown_every_seconds: float = 600.0  # between looks for such runs
    runs_days: float = 30.0  # age at which finished runs are deleted, with what belongs to them
    retention_every_seconds: float = 3_600.0
    retention_batch: int = 50  # runs in one request: what Prefect's server allows
    retention_runs_max: int = 20_000  # runs in one round; the others wait for the next
    retention_artifacts_max: int = 100_000  # artifacts in one round
    retry_seconds_max: float = 60.0  # longest pause while the server is away


@dataclass(frozen=True, slots=True)
class BrakeLimits:
    """Limits on comparing brakes with Prefect's pauses and limits. A click there holds work after `look_seconds` at the
    latest, and the time that Prefect takes to answer."""

    look_seconds: float = 3.0
    idle_seconds_max: float = 120.0  # without a sign of life another process takes the comparing over
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
class AlertLimits:
    """Limits from which operators are alerted. All of them are policy choices."""

    payout_unclear_seconds: float = 3_600.0  # without a final answer of the bank
    backlog_seconds: float = 300.0  # for which the oldest work of a queue may be due
    reconciled_seconds: float = 2_700.0  # since the last whole comparison of bank and books: three of their intervals
    certificate_days: float = 30.0  # before a trusted certificate expires
    library_rows_apart: int = 1_000  # rows that a worker's copy of the library may differ by, or
    library_share_apart: float = 0.05  # this share of the store's
    silent_seconds: float = 60.0  # without a report of a process
    silent_hours_max: float = 24.0  # after which a process that is gone is no longer missed
    subjects_max: int = 10  # alerts of one kind: the oldest; each says how many there are in all


@dataclass(frozen=True, slots=True)
class MailConfig:
    """Access to a mail server. security: `starttls`, `tls` from the first byte on, or `none` for one on this
    machine."""

    host: str
    port: int
    sender: str
    recipients: tuple[str, ...]
    user: str = ""
    password: str = field(default="", repr=False)
    security: str = "starttls"


@dataclass(frozen=True, slots=True)
class NoticeConfig:
    """Ways by which operators hear of alerts. Without any, alerts are shown and sent to Prefect as events alone.

    webhook_secret: signs what this process sends; Prefect, which cannot sign, sends a token made of it. block: slug and
    name (`slack-webhook/ops`) of a block on the Prefect server that its automations notify by, in place of the webhook.
    """

    webhook_url: str = field(default="", repr=False)
    webhook_secret: str = field(default="", repr=False)
    mail: MailConfig | None = None
    block: str = ""
    language: str = "en"
    public_url: str = ""  # of our own pages, for links
    timeout_seconds: float = 10.0
    # For which Prefect may take to say that it has sent a notice; then we send it. It keeps events after five seconds.
    confirm_seconds: float = 60.0
    retry_seconds: float = 5.0  # after a notice that nobody took; doubled each time
    retry_seconds_max: float = 600.0
    event_hours_max: float = 24.0  # for which an event waits for a Prefect server that is away
    at_once_max: int = 50  # notices in one round


@dataclass(frozen=True, slots=True)
class WatchConfig:
    """Looking for conditions that operators must hear of, in one process at a time."""

    notices: NoticeConfig = field(default_factory=NoticeConfig)
    limits: AlertLimits = AlertLimits()
    every_seconds: float = 15.0
    resolve_after_seconds: float = 120.0  # not met for so long: resolved
    repeat_hours: float = 24.0  # open for so long: told of again
    # For which any condition must be met: a clock that jumps, or a machine that slept, opens nothing.
    holds_seconds: float = 30.0
    # For which these must be met: most shortages pass within minutes, and a worker that starts up is behind.
    library_holds_seconds: float = 600.0
    resource_holds_seconds: float = 600.0
    ocr_holds_seconds: float = 120.0
    library_count_seconds: float = 300.0  # between counts of the library, which read an index of every row
    apply_seconds: float = 60.0  # between looks whether Prefect still has the automations as they are in code
    c2pa_trust_anchors: Path | None = None


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
    public_url: str = ""  # of our own API, for links on a claim's page in Prefect; "" for no links
    prefect: PrefectConfig = field(default_factory=PrefectConfig)
    lease: LeaseLimits = field(default_factory=LeaseLimits)
    # Enrolments are rare and nobody waits for them: polled seldom, one batch at a time.
    enrol_lease: LeaseLimits = LeaseLimits(batch_max=4, batches_in_flight_max=1, poll_seconds=0.5)
    retention: RetentionLimits = RetentionLimits()
    recheck: RecheckLimits = RecheckLimits()
    floods: FloodLimits = field(default_factory=FloodLimits)
    library: LibraryConfig = LibraryConfig()
    nose_keys: tuple[bytes, ...] = field(default=(), repr=False)  # encrypt nose templates, newest first
    nose_cards: Path | None = None  # an insurer's own nose fusion; None: the delivered one, fitted to renders
    cores: int = 2  # threads of the vision pool, and decoder processes
    readers: int = 1  # OCR processes, about 400 MB each
    # CPU of one thread of this process for one file, beside what its child processes use; then it counts against the
    # claim. Photos and papers take 1 to 3 s; a policy choice far above, as the thread is lost with it.
    call_cpu_seconds_max: float = 600.0
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
    watch: WatchConfig | None = None  # None: this process looks for no alerts
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
    watch: WatchConfig | None = None  # None: this process looks for no alerts


@dataclass(frozen=True, slots=True)
class JobsConfig:
    """Configuration of the jobs that operators start (`flows.operations.jobs`): the books, the bank to compare them
    with, the tips of the audit chain, and how pictures are described."""

    store: StoreConfig
    settle: SettleConfig
    tips: TipConfig
    retention: RetentionLimits = RetentionLimits()
    descriptor: DescriptorConfig | None = None  # our own
    recipe_hours_max: float = 24.0  # a training that runs longer is stopped


@dataclass(frozen=True, slots=True)
class RunnerLimits:
    """Limits of the process that runs jobs which Prefect schedules.

    Policy choices: the poll is how long "Run" in Prefect's pages takes to begin; a heavy job takes all cores, so that
    few run at once.
    """

    poll_seconds: float = 3.0  # between looks for runs that are due
    register_seconds: float = 30.0  # between looks whether the server knows our deployments
    retry_seconds_max: float = 60.0  # between looks while the server is away; grows up to here
    runs_at_once_max: int = 4
    due_max: int = 200  # runs read at one look; Prefect gives no more
    # Without a sign of life of its runner, at two looks a third of it apart, a run is shown as crashed.
    lost_seconds: float = 30.0
    lease_seconds: float = 300.0  # of a place under a deployment's concurrency limit; renewed three times as often
    ends_max: int = 1_000  # ends of runs remembered for a server that is away; more are dropped
    log_lines_max: int = 1_000  # sent to Prefect for one run
    report_seconds: float = 2.0  # between progress and log lines sent for one run
    shutdown_seconds: float = 20.0  # after SIGTERM, for runs under way; the rest is handed back


@dataclass(frozen=True, slots=True)
class RunnerConfig:
    """Configuration of the process that runs jobs which Prefect schedules."""

    name: str
    jobs: JobsConfig
    prefect: PrefectConfig
    limits: RunnerLimits = RunnerLimits()
    beat_seconds: float = 5.0  # between reports of the process to the operator page

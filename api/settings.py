"""Every setting of the product, in one class.

Environment variables `MIAOPEI_...`; nested ones with two underscores, such as `MIAOPEI_HTTP__FILES_PER_CLAIM_MAX`.

Nothing here imports vision, flows or torch: the API starts with it. `api.processes` turns it into the configuration of
each process of the flows.
"""

from __future__ import annotations

import re
from email.errors import HeaderParseError
from email.headerregistry import Address
from pathlib import Path
from typing import Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from api.limits import HttpLimits
from claims.texts import languages

DRIVER: Final = "postgresql+asyncpg://"


class PartnerSettings(BaseModel):
    """A partner insurer, as the refer process reaches it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    webhook_url: str = Field(description="Address to which signed notices of new referrals are posted")
    secret: SecretStr = Field(description="`whsec_` and base64, as Standard Webhooks write it: signs those notices")


class BankSettings(BaseModel):
    """The bank behind the payout rail `http`, and the interval between reconciliations, whatever the rail."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str = Field(default="", description="Root of the bank's HTTP interface; empty: no payout can leave")
    token: SecretStr = Field(default=SecretStr(""), description="Bearer token for the bank; empty for none")
    reply_timeout_seconds: float = Field(
        default=5.0, gt=0, description="Wait for a reply; after it the outcome is unknown and asked for later"
    )
    final_refusals: tuple[str, ...] | None = Field(
        default=None,
        description="Problem codes by which this bank refuses for good, as JSON; any other answer is asked about. "
        "Unset: those in `flows/rails/http.py`",
    )
    reconcile_seconds: float = Field(
        default=900.0, gt=0, description="Seconds between two reconciliations of books and bank by the settle process"
    )


class PayoutRailSettings(BaseModel):
    """The payout rail and its own options, which its file describes and reads when settle starts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str = Field(default="http", description="Name of a rail in `flows/rails/registry.py`")
    options: dict[str, JsonValue] = Field(
        default={}, description="The rail's own settings by name; `http` takes those missing here from `bank`"
    )


class WorkSettings(BaseModel):
    """Limits on the work of one worker."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cores: int = Field(default=2, ge=1, description="Threads and decoder processes of one worker")
    batch_max: int = Field(default=64, ge=1, le=64, description="Claims in one flow run, at most")
    batches_in_flight_max: int = Field(default=2, ge=1, description="Batches one worker works on at once")
    lease_seconds: float = Field(default=30.0, gt=1, description="Time until a dead worker's claims are due again")
    attempts_max: int = Field(default=3, ge=1, description="Failed attempts after which a person gets the claim")


def _beside(torchscript: Path | None, suffix: str) -> Path | None:
    return torchscript.with_suffix(suffix) if torchscript is not None else None


class RetentionSettings(BaseModel):
    """Retention times of files that belong to nobody, and the interval between sweeps."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    incoming_hours: float = Field(default=24.0, gt=0, description="Age at which uploads that broke off are deleted")
    orphan_hours: float = Field(
        default=72.0, gt=0, description="Age at which files that no claim, pet or library picture names are deleted"
    )
    every_seconds: float = Field(
        default=3_600.0, gt=0, description="Seconds between sweeps for these and for old keys (one worker sweeps)"
    )
    rewrite_mib_max: int = Field(
        default=64,
        ge=0,
        description="After an erasure a table of at most this size, with its indexes, is written anew, so that nothing "
        "of it is left in free space; a larger one is vacuumed",
    )
    rewrite_seconds_max: float = Field(
        default=10.0, gt=0, description="Longest time that a table is locked for that; beyond it the table is vacuumed"
    )


class AuditSettings(BaseModel):
    """Tips of the audit chain, noted outside the database (`flows.tips`)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tips_file: Path | None = Field(default=None, description="File that tips are appended to; unset: `home`/audit-tips")
    every_seconds: float = Field(default=60.0, gt=0, description="Longest time between tips while records are added")
    every_records: int = Field(default=100, ge=1, description="Most records between tips")
    webhook_url: str = Field(default="", description="Address to which each tip is posted, signed; empty: none")
    webhook_secret: SecretStr = Field(
        default=SecretStr(""), description="`whsec_` and base64, as Standard Webhooks write it: signs those tips"
    )

    @model_validator(mode="after")
    def _signed(self) -> Self:
        if self.webhook_url and not self.webhook_secret.get_secret_value():
            raise ValueError("webhook_url needs a webhook_secret")
        return self


class PrefectSettings(BaseModel):
    """Retention of what is shown in Prefect, and the time after which a silent process counts as dead. All of it is
    policy choices, not measurements."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    runs_days: float = Field(
        default=30.0,
        gt=0,
        description="Age at which finished runs of ours leave Prefect, with their task runs, logs and artifacts",
    )
    events_days: float = Field(
        default=7.0,
        gt=0,
        description="Age at which the server that `miaopei up` starts deletes events; another server has its own "
        "setting, PREFECT_SERVER_EVENTS_RETENTION_PERIOD",
    )
    retention_seconds: float = Field(
        default=3_600.0, gt=0, description="Seconds between two rounds of retention (one worker at a time)"
    )
    silent_seconds: float = Field(
        default=20.0,
        ge=2,
        le=45,
        description="Silence of a process after which its runs are shown as Crashed; at most 45, so that this is so "
        "within a minute of its end",
    )
    unknown_hours: float = Field(
        default=24.0,
        gt=0,
        description="Age at which a run of ours that Prefect shows as running, and that no process of ours knows, is "
        "shown as Crashed",
    )


class MailSettings(BaseModel):
    """A mail server for notices of alerts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = Field(default="", description="Mail server; empty: no mail is sent")
    port: int = Field(default=587, ge=1, le=65535, description="Its port")
    sender: str = Field(default="", description="Address that the notices come from")
    recipients: tuple[str, ...] = Field(default=(), description="Addresses that they go to, as a JSON list")
    user: str = Field(default="", description="Name to sign in with; empty: without signing in")
    password: SecretStr = Field(default=SecretStr(""), description="Its password")
    security: Literal["starttls", "tls", "none"] = Field(
        default="starttls", description="`tls` from the first byte on (port 465); `none` for a server on this machine"
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if not self.host:
            return self
        if not self.recipients:
            raise ValueError("host needs recipients, a JSON list of addresses")
        for address in (self.sender, *self.recipients):
            try:
                Address(addr_spec=address)
            except (ValueError, IndexError, HeaderParseError) as error:
                raise ValueError(f"{address!r} is no mail address; sender and recipients must be") from error
        if self.user and self.security == "none" and self.host not in ("127.0.0.1", "::1", "localhost"):
            raise ValueError("security none would send the password in the clear; use starttls or tls")
        return self


class NoticeSettings(BaseModel):
    """Ways by which operators hear of alerts: through Prefect's automations, and from our own process where those
    do not."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    webhook_url: str = Field(default="", description="Address to which each notice is posted as JSON; empty: none")
    webhook_secret: SecretStr = Field(
        default=SecretStr(""),
        description="`whsec_` and base64, as Standard Webhooks write it: signs what our own process posts; what "
        "Prefect posts carries a token made of it (docs/operating.md)",
    )
    block: str = Field(
        default="",
        description="A block on the Prefect server that its automations notify by in place of the webhook, as "
        "`slack-webhook/ops`: slug of its type, and its name",
    )
    mail: MailSettings = Field(default=MailSettings(), description="Mail, which our own process sends")
    language: str = Field(default="en", description="Language of the notices, one of `claims/texts`")
    confirm_seconds: float = Field(
        default=60.0, gt=0, description="Wait for Prefect to say that it has sent a notice; after it we send it"
    )

    @model_validator(mode="after")
    def _understood(self) -> Self:
        if self.webhook_url and not re.match(r"https?://[^/\s]+", self.webhook_url):
            raise ValueError("webhook_url must start with https:// or http:// and name a host")
        secret = self.webhook_secret.get_secret_value()
        if secret and not re.fullmatch(r"whsec_[A-Za-z0-9+/]{32,}={0,2}", secret):
            raise ValueError("webhook_secret must be `whsec_` and the base64 of at least 24 bytes")
        slug, slash, name = self.block.partition("/")
        if self.block and not (slug and slash and name):
            raise ValueError("block must be the slug of a block type, a slash and a name: slack-webhook/ops")
        if self.language not in languages():
            raise ValueError(f"language must be one of {', '.join(languages())}")
        return self


class AlertSettings(BaseModel):
    """Limits from which operators are alerted (docs/operating.md)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    every_seconds: float = Field(default=15.0, gt=0, description="Seconds between looks, by one process at a time")
    resolve_after_seconds: float = Field(default=120.0, ge=0, description="Not met for so long: resolved")
    repeat_hours: float = Field(default=24.0, gt=0, description="Open for so long: told of again")
    payout_unclear_minutes: float = Field(default=60.0, gt=0, description="Payout without a final answer of the bank")
    backlog_minutes: float = Field(default=5.0, gt=0, description="Age of the oldest due work of a queue")
    certificate_days: float = Field(default=30.0, ge=0, description="Days before a trusted certificate expires")
    silent_seconds: float = Field(default=60.0, ge=15, description="Seconds without a report of a process")
    resource_minutes: float = Field(default=10.0, ge=0, description="Claims wait for a resource of ours for so long")
    ocr_minutes: float = Field(default=2.0, ge=0, description="Papers cannot be read for so long")
    library_rows_apart: int = Field(
        default=1_000, ge=0, description="Rows that a worker's copy of the photo library may differ by, at least"
    )


class FloodSettings(BaseModel):
    """Limits from which a picture that matches many claims is ruled on once instead of claim by claim
    (`claims.floods`)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    claims_max: int = Field(
        default=5, ge=1, description="Claims matching one picture that are referred one by one; further ones wait"
    )
    window_hours: float = Field(default=72.0, gt=0, description="Window in which those claims are counted")


class LibrarySettings(BaseModel):
    """The copy of the photo library in a worker's memory (`vision.library.memory`)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    memory_mib_max: int = Field(
        default=2048,
        ge=0,
        description="Largest copy that is kept; above it PostgreSQL's own indexes answer; 0: no copy",
    )


class Settings(BaseSettings):
    """All settings. Unset values suit one machine: `miaopei up` fills in the database and Prefect's address by
    itself."""

    model_config = SettingsConfigDict(
        env_prefix="MIAOPEI_",
        env_nested_delimiter="__",
        frozen=True,
        extra="ignore",
        populate_by_name=True,
        env_ignore_empty=True,
        validate_default=True,
    )

    home: Path = Field(
        default=Path(".miaopei"), description="Folder of this installation: database, evidence, logs, keys"
    )
    database_url: str = Field(
        default="",
        description="`postgresql+asyncpg://user:password@host:port/name` of a server with pgvector; empty: the server "
        "in the wheel, started by `miaopei up`",
        repr=False,
    )
    migration_database_url: str = Field(
        default="",
        description="The same database as the role that owns its tables: migrations run as it, and give the role of "
        "`database_url` what the application needs and no more. Empty: `database_url`, and `/readyz` says that its "
        "role is too powerful; not needed with the server in the wheel",
        repr=False,
    )
    prefect_database_url: str = Field(
        default="",
        description="Database of the Prefect server that `miaopei up` starts; empty: a database and a role of its own, "
        "made on the store's server",
        repr=False,
    )
    evidence_url: str = Field(
        default_factory=lambda filled: (filled["home"] / "evidence").as_uri(),
        description="fsspec URL of the evidence store, e.g. `s3://bucket/evidence`; unset: `home`/evidence",
    )
    prefect_api_url: str = Field(
        default="",
        validation_alias="PREFECT_API_URL",
        description="A Prefect server to show flow runs on; empty: `miaopei up` starts one",
    )
    prefect_api_key: SecretStr = Field(
        default=SecretStr(""),
        validation_alias="PREFECT_API_KEY",
        description="Key of a Prefect server with accounts, sent as a bearer token; empty for none",
    )
    prefect_auth_string: SecretStr = Field(
        default=SecretStr(""),
        validation_alias="PREFECT_API_AUTH_STRING",
        description="`user:password` of a Prefect server behind basic auth; empty for none. The server that "
        "`miaopei up` starts gets one of its own, kept in `home`/prefect.auth",
    )
    prefect_ssl_cert_file: Path | None = Field(
        default=None,
        validation_alias="PREFECT_API_SSL_CERT_FILE",
        description="PEM file of the authorities that vouch for the Prefect server; unset: the public ones",
    )
    prefect_ui_url: str = Field(
        default="", description="Address at which people reach Prefect's pages; empty: beside `prefect_api_url`"
    )
    prefect: PrefectSettings = Field(
        default=PrefectSettings(), description="What is shown in Prefect, and for how long"
    )
    http_host: str = Field(default="127.0.0.1", description="Address the API listens on")
    http_port: int = Field(default=8417, ge=0, le=65535, description="Port of the API; 0: any free one")
    public_url: str = Field(
        default_factory=lambda filled: f"http://{filled['http_host']}:{filled['http_port']}",
        description="Address at which others reach the API, for links in notices; unset: from http_host and http_port",
    )
    token_key: str = Field(
        default="",
        repr=False,
        description="Key (at least 32 bytes) that signs bearer tokens; empty: made on first use in `home`/token.key",
    )
    token_keys_old: tuple[str, ...] = Field(
        default=(),
        repr=False,
        description="Where `token_key` is set: keys before it, as a JSON list, that still verify until they are taken "
        "away here",
    )
    nose_key: str = Field(
        default="",
        repr=False,
        description="Key (at least 32 bytes) that encrypts nose templates; empty: made on first use in `home`/nose.key",
    )
    nose_keys_old: tuple[str, ...] = Field(
        default=(),
        repr=False,
        description="Where `nose_key` is set: keys before it, as a JSON list, that templates are still opened with",
    )
    nose_cards: Path | None = Field(
        default=None,
        description="Folder of cards with an insurer's own `nose_fusion` (docs/noses.md); unset: the delivered one, "
        "fitted to rendered noses",
    )
    token_audience: str = Field(
        default="miaopei-api",
        min_length=1,
        description="The `aud` of tokens: installations that share a key must differ in it",
    )
    token_hours: float = Field(default=12.0, gt=0, description="Lifetime of an issued token")
    token_hours_max: float = Field(
        default=24.0 * 365,
        gt=0,
        description="Longest lifetime of a token, and the time for which a rotated key still verifies",
    )
    session_hours: float = Field(default=12.0, gt=0, description="Time that somebody stays signed in on the pages")
    http_machines_port: int | None = Field(
        default=None,
        ge=0,
        le=65535,
        description="Port on loopback of a second listener for /healthz, /readyz and /metrics, which no crowd at the "
        "API's own port can keep busy; none: they are answered there alone",
    )
    http: HttpLimits = Field(default=HttpLimits(), description="Limits of the HTTP interface")
    bank: BankSettings = Field(default=BankSettings(), description="The bank behind the payout rail `http`")
    rail: PayoutRailSettings = Field(
        default=PayoutRailSettings(),
        repr=False,
        description='The payout rail, as JSON: `{"kind": "...", "options": {...}}`. An unknown kind, or an option that '
        "it does not know, is an error at start that names those there are",
    )
    partners: dict[str, PartnerSettings] = Field(
        default={}, description="Partner insurers by the key that product files name, as JSON"
    )
    floods: FloodSettings = Field(default=FloodSettings(), description="Pictures that suddenly match many claims")
    library: LibrarySettings = Field(
        default=LibrarySettings(), description="The copy of the photo library in a worker's memory"
    )
    work: WorkSettings = Field(default=WorkSettings(), description="Limits on the work of one worker")
    retention: RetentionSettings = Field(
        default=RetentionSettings(), description="Retention times of files that belong to nobody"
    )
    audit: AuditSettings = Field(default=AuditSettings(), description="The audit chain's tips outside the database")
    notices: NoticeSettings = Field(
        default=NoticeSettings(), repr=False, description="Ways by which operators hear of alerts"
    )
    alerts: AlertSettings = Field(default=AlertSettings(), description="Limits from which operators are alerted")
    ocr_models: Path = Field(
        default=Path(__file__).resolve().parent.parent / "models" / "ocr",
        description="Folder with the reader's models; `python -m models.ocr_build` makes it",
    )
    paper_kinds: Path | None = Field(
        default=None,
        description="Folder of further kinds of papers, two YAML files each (docs/papers.md); none: the product's own. "
        "A mistake in a file is an error at start that names the file and the key",
    )
    c2pa_trust_anchors: Path | None = Field(
        default=None,
        description="PEM file of the certificates whose content credentials (C2PA) are trusted; none: every signer is "
        "unknown, which says nothing against a photo. Nothing is downloaded",
    )
    descriptor_torchscript: Path | None = Field(
        default=None,
        description="A TorchScript of Meta's SSCD to compare photos by instead of our own descriptor; the library must "
        "then be fingerprinted anew (`miaopei photos refingerprint`)",
    )
    descriptor_whitening: Path | None = Field(
        default_factory=lambda filled: _beside(filled["descriptor_torchscript"], ".whitening.safetensors"),
        description="Its whitening, made by `python -m models.train.sscd`; unset: beside the TorchScript",
    )
    descriptor_thresholds: Path | None = Field(
        default_factory=lambda filled: _beside(filled["descriptor_torchscript"], ".thresholds.json"),
        description="Its thresholds, made by the same command; unset: beside the TorchScript",
    )
    referral_hours: float = Field(default=24.0, gt=0, description="Time within which a referral should be decided")
    idempotency_hours: float = Field(
        default=24.0, gt=0, description="Time for which a repeated request gets the first answer again"
    )

    @property
    def prefect_pages(self) -> str:
        """Returns the address at which people reach Prefect's pages, "" without a server."""
        return (self.prefect_ui_url or self.prefect_api_url.rstrip("/").removesuffix("/api")).rstrip("/")

    @property
    def audit_tips(self) -> Path:
        """Returns the file of the audit chain's tips."""
        return self.audit.tips_file or self.home / "audit-tips"

    @model_validator(mode="after")
    def _one_way_into_prefect(self) -> Self:
        key, auth = self.prefect_api_key.get_secret_value(), self.prefect_auth_string.get_secret_value()
        if key and auth:
            raise ValueError(
                "PREFECT_API_KEY and PREFECT_API_AUTH_STRING are both set: a server has accounts or basic auth, so "
                "unset one of them"
            )
        if auth and ":" not in auth:
            raise ValueError("PREFECT_API_AUTH_STRING must be `user:password`")
        return self

    @field_validator("home")
    @classmethod
    def _absolute(cls, home: Path) -> Path:
        return home.expanduser().resolve()

    @field_validator(
        "paper_kinds",
        "descriptor_torchscript",
        "descriptor_whitening",
        "descriptor_thresholds",
        "prefect_ssl_cert_file",
    )
    @classmethod
    def _absolute_or_unset(cls, path: Path | None) -> Path | None:
        """Make the path absolute: the worker runs in another folder than the command that starts it."""
        return path.expanduser().resolve() if path is not None else None

    @field_validator("database_url", "migration_database_url", "prefect_database_url")
    @classmethod
    def _one_driver(cls, url: str) -> str:
        for plain in ("postgresql://", "postgres://"):
            if url.startswith(plain):
                return DRIVER + url.removeprefix(plain)
        if url and not url.startswith(DRIVER):
            raise ValueError(f"must start with {DRIVER} or postgresql://")
        return url

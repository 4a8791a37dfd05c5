"""Prefect's automations as code, and the events that they react to.

Applied again and again, they become what this file says: what is missing or was deleted is made, what was changed is
put back, what this file no longer has is removed. One that somebody disabled stays disabled. They are known by a tag.

Prefect's `call-webhook` takes any answer for a success and tries nothing again; so whether a notice went out is read
from the event that Prefect keeps of the action (`PrefectNotices.outcome`).
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Literal
from uuid import NAMESPACE_URL, UUID, uuid5

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import BlockDocumentCreate, BlockDocumentUpdate
from prefect.client.schemas.objects import BlockDocument
from prefect.events.actions import CallWebhook, DoNothing, SendNotification
from prefect.events.filters import (
    AutomationFilter,
    AutomationFilterTags,
    EventFilter,
    EventNameFilter,
    EventOccurredFilter,
    EventRelatedFilter,
)
from prefect.events.schemas.automations import Automation, AutomationCore, EventTrigger, Posture
from prefect.events.schemas.events import Event, RelatedResource, Resource, ResourceSpecification
from prefect.exceptions import ObjectNotFound

from claims.alerts import KINDS, PREFIX, TEST, AlertKind
from claims.faults import fault
from claims.texts import texts
from flows.config import NoticeConfig, PrefectConfig
from flows.errors import InvalidNotices, PrefectAway
from flows.operations.notices import AlertMessage, event_names, token_of
from flows.prefect_server import ANSWER_ERRORS, client_settings
from flows.runs import OURS

CODE_TAG: Final = f"{PREFIX}-code"  # on every automation that this file makes, and on no other
BLOCK: Final = f"{PREFIX}-notices"  # the webhook block that is made where a webhook is set
WEBHOOK: Final = "webhook"  # the slug of Prefect's block type
NOTIFY: Final = f"{PREFIX}.notify"  # a label of our events: who sends the notice, `prefect` or `miaopei`
RUN_STATES: Final = {"late": "Late", "crashed": "Crashed", "failed": "Failed"}

Action = CallWebhook | SendNotification | DoNothing
Change = Literal["created", "updated", "unchanged", "removed"]
Outcome = Literal["sent", "refused", "unknown"]


@dataclass(frozen=True, slots=True)
class AppliedAutomation:
    """An automation as it stands on the server, and what was done to it."""

    name: str
    change: Change
    enabled: bool
    events: tuple[str, ...]
    notifies: bool


@dataclass(frozen=True, slots=True)
class NotifyingBlock:
    """A block that automations notify by."""

    id: UUID
    slug: str

    def action(self, subject: str, body: str, payload: str) -> Action:
        """Returns the action that notifies by it. All three are templates that Prefect fills in."""
        if self.slug == WEBHOOK:
            return CallWebhook(block_document_id=self.id, payload=payload)
        return SendNotification(block_document_id=self.id, subject=subject, body=body)


def automations(config: NoticeConfig, block: NotifyingBlock | None) -> list[AutomationCore]:
    """Returns every automation. Without a block they show in Prefect that an alert opened, and notify nobody."""
    ours = [_of_alert(kind, config, block) for kind in (*KINDS.values(), TEST)]
    return ours + [_of_runs(key, state, config, block) for key, state in RUN_STATES.items()]


def _of_alert(kind: AlertKind, config: NoticeConfig, block: NotifyingBlock | None) -> AutomationCore:
    action = DoNothing() if block is None else block.action(
        "{{ event.payload.subject }}", "{{ event.payload.text }}", "{{ event.payload.body }}"
    )  # fmt: skip
    return AutomationCore(
        name=f"Miaopei: {kind.name}",
        description=texts(config.language)[f"alert_steps.{kind.key}"],
        tags=[CODE_TAG, OURS],
        trigger=_trigger(event_names(kind.event), {"prefect.resource.id": f"{PREFIX}.*", NOTIFY: "prefect"}, {}),
        actions=[action],
    )


def _of_runs(key: str, state: str, config: NoticeConfig, block: NotifyingBlock | None) -> AutomationCore:
    catalogue = texts(config.language)
    subject = "[Miaopei] " + catalogue[f"run_notices.{key}"].format(run="{{ event.resource.name }}", url="")
    body = catalogue["run_notices.body"].format(
        flow="{{ flow.name }}",
        state="{{ event.resource['prefect.state-name'] }}",
        url="{{ (flow_run | ui_url) or '' }}",
    )
    # The state's message is left out: it may hold words of an error.
    payload = (
        f"{{% set subject %}}{subject}{{% endset %}}{{% set body %}}{body}{{% endset %}}"
        '{{ {"type": event.event, "timestamp": event.occurred | string, "text": subject ~ "\\n" ~ body, "data": '
        '{"id": event.id | string, "run": event.resource.id, "name": event.resource.name, "subject": subject}} '
        "| tojson }}"
    )
    return AutomationCore(
        name=f"Miaopei: run {key}",
        description=catalogue[f"run_notices.{key}"].format(run="…"),
        tags=[CODE_TAG, OURS],
        trigger=_trigger(
            frozenset({f"prefect.flow-run.{state}"}),
            {"prefect.resource.id": "prefect.flow-run.*"},
            {"prefect.resource.role": "tag", "prefect.resource.id": f"prefect.tag.{OURS}"},
        ),
        actions=[DoNothing() if block is None else block.action(subject, body, payload)],
    )


def _trigger(events: frozenset[str], match: Mapping[str, str], related: Mapping[str, str]) -> EventTrigger:
    return EventTrigger(
        expect=set(events),
        match=ResourceSpecification.model_validate(dict(match)),
        match_related=ResourceSpecification.model_validate(dict(related)),
        posture=Posture.Reactive,
        threshold=1,
        within=timedelta(0),
    )


@dataclass
class PrefectNotices:
    """Automations and events of one Prefect server. Every method raises PrefectAway when the server fails."""

    client: PrefectClient
    config: NoticeConfig

    async def apply(self) -> list[AppliedAutomation]:
        """Make the server's automations those of this file. Raises InvalidNotices where the chosen block is not
        there."""
        with _guarded():
            wanted = automations(self.config, await self._block())
            standing = await self._standing()
            done = [await self._make(each, standing.pop(each.name, [])) for each in wanted]
            for name, left in standing.items():
                for automation in left:
                    await self.client.delete_automation(automation.id)
                done.append(AppliedAutomation(name, "removed", False, (), False))
        return done

    async def listed(self) -> list[AppliedAutomation]:
        """Return the automations that the server has of ours, changing nothing."""
        with _guarded():
            standing = await self._standing()
        return [_described(each, "unchanged") for _, same in sorted(standing.items()) for each in same[:1]]

    async def ready(self, event: str) -> bool:
        """Return True if an enabled automation of ours notifies of this event."""
        with _guarded():
            standing = await self._standing()
        described = [_described(each, "unchanged") for same in standing.values() for each in same]
        return any(each.enabled and each.notifies and event in each.events for each in described)

    async def emit(self, message: AlertMessage, *, by_prefect: bool) -> None:
        """Send the event of a notice. by_prefect: Prefect is to send the notice; else the event says that we do."""
        event = Event(
            id=event_id(message),
            occurred=message.at,
            event=message.event,
            resource=Resource.model_validate(
                {
                    "prefect.resource.id": message.alert.resource_id,
                    "prefect.resource.name": message.alert.subject,
                    f"{PREFIX}.severity": message.alert.severity.value,
                    NOTIFY: "prefect" if by_prefect else "miaopei",
                }
            ),
            related=_related(message),
            payload={
                **message.data(),
                "subject_id": message.alert.subject,
                "subject": message.subject,
                "text": message.text(),
                "body": message.body().decode(),
            },
        )
        with _guarded():
            # Asked for its answer, and not queued: whoever sends the notice depends on whether the event arrived.
            await self.client.request("POST", "/events", json=[event.model_dump(mode="json")])

    async def outcome(self, message: AlertMessage) -> Outcome:
        """Return whether Prefect has sent the notice of an event, as far as its own events tell."""
        names = ["prefect.automation.action.executed", "prefect.automation.action.failed"]
        asked = EventFilter(
            occurred=EventOccurredFilter(since=message.at - timedelta(days=1)),
            event=EventNameFilter(name=names),
            related=EventRelatedFilter(id=[f"prefect.event.{event_id(message)}"]),
        )
        with _guarded():
            page = await self.client.read_events(filter=asked, limit=20)
        outcomes = {_outcome(each) for each in page.events if (each.resource.name or "").startswith("Miaopei: ")}
        return "sent" if "sent" in outcomes else "refused" if outcomes else "unknown"

    async def _block(self) -> NotifyingBlock | None:
        if self.config.block:
            return await self._chosen(self.config.block)
        return await self._own() if self.config.webhook_url else None

    async def _chosen(self, chosen: str) -> NotifyingBlock:
        slug, _, name = chosen.partition("/")
        try:
            document = await self.client.read_block_document_by_name(name, slug, include_secrets=False)
        except ObjectNotFound as error:
            raise InvalidNotices(
                f"the Prefect server has no block {chosen!r}: make it there, or name another"
            ) from error
        schema = document.block_schema
        if slug != WEBHOOK and (schema is None or "notify" not in schema.capabilities):
            raise InvalidNotices(f"the block {chosen!r} cannot notify: name a notification block or a webhook")
        return NotifyingBlock(document.id, slug)

    async def _own(self) -> NotifyingBlock:
        """Return the webhook block of the setting, made or brought up to date."""
        config = self.config
        headers = {"content-type": "application/json"}
        if config.webhook_secret:
            headers["authorization"] = f"Bearer {token_of(config.webhook_secret)}"
        data: dict[str, Any] = {"method": "POST", "url": config.webhook_url, "headers": headers}
        try:
            document = await self.client.read_block_document_by_name(BLOCK, WEBHOOK, include_secrets=True)
        except ObjectNotFound:
            document = await self._create(data)
        if {name: document.data.get(name) for name in data} != data:
            update = BlockDocumentUpdate(data=data, merge_existing_data=True)
            await self.client.update_block_document(document.id, update)
        return NotifyingBlock(document.id, WEBHOOK)

    async def _create(self, data: dict[str, Any]) -> BlockDocument:
        kind = await self.client.read_block_type_by_slug(WEBHOOK)
        schema = await self.client.get_most_recent_block_schema_for_block_type(kind.id)
        if schema is None:
            raise InvalidNotices("the Prefect server does not know its own webhook block")
        return await self.client.create_block_document(
            BlockDocumentCreate(name=BLOCK, data=data, block_type_id=kind.id, block_schema_id=schema.id)
        )

    async def _standing(self) -> dict[str, list[Automation]]:
        """Return the automations that carry our tag, by name; two of one name when two processes made them at once."""
        tagged = AutomationFilter(tags=AutomationFilterTags(all_=[CODE_TAG]))
        standing: dict[str, list[Automation]] = {}
        for each in await self.client.read_automations(automations=tagged):
            standing.setdefault(each.name, []).append(each)
        return standing

    async def _make(self, wanted: AutomationCore, standing: Sequence[Automation]) -> AppliedAutomation:
        if not standing:
            await self.client.create_automation(wanted)
            return _described(wanted, "created")
        kept, *doubles = standing
        for double in doubles:
            await self.client.delete_automation(double.id)
        kept_as = wanted.model_copy(update={"enabled": kept.enabled})
        if _plain(kept) == _plain(kept_as):
            return _described(kept, "unchanged")
        await self.client.update_automation(kept.id, kept_as)
        return _described(kept_as, "updated")


@contextlib.asynccontextmanager
async def prefect_notices(prefect: PrefectConfig, config: NoticeConfig) -> AsyncIterator[PrefectNotices]:
    """Open a client of its own for automations and events; nothing is asked before it is used."""
    with client_settings(prefect):
        async with get_client() as client:
            yield PrefectNotices(client, config)


def event_id(message: AlertMessage) -> UUID:
    """Returns the id of a notice's event, the same on every attempt."""
    return uuid5(NAMESPACE_URL, f"{message.id}@{message.at.isoformat()}")


@contextlib.contextmanager
def _guarded() -> Iterator[None]:
    try:
        yield
    except ANSWER_ERRORS as error:
        raise PrefectAway(fault(error)) from error


def _related(message: AlertMessage) -> list[RelatedResource]:
    claim = str(message.alert.figures.get("claim", ""))
    labels = {"prefect.resource.id": f"{PREFIX}.claim.{claim}", "prefect.resource.role": "claim"}
    return [RelatedResource.model_validate(labels)] if len(claim) > 1 else []


def _outcome(event: Event) -> Outcome:
    status = event.payload.get("status_code", 200)  # a notification block has none, and fails where it is refused
    executed = event.event.endswith(".executed")
    return "sent" if executed and isinstance(status, int) and 200 <= status < 300 else "refused"


def _described(automation: AutomationCore, change: Change) -> AppliedAutomation:
    trigger = automation.trigger
    events = tuple(sorted(trigger.expect)) if isinstance(trigger, EventTrigger) else ()
    notifies = any(isinstance(action, CallWebhook | SendNotification) for action in automation.actions)
    return AppliedAutomation(automation.name, change, automation.enabled, events, notifies)


def _plain(automation: AutomationCore) -> Any:
    """Returns what an automation says, without what the server adds, for comparison."""
    kept = {"name", "description", "enabled", "tags", "trigger", "actions", "actions_on_trigger", "actions_on_resolve"}
    return _sorted(automation.model_dump(mode="json", include=kept))


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _sorted(part) for name, part in value.items() if name != "id"}
    if isinstance(value, list):
        parts = [_sorted(part) for part in value]
        return sorted(parts) if all(isinstance(part, str) for part in parts) else parts
    return value

"""Every job that operators start, one entry each. A new job is one function and one entry here.

What other processes do on a timer stays with them, since money and retention never wait for Prefect: settle reconciles,
workers sweep and check again, refer notes tips. Where a schedule here would do the same, it either does nothing while
they do it (reconcile), or is switched off until an operator switches it on (retention sweep).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from flows.config import JobsConfig
from flows.errors import JobRefused
from flows.operations import deciding, machines, upkeep
from flows.operations.job import Job, JobSchedule
from flows.runs import OURS

RECONCILE_SECONDS: Final = 3_600.0  # at the most often; settle's own timer is an operator's setting
Jobs = Mapping[str, Job[Any]]


def jobs(config: JobsConfig) -> Jobs:
    """Returns every job by its name."""
    reconcile_every = timedelta(seconds=max(RECONCILE_SECONDS, config.settle.reconcile_seconds))
    listed: tuple[Job[Any], ...] = (
        Job(
            "adjudicate",
            "**Decide these claims now.** A claim that waits for another try is due at once; one that could not be "
            "checked goes back to the queue unless a person has it. A worker decides, as it decides any other: each "
            "round once, however often this is run. *Retry* of a worker's run does the same for its claims.\n\n"
            "Refused with a code: `no_such_claim`, `erased`, `not_submitted`, `withdrawn`, `waits_for_claimant`, "
            "`with_a_person`, `before_a_person`. `already_decided` changes nothing.",
            deciding.AdjudicateParameters,
            deciding.adjudicate,
            ("claims",),
        ),
        Job(
            "recheck",
            "**Check again what could not be checked.** Claims that came before a person only because a resource of "
            "ours was missing go back to the queue now, unless a person has taken them. Workers do it by themselves, "
            "with growing pauses, once their resources are back; run this after a repair.",
            deciding.RecheckParameters,
            deciding.recheck,
            ("claims",),
            at_once_max=1,
        ),
        Job(
            "reconcile",
            "**Compare bank and books**, payout by payout, both ways. A claim with a difference is stopped; a "
            "difference that no longer holds is ended. Fails at any difference.\n\nThe settle process does it on its "
            "own timer; the schedule here compares only where nobody has within the hour.",
            upkeep.ReconcileParameters,
            upkeep.reconcile,
            ("money",),
            JobSchedule(
                every=reconcile_every,
                parameters={"only_if_older_minutes": int(reconcile_every.total_seconds() // 60)},
            ),
            at_once_max=1,
        ),
        Job(
            "redeliver-notices",
            "**Send again what partner insurers have not taken.** Notices that wait for another try are due at once; "
            "the refer process sends them.",
            upkeep.Nothing,
            upkeep.redeliver,
            ("partners",),
        ),
        Job(
            "audit-verify",
            "**Recompute the whole audit chain** and compare it with the tips noted outside the database. Fails at a "
            "record that does not follow, at missing contents and at a tip that the chain does not have.",
            upkeep.Nothing,
            upkeep.verify,
            ("audit",),
            JobSchedule(cron="20 3 * * *"),
            at_once_max=1,
        ),
        Job(
            "audit-checkpoint",
            "**Note the audit chain's newest record** outside the database, in the file of tips and at the receiver "
            "that is set. The refer process notes tips all the time; this one is noted whether it runs or not.",
            upkeep.Nothing,
            upkeep.checkpoint,
            ("audit",),
            JobSchedule(cron="10 3 * * *"),
            at_once_max=1,
        ),
        Job(
            "retention-sweep",
            "**Delete what is kept for nobody**: uploads that broke off, files that no row names, old answers to "
            "requests, sessions; finish erasures that stopped half-way. One worker does it on its own timer: switch "
            "the schedule on only where no worker runs.",
            upkeep.Nothing,
            upkeep.sweep,
            ("retention",),
            JobSchedule(every=timedelta(seconds=config.retention.every_seconds), active=False),
            at_once_max=1,
        ),
        Job(
            "prefect-retention",
            "**Delete old runs from Prefect**: finished runs of ours, with their task runs, logs and artifacts. One "
            "worker does it on its own timer; run this for another age. Events leave by the server's own setting.",
            upkeep.PrefectRetentionParameters,
            upkeep.shorten_prefect,
            ("retention",),
            at_once_max=1,
        ),
        Job(
            "erase",
            "**Erase the contents of a claim**: files, hashes, texts, words, accounts. Outcome, amounts and audit "
            "chain stay. Refused while the claim is `queued`, `leased`, `paying` or `before_a_person`. This cannot be "
            "undone.",
            upkeep.EraseParameters,
            upkeep.erase,
            ("privacy",),
            at_once_max=1,
        ),
        Job(
            "replay-decisions",
            "**Decide recorded decisions again** from their recorded inputs, and compare byte for byte. Changes "
            "nothing. Fails at any difference.",
            upkeep.ReplayParameters,
            upkeep.replay,
            ("audit",),
            at_once_max=1,
        ),
        Job(
            "library-import",
            "**Add pictures to the photo library** from a folder, a picture or a tar file on the machine of the "
            "runner process. Continues where it stopped; skips what the library has.",
            machines.ImportParameters,
            machines.import_library,
            ("library",),
            at_once_max=1,
        ),
        Job(
            "library-refingerprint",
            "**Describe the photo library anew** after the descriptor was changed. Continues where it stopped.",
            upkeep.Nothing,
            machines.refingerprint,
            ("library",),
            at_once_max=1,
        ),
        Job(
            "retrain",
            "**Train a model by its recipe** (`models/train`), in a process of its own that is given no secret. It "
            "writes weights, their card and a row of results into the checkout of the runner process; nothing uses "
            "them before the processes are started again.",
            machines.RetrainParameters,
            machines.retrain,
            ("models",),
            at_once_max=1,
        ),
        Job(
            "drain-worker",
            "**Let a worker end**: it finishes what it has and takes nothing more. `miaopei up` starts another one in "
            "its place, with the code as it is then.",
            deciding.DrainParameters,
            deciding.drain,
            ("workers",),
        ),
    )
    return {job.name: job for job in listed}


def job_of(known: Jobs, name: str) -> Job[Any]:
    """Returns the job of this name. Raises JobRefused."""
    if name not in known:
        raise JobRefused("no_such_job", f"the jobs are: {', '.join(sorted(known))}")
    return known[name]


def tags_of(job: Job[Any]) -> list[str]:
    """Returns the tags of a job's deployment: ours, by which deployments are recognised, and its own."""
    return [OURS, *job.tags]

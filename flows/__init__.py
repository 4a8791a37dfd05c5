"""Flows: what takes claims in, decides, pays and hands on; shown in Prefect."""

import os

# Read by Prefect at its first import. Without the first, a call without a server would start a server of its own; the
# second keeps a process from sending anything about itself anywhere.
os.environ.setdefault("PREFECT_SERVER_ALLOW_EPHEMERAL_MODE", "false")
os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("PREFECT_LOGGING_LEVEL", "CRITICAL")  # our own log reports it once, without the traceback

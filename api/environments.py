"""Builds the environment of each process of the stack from the caller's variables, the settings and the secrets."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, SecretStr

from api.settings import Settings

# Secret settings, and the processes that get them. All other settings go to each of our own processes; none go to
# Prefect's server or to other people's processes.
SECRETS: Final[Mapping[str, frozenset[str]]] = {
    "database_url": frozenset({"api", "worker", "settle", "refer", "runner"}),
    "migration_database_url": frozenset(),  # nobody: the stack has migrated before it starts processes
    "prefect_database_url": frozenset(),  # Prefect's server gets it under Prefect's own name
    "prefect_api_key": frozenset({"worker", "settle", "refer", "runner"}),  # which show runs
    "prefect_auth_string": frozenset({"worker", "settle", "refer", "runner"}),
    "token_key": frozenset({"api"}),
    "token_keys_old": frozenset({"api"}),
    "nose_key": frozenset({"worker"}),  # which makes templates and compares them
    "nose_keys_old": frozenset({"worker"}),
    "bank": frozenset({"settle", "runner"}),  # the runner asks the bank for its list, to reconcile, and never to pay
    "rail": frozenset({"settle", "runner"}),  # whose options may hold secrets
    "partners": frozenset({"refer"}),
    "audit": frozenset({"refer", "runner"}),  # which note the tips
    "notices": frozenset({"refer", "settle"}),  # which watch; a worker opens strangers' files, and is told no password
}
OWN: Final = frozenset({"api", "worker", "settle", "refer", "runner"})
PREFECT: Final = "prefect"

# Names, and beginnings of names, of the caller's variables that are passed on.
_EVERYBODY: Final = (
    "PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "VIRTUAL_ENV", "LD_LIBRARY_PATH",
    "LD_PRELOAD", "DYLD_", "LC_", "PYTHON", "XDG_", "SSL_CERT_", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "OMP_",
    "MKL_", "OPENBLAS_", "KMP_", "NUMEXPR_", "MALLOC_",
)  # fmt: skip
_EVIDENCE: Final = ("AWS_", "AZURE_", "GOOGLE_", "FSSPEC_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "https_proxy",
                    "http_proxy", "no_proxy")  # fmt: skip
_BEYOND: Final[Mapping[str, tuple[str, ...]]] = {
    "api": _EVIDENCE,
    "worker": (*_EVIDENCE, "PREFECT_", "CUDA_", "NVIDIA_", "TORCH_"),
    "settle": ("PREFECT_",),
    "refer": ("PREFECT_",),
    "runner": (*_EVIDENCE, "PREFECT_", "CUDA_", "NVIDIA_", "TORCH_"),
    PREFECT: ("PREFECT_",),
}
_PREFECT_SERVERS_OWN: Final = ("PREFECT_SERVER_DATABASE_", "PREFECT_API_DATABASE_", "PREFECT_SERVER_API_AUTH_STRING")
# What opens another Prefect server is none of the business of the one that is started here.
_PREFECT_CLIENTS_OWN: Final = ("PREFECT_API_KEY", "PREFECT_API_AUTH_STRING")
# Keeps Prefect from sending data to anybody and from prompting.
_QUIET: Final = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "PREFECT_CLI_PROMPT": "false",
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
}


def of_process(settings: Settings, name: str) -> dict[str, str]:
    """Returns the whole environment of one process. name: as the stack calls it; `worker-2` is a worker."""
    kind = kind_of(name)
    kept = (*_EVERYBODY, *_BEYOND.get(kind, ()))
    inherited = {variable: value for variable, value in os.environ.items() if variable.startswith(kept)}
    not_its_own = _PREFECT_CLIENTS_OWN if kind == PREFECT else _PREFECT_SERVERS_OWN
    inherited = {name: value for name, value in inherited.items() if not name.startswith(not_its_own)}
    quiet = {**_QUIET, "PREFECT_HOME": str(settings.home / "prefect")}
    told = _told(settings, kind) if kind in OWN else {}
    return {**inherited, **quiet, **told, "PYTHONUNBUFFERED": "1"}


def kind_of(name: str) -> str:
    """Returns the kind of process that a process name of the stack stands for."""
    kind, _, number = name.rpartition("-")
    return kind if number.isdigit() else name


def environment(settings: Settings) -> dict[str, str]:
    """Returns environment variables that give another process these settings, secrets included."""
    variables = {}
    for name, value in settings:
        plain = _plain(value)
        if plain is None:
            continue  # unset: the other process leaves it unset, too
        variables[variable_of(name)] = plain if isinstance(plain, str) else json.dumps(plain)
    return variables


def variable_of(name: str) -> str:
    """Returns the environment variable of a setting."""
    alias = Settings.model_fields[name].validation_alias
    return alias if isinstance(alias, str) else f"MIAOPEI_{name.upper()}"


def _told(settings: Settings, kind: str) -> dict[str, str]:
    kept_from = {variable_of(name) for name, kinds in SECRETS.items() if kind not in kinds}
    return {name: value for name, value in environment(settings).items() if name not in kept_from}


def _plain(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, BaseModel):
        return {name: _plain(part) for name, part in value}
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value

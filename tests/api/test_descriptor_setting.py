"""The setting that replaces the descriptor, from the environment to a worker that refuses to start."""

from __future__ import annotations

from pathlib import Path

import pytest

from api.processes import worker_config
from api.settings import Settings
from api.stack import environment
from flows import worker
from flows.config import DescriptorConfig
from models.errors import ModelCorrupt, ModelMissing

NOWHERE = "postgresql+asyncpg://nobody@127.0.0.1:9/none"  # a worker that tried to lease would fail on this instead


def test_our_own_descriptor_is_used_where_nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MIAOPEI_DESCRIPTOR_TORCHSCRIPT", raising=False)
    assert worker_config(Settings(database_url=NOWHERE)).descriptor is None


def test_what_belongs_to_a_torchscript_is_looked_for_beside_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MIAOPEI_DESCRIPTOR_TORCHSCRIPT", str(tmp_path / "sscd.torchscript.pt"))
    beside = DescriptorConfig(
        tmp_path / "sscd.torchscript.pt",
        tmp_path / "sscd.torchscript.whitening.safetensors",
        tmp_path / "sscd.torchscript.thresholds.json",
    )
    assert worker_config(Settings(database_url=NOWHERE)).descriptor == beside
    monkeypatch.setenv("MIAOPEI_DESCRIPTOR_WHITENING", str(tmp_path / "elsewhere.safetensors"))
    assert worker_config(Settings(database_url=NOWHERE)).descriptor == DescriptorConfig(
        beside.torchscript, tmp_path / "elsewhere.safetensors", beside.thresholds
    )


@pytest.mark.anyio
@pytest.mark.parametrize(("content", "error"), [(None, ModelMissing), (b"no network", ModelCorrupt)])
async def test_a_worker_without_its_descriptor_ends_before_it_leases_anything(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes | None, error: type[Exception]
) -> None:
    path = tmp_path / "sscd.pt"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setenv("MIAOPEI_DESCRIPTOR_TORCHSCRIPT", str(path))
    settings = Settings(database_url=NOWHERE, evidence_url=(tmp_path / "evidence").as_uri())
    with pytest.raises(error, match=str(path)):
        await worker.run(worker_config(settings))


def test_a_path_is_meant_from_where_the_command_was_typed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MIAOPEI_DESCRIPTOR_TORCHSCRIPT", "sscd.pt")
    settings = Settings(database_url=NOWHERE)
    assert settings.descriptor_torchscript == tmp_path / "sscd.pt"
    assert settings.descriptor_thresholds == tmp_path / "sscd.thresholds.json"
    assert environment(settings)["MIAOPEI_DESCRIPTOR_TORCHSCRIPT"] == str(tmp_path / "sscd.pt")
    monkeypatch.delenv("MIAOPEI_DESCRIPTOR_TORCHSCRIPT")
    assert "MIAOPEI_DESCRIPTOR_TORCHSCRIPT" not in environment(Settings(database_url=NOWHERE))

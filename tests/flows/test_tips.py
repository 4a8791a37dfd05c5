"""Tips of the audit chain outside the database: on disk, readable by its owner alone, and signed to a witness."""

from __future__ import annotations

import asyncio
import stat
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from standardwebhooks.webhooks import Webhook

from api.processes import refer_config
from api.settings import Settings
from claims.audit import Tip
from claims.store import audit
from flows import refer
from flows.config import TipConfig
from flows.tips import TipKeeper, read_tips, write_tip
from tests.flows.conftest import SECRET

pytestmark = pytest.mark.anyio
AT = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)


async def add(engine: AsyncEngine, count: int = 1) -> Tip:
    async with engine.begin() as conn:
        for number in range(count):
            await audit.append(conn, "x", "y", "z", {"number": number}, AT)
    async with engine.connect() as conn:
        return await audit.newest(conn)


class Witness(BaseHTTPRequestHandler):
    """A server that receives signed tips."""

    taken: list[dict[str, Any]]
    answer = 204

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        event = Webhook(SECRET).verify(body, {name.lower(): value for name, value in self.headers.items()})
        type(self).taken.append(event)
        self.send_response(type(self).answer)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def witness() -> Iterator[tuple[str, type[Witness]]]:
    handler = type("OneWitness", (Witness,), {"taken": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/tips", handler
    server.shutdown()
    server.server_close()


async def test_tips_are_noted_after_so_many_records_or_seconds_and_signed_to_a_witness(
    engine: AsyncEngine, tmp_path: Path, witness: tuple[str, type[Witness]]
) -> None:
    url, taken_by = witness
    file = tmp_path / "home" / "audit-tips"
    config = TipConfig(file, every_seconds=3_600, every_records=3, webhook_url=url, secret=SECRET)
    async with httpx.AsyncClient(trust_env=False) as client:
        keeper = TipKeeper(engine, config, client)
        assert not await keeper.look()  # an empty chain has no tip
        first = await add(engine)
        assert await keeper.look()  # the first record of all at once
        await add(engine, 2)
        assert not await keeper.look()
        second = await add(engine)
        assert await keeper.look()
        third = await add(engine)
        assert await keeper.look(ending=True)
        assert not await keeper.look(ending=True)
    assert read_tips(file).tips == (first, second, third)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [post["data"] for post in taken_by.taken] == [
        {"seq": tip.seq, "hash": tip.hash} for tip in (first, second, third)
    ]
    assert keeper.sent == third


async def test_a_witness_that_is_away_or_refuses_keeps_no_tip_from_the_file(
    engine: AsyncEngine, tmp_path: Path, witness: tuple[str, type[Witness]]
) -> None:
    url, refusing = witness
    refusing.answer = 503
    async with httpx.AsyncClient(trust_env=False) as client:
        for number, address in enumerate(("http://127.0.0.1:9/nobody", url), 1):
            file = tmp_path / f"tips-{number}"
            keeper = TipKeeper(engine, TipConfig(file, webhook_url=address, secret=SECRET), client)
            tip = await add(engine)
            assert await keeper.look()
            assert (read_tips(file).tips, keeper.sent.seq) == ((tip,), 0)


async def test_half_a_line_of_a_power_cut_spoils_no_other(engine: AsyncEngine, tmp_path: Path) -> None:
    file = tmp_path / "tips"
    tip = await add(engine)
    write_tip(file, tip, AT)
    with file.open("ab") as torn:
        torn.write(str(tip).encode()[:20])
    write_tip(file, tip, AT)
    assert (read_tips(file).tips, read_tips(file).unreadable) == ((tip, tip), 1)
    async with httpx.AsyncClient() as client:
        keeper = TipKeeper(engine, TipConfig(file), client)
        stop = asyncio.Event()
        stop.set()
        await keeper.keep(stop)
    assert keeper.noted == tip  # read back, and not noted again
    assert len(read_tips(file).tips) == 2


async def test_a_file_that_cannot_be_written_is_said_and_tried_again(
    engine: AsyncEngine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "blocked").write_text("no folder")
    tip = await add(engine)
    config = TipConfig(tmp_path / "blocked" / "tips", look_seconds=0.05)
    async with httpx.AsyncClient() as client:
        keeper, stop = TipKeeper(engine, config, client), asyncio.Event()
        keeping = asyncio.create_task(keeper.keep(stop))
        await asyncio.sleep(0.3)
        assert keeper.noted.seq == 0
        (tmp_path / "blocked").unlink()
        for _ in range(100):
            await asyncio.sleep(0.05)
            if keeper.noted == tip:
                break
        stop.set()
        await keeping
    assert read_tips(config.file).tips == (tip,)
    assert "tip was not noted" in "".join(capsys.readouterr())


async def test_the_refer_process_notes_tips_of_its_home_and_once_more_when_it_stops(
    engine: AsyncEngine, database_url: str, tmp_path: Path, run_process: Any, wait_until: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("MIAOPEI_AUDIT__EVERY_SECONDS", "3600")
    settings = Settings(home=tmp_path / "home", database_url=database_url)
    file = settings.audit_tips
    assert file == settings.home / "audit-tips"
    first = await add(engine)

    async def noted() -> bool:
        return file.exists() and read_tips(file).tips == (first,)

    async with run_process(lambda stop: refer.run(refer_config(settings), stop)):
        await wait_until(noted)
        last = await add(engine)
    assert read_tips(file).tips == (first, last)


async def test_a_tail_that_is_cut_while_the_process_runs_is_said_at_once(
    engine: AsyncEngine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with httpx.AsyncClient() as client:
        keeper = TipKeeper(engine, TipConfig(tmp_path / "tips", every_seconds=0), client)
        await add(engine, 5)
        assert await keeper.look()
        async with engine.begin() as conn:
            await conn.execute(text("SET LOCAL session_replication_role = replica"))
            for table in ("audit_contents", "audit"):
                await conn.execute(text(f"DELETE FROM {table} WHERE seq > 2"))
        assert await keeper.look()
    assert "does not hold the tip noted last" in "".join(capsys.readouterr())
    assert [tip.seq for tip in read_tips(tmp_path / "tips").tips] == [5, 2]


def test_a_webhook_needs_a_secret() -> None:
    with pytest.raises(ValueError, match="webhook_secret"):
        Settings(audit={"webhook_url": "https://witness.example"})  # type: ignore[arg-type]

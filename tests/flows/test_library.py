"""Importing pictures from folders and tars: known ones are skipped, unreadable ones named, killed imports resumed, with
the same result on Dask through Prefect as in one process."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from claims.store.blobs import BlobStore
from fixtures import demo_world
from flows.config import PrefectConfig, StoreConfig
from flows.errors import ImportStopped
from flows.library import ImportLimits, ImportReport, ImportTarget, InThisProcess, Runner, import_pictures
from tests.forked import Forked, miaopei
from tests.waiting import wait_until

PICTURES = ("coffee.png", "rocket.jpg", "chelsea.png")


@pytest.fixture
def target(database_url: str, tmp_path: Path) -> ImportTarget:
    store = StoreConfig(database_url, (tmp_path / "evidence").as_uri())
    return ImportTarget(store, "web", limits=ImportLimits(batch=2))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pictures = tmp_path / "pictures"
    (pictures / "below").mkdir(parents=True)
    for name in PICTURES:
        (pictures / "below" / f"{Path(name).stem}.jpg").write_bytes(demo_world.sample_photo(name))
    (pictures / "notes.txt").write_text("no picture")
    return pictures


def query(dsn: str, statement: str) -> list[tuple[Any, ...]]:
    async def run() -> list[tuple[Any, ...]]:
        engine = create_async_engine(dsn)
        try:
            async with engine.connect() as conn:
                return [tuple(row) for row in await conn.execute(text(statement))]
        finally:
            await engine.dispose()

    return asyncio.run(run())


def whole_library(dsn: str) -> list[tuple[Any, ...]]:
    """Returns every published column of each picture except the time."""
    return query(
        dsn,
        "SELECT photo_id, source, reference, preview_sha256, sha256, pixel_sha256, phash, dhash, whash, pdq::text,"
        " pdq_quality, descriptor::vector::text, descriptor_model, md5(keypoints), md5(thumbnail), width_px, height_px"
        " FROM library_photos ORDER BY photo_id",
    )


def reasons(refused: dict[str, str]) -> dict[str, str]:
    return {name.rsplit("/", 1)[-1]: why.split(":")[0] for name, why in refused.items()}


def variants(count: int, photograph: Callable[[int], bytes]) -> dict[str, bytes]:
    return {f"picture-{number:03}.jpg": photograph(number) for number in range(count)}


def archive(path: Path, files: dict[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


def test_a_folder_is_imported_once_however_often_it_is_asked_for(target: ImportTarget, folder: Path) -> None:
    progress: list[int] = []

    def once() -> ImportReport:
        return import_pictures(target, [folder], advance=lambda report: progress.append(report.seen))

    first, again = once(), once()
    assert (first.added, first.known, first.refused, first.failed) == (3, 0, {}, {})
    assert (again.added, again.known, again.refused, again.failed) == (0, 3, {}, {})
    assert progress == [2, 3, 3, 2, 3, 3]
    rows = query(target.store.dsn, "SELECT source, reference, preview_sha256 FROM library_photos ORDER BY reference")
    assert [row[:2] for row in rows] == [
        ("web", "below/chelsea.jpg"), ("web", "below/coffee.jpg"), ("web", "below/rocket.jpg"),
    ]  # fmt: skip
    assert all(BlobStore(target.store.evidence_url).exists(row[2]) for row in rows)


def test_what_is_known_is_not_even_decoded(target: ImportTarget, folder: Path) -> None:
    """The bytes are known; if they were decoded again, this decoder would refuse them."""
    import_pictures(target, [folder])
    blind = replace(target, limits=replace(target.limits, batch=3))
    again = import_pictures(blind, [folder], _NoTools())
    assert (again.added, again.known, again.refused) == (0, 3, {})


class _NoTools:
    """Runs batches with tools that have neither decoder nor descriptor: touching a picture would raise."""

    def __call__(self, target: ImportTarget, batches: Any, done: Any) -> None:
        from flows.library import Tools

        tools = Tools(target, None, None)  # type: ignore[arg-type]
        for batch in batches:
            done(batch, tools.publish(batch))


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz"])
def test_an_archive_adds_what_the_folder_did_not_have_and_names_what_cannot_be_read(
    target: ImportTarget, tmp_path: Path, folder: Path, mode: str
) -> None:
    import_pictures(target, [folder / "below" / "coffee.jpg"])
    coffee = demo_world.sample_photo("coffee.png")
    path = archive(
        tmp_path / "pictures.tar",
        {
            "a/../coffee.jpg": coffee,
            "/etc/rocket.JPG": demo_world.sample_photo("rocket.jpg"),
            "二/\udcff\x07odd.jpg": demo_world.sample_photo("chelsea.png"),
            "again/chelsea.jpeg": demo_world.sample_photo("chelsea.png"),
            "broken.jpg": coffee[:3000],
            "page.jpg": b"<html>not found</html>",
            "empty.png": b"",
            "large.jpg": bytes(2_000_000),
            "notes.txt": b"no picture",
        },
        mode,
    )
    with tarfile.open(path, "a") if mode == "w" else tarfile.open(tmp_path / "links.tar", "w") as tar:
        for name, kind in (
            ("linked.jpg", tarfile.SYMTYPE),
            ("hard.jpg", tarfile.LNKTYPE),
            ("pipe.jpg", tarfile.FIFOTYPE),
        ):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            tar.addfile(member)
    sources = [path] if mode == "w" else [path, tmp_path / "links.tar"]
    limited = replace(target, limits=replace(target.limits, file_bytes_max=1_000_000))
    report = import_pictures(limited, sources)
    assert (report.added, report.known, report.failed) == (2, 2, {})
    assert reasons(report.refused) == {
        "broken.jpg": "truncated",
        "page.jpg": "unknown_format",
        "empty.png": "empty_file",
        "large.jpg": "file_too_large",
        "linked.jpg": "link",
        "hard.jpg": "link",
        "pipe.jpg": "not_a_file",
    }
    assert [row[0] for row in query(target.store.dsn, "SELECT reference FROM library_photos ORDER BY 1")] == [
        "/etc/rocket.JPG", "coffee.jpg", "二/\ufffd\ufffdodd.jpg",
    ]  # fmt: skip


def test_links_in_a_folder_are_refused_and_never_followed(target: ImportTarget, tmp_path: Path, folder: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "secret.jpg").write_bytes(demo_world.sample_photo("rocket.jpg"))
    for path in (folder / "below").iterdir():
        path.unlink()
    (folder / "link.jpg").symlink_to(elsewhere / "secret.jpg")
    (folder / "around").symlink_to(elsewhere)
    os.mkfifo(folder / "pipe.jpg")
    report = import_pictures(target, [folder])
    assert reasons(report.refused) == {"link.jpg": "link", "pipe.jpg": "not_a_file"}
    assert query(target.store.dsn, "SELECT count(*) FROM library_photos") == [(0,)]


@pytest.mark.parametrize(("name", "mode"), [("cut.tar", "w"), ("cut.tar.gz", "w:gz")])
def test_of_a_truncated_archive_what_came_before_the_break_is_kept_and_the_break_is_reported(
    target: ImportTarget, tmp_path: Path, folder: Path, name: str, mode: str
) -> None:
    files = {path.name: path.read_bytes() for path in sorted((folder / "below").iterdir())}
    path = archive(tmp_path / name, files, mode)
    path.write_bytes(path.read_bytes()[: -len(files["rocket.jpg"]) // 2])
    report = import_pictures(target, [path, folder / "below" / "rocket.jpg"])
    assert reasons(report.refused) == {name: "truncated_archive"}
    assert report.added == 3, "two out of the archive, and the next source after it"


def test_an_archive_that_ends_without_its_end_mark_is_reported(
    target: ImportTarget, tmp_path: Path, folder: Path
) -> None:
    """Cuts exactly between two members, which Python's tarfile takes for a regular end."""
    first = {"coffee.jpg": (folder / "below" / "coffee.jpg").read_bytes()}
    path = archive(tmp_path / "first.tar", first)
    size = 512 + -(-len(first["coffee.jpg"]) // 512) * 512
    path.write_bytes(path.read_bytes()[:size])
    report = import_pictures(target, [path])
    assert (report.added, reasons(report.refused)) == (1, {"first.tar": "truncated_archive"})


def test_a_store_that_is_away_fails_its_batches_and_stops_the_import(target: ImportTarget, folder: Path) -> None:
    (folder / "evidence").write_text("a file where the store's folder should be")
    away = replace(target, store=replace(target.store, evidence_url=(folder / "evidence").as_uri()))
    report = import_pictures(away, [folder])
    assert (report.added, len(report.failed)) == (0, 3)
    assert all("NotADirectoryError" in why or "FileExistsError" in why for why in report.failed.values())
    impatient = replace(away, limits=replace(away.limits, failures_max=1))
    with pytest.raises(ImportStopped, match="1 batches failed"):
        import_pictures(impatient, [folder])
    assert import_pictures(target, [folder]).added == 3, "and with the store back everything is done"


IMPORT = ("photos", "import", "--json")


def test_a_killed_import_does_exactly_the_rest_when_it_is_run_again(
    database_url: str, tmp_path: Path, photograph: Callable[[int], bytes]
) -> None:
    count = 40  # batches of 16: the kill after the first leaves two
    path = archive(tmp_path / "pictures.tar.gz", variants(count, photograph), "w:gz")
    told = {"MIAOPEI_DATABASE_URL": database_url, "MIAOPEI_HOME": str(tmp_path / "home")}
    process = Forked(["api.cli", *IMPORT, str(path)], variables=told)

    def begun() -> bool:
        assert process.poll() is None
        return bool(query(database_url, "SELECT count(*) FROM library_photos")[0][0])

    wait_until(begun, pause_seconds=0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    there = query(database_url, "SELECT count(*) FROM library_photos")[0][0]
    assert 0 < there < count
    again = miaopei(*IMPORT, str(path), env={**os.environ, **told})
    report = json.loads(again.stdout)
    assert again.returncode == 0
    assert (report["added"], report["known"]) == (count - there, there)
    assert report["refused"] == report["failed"] == {}
    assert query(database_url, "SELECT count(*) FROM library_photos") == [(count,)]


def in_prefect(name: str, url: str, workers: int = 2) -> Runner:
    from flows.library_prefect import InPrefect, task_runner

    return InPrefect(task_runner(name, workers), PrefectConfig(api_url=url), workers)


@pytest.mark.parametrize("name", ["threads", "dask"])
def test_an_import_through_prefects_task_runners_makes_the_same_library_as_a_plain_one(
    name: str,
    postgres: Any,
    migrated_template: str,
    target: ImportTarget,
    tmp_path: Path,
    folder: Path,
    prefect_api_url: str,
    photograph: Callable[[int], bytes],
) -> None:
    sources: Sequence[Path] = [folder, archive(tmp_path / "more.tar.gz", variants(6, photograph), "w:gz")]
    (folder / "below" / "broken.jpg").write_bytes(demo_world.sample_photo("coffee.png")[:3000])
    plain = import_pictures(target, sources, InThisProcess(2))
    postgres.execute(f"CREATE DATABASE other_{name} TEMPLATE {migrated_template} STRATEGY FILE_COPY")
    other = replace(target, store=replace(target.store, dsn=postgres.dsn(f"other_{name}")))
    ports: set[tuple[str, int]] = set()
    through = import_pictures(
        other, sources, in_prefect(name, prefect_api_url), advance=lambda _report: ports.update(_listening())
    )
    assert (through.added, through.known, through.refused) == (plain.added, plain.known, plain.refused)
    assert through.added >= 8
    assert through.failed == {}
    assert whole_library(other.store.dsn) == whole_library(target.store.dsn)
    assert {address for address, _ in ports} <= {"127.0.0.1", "::1"}, "nobody else on the network is let in"
    again = import_pictures(other, sources, in_prefect(name, prefect_api_url))
    assert (again.added, again.known) == (0, plain.added + plain.known)


def test_a_batch_that_kills_its_worker_process_does_not_sink_the_rest(
    target: ImportTarget, prefect_api_url: str, photograph: Callable[[int], bytes], tmp_path: Path
) -> None:
    """One Dask worker is killed in the middle; its batch is either taken over by the other or named as failed."""
    path = archive(tmp_path / "pictures.tar", variants(12, photograph))
    killed: list[int] = []

    def kill_one(_report: ImportReport) -> None:
        if not killed:
            workers = [child for child in psutil.Process().children(recursive=True) if _spawned(child)]
            assert workers
            killed.append(workers[0].pid)
            workers[0].kill()

    report = import_pictures(target, [path], in_prefect("dask", prefect_api_url), advance=kill_one)
    assert report.added + report.known + len(report.failed) == 12
    rest = import_pictures(target, [path])
    assert rest.added == len(report.failed)
    assert query(target.store.dsn, "SELECT count(*) FROM library_photos") == [(12,)]


def _spawned(process: psutil.Process) -> bool:
    try:
        return "spawn_main" in " ".join(process.cmdline())
    except psutil.Error:  # gone, or not yet buried
        return False


def _listening() -> set[tuple[str, int]]:
    """Returns the addresses on which this process and its children listen."""
    here = psutil.Process()
    addresses = set()
    for process in [here, *here.children(recursive=True)]:
        try:
            addresses |= {
                (connection.laddr.ip, connection.laddr.port)
                for connection in process.net_connections("tcp")
                if connection.status == "LISTEN"
            }
        except psutil.Error:
            continue
    return addresses

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from claims.errors import FileTooLarge, NotFound, StoreError
from claims.store.blobs import BlobStore

DATA = b"\xff\xd8\xff" + bytes(range(256)) * 700


@pytest.fixture(params=["file", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path.as_uri() if request.param == "file" else f"memory://{tmp_path.name}")


def _files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_file_is_found_under_the_hash_of_what_was_streamed(store: BlobStore) -> None:
    with store.writer() as writer:
        for start in range(0, len(DATA), 1000):
            writer.write(DATA[start : start + 1000])
        key = writer.commit()
    assert key == hashlib.sha256(DATA).hexdigest()
    assert writer.size_bytes == len(DATA)
    assert store.exists(key)
    assert store.read(key) == DATA
    with store.open(key) as file:
        assert file.read(3) == b"\xff\xd8\xff"


def test_one_byte_too_many_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    store = BlobStore(tmp_path.as_uri())
    with store.writer(bytes_max=10) as writer:
        writer.write(b"0123456789")
        with pytest.raises(FileTooLarge):
            writer.write(b"x")
    assert _files(tmp_path) == []


def test_an_upload_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    store = BlobStore(tmp_path.as_uri())

    def upload() -> None:
        with store.writer() as writer:
            writer.write(b"half")
            raise ConnectionError

    with pytest.raises(ConnectionError):
        upload()
    assert _files(tmp_path) == []


def test_the_same_file_sent_many_times_at_once_is_stored_once(tmp_path: Path) -> None:
    store = BlobStore(tmp_path.as_uri())
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: store.put(DATA), range(24)))
    (key,) = keys
    assert _files(tmp_path) == [f"{key[:2]}/{key[2:4]}/{key}"]
    assert store.read(key) == DATA


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "a" * 63, "A" * 64, "a" * 64 + "\n", "", "a" * 32 + "/" + "a" * 31]
)
def test_only_a_hash_is_a_key(store: BlobStore, name: str) -> None:
    for use in (store.read, store.exists, store.delete):
        with pytest.raises(NotFound):
            use(name)


def test_what_is_not_there_is_not_found_and_deleting_it_is_fine(store: BlobStore) -> None:
    key = store.put(DATA)
    store.delete(key)
    store.delete(key)
    assert not store.exists(key)
    with pytest.raises(NotFound):
        store.read(key)


def test_damage_on_the_disk_is_noticed(tmp_path: Path) -> None:
    store = BlobStore(tmp_path.as_uri())
    key = store.put(DATA)
    path = tmp_path / key[:2] / key[2:4] / key
    path.write_bytes(DATA[:-1] + b"?")
    with pytest.raises(StoreError, match="damaged"):
        store.read(key)

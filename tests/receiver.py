"""Whoever gets notices: a web server and a mail server in one process of their own, which keep what they take.

folder/answer     the web server's status, and whether mail is taken (200, or 500 and 451)
folder/posts      a JSON object a line: headers and body of each request, and the status it got
folder/mails      a JSON object a line: the letters that were taken
"""

from __future__ import annotations

import asyncio
import email
import email.policy
import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session

from api.postgres import free_port
from tests.forked import Forked
from tests.waiting import wait_until


@dataclass
class Receiver:
    """The process, as tests see it: killed and started again on the same ports."""

    folder: Path
    http_port: int
    smtp_port: int
    process: Forked | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http_port}/notices"

    def start(self) -> None:
        ready = self.folder / "ready"
        ready.unlink(missing_ok=True)
        self.answer(200)
        arguments = (str(self.folder), str(self.http_port), str(self.smtp_port))
        self.process = Forked(["tests.receiver", *arguments])
        wait_until(ready.exists)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def answer(self, status: int) -> None:
        partial = self.folder / "answer.part"
        partial.write_text(str(status))
        partial.replace(self.folder / "answer")

    def posts(self, event: str = "", *, taken: bool = True) -> list[dict[str, Any]]:
        """Returns the requests about an event, those that were taken or all."""
        read = _lines(self.folder / "posts")
        return [
            post
            for post in read
            if (not event or json.loads(post["body"]).get("type") == event) and (not taken or post["status"] == 200)
        ]

    def mails(self) -> list[dict[str, Any]]:
        return _lines(self.folder / "mails")


@contextmanager
def receiving(folder: Path) -> Iterator[Receiver]:
    """Yields a running receiver."""
    receiver = Receiver(folder, free_port(), free_port())
    receiver.start()
    try:
        yield receiver
    finally:
        receiver.kill()


def _lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()] if file.exists() else []


class _Mails:
    """The mail server's answer to a letter."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        del server, session
        if (self.folder / "answer").read_text() != "200":
            return "451 not now"
        letter = email.message_from_bytes(envelope.content or b"", policy=email.policy.default)
        body = letter.get_body(("plain", "html"))
        kept = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "subject": str(letter["subject"]),
            "message_id": str(letter["message-id"]),
            "text": body.get_content() if body is not None else "",
        }
        with (self.folder / "mails").open("a", encoding="utf-8") as file:
            file.write(json.dumps(kept, ensure_ascii=False) + "\n")
        return "250 OK"


def main() -> None:
    folder, http_port, smtp_port = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    lock = threading.Lock()

    class Posts(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
            status = int((folder / "answer").read_text())
            headers = {name.lower(): value for name, value in self.headers.items()}
            kept = {"at": time.time(), "status": status, "headers": headers, "body": body}
            with lock, (folder / "posts").open("a", encoding="utf-8") as file:
                file.write(json.dumps(kept, ensure_ascii=False) + "\n")
            self.send_response(status)
            self.send_header("content-length", "0")
            self.end_headers()

        do_GET = do_POST

        def log_message(self, *_: object) -> None:
            return

    web = ThreadingHTTPServer(("127.0.0.1", http_port), Posts)
    threading.Thread(target=web.serve_forever, daemon=True).start()

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: SMTP(_Mails(folder), loop=loop), "127.0.0.1", smtp_port)
        (folder / "ready").touch()
        async with server:
            await server.serve_forever()

    asyncio.run(serve())

"""Take docs/pictures/queue.png from a running stack: `KEEP=1 make demo` prints the address and the adjuster's token.

python docs/pictures/take.py http://127.0.0.1:8417 TOKEN
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

PICTURE = Path(__file__).with_name("queue.png")
WIDTH_PX, HEIGHT_PX = 1280, 1130


def main(url: str, token: str) -> None:
    """Open the queue, take the case of an edited photo, and photograph it."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(
            locale="en-GB", timezone_id="Asia/Shanghai", viewport={"width": WIDTH_PX, "height": HEIGHT_PX}
        )
        page.goto(f"{url}/sign-in")
        page.fill("#token", token)
        page.click("button.primary")
        page.locator(".cases tr", has_text="edited copy").filter(has_text="another claimant").first.locator(
            ".open"
        ).click()
        page.wait_for_load_state("networkidle")
        page.screenshot(path=PICTURE)
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:3])

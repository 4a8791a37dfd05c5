"""The README's claim by curl, run as it stands there, against a running stack."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from api.sandbox import Sandbox
from api.stack import environment

ROOT = Path(__file__).resolve().parents[2]


def test_the_readmes_claim_is_paid_with_its_reasons_in_words(sandbox: Sandbox, tmp_path: Path) -> None:
    assert sandbox.stack is not None
    block = re.search(r"```bash\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert block is not None
    surroundings = {
        **os.environ,
        **environment(sandbox.stack.settings),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "API": sandbox.api_url,
    }
    # A busy machine takes longer: what the README shows last is asked for until the claim is decided and paid.
    undecided = 'grep -q \'"status":"\\(submitted\\|approved\\)"\''
    again = "curl -sS --fail-with-body $API/v1/claims -H \"$mei\" -H 'Accept-Language: en'"
    script = f"{block[1]}\nwhile {again} | {undecided}; do sleep 0.2; done\necho\n{again}"
    done = subprocess.run(
        ["bash", "-e", "-c", script],
        cwd=tmp_path,
        env={**surroundings, "SECONDS_TO_DECIDE": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (claim,) = json.loads(done.stdout.splitlines()[-1])["claims"]
    assert claim["status"] == "paid", claim

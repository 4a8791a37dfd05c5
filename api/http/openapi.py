"""Write the API's description: `python -m api.http.openapi docs/openapi.json`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from api.http.app import create_app
from api.settings import Settings


def document() -> str:
    """Returns the OpenAPI document as it is kept in docs: indented, keys in the order of the code, one newline at the
    end."""
    return json.dumps(create_app(Settings()).openapi(), indent=1, ensure_ascii=False) + "\n"


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m api.http.openapi FILE\n")
        return 2
    Path(arguments[0]).write_text(document(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

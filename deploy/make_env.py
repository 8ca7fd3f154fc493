"""Write .env for docker-compose.yml, with new random secrets. One that exists is left alone.

Usage: python3 deploy/make_env.py
"""

import os
import secrets
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SECRET_BYTES = 32


def main(root: Path = ROOT) -> int:
    """Return 0 when .env is there with every secret."""
    target = root / ".env"
    lines = (root / ".env.example").read_text(encoding="utf-8").splitlines()
    filled = [
        line + secrets.token_hex(SECRET_BYTES) if line.endswith("=") else line for line in lines
    ]
    try:
        file = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        print(f"{target} is there already; nothing was changed", file=sys.stderr)  # noqa: T201
        return 0
    with os.fdopen(file, "w", encoding="utf-8") as text:
        text.write("\n".join(filled) + "\n")
    print(f"wrote {target}")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Compile the contracts next to this file, or in the directory given: `compile.py [DIRECTORY]`.

Needs the compiler `vyper` 0.4.3, which nothing else here does: install it into a virtual
environment of its own, and commit the JSON that this writes.
"""

import json
import subprocess
import sys
from pathlib import Path


def main() -> None:
    """Write `name.json` beside each `name.vy`."""
    directory = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    for source in sorted(directory.glob("*.vy")):
        command = ["vyper", "-f", "abi,bytecode", source.name]
        result = subprocess.run(command, cwd=directory, check=True, capture_output=True, text=True)
        abi, bytecode = result.stdout.splitlines()
        artefact = {"name": source.stem, "abi": json.loads(abi), "bytecode": bytecode}
        source.with_suffix(".json").write_text(json.dumps(artefact, indent=1) + "\n")


if __name__ == "__main__":
    main()

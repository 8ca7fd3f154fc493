"""Read compiled contracts: ours, or as compilers write them. It asks no node."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from wallet.chain import Artefact
from wallet.errors import BadRequest, UnknownContract

OWN_ARTEFACTS = Path(__file__).parent / "artefacts"


def read_artefact(text: str) -> Artefact:
    """Return the compiled contract in a JSON text. Raises: BadRequest: see `artefact_of`."""
    try:
        return artefact_of(json.loads(text))
    except ValueError as error:
        raise BadRequest(f"this is no JSON: {error}") from error


def artefact_of(found: Any) -> Artefact:
    """Return a compiled contract: ours, or as solc, Hardhat or Foundry write it.

    Raises: BadRequest: it is none, or its code still lacks the addresses of libraries.
    """
    try:
        code = found["bytecode"]
        code = code["object"] if isinstance(code, dict) else code
        return Artefact(
            name=str(found.get("name") or found.get("contractName") or ""),
            abi=found["abi"],
            bytecode=bytes.fromhex(code.removeprefix("0x")),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadRequest(f"this is no compiled contract: {error}") from error


def own_artefact(name: str) -> Artefact:
    """Return a contract that comes with Foldex: `erc20`. Raises: UnknownContract."""
    file = OWN_ARTEFACTS / f"{name}.json"
    if not name.isidentifier() or not file.is_file():
        raise UnknownContract(f"there is no contract {name} here")
    return read_artefact(file.read_text())


@cache
def own_artefacts() -> tuple[Artefact, ...]:
    """Return all contracts that come with Foldex."""
    return tuple(own_artefact(file.stem) for file in sorted(OWN_ARTEFACTS.glob("*.json")))

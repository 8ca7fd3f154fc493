"""Where settings come from: the environment first, then files that it names.

FOLDEX_<NAME> is a setting; FOLDEX_<NAME>_FILE a file that has a secret in it, as Docker mounts
them; FOLDEX_ENV_FILE a file of lines FOLDEX_<NAME>=…, for what the environment does not say.
"""

import difflib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError
from pydantic_settings import DotEnvSettingsSource, EnvSettingsSource

from api.settings import PREFIX, Settings, is_secret, variable

ENV_FILE: Final = "FOLDEX_ENV_FILE"
NOT_SETTINGS: Final = frozenset(
    {
        "FOLDEX_DEBIAN_MIRROR",
        "FOLDEX_EXAMPLES",
        "FOLDEX_FLOW_DATA",
        "FOLDEX_REGENERATE",
        "FOLDEX_REQUIRE_SERVICES",
        "FOLDEX_SEED",
        "FOLDEX_SOAK_COMMANDS",
        "FOLDEX_TEST_KAFKA",
        "FOLDEX_TEST_ETHEREUM",
        "FOLDEX_TEST_OPENBAO",
        "FOLDEX_TEST_OPENBAO_TOKEN",
        "FOLDEX_TEST_POSTGRES_URL",
        "FOLDEX_URL",
    }
)
"""Variables of the tests, benchmarks, development servers and the demo's client.sh: what is started
beside them inherits them."""


@dataclass(frozen=True, slots=True)
class Given:
    """A value from outside, not checked yet. origin: the variable or file that gave it."""

    value: Any
    origin: str


class BadSetting(Exception):
    """A setting cannot be used. The text names it, and its value unless that is a secret."""


def read_settings(**changes: Any) -> Settings:
    """Return the settings that the environment and the files it names give.

    changes: what the command line gives instead.
    Raises: BadSetting: unknown, no such value, out of range, or it does not fit another one.
    """
    values = {name: each.value for name, each in given().items()}
    try:
        return Settings(**{**values, **changes})
    except ValidationError as error:
        raise BadSetting("; ".join(_complaints(error))) from None


def given() -> dict[str, Given]:
    """Return what the environment and its files say, by setting.

    Raises: BadSetting: a variable that is no setting (a typing error), an unreadable file.
    """
    environment = EnvSettingsSource(Settings)
    _require_known((name.upper() for name in environment.env_vars), "the environment")
    found = {name: Given(value, variable(name)) for name, value in environment().items()}
    for name, value in _secret_files(environment.env_vars).items():
        if name in found:
            raise BadSetting(f"{variable(name)} and {variable(name)}_FILE are both given")
        found[name] = value
    return {**_env_file(), **found}


def _complaints(error: ValidationError) -> list[str]:
    """Return what is wrong, one text for each setting; secrets are not repeated."""
    found = []
    for row in error.errors(include_url=False, include_context=False):
        name = str(row["loc"][0]) if row["loc"] else ""
        said = row["msg"].removeprefix("Value error, ")
        if not name:
            found.append(said)
        elif name not in Settings.model_fields:
            found.append(f"{variable(name)} is no setting")
        elif is_secret(name):
            found.append(f"{variable(name)}: {said}")
        else:
            found.append(f"{variable(name)} is {str(row['input'])[:64]!r}: {said}")
    return found


def _env_file() -> dict[str, Given]:
    path = os.environ.get(ENV_FILE)
    if not path:
        return {}
    _read(Path(path), ENV_FILE)  # The library passes over a file that is not there.
    source = DotEnvSettingsSource(
        Settings, env_file=path, env_file_encoding="utf-8", dotenv_filtering="only_existing"
    )
    _require_known((name.upper() for name in source.env_vars), path)
    origin = f"{ENV_FILE} ({path})"
    found = {name: Given(value, origin) for name, value in source().items()}
    return {**_secret_files(source.env_vars), **found}


def _secret_files(variables: Mapping[str, str | None]) -> dict[str, Given]:
    """Return the secrets that variables FOLDEX_<NAME>_FILE name files of."""
    found = {}
    for name in filter(is_secret, Settings.model_fields):
        by = f"{variable(name)}_FILE"
        path = variables.get(by.lower())
        if path:
            found[name] = Given(_read(Path(path), by).strip(), f"{by} ({path})")
    return found


def _read(path: Path, variable_name: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise BadSetting(f"{variable_name} names {path}, which is not text") from None
    except OSError as error:
        raise BadSetting(f"{variable_name} names {path}: {error.strerror}") from error


def _require_known(names: Iterable[str], where: str) -> None:
    known = {variable(name) for name in Settings.model_fields}
    known |= {f"{variable(name)}_FILE" for name in Settings.model_fields if is_secret(name)}
    for name in sorted(names):
        if name.startswith(PREFIX) and name not in known | NOT_SETTINGS | {ENV_FILE}:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise BadSetting(f"{name} in {where} is no setting of Foldex{hint}")

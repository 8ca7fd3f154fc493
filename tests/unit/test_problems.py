"""Logs hold no secret; every error has one code."""

import logging

from api.logs import Redacted
from api.problems import REGISTRY


def test_secrets_are_taken_out_of_every_line() -> None:
    try:
        raise ValueError("fdxs_in-a-trace")
    except ValueError as error:
        trace = (type(error), error, error.__traceback__)
    signature = "ab" * 32
    record = logging.LogRecord(
        "x", logging.ERROR, "", 0, "%s %s", ("fdxs_in-a-line", signature), trace
    )
    line = Redacted("%(message)s").format(record)

    assert "fdxs_in" not in line
    assert signature not in line
    assert "ValueError" in line


def test_every_code_is_registered_once_with_a_status_and_a_title() -> None:
    for code, info in REGISTRY.items():
        assert code == info.code
        assert 400 <= info.status < 600
        assert info.title
    assert {"bad_decimal", "outcome_unknown", "bad_signature", "overloaded"} <= REGISTRY.keys()

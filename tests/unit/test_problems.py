"""The registry of errors: every code once, with a status and a title."""

from api.problems import REGISTRY


def test_every_code_is_registered_once_with_a_status_and_a_title() -> None:
    for code, info in REGISTRY.items():
        assert code == info.code
        assert 400 <= info.status < 600
        assert info.title
    assert {"bad_decimal", "outcome_unknown", "bad_signature", "overloaded"} <= REGISTRY.keys()

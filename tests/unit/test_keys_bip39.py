"""Phrases: BIP-39's own test vectors (English, passphrase TREZOR), and what is refused."""

import json
import os
from pathlib import Path

import pytest

from wallet.keys.bip39 import entropy_of, mnemonic_of, seed_of, words
from wallet.keys.errors import BadMnemonic
from wallet.keys.secret import Secret

VECTORS = json.loads((Path(__file__).parents[1] / "golden" / "bip_vectors.json").read_text())


@pytest.mark.parametrize("vector", VECTORS["bip39"])
def test_phrases_and_seeds_are_those_of_the_standard(vector: dict[str, str]) -> None:
    phrase, secret = vector["phrase"], Secret(bytes.fromhex(vector["entropy"]))
    assert mnemonic_of(secret.reveal()).reveal() == phrase
    assert entropy_of(Secret(phrase)).reveal() == secret.reveal()
    assert seed_of(secret, Secret("TREZOR")).reveal().hex() == vector["seed"]


def test_the_word_list_is_sorted_and_four_letters_tell_its_words_apart() -> None:
    assert list(words()) == sorted(words())
    assert len({word[:4] for word in words()}) == len(words()) == 2048


@pytest.mark.parametrize("size", [16, 20, 24, 28, 32])
def test_any_entropy_comes_back_from_its_phrase(size: int) -> None:
    entropy = os.urandom(size)
    assert entropy_of(mnemonic_of(entropy)).reveal() == entropy


@pytest.mark.parametrize(
    ("phrase", "message"),
    [
        ("abandon " * 12, "checksum"),
        ("abandon " * 10 + "about", "not 11"),
        ("", "not 0"),
        ("zoo " * 27, "not 27"),
        ("abandon " * 10 + "hunter2 about", "word 11"),
        ("winner legal thank year wave sausage worth useful legal winner thank yellow", "checksum"),
    ],
)
def test_a_wrong_phrase_is_refused_without_repeating_its_words(phrase: str, message: str) -> None:
    with pytest.raises(BadMnemonic, match=message) as refused:
        entropy_of(Secret(phrase))
    assert not any(word in str(refused.value).split() for word in phrase.split())


def test_entropy_of_another_length_is_refused() -> None:
    with pytest.raises(BadMnemonic, match="not 15"):
        mnemonic_of(bytes(15))


def test_spaces_and_capital_letters_do_not_matter() -> None:
    assert entropy_of(Secret("  ABANDON\n" * 11 + " About ")).reveal() == bytes(16)

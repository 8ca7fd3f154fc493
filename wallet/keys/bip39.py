"""A seed as words that people can write down. Source: BIP-39, English word list."""

import unicodedata
from functools import cache
from hashlib import pbkdf2_hmac, sha256
from pathlib import Path
from typing import Final

from wallet.keys.errors import BadMnemonic
from wallet.keys.secret import Secret

WORDS_FILE: Final = Path(__file__).with_name("bip39_english.txt")
WORDS_SHA256: Final = "2f5eed53a4727b4bf8880d8f3f199efc90e58503646d9ff8eff3a2ed3b24dbda"
"""Of the file `english.txt` that belongs to BIP-39. One changed word would lose coins."""

ENTROPY_BYTES: Final = (16, 20, 24, 28, 32)
ROUNDS: Final = 2048


@cache
def words() -> tuple[str, ...]:
    """Return the 2,048 words, in order."""
    text = WORDS_FILE.read_bytes()
    assert sha256(text).hexdigest() == WORDS_SHA256, f"{WORDS_FILE} is damaged"
    return tuple(text.decode().split())


def mnemonic_of(entropy: bytes) -> Secret[str]:
    """Return the phrase of some entropy: 12 words for 16 bytes, 24 words for 32 bytes.

    entropy: from the operating system's source, given by the caller.
    """
    if len(entropy) not in ENTROPY_BYTES:
        raise BadMnemonic(f"entropy has {ENTROPY_BYTES} bytes, not {len(entropy)}")
    bits = _checked_bits(entropy)
    indexes = (int(bits[at : at + 11], 2) for at in range(0, len(bits), 11))
    return Secret(" ".join(words()[index] for index in indexes))


def entropy_of(mnemonic: Secret[str]) -> Secret[bytes]:
    """Return the entropy that a phrase stands for.

    Raises: BadMnemonic: it names what is wrong by the word's place, never the word.
    """
    phrase = unicodedata.normalize("NFKD", mnemonic.reveal()).lower().split()
    if len(phrase) * 11 * 32 // 33 // 8 not in ENTROPY_BYTES or len(phrase) % 3:
        raise BadMnemonic(f"a phrase has 12, 15, 18, 21 or 24 words, not {len(phrase)}")
    bits = "".join(f"{_index(word, place):011b}" for place, word in enumerate(phrase, 1))
    entropy_bits = len(bits) * 32 // 33
    entropy = int(bits[:entropy_bits], 2).to_bytes(entropy_bits // 8, "big")
    if _checked_bits(entropy) != bits:
        raise BadMnemonic("the checksum is wrong: a word is wrong or two have changed places")
    return Secret(entropy)


def seed_of(entropy: Secret[bytes], passphrase: Secret[str]) -> Secret[bytes]:
    """Return the 64-byte seed from which BIP-32 derives keys.

    passphrase: BIP-39's own ("25th word"), often empty. A wrong one gives other keys, no error.
    """
    phrase = mnemonic_of(entropy.reveal()).reveal()
    salt = "mnemonic" + unicodedata.normalize("NFKD", passphrase.reveal())
    return Secret(pbkdf2_hmac("sha512", phrase.encode(), salt.encode(), ROUNDS))


def _checked_bits(entropy: bytes) -> str:
    checksum_bits = len(entropy) // 4
    checksum = f"{sha256(entropy).digest()[0]:08b}"[:checksum_bits]
    return f"{int.from_bytes(entropy, 'big'):0{len(entropy) * 8}b}{checksum}"


def _index(word: str, place: int) -> int:
    try:
        return _indexes()[word]
    except KeyError:
        raise BadMnemonic(f"word {place} is not in the English word list") from None


@cache
def _indexes() -> dict[str, int]:
    return {word: index for index, word in enumerate(words())}

"""What to offer for a transaction. Source: EIP-1559; geth's rule for replacements."""

from collections.abc import Iterable, Mapping
from statistics import median
from typing import Any

from wallet.errors import FeeAboveCap
from wallet.types import Decoded, FeePolicy, FeeQuote, Speed

HISTORY_BLOCKS = 20
PERCENTILES = {Speed.SLOW: 25, Speed.NORMAL: 50, Speed.FAST: 75}
TIP_MIN_WEI = 1_000_000
# Room for the base fee to grow by an eighth in each of six blocks.
BASE_FEE_ROOM = 2
# Nodes demand 10 % more; an eighth leaves room for those that round otherwise.
BUMP_NUMERATOR, BUMP_DENOMINATOR = 9, 8


def quote(history: Mapping[str, Any], policy: FeePolicy) -> FeeQuote:
    """Return the offer by `eth_feeHistory` of HISTORY_BLOCKS with the percentile of the speed.

    Empty blocks pay no tip and tell nothing, so they are left out.
    Raises: FeeAboveCap: not even the next block is within the policy.
    """
    used = zip(history["reward"] or (), history["gasUsedRatio"], strict=False)
    tips = [int(reward[0], 16) for reward, ratio in used if ratio]
    tip = max(TIP_MIN_WEI, int(median(tips)) if tips else 0)
    base_fee = int(history["baseFeePerGas"][-1], 16)
    if base_fee + tip > policy.price_max:
        raise FeeAboveCap(f"a unit of gas costs {base_fee + tip} wei now")
    price = min(BASE_FEE_ROOM * base_fee + tip, policy.price_max)
    return FeeQuote(price=price, tip=tip, policy=policy)


def outbid(offer: FeeQuote, previous: Iterable[Decoded]) -> FeeQuote:
    """Return an offer that is at least this one and replaces every previous one.

    Raises: FeeAboveCap: that is more than the policy pays for a unit of gas.
    """
    price, tip = offer.price, offer.tip
    for old in previous:
        price, tip = max(price, _bumped(old.price)), max(tip, _bumped(old.tip))
    if price > offer.policy.price_max:
        raise FeeAboveCap(f"replacing it would cost {price} wei for a unit of gas")
    return FeeQuote(price=price, tip=tip, policy=offer.policy)


def _bumped(wei: int) -> int:
    return -(-wei * BUMP_NUMERATOR // BUMP_DENOMINATOR)

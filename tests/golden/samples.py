"""One sample of every event, with every field set to something that shows."""

from typing import Final

from domain.events import (
    AccountOpened,
    AssetListed,
    DepositCredited,
    DepositReversed,
    Event,
    MarketHalted,
    MarketListed,
    MarketResumed,
    MarketSetCancelOnly,
    OrderAmended,
    OrderCancelled,
    OrderPlaced,
    RequestAnswered,
    SelfTradePrevented,
    TradeExecuted,
    WithdrawalApproved,
    WithdrawalCompleted,
    WithdrawalFailed,
    WithdrawalRejected,
    WithdrawalRequested,
    WriterStarted,
)

_T: Final = 1_700_000_000_123
_MARKET: Final = "BTC-USDT"

SAMPLES: Final[tuple[Event, ...]] = (
    WriterStarted(_T, "host-1:42"),
    AssetListed(_T, "BTC", 8),
    MarketListed(
        _T, _MARKET, "BTC", "USDT", "0.01", "0.00001", 1_000, 1_000, 500_000_000, 900, 1_100
    ),
    MarketHalted(_T, _MARKET, "incident 7"),
    MarketSetCancelOnly(_T, _MARKET, "maintenance"),
    MarketResumed(_T, _MARKET),
    OrderPlaced(
        _T,
        _MARKET,
        71,
        "alice",
        "buy",
        "limit",
        "gtc",
        4_200_000,
        25,
        105_000_000_000,
        20,
        "c-1",
        7,
    ),
    TradeExecuted(
        _T,
        _MARKET,
        9,
        4_199_900,
        5,
        5_000,
        20_999_500_000,
        "buy",
        70,
        71,
        "bob",
        "alice",
        20_999_500,
        5,
        500_000,
        13,
    ),
    OrderCancelled(
        _T, _MARKET, 71, "alice", "buy", 4_200_000, 20, 84_000_000_000, True, "requested"
    ),
    OrderAmended(
        _T,
        _MARKET,
        71,
        "alice",
        "buy",
        4_200_000,
        20,
        84_000_000_000,
        4_100_000,
        30,
        123_000_000_000,
        29,
        False,
    ),
    SelfTradePrevented(_T, _MARKET, "alice", 4_200_000, 3, "sell", 71, 72, 12, 13, 17, 1),
    AccountOpened(_T, "alice"),
    DepositCredited(_T, "alice", "BTC", 2**63 - 1, "ethereum:0xab:0", 2**62),
    DepositReversed(_T, "alice", "BTC", 2**63 - 1, "ethereum:0xab:0", 2**62),
    WithdrawalRequested(_T, "alice", 3, "r-1", "BTC", 150_000_000, "bc1qexample"),
    WithdrawalApproved(_T, "alice", 3, "carol"),
    WithdrawalRejected(_T, "alice", 3, "BTC", 150_000_000, "carol", "wrong address"),
    WithdrawalCompleted(_T, "alice", 3, "BTC", 150_000_000, "0xcd"),
    WithdrawalFailed(_T, "alice", 3, "BTC", 150_000_000, "the node refused it"),
    RequestAnswered(
        _T, "alice", "k-1", "ab" * 32, "below_minimum", "too small: é", 12, 71, 3, "open", 5, 6
    ),
)
"""In the order of `domain.events.AnyEvent`."""

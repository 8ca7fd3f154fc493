"""`wallet cancel`, `bump`: payments under way that are not to go on as they are."""

from contextlib import ExitStack
from typing import Annotated

import typer

from api.cli_output import EXIT_USAGE, DataOption, clear_errors, fail, say, settings_for
from api.cli_wallet import open_desk


def cancel(
    number: Annotated[int, typer.Argument(metavar="WITHDRAWAL", help="Its number.")],
    reason: Annotated[str, typer.Option(help="Why.")],
    data: DataOption = "",
) -> None:
    """Take an approved withdrawal back, while nothing is signed for it."""
    with clear_errors(), ExitStack() as opened:
        from api.deployment import deployment_of
        from api.withdrawal_log import WithdrawalLog

        settings = settings_for(data)
        store = opened.enter_context(deployment_of(settings).open_store())
        known = WithdrawalLog(store.log).find(number)
        if known is None:
            fail(f"there is no withdrawal {number}", EXIT_USAGE)
        if known.status != "approved":
            fail(f"withdrawal {number} is {known.status}, not approved", EXIT_USAGE)
        payment = open_desk(settings, opened).cancel(known.withdrawal, reason)
        if payment.status == "failed":
            say(f"{payment.id} is cancelled; the exchange is told and its amount is free again")
        else:
            say(f"{payment.id} is not paid; its amount is free again when its slot is used up")


def bump(
    name: Annotated[str, typer.Argument(metavar="PAYMENT", help="Such as withdrawal-7.")],
    data: DataOption = "",
) -> None:
    """Have a transaction that waits too long replaced in its slot, at a higher fee."""
    with clear_errors(), ExitStack() as opened:
        from wallet.types import IntentId

        payment = open_desk(settings_for(data), opened).bump(IntentId(name), "command line")
        say(f"{payment.id}: {payment.txids[-1]} is going to be replaced")

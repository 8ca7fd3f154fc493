"""Why the engine could not answer a command. These are no refusals: try again, or ask."""

from typing import ClassVar


class EngineError(Exception):
    """`code` never changes; `status` is for HTTP."""

    code: ClassVar[str] = "engine_error"
    status: ClassVar[int] = 503
    title: ClassVar[str] = "The exchange cannot answer"

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title


class Overloaded(EngineError):
    """The queue is full. The command was not recorded."""

    code, title = "overloaded", "Too many commands are waiting; nothing was recorded, try again"


class EngineStopped(EngineError):
    """The command was not recorded."""

    code, title = "engine_stopped", "The exchange is stopping; nothing was recorded"


class CommandNotRecorded(EngineError):
    """The store took nothing of the command."""

    code, title = "not_recorded", "The store failed; nothing was recorded"


class OutcomeUnknown(EngineError):
    """It may have been recorded: ask by idempotency key, or send it again with the same one."""

    code, status, title = "outcome_unknown", 504, "Ask what became of it by its idempotency key"

"""What goes wrong, in the shape in which OpenAI's API says it."""

from __future__ import annotations

from typing import Any

from assistant.core.shortage import shortage_of
from assistant.errors import AssistantError, ResourceError, VideoLimitError

OUR_FAULT = "Something went wrong on our side; the server's log says where. Try again."


class Problem(Exception):
    """A request that is not served; one line says what was met, wanted, and what to do."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        """``retry_after``: seconds after which it may be served."""
        super().__init__(message)
        self.status, self.param, self.code, self.retry_after = status, param, code, retry_after

    @property
    def kind(self) -> str:
        """OpenAI's ``type`` of it."""
        if self.status >= 500:
            return "server_error"
        return {401: "authentication_error", 429: "rate_limit_error"}.get(
            self.status, "invalid_request_error"
        )

    def as_dict(self) -> dict[str, Any]:
        """The body of the response."""
        message = " ".join(str(self).split())
        return {
            "error": {
                "message": message,
                "type": self.kind,
                "param": self.param,
                "code": self.code,
            }
        }

    @property
    def headers(self) -> dict[str, str]:
        found = {"WWW-Authenticate": "Bearer"} if self.status == 401 else {}
        return found if self.retry_after is None else found | {"Retry-After": str(self.retry_after)}


def problem_of(error: Exception) -> Problem:
    """What the person who asked is told of an exception."""
    if isinstance(error, Problem):
        return error
    told = shortage_of(error)
    if told or isinstance(error, ResourceError):
        return Problem(503, told or str(error), code="overloaded", retry_after=30)
    if isinstance(error, VideoLimitError):
        return Problem(408, str(error), code="timeout")
    if isinstance(error, AssistantError):
        return Problem(400, str(error))
    return Problem(500, OUR_FAULT, code="internal_error")

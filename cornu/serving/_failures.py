"""What a request is refused with: one error, which each protocol says in its own way."""

from __future__ import annotations

from typing import NamedTuple


class Code(NamedTuple):
    """How protocols number a failure.

    Args:
        http: The status of HTTP, as TensorFlow Serving maps it.
        grpc: The number among gRPC's status codes.
    """

    http: int
    grpc: int


#: By gRPC's names (https://grpc.github.io/grpc/core/md_doc_statuscodes.html).
CODES = {
    "CANCELLED": Code(499, 1),
    "INVALID_ARGUMENT": Code(400, 3),
    "DEADLINE_EXCEEDED": Code(504, 4),
    "NOT_FOUND": Code(404, 5),
    "PERMISSION_DENIED": Code(403, 7),
    "RESOURCE_EXHAUSTED": Code(429, 8),
    "ABORTED": Code(409, 10),
    "UNIMPLEMENTED": Code(501, 12),
    "INTERNAL": Code(500, 13),
    "UNAVAILABLE": Code(503, 14),
    "UNAUTHENTICATED": Code(401, 16),
}


class Failure(Exception):
    """A request that is not answered, and why.

    Args:
        code: A name of `CODES`.
        message: What the client is told.

    >>> failure = Failure("NOT_FOUND", "There is no such model.")
    >>> failure.code, failure.http, failure.grpc, str(failure)
    ('NOT_FOUND', 404, 5, 'There is no such model.')
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message
        self.http, self.grpc = CODES[code]

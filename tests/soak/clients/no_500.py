"""A check of schemathesis, in its own environment: no answer is a fault of the server. 503 tells of readiness."""

import schemathesis


@schemathesis.check
def no_500(ctx: object, response: schemathesis.Response, case: schemathesis.Case) -> None:
    """An answer may refuse, but not fail."""
    assert response.status_code != 500, response.text

"""What several APIs have in common: ends of events, errors by status."""
from summary import ErrorSummary

BY_STATUS = {400: ("invalid",), 401: ("auth",), 402: ("quota",), 403: ("forbidden",),
             404: ("not_found",), 408: ("timeout",), 413: ("too_long", "invalid"),
             422: ("invalid",), 424: ("upstream",), 429: ("rate",), 500: ("upstream",),
             502: ("upstream", "overloaded"), 503: ("overloaded",), 504: ("timeout",)}


def error_by_status(message, meta, codes=None):
    headers = {k.lower(): v for k, v in (meta.get("response_headers") or {}).items()}
    retry = headers.get("retry-after")
    return ErrorSummary(codes or BY_STATUS.get(meta["status"], ("upstream",)), message,
                        int(retry) * 1000 if retry else -1, meta["status"])


def event_ends(reply):
    """Where the events of an SSE stream end."""
    at, ends = 0, []
    while True:
        found = [(reply.find(gap, at), len(gap)) for gap in (b"\n\n", b"\r\n\r\n")]
        found = [(p, n) for p, n in found if p >= 0]
        if not found:
            return ends
        at = sum(min(found))
        ends.append(at)

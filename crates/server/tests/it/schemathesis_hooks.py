"""Credentials as the product takes them, so that a request is answered for its method.

A request with two credentials, or with one in its URL, is refused before its method is looked at, and the schema offers both: several
headers everywhere, and a token in the URL of downloads, where GET and HEAD alone may have it.
"""

import schemathesis


@schemathesis.hook
def before_call(context, case, kwargs):
    headers = case.headers or {}
    names = {name.lower(): name for name in headers}
    given = {name.lower() for name in kwargs.get("headers") or {}} | set(names)
    if "x-api-key" in names and "authorization" in given:
        del headers[names["x-api-key"]]
    if case.method.upper() not in ("GET", "HEAD") and case.query:
        case.query.pop("token", None)

"""What Schemathesis has to know of the gateway: rows to play with, and where a check of its own would be wrong."""

import json
import os
import re
import zlib

import schemathesis
from schemathesis.core.failures import AcceptedNegativeData, Failure
from schemathesis.core.parameters import ParameterLocation
from schemathesis.generation.meta import StatefulPhaseData
from schemathesis.openapi.checks import EnsureResourceAvailability, RejectedPositiveData
from schemathesis.specs.openapi import checks

# --- Rows to play with -------------------------------------------------------------------------------------------------

with open(os.environ["PLAYGROUND"], encoding="utf-8") as file:
    # The names of rows that run.py has made, by the parameter that names them.
    ROWS = json.load(file)


def known(name, value):
    """Mostly the name of a row that there is: random names lead to 404, and to nothing behind it."""
    rows, number = ROWS.get(name, []), zlib.crc32(str(value).encode("utf-8", "replace"))
    return rows[number % len(rows)] if rows and number % 8 else value


@schemathesis.hook
def map_case(_context, case):
    """Never a row that the run itself stands on: it does not know the names of those."""
    operators = case.path.startswith("/admin")
    # A chain of calls goes on with what it made itself.
    if case.meta is None or isinstance(case.meta.phase.data, StatefulPhaseData):
        return case
    if not case.meta.is_negative_at(ParameterLocation.PATH):
        for name, value in dict(case.path_parameters or {}).items():
            row = "issuer" if "jwt-issuers" in case.path and name == "id" else name
            case.path_parameters[name] = known(row, value)
    if operators and case.query and not case.meta.is_negative_at(ParameterLocation.QUERY) and "tenant" in case.query:
        case.query["tenant"] = known("tenant", case.query["tenant"])
    if isinstance(case.body, dict) and not case.meta.is_negative_at(ParameterLocation.BODY):
        if operators and isinstance(case.body.get("tenant"), str):
            case.body["tenant"] = known("tenant", case.body["tenant"])
        if not operators and isinstance(case.body.get("bucket"), str):
            case.body["bucket"] = known("bucket", case.body["bucket"])
    return case


# --- What no schema can say --------------------------------------------------------------------------------------------

# Fields whose value may be refused although the schema takes it, by operation, and why.
ANY = ""
REFUSED_FOR_MORE = {
    ANY: {
        "from": "years from 1970 on; whole hours only (usage); not too long before `to`",
        "to": "the same; not before `from`",
        "cursor": "must be one that an earlier page gave",
        "max_width": "not less than min_width",
        "max_height": "not less than min_height",
        "max_duration": "not less than min_duration",
        "max_size": "not less than min_size",
        "key": "at most 1024 bytes, where a schema counts characters",
        "subject": "at most 255 bytes, where a schema counts characters",
        "filename": "at most 255 bytes; no slash, no directional formatting characters; of an extension that may be uploaded",
        "expires_in": "at most the app's longest",
        "If-Match": "Schemathesis has texts of its own for this field, whatever the schema says",
        "Idempotency-Key": "not a pair of quotes with nothing in it",
    },
    "POST /v1/uploads": {
        "ext": "one of ext, filename and content_type must be there",
        "content_type": "must belong to ext",
        "bucket": "must be one of the app's own",
        "metadata": "at most 1536 bytes in all, no name of ours, no spaces at the ends",
    },
    "POST /v1/uploads/{id}/complete": {"etag": "plain characters only, once quotes and W/ are taken off"},
    "POST /admin/v1/tenants": {
        "object_key_template": "has a grammar of its own",
        "object_key_prefix": "no segment . or ..; must stand in the template",
        "default_expiry_seconds": "at most longest_expiry_seconds",
        "time_zone": "must be in the time zone database",
    },
    "POST /admin/v1/tenants/{tenant}/buckets": {
        "endpoint": "a public host, or one that the operator allows",
        "bucket": "no two dots in a row, no IP address",
    },
    "POST /admin/v1/tenants/{tenant}/buckets/{alias}/doctor": {"origin": "an origin as browsers write it"},
    "PUT /admin/v1/tenants/{tenant}/buckets/{alias}/cors": {
        "origin": "an origin as browsers write it",
        "origins": "1 to 100",
    },
    "POST /admin/v1/api-keys": {
        "scopes": "operator keys have none",
        "expires_at": "in the future, within 100 years",
    },
    "POST /admin/v1/tenants/{tenant}/jwt-issuers": {
        "jwks_url": "a public host; exactly one of the four ways to verify",
        "jwks": "a JSON Web Key Set of the algorithm",
        "public_key_pem": "a key of the algorithm",
        "hmac_secret": "at least 32 bytes",
        "algorithm": "must fit what verifies",
        "issuer": "at most 500 bytes, where a schema counts characters",
        "audience": "at most 500 bytes, where a schema counts characters",
    },
}
SAME = {
    "POST /v1/uploads/batch": "POST /v1/uploads",
    "PATCH /admin/v1/tenants/{tenant}": "POST /admin/v1/tenants",
    "PATCH /admin/v1/tenants/{tenant}/buckets/{alias}": "POST /admin/v1/tenants/{tenant}/buckets",
    "PATCH /admin/v1/api-keys/{public_id}": "POST /admin/v1/api-keys",
    "POST /admin/v1/api-keys/{public_id}/rotate": "POST /admin/v1/api-keys",
    "PATCH /admin/v1/tenants/{tenant}/jwt-issuers/{id}": "POST /admin/v1/tenants/{tenant}/jwt-issuers",
}
# Operations that hand on what a bucket's store says: what is played with may name a bucket that is not there.
OF_BUCKETS = ("complete", "DELETE /v1/uploads/{id}", "/cors", "/rotate-credential")


def answer(response):
    try:
        read = json.loads(response.content)
    except ValueError:
        return {}
    return read if isinstance(read, dict) else {}


def fail(case, title, message):
    raise Failure(operation=case.operation.label, title=title, message=message)


@schemathesis.check
def no_server_error(_context, response, case):
    """No 5xx, but a bucket's own failure where a bucket is asked."""
    of_bucket = answer(response).get("reason") in ("bucket_failed", "bucket_permission", "bucket_unavailable")
    if response.status_code >= 500 and not (of_bucket and case.operation.label.endswith(OF_BUCKETS)):
        fail(case, "Server error", f"{response.status_code}: {response.text[:300]}")


@schemathesis.check
def what_the_schema_allows_is_accepted(context, response, case):
    """Schemathesis' own check, but for values that are refused for more than a schema says."""
    try:
        checks.positive_data_acceptance(context, response, case)
    except RejectedPositiveData:
        field = re.sub(r"^uploads\[\d+\]\.", "", answer(response).get("field") or "")
        label = case.operation.label
        known_rules = REFUSED_FOR_MORE[ANY] | REFUSED_FOR_MORE.get(SAME.get(label, label), {})
        # A credential is tried before it is taken.
        tried = response.status_code == 422 and label.endswith("/rotate-credential")
        of_bucket = response.status_code == 502 and label.endswith(OF_BUCKETS)
        # To JSON Schema 1.0 is a whole number. Operators' bodies take it for none, which harms nobody.
        decimal = isinstance(case.body, dict) and isinstance(case.body.get(field), float)
        changed = response.status_code == 412 and "if-match" in {name.lower() for name in case.headers or {}}
        refused = response.status_code == 400 and (field in known_rules or decimal)
        if not (tried or of_bucket or changed or refused):
            raise


@schemathesis.check
def what_the_schema_forbids_is_refused(context, response, case):
    """Schemathesis' own check; a batch tells of each item by itself."""
    try:
        checks.negative_data_rejection(context, response, case)
    except AcceptedNegativeData:
        items = (answer(response).get("data") or {}).get("items") or []
        is_batch = case.operation.label == "POST /v1/uploads/batch"
        if not (is_batch and any(item.get("error") for item in items)):
            raise


@schemathesis.check
def what_was_made_is_there(context, response, case):
    """Schemathesis' own check, but that a new tenant has no bucket and no issuer yet."""
    try:
        checks.ensure_resource_availability(context, response, case)
    except EnsureResourceAvailability:
        if len(case.path_parameters or {}) < 2:
            raise


# --- What Schemathesis does not look at ----------------------------------------------------------------------------------

# Of every HTTP message.
ANYWHERE = {"cache-control", "connection", "content-length", "content-type", "date", "keep-alive", "transfer-encoding"}


@schemathesis.check
def headers_are_documented(_context, response, case):
    """No header field that the document does not know, and those that a status wants."""
    if checks.is_unexpected_http_status_case(case):
        return
    documented = case.operation.responses.find_by_status_code(response.status_code)
    if documented is None:
        return
    names = {name.lower() for name in response.headers}
    unknown = names - ANYWHERE - {name.lower() for name, _ in documented.headers.items()}
    if unknown:
        fail(case, "Undocumented header", f"{response.status_code}: {', '.join(sorted(unknown))}")
    wanted = {201: "location", 401: "www-authenticate", 429: "retry-after", 503: "retry-after"}
    missing = {"x-request-id", wanted.get(response.status_code, "x-request-id")} - names
    if missing:
        fail(case, "Missing header", f"{response.status_code}: {', '.join(sorted(missing))}")


@schemathesis.check
def errors_have_one_form(_context, response, case):
    """The envelope, whatever went wrong: of a wrong method or media type too."""
    if response.status_code < 400 or case.method == "HEAD":
        return
    told = answer(response)
    request_id = (response.headers.get("x-request-id") or [""])[0]
    if told.get("code") != response.status_code or not told.get("reason") or told.get("request_id") != request_id:
        fail(case, "Not the envelope", f"{response.status_code}: {response.text[:300]!r}")

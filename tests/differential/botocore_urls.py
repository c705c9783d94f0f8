"""Signs the cases with botocore: `botocore_urls.py <cases.jsonl >urls.jsonl`, a line {"url", "canonical"} each.

botocore signs what a request holds. Two things that our URLs have it does not put there by itself, and a hook adds them
before it signs: `X-Amz-Content-Sha256=UNSIGNED-PAYLOAD` and `x-id`, both of which the JavaScript SDK and aws-sdk-s3 add.
Metadata it would put into header fields that the client must send; the hook puts it into the query, as the JavaScript SDK
does. Canonical request and signature are botocore's own.
"""

import datetime
import json
import sys
from urllib.parse import quote

import botocore.auth
import botocore.session
from botocore.config import Config

PARAMETERS = {
    "content-length": ("ContentLength", int),
    "content-type": ("ContentType", str),
    "if-none-match": ("IfNoneMatch", str),
    "x-amz-checksum-sha256": ("ChecksumSHA256", str),
}

now = None
canonical = None
clients = {}


def freeze():
    """botocore asks for the time in one place."""
    botocore.auth.get_current_datetime = lambda remove_tzinfo=True: now
    original = botocore.auth.SigV4Auth.canonical_request

    def remember(self, request):
        global canonical
        canonical = original(self, request)
        return canonical

    botocore.auth.S3SigV4QueryAuth.canonical_request = remember


def client(case):
    """One client for all cases of a place and a credential: to make one is slow."""
    names = ("native", "endpoint", "region", "virtual_hosted", "access_key_id", "secret_access_key", "session_token")
    name = tuple(case[name] for name in names)
    if name not in clients:
        if len(clients) > 200:
            clients.clear()
        style = "virtual" if case["virtual_hosted"] else "path"
        clients[name] = SESSION.create_client(
            "s3",
            region_name=case["region"],
            endpoint_url=None if case["native"] else case["endpoint"],
            aws_access_key_id=case["access_key_id"],
            aws_secret_access_key=case["secret_access_key"],
            aws_session_token=case["session_token"],
            config=Config(
                signature_version="s3v4",
                # `s3.amazonaws.com` is what us-east-1 was called before it had a name.
                s3={"addressing_style": style, "us_east_1_regional_endpoint": "regional"},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )
    return clients[name]


def url(case):
    global now
    now = datetime.datetime.fromtimestamp(case["time"], datetime.timezone.utc).replace(tzinfo=None)
    operation = {"PUT": "PutObject", "GET": "GetObject"}[case["method"]]
    parameters = {"Bucket": case["bucket"], "Key": case["key"]}
    for name, value in case["headers"]:
        parameter, read = PARAMETERS[name]
        parameters[parameter] = read(value)
    if case["content_disposition"] is not None:
        parameters["ResponseContentDisposition"] = case["content_disposition"]
    if case["content_type"] is not None:
        parameters["ResponseContentType"] = case["content_type"]
    extra = [("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD"), ("x-id", operation)]
    extra += [(f"x-amz-meta-{name}", value) for name, value in case["metadata"]]

    def add(request, **_):
        separator = "&" if "?" in request.url else "?"
        request.url += separator + "&".join(f"{name}={quote(value, safe='')}" for name, value in extra)

    s3 = client(case)
    s3.meta.events.register(f"before-sign.s3.{operation}", add, unique_id="add")
    try:
        method = {"PUT": "put_object", "GET": "get_object"}[case["method"]]
        return s3.generate_presigned_url(method, Params=parameters, ExpiresIn=case["expires"])
    finally:
        s3.meta.events.unregister(f"before-sign.s3.{operation}", unique_id="add")


SESSION = botocore.session.Session()
freeze()
for line in sys.stdin:
    made = url(json.loads(line))
    print(json.dumps({"url": made, "canonical": canonical}))

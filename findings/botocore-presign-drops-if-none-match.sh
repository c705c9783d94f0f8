#!/usr/bin/env bash
# botocore 1.44.8: whether a presigned PUT keeps If-None-Match and Content-Length depends on the region.
#
# Seen: generate_presigned_url("put_object", IfNoneMatch="*", ContentLength=5) with no signature version chosen
# gives a SigV2 URL in us-east-1. It names neither parameter, and nothing warns. The same call in eu-central-1
# gives SigV4 and signs both headers. A custom endpoint with us-east-1 (the usual setting for MinIO) gets SigV2 too.
# Expected: one signature version for all regions (Amazon's pages call SigV4 the default), or an error for a
# parameter that the URL cannot carry.
# Why it matters: a service that offers "create only" uploads is tested in one region and loses the condition in
# another. SigV2 has no place for headers other than Content-MD5, Content-Type and x-amz-*.
# Do instead: always pass Config(signature_version="s3v4"), and check that X-Amz-SignedHeaders lists the header.
# Output:
#   us-east-1 default        SigV2, condition in URL: False, length in URL: False
#   us-east-1 own endpoint   SigV2, condition in URL: False, length in URL: False
#   eu-central-1 default     SigV4, condition in URL: True, length in URL: True
#   us-east-1 s3v4           SigV4, condition in URL: True, length in URL: True
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip install -q botocore==1.44.8

cat > check.py <<'PY'
import os

os.environ["AWS_CONFIG_FILE"] = os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull
import botocore.session
from botocore.config import Config


def presign(label, **options):
    client = botocore.session.Session().create_client(
        "s3", aws_access_key_id="EXAMPLE", aws_secret_access_key="example", **options
    )
    params = {"Bucket": "bucket", "Key": "key", "IfNoneMatch": "*", "ContentLength": 5}
    url = client.generate_presigned_url("put_object", Params=params).lower()
    seen = ("SigV4" if "x-amz-signature=" in url else "SigV2", "if-none-match" in url, "content-length" in url)
    print(f"{label:24} {seen[0]}, condition in URL: {seen[1]}, length in URL: {seen[2]}")
    return seen


v2, v4 = ("SigV2", False, False), ("SigV4", True, True)
seen = [
    presign("us-east-1 default", region_name="us-east-1"),
    presign("us-east-1 own endpoint", region_name="us-east-1", endpoint_url="http://127.0.0.1:9000"),
    presign("eu-central-1 default", region_name="eu-central-1"),
    presign("us-east-1 s3v4", region_name="us-east-1", config=Config(signature_version="s3v4")),
]
assert seen == [v2, v2, v4, v4], "botocore changed"
PY
venv/bin/python check.py

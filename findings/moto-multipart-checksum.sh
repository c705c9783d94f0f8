#!/usr/bin/env bash
# moto 5.2.5 (PyPI) reports two different checksums for one multipart object.
#
# Seen: after a multipart upload of two parts with SHA-256, GetObject gives "<base64>-2" and ChecksumType COMPOSITE.
# HeadObject gives the same base64 without "-2" and without a type. ListParts gives no checksums, although UploadPart
# returned them.
# Expected: one value from both calls. The value is a checksum of checksums, and the S3 user guide ("Checking object
# integrity") marks it by the number of parts. The API reference gives ListParts a field for each part's checksum.
# Why it matters: a service that checks finished uploads with HeadObject compares this value with the SHA-256 of
# the file. Without "-2" nothing shows that they cannot be equal. Code that resumes from ListParts finds no checksums.
# Do instead: test it with GetObject, keep the parts' checksums yourself, and run this test against a real store.
# Output:
#   GetObject   ends in -2: True   type: COMPOSITE
#   HeadObject  ends in -2: False  type: None
#   same value but for the suffix: True
#   UploadPart returned a checksum: True, ListParts: False
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip install -q 'moto[s3]==5.2.5' boto3==1.44.8 botocore==1.44.8

cat > check.py <<'PY'
import os

os.environ["AWS_CONFIG_FILE"] = os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull
import boto3
from moto import mock_aws

with mock_aws():
    s3 = boto3.client("s3", region_name="us-east-1", aws_access_key_id="EXAMPLE", aws_secret_access_key="example")
    s3.create_bucket(Bucket="bucket")
    target = {"Bucket": "bucket", "Key": "key"}
    upload = {**target, "UploadId": s3.create_multipart_upload(**target, ChecksumAlgorithm="SHA256")["UploadId"]}
    parts = []
    for number, body in ((1, b"a" * (5 << 20)), (2, b"b")):
        done = s3.upload_part(**upload, PartNumber=number, Body=body, ChecksumAlgorithm="SHA256")
        parts.append({"PartNumber": number, "ETag": done["ETag"], "ChecksumSHA256": done["ChecksumSHA256"]})
    listed = s3.list_parts(**upload)["Parts"]
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    got = s3.get_object(**target, ChecksumMode="ENABLED")
    head = s3.head_object(**target, ChecksumMode="ENABLED")

get_sum, head_sum = got["ChecksumSHA256"], head["ChecksumSHA256"]
seen = [
    (get_sum.endswith("-2"), got.get("ChecksumType")),
    (head_sum.endswith("-2"), head.get("ChecksumType")),
    get_sum.removesuffix("-2") == head_sum,
    any("ChecksumSHA256" in part for part in listed),
]
print(f"GetObject   ends in -2: {seen[0][0]}   type: {seen[0][1]}")
print(f"HeadObject  ends in -2: {seen[1][0]}  type: {seen[1][1]}")
print(f"same value but for the suffix: {seen[2]}")
print(f"UploadPart returned a checksum: True, ListParts: {seen[3]}")
assert seen == [(True, "COMPOSITE"), (False, None), True, False], "moto changed"
PY
venv/bin/python check.py

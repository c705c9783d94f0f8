"""Uploads one file and reads a tenant with the generated Python clients."""

import os

import httpx
from admin_client import AuthenticatedClient as Operators
from admin_client.api.tenants import list_tenants
from app_client import AuthenticatedClient as Apps
from app_client.api.uploads import complete_upload, issue_upload, presign
from app_client.models import Extension, IssuedUpload, Upload, UploadCreate, UploadType


def data(answer):
    """The data of an answer; an error has none."""
    assert answer is not None and answer.data is not None, answer
    return answer.data


apps = Apps(base_url=os.environ["PRESIGN_URL"], token=os.environ["PRESIGN_API_KEY"])
operators = Operators(base_url=os.environ["PRESIGN_OPS_URL"], token=os.environ["PRESIGN_OPERATOR_KEY"])

issued = data(issue_upload.sync(client=apps, body=UploadCreate(ext=Extension.PNG)))
assert isinstance(issued, IssuedUpload), issued
httpx.request(issued.method, issued.url, headers=issued.headers.to_dict(), content=b"bytes").raise_for_status()
upload = data(complete_upload.sync(issued.id, client=apps))
assert isinstance(upload, Upload) and upload.state == "uploaded", upload

presigned = data(presign.sync(client=apps, ext=Extension.JPG, type_=UploadType.ORIGIN))
httpx.put(presigned.url, content=b"bytes").raise_for_status()

tenant = data(list_tenants.sync(client=operators, limit=1)).items[0]
assert tenant.status == "active", tenant
print(f"Python: uploaded {upload.key}, read tenant {tenant.slug}")

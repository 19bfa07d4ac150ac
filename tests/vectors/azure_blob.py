"""Signatures by an account's key, as the policy of azure-storage-blob makes them: a line for each call, with account, method, URL,
headers beside date and version, and the header `Authorization`. The key is the one that Microsoft publishes for emulators."""

import json

from azure.core.pipeline import PipelineContext, PipelineRequest
from azure.core.pipeline.transport import HttpRequest
from azure.storage.blob._shared.authentication import SharedKeyCredentialPolicy

KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
DATE = "Mon, 30 Nov 2026 01:02:03 GMT"
STORE = "https://examplestore.blob.core.windows.net/uploads"
LIST = "restype=container&comp=list&include=snapshots%2Cversions%2Cdeleted&maxresults=250"

CALLS = [
    ("examplestore", "GET", f"{STORE}?{LIST}", {}),
    ("examplestore", "GET", f"{STORE}?{LIST}&prefix=exports%2F1%20%26%202%2F%C3%BC%2B%252F&marker=2%2114%21a", {}),
    ("examplestore", "DELETE", f"{STORE}/scans/1%20%26%202/%C3%BC%2B%252F%20%E5%86%99.jpg", {"x-ms-delete-snapshots": "include"}),
    ("examplestore", "DELETE", f"{STORE}/a?versionid=2026-11-29T01%3A02%3A03.4567890Z&deletetype=permanent", {}),
    ("devstoreaccount1", "HEAD", "http://127.0.0.1:10000/devstoreaccount1/uploads/a?snapshot=2026-11-29T01%3A02%3A03.4Z", {}),
]

for account, method, url, headers in CALLS:
    request = HttpRequest(method, url, headers={"x-ms-version": "2023-11-03", "x-ms-date": DATE, **headers})
    SharedKeyCredentialPolicy(account, KEY).on_request(PipelineRequest(request, PipelineContext(None)))
    print(json.dumps([account, method, url, headers, request.headers["Authorization"]]))

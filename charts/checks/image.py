"""Builds the image's target `minimal` with buildah, looks at what is in it, and unpacks it for the pods of `simulate.py`.

No base can be pulled here, so the stage that compiles is replaced by a directory with a static program of this machine.

    image.py PROGRAM CERTIFICATES
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile

from chart import OUT, ROOT

PROGRAM = "usr/local/bin/sunset"
CERTIFICATES = "etc/ssl/certs/ca-certificates.crt"


def build(program: pathlib.Path, certificates: pathlib.Path) -> pathlib.Path:
    """The image as an OCI directory."""
    stage, image, storage = OUT / "image-build", OUT / "image-oci", OUT / "image-storage"
    for directory in (stage, image, storage):
        shutil.rmtree(directory, ignore_errors=True)
    for source, path in ((program, "out/sunset"), (certificates, CERTIFICATES)):
        (stage / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, stage / path)
    subprocess.run(["strip", stage / "out/sunset"], check=True)
    environment = {**os.environ, "STORAGE_DRIVER": "vfs", "BUILDAH_ISOLATION": "chroot"}
    buildah = ["buildah", "--root", storage / "root", "--runroot", storage / "run"]
    options = ["--target", "minimal", "--build-context", f"build={stage}", "--build-arg", "VERSION=check", "--tag", "sunset:check"]
    for command in (["build", "--quiet", *options, ROOT], ["push", "--quiet", "sunset:check", f"oci:{image}"]):
        called = subprocess.run([*buildah, *command], env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if called.returncode != 0:
            sys.exit(f"buildah {command[0]}: {called.stderr}")
    shutil.rmtree(storage)
    return image


def blob(image: pathlib.Path, descriptor: dict) -> pathlib.Path:
    return image / "blobs" / descriptor["digest"].replace(":", "/")


def main(program: str, certificates: str) -> None:
    image = build(pathlib.Path(program), pathlib.Path(certificates))
    manifest = json.loads(blob(image, json.loads((image / "index.json").read_text())["manifests"][0]).read_text())
    config = json.loads(blob(image, manifest["config"]).read_text())["config"]
    rootfs = OUT / "rootfs"
    shutil.rmtree(rootfs, ignore_errors=True)
    for layer in manifest["layers"]:
        tarfile.open(blob(image, layer)).extractall(rootfs, filter="fully_trusted")
    files = {str(path.relative_to(rootfs)) for path in rootfs.rglob("*") if not path.is_dir()}
    kind = subprocess.run(["file", "--brief", rootfs / PROGRAM], capture_output=True, text=True, check=True).stdout
    version = subprocess.run(["chroot", rootfs, "/" + PROGRAM, "--version"], capture_output=True, text=True)
    labels = config["Labels"]
    expected = [
        ("user", config["User"], "65532:65532"),
        ("entrypoint", config["Entrypoint"], ["/" + PROGRAM]),
        ("command", config.get("Cmd"), None),
        ("files", files, {PROGRAM, CERTIFICATES}),
        ("is static", "static" in kind, True),
        ("runs on nothing at all", version.stdout.split()[:1], ["sunset"]),
        ("label of the version", labels["org.opencontainers.image.version"], "check"),
        ("labels", "org.opencontainers.image.licenses" in labels and "org.opencontainers.image.title" in labels, True),
    ]
    bad = [f"{what}: {found!r}, not {wanted!r}" for what, found, wanted in expected if found != wanted]
    if bad:
        sys.exit("\n".join(bad))
    size = sum(layer["size"] for layer in manifest["layers"])
    print(f"the image has {len(files)} files and {size >> 20} MiB (compressed, of an unoptimized program)")


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Runs the first container of a rendered pod with runc: its command, variables, volumes and security context, on the image
that was built from the Dockerfile, on this machine's network.

What a kubelet does besides is left out: pulling, probes, limits, the runtime's seccomp profile.
"""

import itertools
import json
import os
import pathlib
import shutil
import signal
import subprocess

numbers = itertools.count()

DEVICES = [
    {"destination": "/proc", "type": "proc", "source": "proc"},
    {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
    {"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": ["nosuid", "noexec", "nodev", "mode=1777"]},
]


class Cluster:
    """What pods are given: the image, ConfigMaps and Secrets by name."""

    def __init__(self, directory: pathlib.Path, rootfs: pathlib.Path, documents: list[dict], secrets: dict[str, dict[str, str]]):
        self.directory, self.rootfs, self.secrets = directory, rootfs, secrets
        # the Job whose pods are run, which the Job controller names after the CronJob and the time
        self.job = f"job-{os.getpid()}-{next(numbers)}"
        self.config_maps = {
            document["metadata"]["name"]: dict(document["data"]) for document in documents if document["kind"] == "ConfigMap"
        }


class Pod:
    """A running container. `poll` gives its exit code, or None."""

    def __init__(self, cluster: Cluster, template: dict, index: int | None = None):
        spec = template["spec"]
        container = spec["containers"][0]
        self.name = f"sunset-chart-{os.getpid()}-{next(numbers)}"
        self.directory = cluster.directory / self.name
        self.directory.mkdir(parents=True)
        (self.directory / "config.json").write_text(json.dumps(self._config(cluster, spec, container, index)))
        self.log = self.directory / "log"
        with self.log.open("wb") as log:
            command = ["runc", "--root", str(cluster.directory / "runc"), "run", "--bundle", str(self.directory), self.name]
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.runc = command[:3]

    def _config(self, cluster: Cluster, spec: dict, container: dict, index: int | None) -> dict:
        of_pod, of_container = spec["securityContext"], container["securityContext"]
        groups = [of_pod["fsGroup"]] if "fsGroup" in of_pod else []
        user = {"uid": of_pod["runAsUser"], "gid": of_pod["runAsGroup"], "additionalGids": groups}
        # the capabilities that runtimes give, less those that are dropped
        dropped = of_container["capabilities"]["drop"]
        kept = [] if "ALL" in dropped else ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_SETUID", "CAP_SETGID", "CAP_NET_RAW"]
        return {
            "ociVersion": "1.0.2",
            "process": {
                "user": user,
                "args": container["command"] + container.get("args", []),
                "env": self._environment(cluster, container, index),
                "cwd": "/",
                "capabilities": {kind: kept for kind in ("bounding", "effective", "permitted", "inheritable", "ambient")},
                "noNewPrivileges": not of_container["allowPrivilegeEscalation"],
            },
            "root": {"path": str(cluster.rootfs), "readonly": of_container["readOnlyRootFilesystem"]},
            "mounts": DEVICES + self._mounts(cluster, spec, container),
            "linux": {"namespaces": [{"type": kind} for kind in ("pid", "ipc", "uts", "mount")]},
        }

    def _environment(self, cluster: Cluster, container: dict, index: int | None) -> list[str]:
        variables = {"PATH": "/usr/local/bin:/usr/bin:/bin"}
        if index is not None:
            variables["JOB_COMPLETION_INDEX"] = str(index)
        for entry in container.get("env", []):
            variables[entry["name"]] = self._value(cluster, entry)
        return [f"{name}={value}" for name, value in variables.items()]

    @staticmethod
    def _value(cluster: Cluster, entry: dict) -> str:
        match entry.get("valueFrom"):
            case None:
                return entry["value"]
            case {"secretKeyRef": reference}:
                return cluster.secrets[reference["name"]][reference["key"]]
            # the Job controller's label on each of its pods
            case {"fieldRef": {"fieldPath": "metadata.labels['job-name']"}}:
                return cluster.job

    def _mounts(self, cluster: Cluster, spec: dict, container: dict) -> list[dict]:
        volumes = {volume["name"]: volume for volume in spec["volumes"]}
        group = spec["securityContext"].get("fsGroup", 0)
        mounts = []
        for mount in container["volumeMounts"]:
            source = self._volume(cluster, volumes[mount["name"]], group)
            options = ["bind", "nosuid", "nodev", "ro" if mount.get("readOnly") else "rw"]
            source = source / mount["subPath"] if "subPath" in mount else source
            mounts.append({"destination": mount["mountPath"], "type": "bind", "source": str(source), "options": options})
        return mounts

    def _volume(self, cluster: Cluster, volume: dict, group: int) -> pathlib.Path:
        directory = self.directory / "volumes" / volume["name"]
        if directory.exists():
            return directory
        directory.mkdir(parents=True)
        if "configMap" in volume:
            files, mode = cluster.config_maps[volume["configMap"]["name"]], volume["configMap"].get("defaultMode", 0o644)
        elif "secret" in volume:
            files, mode = cluster.secrets[volume["secret"]["secretName"]], volume["secret"].get("defaultMode", 0o644)
        else:
            files, mode = {}, 0
            os.chown(directory, 0, group)
            directory.chmod(0o2777)
        for name, text in files.items():
            path = directory / name
            path.write_text(text)
            path.chmod(mode)
            os.chown(path, 0, group)
        return directory

    def poll(self) -> int | None:
        return self.process.poll()

    def wait(self, seconds: float = 120) -> int:
        return self.process.wait(seconds)

    def signal(self, number: signal.Signals) -> None:
        subprocess.run([*self.runc, "kill", self.name, str(int(number))], capture_output=True)

    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def remove(self) -> None:
        if self.poll() is None:
            self.signal(signal.SIGKILL)
            self.wait()
        shutil.rmtree(self.directory)

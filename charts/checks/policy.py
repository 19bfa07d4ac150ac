"""Asks policy.rego about every manifest, and first proves with seeded faults that each of its rules can refuse."""

import copy
import json
import pathlib
import sys

import opa_eval

from chart import KUBERNETES, OUT, documents

POLICY = pathlib.Path(__file__).with_name("policy.rego")

# Each a path into a good CronJob, what is put there (nothing: what is there is taken out), and what the policy says then.
JOB = ("spec", "jobTemplate", "spec")
POD = (*JOB, "template", "spec")
GONE = object()
FAULTS = [
    (("spec", "concurrencyPolicy"), "Allow", "concurrencyPolicy"),
    (("metadata", "name"), 53 * "a", "52"),
    (("spec", "schedule"), "TZ=Asia/Tokyo 30 2 * * *", "time zone"),
    (("spec", "timeZone"), GONE, "timeZone"),
    (("spec", "startingDeadlineSeconds"), 5, "startingDeadlineSeconds"),
    (("spec", "startingDeadlineSeconds"), GONE, "startingDeadlineSeconds"),
    ((*JOB, "activeDeadlineSeconds"), GONE, "activeDeadlineSeconds"),
    ((*JOB, "activeDeadlineSeconds"), 60, "grace period"),
    ((*POD, "restartPolicy"), "OnFailure", "restartPolicy"),
    ((*JOB, "podFailurePolicy"), GONE, "podFailurePolicy"),
    ((*JOB, "podFailurePolicy", "rules", 0), GONE, "disruptions"),
    ((*JOB, "podFailurePolicy", "rules", 0, "onPodConditions", 0, "status"), GONE, "status"),
    ((*JOB, "podFailurePolicy", "rules", 1, "onExitCodes", "values"), [0, 2], "exit code 0"),
    ((*JOB, "podFailurePolicy", "rules", 1, "onExitCodes", "containerName"), "main", "container that is not there"),
    ((*JOB, "podFailurePolicy", "rules", 2, "action"), "FailIndex", "FailIndex"),
    ((*JOB, "completions"), 4, "Indexed"),
    ((*POD, "automountServiceAccountToken"), GONE, "token is mounted"),
    ((*POD, "securityContext", "runAsNonRoot"), GONE, "root"),
    ((*POD, "securityContext", "seccompProfile"), GONE, "seccomp"),
    ((*POD, "containers", 0, "securityContext"), GONE, "not restricted"),
    ((*POD, "containers", 0, "securityContext", "capabilities", "add"), ["NET_RAW"], "not restricted"),
    ((*POD, "containers", 0, "resources"), GONE, "limit of memory"),
    ((*POD, "containers", 0, "volumeMounts", 0, "name"), "nothing", "no volume"),
    ((*POD, "volumes", 2), {"name": "tmp", "hostPath": {"path": "/"}}, "reaches into the node"),
    ((*POD, "containers", 0, "env", 0), {"name": "DATABASE_PASSWORD", "value": "hunter2"}, "secret in variable"),
    (("metadata", "labels", "app.kubernetes.io/instance"), GONE, "label"),
    ((*JOB, "template", "metadata", "labels", "app.kubernetes.io/instance"), GONE, "network policy"),
    ((*JOB, "template", "metadata", "labels", "app.kubernetes.io/component"), GONE, "component"),
    (("metadata", "namespace"), GONE, "namespace"),
]


def spoilt(document: dict, path: tuple, value) -> dict:
    document = copy.deepcopy(document)
    *way, last = path
    inner = document
    for key in way:
        inner = inner[key]
    if value is GONE:
        del inner[last]
    else:
        inner[last] = value
    return document


def main() -> None:
    policy = opa_eval.OpaEval(str(POLICY), query="data.chart.deny")

    def deny(document):
        found = policy.evaluate_parsed(json.dumps(document))
        return [words for words in (json.loads(found) if isinstance(found, str) else found)]

    problems = []
    manifests = OUT / "manifests"
    cronjob = next(
        document
        for document in documents((manifests / f"cronjob-{KUBERNETES[-1]}-helm4.yaml").read_text())
        if document["kind"] == "CronJob"
    )
    for path, value, says in FAULTS:
        found = deny(spoilt(cronjob, path, value))
        if not any(says in words for words in found):
            problems.append(f"the policy lets a fault pass ({'.'.join(map(str, path))}): {found}")
    count = 0
    for path in sorted(manifests.glob("*-helm4.yaml")):
        for document in documents(path.read_text()):
            count += 1
            problems += [f"{path.name}: {document['kind']} {document['metadata']['name']}: {words}" for words in deny(document)]
    if problems:
        sys.exit("\n".join(problems))
    print(f"{count} manifests keep the policy, {len(FAULTS)} seeded faults do not")


if __name__ == "__main__":
    main()

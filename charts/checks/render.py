"""Lints and renders every value set with every Helm for every Kubernetes, and looks at what came out: both Helms agree,
strict schemas accept it, and what was asked for is there (zero, false and large numbers too).

Leaves the manifests in $SUNSET_CHART_OUT/manifests for the other checks.
"""

import concurrent.futures
import hashlib
import itertools
import subprocess
import sys

import yaml

from chart import CHART, HELMS, KUBERNETES, NAMESPACE, OUT, RELEASE, SETS, TOOLS, documents, helm, pod_of, template

problems: list[str] = []


def lint(version, values):
    called = helm(version, "lint", CHART, "--strict", *(["--values", values] if values else []))
    if called.returncode != 0:
        problems.append(f"helm {version} lint of {values or 'the defaults'}: {called.stdout}{called.stderr}")


def render(version, kubernetes, values):
    name = values.name.removesuffix("-values.yaml")
    try:
        text = template([values], version, kubernetes)
    except RuntimeError as error:
        problems.append(f"helm {version} template of {name} for {kubernetes}: {error}")
        return
    (OUT / "manifests" / f"{name}-{kubernetes}-helm{version}.yaml").write_text(text)


def both_agree(name, kubernetes):
    three, four = (OUT / "manifests" / f"{name}-{kubernetes}-helm{version}.yaml" for version in HELMS)
    if documents(three.read_text()) != documents(four.read_text()):
        problems.append(f"{name}: Helm 3 and Helm 4 render it differently")


def schema(kubernetes):
    """Strict schemas for what Kubernetes itself knows; kinds that it does not know are checked as custom resources."""
    files = sorted((OUT / "manifests").glob(f"*-{kubernetes}-helm4.yaml"))
    version = kubernetes.removesuffix(".0")
    command = [TOOLS / "python/bin/kubernetes-validate", "--strict", "--quiet", "-k", version, *files]
    called = subprocess.run(command, capture_output=True, text=True)
    custom = ("PrometheusRule", "PodMonitor", "ExternalSecret")
    lines = (called.stdout + called.stderr).splitlines()
    strange = [line for line in lines if line.startswith("WARN") and not any(kind in line for kind in custom)]
    if called.returncode != 0 or strange:
        problems.append(f"schemas of Kubernetes {version}: " + "\n".join(lines if called.returncode else strange))


def look(document, keys):
    for key in keys:
        document = document[key]
    return document


def expect(what, found, wanted):
    if found != wanted or type(found) is not type(wanted):
        problems.append(f"{what}: {found!r}, not {wanted!r}")


def no_floats(where, value):
    """No value of the sets is a fraction: a float is a large integer that was spoilt on the way (1.00066e+09)."""
    match value:
        case float():
            problems.append(f"{where}: {value!r} is a float")
        case dict():
            for key, inner in value.items():
                no_floats(f"{where}.{key}", inner)
        case list():
            for index, inner in enumerate(value):
                no_floats(f"{where}[{index}]", inner)


def manifests(name):
    found = documents((OUT / "manifests" / f"{name}-{KUBERNETES[-1]}-helm4.yaml").read_text())
    return {f"{document['kind']}/{document['metadata']['name']}": document for document in found}


def what_was_asked_for_is_there():
    job = ("spec", "jobTemplate", "spec")
    pod = (*job, "template", "spec")
    prefix = f"CronJob/{RELEASE}-sunset"

    simple = manifests("cronjob")[f"{prefix}-default"]
    expect("suspend is left alone", "suspend" in simple["spec"], False)
    expect("one pod is no Indexed job", "completionMode" in look(simple, job), False)
    expect("ttl", look(simple, (*job, "ttlSecondsAfterFinished")), 604800)
    arguments = ["run", "--for", "14220s"]
    expect("it ends before its deadline", look(simple, (*pod, "containers", 0, "args")), arguments)
    first = look(simple, (*job, "podFailurePolicy", "rules", 0))
    expect("DisruptionTarget comes first", first["onPodConditions"], [{"type": "DisruptionTarget", "status": "True"}])

    many = manifests("schedules")
    expect("a schedule that is off", f"{prefix}-default" in many, False)
    nightly, weekly, stopped = (many[f"{prefix}-{name}"] for name in ("nightly", "weekly", "stopped"))
    expect("suspend: false", look(nightly, ("spec", "suspend")), False)
    expect("suspend: true", look(stopped, ("spec", "suspend")), True)
    expect("suspend: null", "suspend" in weekly["spec"], False)
    expect("backoffLimit: 0", look(nightly, (*job, "backoffLimit")), 0)
    expect("successfulJobsHistoryLimit: 0", look(nightly, ("spec", "successfulJobsHistoryLimit")), 0)
    expect("a large ttl", look(nightly, (*job, "ttlSecondsAfterFinished")), 31536000)
    expect("a large user id", look(nightly, (*pod, "securityContext", "runAsUser")), 1000660000)
    storage = look(nightly, (*pod, "containers", 0, "resources", "limits", "ephemeral-storage"))
    expect("a large quantity", storage, 1000000000)
    expect("tags", look(nightly, (*pod, "containers", 0, "args")), ["run", "--tag", "nightly", "--for", "2h", "--quiet"])
    arguments = ["plan", "--rule", "visits", "--tag", "weekly", "--tag", "heavy", "--brief"]
    expect("dryRun of a schedule", look(weekly, (*pod, "containers", 0, "args")), arguments)
    expect("a schedule's zone", look(weekly, ("spec", "timeZone")), "America/Argentina/Buenos_Aires")
    expect("a schedule's deadline", look(weekly, ("spec", "startingDeadlineSeconds")), 10)
    expect("the job's deadline", look(nightly, (*job, "activeDeadlineSeconds")), 14400)
    digest = "sha256:" + 64 * "a"
    image = look(nightly, (*pod, "containers", 0, "image"))
    expect("the digest wins", image, f"registry.example.com/privacy/sunset@{digest}")
    expect("no service account of its own", any(key.startswith("ServiceAccount/") for key in many), False)

    sharded = look(manifests("sharded")[f"{prefix}-default"], job)
    shape = [sharded[key] for key in ("completionMode", "completions", "parallelism", "backoffLimitPerIndex")]
    expect("Indexed", shape, ["Indexed", 4, 4, 1])
    expect("workers", sharded["template"]["spec"]["containers"][0]["args"], ["run", "--workers", "2"])  # its settings have a run_time
    expect("maxFailedIndexes: 0", sharded["maxFailedIndexes"], 0)
    expect("exit code 4 fails an index", sharded["podFailurePolicy"]["rules"][2]["action"], "FailIndex")

    plan = look(manifests("plan")[f"{prefix}-default"], job)
    expect("a plan needs one pod", "completionMode" in plan, False)
    expect("ttl: null", "ttlSecondsAfterFinished" in plan, False)
    expect("plans by default", plan["template"]["spec"]["containers"][0]["args"], ["plan"])

    serve = manifests("deployment")
    pod = pod_of(serve[f"Deployment/{RELEASE}-sunset"])
    arguments = ["serve", "--listen", "0.0.0.0:9464", "--token-file", "/run/sunset/token/token", "--drain", "105s"]
    expect("a scheduler's arguments", pod["spec"]["containers"][0]["args"], arguments)
    # one template: what differs between a run and a scheduler is named here
    run = pod_of(simple)
    same = ("serviceAccountName", "securityContext", "terminationGracePeriodSeconds", "automountServiceAccountToken")
    for key in same:
        expect(f"the same {key} in both modes", pod["spec"].get(key), run["spec"].get(key))
    component = [look(document, ("metadata", "labels", "app.kubernetes.io/component")) for document in (pod, run)]
    expect("selectors never cross", component, ["serve", "run"])


def the_rules_arrive():
    """The text of settings and rules, unchanged, and the digest of exactly this text."""
    for path in SETS:
        values = yaml.safe_load(path.read_text())
        found = manifests(path.name.removesuffix("-values.yaml"))
        files = values["rules"].get("files")
        if not files:
            continue
        rules = found[f"ConfigMap/{RELEASE}-sunset-rules"]["data"]
        settings = found[f"ConfigMap/{RELEASE}-sunset-settings"]["data"]["sunset.yaml"]
        expect(f"{path.name}: the rules", rules, files)
        expect(f"{path.name}: the settings", settings, values["settings"]["text"])
        recipes = values.get("recipes", {}).get("files", {})
        if recipes:
            expect(f"{path.name}: the recipes", found[f"ConfigMap/{RELEASE}-sunset-recipes"]["data"], recipes)
        named = {"rules": files, "recipes": recipes}
        all_files = {f"{folder}/{name}": text for folder, texts in named.items() for name, text in texts.items()}
        all_files["sunset.yaml"] = settings
        lines = "".join(f"{hashlib.sha256(text.encode()).hexdigest()}  {name}\n" for name, text in sorted(all_files.items()))
        digest = hashlib.sha256(lines.encode()).hexdigest()
        for pod in filter(None, map(pod_of, found.values())):
            environment = {entry["name"]: entry.get("value") for entry in pod["spec"]["containers"][0]["env"]}
            expect(f"{path.name}: the digest", environment["SUNSET_RULES_DIGEST"], digest)
            expect(f"{path.name}: the checksum", pod["metadata"]["annotations"]["checksum/rules"], digest)
            mounts = [mount["mountPath"] for mount in pod["spec"]["containers"][0]["volumeMounts"]]
            expect(f"{path.name}: recipes are mounted", "/etc/sunset/recipes" in mounts, bool(recipes))


# Which words the notes have after an installation, and which not, by value set.
NOTES = {
    "cronjob": (["rel-sunset-default, at 30 2 * * * Asia/Tokyo:\n    3 of 3: DISPOSES", "cronjob/rel-sunset-default "], ["WARNING", "digest of"]),
    "plan": (["2 of 3: plans", "do not check their digest"], ["DISPOSES", "helm test"]),
    "schedules": (["nightly, at 17 2 * * * Etc/UTC:\n    3 of 3", "stopped, at */15 0-6 1,15 JAN-mar MON-fri Etc/UTC:\n    1 of 3", "cronjob/rel-sunset-nightly "], ["default", "named by its tag"]),
    "deployment": (["DISPOSES of what is due", "port-forward deployment/rel-sunset 9464"], ["WARNING", "cronjob"]),
}


def the_notes_tell_the_truth():
    """Helm 4's, since Helm 3 renders them with a cluster only."""
    for name, (there, absent) in NOTES.items():
        options = ["--namespace", NAMESPACE, "--dry-run=client", "--values", CHART / f"ci/{name}-values.yaml"]
        called = helm("4", "install", RELEASE, CHART, *options)
        notes = called.stdout.partition("\nNOTES:\n")[2]
        if called.returncode != 0 or not notes:
            problems.append(f"notes of {name}: {called.stderr}")
        problems.extend(f"notes of {name} lack {words!r}: {notes}" for words in there if words not in notes)
        problems.extend(f"notes of {name} have {words!r}: {notes}" for words in absent if words in notes)


def the_package_is_clean():
    called = helm("4", "package", CHART, "--destination", OUT)
    if called.returncode != 0:
        problems.append(called.stderr)
        return
    archive = called.stdout.split(":", 1)[1].strip()
    names = subprocess.run(["tar", "tzf", archive], capture_output=True, text=True, check=True).stdout.split()
    problems.extend(f"the package holds {name}" for name in names if "/ci/" in name)


def main():
    (OUT / "manifests").mkdir(parents=True, exist_ok=True)
    for old in (OUT / "manifests").iterdir():
        old.unlink()
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        lints = [pool.submit(lint, version, values) for version in HELMS for values in (None, *SETS)]
        renders = [pool.submit(render, *each) for each in itertools.product(HELMS, KUBERNETES, SETS)]
        for future in (*lints, *renders):
            future.result()
    if not problems:
        for path, kubernetes in itertools.product(SETS, KUBERNETES):
            both_agree(path.name.removesuffix("-values.yaml"), kubernetes)
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            list(pool.map(schema, KUBERNETES))
        for path in (OUT / "manifests").glob("*-helm4.yaml"):
            for document in documents(path.read_text()):
                no_floats(f"{path.name}: {document['kind']}", document)
        what_was_asked_for_is_there()
        the_rules_arrive()
        the_notes_tell_the_truth()
        the_package_is_clean()
    if problems:
        sys.exit("\n".join(problems))
    count = len(list((OUT / "manifests").iterdir()))
    print(f"{count} renders of {len(SETS)} value sets with Helm {' and '.join(HELMS)} for Kubernetes {', '.join(KUBERNETES)}")


if __name__ == "__main__":
    main()

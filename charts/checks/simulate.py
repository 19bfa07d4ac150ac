"""Runs the rendered CronJobs on this machine: the image's program under the rendered security context, with the rendered
command, variables and volumes, against a PostgreSQL server; the rendered podFailurePolicy judges how it ends.

Needs root, runc, the image of `image.py`, psql, and SUNSET_TEST_POSTGRES_URL, a superuser's.
"""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

import yaml

import pods
from chart import CHART, OUT, documents, pod_of, template
from job_controller import Controller, Result

SERVER = urllib.parse.urlsplit(os.environ["SUNSET_TEST_POSTGRES_URL"])
DUE, KEPT = 3000, 20


def url(database: str) -> str:
    return SERVER._replace(path=f"/{database}").geturl()


def sql(database: str, text: str) -> str:
    command = ["psql", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set", "ON_ERROR_STOP=1", url(database)]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout.strip()


@contextlib.contextmanager
def databases():
    """A database to clean and one for the store."""
    names = [f"chart_{os.getpid()}_{what}" for what in ("core", "store")]
    try:
        for name in names:
            sql("postgres", f"create database {name}")
        yield names
    finally:
        for name in names:
            sql("postgres", f"drop database if exists {name} with (force)")


class Live:
    """A world in which pods are processes. Time is real, but the wait for a retry is skipped."""

    def __init__(self, cluster: pods.Cluster, pod_template: dict, on_start=None):
        self.cluster, self.template, self.on_start = cluster, pod_template, on_start
        self.pods: list[pods.Pod] = []
        self.seen: list[int | None] = []  # how each pod had ended when a wait ended last
        self.evicted: set[str] = set()
        self.skipped = 0.0

    def start(self, index, attempt):
        pod = pods.Pod(self.cluster, self.template, index)
        pod.terminate = lambda: pod.signal(signal.SIGTERM)
        self.pods.append(pod)
        if self.on_start:
            self.on_start(self, pod, index, attempt)
        return pod

    def now(self):
        return time.monotonic() + self.skipped

    def wait(self, until):
        # A pod that has ended since the controller looked is news as well, however short it lived.
        before = self.seen + [None] * (len(self.pods) - len(self.seen))
        while True:
            self.seen = [pod.poll() for pod in self.pods]
            if self.seen != before:
                return
            if all(code is not None for code in before):
                self.skipped += max(0.0, until - self.now())
            if self.now() >= until:
                return
            time.sleep(0.02)

    def disrupted(self, pod):
        return pod.name in self.evicted

    def evict(self, pod):
        """What draining a node does: the condition, then SIGTERM."""
        self.evicted.add(pod.name)
        pod.terminate()


class Stage:
    """What all releases share: the databases and the Secrets."""

    def __init__(self, directory: pathlib.Path, rootfs: pathlib.Path, names: list[str]):
        self.directory, self.rootfs, (self.core, self.store) = directory, rootfs, names
        self.last = 0  # the highest key that was given out
        sql(
            self.core,
            """create table visits (id bigint primary key, seen_on date);
            create table inquiries (id bigint primary key, closed_on date, status text, text text);
            create index on visits (seen_on)""",
        )
        self.secrets = {
            "sunset-database": {"url": url(self.core)},
            "sunset-store": {"url": url(self.store)},
            "sunset-keys": self._keys(),
            "rel-sunset-database": {"url": url(self.core)},  # what the external secret becomes
            "otlp": {"headers": "authorization=Bearer%20secret"},
            "sunset-token": {"token": 32 * "t"},
        }

    def _keys(self) -> dict[str, str]:
        made = self.directory / "keys"
        subprocess.run([self.rootfs / "usr/local/bin/sunset", "keys", "new", "--out", made], check=True, capture_output=True)
        return {path.name.split("-")[0] + ".key": path.read_text() for path in made.iterdir()}

    def fill(self, rows: int = DUE) -> None:
        """Rows with keys that were never there: erased rows that came back would be taken for a restore."""
        first, self.last = self.last + 1, self.last + max(rows, KEPT)
        sql(
            self.core,
            f"""delete from visits;
            insert into visits select i, '2001-01-01' from generate_series({first}, {first + rows - 1}) i;
            insert into visits select -i, current_date from generate_series({first}, {first + KEPT - 1}) i""",
        )

    def left(self) -> tuple[int, int]:
        """Rows that are due and that are not."""
        due, kept = sql(self.core, "select count(*) filter (where id > 0), count(*) filter (where id < 0) from visits").split("|")
        return int(due), int(kept)

    def render(self, name: str, changes: dict | None = None) -> tuple[list[dict], pods.Cluster]:
        path = self.directory / "changes.yaml"
        path.write_text(yaml.safe_dump(changes or {}))
        found = documents(template([CHART / f"ci/{name}-values.yaml", path]))
        return found, pods.Cluster(self.directory, self.rootfs, found, self.secrets)

    def job(self, name: str, changes: dict | None = None, schedule: str = "default", spoil=None, on_start=None):
        """Runs the CronJob's job to its end. `spoil` may change what the cluster holds after the release."""
        found, cluster = self.render(name, changes)
        wanted = f"rel-sunset-{schedule}"
        cronjob = next(d for d in found if d["kind"] == "CronJob" and d["metadata"]["name"] == wanted)
        if spoil:
            spoil(cluster)
        world = Live(cluster, pod_of(cronjob), on_start)
        try:
            result = Controller(cronjob["spec"]["jobTemplate"]["spec"], world).run()
            return result, [(pod.poll(), pod.output()) for pod in world.pods]
        finally:
            for pod in world.pods:
                pod.remove()

    def call(self, *arguments: str, name: str = "cronjob", changes: dict | None = None) -> tuple[int, str]:
        """One command in the job's pod."""
        found, cluster = self.render(name, changes)
        pod_template = pod_of(next(d for d in found if d["kind"] == "CronJob"))
        pod_template["spec"]["containers"][0]["args"] = list(arguments)
        pod = pods.Pod(cluster, pod_template)
        try:
            return pod.wait(), pod.output()
        finally:
            pod.remove()

    def recorded(self) -> int:
        """Rows in the ledger's committed batches."""
        code, text = self.call("ledger", "verify", "--format", "json")
        expect("the ledger is sound", code, 0, text)
        if code != 0:
            return -1
        return json.loads(text[text.index("{") :])["rows"]


def settings(**changes) -> dict:
    """The set's settings with these changes."""
    text = yaml.safe_load((CHART / "ci/cronjob-values.yaml").read_text())["settings"]["text"]
    return {"settings": {"text": yaml.safe_dump({**yaml.safe_load(text), **changes})}}


problems: list[str] = []
checked = 0


def expect(what: str, found, wanted, log: list | str = "") -> None:
    global checked
    checked += 1
    if found != wanted:
        problems.append(f"{what}: {found!r}, not {wanted!r}\n{log}")


def short(result: Result) -> tuple:
    return result.reason or "complete", result.pods


def scenarios(stage: Stage) -> None:
    stage.fill()
    result, log = stage.job("plan", {**settings(), "settings": {**settings()["settings"], "existingConfigMap": ""}, **rules(), **SECRETS})
    expect("dryRun: true plans", short(result), ("complete", 1), log)
    expect("and changes nothing", stage.left(), (DUE, KEPT))

    result, log = stage.job("cronjob")
    expect("a night's run", (short(result), stage.left()), (("complete", 1), (0, KEPT)), log)
    result, log = stage.job("cronjob")
    expect("a night with nothing due", short(result), ("complete", 1), log)
    expect("the ledger is sound", stage.call("ledger", "verify")[0], 0)

    stage.fill()
    wrong = {"sunset-database": {"url": url(stage.core).replace(SERVER.password, "wrong")}}
    result, log = stage.job("cronjob", spoil=lambda cluster: setattr(cluster, "secrets", {**cluster.secrets, **wrong}))
    expect("a wrong password is not tried again", short(result), ("PodFailurePolicy", 1), log)
    expect("and no password is in the log", [text for _, text in log if "wrong@" in text or SERVER.password in text], [])

    closed = {"sunset-database": {"url": "postgres://sunset:secret@127.0.0.1:1/core"}}
    result, log = stage.job("cronjob", spoil=lambda cluster: setattr(cluster, "secrets", {**cluster.secrets, **closed}))
    expect("a database that is down is tried again", (short(result), [c for c, _ in log]), (("BackoffLimitExceeded", 4), [75] * 4), log)

    def edit(cluster):
        cluster.config_maps["rel-sunset-rules"]["visits.yaml"] += "# a word more\n"

    result, log = stage.job("cronjob", spoil=edit)
    expect("rules that were edited in the cluster are refused", (short(result), log[0][0]), (("PodFailurePolicy", 1), 3), log)
    result, log = stage.job("cronjob", {"rules": {"verifyDigest": False}}, spoil=edit)
    expect("unless verifyDigest is off", short(result), ("complete", 1), log)

    stage.fill()
    result, log = stage.job("cronjob", settings(limits={"max_rows": 10}))
    expect("too many rows are refused", (short(result), log[0][0]), (("PodFailurePolicy", 1), 3), log)
    expect("and none is touched", stage.left(), (DUE, KEPT))

    sql(stage.core, "create function no() returns trigger language plpgsql as $$ begin raise exception 'no'; end $$; "
                    "create trigger no before delete on visits for each row execute function no()")
    result, log = stage.job("cronjob")
    expect("a rule that fails for good fails the job", (short(result), log[0][0]), (("PodFailurePolicy", 1), 4), log)
    sql(stage.core, "drop trigger no on visits")

    result, log = stage.job("cronjob", {"schedules": {"default": {"tags": ["nihgtly"]}}})
    expect("a misspelt tag is not tried again", (short(result), log[0][0]), (("PodFailurePolicy", 1), 2), log)

    interrupted(stage)
    several_pods(stage)
    under_the_security_context(stage)


SECRETS = {"secrets": {name: {"existingSecret": f"sunset-{name}"} for name in ("database", "store", "keys")}}


def rules() -> dict:
    files = yaml.safe_load((CHART / "ci/cronjob-values.yaml").read_text())["rules"]["files"]
    return {"rules": {"files": files, "existingConfigMap": ""}}


def interrupted(stage: Stage) -> None:
    """A node is drained, a pod deleted, a deadline hit, in the middle of a run that takes its time."""
    rows = 12_000
    slowly = settings(pace={"rows_per_second": 1500})

    def in_the_middle(then):
        def on_start(world, pod, index, attempt):
            if attempt > 0:
                return
            until = time.monotonic() + 60
            while not 0 < rows - stage.left()[0] < rows // 2:
                if pod.poll() is not None or time.monotonic() > until:
                    problems.append(f"the run was not caught in the middle: {pod.output()}")
                    return
            then(world, pod)

        return on_start

    stage.fill(rows)
    before = stage.recorded()
    no_retries = {**slowly, "job": {"backoffLimit": 0}}
    result, log = stage.job("cronjob", no_retries, on_start=in_the_middle(lambda world, pod: world.evict(pod)))
    expect("a drained node: the run ends with 75, and is taken up again", (short(result), [c for c, _ in log]), (("complete", 2), [75, 0]), log)
    expect("every row is gone", stage.left(), (0, KEPT))
    expect("the ledger has every row once", stage.recorded() - before, rows)

    stage.fill(rows)
    before = stage.recorded()
    kill = in_the_middle(lambda world, pod: pod.signal(signal.SIGKILL))
    result, log = stage.job("cronjob", {**slowly, "job": {"backoffLimit": 1}}, on_start=kill)
    expect("a killed pod counts, and the next one goes on", (short(result), [c for c, _ in log]), (("complete", 2), [137, 0]), log)
    expect("every row is gone", stage.left(), (0, KEPT))
    expect("the ledger has every row once", stage.recorded() - before, rows)

    stage.fill(rows)
    result, log = stage.job("cronjob", slowly, on_start=in_the_middle(lambda world, pod: setattr(world, "skipped", world.skipped + 20_000)))
    due, kept = stage.left()
    expect("at the deadline the batch is finished, and the job has failed", (short(result), log[0][0]), (("DeadlineExceeded", 1), 75), log)
    expect("with work left", (0 < due < rows, kept), (True, KEPT))
    expect("and a sound ledger", stage.call("ledger", "verify")[0], 0)

    result, log = stage.job("cronjob", {**slowly, "run": {"for": "2s"}})
    less, kept = stage.left()
    expect("when its time is up, the run ends well", short(result), ("complete", 1), log)
    expect("and leaves the rest", (0 < less < due, kept), (True, KEPT))


def several_pods(stage: Stage) -> None:
    """Four pods share a run; one of them is killed in the middle."""
    rows = 12_000
    slowly = {**settings(pace={"rows_per_second": 1500}), "job": {"maxFailedIndexes": None}}
    for killed in (False, True):
        stage.fill(rows)
        before = stage.recorded()

        def on_start(world, pod, index, attempt, killed=killed):
            if not (killed and index == 3 and attempt == 0):
                return
            until = time.monotonic() + 60
            while stage.left()[0] == rows and time.monotonic() < until and pod.poll() is None:
                pass
            world.pods[0].signal(signal.SIGKILL)

        result, log = stage.job("sharded", slowly, on_start=on_start)
        what = "four pods, one of them killed" if killed else "four pods"
        expect(what, (result.reason, result.completed), (None, [0, 1, 2, 3]), [(code, text[-1500:]) for code, text in log])
        expect(f"{what}: every row is gone", stage.left(), (0, KEPT))
        expect(f"{what}: the ledger has every row once", stage.recorded() - before, rows)
        code, text = stage.call("--format", "json", "status")
        last = json.loads(text[text.index("{"):])["runs"][0]
        summary = (code, last["group"][1], last["disposed"], last["outcome"])
        expect(f"{what}: one summary", summary, (0, 4, rows, "done"), text)


def under_the_security_context(stage: Stage) -> None:
    """The program is nobody, may write nowhere but /tmp, has no capability, and reads its secrets all the same."""
    found, cluster = stage.render("cronjob")
    pod_template = pod_of(next(d for d in found if d["kind"] == "CronJob"))
    stage.fill()
    pod = pods.Pod(cluster, pod_template)
    try:
        status = {}
        while pod.poll() is None and "Uid" not in status:
            state = subprocess.run([*pod.runc, "ps", "--format", "json", pod.name], capture_output=True, text=True).stdout
            for number in (word for word in state.strip("[]\n ").split(",") if word.strip().isdigit()):
                with contextlib.suppress(OSError):
                    text = pathlib.Path("/proc", number.strip(), "status").read_text()
                    if text.startswith("Name:\tsunset"):
                        status = dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
        pod.wait()
    finally:
        pod.remove()
    expect("its user", status.get("Uid", "").split(), ["65532"] * 4)
    expect("its group", status.get("Gid", "").split(), ["65532"] * 4)
    expect("its capabilities", {key: int(status.get(key, "1"), 16) for key in ("CapEff", "CapPrm", "CapBnd")}, {"CapEff": 0, "CapPrm": 0, "CapBnd": 0})
    expect("no new privileges", status.get("NoNewPrivs", "").strip(), "1")
    code, text = stage.call("keys", "new", "--out", "/etc/sunset/keys")
    expect("the root is read-only", (code != 0, "ead-only" in text), (True, True), text)
    code, text = stage.call("keys", "new", "--out", "/tmp/keys")
    expect("/tmp can be written", code, 0, text)


def same_schedules(stage: Stage) -> None:
    """The chart takes the schedules that Sunset itself takes, and no others."""
    called = subprocess.run([stage.rootfs / "usr/local/bin/sunset", "schema", "rules"], check=True, capture_output=True, text=True)
    chart = json.loads((CHART / "values.schema.json").read_text())["properties"]["schedules"]["patternProperties"]
    (schedule,) = chart.values()
    expect("the pattern of a schedule", schedule["properties"]["schedule"]["pattern"] in find(json.loads(called.stdout), "pattern"), True)


def find(inside, key: str) -> list:
    """All values of the key, however deep."""
    if isinstance(inside, dict):
        return [v for k, v in inside.items() if k == key] + [found for value in inside.values() for found in find(value, key)]
    return [found for value in inside for found in find(value, key)] if isinstance(inside, list) else []


def ask(port: int, path: str, token: str = "") -> tuple[int, str]:
    """Status and body; 0 when nobody answers."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"Authorization": f"Bearer {token}"} if token else {})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, ""
    except OSError:
        return 0, ""


def scheduler(stage: Stage) -> None:
    """The Deployment's pod: its probes, its token, its end within the grace period."""
    stage.fill()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    found, cluster = stage.render("deployment", {"deployment": {"port": port}})
    pod_template = pod_of(next(d for d in found if d["kind"] == "Deployment"))
    container = pod_template["spec"]["containers"][0]
    pod = pods.Pod(cluster, pod_template)
    try:
        until = time.monotonic() + 60
        while ask(port, container["readinessProbe"]["httpGet"]["path"])[0] != 200 and pod.poll() is None and time.monotonic() < until:
            time.sleep(0.1)
        for probe in ("readinessProbe", "livenessProbe"):
            expect(f"its {probe}", ask(port, container[probe]["httpGet"]["path"])[0], 200, pod.output())
        expect("no metrics without the token", ask(port, "/metrics")[0], 401)
        token = stage.secrets["sunset-token"]["token"]
        status, text = ask(port, "/metrics", token)
        expect("metrics with the token", (status, "sunset_build_info" in text), (200, True), text)
        pod.signal(signal.SIGTERM)
        began = time.monotonic()
        expect("asked to stop, it ends well", pod.wait(), 0, pod.output())
        expect("within the grace period", time.monotonic() - began < pod_template["spec"]["terminationGracePeriodSeconds"], True)
    finally:
        pod.remove()


def helm_test(stage: Stage) -> None:
    """The pod of `helm test`."""
    for changes, code in (({}, 0), ({"schedules": {"default": {"tags": ["nihgtly"]}}}, 2), ({"schedules": {"default": {"rules": ["vists"]}}}, 2), ({"tests": {"online": True}}, 0)):
        stage.fill()
        found, cluster = stage.render("cronjob", changes)
        pod = pods.Pod(cluster, next(d for d in found if d["kind"] == "Pod"))
        try:
            expect(f"helm test with {changes}", pod.wait(), code, pod.output())
        finally:
            pod.remove()


def main() -> None:
    directory = pathlib.Path(tempfile.mkdtemp(prefix="sunset-chart.", dir="/tmp"))  # where the pod's user is let in
    directory.chmod(0o755)
    try:
        with databases() as names:
            stage = Stage(directory, OUT / "rootfs", names)
            scenarios(stage)
            helm_test(stage)
            scheduler(stage)
            same_schedules(stage)
    finally:
        shutil.rmtree(directory)
    if problems:
        sys.exit("\n".join(problems))
    print(f"{checked} expectations hold")


if __name__ == "__main__":
    main()

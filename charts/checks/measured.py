"""Holds the job controller of `job_controller.py`, fed with the podFailurePolicy that the chart renders, against what was
measured on a real control plane (Kubernetes 1.36). Pods are stand-ins that end as they are told, in virtual time."""

import copy
import dataclasses
import re
import sys

from chart import KUBERNETES, OUT, ROOT, documents
from job_controller import Controller, Result


@dataclasses.dataclass
class Act:
    """How one attempt ends: after how long, with what; and what happens to it in between."""

    code: int
    seconds: float = 1
    evicted: bool = False
    deleted: bool = False
    # what it answers to SIGTERM; an interrupted run of Sunset ends with 75
    on_terminate: int = 75


class StandIn:
    def __init__(self, world: "Virtual", act: Act):
        self.world, self.act = world, act
        self.ends_at, self.code = world.time + act.seconds, act.code
        if act.evicted or act.deleted:
            self.code = act.on_terminate

    def poll(self) -> int | None:
        return self.code if self.world.time >= self.ends_at else None

    def terminate(self) -> None:
        self.ends_at, self.code = self.world.time, self.act.on_terminate


class Virtual:
    """A world whose time jumps to the next event. `script` gives each attempt's act by index and attempt."""

    def __init__(self, script):
        self.time, self.script, self.pods = 0.0, script, []

    def start(self, index, attempt):
        self.pods.append(StandIn(self, self.script(index, attempt)))
        return self.pods[-1]

    def now(self):
        return self.time

    def wait(self, until):
        self.time = min([until, *(pod.ends_at for pod in self.pods if pod.ends_at > self.time)])

    def disrupted(self, pod):
        return pod.act.evicted


def job_of(name: str) -> dict:
    found = documents((OUT / "manifests" / f"{name}-{KUBERNETES[-1]}-helm4.yaml").read_text())
    return next(document for document in found if document["kind"] == "CronJob")["spec"]["jobTemplate"]["spec"]


def changed(job: dict, **values) -> dict:
    return {**copy.deepcopy(job), **values}


def run(job: dict, script) -> Result:
    return Controller(job, Virtual(script)).run()


def always(code: int, **more):
    return lambda index, attempt: Act(code, **more)


def once(first: Act, then: Act = Act(0)):
    return lambda index, attempt: first if attempt == 0 else then


def shard(number: int, act: Act):
    """This index acts so, the others work for 30 seconds and succeed."""
    return lambda index, attempt: act if index == number else Act(0, 30)


def gaps(result: Result) -> list[float]:
    """Seconds from the end of an attempt of one second to the start of the next."""
    return [later - earlier - 1 for earlier, later in zip(result.starts, result.starts[1:])]


def experiments():
    """Each: what was measured, what comes out here, what came out there."""
    plain, sharded = job_of("cronjob"), changed(job_of("sharded"), maxFailedIndexes=None)
    rules = plain["podFailurePolicy"]["rules"]

    result = run(plain, always(2))
    yield "exit 2 fails the job at once, with one pod", (result.reason, result.pods), ("PodFailurePolicy", 1)
    result = run(changed(plain, backoffLimit=1), always(75))
    yield "exit 75 counts: two pods, 10 s apart", (result.reason, result.pods, gaps(result)), ("BackoffLimitExceeded", 2, [10])
    ignoring = {"rules": [{"action": "Ignore", "onExitCodes": {"operator": "In", "values": [75]}}]}
    result = run(changed(plain, podFailurePolicy=ignoring, backoffLimit=1, activeDeadlineSeconds=600), always(75))
    yield "exit 75 ignored is retried until the deadline", (result.reason, gaps(result)[:3]), ("DeadlineExceeded", [10, 20, 40])
    result = run(plain, once(Act(75)))
    yield "exit 75, then 0: complete", (result.complete, result.pods), (True, 2)

    result = run(sharded, shard(2, Act(4)))
    found = (result.reason, result.completed, result.failed)
    yield "a shard that exits 4 fails alone", found, ("FailedIndexes", [0, 1, 3], [2])
    result = run(sharded, shard(2, Act(75)))
    found = (result.reason, result.failed, result.pods)
    yield "a shard that exits 75 is retried once (backoffLimitPerIndex 1)", found, ("FailedIndexes", [2], 5)
    result = run(sharded, lambda index, attempt: Act(75 if index == 2 and attempt == 0 else 0))
    yield "and completes if that helps", (result.complete, result.pods), (True, 5)
    result = run(sharded, shard(2, Act(2)))
    yield "a shard that exits 2 stops all", (result.reason, result.completed), ("PodFailurePolicy", [])
    result = run(job_of("sharded"), shard(2, Act(4)))
    yield "maxFailedIndexes 0 stops all", (result.reason, result.completed), ("MaxFailedIndexesExceeded", [])

    evicted = once(Act(0, 30, evicted=True, on_terminate=2))
    result = run(changed(plain, backoffLimit=0), evicted)
    yield "an evicted pod is replaced, whatever it answers", (result.complete, result.pods), (True, 2)
    reordered = {"rules": rules[1:] + rules[:1]}
    result = run(changed(plain, backoffLimit=0, podFailurePolicy=reordered), evicted)
    yield "not so with the exit codes' rules first", (result.reason, result.pods), ("PodFailurePolicy", 1)
    result = run(plain, once(Act(0, 30, evicted=True, on_terminate=0)))
    yield "who answers an eviction with 0 has completed the job", (result.complete, result.pods), (True, 1)
    result = run(changed(plain, backoffLimit=0), once(Act(0, 30, deleted=True)))
    yield "a deleted pod counts as failed", (result.reason, result.pods), ("BackoffLimitExceeded", 1)
    result = run(plain, always(0, seconds=100_000, on_terminate=0))
    yield "at the deadline the job has failed even if the pod ends with 0", (result.reason, result.pods), ("DeadlineExceeded", 1)


# What each outcome of src/outcome.rs has to come to in a plain job, and in one of several pods.
MEANING = {
    "Done": ("complete", "complete"),
    "Backlog": ("complete", "complete"),
    "Temporary": ("retried", "retried"),
    "Unexpected": ("retried", "retried"),
    "Found": ("retried", "retried"),
    "Failed": ("PodFailurePolicy", "FailedIndexes"),
    "Refused": ("PodFailurePolicy", "PodFailurePolicy"),
    "Invalid": ("PodFailurePolicy", "PodFailurePolicy"),
}


def outcomes():
    """The exit codes as the program has them, each with what the rendered job makes of it."""
    source = (ROOT / "src/outcome.rs").read_text()
    arms = re.findall(r"((?:Self::\w+[ |]+)+)=> (\d+),", source)
    codes = {name: int(code) for names, code in arms for name in re.findall(r"Self::(\w+)", names)}
    yield "every outcome of src/outcome.rs has a meaning here", set(codes), set(MEANING)
    for name, code in codes.items():
        for which, job in enumerate((job_of("cronjob"), changed(job_of("sharded"), maxFailedIndexes=None))):
            # ends so once, then well
            result = run(job, lambda index, attempt: Act(code if index in (None, 1) and attempt == 0 else 0))
            pods = job.get("completions", 1)
            found = result.reason or ("complete" if result.pods == pods else "retried")
            yield f"{name} ({code}), {'several pods' if which else 'one pod'}", found, MEANING.get(name, ("", ""))[which]


def main() -> None:
    count, bad = 0, []
    for what, found, wanted in (*experiments(), *outcomes()):
        count += 1
        if found != wanted:
            bad.append(f"{what}: {found}, measured was {wanted}")
    if bad:
        sys.exit("\n".join(bad))
    print(f"{count} experiments end as on a real control plane")


if __name__ == "__main__":
    main()

"""What Kubernetes' job controller makes of pods that end: a small copy of it, in virtual time.

It knows what the chart relies on: backoffLimit, completionMode Indexed with backoffLimitPerIndex and maxFailedIndexes,
activeDeadlineSeconds, podFailurePolicy, and that a pod is replaced when it has ended (podReplacementPolicy Failed, which
is the default with a podFailurePolicy). `simulate.py` holds it against results that were measured on a real one, 1.36.
"""

import dataclasses
from typing import Protocol

BACKOFF, LONGEST_BACKOFF = 10, 600  # seconds: the first wait, doubled each time up to the second


class Pod(Protocol):
    def poll(self) -> int | None: ...

    def terminate(self) -> None:
        """SIGTERM; `poll` gives the exit code later."""


class World(Protocol):
    """Where pods run, and what time it is there, in seconds."""

    def start(self, index: int | None, attempt: int) -> Pod: ...

    def now(self) -> float: ...

    def wait(self, until: float) -> None:
        """Returns when something has happened to a pod, or at that time."""

    def disrupted(self, pod: Pod) -> bool:
        """Its condition DisruptionTarget is true: it was evicted or preempted, not just deleted."""


@dataclasses.dataclass
class Result:
    complete: bool
    reason: str | None
    pods: int
    completed: list[int] | None = None
    failed: list[int] | None = None
    starts: list[float] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Index:
    """One pod's worth of work: the whole of a plain job, or one index."""

    number: int | None
    failures: int = 0
    attempt: int = 0
    next_start: float = 0
    pod: Pod | None = None
    done: bool = False
    failed: bool = False


def judge(policy: dict, code: int, disrupted: bool, container: str) -> str:
    """The action of the first rule that the pod meets; `Count` when it meets none."""
    for rule in policy.get("rules", []):
        if conditions := rule.get("onPodConditions"):
            if disrupted and any(c["type"] == "DisruptionTarget" and c["status"] == "True" for c in conditions):
                return rule["action"]
        elif codes := rule.get("onExitCodes"):
            mine = codes.get("containerName") in (None, container)
            if mine and code != 0 and (code in codes["values"]) == (codes["operator"] == "In"):
                return rule["action"]
    return "Count"


class Controller:
    def __init__(self, job: dict, world: World):
        self.job, self.world = job, world
        self.indexed = job.get("completionMode") == "Indexed"
        self.indexes = [Index(number) for number in (range(job["completions"]) if self.indexed else [None])]
        self.container = job["template"]["spec"]["containers"][0]["name"]
        self.starts: list[float] = []

    def run(self) -> Result:
        deadline = self.world.now() + self.job["activeDeadlineSeconds"]
        while True:
            now = self.world.now()
            if reason := self._reap(now):
                return self._stop(reason)
            if all(index.done or index.failed for index in self.indexes):
                failed = any(index.failed for index in self.indexes)
                return self._stop("FailedIndexes" if failed else None)
            if now >= deadline:
                return self._stop("DeadlineExceeded")
            waiting = [index for index in self.indexes if not (index.done or index.failed or index.pod)]
            for index in waiting:
                if index.next_start <= now:
                    index.pod = self.world.start(index.number, index.attempt)
                    index.attempt += 1
                    self.starts.append(now)
            later = [index.next_start for index in waiting if index.pod is None]
            self.world.wait(min([deadline, *later]))

    def _reap(self, now: float) -> str | None:
        """Looks at the pods that ended; the reason to stop everything, if one of them gives it."""
        for index in self.indexes:
            if index.pod is None or (code := index.pod.poll()) is None:
                continue
            pod, index.pod = index.pod, None
            if code == 0:
                # even of an evicted pod: whoever ends with 0 has said that all is done
                index.done = True
                continue
            action = judge(self.job.get("podFailurePolicy", {}), code, self.world.disrupted(pod), self.container)
            index.next_start = now + min(BACKOFF * 2 ** (index.attempt - 1), LONGEST_BACKOFF)
            if action == "FailJob":
                return "PodFailurePolicy"
            if action == "FailIndex":
                index.failed = True
            if action == "Count":
                index.failures += 1
                index.failed = self.indexed and index.failures > self.job["backoffLimitPerIndex"]
                if not self.indexed and index.failures > self.job["backoffLimit"]:
                    return "BackoffLimitExceeded"
            most = self.job.get("maxFailedIndexes")
            if most is not None and sum(index.failed for index in self.indexes) > most:
                return "MaxFailedIndexesExceeded"
        return None

    def _stop(self, reason: str | None) -> Result:
        running = [index for index in self.indexes if index.pod]
        for index in running:
            index.pod.terminate()
        while any(index.pod.poll() is None for index in running):
            self.world.wait(self.world.now() + 1)
        numbers = [[i.number for i in self.indexes if getattr(i, which)] for which in ("done", "failed")]
        completed, failed = numbers if self.indexed else (None, None)
        return Result(reason is None, reason, len(self.starts), completed, failed, self.starts)

"""Tests the alerts with promtool, and makes sure that alerts and dashboard ask for metrics that there are.

Each alert has to be seen firing and silent in a test; every metric of Sunset's has to be one that the program writes.
"""

import json
import re
import shutil
import subprocess
import sys

import yaml

from chart import CHART, KUBERNETES, OUT, ROOT, TOOLS, documents

# The value set whose alerts each test is about.
TESTS = {"cronjob": "plan", "deployment": "deployment"}
SUFFIXES = ("_bucket", "_sum", "_count")


def promtool(*arguments) -> subprocess.CompletedProcess:
    return subprocess.run([TOOLS / "promtool", *arguments], capture_output=True, text=True)


def rules_of(name: str) -> dict:
    found = documents((OUT / "manifests" / f"{name}-{KUBERNETES[-1]}-helm4.yaml").read_text())
    return next(document for document in found if document["kind"] == "PrometheusRule")["spec"]


def run_tests(problems: list[str]) -> set[str]:
    """Returns the alerts' expressions."""
    expressions, wanted, seen = set(), set(), {True: set(), False: set()}
    for name, values in TESTS.items():
        directory = OUT / f"alerts-{name}"
        directory.mkdir(exist_ok=True)
        rules = rules_of(values)
        (directory / "rules.yaml").write_text(yaml.safe_dump(rules))
        tests = ROOT / "charts/checks" / f"alerts_{name}_test.yaml"
        shutil.copy(tests, directory / "test.yaml")
        for command in (("check", "rules", directory / "rules.yaml"), ("test", "rules", directory / "test.yaml")):
            called = promtool(*command)
            if called.returncode != 0:
                problems.append(f"alerts of {name}: {called.stdout}{called.stderr}")
        for rule in (rule for group in rules["groups"] for rule in group["rules"]):
            wanted.add(rule["alert"])
            expressions.add(rule["expr"])
        for case in (case for test in yaml.safe_load(tests.read_text())["tests"] for case in test["alert_rule_test"]):
            seen[bool(case["exp_alerts"])].add(case["alertname"])
    for fires, words in ((True, "firing"), (False, "silent")):
        problems.extend(f"no test sees {alert} {words}" for alert in sorted(wanted - seen[fires]))
    problems.extend(f"the tests name {alert}, which is no alert" for alert in sorted((seen[True] | seen[False]) - wanted))
    return expressions


def check_extra_values(problems: list[str]) -> None:
    """The same rules with matchers, labels and several schedules."""
    rules = rules_of("schedules")
    (OUT / "rules.yaml").write_text(yaml.safe_dump(rules))
    called = promtool("check", "rules", OUT / "rules.yaml")
    if called.returncode != 0:
        problems.append(f"alerts of several schedules: {called.stdout}{called.stderr}")
    for rule in (rule for group in rules["groups"] for rule in group["rules"]):
        if rule["labels"].get("team") != "privacy":
            problems.append(f"{rule['alert']} lacks the alertLabels")
        bare = re.findall(r"sunset_[a-z_]+(?!\{[^}]*job=\"sunset\"|[a-z_])", rule["expr"])
        problems.extend(f"{rule['alert']}: {metric} is asked for without the matchers" for metric in bare)


def dashboard(problems: list[str]) -> set[str]:
    board = json.loads((CHART / "files/dashboard.json").read_text())
    expressions = {target["expr"] for panel in board["panels"] for target in panel["targets"]}
    plain = [expression.replace("$job", ".*") for expression in sorted(expressions)]
    rules = [{"record": f"panel:{index}", "expr": expression} for index, expression in enumerate(plain)]
    (OUT / "dashboard.yaml").write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    called = promtool("check", "rules", "--lint=none", OUT / "dashboard.yaml")
    if called.returncode != 0:
        problems.append(f"dashboard: {called.stdout}{called.stderr}")
    if len({panel["id"] for panel in board["panels"]}) != len(board["panels"]):
        problems.append("two panels of the dashboard have the same id")
    return expressions


def main() -> None:
    problems: list[str] = []
    expressions = run_tests(problems)
    check_extra_values(problems)
    expressions |= dashboard(problems)
    source = "".join(path.read_text() for path in (ROOT / "src").rglob("*.rs"))
    written = set(re.findall(r'"(sunset_[a-z_]+)"', source))
    asked = {metric for expression in expressions for metric in re.findall(r"sunset_[a-z_]+", expression)}
    for metric in sorted(asked):
        names = {metric, *(metric.removesuffix(suffix) for suffix in SUFFIXES)}
        if not names & written:
            problems.append(f"no metric {metric} in src/")
    if problems:
        sys.exit("\n".join(problems))
    print(f"alerts and dashboard ask for {len(asked)} metrics, every alert is seen firing and silent")


if __name__ == "__main__":
    main()

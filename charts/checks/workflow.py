"""Looks at the release workflow, which runs nowhere but at a release: its scripts are shell, its actions are pinned, and what
it takes from the Dockerfile and the chart is there."""

import re
import subprocess
import sys

import yaml

from chart import CHART, ROOT


def main() -> None:
    problems = []
    for path in sorted((ROOT / ".github/workflows").glob("*.yaml")):
        text = path.read_text()
        workflow = yaml.safe_load(text)
        for name, job in workflow["jobs"].items():
            for step in job["steps"]:
                where = f"{path.name}: {name}: {step.get('name', step.get('uses'))}"
                if "run" in step:
                    called = subprocess.run(["bash", "-n"], input=step["run"], capture_output=True, text=True)
                    problems += [f"{where}: {called.stderr}"] if called.returncode != 0 else []
                    # what stands in ${{ }} would become part of the script
                    problems += [f"{where}: an expression in a script"] if "${{" in step["run"] else []
                elif not re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", step["uses"]):
                    problems.append(f"{where}: not pinned to a commit")
        if workflow["permissions"] != {}:
            problems.append(f"{path.name}: permissions are given to all jobs")
    cargo = re.search(r'^version = "(.+)"$', (ROOT / "Cargo.toml").read_text(), re.M)[1]
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    if [chart["version"], chart["appVersion"]] != [cargo, cargo]:
        problems.append(f"Chart.yaml says {chart['version']} and {chart['appVersion']}, Cargo.toml {cargo}")
    for path, line in ((ROOT / "Dockerfile", r"^ARG BASE=[^:\s]+:\S+$"), (CHART / "values.yaml", r'^  digest: ""$')):
        if len(re.findall(line, path.read_text(), re.M)) != 1:
            problems.append(f"{path.name}: the release needs one line {line}")
    if problems:
        sys.exit("\n".join(problems))
    print("the release workflow can be read")


if __name__ == "__main__":
    main()

"""Makes the table of values in the chart's README from the comments in values.yaml, or makes sure that it is up to date.

    readme.py --write | --check
"""

import re
import sys

import yaml

from chart import CHART

BEGIN, END = "<!-- values: made by charts/checks/readme.py from values.yaml -->", "<!-- end of values -->"
INSIDE = object()  # of a list, which is one value


def entries(text: str):
    """Key, default and comment of each value, in the file's order. A map counts as one value where none of its keys has a
    comment; a comment above a map of maps is its own row."""
    lines = text.splitlines()
    path: list[tuple[int, str]] = []
    comment: list[str] = []
    for line in lines:
        if line.lstrip().startswith("#"):
            comment.append(line.strip().lstrip("#").strip())
            continue
        if not line.strip():
            comment = []
            continue
        found = re.match(r"( *)([A-Za-z][A-Za-z0-9]*):(.*)$", line)
        if not found:
            comment = []
            continue
        indent = len(found[1])
        path = [step for step in path if step[0] < indent] + [(indent, found[2])]
        yield ".".join(key for _, key in path), found[3].strip(), " ".join(comment)
        comment = []


def table() -> str:
    text = (CHART / "values.yaml").read_text()
    values = yaml.safe_load(text)
    rows = ["| value | default | |", "| --- | --- | --- |"]
    for key, inline, comment in entries(text):
        value = values
        for step in key.split("."):
            value = value.get(step, INSIDE) if isinstance(value, dict) else INSIDE
        if value is INSIDE:
            continue
        if isinstance(value, dict) and value and not inline:
            if comment:
                rows.append(f"| **`{key}`** | | {comment} |")
            continue
        default = "``" if value == "" else f"`{yaml.safe_dump(value, default_flow_style=True, width=1000).removesuffix('...' + chr(10)).strip()}`"
        rows.append(f"| `{key}` | {'' if value == '' else default} | {comment.replace('|', chr(92) + '|')} |")
    return "\n".join(rows)


def main(mode: str) -> None:
    path = CHART / "README.md"
    text = path.read_text()
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    made = f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}"
    if mode == "--write":
        path.write_text(made)
    elif made != text:
        sys.exit("charts/sunset/README.md is not what values.yaml makes: run charts/check readme")


if __name__ == "__main__":
    main(*sys.argv[1:])

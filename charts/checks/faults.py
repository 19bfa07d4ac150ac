"""Lays each mistake of faults.yaml over a good value set: both Helms have to refuse it, in the words that are expected."""

import concurrent.futures
import pathlib
import sys
import tempfile

import yaml

from chart import CHART, HELMS, template

FAULTS = yaml.safe_load(pathlib.Path(__file__).with_name("faults.yaml").read_text())
# What both libraries of JSON Schema write before their findings.
BY_SCHEMA = "values don't meet the specifications of the schema"


def complaint(fault: dict, version: str) -> str | None:
    """What is wrong with the refusal, if anything is."""
    good = CHART / "ci" / f"{fault.get('over', 'cronjob')}-values.yaml"
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump(fault["values"], file)
        file.flush()
        try:
            template([good, pathlib.Path(file.name)], version)
        except RuntimeError as error:
            words = str(error)
        else:
            return "accepted"
    by = "schema" if BY_SCHEMA in words else "chart"
    if by != fault.get("by", "schema"):
        return f"refused by the {by}: {words}"
    return None if fault["says"] in words else f"refused without saying {fault['says']!r}: {words}"


def main() -> None:
    cases = [(fault, version) for fault in FAULTS for version in HELMS]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        found = pool.map(lambda case: complaint(*case), cases)
    bad = [f"{fault['fault']} (Helm {version}): {words}" for (fault, version), words in zip(cases, found) if words]
    if bad:
        sys.exit("\n".join(bad))
    print(f"{len(FAULTS)} seeded faults are refused by Helm {' and '.join(HELMS)}")


if __name__ == "__main__":
    main()

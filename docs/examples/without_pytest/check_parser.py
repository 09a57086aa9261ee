"""Check a function in a script: python check_parser.py"""

import json

from pytest_memleak import check

seen: list[dict[str, int]] = []


def parse() -> None:
    for _ in range(100):
        seen.append(json.loads('{"a": 1}'))  # the leak


verdict = check(parse, max_growth="1MB/24h", profile="quick")
print(verdict.outcome, "-", verdict.message)
print("line:", verdict.top_line)
print("held by:", verdict.top_holder)

"""Reads Redocly's report in JSON and fails unless it is without errors and warnings."""

import json
import sys

report = json.load(sys.stdin)
for problem in report["problems"]:
    location = problem["location"][0]
    print(problem["severity"], problem["ruleId"], location.get("pointer", ""), problem["message"])
totals = report["totals"]
if totals["errors"] or totals["warnings"] or totals["ignored"]:
    sys.exit(f"Redocly: {totals}")

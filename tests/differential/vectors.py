"""Writes what the two SDKs agree on, for `cargo test`: `vectors.py FOLDER MADE_BY >vectors.jsonl`.

Our own URLs have no part in it. What a case does not have is left out, and so are most of the long ones.
"""

import json
import pathlib
import sys

from compare import read, unordered

LONGEST_LINE = 1000


def main():
    folder, made_by = pathlib.Path(sys.argv[1]), sys.argv[2]
    print(json.dumps({"made_by": made_by}))
    long_ones = 0
    sides = [read(folder / f"{name}.jsonl") for name in ("cases", "botocore", "javascript")]
    for case, python, javascript in zip(*sides):
        if unordered(python["url"]) != unordered(javascript["url"]):
            sys.exit(f"the SDKs differ: {json.dumps(case)}\n{python['url']}\n{javascript['url']}")
        kept = {name: value for name, value in case.items() if name not in ("id", "native") and value not in (None, [])}
        line = json.dumps({**kept, "url": javascript["url"]}, ensure_ascii=False, separators=(",", ":"))
        if len(line) > LONGEST_LINE:
            long_ones += 1
            if long_ones > 6:
                continue
        print(line)


if __name__ == "__main__":
    main()

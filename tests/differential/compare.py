"""Compares what all sides made of the same cases: `compare.py FOLDER`, which holds cases, ours, botocore and javascript.jsonl.

The whole URL of the JavaScript SDK must be ours byte for byte. botocore writes its parameters in another order (what was in
the query first, the signature last), which changes nothing: both sides sort them before they sign. So there origin and path
must be the same bytes, and the parameters the same bytes each, the signature among them.
"""

import json
import pathlib
import sys

SHOWN = 5


def read(file):
    with open(file, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def unordered(url):
    address, _, query = url.partition("?")
    return address, sorted(query.split("&"))


def tell(case, ours, theirs, who):
    print(f"\nDIFFERENT from {who}: {json.dumps(case, ensure_ascii=False)}")
    print(f"  ours:   {ours}\n  theirs: {theirs['url']}")
    print("  what they signed:\n    " + theirs["canonical"].replace("\n", "\n    "))
    address, _, query = ours.partition("?")
    path = "/" + address.split("://", 1)[1].partition("/")[2]
    signed = "&".join(part for part in query.split("&") if not part.startswith("X-Amz-Signature="))
    host = address.split("://", 1)[1].partition("/")[0]
    headers = sorted([["host", host], *case["headers"]])
    lines = [case["method"], path, signed, *(f"{name}:{value}" for name, value in headers), ""]
    lines += [";".join(name for name, _ in headers), "UNSIGNED-PAYLOAD"]
    print("  what we signed, as our URL has it:\n    " + "\n    ".join(lines))


def main():
    folder = pathlib.Path(sys.argv[1])
    cases, ours = read(folder / "cases.jsonl"), read(folder / "ours.jsonl")
    failed = False
    for who, same in (
        ("javascript", lambda ours, theirs: ours == theirs),
        ("botocore", lambda ours, theirs: unordered(ours) == unordered(theirs)),
    ):
        theirs = read(folder / f"{who}.jsonl")
        if not len(cases) == len(ours) == len(theirs):
            sys.exit(f"{len(cases)} cases, {len(ours)} of ours, {len(theirs)} of {who}")
        compared, different = 0, 0
        for case, our, their in zip(cases, ours, theirs):
            compared += 1
            if not same(our, their["url"]):
                different += 1
                if different <= SHOWN:
                    tell(case, our, their, who)
        print(f"{who}: {compared} URLs compared, {different} different")
        failed |= different > 0 or compared == 0
    sys.exit(failed)


if __name__ == "__main__":
    main()

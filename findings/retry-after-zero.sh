#!/usr/bin/env bash
# got 14.6.6 (npm) and urllib3 2.8.0 (PyPI) treat "Retry-After: 0" as if the header were absent.
#
# Seen: after a 503 with "Retry-After: 0" both ignore the header and use their own backoff. got waits 1 s before the
# first retry. urllib3 with backoff_factor=4 waits 8 s before the second; with "Retry-After: 1" it waits 1 s.
# ky 1.14.3, by the same authors as got, retries at once.
# Cause: both test the number for truth, so zero counts as "no header". In got, a date in the past becomes 1 ms and
# so means "now"; only the number 0 has this effect. In urllib3 a date in the past behaves like 0.
# Expected: delay-seconds is a non-negative integer (RFC 9110, section 10.2.3), so 0 means "retry now".
# Why it matters: a gateway that rounds the remaining wait down sends 0 in the last second. The clients
# that asked last then wait longest, and urllib3 doubles that wait each time.
# Do instead: round up, and never send less than 1.
# Output:
#   got      0: at least 1 s   1: at least 1 s   past date: at once
#   ky       0: at once        1: at least 1 s   past date: at once
#   urllib3  0: waits 0 s, 8 s   1: waits 1 s, 1 s
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip install -q urllib3==2.8.0
npm install --silent --prefix "$dir" --ignore-scripts --no-audit --no-fund --save-exact got@14.6.6 ky@1.14.3

cat > check.mjs <<'JS'
import assert from 'node:assert/strict'
import http from 'node:http'
import got from 'got'
import ky from 'ky'

let times, value
const server = http.createServer((request, response) => {
  times.push(performance.now())
  if (times.length === 1) response.writeHead(503, { 'retry-after': value })
  response.end()
})
await new Promise((done) => server.listen(0, '127.0.0.1', done))
const url = `http://127.0.0.1:${server.address().port}/`

const past = new Date(Date.now() - 60_000).toUTCString()
for (const [name, get, zero] of [['got', got, 'at least 1 s'], ['ky', ky, 'at once']]) {
  const waits = []
  for (value of ['0', '1', past]) {
    times = []
    await get(url).text()
    waits.push(times[1] - times[0] < 900 ? 'at once' : 'at least 1 s')
  }
  console.log(`${name.padEnd(8)} 0: ${waits[0].padEnd(14)} 1: ${waits[1].padEnd(14)} past date: ${waits[2]}`)
  assert.deepEqual(waits, [zero, 'at least 1 s', 'at once'])
}
server.closeAllConnections()
server.close()
JS
cat > check.py <<'PY'
import time
from unittest import mock
from urllib3 import HTTPResponse, Retry


def waits(value):
    """Returns the sleeps that urllib3 asks for before the first and the second retry."""
    slept, retry = [], Retry(total=3, backoff_factor=4)
    response = HTTPResponse(status=503, headers={"Retry-After": value})
    for _ in range(2):
        retry = retry.increment("GET", "/", response=response)
        with mock.patch.object(time, "sleep") as sleep:
            retry.sleep(response)
        slept.append(sleep.call_args.args[0] if sleep.called else 0)
    return slept


zero, one = waits("0"), waits("1")
print(f"urllib3  0: waits {zero[0]:g} s, {zero[1]:g} s   1: waits {one[0]:g} s, {one[1]:g} s")
assert (zero, one) == ([0, 8], [1, 1]), "urllib3 changed"
PY
node check.mjs
venv/bin/python check.py

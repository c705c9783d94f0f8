#!/usr/bin/env bash
# papaparse 5.7.1 splits a short two-column CSV at "|" although every row has exactly one comma.
#
# Seen: a comma-separated file of 3 lines whose object keys hold "|" comes back split at "|", with an empty list of
# errors. With 10 or more lines, or without the final line break, the same data is split at the comma.
# Cause: the guess counts the empty text after the last line break as a row with one field. Two columns then have an
# average below 2 and the comma is excluded, unless ten full rows fill the preview. Any other character that splits a
# cell into three wins.
# Expected: RFC 4180, section 2, allows a line break after the last record, so it should not change the outcome.
# Why it matters: an export of "key,status" is read correctly in tests with many rows and wrongly on a quiet day.
# Do instead: pass delimiter: ",", or skipEmptyLines: true.
# Output:
#   3 lines                     "|"  ["key,status"]   errors: 0
#   3 lines, no final newline   ","  ["key","status"]   errors: 0
#   3 lines, skipEmptyLines     ","  ["key","status"]   errors: 0
#   12 lines                    ","  ["key","status"]   errors: 0
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --prefix "$dir" --ignore-scripts --no-audit --no-fund --save-exact papaparse@5.7.1

cat > check.cjs <<'JS'
const assert = require('node:assert/strict')
const Papa = require('papaparse')

const csv = (rows) => 'key,status\r\n' + 'reports|2026|jan,201\r\n'.repeat(rows)
function check(label, text, options, delimiter) {
  const { data, errors, meta } = Papa.parse(text, options)
  console.log(`${label.padEnd(27)} ${JSON.stringify(meta.delimiter)}  ${JSON.stringify(data[0])}   errors: ${errors.length}`)
  assert.equal(meta.delimiter, delimiter)
  assert.equal(errors.length, 0)
}
check('3 lines', csv(2), {}, '|')
check('3 lines, no final newline', csv(2).trimEnd(), {}, ',')
check('3 lines, skipEmptyLines', csv(2), { skipEmptyLines: true }, ',')
check('12 lines', csv(11), {}, ',')
JS
node check.cjs

#!/usr/bin/env bash
# openapi-python-client 0.29.1 (PyPI) makes no client at all if one array says "items: false".
#
# Seen: a valid OpenAPI 3.1 document with a pair ("prefixItems" with two schemas, "items: false" to allow no more)
# ends with exit code 1 and "Input should be a valid dictionary". Without "items: false" the same document makes a
# client. openapi-typescript 7.13.0 makes the type [string, number] from it.
# Expected: in OpenAPI 3.1 a schema is a JSON Schema 2020-12, where "false" is a schema (core specification, section
# 4.3.2), and this is how that dialect closes a tuple. The generator does skip endpoints that it cannot express, with
# a warning; here one property stops the whole document, and the message names a data type of the generator.
# Why it matters: a schema generator for typed tuples writes exactly this form, so one new field takes the Python
# client away from all callers.
# Do instead: write "minItems: 2, maxItems: 2" next to prefixItems; it means the same, and the generator accepts it.
# Output:
#   items: false           exit code 1, client written: no
#   maxItems: 2            exit code 0, client written: yes
#   openapi-typescript     range?: [ string, number ];
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip install -q openapi-python-client==0.29.1
npm install --silent --prefix "$dir" --ignore-scripts --no-audit --no-fund --save-exact openapi-typescript@7.13.0 typescript@5.9.3

document() {
  cat <<JSON
{
  "openapi": "3.1.0",
  "info": {"title": "Uploads", "version": "1"},
  "paths": {"/uploads": {"get": {"operationId": "get_upload", "responses": {"200": {
    "description": "One upload",
    "content": {"application/json": {"schema": {"\$ref": "#/components/schemas/Upload"}}}}}}}},
  "components": {"schemas": {"Upload": {"type": "object", "properties": {"range": {
    "type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}], $1}}}}}
}
JSON
}

generate() {
  local code=0 written=no
  venv/bin/openapi-python-client generate --path "$1" --meta none --output-path "$2" >log 2>&1 || code=$?
  if [ -e "$2/models/upload.py" ]; then written=yes; fi
  echo "exit code $code, client written: $written"
}

document '"items": false' >false.json
document '"minItems": 2, "maxItems": 2' >max.json
with_false=$(generate false.json client_false)
echo "items: false           $with_false"
grep -q 'Input should be a valid dictionary' log
with_max=$(generate max.json client_max)
echo "maxItems: 2            $with_max"
node_modules/.bin/openapi-typescript false.json -o types.ts >/dev/null 2>&1
tuple=$(tr -s ' \n' ' ' <types.ts | grep -o 'range?: \[[^]]*\];')
echo "openapi-typescript     $tuple"
test "$with_false" = 'exit code 1, client written: no'
test "$with_max" = 'exit code 0, client written: yes'
test "$tuple" = 'range?: [ string, number ];'

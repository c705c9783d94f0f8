#!/usr/bin/env bash
# image-size 2.1.0 (npm) and imagesize 2.0.1 (PyPI) read the size of an SVG from a comment.
#
# Seen: a well-formed SVG of 400x300 with an older <svg> start tag in a comment above its root element has the size
# of the commented tag for both libraries: 1x1. probe-image-size 7.5.0 and an XML parser say 400x300.
# Expected: a comment is not markup (XML 1.0, section 2.5) and drawing programs and build tools do write comments
# above the root element. The Python package promises a size from SVG, too.
# Why it matters: the stored width and height are those of another picture, and pages reserve the wrong space. Both
# libraries look for the first "<svg" in the text, so the two agree with each other.
# Do instead: parse an SVG with an XML parser that has entities switched off, or treat SVG as having no size.
# Output:
#   image-size 1x1
#   imagesize 1x1
#   probe-image-size 400x300
#   XML parser 400x300
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip install -q imagesize==2.0.1
npm install --silent --prefix "$dir" --ignore-scripts --no-audit --no-fund --save-exact image-size@2.1.0 probe-image-size@7.5.0

cat > logo.svg <<'SVG'
<?xml version="1.0" encoding="UTF-8"?>
<!-- was: <svg width="1" height="1"> -->
<svg xmlns="http://www.w3.org/2000/svg" width="400" height="300"/>
SVG
cat > check.cjs <<'JS'
const assert = require('node:assert/strict')
const bytes = require('node:fs').readFileSync('logo.svg')
const first = require('image-size').imageSize(bytes)
const second = require('probe-image-size').sync(bytes)
console.log(`image-size ${first.width}x${first.height}`)
console.log(`probe-image-size ${second.width}x${second.height}`)
assert.deepEqual([first.width, first.height, second.width, second.height], [1, 1, 400, 300])
JS
cat > check.py <<'PY'
import xml.etree.ElementTree as tree
import imagesize

width, height = imagesize.get("logo.svg")
root = tree.parse("logo.svg").getroot()
print(f"imagesize {width:g}x{height:g}")
print(f"XML parser {root.get('width')}x{root.get('height')}")
assert (width, height) == (1, 1), "imagesize changed"
PY
node check.cjs
venv/bin/python check.py

#!/usr/bin/env bash
# probe-image-size 7.5.0 (npm) swaps orientations 6 and 8 of AVIF files.
#
# Seen: an AVIF that Pillow 13.0.0 wrote with Exif orientation 6 is reported as orientation 8, and 8 as 6. The other
# values are right. For JPEG and WebP with the same Exif block, 6 is reported as 6.
# Pillow decodes the AVIF back to 6, and its pixels agree: a red strip on the left edge ends on the top edge.
# Cause: AVIF stores the rotation as "irot", which counts anticlockwise (ISO/IEC 23008-12, 6.5.10). Exif orientation 6
# is a clockwise quarter turn, so it is irot 3. The library counts irot clockwise.
# Why it matters: width and height are swapped for both values, so a check of dimensions looks right. Thumbnails
# that are turned by this number stand upside down, for AVIF only.
# Do instead: use the value only to decide whether to swap width and height, and let the decoder rotate.
# Output:
#   written 3: jpg 3, webp 3, avif 3; Pillow reads avif 3, strip at the right
#   written 6: jpg 6, webp 6, avif 8; Pillow reads avif 6, strip at the top
#   written 8: jpg 8, webp 8, avif 6; Pillow reads avif 8, strip at the bottom
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip install -q pillow==13.0.0
npm install --silent --prefix "$dir" --ignore-scripts --no-audit --no-fund --save-exact probe-image-size@7.5.0

cat > make.py <<'PY'
import json
from PIL import Image, ImageOps

picture = Image.new("RGB", (64, 32), "blue")
picture.paste("red", (0, 0, 16, 32))
truth = {}
for orientation in (3, 6, 8):
    exif = Image.Exif()
    exif[0x0112] = orientation
    for kind in ("jpg", "webp", "avif"):
        picture.save(f"{orientation}.{kind}", exif=exif, quality=95)
    with Image.open(f"{orientation}.avif") as stored:
        upright = ImageOps.exif_transpose(stored).convert("RGB")
        w, h = upright.size
        edges = {"left": (4, h // 2), "right": (w - 5, h // 2), "top": (w // 2, 4), "bottom": (w // 2, h - 5)}
        strip = [edge for edge, at in edges.items() if upright.getpixel(at)[0] > 150]
        truth[orientation] = {"exif": stored.getexif()[0x0112], "strip": strip[0]}
json.dump(truth, open("truth.json", "w"))
PY
cat > check.cjs <<'JS'
const assert = require('node:assert/strict')
const fs = require('node:fs')
const probe = require('probe-image-size')

const truth = JSON.parse(fs.readFileSync('truth.json'))
const seen = (name) => probe.sync(fs.readFileSync(name)).orientation
for (const [written, avif, edge] of [[3, 3, 'right'], [6, 8, 'top'], [8, 6, 'bottom']]) {
  const got = ['jpg', 'webp', 'avif'].map((kind) => seen(`${written}.${kind}`))
  const { exif, strip } = truth[written]
  console.log(`written ${written}: jpg ${got[0]}, webp ${got[1]}, avif ${got[2]}; Pillow reads avif ${exif}, strip at the ${strip}`)
  assert.deepEqual([...got, exif, strip], [written, written, avif, written, edge])
}
JS
venv/bin/python make.py
node check.cjs

#!/usr/bin/env bash
# imagesize 2.0.1 (PyPI) finds no size in an AVIF that is rotated.
#
# Seen: for a 64x32 AVIF without rotation, get() returns (64, 32). For the same picture with Exif orientation 3, 5,
# 6, 7 or 8 it returns (-1, -1), and get_info() raises ValueError "Invalid ISO box payload". Mirrored only (2, 4)
# works. Pillow 13.0.0, which wrote the files, reads them all.
# Cause: an AVIF encoder stores rotation as an "irot" property with one byte of payload (ISO/IEC 23008-12, 6.5.10);
# imagesize demands five bytes of that property.
# Expected: the package's notes for this version say that AVIF sizes "correctly reflect" rotation.
# Why it matters: phone pictures are rotated and test pictures are not. The service works in every test and then
# stores -1 x -1.
# Do instead: treat a size below 1 as an error, and read AVIF with Pillow (its size is the one before rotation).
# Output:
#   orientation 1  imagesize (64, 32)  Pillow (64, 32)   (2 likewise)
#   orientation 3  imagesize (-1, -1)  Pillow (64, 32)   (6 and 8 likewise)
#   get_info: Invalid ISO box payload
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip install -q imagesize==2.0.1 pillow==13.0.0

cat > check.py <<'PY'
import imagesize
from PIL import Image

for orientation in (1, 2, 3, 6, 8):
    exif = Image.Exif()
    exif[0x0112] = orientation
    name = f"{orientation}.avif"
    Image.new("RGB", (64, 32), "red").save(name, exif=exif)
    size = imagesize.get(name)
    with Image.open(name) as picture:
        picture.load()
        print(f"orientation {orientation}  imagesize {size}  Pillow {picture.size}")
        assert picture.size == (64, 32)
    assert size == ((64, 32) if orientation < 3 else (-1, -1)), "imagesize changed"
try:
    imagesize.get_info("6.avif")
    raise SystemExit("imagesize changed: get_info reads the file")
except ValueError as error:
    print("get_info:", error)
PY
venv/bin/python check.py

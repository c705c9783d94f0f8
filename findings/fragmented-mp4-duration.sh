#!/usr/bin/env bash
# mutagen 1.48.1 and tinytag 2.3.2 (PyPI) report a duration of 0.0 for a fragmented MP4.
#
# Seen: three seconds of audio, written once as a plain and once as a fragmented file. Both libraries report about
# 3 s for the plain file and 0.0 for the fragmented one, without a warning. pymediainfo 7.0.1 reports 3 s for both.
# Cause: in a fragmented file the movie header ("mvhd", "mdhd") may say 0, and the samples are counted in the "moof"
# boxes (ISO/IEC 14496-12, 8.8). Both libraries stop at the header.
# Expected: None or an error for "unknown", as mutagen and tinytag have for other missing facts. 0.0 is a valid value.
# Why it matters: browsers' MediaRecorder and many live encoders write fragmented files, and test files are plain. The
# stored duration is 0, and pages show 0:00.
# Do instead: treat a duration of 0 as unknown and count the fragments, for instance with pymediainfo or PyAV.
# Output:
#   plain       mutagen 3.0 s  tinytag 3.0 s  mediainfo 3.0 s
#   fragmented  mutagen 0.0 s  tinytag 0.0 s  mediainfo 3.0 s
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip install -q mutagen==1.48.1 tinytag==2.3.2 pymediainfo==7.0.1 av==18.1.0

cat > check.py <<'PY'
import av
import mutagen
from pymediainfo import MediaInfo
from tinytag import TinyTag


def write(name, **options):
    with av.open(name, "w", format="mp4", options=options) as file:
        track = file.add_stream("aac", rate=48_000)
        for index in range(140):
            silence = av.AudioFrame(format="fltp", layout="stereo", samples=1024)
            for plane in silence.planes:
                plane.update(bytes(plane.buffer_size))
            silence.rate, silence.pts = 48_000, index * 1024
            file.mux(track.encode(silence))
        file.mux(track.encode())


write("plain.m4a")
write("fragmented.m4a", movflags="frag_keyframe+empty_moov")
seen = []
for kind in ("plain", "fragmented"):
    name = f"{kind}.m4a"
    info = MediaInfo.parse(name).audio_tracks[0].duration / 1000
    lengths = [round(length, 1) for length in (mutagen.File(name).info.length, TinyTag.get(name).duration, info)]
    print("{:11} mutagen {} s  tinytag {} s  mediainfo {} s".format(kind, *lengths))
    seen += lengths
assert seen == [3.0, 3.0, 3.0, 0.0, 0.0, 3.0], "a library changed"
PY
venv/bin/python check.py

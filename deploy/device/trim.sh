#!/usr/bin/env bash
# Remove from an install what no device loads: trim.sh /opt/hemaloop/lib/python3.11/site-packages
# Graphics accelerators, FFmpeg (so no video file can be replayed, but AVI of MJPEG), AWS's services other than S3,
# NumPy's Fortran tools and random numbers, other packages' tests, headers and stubs. Installing again brings it all
# back. Prints what is left.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$1"
[ -d botocore/data ] && [ -d ai_edge_litert ] || { echo "trim.sh: $1 is no install of requirements/device.lock" >&2; exit 2; }
rm -f ai_edge_litert/libLiteRtWebGpuAccelerator.so ai_edge_litert/libLiteRt.so
find botocore/data -mindepth 1 -maxdepth 1 -type d ! -name s3 -exec rm -rf {} +
python3 "$here/without_video.py" .
rm -rf numpy/f2py numpy/distutils numpy/random
find numpy/_core \( -name '_*_tests.*.so' -o -name '_simd.*.so' \) -delete
find . -type d \( -name tests -o -name test_data \) -prune -exec rm -rf {} +
find . -type f \( -name '*.pyi' -o -name '*.pxd' -o -name '*.h' -o -name '*.a' \) -delete
du -sh --apparent-size . | cut -f1

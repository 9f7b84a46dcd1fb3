#!/bin/sh
# Makes the README's picture: the first screen of a study's report.html, in light and dark.
# Usage: docs/make_picture.sh REPORT.html [OUT_DIR]      needs Debian's chromium (apt-get install chromium)
set -eu
report=$(realpath "$1")
out=${2:-docs}
profile=$(mktemp -d)
trap 'rm -rf "$profile"' EXIT
mkdir -p "$out"
for scheme in light dark; do
  # preferredColorScheme: 0 is dark, 1 is light. The virtual time lets plotly finish before the shot.
  [ "$scheme" = dark ] && number=0 || number=1
  chromium --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking \
    --disable-component-update --disable-sync --user-data-dir="$profile" --hide-scrollbars \
    --blink-settings=preferredColorScheme=$number --virtual-time-budget=8000 --force-device-scale-factor=1.5 \
    --window-size=1200,1330 --screenshot="$out/report-$scheme.png" "file://$report" 2>/dev/null
  echo "$out/report-$scheme.png"
done

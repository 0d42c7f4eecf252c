#!/bin/sh
# Install the few system libraries that Qt loads, only those that are missing and only where that is possible.
# Otherwise print the one line to copy and paste. Debian and Ubuntu; elsewhere nothing is done.
set -u
command -v ldconfig >/dev/null 2>&1 || PATH="$PATH:/sbin:/usr/sbin"
command -v apt-get >/dev/null 2>&1 || exit 0

missing=""
need() { # package, library that it brings
  ldconfig -p 2>/dev/null | grep -q "$2" || missing="$missing $1"
}
need libegl1 'libEGL\.so\.1'
need libgl1 'libGL\.so\.1'
need libxkbcommon0 'libxkbcommon\.so\.0'
need libdbus-1-3 'libdbus-1\.so\.3'
need libfontconfig1 'libfontconfig\.so\.1'
need libglib2.0-0 'libglib-2\.0\.so\.0'
if [ -n "${DISPLAY:-}" ]; then
  need libxcb-cursor0 'libxcb-cursor\.so\.0'
  need libxcb-icccm4 'libxcb-icccm\.so\.4'
  need libxcb-keysyms1 'libxcb-keysyms\.so\.1'
  need libxcb-image0 'libxcb-image\.so\.0'
  need libxcb-render-util0 'libxcb-render-util\.so\.0'
  need libxkbcommon-x11-0 'libxkbcommon-x11\.so\.0'
fi
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ]; then
  echo "Installing system libraries for Qt:$missing"
  # shellcheck disable=SC2086
  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $missing >/dev/null; } && exit 0
fi
echo "Qt needs system libraries that are missing. Install them with:"
echo "    sudo apt-get install -y$missing"
exit 0

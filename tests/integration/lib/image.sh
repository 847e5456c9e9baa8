#!/bin/sh
# A shell script is one test. This one: the built-in image holds what a container needs.
# BUILDS = ["plain"]
set -eu
image=$VIV_BUILD/share/viv/busybox
[ -x "$image/bin/busybox" ]
[ "$(readlink "$image/bin/sh")" = busybox ]
[ "$("$image/usr/bin/id" -u)" = "$(id -u)" ]
grep -q '^root:x:0:0:' "$image/etc/passwd"
for folder in proc sys dev tmp run etc root; do [ -d "$image/$folder" ]; done
[ "$(stat -c %a "$image/tmp")" = 1777 ]

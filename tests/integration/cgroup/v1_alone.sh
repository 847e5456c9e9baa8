#!/bin/sh
# The same programs on a host that has cgroup v1 alone: v2 is unmounted in a private mount namespace.
set -e
build=${VIV_BUILD:-build}
if ! grep -q ' - cgroup cgroup ' /proc/self/mountinfo; then
    echo "this host has no cgroup v1"
    exit 77
fi
# shellcheck disable=SC2016
exec unshare --mount sh -e -c '
    for mount in $(awk "/ - cgroup2 / { print \$5 }" /proc/self/mountinfo); do umount "$mount"; done
    for name in freezer lists manage memory; do "$0/tests/integration/cgroup/test-cgroup-$name"; done
' "$build"

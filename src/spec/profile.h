/*
 * Seccomp profiles as Docker and Podman have them in files (`--security-opt seccomp=FILE`): the
 * specification's `linux.seccomp` and more, with rules that hold only for some architectures,
 * capabilities and kernels, and the architectures by that of the host. What the specification
 * itself allows is read as well, so that one reader serves for both kinds of file.
 */
#pragma once

#include "spec/spec.h"

/* What the conditions are held against. */
struct spec_profile_host {
    const char *machine;             /* as Go names it: "amd64" */
    const char *architecture;        /* as libseccomp does: "SCMP_ARCH_X86_64" */
    unsigned kernel[2];              /* 6, 18 */
    const struct strv *capabilities; /* the bounding set; NULL: none */
};

/*
 * Reads a profile's text; `name` is the file's, for errors. Strings live in the arena, warnings are
 * added as spec_load() adds them. -EINVAL with all faults in the error's text.
 */
int spec_profile_load(const char *text, size_t length, const char *name, struct arena *arena,
        const struct spec_profile_host *host, struct spec_seccomp *ret, struct strv *warnings,
        struct error *err);

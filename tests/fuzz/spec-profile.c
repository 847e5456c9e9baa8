/* Seccomp profiles: what is accepted obeys the specification's rules. */
#include <stdint.h>
#include <stdlib.h>

#include "spec/check_seccomp.h"
#include "spec/profile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_arena_ struct arena arena = {0};
    struct record_report report = {.arena = &arena};
    struct spec_profile_host host = {"amd64", "SCMP_ARCH_X86_64", {5, 4}, NULL};
    struct spec_seccomp seccomp;
    struct error err = ERROR_NONE;

    int r = spec_profile_load(
            (const char *)data, size, "input", &arena, &host, &seccomp, NULL, &err);
    if ((r < 0) != (err.text[0] != '\0'))
        abort();
    if (r < 0)
        return 0;
    check_seccomp(&report, RECORD_TOP(""), &seccomp, false);
    if (report.faults.count)
        abort();
    return 0;
}

#include "container/host.h"

#include <stdio.h>
#include <unistd.h>

#include "base/install.h"
#include "container/store.h"
#include "rootfs/idmappable.h"
#include "sys/userns.h"

static bool have_program(const char *name)
{
    static const char *const directories[] = {"/usr/bin", "/bin", "/usr/local/bin", "/usr/sbin"};
    char path[128];

    for (size_t i = 0; i < sizeof(directories) / sizeof(directories[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s", directories[i], name);
        if (access(path, X_OK) == 0)
            return true;
    }
    return false;
}

/* Where none is installed, the name appears in the error of whoever needs it. */
static const char *systemd_helper(struct arena *arena)
{
    const char *path = "viv-systemd";

    install_find_program(arena, "viv-systemd", &path, NULL);
    return path;
}

int container_host_detect(struct arena *arena, struct container_host *ret, struct error *err)
{
    struct cgroup_layout *layout = arena_new(arena, struct cgroup_layout);
    struct container_host host = {.cgroups = layout, .uid = geteuid(), .gid = getegid()};
    int r = cgroup_layout_detect(arena, layout, err);

    if (r == 0)
        r = caps_own(&host.capabilities, err);
    if (r == 0)
        r = security_self_identify(&host.self, err);
    if (r < 0)
        return r;
    host.last_capability = caps_kernel_last();
    host.no_kcore = access("/proc/kcore", F_OK) < 0;
    host.rootless = host.uid != 0 || sys_in_user_namespace();
    host.id_helpers = host.uid != 0 && have_program("newuidmap") && have_program("newgidmap");
    host.systemd.helper = systemd_helper(arena);
    host.systemd.user = store_for_a_user();
    *ret = host;
    return 0;
}

bool container_host_can_idmap(const char *path)
{
    return rootfs_idmappable(path);
}

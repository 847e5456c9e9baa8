#include "base/install.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/path.h"
#include "base/str.h"

static const char *const program_places[] = {".", "../libexec/viv", NULL};
static const char *const data_places[] = {"share/viv", "../share/viv", NULL};

#define PLACE_VARIABLE "VIV_PROGRAM"

/* A detached mount of one file shows as "/", a memory file as "/memfd:…". */
static bool is_copy(const char *path)
{
    return str_equal(path, "/") || str_starts(path, "/memfd:");
}

void install_keep_place(void)
{
    char path[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 1);

    if (length < 0)
        return;
    path[length] = '\0';
    if (!is_copy(path)) /* whatever the caller's environment says */
        setenv(PLACE_VARIABLE, path, 1);
}

static int own_folder(struct arena *arena, const char **ret, struct error *err)
{
    char path[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 1);

    if (length < 0)
        return error_sys_hint(err, errno, "mount a procfs", "read /proc/self/exe");
    path[length] = '\0';
    const char *kept = is_copy(path) ? getenv(PLACE_VARIABLE) : NULL;
    *ret = path_dir(arena, kept ? kept : path);
    return 0;
}

int install_find_from(struct arena *arena, const char *folder, const char *const places[],
        const char *name, const char **ret, struct error *err)
{
    struct strv tried = {0};

    for (size_t i = 0; places[i]; i++) {
        const char *place = path_clean(arena, path_join(arena, folder, places[i]));
        const char *path = path_join(arena, place, name);
        if (access(path, F_OK) == 0) {
            *ret = path;
            return 0;
        }
        strv_add(arena, &tried, place);
    }
    return error_set(err, ENOENT, "%s is not installed: it is not in %s", name,
            strv_join(arena, &tried, " or "));
}

int install_find_program(struct arena *arena, const char *name, const char **ret, struct error *err)
{
    const char *folder;
    int r = own_folder(arena, &folder, err);

    return r < 0 ? r : install_find_from(arena, folder, program_places, name, ret, err);
}

int install_find_data(struct arena *arena, const char *name, const char **ret, struct error *err)
{
    const char *folder;
    int r = own_folder(arena, &folder, err);

    return r < 0 ? r : install_find_from(arena, folder, data_places, name, ret, err);
}

const char *install_find_in_path(struct arena *arena, const char *name)
{
    const char *all = getenv("PATH");
    struct strv folders = {0};
    const char *folder;

    strv_split(arena, &folders, all ? all : "/usr/sbin:/usr/bin:/sbin:/bin", ':');
    strv_foreach (folder, &folders) {
        const char *path = path_join(arena, folder, name);
        if (folder[0] == '/' && access(path, X_OK) == 0)
            return path;
    }
    return NULL;
}

#include "engine/named.h"

#include <ctype.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/path.h"
#include "proto/control.h"

#define DESCRIPTION "machine.json"
#define CONTROL "control.sock"
#define SNAPSHOT "snapshot"
#define NAME_MAX_LENGTH 64

static bool is_name(const char *text)
{
    if (!isalnum((unsigned char)*text) || strlen(text) > NAME_MAX_LENGTH)
        return false;
    for (; *text; text++)
        if (!isalnum((unsigned char)*text) && !strchr("_.-", *text))
            return false;
    return true;
}

static const char *folder_of(struct arena *arena, const char *data_root, const char *name)
{
    return path_join(arena, path_join(arena, data_root, "machines"), name);
}

/* ---- beginning ---- */

static void make_absolute(struct arena *arena, const char **path)
{
    char full[PATH_MAX];

    if (*path && realpath(*path, full))
        *path = arena_strdup(arena, full);
}

static void make_all_absolute(struct arena *arena, struct proto_machine *machine)
{
    make_absolute(arena, &machine->kernel.path);
    make_absolute(arena, &machine->initrd.path);
    for (size_t i = 0; i < machine->disks.count; i++)
        make_absolute(arena, &machine->disks.items[i].file.path);
    for (size_t i = 0; i < machine->shares.count; i++)
        make_absolute(arena, &machine->shares.items[i].folder.path);
}

static int write_description(
        const char *path, const struct proto_machine *machine, struct error *err)
{
    struct proto_machine kept = *machine;

    kept.snapshot = (struct proto_file){0};
    kept.control_fd = (struct opt_i64){0};
    _cleanup_json_ struct json_object *json = record_write(&proto_machine_record, &kept);
    const char *text = json_text_pretty(json);
    int r = io_replace_file_at(AT_FDCWD, path, text, strlen(text), 0600, false);
    return r < 0 ? error_sys_hint(err, -r, error_room(-r), "write %s", path) : 0;
}

/* Through the folder's descriptor, since a socket's address is short. */
static int open_address(const char *folder, struct sockaddr_un *ret, int *ret_folder)
{
    int fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
    snprintf(ret->sun_path, sizeof(ret->sun_path), "/proc/self/fd/%d/" CONTROL, fd);
    *ret_folder = fd;
    return 0;
}

/* A connected socket, or negative: -ECONNREFUSED and -ENOENT mean that none runs. */
static int connect_to(const char *folder)
{
    struct sockaddr_un address;
    _cleanup_close_ int fd = -1, sock = -1;
    int r = open_address(folder, &address, &fd);

    if (r < 0)
        return r;
    sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (sock < 0 || connect(sock, (struct sockaddr *)&address, sizeof(address)) < 0)
        return -errno;
    return take_fd(&sock);
}

static int listen_in(const char *folder, int *ret, struct error *err)
{
    struct sockaddr_un address;
    _cleanup_close_ int fd = -1, sock = -1, other = connect_to(folder);

    if (other >= 0)
        return error_set(err, EBUSY, "a machine of that name runs (%s)", folder);
    int r = open_address(folder, &address, &fd);
    if (r < 0)
        return error_sys(err, -r, "open %s", folder);
    (void)unlinkat(fd, CONTROL, 0);
    sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (sock < 0 || bind(sock, (struct sockaddr *)&address, sizeof(address)) < 0 ||
            listen(sock, 16) < 0)
        return error_sys(err, errno, "listen in %s", folder);
    *ret = take_fd(&sock);
    return 0;
}

int named_begin(struct arena *arena, const char *data_root, const char *name,
        struct proto_machine *machine, struct error *err)
{
    const char *folder = folder_of(arena, data_root, name);
    _cleanup_close_ int sock = -1;

    if (!is_name(name))
        return error_set(err, EINVAL,
                "\"%s\" is no name for a machine: letters, digits, and _ . - behind the first",
                name);
    int r = io_make_dirs_at(AT_FDCWD, folder, 0700);
    if (r < 0)
        return error_sys(err, -r, "make %s", folder);
    r = listen_in(folder, &sock, err);
    if (r < 0)
        return r;
    make_all_absolute(arena, machine);
    machine->name = name;
    r = write_description(path_join(arena, folder, DESCRIPTION), machine, err);
    if (r == 0)
        machine->control_fd = (struct opt_i64){true, take_fd(&sock)};
    return r;
}

void named_end(struct arena *arena, const char *data_root, const char *name)
{
    (void)unlink(path_join(arena, folder_of(arena, data_root, name), CONTROL));
}

/* ---- snapshots ---- */

static int copy_description(const char *from, const char *to, struct error *err)
{
    _cleanup_buf_ struct buf text = {0};
    int r = io_read_file_at(AT_FDCWD, from, &text);

    if (r == 0)
        r = io_replace_file_at(AT_FDCWD, to, text.data, text.length, 0600, false);
    return r < 0 ? error_sys(err, -r, "copy %s to %s", from, to) : 0;
}

static int take(struct arena *arena, int control, const char *file, bool stop, struct error *err)
{
    const char *part = arena_printf(arena, "%s.part", file);
    struct proto_control request = {.command = "snapshot", .path = file, .stop = stop};
    _cleanup_close_ int fd = open(part, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (fd < 0)
        return error_sys(err, errno, "make %s", part);
    int r = proto_control_ask(control, &request, fd, arena, NULL, err);
    if (r == 0 && rename(part, file) < 0)
        r = error_sys(err, errno, "rename %s to %s", part, file);
    if (r < 0)
        (void)unlink(part);
    return r;
}

int named_snapshot(struct arena *arena, const char *data_root, const char *name, const char *file,
        bool stop, struct error *err)
{
    const char *folder = folder_of(arena, data_root, name);
    _cleanup_close_ int control = is_name(name) ? connect_to(folder) : -ENOENT;

    if (control == -ENOENT || control == -ECONNREFUSED)
        return error_set(err, ESRCH,
                "no machine \"%s\" runs; one is given its name by viv boot --name, or by viv run "
                "--isolation vm --name",
                name);
    if (control < 0)
        return error_sys(err, -control, "connect to the machine %s", name);
    if (file) {
        int r = copy_description(
                path_join(arena, folder, DESCRIPTION), arena_printf(arena, "%s.json", file), err);
        return r < 0 ? r : take(arena, control, file, stop, err);
    }
    return take(arena, control, path_join(arena, folder, SNAPSHOT), stop, err);
}

bool named_is_there(struct arena *arena, const char *data_root, const char *name)
{
    return is_name(name) && access(folder_of(arena, data_root, name), F_OK) == 0;
}

int named_load(struct arena *arena, const char *data_root, const char *word,
        struct proto_machine *ret, const char **ret_name, struct error *err)
{
    _cleanup_json_ struct json_object *json = NULL;
    const char *folder = folder_of(arena, data_root, word);
    bool named = named_is_there(arena, data_root, word);
    const char *snapshot = named ? path_join(arena, folder, SNAPSHOT) : word;
    const char *description =
            named ? path_join(arena, folder, DESCRIPTION) : arena_printf(arena, "%s.json", word);

    if (access(snapshot, R_OK) < 0)
        return error_sys(err, errno,
                named ? "%s: its machine has no snapshot yet (viv snapshot)"
                      : "%s: neither a machine's name nor a snapshot",
                word);
    if (access(description, R_OK) < 0)
        return error_sys_hint(err, errno, "viv snapshot writes it beside the snapshot: bring both",
                "read %s, which says what the machine of %s is made of", description, word);
    int r = json_parse_file_at(AT_FDCWD, description, &json, err);
    if (r == 0)
        r = proto_machine_read(json, arena, ret, err);
    if (r < 0)
        return error_prefix(err, "what the snapshot %s goes on with", snapshot);
    ret->snapshot.path = snapshot;
    make_absolute(arena, &ret->snapshot.path);
    *ret_name = named ? arena_strdup(arena, word) : NULL;
    return 0;
}

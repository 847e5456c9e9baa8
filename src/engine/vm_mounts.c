#include "engine/vm_mounts.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/path.h"
#include "rootfs/options.h"

static const char *file_path(struct arena *arena, size_t number)
{
    return arena_printf(arena, CONTAINER_GUEST_SHARES "/" VM_FILES_TAG "/%zu", number);
}

static bool asks_for_idmap(const char *word)
{
    return str_equal(word, "idmap") || str_equal(word, "ridmap");
}

void vm_forget_idmap(struct spec *spec)
{
    for (size_t i = 0; i < spec->mounts.count; i++) {
        struct spec_mount *mount = &spec->mounts.items[i];
        size_t kept = 0;
        if (!spec_mount_is_bind(mount) || mount->uidMappings.count || mount->gidMappings.count)
            continue;
        for (size_t k = 0; k < mount->options.count; k++)
            if (!asks_for_idmap(mount->options.words[k]))
                mount->options.words[kept++] = mount->options.words[k];
        mount->options.count = kept;
    }
}

/* What only a mount of the host's own kernel has. */
static int check_options(size_t index, const struct spec_mount *mount, struct error *err)
{
    static const char *const spread[] = {"shared", "rshared", "slave", "rslave"};
    const char *word;
    bool maps = mount->uidMappings.count || mount->gidMappings.count;

    for (size_t i = 0; i < ARRAY_SIZE(spread); i++)
        if (strv_contains(&mount->options, spread[i]))
            return error_set(err, EOPNOTSUPP,
                    "/mounts/%zu: %s: mounts do not pass between the host and a machine, whose "
                    "kernel has its own; leave it out or write rprivate, or use --isolation "
                    "container",
                    index, spread[i]);
    strv_foreach (word, &mount->options)
        maps |= str_starts(word, "idmap=") || str_starts(word, "ridmap=");
    return maps ? error_set(err, EOPNOTSUPP,
                          "/mounts/%zu: %s: a folder is shared with a machine with the owners that "
                          "the host has, and cannot have id mappings of its own; leave them out, "
                          "or use --isolation container",
                          index, mount->source)
                : 0;
}

static void forget_rechown(struct spec_mount *mount)
{
    size_t kept = 0;

    for (size_t i = 0; i < mount->options.count; i++)
        if (!str_equal(mount->options.words[i], "U"))
            mount->options.words[kept++] = mount->options.words[i];
    mount->options.count = kept;
}

/* A machine that goes on has been given it when it began. */
static int note_rechown(struct vm *vm, size_t index, struct spec_mount *mount, struct error *err)
{
    const struct spec_process *process = vm->guest_spec.process;
    struct mount_options options = {0};
    int r = mount_options_read(vm->arena, &mount->options, &options, err);

    if (r < 0 || !options.rechown || vm->request->host->rootless)
        return r;
    forget_rechown(mount);
    if (vm->config->going_on)
        return 0;
    struct vm_given *given = RECORD_APPEND(vm->arena, &vm->given);
    *given = (struct vm_given){.rechown = {.top = {.path = mount->source,
                                                   .part = options.subdir,
                                                   .nofollow = options.src_nofollow},
                                       .uid = process ? process->user.uid : 0,
                                       .gid = process ? process->user.gid : 0},
            .because = arena_printf(vm->arena, "/mounts/%zu", index)};
    return 0;
}

void vm_step_mounts(struct plan *plan, struct vm *vm)
{
    for (size_t i = 0; i < vm->given.count; i++)
        rechown_add(plan, STEP_HOST, &vm->given.items[i].rechown, vm->given.items[i].because);
}

static void become_tmpfs(struct arena *arena, struct spec_mount *mount)
{
    struct strv options = {0};

    strv_split(arena, &options, "nosuid,noexec,nodev,mode=1777,size=65536k", ',');
    mount->type = "tmpfs";
    mount->source = "shm";
    mount->options = options;
}

static bool is_read_only(const struct spec_mount *mount)
{
    return strv_contains(&mount->options, "ro") || strv_contains(&mount->options, "rro");
}

static void become_share(struct vm *vm, struct spec_mount *mount)
{
    struct proto_share *share = RECORD_APPEND(vm->arena, &vm->machine.shares);
    size_t number = vm->machine.shares.count - 1;

    share->tag = arena_printf(vm->arena, "viv%zu", number);
    share->folder.path = mount->source;
    share->read_only = is_read_only(mount);
    mount->source = arena_printf(vm->arena, CONTAINER_GUEST_SHARES "/%zu", number);
}

/* The guest's kernel knows a file by one name, which is by one mount. */
static size_t find_file(const struct vm *vm, const struct stat *status)
{
    size_t i = 0;

    while (i < vm->files.count && (!status->st_ino || vm->files.items[i].ino != status->st_ino ||
                                          vm->files.items[i].dev != status->st_dev))
        i++;
    return i;
}

static void become_file(struct vm *vm, struct spec_mount *mount, const struct stat *status)
{
    size_t number = find_file(vm, status);

    if (number == vm->files.count) {
        struct vm_file *file = RECORD_APPEND(vm->arena, &vm->files);
        *file = (struct vm_file){mount->source, status->st_dev, status->st_ino, true};
    }
    vm->files.items[number].read_only &= is_read_only(mount);
    mount->source = file_path(vm->arena, number);
}

static void share_files(struct vm *vm)
{
    if (!vm->files.count)
        return;
    struct proto_share *share = RECORD_APPEND(vm->arena, &vm->machine.shares);
    *share = (struct proto_share){.tag = VM_FILES_TAG, .cache = "fresh"};
    for (size_t i = 0; i < vm->files.count; i++) {
        struct proto_shared_file *file = RECORD_APPEND(vm->arena, &share->files);
        file->file.path = vm->files.items[i].source;
        file->read_only = vm->files.items[i].read_only;
    }
}

static int translate(struct vm *vm, size_t index, struct spec_mount *mount, struct error *err)
{
    struct stat found;
    int r = check_options(index, mount, err);

    if (r < 0)
        return r;
    if (vm->request->bundle && mount->source[0] != '/')
        mount->source = path_join(vm->arena, vm->request->bundle, mount->source);
    if (stat(mount->source, &found) < 0) {
        if (errno != ENOENT || !vm->config->networks)
            return error_sys(err, errno, "/mounts/%zu: %s", index, mount->source);
        /* a file of the networks', which a step is yet to write */
        found = (struct stat){.st_mode = S_IFREG};
    }
    r = note_rechown(vm, index, mount, err);
    if (r < 0)
        return r;
    if (str_equal(mount->destination, "/dev/shm"))
        become_tmpfs(vm->arena, mount);
    else if (S_ISDIR(found.st_mode))
        become_share(vm, mount);
    else if (!S_ISREG(found.st_mode))
        return error_set(err, EOPNOTSUPP,
                "/mounts/%zu: %s is neither a folder nor a file: a machine has its own devices, "
                "and "
                "sockets do not reach into it",
                index, mount->source);
    else
        become_file(vm, mount, &found);
    return 0;
}

int vm_translate_mounts(struct vm *vm, struct error *err)
{
    struct spec *spec = &vm->guest_spec;

    vm_forget_idmap(spec);
    for (size_t i = 0; i < spec->mounts.count; i++) {
        int r = spec_mount_is_bind(&spec->mounts.items[i])
                        ? translate(vm, i, &spec->mounts.items[i], err)
                        : 0;
        if (r < 0)
            return r;
    }
    share_files(vm);
    return 0;
}

static int send_file(struct arena *arena, const struct vm_file *from, const char *path,
        struct agent_file *into, struct error *err)
{
    _cleanup_buf_ struct buf text = {.max = VM_FILE_MAX};
    _cleanup_close_ int fd = open(from->source, O_RDONLY | O_CLOEXEC);
    struct stat found;

    if (fd < 0 || fstat(fd, &found) < 0)
        return error_sys(err, errno, "open %s", from->source);
    if ((size_t)found.st_size > VM_FILE_MAX)
        return error_set(err, EFBIG,
                "%s has more than %zu bytes, and viv-vmm cannot have mounts of its own on this "
                "host: share the folder that it is in instead",
                from->source, VM_FILE_MAX);
    int r = io_read_fd(fd, &text);
    if (r < 0)
        return error_sys(err, -r, "read %s", from->source);
    *into = (struct agent_file){
            .path = path,
            .data = agent_hex(arena, text.data, text.length),
            .mode = found.st_mode & 07777,
            .uid = found.st_uid,
            .gid = found.st_gid,
    };
    return 0;
}

static int send_files(
        struct vm *vm, struct arena *arena, struct agent_create *into, struct error *err)
{
    int r = 0;

    into->files.items = arena_new_array(arena, struct agent_file, vm->files.count);
    into->files.count = vm->files.count;
    for (size_t i = 0; i < vm->files.count && r == 0; i++)
        r = send_file(arena, &vm->files.items[i], file_path(arena, i), &into->files.items[i], err);
    return r;
}

int vm_send_mounts(struct vm *vm, struct arena *arena, struct agent_create *into, struct error *err)
{
    bool send = vm->uncaged && vm->files.count;
    size_t shares = vm->machine.shares.count - (vm->config->upper ? 1 : 0) - (send ? 1 : 0);

    into->shares.items = arena_new_array(arena, struct agent_share, shares);
    into->shares.count = shares;
    for (size_t i = 0; i < shares; i++) {
        const struct proto_share *share = &vm->machine.shares.items[i];
        into->shares.items[i] = (struct agent_share){
                .tag = share->tag,
                .path = share->files.count ? CONTAINER_GUEST_SHARES "/" VM_FILES_TAG
                                           : arena_printf(arena, CONTAINER_GUEST_SHARES "/%zu", i),
                .read_only = share->read_only,
        };
    }
    return send ? send_files(vm, arena, into, err) : 0;
}

/* boot: a machine of the user's own, with its console on the terminal. */
#include "engine/boot.h"

#include <limits.h>
#include <unistd.h>

#include "base/path.h"
#include "cli/command.h"

struct boot_flags {
    const char *kernel, *initrd, *append, *accel, *vsock, *name;
    struct strv disks, modules, nets, shares;
    struct opt_u64 cpus, memory;
    bool debug_exit, portable;
};

static const struct option_row boot_rows[] = {
        OPTION(0, "kernel", OPTION_TEXT, struct boot_flags, kernel, "FILE",
                "a bzImage, an ELF kernel with a PVH entry, or a Multiboot image"),
        OPTION(0, "initrd", OPTION_TEXT, struct boot_flags, initrd, "FILE", "its initramfs"),
        OPTION(0, "module", OPTION_LIST, struct boot_flags, modules, "FILE",
                "a module of a Multiboot image"),
        OPTION(0, "append", OPTION_TEXT, struct boot_flags, append, "TEXT",
                "the kernel's command line (console=ttyS0)"),
        OPTION(0, "disk", OPTION_LIST, struct boot_flags, disks, "FILE[:ro][:format=KIND]",
                "a disk: raw or qcow2, by its content or as KIND says"),
        OPTION(0, "net", OPTION_LIST, struct boot_flags, nets, "TAP",
                "a network device on a tap device of the host"),
        OPTION(0, "share", OPTION_LIST, struct boot_flags, shares, "TAG=FOLDER[:ro][:cache=KIND]",
                "a folder of the host, which the guest mounts by its tag (virtiofs)"),
        OPTION(0, "vsock", OPTION_TEXT, struct boot_flags, vsock, "SOCKET",
                "a vsock device that ends at this Unix socket"),
        OPTION(0, "cpus", OPTION_COUNT, struct boot_flags, cpus, "N", "virtual CPUs (1)"),
        OPTION('m', "memory", OPTION_BYTES, struct boot_flags, memory, "SIZE", "memory (256m)"),
        OPTION(0, "accel", OPTION_CHOICE, struct boot_flags, accel, "auto|kvm|emu",
                "what runs the CPUs (auto)"),
        OPTION(0, "name", OPTION_TEXT, struct boot_flags, name, "NAME",
                "a name by which viv snapshot finds the machine"),
        OPTION(0, "portable", OPTION_FLAG, struct boot_flags, portable, NULL,
                "show the guest only CPU features that kvm and emu both have"),
        OPTION(0, "debug-exit", OPTION_FLAG, struct boot_flags, debug_exit, NULL,
                "a byte written to port 0xf4 ends the machine with that status"),
};
static const struct option_table boot_table = OPTION_TABLE("Options", boot_rows);
static const struct option_command boot_command = {.name = "viv boot",
        .usage = NULL,
        .about =
                "Boots a machine of your own; ctrl-a x ends it. The exit status is 0 after a power "
                "off, and 1 after a reset, a panic or a crash.",
        .tables = {&boot_table}};

/* The options after the file, from the last one on: a file's name may have colons in it. */
static void take_disk_options(struct cli *cli, char *text, struct proto_disk *disk)
{
    for (char *colon; (colon = strrchr(text, ':')) != NULL; *colon = 0) {
        const char *format = str_after(colon + 1, "format=");
        if (str_equal(colon + 1, "ro"))
            disk->read_only = true;
        else if (format)
            disk->format = arena_strdup(cli->arena, format);
        else
            return;
    }
}

static void add_disks(
        struct cli *cli, const struct boot_flags *flags, struct proto_machine *machine)
{
    struct proto_disk *disks = arena_new_array(cli->arena, struct proto_disk, flags->disks.count);

    for (size_t i = 0; i < flags->disks.count; i++) {
        char *file = arena_strdup(cli->arena, flags->disks.words[i]);
        take_disk_options(cli, file, &disks[i]);
        disks[i].file.path = file;
    }
    machine->disks.items = disks;
    machine->disks.count = flags->disks.count;
}

static void add_nets(struct cli *cli, const struct boot_flags *flags, struct proto_machine *machine)
{
    struct proto_net *nets = arena_new_array(cli->arena, struct proto_net, flags->nets.count);

    for (size_t i = 0; i < flags->nets.count; i++)
        nets[i].tap = flags->nets.words[i];
    machine->nets.items = nets;
    machine->nets.count = flags->nets.count;
}

/* The options after the folder, from the last one on: a folder's name may have colons in it. */
static void take_share_options(struct cli *cli, char *text, struct proto_share *share)
{
    for (char *colon; (colon = strrchr(text, ':')) != NULL; *colon = 0) {
        const char *cache = str_after(colon + 1, "cache=");
        if (str_equal(colon + 1, "ro"))
            share->read_only = true;
        else if (cache)
            share->cache = arena_strdup(cli->arena, cache);
        else
            return;
    }
}

static int add_shares(struct cli *cli, const struct boot_flags *flags,
        struct proto_machine *machine, struct error *err)
{
    struct proto_share *shares =
            arena_new_array(cli->arena, struct proto_share, flags->shares.count);

    for (size_t i = 0; i < flags->shares.count; i++) {
        const char *text = flags->shares.words[i], *equals = strchr(text, '=');
        if (!equals || equals == text || !equals[1])
            return error_set(
                    err, EINVAL, "--share %s: expected TAG=FOLDER[:ro][:cache=KIND]", text);
        char *folder = arena_strdup(cli->arena, equals + 1);
        take_share_options(cli, folder, &shares[i]);
        shares[i].tag = arena_strndup(cli->arena, text, (size_t)(equals - text));
        shares[i].folder.path = folder;
    }
    machine->shares.items = shares;
    machine->shares.count = flags->shares.count;
    return 0;
}

static void add_modules(
        struct cli *cli, const struct boot_flags *flags, struct proto_machine *machine)
{
    struct proto_file *files = arena_new_array(cli->arena, struct proto_file, flags->modules.count);

    for (size_t i = 0; i < flags->modules.count; i++)
        files[i].path = flags->modules.words[i];
    machine->modules.items = files;
    machine->modules.count = flags->modules.count;
}

/* viv-vmm leaves this working directory. */
static const char *absolute(struct cli *cli, const char *path)
{
    char here[PATH_MAX];

    return path[0] == '/' || !getcwd(here, sizeof(here)) ? path : path_join(cli->arena, here, path);
}

static int fill_machine(struct cli *cli, const struct boot_flags *flags,
        struct proto_machine *machine, struct error *err)
{
    if (!flags->kernel)
        return error_set(err, EINVAL, "boot needs a kernel: --kernel FILE");
    if (flags->cpus.set && (flags->cpus.value == 0 || flags->cpus.value > PROTO_CPUS_MAX))
        return error_set(err, EINVAL, "--cpus: a machine has 1 to %d", PROTO_CPUS_MAX);
    machine->kernel.path = flags->kernel;
    machine->initrd.path = flags->initrd;
    machine->append = flags->append ? flags->append : "console=ttyS0";
    machine->accel = flags->accel;
    machine->cpus = (uint32_t)flags->cpus.value;
    machine->memory = flags->memory.value;
    machine->debug_exit = flags->debug_exit;
    machine->portable = flags->portable;
    add_disks(cli, flags, machine);
    add_nets(cli, flags, machine);
    add_modules(cli, flags, machine);
    int r = add_shares(cli, flags, machine, err);
    if (flags->vsock) {
        machine->vsock = arena_new(cli->arena, struct proto_vsock);
        machine->vsock->cid = 3;
        machine->vsock->path = absolute(cli, flags->vsock);
    }
    return r;
}

int cli_boot(struct cli *cli, int argc, char **argv, struct error *err)
{
    struct boot_flags flags = {0};
    struct proto_machine machine = {0};
    _cleanup_engine_ struct engine engine = {0};
    struct strv rest = {0};
    int status = 0;
    int r = cli_parse(cli, &boot_command, argc, argv, &flags, &rest, err);

    if (r != 0)
        return r < 0 ? r : 0;
    r = fill_machine(cli, &flags, &machine, err);
    if (r == 0)
        r = engine_open(cli->arena, cli->root, &engine, err);
    if (r == 0)
        r = engine_boot_named(&engine, flags.name, &machine, cli_tell, &status, err);
    return r < 0 ? r : status;
}

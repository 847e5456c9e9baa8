/*
 * viv-dns: answers for the names of one network, from its first sandbox to its last. Started by
 * net/steps.c with the folder of networks and the network's name; goes into the background once it
 * can answer, and gives up all rights but those to read the leases.
 */
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "dns/responder.h"
#include "sys/creds.h"
#include "sys/process.h"

#define NOBODY 65534

/* The lock that says that this network has its responder; held until the process ends. */
static int take_place(const struct networks *networks, const char *name, struct error *err)
{
    _cleanup_arena_ struct arena arena = {0};
    const char *path = arena_printf(&arena, "%s/.names", name);
    _cleanup_close_ int fd = openat(networks->fd, path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    if (fd < 0)
        return error_sys(err, errno, "open %s/%s", networks->path, path);
    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        return error_set(err, EALREADY, "network \"%s\" has its responder already", name);
    return take_fd(&fd);
}

/* What sandboxes send is read without rights: as nobody, with no way to get any. */
static int drop_rights(struct error *err)
{
    int r = geteuid() != 0 ? 0 : sys_setgroups(0, NULL);

    if (r == 0 && geteuid() == 0)
        r = sys_setresgid(NOBODY, NOBODY, NOBODY);
    if (r == 0 && geteuid() == 0)
        r = sys_setresuid(NOBODY, NOBODY, NOBODY);
    if (r == 0)
        r = sys_prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    return r < 0 ? error_sys(err, -r, "give up rights") : 0;
}

/* The parent ends: that tells who started it that names are answered for. */
static void go_into_background(void)
{
    int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);

    pid_t pid = fork();
    if (pid != 0)
        _exit(pid < 0);
    sys_setsid();
    for (int fd = 0; fd < 3 && null_fd >= 0; fd++)
        dup2(null_fd, fd);
    if (chdir("/") < 0)
        _exit(1);
}

static int run(struct arena *arena, const char *folder, const char *name, struct error *err)
{
    struct networks networks = {.path = folder};
    struct network network;
    struct responder responder = {.networks = &networks, .network = &network};
    int lock = -1;

    networks.fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (networks.fd < 0)
        return error_sys(err, errno, "open %s", folder);
    responder.place = take_place(&networks, name, err);
    if (responder.place < 0)
        return responder.place;
    int r = network_load(&networks, name, false, arena, &network, err);
    if (r == 0)
        r = responder_bind(&responder, err);
    if (r == 0)
        r = drop_rights(err);
    if (r < 0)
        return r;
    go_into_background();
    r = responder_run(&responder, &lock, err);
    cleanup_close(
            &responder.place); /* before the lock: whoever takes it next finds the place free */
    cleanup_close(&lock);
    return r;
}

int main(int argc, char **argv)
{
    _cleanup_arena_ struct arena arena = {0};
    struct error err = ERROR_NONE;

    signal(SIGPIPE, SIG_IGN);
    if (argc != 3) {
        fprintf(stderr, "viv-dns is started by viv with the first sandbox of a network\n");
        return 2;
    }
    int r = run(&arena, argv[1], argv[2], &err);
    if (r == -EALREADY)
        return 0;
    if (r < 0)
        fprintf(stderr, "%s\n", err.text);
    return r < 0;
}

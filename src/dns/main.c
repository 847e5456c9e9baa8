/*
 * viv-dns: answers for the names of one network, from its first sandbox to its last. Started by
 * net/steps.c with the folder of networks and the network's name; goes into the background once it
 * can answer, and gives up all rights but those to read the leases.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "dns/responder.h"
#include "net/helper.h"

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
        r = helper_drop_rights(err);
    if (r < 0)
        return r;
    helper_go_into_background();
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

/*
 * viv-fetch: the client of registries. Started by libimage only to pull or push, with a socket as
 * its standard input and a folder as descriptor 3; it locks itself in before it reads a byte.
 */
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "fetch/request.h"
#include "fetch/session.h"
#include "fetch/transfer.h"
#include "image/cage.h"
#include "image/wire.h"

static int handle(struct session *session, struct pool *pool, struct error *err)
{
    struct wire_message message;
    int fd = -1;

    int r = wire_receive(session->socket, &session->arena, &message, &fd, err);
    _cleanup_close_ int received = fd;
    if (r <= 0)
        return r;
    switch (message.kind) {
    case WIRE_ENDPOINT:
        r = session_add(session, &message, err);
        return r < 0 ? r : 1;
    case WIRE_GET_BLOB:
    case WIRE_PUT_BLOB:
        pool_add(pool, &message, take_fd(&received));
        return 1;
    default:
        request_answer(session, WIRE_FOLDER_FD, &message, received);
        return 1;
    }
}

static int serve(struct error *err)
{
    struct session session = {.socket = STDIN_FILENO, .pause_ms = 1000};
    struct pool *pool;

    session.arena.limit = (size_t)256 << 20;
    int r = pool_new(&session, WIRE_FOLDER_FD, &pool, err);
    if (r < 0)
        return r;
    do {
        r = pool_turn(pool, session.socket, err);
        if (r > 0)
            r = handle(&session, pool, err);
        else if (r == 0)
            r = 1;
    } while (r > 0);
    pool_free(pool);
    arena_free(&session.arena);
    return r;
}

int main(int argc, char **argv)
{
    struct error err = ERROR_NONE;

    (void)argv;
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (argc > 1 || isatty(STDIN_FILENO)) {
        fprintf(stderr, "viv-fetch is started by viv to pull and push images; it takes no "
                        "arguments\n");
        return 2;
    }
    if (curl_global_init(CURL_GLOBAL_ALL) != 0)
        return 1;
    int r = cage_enter_network(WIRE_FOLDER_FD, &err);
    if (r == 0)
        r = serve(&err);
    if (r < 0)
        wire_send(STDIN_FILENO,
                &(struct wire_message){
                        .kind = WIRE_FAILED, .errnum = (uint32_t)err.errnum, .text = err.text},
                -1, NULL);
    return r < 0;
}

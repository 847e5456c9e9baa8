/*
 * viv-relay: carries what clients of ::1 send to the ports that one sandbox publishes. Started by
 * net/steps.c with the sandbox's address and a word for each port, as "tcp:80"; the sockets, which
 * are bound to ::1 already, are descriptors from 4 on, in that order. Goes into the background once
 * it listens, and ends when the far end of descriptor 3 is closed.
 */
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/str.h"
#include "net/helper.h"
#include "relay/relay.h"

#define LIFE_FD 3
#define FIRST_FD 4

static int read_port(const char *word, int fd, struct net_relayed *ret, struct error *err)
{
    struct net_publish parsed;
    const char *udp = str_after(word, "udp:");
    const char *number = udp ? udp : str_after(word, "tcp:");

    if (!number || net_expose_parse(number, &parsed, err) < 0)
        return error_set(err, EINVAL, "\"%.64s\" is no port", word);
    *ret = (struct net_relayed){.fd = fd, .protocol = udp ? NET_UDP : NET_TCP, .port = parsed.port};
    return 0;
}

static int serve(const char *address, char **words, size_t count, struct error *err)
{
    _cleanup_arena_ struct arena arena = {0};
    struct net_relayed *ports = arena_new_array(&arena, struct net_relayed, count);
    struct net_address to;
    struct relay *relay = NULL;

    if (net_address_parse(address, false, &to) < 0)
        return error_set(err, EINVAL, "\"%.64s\" is no address", address);
    int r = 0;
    for (size_t i = 0; i < count && r == 0; i++)
        r = read_port(words[i], FIRST_FD + (int)i, &ports[i], err);
    if (r == 0)
        r = helper_drop_rights(err);
    if (r < 0)
        return r;
    r = relay_open(&to, ports, count, LIFE_FD, &relay, err);
    if (r < 0)
        return r;
    helper_go_into_background();
    _exit(relay_run(relay) < 0); /* nothing is left to tidy up but memory */
}

int main(int argc, char **argv)
{
    struct error err = ERROR_NONE;

    signal(SIGPIPE, SIG_IGN);
    if (argc < 3) {
        fprintf(stderr, "viv-relay is started by viv with a sandbox that publishes ports\n");
        return 2;
    }
    int r = serve(argv[1], argv + 2, (size_t)argc - 2, &err);
    if (r < 0)
        fprintf(stderr, "%s\n", err.text);
    return r < 0;
}

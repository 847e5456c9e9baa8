/* The files by which a sandbox knows names: /etc/hosts, /etc/resolv.conf and /etc/hostname, as
 * texts. Reads the host's resolv.conf, and no more. */
#pragma once

#include "net/request.h"

/* In the sandbox's folder: where pasta leaves its id, and what it publishes as a lease. */
#define NETFILE_PASTA_PID "pasta.pid"
#define NETFILE_PASTA_PORTS "pasta-ports.json"

struct netfile {
    const char *name; /* below /etc */
    const char *text;
    const char *path; /* on the host, once that is known */
};
struct netfiles {
    struct netfile items[4];
    size_t count;
};

struct netfiles_input {
    struct arena *arena;
    const struct net_request *request;
    const char *hostname; /* NULL: the host's */
    const char *sandbox;
    struct strv addresses; /* its own, one for each network */
    const char *gateway;   /* what "host-gateway" is; NULL: 127.0.0.1 */
    const char *responder; /* who answers for names; NULL: --dns, or the host's servers */
};
int netfiles_compose(const struct netfiles_input *input, struct netfiles *ret, struct error *err);

/* The servers of the host that can be asked from elsewhere: those of /etc/resolv.conf that are not
 * on its loopback, or, where systemd-resolved is, those that it asks. */
void netfiles_host_servers(struct arena *arena, struct strv *ret);

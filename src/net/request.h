/*
 * What a sandbox asks of networks: the flags of `viv run`, as plain text that was checked, and
 * stored with the sandbox so that it can be started again. Nothing here is resolved yet: networks
 * are looked up, addresses leased and ports held when it starts (engine/network.h).
 */
#pragma once

#include "base/record.h"

/* One network that it joins: NAME[:ip=…,ip6=…,mac=…,alias=…,interface_name=…]. */
struct net_join {
    const char *network;
    const char *ip; /* what follows is NULL when not said */
    const char *ip6;
    const char *mac;
    const char *interface; /* "eth0" and so on */
    struct strv aliases;
};

struct net_request {
    RECORD_LIST(struct net_join) joins;
    bool pasta;          /* an ordinary user's network: the program pasta(1) carries it */
    struct strv publish; /* as net_publish_parse() reads them */
    struct strv exposed; /* as net_expose_parse() does: published with publish_all */
    bool publish_all;
    struct strv dns;
    struct strv dns_search;
    struct strv dns_option;
    struct strv add_host; /* "NAME:ADDRESS", the address may be "host-gateway" */
    uint64_t rate_in;     /* bits a second towards it; 0: as fast as it goes */
    uint64_t rate_out;
    bool no_hosts; /* /etc/hosts stays the root's */
    bool host;     /* the host's network namespace: names are resolved as the host does it */
};
extern const struct record net_request_record;

/* Whether it asks for anything at all. */
bool net_wants_anything(const struct net_request *request);

/* "NAME" with its options; -EINVAL with the error filled. */
int net_join_parse(const char *text, struct arena *arena, struct net_join *ret, struct error *err);

/* --add-host, checked: "db:10.1.1.1", "db:fd00::1", "db=10.1.1.1", "host:host-gateway". The name
 * and the address are its parts. */
int net_host_parse(const char *text, struct arena *arena, const char **ret_name,
        const char **ret_address, struct error *err);

/* A name in the DNS: letters, digits, "-", "_" and "." up to 253 bytes. */
bool net_is_name(const char *text);

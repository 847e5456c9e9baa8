/*
 * Who has which name, from the leases of all networks: what the responder of a network answers by.
 * It is read anew when a lease has come or gone.
 */
#pragma once

#include "net/dns.h"
#include "net/lease.h"

struct directory {
    struct arena arena; /* of what follows */
    struct net_leases leases;
    struct strv closed; /* the networks that let nothing out */
    uint64_t stamp;
};

/* Reads the leases again if any has changed since. */
int directory_refresh(
        struct directory *directory, const struct networks *networks, struct error *err);
void directory_free(struct directory *directory);

/* The lease of a network's client; NULL: none of ours. */
const struct net_lease *directory_client(
        const struct directory *directory, const char *network, const struct net_address *address);

/*
 * Answers a question of a client: names of sandboxes on any network that it is on itself, and the
 * reverse. False: the name is none of theirs. A name that is known without an address of the type
 * gives an answer without one.
 */
bool directory_answer(const struct directory *directory, const struct net_lease *client,
        const struct dns_question *question, struct dns_reply *ret);

/* Whether what is not known here may be asked elsewhere for this client. */
bool directory_may_ask(const struct directory *directory, const struct net_lease *client);

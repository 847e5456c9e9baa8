#include "engine/netfiles.h"

#include <fcntl.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "net/resolvconf.h"

static void compose_hosts(const struct netfiles_input *input, struct buf *text, struct error *err)
{
    const char *address;
    const char *line;

    buf_add_str(text, "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"
                      "fe00::0\tip6-localnet\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n");
    strv_foreach (address, &input->addresses) {
        bool same = str_empty(input->hostname) || str_equal(input->hostname, input->sandbox);
        buf_printf(text, "%s\t%s%s%s\n", address, same ? "" : input->hostname, same ? "" : " ",
                input->sandbox);
    }
    strv_foreach (line, &input->request->add_host) {
        const char *name;
        const char *to;
        if (net_host_parse(line, input->arena, &name, &to, err) < 0)
            continue; /* it was checked when it was read */
        if (str_equal(to, "host-gateway"))
            to = str_empty(input->gateway) ? "127.0.0.1" : input->gateway;
        buf_printf(text, "%s\t%s\n", to, name);
    }
}

void netfiles_host_servers(struct arena *arena, struct strv *ret)
{
    struct resolvconf host = {0};

    resolvconf_host(arena, &host);
    *ret = host.servers;
}

/* What the flags say counts; what they do not is the host's. */
static void compose_resolvconf(const struct netfiles_input *input, struct buf *text)
{
    const struct net_request *request = input->request;
    struct resolvconf host = {0};
    const char *word;

    resolvconf_host(input->arena, &host);
    struct strv servers = request->dns.count ? request->dns : host.servers;
    if (!str_empty(input->responder)) {
        servers = (struct strv){0};
        strv_add(input->arena, &servers, input->responder);
    }
    const struct strv *search = request->dns_search.count ? &request->dns_search : &host.search;
    const struct strv *options = request->dns_option.count ? &request->dns_option : &host.options;
    if (search->count && !str_equal(search->words[0], "."))
        buf_printf(text, "search %s\n", strv_join(input->arena, search, " "));
    strv_foreach (word, &servers) {
        buf_printf(text, "nameserver %s\n", word);
    }
    if (options->count)
        buf_printf(text, "options %s\n", strv_join(input->arena, options, " "));
}

static void add(const struct netfiles_input *input, struct netfiles *files, const char *name,
        const struct buf *text)
{
    files->items[files->count++] =
            (struct netfile){name, arena_strdup(input->arena, buf_text(text)), NULL};
}

int netfiles_compose(const struct netfiles_input *input, struct netfiles *ret, struct error *err)
{
    const struct net_request *request = input->request;
    _cleanup_buf_ struct buf hosts = {0};
    _cleanup_buf_ struct buf servers = {0};
    struct netfiles files = {0};
    bool connected = request->joins.count || request->pasta || request->host;

    compose_hosts(input, &hosts, err);
    compose_resolvconf(input, &servers);
    if ((connected || request->add_host.count) && !request->no_hosts)
        add(input, &files, "hosts", &hosts);
    if (connected || request->dns.count)
        add(input, &files, "resolv.conf", &servers);
    if (connected && !str_empty(input->hostname)) {
        _cleanup_buf_ struct buf name = {0};
        buf_printf(&name, "%s\n", input->hostname);
        add(input, &files, "hostname", &name);
    }
    if (hosts.overflow || servers.overflow)
        return error_set(err, E2BIG, "too many hosts and servers");
    *ret = files;
    return 0;
}

#include "net/sweep.h"

#include "base/cleanup.h"
#include "net/firewall.h"
#include "net/link.h"
#include "net/shape.h"
#include "sys/netlink.h"

static int drop_rules(const char *nft, const struct net_lease *lease, struct error *err)
{
    _cleanup_buf_ struct buf text = {0};

    firewall_ports(lease, false, &text);
    if (!text.length || firewall_is_loaded(NULL) <= 0)
        return 0; /* somebody has flushed all rules: there is nothing to take away */
    return firewall_load(nft, buf_text(&text), err);
}

int net_release(const struct networks *networks, const char *nft, const struct net_lease *lease,
        struct error *err)
{
    _cleanup_arena_ struct arena arena = {0};
    _cleanup_close_ int sock = netlink_open();
    int result = drop_rules(nft, lease, err);
    int r = 0;

    if (sock >= 0 && !str_empty(lease->device))
        r = link_remove(sock, lease->device, result < 0 ? NULL : err);
    if (r == 0 && sock >= 0 && lease->rate_out)
        r = shape_remove(sock, lease->device, result < 0 ? NULL : err);
    if (result == 0)
        result = r;
    r = lease_drop(networks, &arena, lease, result < 0 ? NULL : err);
    return result < 0 ? result : r;
}

int net_release_sandbox(
        const struct networks *networks, const char *nft, const char *id, struct error *err)
{
    _cleanup_arena_ struct arena arena = {0};
    struct strv names = {0};
    const char *name;
    int result = networks_list(networks, &arena, &names, err);

    strv_foreach (name, &names) {
        struct net_leases leases = {0};
        _cleanup_close_ int lock = lease_lock(networks, name, NULL);
        if (lock < 0 || lease_list(networks, name, &arena, &leases, NULL) < 0)
            continue;
        for (size_t i = 0; i < leases.count; i++) {
            const struct net_lease *lease = &leases.items[i];
            if (!str_equal(lease->id, id))
                continue;
            int r = net_release(networks, nft, lease, result < 0 ? NULL : err);
            result = result < 0 ? result : r;
        }
    }
    return result;
}

static void add_live_ports(
        const struct networks *networks, const char *name, struct arena *arena, struct buf *text)
{
    struct net_leases leases = {0};

    lease_list(networks, name, arena, &leases, NULL);
    for (size_t i = 0; i < leases.count; i++)
        if (lease_is_alive(&leases.items[i]))
            firewall_ports(&leases.items[i], true, text);
}

int net_load_rules(const struct networks *networks, const char *nft, struct error *err)
{
    _cleanup_arena_ struct arena arena = {0};
    _cleanup_buf_ struct buf text = {0};
    struct strv names = {0};
    const char *name;
    int r = networks_list(networks, &arena, &names, err);

    if (r < 0)
        return r;
    firewall_base(&text);
    strv_foreach (name, &names) {
        struct network network;
        if (network_load(networks, name, false, &arena, &network, NULL) < 0)
            continue; /* it is just being taken away */
        firewall_network(&network, true, &text);
        add_live_ports(networks, name, &arena, &text);
    }
    return firewall_load(nft, buf_text(&text), err);
}

int net_sweep(
        const struct networks *networks, const char *nft, const char *network, struct error *err)
{
    _cleanup_arena_ struct arena arena = {0};
    struct net_leases leases = {0};
    int result = lease_list(networks, network, &arena, &leases, err);

    for (size_t i = 0; i < leases.count; i++) {
        if (lease_is_alive(&leases.items[i]))
            continue;
        int r = net_release(networks, nft, &leases.items[i], result < 0 ? NULL : err);
        if (result >= 0)
            result = r < 0 ? r : result + 1;
    }
    return result;
}

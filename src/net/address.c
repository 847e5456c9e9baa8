#include "net/address.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"

#define COUNTED_BITS 32

int net_address_parse(const char *text, bool brackets, struct net_address *ret)
{
    struct net_address address = {.family = AF_INET};
    char plain[INET6_ADDRSTRLEN + 2];
    size_t length = strlen(text);

    if (length >= sizeof(plain))
        return -EINVAL;
    memcpy(plain, text, length + 1);
    if (brackets && length > 2 && plain[0] == '[' && plain[length - 1] == ']') {
        plain[length - 1] = '\0';
        memmove(plain, plain + 1, length - 1);
    }
    if (inet_pton(AF_INET, plain, address.bytes) != 1) {
        address.family = AF_INET6;
        if (inet_pton(AF_INET6, plain, address.bytes) != 1)
            return -EINVAL;
    }
    *ret = address;
    return 0;
}

const char *net_address_text(struct arena *arena, const struct net_address *address)
{
    char text[INET6_ADDRSTRLEN] = "";

    if (address->family)
        inet_ntop(address->family, address->bytes, text, sizeof(text));
    return arena_strdup(arena, text);
}

bool net_address_equal(const struct net_address *a, const struct net_address *b)
{
    return a->family == b->family && memcmp(a->bytes, b->bytes, net_address_size(a)) == 0;
}

/* ---- subnets --------------------------------------------------------------------------------- */

static bool same_bits(const unsigned char *a, const unsigned char *b, unsigned bits)
{
    unsigned whole = bits / 8;
    unsigned char mask = (unsigned char)(0xff00 >> bits % 8);

    return memcmp(a, b, whole) == 0 && (bits % 8 == 0 || ((a[whole] ^ b[whole]) & mask) == 0);
}

static void cut_bits(struct net_address *address, unsigned prefix)
{
    for (unsigned i = 0; i < net_address_size(address); i++) {
        unsigned kept = prefix > i * 8 ? prefix - i * 8 : 0;
        if (kept < 8)
            address->bytes[i] = (unsigned char)(address->bytes[i] & (0xff00 >> kept));
    }
}

int net_subnet_parse(const char *text, struct net_subnet *ret, struct error *err)
{
    struct net_subnet subnet;
    char address[INET6_ADDRSTRLEN];
    const char *slash = strchr(text, '/');
    size_t length = slash ? (size_t)(slash - text) : sizeof(address);
    uint32_t prefix;

    if (length < sizeof(address)) {
        memcpy(address, text, length);
        address[length] = '\0';
        if (net_address_parse(address, false, &subnet.base) == 0 &&
                str_to_u32(slash + 1, &prefix) == 0 &&
                prefix <= net_address_size(&subnet.base) * 8) {
            subnet.prefix = prefix;
            cut_bits(&subnet.base, prefix);
            *ret = subnet;
            return 0;
        }
    }
    return error_set(err, EINVAL,
            "subnet \"%.64s\": write an address and a prefix, as in 10.90.7.0/24 or fd00:7::/64",
            text);
}

const char *net_subnet_text(struct arena *arena, const struct net_subnet *subnet)
{
    return arena_printf(arena, "%s/%u", net_address_text(arena, &subnet->base), subnet->prefix);
}

bool net_subnet_contains(const struct net_subnet *subnet, const struct net_address *address)
{
    return subnet->base.family == address->family &&
           same_bits(subnet->base.bytes, address->bytes, subnet->prefix);
}

bool net_subnet_overlaps(const struct net_subnet *a, const struct net_subnet *b)
{
    unsigned prefix = a->prefix < b->prefix ? a->prefix : b->prefix;

    return a->base.family == b->base.family && same_bits(a->base.bytes, b->base.bytes, prefix);
}

struct net_address net_subnet_at(const struct net_subnet *subnet, uint64_t index)
{
    struct net_address address = subnet->base;

    for (size_t i = net_address_size(&address); i-- > 0 && index; index >>= 8)
        address.bytes[i] = (unsigned char)(address.bytes[i] | (index & 0xff));
    return address;
}

uint64_t net_subnet_index(const struct net_subnet *subnet, const struct net_address *address)
{
    uint64_t index = 0;

    for (size_t i = 0; i < net_address_size(address); i++)
        index = index << 8 | (unsigned char)(address->bytes[i] ^ subnet->base.bytes[i]);
    return index;
}

uint64_t net_subnet_size(const struct net_subnet *subnet)
{
    unsigned bits = (unsigned)net_address_size(&subnet->base) * 8 - subnet->prefix;

    return 1ULL << (bits > COUNTED_BITS ? COUNTED_BITS : bits);
}

uint64_t net_subnet_last(const struct net_subnet *subnet)
{
    uint64_t count = net_subnet_size(subnet);

    return count <= 2 ? 0 : count - 2;
}

/* ---- Ethernet -------------------------------------------------------------------------------- */

int net_mac_parse(const char *text, unsigned char ret[NET_MAC_SIZE])
{
    unsigned parts[NET_MAC_SIZE];
    int end = 0;

    if (sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%n", &parts[0], &parts[1], &parts[2], &parts[3],
                &parts[4], &parts[5], &end) != NET_MAC_SIZE ||
            text[end] || strlen(text) != 17 || parts[0] & 1)
        return -EINVAL;
    for (size_t i = 0; i < NET_MAC_SIZE; i++)
        ret[i] = (unsigned char)parts[i];
    return 0;
}

const char *net_mac_text(struct arena *arena, const unsigned char mac[NET_MAC_SIZE])
{
    return arena_printf(
            arena, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
}

void net_mac_of(const struct net_address *address, unsigned char ret[NET_MAC_SIZE])
{
    size_t size = net_address_size(address);

    ret[0] = 0x06; /* local, of one host */
    ret[1] = 0x76;
    memcpy(ret + 2, address->bytes + size - 4, 4);
}

#include "engine/vm_network.h"

#include "engine/network.h"

static size_t interfaces_of(const struct vm *vm, const struct sandbox_interface **ret)
{
    *ret = NULL;
    return vm->config->networks ? sandbox_networks_interfaces(vm->config->networks, ret) : 0;
}

const char *vm_network_device(struct arena *arena, size_t number)
{
    return arena_printf(arena, "02:56:49:56:00:%02zx", number + 1);
}

void vm_join_first_network(struct spec *spec)
{
    for (size_t i = 0; i < spec->linux.namespaces.count; i++)
        if (str_equal(spec->linux.namespaces.items[i].type, "network"))
            spec->linux.namespaces.items[i].path = "/proc/1/ns/net";
}

/* `tap` is the number of its network, -1: none. */
static void add_device(struct vm *vm, const char *mac, int tap)
{
    const struct sandbox_interface *interfaces;
    struct proto_net *net = RECORD_APPEND(vm->arena, &vm->machine.nets);

    interfaces_of(vm, &interfaces);
    vm->net_of[vm->machine.nets.count - 1] = tap;
    *net = (struct proto_net){
            .mac = mac, .tap = tap >= 0 ? interfaces[tap].lease.device : NULL, .spare = tap < 0};
}

/* Besides the root's disk, vsock, random numbers and the balloon. */
static size_t room_for_spares(const struct vm *vm, size_t networks)
{
    size_t others = 4 + vm->machine.shares.count + (vm->config->upper ? 1 : 0);
    size_t used = others + networks;
    size_t room = used < PROTO_DEVICES_MAX ? PROTO_DEVICES_MAX - used : 0;

    if (room > VM_NETWORKS_MAX - networks)
        room = VM_NETWORKS_MAX - networks;
    return room < VM_SPARE_NETWORKS ? room : VM_SPARE_NETWORKS;
}

static void add_devices(struct vm *vm, size_t networks)
{
    size_t spares = networks && !vm->config->going_on ? room_for_spares(vm, networks) : 0;

    for (size_t i = 0; i < networks; i++)
        add_device(vm, vm_network_device(vm->arena, i), (int)i);
    for (size_t i = 0; i < spares; i++)
        add_device(vm, arena_printf(vm->arena, AGENT_SPARE_DEVICES "%02zx", i + 1), -1);
}

static int other_networks(const struct vm *vm, struct error *err)
{
    const struct vm_going_on *own = vm->config->going_on;
    struct strv names = {0};

    for (size_t i = 0; i < own->devices.count; i++)
        if (own->devices.items[i].network)
            strv_add(vm->arena, &names, own->devices.items[i].network);
    return error_set(err, EBUSY,
            "it was on other networks when the snapshot was taken (%s), and its guest counts on "
            "them: viv network connect and disconnect make it so again",
            names.count ? strv_join(vm->arena, &names, ", ") : "none");
}

/* The number of a network, -1: it is on none of that name. */
static int tap_of(const struct vm *vm, const char *network)
{
    const struct sandbox_interface *interfaces;
    size_t count = interfaces_of(vm, &interfaces);

    for (size_t i = 0; network && i < count; i++)
        if (str_equal(interfaces[i].network, network))
            return (int)i;
    return -1;
}

/* As they were: which device an interface of the guest's has is in its memory. */
static int add_devices_again(struct vm *vm, size_t networks, struct error *err)
{
    const struct vm_going_on *own = vm->config->going_on;
    size_t found = 0;

    for (size_t i = 0; i < own->devices.count && i < VM_NETWORKS_MAX; i++) {
        const struct vm_net_device *device = &own->devices.items[i];
        int tap = tap_of(vm, device->network);
        if (device->network && tap < 0)
            return other_networks(vm, err);
        found += tap >= 0;
        add_device(vm, device->device, tap);
    }
    return found < networks ? other_networks(vm, err) : 0;
}

int vm_network_describe(struct vm *vm, struct error *err)
{
    const struct sandbox_interface *interfaces;
    size_t count = interfaces_of(vm, &interfaces);

    if (vm->config->pasta)
        return error_set(err, EOPNOTSUPP,
                "--network pasta carries containers; a machine takes a network's name, or none");
    if (count > VM_NETWORKS_MAX)
        return error_set(
                err, E2BIG, "--network: a machine is on %d networks at most", VM_NETWORKS_MAX);
    vm_join_first_network(&vm->guest_spec);
    if (vm->config->going_on && vm->config->going_on->devices.count)
        return add_devices_again(vm, count, err);
    add_devices(vm, count);
    return 0;
}

/* ---- the taps -------------------------------------------------------------------------------- */

static int taps_apply(const struct step *step, struct plan_run *run, struct error *err)
{
    const struct vm *vm = step->args;
    const struct sandbox_interface *interfaces;
    size_t count = interfaces_of(vm, &interfaces);
    int fds[VM_NETWORKS_MAX];
    int r = sandbox_networks_open_taps(vm->config->networks, fds, err);

    for (size_t i = 0; r == 0 && i < count; i++)
        run->fds[vm->tap_slots[i]] = fds[i];
    return r;
}

static void taps_describe(const struct step *step, struct step_text *text)
{
    const struct vm *vm = step->args;
    const struct sandbox_interface *interfaces;
    size_t count = interfaces_of(vm, &interfaces);

    for (size_t i = 0; i < count; i++) {
        step_call(text, "openat(AT_FDCWD, \"/dev/net/tun\", O_RDWR|O_NONBLOCK|O_CLOEXEC)");
        step_call(text, "ioctl(<tap>, TUNSETIFF, {ifr_name=%s, IFF_TAP|IFF_NO_PI|IFF_VNET_HDR})",
                step_quote(text->arena, interfaces[i].lease.device));
    }
    step_why(text, "A tap for each network, on its bridge: what the machine's network device sends "
                   "comes out here.");
}

static const struct step_ops taps_ops = {
        .name = "tap",
        .manual = "netdevice(7)",
        .apply = taps_apply,
        .describe = taps_describe,
};

int vm_network_steps(struct plan *plan, struct vm *vm, struct error *err)
{
    if (!vm->config->networks)
        return 0;
    const struct sandbox_interface *interfaces;
    size_t count = interfaces_of(vm, &interfaces);
    int r = sandbox_networks_steps(vm->config->networks, CONTAINER_BEFORE_CHILD, plan, err);
    if (r < 0 || !count)
        return r;
    for (size_t i = 0; i < count; i++)
        vm->tap_slots[i] = plan_new_slot(plan);
    plan_add(plan, STEP_HOST, &taps_ops, "/linux/namespaces", vm);
    return 0;
}

void vm_network_give(const struct vm *vm, const struct plan_run *run, struct proto_machine *machine)
{
    for (size_t i = 0; i < machine->nets.count; i++)
        if (vm->net_of[i] >= 0)
            machine->nets.items[i].fd =
                    (struct opt_i64){true, run->fds[vm->tap_slots[vm->net_of[i]]]};
}

/* ---- the guest's end ------------------------------------------------------------------------- */

static const char *address_or_none(struct arena *arena, const struct net_address *address)
{
    return address->family ? net_address_text(arena, address) : NULL;
}

void vm_network_fill(
        struct arena *arena, const struct link_inside *inside, struct agent_interface *to)
{
    to->name = inside->name;
    for (size_t i = 0; i < inside->addresses.count; i++) {
        const struct link_address *address = &inside->addresses.items[i];
        strv_add(arena, &to->addresses,
                arena_printf(arena, "%s/%u", net_address_text(arena, &address->address),
                        address->prefix));
    }
    for (size_t i = 0; i < inside->routes.count; i++) {
        const struct link_route *route = &inside->routes.items[i];
        struct agent_route *slot = RECORD_APPEND(arena, &to->routes);
        *slot = (struct agent_route){
                .to = net_subnet_text(arena, &route->to),
                .gateway = address_or_none(arena, &route->gateway),
                .source = address_or_none(arena, &route->source),
                .metric = route->metric,
                .onlink = route->onlink,
        };
    }
}

struct agent_interface *vm_network_send_one(
        struct arena *arena, const struct link_inside *inside, struct agent_create *into)
{
    const char *device = vm_network_device(arena, into->interfaces.count);
    struct agent_interface *to = RECORD_APPEND(arena, &into->interfaces);

    *to = (struct agent_interface){.device = device};
    vm_network_fill(arena, inside, to);
    return to;
}

void vm_network_send(const struct vm *vm, struct arena *arena, struct agent_create *into)
{
    const struct sandbox_interface *interfaces;
    size_t count = interfaces_of(vm, &interfaces);

    for (size_t i = 0; i < count; i++) {
        struct agent_interface *to = vm_network_send_one(arena, &interfaces[i].inside, into);
        to->mac = interfaces[i].lease.mac;
        to->mtu = interfaces[i].mtu;
    }
}

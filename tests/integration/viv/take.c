/*
 * Takes of a thing that control groups count, one by one, up to 8, and stays when told to; its exit
 * status is how many it got until it was refused as the thing's limit refuses, 255 for another
 * error. Static, for it runs inside sandboxes.
 *
 *     take huge|reserved|handles|objects|misc [SECONDS]
 */
#include <errno.h>
#include <fcntl.h>
#include <rdma/ib_user_verbs.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SIZE ((size_t)2 << 20)
#define MOST 8

/* A huge page that is reserved, and not yet there. */
static char *reserve_page(void)
{
    return mmap(0, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
}

static int take_reserved(void)
{
    return reserve_page() == MAP_FAILED ? errno : 0;
}

static int take_huge(void)
{
    char *page = reserve_page();

    if (page == MAP_FAILED)
        return errno;
    page[0] = 1;
    return 0;
}

/* A command of the kernel's RDMA interface: its words, then where the answer goes. */
static int ask(int device, uint32_t command, void *answer, size_t size)
{
    struct {
        struct ib_uverbs_cmd_hdr head;
        uint64_t response;
    } request = {.head = {.command = command, .out_words = (uint16_t)(size / 4)},
            .response = (uintptr_t)answer};

    request.head.in_words = sizeof(request) / 4;
    return write(device, &request, sizeof(request)) == sizeof(request) ? 0 : errno;
}

static int open_rdma(int *ret)
{
    struct ib_uverbs_get_context_resp context;

    *ret = open("/dev/infiniband/uverbs0", O_RDWR);
    return *ret < 0 ? errno : ask(*ret, IB_USER_VERBS_CMD_GET_CONTEXT, &context, sizeof(context));
}

static int take_handle(void)
{
    int device;

    return open_rdma(&device);
}

/* A protection domain, all of them of one open device. */
static int take_object(void)
{
    static int device = -1;
    struct ib_uverbs_alloc_pd_resp domain;
    int r = device < 0 ? open_rdma(&device) : 0;

    return r ? r : ask(device, IB_USER_VERBS_CMD_ALLOC_PD, &domain, sizeof(domain));
}

static int take_misc(void)
{
    return open("/dev/rig-misc", O_RDWR) < 0 ? errno : 0;
}

static const struct {
    const char *name;
    int (*take)(void);
    int refusal;
} things[] = {
        {"huge", take_huge, ENOMEM},
        {"reserved", take_reserved, ENOMEM},
        {"handles", take_handle, EAGAIN},
        {"objects", take_object, EAGAIN},
        {"misc", take_misc, EBUSY},
};

int main(int argc, char **argv)
{
    for (size_t i = 0; argc > 1 && i < sizeof(things) / sizeof(things[0]); i++) {
        int count = 0, r = 0;
        if (strcmp(argv[1], things[i].name))
            continue;
        while (count < MOST && (r = things[i].take()) == 0)
            count++;
        sleep(argc > 2 ? (unsigned)atoi(argv[2]) : 0);
        return count < MOST && r != things[i].refusal ? 255 : count;
    }
    return 255;
}

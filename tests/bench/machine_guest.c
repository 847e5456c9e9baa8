/*
 * What tests/bench/machine.py runs in a guest, as the last thing that its init does: pieces of
 * work, each between a line "begin NAME" and a line "end NAME UNITS", so that the host can tell how
 * much processor time of its own each took. Started as "true" it only ends.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)

/* Five instructions a turn. */
static double integer(void)
{
    unsigned long turns = 20000000, sum = 1, mixed = 2, third;

    __asm__ volatile("1: add %[n], %[sum]\n"
                     "xor %[n], %[mixed]\n"
                     "lea 3(%[sum], %[mixed]), %[third]\n"
                     "dec %[n]\n"
                     "jnz 1b\n"
                     : [n] "+r"(turns), [sum] "+r"(sum), [mixed] "+r"(mixed), [third] "=&r"(third)
                     :
                     : "cc");
    return 20e6 * 5;
}

static double floating(void)
{
    volatile double x = 0.3;
    double a = x, b = 1 - x;
    int turns = 2000000;

    for (int i = 0; i < turns; i++) {
        double c = a * b + x;
        a = c / (1.0 + b * b);
        b = a - c * 0.5 + (double)i * 1e-9;
    }
    x = a + b;
    return turns;
}

static double copy(void)
{
    size_t size = 8 * MIB;
    char *from = malloc(size), *to = malloc(size);
    int turns = 12;

    memset(from, 1, size);
    memset(to, 2, size);
    for (int i = 0; i < turns; i++)
        memcpy(i & 1 ? from : to, i & 1 ? to : from, size);
    double sum = to[size / 2];
    free(from);
    free(to);
    return (double)turns * (double)size + 0 * sum;
}

static double system_calls(void)
{
    int turns = 100000;

    for (int i = 0; i < turns; i++)
        syscall(SYS_getppid);
    return turns;
}

static double fork_exec(void)
{
    int turns = 60;

    for (int i = 0; i < turns; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            execl("/proc/self/exe", "true", NULL);
            _exit(1);
        }
        waitpid(pid, NULL, 0);
    }
    return turns;
}

static double transfer(bool writes)
{
    int fd = open("/dev/vda", (writes ? O_WRONLY : O_RDONLY) | O_DIRECT);
    size_t chunk = 256 << 10, done = 0;
    void *data = NULL;

    if (fd < 0 || posix_memalign(&data, 4096, chunk) != 0)
        return -1;
    memset(data, 7, chunk);
    while (done < 32 * MIB) {
        ssize_t n = writes ? write(fd, data, chunk) : read(fd, data, chunk);
        if (n <= 0)
            return -1;
        done += (size_t)n;
    }
    fsync(fd);
    close(fd);
    free(data);
    return (double)done;
}

static double disk_read(void)
{
    return transfer(false);
}

static double disk_write(void)
{
    return transfer(true);
}

/* Frames to nobody, as fast as the device takes them. */
static double network(void)
{
    int sock = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));
    struct ifreq request = {.ifr_name = "eth0"};
    struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_halen = 6};
    unsigned char frame[1514] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    int turns = 8000;

    if (ioctl(sock, SIOCGIFFLAGS, &request) < 0)
        return -1;
    request.ifr_flags |= IFF_UP;
    if (ioctl(sock, SIOCSIFFLAGS, &request) < 0 || ioctl(sock, SIOCGIFINDEX, &request) < 0)
        return -1;
    to.sll_ifindex = request.ifr_ifindex;
    for (int i = 0; i < turns; i++)
        if (sendto(sock, frame, sizeof(frame), 0, (struct sockaddr *)&to, sizeof(to)) < 0)
            usleep(100);
    close(sock);
    return (double)turns * sizeof(frame);
}

static const struct {
    const char *name;
    double (*run)(void);
} works[] = {
        {"integer", integer},
        {"floating", floating},
        {"copy", copy},
        {"syscalls", system_calls},
        {"fork+exec", fork_exec},
        {"disk-read", disk_read},
        {"disk-write", disk_write},
        {"network", network},
};

int main(int argc, char **argv)
{
    (void)argc;
    if (strcmp(argv[0], "true") == 0)
        return 0;
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (size_t i = 0; i < sizeof(works) / sizeof(works[0]); i++) {
        printf("begin %s\n", works[i].name);
        printf("end %s %.0f\n", works[i].name, works[i].run());
    }
    return 0;
}

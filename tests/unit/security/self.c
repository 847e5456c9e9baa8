/* CVE-2019-5736 and what stands against it. This program plays the runtime: started with
 * "--victim-by-clone" or "--victim-by-copy" it protects itself and then becomes /bin/sleep, as a
 * runtime becomes the workload. */
#include "security/self.h"

#include <sys/stat.h>
#include <time.h>

#include "base/cleanup.h"
#include "sys/process.h"
#include "unit/security/child.h"
#include "unit/test.h"

extern char **environ;

static int victim(char **argv)
{
    struct error err = ERROR_NONE;
    bool by_copy = strcmp(argv[1], "--victim-by-copy") == 0;
    int r = by_copy ? security_protect_self_by_copy(argv, environ, &err)
                    : security_protect_self(argv, environ, &err);
    char byte = security_self_is_protected() ? 'p' : 'u';

    if (r < 0) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    if (write(1, &byte, 1) != 1 || read(0, &byte, 1) < 0)
        return 1;
    execl("/bin/sleep", "sleep", "30", NULL);
    return 1;
}

struct pipes {
    int to, from;
};

static pid_t start_victim(const char *program, const char *how, struct pipes *pipes)
{
    int to[2], from[2];

    if (pipe2(to, O_CLOEXEC) < 0 || pipe2(from, O_CLOEXEC) < 0)
        return -1;
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(to[0], 0);
        dup2(from[1], 1);
        execl(program, program, how, NULL);
        _exit(1);
    }
    close(to[0]);
    close(from[1]);
    *pipes = (struct pipes){to[1], from[0]};
    return pid;
}

/* A copy of this program, so that an attack that works does no harm. */
static bool copy_program(const char *path)
{
    char command[4200];
    char self[4096];
    ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);

    if (length < 0)
        return false;
    self[length] = 0;
    snprintf(command, sizeof(command), "cp '%s' '%s'", self, path);
    return system(command) == 0;
}

static bool wait_until_sleep(pid_t pid)
{
    char path[64], name[64];

    snprintf(path, sizeof(path), "/proc/%d/comm", pid);
    for (int i = 0; i < 12000; i++) {
        FILE *file = fopen(path, "re");
        bool there = file && fgets(name, sizeof(name), file) && strcmp(name, "sleep\n") == 0;
        if (file)
            fclose(file);
        if (there)
            return true;
        usleep(5000);
    }
    return false;
}

/* The attack: hold the victim's program file open, wait until nothing executes it any more, then
 * open it for writing. Returns 0 if that worked, else the errno value. */
static int attack(const char *how, const char *program, char *ret_state)
{
    struct pipes pipes;
    char path[64];
    int result = -1;

    pid_t pid = start_victim(program, how, &pipes);
    if (pid < 0 || read(pipes.from, ret_state, 1) != 1)
        return -1;
    snprintf(path, sizeof(path), "/proc/%d/exe", pid);
    int held = open(path, O_RDONLY | O_CLOEXEC);
    if (write(pipes.to, "g", 1) == 1 && held >= 0 && wait_until_sleep(pid)) {
        snprintf(path, sizeof(path), "/proc/self/fd/%d", held);
        int fd = open(path, O_WRONLY | O_CLOEXEC);
        result = fd >= 0 ? 0 : errno;
        if (fd >= 0 && pwrite(fd, "#!", 2, 0) != 2)
            result = errno;
        cleanup_close(&fd);
    }
    cleanup_close(&held);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    close(pipes.to);
    close(pipes.from);
    return result;
}

static bool still_a_program(const char *path)
{
    char magic[4] = "";
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);

    return fd >= 0 && read(fd, magic, 4) == 4 && memcmp(magic, "\177ELF", 4) == 0;
}

static void run_attack(const char *how, int expected, char expected_state, bool expected_whole)
{
    char program[] = "/tmp/test-self-XXXXXX";
    char state = 0;
    int fd = mkstemp(program);

    CHECK(fd >= 0);
    CHECK_INT(fchmod(fd, 0755), 0);
    close(fd);
    CHECK(copy_program(program));
    int result = attack(how, program, &state);
    bool whole = still_a_program(program);
    unlink(program);
    CHECK_INT(state, expected_state);
    CHECK_INT(result, expected);
    CHECK_INT(whole, expected_whole);
}

TEST(attack_works_without_protection)
{
    run_attack("--victim-unprotected", 0, 'u', false);
}

TEST(read_only_clone_withstands)
{
    if (geteuid() != 0)
        SKIP("cloning a mount takes root");
    run_attack("--victim-by-clone", EROFS, 'p', true);
}

TEST(sealed_copy_withstands)
{
    run_attack("--victim-by-copy", EPERM, 'p', true);
}

static int64_t run_once_ns(const char *how)
{
    struct timespec start, end;
    struct pipes pipes;
    char byte;

    clock_gettime(CLOCK_MONOTONIC, &start);
    pid_t pid = start_victim("/proc/self/exe", how, &pipes);
    if (pid < 0 || read(pipes.from, &byte, 1) != 1)
        return -1;
    clock_gettime(CLOCK_MONOTONIC, &end);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    close(pipes.to);
    close(pipes.from);
    return (end.tv_sec - start.tv_sec) * 1000000000LL + end.tv_nsec - start.tv_nsec;
}

TEST(costs)
{
    static const char *const ways[] = {
            "--victim-unprotected", "--victim-by-clone", "--victim-by-copy"};

    for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
        int64_t best = INT64_MAX;
        for (int j = 0; j < 20; j++) {
            int64_t took = run_once_ns(ways[i]);
            CHECK(took > 0);
            best = took < best ? took : best;
        }
        printf("  %s: %lld us to be ready\n", ways[i], (long long)best / 1000);
    }
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--victim-unprotected") == 0) {
        char byte = 'u';
        if (write(1, &byte, 1) != 1 || read(0, &byte, 1) < 0)
            return 1;
        execl("/bin/sleep", "sleep", "30", NULL);
        return 1;
    }
    if (argc > 1 && strncmp(argv[1], "--victim", 8) == 0)
        return victim(argv);
    return test_run_all(argc, argv);
}

#include "security/seccomp.h"

#include <linux/capability.h>
#include <linux/sched.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "security/caps.h"
#include "security/seccomp_cache.h"
#include "security/seccomp_default.h"
#include "sys/filter.h"
#include "sys/process.h"
#include "unit/security/child.h"
#include "unit/test.h"

static struct arena memory; /* of all tests; given back at the end of the process */

/* The profile that a text describes. */
static struct seccomp_profile profile_of(const char *text)
{
    struct seccomp_profile profile = {0};
    struct record_report report = {.arena = &memory};
    _cleanup_json_ struct json_object *json = NULL;
    struct error err = ERROR_NONE;

    if (json_parse(text, strlen(text), "profile", &json, &err) < 0)
        printf("  %s\n", err.text);
    record_read(&seccomp_profile_record, json, "", &profile, &report);
    if (report.faults.count)
        printf("  %s\n", report.faults.words[0]);
    return profile;
}

static int compile(const char *text, struct seccomp_filter *filter, struct error *err)
{
    struct seccomp_profile profile = profile_of(text);

    return seccomp_compile(&memory, &profile, filter, err);
}

struct trial {
    const struct seccomp_filter *filter;
    long (*call)(void);
};

/* Prints the result of the call under the filter: 0 or the errno value. */
static int try_call(void *data)
{
    const struct trial *trial = data;
    const struct sock_fprog program = {
            (unsigned short)trial->filter->count, (struct sock_filter *)trial->filter->code};

    sys_prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (sys_seccomp_filter(trial->filter->flags, &program) < 0)
        return 99;
    errno = 0;
    long r = trial->call();
    printf("%d", r < 0 ? errno : 0);
    return 0;
}

/* The errno of the call, 0 if it worked; or the negated signal that it ended by. */
static int outcome(const struct seccomp_filter *filter, long (*call)(void))
{
    struct trial trial = {filter, call};
    char text[64];
    int status = child_run(try_call, &trial, text, sizeof(text));

    if (WIFSIGNALED(status))
        return -WTERMSIG(status);
    return WEXITSTATUS(status) ? 1000 + WEXITSTATUS(status) : atoi(text);
}

static long call_getppid(void)
{
    return syscall(SYS_getppid) > 0 ? 0 : -1;
}

static long call_sethostname(void)
{
    return syscall(SYS_sethostname, NULL, 0);
}

static long call_cachestat(void)
{
    return syscall(451, -1, NULL, NULL, 0);
}

static long call_future(void)
{
    return syscall(4000);
}

#define RULE(action_)                                                                              \
    "{\"defaultAction\": \"SCMP_ACT_ALLOW\", \"syscalls\": [{\"names\": [\"getppid\"], "           \
    "\"action\": \"" action_ "\"}]}"

TEST(actions_do_what_they_say)
{
    static const struct {
        const char *profile;
        int outcome;
    } cases[] = {
            {RULE("SCMP_ACT_ALLOW"), 0},
            {RULE("SCMP_ACT_LOG"), 0},
            {RULE("SCMP_ACT_ERRNO"), EPERM},
            {RULE("SCMP_ACT_ERRNO\", \"errnoRet\": 71, \"x\": \""), 71},
            {RULE("SCMP_ACT_TRACE"), ENOSYS}, /* nobody traces */
            {RULE("SCMP_ACT_TRAP"), -SIGSYS},
            {RULE("SCMP_ACT_KILL"), -SIGSYS},
            {RULE("SCMP_ACT_KILL_THREAD"), -SIGSYS},
            {RULE("SCMP_ACT_KILL_PROCESS"), -SIGSYS},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct seccomp_filter filter;
        CHECK_INT(compile(cases[i].profile, &filter, NULL), 0);
        CHECK_INT(outcome(&filter, call_getppid), cases[i].outcome);
    }
}

static uint64_t argument;
static long call_with_argument(void)
{
    /* getpriority's third argument is nobody's */
    return syscall(SYS_getpriority, 0, 0, argument) > 0 ? 0 : -1;
}

TEST(operators_compare)
{
    static const struct {
        const char *op;
        uint64_t value, two, hit, miss;
    } cases[] = {
            {"SCMP_CMP_NE", 5, 0, 6, 5},
            {"SCMP_CMP_LT", 5, 0, 4, 5},
            {"SCMP_CMP_LE", 5, 0, 5, 6},
            {"SCMP_CMP_EQ", 0x100000005, 0, 0x100000005, 5},
            {"SCMP_CMP_GE", 5, 0, 5, 4},
            {"SCMP_CMP_GT", 5, 0, 6, 5},
            {"SCMP_CMP_MASKED_EQ", 0xf0, 0x30, 0x3f, 0x4f},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct seccomp_filter filter;
        char *text = arena_printf(&memory,
                "{\"defaultAction\": \"SCMP_ACT_ALLOW\", \"syscalls\": [{\"names\": "
                "[\"getpriority\"], \"action\": \"SCMP_ACT_ERRNO\", \"args\": [{\"index\": 2, "
                "\"value\": %llu, \"valueTwo\": %llu, \"op\": \"%s\"}]}]}",
                (unsigned long long)cases[i].value, (unsigned long long)cases[i].two, cases[i].op);
        CHECK_INT(compile(text, &filter, NULL), 0);
        argument = cases[i].hit;
        CHECK_INT(outcome(&filter, call_with_argument), EPERM);
        argument = cases[i].miss;
        CHECK_INT(outcome(&filter, call_with_argument), 0);
    }
}

TEST(conditions_on_one_argument_twice_are_alternatives)
{
    struct seccomp_filter filter;

    CHECK_INT(compile("{\"defaultAction\": \"SCMP_ACT_ALLOW\", \"syscalls\": [{\"names\": "
                      "[\"getpriority\"], \"action\": \"SCMP_ACT_ERRNO\", \"args\": [{\"index\": "
                      "2, \"value\": 1, \"op\": \"SCMP_CMP_EQ\"}, {\"index\": 2, \"value\": 2, "
                      "\"op\": \"SCMP_CMP_EQ\"}]}]}",
                      &filter, NULL),
            0);
    argument = 1;
    CHECK_INT(outcome(&filter, call_with_argument), EPERM);
    argument = 2;
    CHECK_INT(outcome(&filter, call_with_argument), EPERM);
    argument = 3;
    CHECK_INT(outcome(&filter, call_with_argument), 0);
}

TEST(unknown_calls_are_skipped_and_told)
{
    struct seccomp_filter filter;

    CHECK_INT(compile("{\"defaultAction\": \"SCMP_ACT_ALLOW\", \"syscalls\": [{\"names\": "
                      "[\"frobnicate\", \"cachestat\", \"getppid\"], \"action\": "
                      "\"SCMP_ACT_ERRNO\", \"errnoRet\": 33}]}",
                      &filter, NULL),
            0);
    CHECK_INT(filter.notes.count, 1);
    CHECK_STR(filter.notes.words[0],
            "the system call \"frobnicate\" is skipped: no such call is known");
    CHECK_INT(outcome(&filter, call_getppid), 33);
    CHECK_INT(outcome(&filter, call_cachestat), 33);
}

TEST(bad_profiles_are_refused)
{
    static const struct {
        const char *profile, *text;
    } cases[] = {
            {"{\"defaultAction\": \"SCMP_ACT_ALOW\"}",
                    "unknown seccomp action \"SCMP_ACT_ALOW\"; did you mean SCMP_ACT_ALLOW?"},
            {"{\"defaultAction\": \"SCMP_ACT_ALLOW\", \"defaultErrnoRet\": 1}",
                    "SCMP_ACT_ALLOW takes no errnoRet: only SCMP_ACT_ERRNO and SCMP_ACT_TRACE do"},
            {"{\"defaultAction\": \"SCMP_ACT_ERRNO\", \"defaultErrnoRet\": 5000}",
                    "SCMP_ACT_ERRNO: the errno value 5000 is too large"},
            {"{\"defaultAction\": \"SCMP_ACT_ALLOW\", \"architectures\": [\"SCMP_ARCH_VAX\"]}",
                    "unknown seccomp architecture \"SCMP_ARCH_VAX\"; did you mean SCMP_ARCH_X86?"},
            {"{\"defaultAction\": \"SCMP_ACT_ALLOW\", \"syscalls\": [{\"names\": [\"read\"], "
             "\"action\": \"SCMP_ACT_KILL\", \"args\": [{\"index\": 6, \"value\": 0, \"op\": "
             "\"SCMP_CMP_EQ\"}]}]}",
                    "the argument index 6 is not from 0 to 5"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct seccomp_filter filter;
        struct error err = ERROR_NONE;
        CHECK(compile(cases[i].profile, &filter, &err) < 0);
        CHECK_STR(err.text, cases[i].text);
    }
}

TEST(flags_reach_the_kernel)
{
    struct seccomp_filter filter;

    CHECK_INT(compile("{\"defaultAction\": \"SCMP_ACT_ALLOW\", \"flags\": "
                      "[\"SECCOMP_FILTER_FLAG_TSYNC\", \"SECCOMP_FILTER_FLAG_LOG\", "
                      "\"SECCOMP_FILTER_FLAG_SPEC_ALLOW\", "
                      "\"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV\"], \"syscalls\": [{\"names\": "
                      "[\"getppid\"], \"action\": \"SCMP_ACT_ERRNO\"}]}",
                      &filter, NULL),
            0);
    CHECK_INT(filter.flags, 7);
    CHECK_INT(filter.notes.count, 1);
    CHECK_INT(outcome(&filter, call_getppid), EPERM);
    CHECK(seccomp_flag_supported("SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"));
    CHECK(!seccomp_flag_supported("SECCOMP_FILTER_FLAG_NONE"));
}

static struct seccomp_filter default_filter(uint64_t capabilities)
{
    struct seccomp_profile profile;
    struct seccomp_filter filter = {0};
    struct error err = ERROR_NONE;

    seccomp_default_profile(&memory, capabilities, &profile);
    if (seccomp_compile(&memory, &profile, &filter, &err) < 0)
        printf("  %s\n", err.text);
    return filter;
}

static long call_clone3(void)
{
    return syscall(SYS_clone3, NULL, 0);
}

static long call_clone_newuser(void)
{
    return syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, NULL);
}

static long call_fork(void)
{
    pid_t pid = fork();

    if (pid == 0)
        _exit(0);
    return pid > 0 && waitpid(pid, NULL, 0) == pid ? 0 : -1;
}

static long call_vsock(void)
{
    return socket(AF_VSOCK, SOCK_STREAM, 0);
}

static uint64_t family;

/* No such type: who gets past the filter is told so by the kernel, for each family that it has. */
static long call_socket(void)
{
    return syscall(SYS_socket, family, 15, 0);
}

static long call_unix(void)
{
    return socket(AF_UNIX, SOCK_STREAM, 0);
}

static long call_personality(void)
{
    return personality(ADDR_NO_RANDOMIZE);
}

static long call_linux32(void)
{
    return personality(0x0008);
}

static long call_mount(void)
{
    return syscall(SYS_mount, NULL, NULL, NULL, 0, NULL);
}

static long call_keyctl(void)
{
    return syscall(SYS_keyctl, 0, 0, 0);
}

static long call_uring(void)
{
    return syscall(SYS_io_uring_setup, 1, NULL);
}

static long call_unshare(void)
{
    return unshare(CLONE_NEWNS);
}

#if defined(__x86_64__)
/* The 32-bit gate: 83 is symlink for 64 bits and no harm, 21 is mount for 32 bits. */
static long call_mount32(void)
{
    long r;

    __asm__ volatile("int $0x80"
                     : "=a"(r)
                     : "a"(21), "b"(0), "c"(0), "d"(0), "S"(0), "D"(0)
                     : "memory", "r8", "r9", "r10", "r11");
    errno = r < 0 ? (int)-r : 0;
    return r < 0 ? -1 : 0;
}

static long call_getpid32(void)
{
    long r;

    __asm__ volatile("int $0x80" : "=a"(r) : "a"(20) : "memory", "r8", "r9", "r10", "r11");
    return r > 0 ? 0 : -1;
}
#endif

TEST(default_profile_is_not_weaker_than_docker_s)
{
    static const struct {
        const char *name;
        long (*call)(void);
        int plain, admin;
    } cases[] = {
        {"clone3", call_clone3, ENOSYS, EINVAL},
        {"clone with namespaces", call_clone_newuser, EPERM, -1},
        {"fork", call_fork, 0, 0},
        {"AF_VSOCK", call_vsock, EPERM, EPERM},
        {"AF_UNIX", call_unix, 0, 0},
        {"personality", call_personality, EPERM, EPERM},
        {"LINUX32", call_linux32, 0, 0},
        {"mount", call_mount, EPERM, EFAULT},
        {"keyctl", call_keyctl, EPERM, EPERM},
        {"io_uring", call_uring, EPERM, EPERM},
        {"unshare", call_unshare, EPERM, 0},
        {"sethostname", call_sethostname, EPERM, 0},
        {"cachestat", call_cachestat, EBADF, EBADF},
        {"a call of the future", call_future, ENOSYS, ENOSYS},
#if defined(__x86_64__)
        {"mount by the 32-bit gate", call_mount32, EPERM, EFAULT},
        {"getpid by the 32-bit gate", call_getpid32, 0, 0},
#endif
    };
    struct seccomp_filter plain = default_filter(0);
    struct seccomp_filter admin = default_filter(CAPS_BIT(21));

    CHECK(plain.count > 100);
    CHECK_INT(plain.notes.count, 0);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        printf("  %s\n", cases[i].name);
        CHECK_INT(outcome(&plain, cases[i].call), cases[i].plain);
        if (cases[i].admin >= 0)
            CHECK_INT(outcome(&admin, cases[i].call), cases[i].admin);
    }
}

TEST(default_profile_opens_few_kinds_of_sockets)
{
    static const int everybodys[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET};
    static const int networks[] = {AF_CAN, AF_BLUETOOTH, AF_XDP};
    static const int nobodys[] = {AF_ALG, AF_VSOCK, 33 /* AF_RXRPC */, AF_RDS, AF_SMC, AF_QIPCRTR};
    const struct seccomp_filter plain = default_filter(0);
    const struct seccomp_filter admin = default_filter(CAPS_BIT(CAP_NET_ADMIN));

    /* the kernel looks at the lower half alone */
    for (uint64_t above = 0; above < 2; above++) {
        for (size_t i = 0; i < ARRAY_SIZE(everybodys); i++) {
            family = above << 32 | (uint64_t)everybodys[i];
            CHECK_INT(outcome(&plain, call_socket), EINVAL);
        }
        for (size_t i = 0; i < ARRAY_SIZE(networks); i++) {
            family = above << 32 | (uint64_t)networks[i];
            CHECK_INT(outcome(&plain, call_socket), EPERM);
            CHECK_INT(outcome(&admin, call_socket), EINVAL);
        }
        for (size_t i = 0; i < ARRAY_SIZE(nobodys); i++) {
            family = above << 32 | (uint64_t)nobodys[i];
            CHECK_INT(outcome(&plain, call_socket), EPERM);
            CHECK_INT(outcome(&admin, call_socket), EPERM);
        }
    }
}

/* The cache. */

static char cache_path[] = "/tmp/test-seccomp-XXXXXX";

static int open_cache(void)
{
    struct error err = ERROR_NONE;
    int fd;

    if (strchr(cache_path, 'X') && !mkdtemp(cache_path))
        return -1;
    fd = seccomp_cache_open(arena_printf(&memory, "%s/cache", cache_path), &err);
    if (fd < 0)
        printf("  %s\n", err.text);
    return fd;
}

static void remove_cache(void)
{
    io_remove_tree_at(AT_FDCWD, cache_path);
    strcpy(cache_path, "/tmp/test-seccomp-XXXXXX");
}

/* The only file in the cache. */
static const char *cache_file(void)
{
    DIR *dir = opendir(arena_printf(&memory, "%s/cache", cache_path));
    struct dirent *entry;
    const char *found = NULL;

    while (dir && (entry = readdir(dir)))
        if (entry->d_name[0] != '.')
            found = arena_printf(&memory, "%s/cache/%s", cache_path, entry->d_name);
    if (dir)
        closedir(dir);
    return found;
}

static bool is_hit(int cache, const struct seccomp_profile *profile)
{
    struct seccomp_filter fresh = {0}, filter = {0};

    if (seccomp_get_filter(&memory, profile, cache, &filter, NULL) < 0 ||
            seccomp_compile(&memory, profile, &fresh, NULL) < 0)
        return false;
    if (filter.count != fresh.count || filter.flags != fresh.flags ||
            filter.notes.count != fresh.notes.count ||
            memcmp(filter.code, fresh.code, fresh.count * sizeof(*fresh.code)) != 0) {
        test_report(__FILE__, __LINE__, "the cache gave another filter");
        return false;
    }
    return filter.from_cache;
}

static void spoil(const char *path, off_t at)
{
    _cleanup_close_ int fd = open(path, O_RDWR | O_CLOEXEC);
    char byte;

    if (pread(fd, &byte, 1, at) == 1) {
        byte = (char)(byte ^ 1);
        if (pwrite(fd, &byte, 1, at) != 1)
            printf("  cannot spoil %s\n", path);
    }
}

TEST(cache_hits_and_misses)
{
    _cleanup_close_ int cache = open_cache();
    struct seccomp_profile profile, other;
    struct stat status;

    CHECK(cache >= 0);
    seccomp_default_profile(&memory, 0, &profile);
    other = profile;
    other.default_errno_ret.value = 2;
    CHECK(!is_hit(cache, &profile));
    CHECK(is_hit(cache, &profile));
    CHECK(!is_hit(cache, &other));
    CHECK(is_hit(cache, &other));
    CHECK(is_hit(cache, &profile));
    CHECK_INT(fstat(cache, &status), 0);
    CHECK_INT(status.st_mode & 0777, 0700);
    remove_cache();
}

TEST(cache_survives_damage)
{
    _cleanup_close_ int cache = open_cache();
    struct seccomp_profile profile;
    struct stat status;

    CHECK(cache >= 0);
    seccomp_default_profile(&memory, 0, &profile);
    CHECK(!is_hit(cache, &profile));
    const char *file = cache_file();
    CHECK(file && stat(file, &status) == 0);
    for (off_t at = 0; at < status.st_size; at += status.st_size / 97 + 1) {
        spoil(file, at);
        CHECK(!is_hit(cache, &profile)); /* and it is written anew */
        CHECK(is_hit(cache, &profile));
    }
    CHECK_INT(truncate(file, 20), 0);
    CHECK(!is_hit(cache, &profile));
    CHECK_INT(truncate(file, 0), 0);
    CHECK(!is_hit(cache, &profile));
    CHECK(is_hit(cache, &profile));
    remove_cache();
}

TEST(cache_of_somebody_else_is_refused)
{
    _cleanup_close_ int cache = open_cache();
    const char *path = arena_printf(&memory, "%s/cache", cache_path);
    struct seccomp_profile profile;
    struct error err = ERROR_NONE;

    CHECK(cache >= 0);
    if (geteuid() != 0)
        SKIP("giving files away takes root");
    seccomp_default_profile(&memory, 0, &profile);
    CHECK(!is_hit(cache, &profile));
    CHECK_INT(chown(cache_file(), 1234, 0), 0);
    CHECK(!is_hit(cache, &profile)); /* replaced by one of ours */
    CHECK(is_hit(cache, &profile));
    CHECK_INT(chmod(cache_file(), 0666), 0);
    CHECK(!is_hit(cache, &profile));
    CHECK_INT(unlink(cache_file()), 0);
    CHECK_INT(chmod(path, 0770), 0);
    CHECK_INT(seccomp_cache_open(path, &err), -EPERM);
    CHECK_INT(chmod(path, 0700), 0);
    CHECK_INT(chown(path, 1234, 0), 0);
    CHECK_INT(seccomp_cache_open(path, &err), -EPERM);
    remove_cache();
}

TEST(full_cache_is_emptied)
{
    _cleanup_close_ int cache = open_cache();
    struct seccomp_profile profile;
    size_t files = 0;

    CHECK(cache >= 0);
    seccomp_default_profile(&memory, 0, &profile);
    for (int i = 0; i < SECCOMP_CACHE_FILES_MAX; i++)
        CHECK_INT(mknodat(cache, arena_printf(&memory, "%016x", i), S_IFREG | 0600, 0), 0);
    CHECK(!is_hit(cache, &profile));
    DIR *dir = opendir(arena_printf(&memory, "%s/cache", cache_path));
    for (struct dirent *entry; (entry = readdir(dir));)
        files += *entry->d_name != '.';
    closedir(dir);
    CHECK_INT(files, 1);
    CHECK(is_hit(cache, &profile));
    remove_cache();
}

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

TEST(cache_hit_is_fast)
{
    _cleanup_close_ int cache = open_cache();
    int64_t best = INT64_MAX;
    int64_t compile_ns = now_ns();
    struct seccomp_profile profile;

    CHECK(cache >= 0);
    seccomp_default_profile(&memory, 0, &profile);
    CHECK(!is_hit(cache, &profile));
    compile_ns = now_ns() - compile_ns;
    for (int i = 0; i < 200; i++) {
        _cleanup_arena_ struct arena arena = {0};
        struct seccomp_filter filter;
        int64_t start = now_ns();
        CHECK_INT(seccomp_get_filter(&arena, &profile, cache, &filter, NULL), 0);
        int64_t took = now_ns() - start;
        best = took < best ? took : best;
        CHECK(filter.from_cache);
    }
    printf("  a hit takes %lld us, compiling twice %lld us\n", (long long)best / 1000,
            (long long)compile_ns / 1000);
    CHECK(best < compile_ns / 20); /* the best of many, so that a busy machine does not count */
    remove_cache();
}

TEST_MAIN()

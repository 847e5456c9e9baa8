#include "security/entry.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#ifdef __x86_64__

#ifndef __clang__ /* or a loop that copies becomes a call of memcpy */
#pragma GCC optimize("no-tree-loop-distribute-patterns")
#endif

#define SELF "/proc/self/exe"
#define PLACE "VIV_PROGRAM="
#define VARIABLES_MAX 1024
#define READ_ONLY 1L /* ST_RDONLY of statfs(2) */
#define KEPT 63      /* the last that fits into a process's first table of descriptors */

/* As the kernel fills it (statfs(2)); only the flags are of interest. */
struct kernel_statfs {
    long numbers[10]; /* f_type … f_frsize */
    long flags[5];    /* f_flags and what is spare */
};

/* The kernel has put argc, argv and the environment there. libc's _start takes over afterwards. */
__asm__(".text\n"
        ".globl security_entry\n"
        ".type security_entry, @function\n"
        "security_entry:\n"
        "    endbr64\n"
        "    mov %rsp, %rdi\n"
        "    push %rdx\n"
        "    push %rdx\n"
        "    call security_before_libc\n"
        "    pop %rdx\n"
        "    pop %rdx\n"
        "    jmp _start\n"
        ".size security_entry, . - security_entry\n");

void security_before_libc(long *stack);

static bool kept;

static long call5(long number, long a, long b, long c, long d, long e)
{
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    long result;

    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
                     : "rcx", "r11", "memory");
    return result;
}

static bool same(const char *one, const char *other)
{
    while (*one && *one == *other) {
        one++;
        other++;
    }
    return *one == *other;
}

static bool begins(const char *text, const char *start)
{
    while (*start && *text == *start) {
        text++;
        start++;
    }
    return *start == '\0';
}

static bool enters_a_container(char **argv)
{
    for (char **word = argv; *word; word++)
        if (same(*word, "create") || same(*word, "run") || same(*word, "exec") ||
                same(*word, "restore"))
            return true;
    return false;
}

static bool is_read_only(int fd)
{
    struct kernel_statfs status;

    return call5(SYS_fstatfs, fd, (long)&status, 0, 0, 0) == 0 && (status.flags[0] & READ_ONLY);
}

/* Our file through a mount that nobody can write through; negative where that is refused. */
static int clone_read_only(void)
{
    struct mount_attr attributes = {.attr_set = MOUNT_ATTR_RDONLY};
    long tree = call5(SYS_open_tree, AT_FDCWD, (long)SELF, OPEN_TREE_CLONE | O_CLOEXEC, 0, 0);

    if (tree < 0)
        return -1;
    if (call5(SYS_mount_setattr, tree, (long)"", AT_EMPTY_PATH, (long)&attributes,
                sizeof(attributes)) == 0)
        return (int)tree;
    call5(SYS_close, tree, 0, 0, 0, 0);
    return -1;
}

static bool same_file(int one, int other)
{
    struct stat of_one;
    struct stat of_other;

    return call5(SYS_fstat, one, (long)&of_one, 0, 0, 0) == 0 &&
           call5(SYS_fstat, other, (long)&of_other, 0, 0, 0) == 0 &&
           of_one.st_dev == of_other.st_dev && of_one.st_ino == of_other.st_ino;
}

/* The mount is dissolved when its last descriptor is closed: one that outlives the execution. */
static bool keep_mount(int tree)
{
    return call5(SYS_fcntl, KEPT, F_GETFD, 0, 0, 0) < 0 &&
           call5(SYS_dup3, tree, KEPT, 0, 0, 0) == KEPT;
}

/* After that. Who owns the number has given us something else there, or has our own program. */
static void take_mount(int own)
{
    kept = same_file(own, KEPT) && call5(SYS_fcntl, KEPT, F_SETFD, FD_CLOEXEC, 0, 0) == 0;
}

int security_entry_take_mount(void)
{
    int fd = kept ? KEPT : 0;

    kept = false;
    return fd;
}

/* "VIV_PROGRAM=/usr/bin/viv-oci"; false where it cannot be told. */
static bool tell_place(char *text, long size)
{
    const char *name = PLACE;
    long at = 0;

    while (name[at]) {
        text[at] = name[at];
        at++;
    }
    long length = call5(SYS_readlinkat, AT_FDCWD, (long)SELF, (long)(text + at), size - at - 1, 0);
    if (length <= 0)
        return false;
    text[at + length] = '\0';
    return true;
}

/* What the caller's environment says of our place is not for us. */
static void execute(int fd, char **argv, char **envp)
{
    char place[4096 + sizeof(PLACE)];
    char *more[VARIABLES_MAX + 2];
    size_t count = 0;

    for (; *envp; envp++)
        if (!begins(*envp, PLACE)) {
            if (count == VARIABLES_MAX)
                return;
            more[count++] = *envp;
        }
    if (tell_place(place, sizeof(place)))
        more[count++] = place;
    more[count] = NULL;
    call5(SYS_execveat, fd, (long)"", (long)argv, (long)more, AT_EMPTY_PATH);
}

/* What cannot be written here is left to the program, which tells why. */
static void print_version(void)
{
    const char *text = security_entry_version;
    long length = 0;

    while (text[length])
        length++;
    if (call5(SYS_write, 1, (long)text, length, 0, 0) == length)
        call5(SYS_exit_group, 0, 0, 0, 0, 0);
}

void security_before_libc(long *stack)
{
    char **argv = (char **)(stack + 1);
    char **envp = argv + *stack + 1;

    if (*stack == 2 && (same(argv[1], "--version") || same(argv[1], "-v")))
        print_version();
    if (!enters_a_container(argv))
        return;
    long own = call5(SYS_openat, AT_FDCWD, (long)SELF, O_PATH | O_CLOEXEC, 0, 0);
    if (own < 0)
        return;
    bool protected = is_read_only((int)own);
    if (protected)
        take_mount((int)own);
    call5(SYS_close, own, 0, 0, 0, 0);
    int tree = protected ? -1 : clone_read_only();
    if (tree < 0)
        return;
    bool keeping = keep_mount(tree);
    execute(tree, argv, envp);
    if (keeping)
        call5(SYS_close, KEPT, 0, 0, 0, 0);
    call5(SYS_close, tree, 0, 0, 0, 0);
}

#else

int security_entry_take_mount(void)
{
    return 0;
}

#endif

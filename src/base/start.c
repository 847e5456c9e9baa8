#include "base/start.h"

#include <elf.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#define OF_LIBC __attribute__((visibility("hidden")))

/* What glibc takes where it knows no cache: three quarters of a shared one of 1 MiB. Left at 0,
 * nothing would be small enough to be copied through the caches. */
#define COPIED_AROUND_CACHES 0xc0000L

typedef void (*start_call)(int, char **, char **);
typedef uint64_t (*start_choice)(void);

/* glibc 2.36's own, which no header declares. */
extern void *__libc_stack_end;
extern int __libc_enable_secure;
extern const uint64_t *_dl_random OF_LIBC;
extern long __x86_shared_non_temporal_threshold OF_LIBC;
extern long __x86_rep_movsb_stop_threshold OF_LIBC;
void _dl_aux_init(Elf64_auxv_t *vector) OF_LIBC;
void __tunables_init(char **environment) OF_LIBC;
void __libc_setup_tls(void) OF_LIBC;
void __libc_early_init(_Bool initial) OF_LIBC;
void __libc_init_first(int argc, char **argv, char **environment) OF_LIBC;
void __libc_check_standard_fds(void) OF_LIBC;
int __cxa_atexit(void (*function)(void *), void *argument, void *object);

/* The linker's, and crti.o's. */
extern const Elf64_Rela __rela_iplt_start[] OF_LIBC, __rela_iplt_end[] OF_LIBC;
extern const start_call __preinit_array_start[] OF_LIBC, __preinit_array_end[] OF_LIBC;
extern const start_call __init_array_start[] OF_LIBC, __init_array_end[] OF_LIBC;
extern void (*const __fini_array_start[])(void) OF_LIBC;
extern void (*const __fini_array_end[])(void) OF_LIBC;
void _init(void);
void _fini(void);

/* Functions that exist in several forms: each has a function that chooses. */
static void choose_functions(void)
{
    for (const Elf64_Rela *entry = __rela_iplt_start; entry < __rela_iplt_end; entry++)
        *(uint64_t *)entry->r_offset = ((start_choice)entry->r_addend)();
}

/* The canary of stacks, and what mangles pointers: fields of the thread's control block that the
 * compiler and glibc read (x86-64 ABI: %fs:0x28, glibc: %fs:0x30). */
static void set_guards(void)
{
    uint64_t canary = _dl_random[0] & ~(uint64_t)0xff;

    __asm__ volatile("mov %0, %%fs:0x28" : : "r"(canary));
    __asm__ volatile("mov %0, %%fs:0x30" : : "r"(_dl_random[1]));
}

static void call_all(const start_call *call, const start_call *end, int argc, char **argv)
{
    for (; call < end; call++)
        (*call)(argc, argv, environ);
}

static void call_destructors(void *unused)
{
    (void)unused;
    for (void (*const *call)(void) = __fini_array_end; call > __fini_array_start;)
        (*--call)();
    _fini();
}

static Elf64_auxv_t *auxiliary_vector(char **environment)
{
    while (*environment)
        environment++;
    return (Elf64_auxv_t *)(environment + 1);
}

int start_libc(int (*program)(int, char **, char **), int argc, char **argv,
        void (*unused_init)(void), void (*unused_fini)(void), void (*at_exit)(void),
        void *stack_end)
{
    (void)unused_init;
    (void)unused_fini;
    environ = argv + argc + 1;
    __libc_stack_end = stack_end;
    _dl_aux_init(auxiliary_vector(environ));
    __tunables_init(environ);
    __x86_shared_non_temporal_threshold = COPIED_AROUND_CACHES;
    __x86_rep_movsb_stop_threshold = COPIED_AROUND_CACHES;
    choose_functions();
    __libc_setup_tls();
    set_guards();
    if (at_exit)
        __cxa_atexit((void (*)(void *))at_exit, NULL, NULL);
    __libc_early_init(1);
    __libc_init_first(argc, argv, environ);
    __cxa_atexit(call_destructors, NULL, NULL);
    if (__libc_enable_secure)
        __libc_check_standard_fds();
    call_all(__preinit_array_start, __preinit_array_end, argc, argv);
    _init();
    call_all(__init_array_start, __init_array_end, argc, argv);
    exit(program(argc, argv, environ));
}

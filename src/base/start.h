/*
 * The start of the C library in a static program, without its survey of the processor.
 *
 * glibc asks CPUID some 85 times before main(), for sizes of caches and for faster string
 * functions. In a virtual machine each of them leaves for the hypervisor: that was measured as 0.61
 * of the 0.75 ms that an empty program takes from fork to wait. A program that is started for every
 * container moves no bytes that would earn it back. Without the survey glibc's string functions are
 * those for every x86-64.
 *
 * Linked in by `start_dep` alone, which knows for which C library it is written. Not for
 * programs that compute: libm chooses its functions by the same survey. main() must not end by
 * pthread_exit(3).
 */
#pragma once

/* What crt1.o calls, in the place of glibc's function of the same parameters. Does not return. */
int start_libc(int (*program)(int, char **, char **), int argc, char **argv,
        void (*unused_init)(void), void (*unused_fini)(void), void (*at_exit)(void),
        void *stack_end) __asm__("__wrap___libc_start_main");

/*
 * The protection of self.h before the C library has begun. A program that will protect itself in
 * any case does so at its ELF entry point: the start of the C library is then paid once, not twice.
 * In a virtual machine, where each CPUID leaves for the hypervisor, that start takes several times
 * as long as the execution itself.
 *
 * Linked with -Wl,--entry=security_entry, into static programs only. No libc function may be called
 * there: its indirect functions and thread-local storage are not set up yet.
 */
#pragma once

/*
 * The entry point: looks for one of the commands that enter containers among the arguments, and
 * executes the program again from a read-only detached clone of its mount, with VIV_PROGRAM set to
 * where it was (base/install.h). Whatever does not succeed is left to security_protect_self().
 */
void security_entry(void);

/*
 * The descriptor that the clone still has, for the caller to close; 0: there is none, or it has
 * been taken. Closing it dissolves the mount, which waits for an RCU grace period: a tenth of a
 * millisecond on a quiet machine and several on a busy one, so that it is left to a moment when
 * that costs nothing (plan/run.h: slow_fd).
 */
int security_entry_take_mount(void);

/* What `PROGRAM --version` and `PROGRAM -v` print, alone on their line: the program defines it.
 * They are answered there too, in a third of the time that the C library takes to start. */
extern const char security_entry_version[] __attribute__((visibility("hidden")));

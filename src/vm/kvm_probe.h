/*
 * Whether /dev/kvm is good for guest kernels. A nested KVM may be there, answer every question
 * well, and yet run guest kernel code at two million instructions a second or fail at CMPXCHG16B,
 * INT3 or XRSTOR; so a small guest tries just that. Used by accel.c only.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* True when it is. `verdict` gets a clause that says why. The answer is kept in `cache_dir` (made
 * if missing) for as long as the host is up; NULL: it is not kept. Takes up to half a second once.
 */
bool kvm_probe(const char *cache_dir, char *verdict, size_t size);

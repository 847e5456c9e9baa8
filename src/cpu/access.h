/*
 * Accesses to guest memory that the inline paths of mem.h do not serve: translated, checked,
 * watched, across pages, to devices, and to pages that code was decoded from. Declared in mem.h,
 * which operations include; this module stands above the TLB, the page walk, the decoded code and
 * the breakpoints, and none of them includes it.
 */
#pragma once

#include "cpu/mem.h"

/* viv-systemd: carries one order out, which is JSON, and prints the answer. Orders for scopes come
 * from standard input and from cgroup/systemd.c, see there for their form; one to read the journal
 * is the argument, see journal.h, and comes from engine/journalreader.c. Owns nothing that others
 * may use. */
#pragma once

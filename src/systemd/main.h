/* viv-systemd: reads one order as JSON from standard input, carries it out and prints the answer.
 * Started by cgroup/systemd.c only; see there for the form. Owns nothing that others may use. */
#pragma once

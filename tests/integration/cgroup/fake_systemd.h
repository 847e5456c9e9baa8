/* See fake_systemd.c: a program of its own, started by the test of scopes. */
#pragma once

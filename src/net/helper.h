/*
 * What the programs beside sandboxes have in common, viv-dns and viv-relay: they are started by
 * net/steps.c, take what needs rights, give those up, and go into the background.
 */
#pragma once

#include "base/error.h"

/* What strangers send is read without rights: as nobody, with no way to get any. */
int helper_drop_rights(struct error *err);

/* The parent ends: that tells who started it that it is ready. */
void helper_go_into_background(void);

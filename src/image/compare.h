/* Comparing an unpacked layer with its archive, for the check of the store. Used by layer.c. */
#pragma once

#include "image/unpack.h"

extern const struct unpack_ops unpack_compare;

/*
 * Layers that are there when they are wanted: unpacked by a worker where they are missing or where
 * a power cut spoilt them. Used inside this library.
 */
#pragma once

#include "base/error.h"
#include "image/store.h"

/* Unpacks a blob of the store as this layer; nothing happens where it is there already. Compares
 * the diff id. */
int ensure_unpacked(
        struct image_store *store, const char *digest, const char *diff_id, struct error *err);

/* To be called before a layer is used: sees to it that it is there and sound. */
int ensure_layer(
        struct image_store *store, const char *digest, const char *diff_id, struct error *err);

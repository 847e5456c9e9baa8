/*
 * Where sandboxes are remembered. One that is kept has a record, the folder NAME of
 * DATA-ROOT/sandboxes, which outlives a reboot: meta.json, config.json as it was built, life.json
 * and its log. While it runs it has a folder NAME in the store too, which a reboot takes away. One
 * that was run with --rm has the folder in the store alone, and all files in there.
 *
 * A name is taken in both places, so that no two sandboxes share one. An id leads to its name by a
 * symbolic link in the folder .names beside the record.
 *
 * Whoever makes and watches a sandbox holds a lock (flock) on its record.
 */
#pragma once

#include "engine/engine.h"

/* Chooses an id, and a name when there is none. */
void record_identify(struct engine *engine, struct sandbox_meta *meta);

/*
 * Takes the name of a new sandbox. `*ret_run` is its folder in the store, marked as being made by
 * this process, which store_settle() ends; `*ret_record` its record, locked (the same folder unless
 * it is `kept`). -EEXIST when the name is taken. The descriptors are the caller's.
 */
int record_new(struct engine *engine, const struct sandbox_meta *meta, bool kept, int *ret_record,
        int *ret_run, struct error *err);

/* The same for one that has a record and is started again; waits until nobody else is at it.
 * -EEXIST when it runs by then. */
int record_again(struct engine *engine, const struct sandbox_meta *meta, int *ret_record,
        int *ret_run, struct error *err);

/* Its folder in the store alone, for who holds the record's lock already. */
int record_reserve_run(struct engine *engine, const char *name, int *ret_run, struct error *err);

/* Opens the record of a kept sandbox. -ENOENT: there is none of that name. */
int record_open(struct engine *engine, const char *name, int *ret_fd, struct error *err);

/* The absolute path of its folder in the store, in the arena; it need not be there. */
const char *record_run_path(struct engine *engine, const char *name);

/* Waits for the lock, or takes it if nobody has it (0, else -EWOULDBLOCK); gives it back. */
int record_lock(int record_fd);
int record_try_lock(int record_fd);
void record_unlock(int record_fd);

/* Whether someone has the lock: makes the sandbox, watches it, or tidies up behind it. */
bool record_is_watched(int record_fd);

/* Forgets a sandbox: its id, and its record if it has one. A folder in the store is another thing.
 */
int record_remove(
        struct engine *engine, const char *name, const char *id, bool kept, struct error *err);

/* Another name for a record; its id leads there from then on. -EEXIST. The second: the id alone, in
 * the folder that the links of ids are in. */
int record_rename(struct engine *engine, const char *name, const char *new_name, const char *id,
        struct error *err);
void record_rename_id(int folder, const char *id, const char *new_name);

/* What makers that were killed have left of new records. Before the store is swept. */
void record_sweep(struct engine *engine);

/* Ids that lead nowhere any more: after the store was swept. */
void record_sweep_ids(struct engine *engine);

/* The names of all, sorted. */
int record_list(struct engine *engine, struct strv *ret, struct error *err);

/* The name of the sandbox that a word means: a name, an id, or the start of one if only one fits.
 * -ENOENT, -EEXIST (several fit). */
int record_find(struct engine *engine, const char *word, const char **ret, struct error *err);

/* The name that a folder has now: a rename may have moved it. In the arena; NULL when it is gone.
 */
const char *record_name_of(struct arena *arena, int dir_fd);

/* The commands on images: each is there as `viv pull` and as `viv image pull`. */
#pragma once

#include "cli/command.h"
#include "image/image.h"

int cli_commit(struct cli *cli, int argc, char **argv, struct error *err);
int cli_diff(struct cli *cli, int argc, char **argv, struct error *err);
int cli_export(struct cli *cli, int argc, char **argv, struct error *err);
int cli_history(struct cli *cli, int argc, char **argv, struct error *err);
int cli_image(struct cli *cli, int argc, char **argv, struct error *err);
int cli_image_exists(struct cli *cli, int argc, char **argv, struct error *err);
int cli_image_inspect(struct cli *cli, int argc, char **argv, struct error *err);
int cli_image_prune(struct cli *cli, int argc, char **argv, struct error *err);
int cli_images(struct cli *cli, int argc, char **argv, struct error *err);
int cli_import(struct cli *cli, int argc, char **argv, struct error *err);
int cli_load(struct cli *cli, int argc, char **argv, struct error *err);
int cli_login(struct cli *cli, int argc, char **argv, struct error *err);
int cli_logout(struct cli *cli, int argc, char **argv, struct error *err);
int cli_pull(struct cli *cli, int argc, char **argv, struct error *err);
int cli_push(struct cli *cli, int argc, char **argv, struct error *err);
int cli_rmi(struct cli *cli, int argc, char **argv, struct error *err);
int cli_save(struct cli *cli, int argc, char **argv, struct error *err);
int cli_search(struct cli *cli, int argc, char **argv, struct error *err);
int cli_system(struct cli *cli, int argc, char **argv, struct error *err);
int cli_tag(struct cli *cli, int argc, char **argv, struct error *err);

/* The options of `viv image prune`, for the help of the group. */
extern const struct option_table image_prune_options;

/* Removes, and tells what: for `viv image prune` and `viv system prune`. */
int cli_prune_images(struct cli *cli, struct image_store *store, bool all,
        const struct strv *filters, struct error *err);

/* Whether the user wants it; asked at a terminal only, and not with `force`. */
bool cli_sure(bool force, const char *question);

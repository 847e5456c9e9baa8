/*
 * viv-nft: reads rules as nft(8) has them from standard input and loads them as one transaction.
 * What is wrong with them goes to standard error, and the exit status is then 1. A program of its
 * own because libnftables has no static form and takes its time to start.
 */
#include <stdio.h>
#include <stdlib.h>

#include <nftables/libnftables.h>

#define RULES_MAX ((size_t)4 << 20)

static char *read_rules(FILE *from)
{
    char *text = malloc(RULES_MAX + 1);
    size_t length = text ? fread(text, 1, RULES_MAX + 1, from) : 0;

    if (!text || length > RULES_MAX || ferror(from)) {
        free(text);
        return NULL;
    }
    text[length] = '\0';
    return text;
}

int main(void)
{
    struct nft_ctx *context = nft_ctx_new(NFT_CTX_DEFAULT);
    char *rules = context ? read_rules(stdin) : NULL;
    int status = 1;

    if (!rules) {
        fprintf(stderr, "viv-nft: cannot read the rules\n");
    } else {
        nft_ctx_set_error(context, stderr);
        status = nft_run_cmd_from_buffer(context, rules) != 0;
    }
    free(rules);
    if (context)
        nft_ctx_free(context);
    return status;
}

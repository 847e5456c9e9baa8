/* completion: complete command lines in a shell. What may stand there is in candidates.h. */
#include "cli/command.h"

/* Bash splits words at COMP_WORDBREAKS, also at ":" and "=": what stands in the line without a
 * blank between is put together again, and of a candidate only what is behind the last break is
 * given. */
static const char bash[] =
        "# Completion of viv's command lines for bash, by viv itself.\n"
        "_viv() {\n"
        "    local line=${COMP_LINE:0:COMP_POINT} words=() word begun kept found\n"
        "    for word in \"${COMP_WORDS[@]:0:COMP_CWORD + 1}\"; do\n"
        "        begun=${line#\"${line%%[![:space:]]*}\"}\n"
        "        [[ ${#begun} -ge ${#word} ]] || word=$begun\n"
        "        if [[ ${#words[@]} -gt 0 && -n $word && $begun == \"$line\" ]]; then\n"
        "            words[-1]+=$word\n"
        "        else\n"
        "            words+=(\"$word\")\n"
        "        fi\n"
        "        line=${begun#\"$word\"}\n"
        "    done\n"
        "    kept=\n"
        "    [[ $COMP_WORDBREAKS == *[:=]* ]] && kept=${words[-1]%\"${words[-1]##*[:=]}\"}\n"
        "    COMPREPLY=()\n"
        "    while IFS= read -r found; do\n"
        "        COMPREPLY+=(\"${found#\"$kept\"}\")\n"
        "    done < <(\"${words[0]}\" completion for \"${words[@]:1}\" 2>/dev/null)\n"
        "    [[ ${#COMPREPLY[@]} -ne 1 || ${COMPREPLY[0]} != *[:=/] ]] || compopt -o nospace\n"
        "}\n"
        "complete -o bashdefault -o default -F _viv viv\n";

static const struct option_command completion_command = {.name = "viv completion",
        .usage = "bash | for WORD…",
        .about = "Prints what a shell completes viv's command lines by: of bash, to be read by "
                 "`source <(viv completion bash)`. With \"for\" it prints what the last of the "
                 "words, all that stands behind \"viv\", may become.",
        .order = OPTIONS_FIRST,
        .least = 1,
        .most = SIZE_MAX};

int cli_completion(struct cli *cli, int argc, char **argv, struct error *err)
{
    struct strv rest = {0};
    int r = cli_parse(cli, &completion_command, argc, argv, NULL, &rest, err);

    if (r != 0)
        return r < 0 ? r : 0;
    if (str_equal(rest.words[0], "bash") && rest.count == 1) {
        fputs(bash, stdout);
        return 0;
    }
    if (!str_equal(rest.words[0], "for"))
        return error_set(err, EINVAL, "completion %s: there is one for bash", rest.words[0]);
    cli->completing = true;
    if (rest.count > 1)
        (void)cli->run(cli, (int)rest.count, rest.words, NULL);
    return 0;
}

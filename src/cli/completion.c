/* completion: complete command lines in a shell. What may stand there is in candidates.h. */
#include "base/cleanup.h"
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

/* Zsh gives words as they were typed, with their quotes. */
static const char zsh[] =
        "#compdef viv\n"
        "# Completion of viv's command lines for zsh, by viv itself.\n"
        "_viv() {\n"
        "    local -a typed found open\n"
        "    typed=(\"${(@Q)words[2,CURRENT]}\")\n"
        "    found=(\"${(@f)$(\"${(Q)words[1]}\" completion for \"${typed[@]}\" 2>/dev/null)}\")\n"
        "    found=(${found:#})\n"
        "    if (( ! ${#found} )); then\n"
        "        _files\n"
        "        return\n"
        "    fi\n"
        "    open=(${(M)found:#*[:=/]})\n"
        "    found=(${found:#*[:=/]})\n"
        "    (( ! ${#open} )) || compadd -S '' -- \"${open[@]}\"\n"
        "    (( ! ${#found} )) || compadd -- \"${found[@]}\"\n"
        "}\n"
        "if [[ $funcstack[1] == _viv ]]; then\n"
        "    _viv \"$@\"\n"
        "else\n"
        "    compdef _viv viv\n"
        "fi\n";

static const char fish[] =
        "# Completion of viv's command lines for fish, by viv itself.\n"
        "function __viv_complete\n"
        "    set -l words (commandline --tokenize --current-process --cut-at-cursor)\n"
        "    set -l begun (commandline --current-token --cut-at-cursor)\n"
        "    set -l found ($words[1] completion for $words[2..-1] \"$begun\" 2>/dev/null)\n"
        "    if set -q found[1]\n"
        "        printf '%s\\n' $found\n"
        "    else\n"
        "        __fish_complete_path \"$begun\"\n"
        "    end\n"
        "end\n"
        "complete --command viv --no-files --arguments '(__viv_complete)'\n";

static const struct {
    const char *name, *script;
} shells[] = {{"bash", bash}, {"zsh", zsh}, {"fish", fish}};

static const struct option_command completion_command = {.name = "viv completion",
        .usage = "bash | zsh | fish | for WORD…",
        .about =
                "Prints what a shell completes viv's command lines by, to be read by "
                "`source <(viv completion bash)`, or `viv completion fish | source`. With \"for\" "
                "it prints what the last of the words, all that stands behind \"viv\", may become.",
        .order = OPTIONS_FIRST,
        .least = 1,
        .most = SIZE_MAX};

int cli_completion(struct cli *cli, int argc, char **argv, struct error *err)
{
    struct strv rest = {0};
    int r = cli_parse(cli, &completion_command, argc, argv, NULL, &rest, err);

    if (r != 0)
        return r < 0 ? r : 0;
    for (size_t i = 0; i < ARRAY_SIZE(shells) && rest.count == 1; i++)
        if (str_equal(rest.words[0], shells[i].name)) {
            fputs(shells[i].script, stdout);
            return 0;
        }
    if (!str_equal(rest.words[0], "for"))
        return error_set(
                err, EINVAL, "completion %s: there is one for bash, zsh and fish", rest.words[0]);
    cli->completing = true;
    if (rest.count > 1)
        (void)cli->run(cli, (int)rest.count, rest.words, NULL);
    return 0;
}

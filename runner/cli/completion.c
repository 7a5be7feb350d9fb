/*
 * retort completion SHELL: what a shell completes, from the same tables as --help.
 *
 * What a value or an operand is follows from the name that help calls it: DIR is a
 * folder, RUN one of the store's runs, SPEC a JSON file. zsh runs the script for bash by
 * its own bashcompinit.
 */
#include <stdlib.h>
#include <string.h>

#include "retort/method.h"
#include "verbs.h"

enum shell { BASH, ZSH, FISH };
static const char *const shells[] = {"bash", "zsh", "fish", NULL};

struct args {
    struct common common;
    const char *shell;
};

static bool is_one_of(const char *name, const char *const *names)
{
    for (; *names; names++)
        if (!strcmp(name, *names))
            return true;
    return false;
}

/* ---- bash ---- */

static void put_registry(struct strbuf *out)
{
    strbuf_puts(out, "_retort_words 'methods tasks metrics");
    for (const struct method *const *m = method_list(); *m; m++)
        strbuf_printf(out, " %s", (*m)->name);
    for (const struct task *const *t = task_list(); *t; t++)
        strbuf_printf(out, " %s", (*t)->name);
    strbuf_putc(out, '\'');
}

/* The command that lists what the value can be; each prints one a line or in one line. */
static void put_bash_source(struct strbuf *out, const char *name,
                            const char *const *choices)
{
    static const char *const runs[] = {"RUN", "A", "B", "WHAT", NULL};
    static const char *const specs[] = {"SPEC", "DECL", "TABLE", NULL};

    if (choices) {
        strbuf_puts(out, "_retort_words '");
        for (int i = 0; choices[i]; i++)
            strbuf_printf(out, "%s%s", i ? " " : "", choices[i]);
        strbuf_puts(out, "'");
    } else if (!strcmp(name, "DIR")) {
        strbuf_puts(out, "_retort_dirs");
    } else if (!strcmp(name, "VERB")) {
        strbuf_puts(out, "_retort_words \"$_retort_verbs\"");
    } else if (!strcmp(name, "KIND")) {
        put_registry(out);
    } else if (!strcmp(name, "TEST")) {
        strbuf_puts(out, "_retort_words 'state= spec= stage= method= label= seed='");
    } else if (is_one_of(name, runs)) {
        strbuf_puts(out, "_retort_runs");
    } else if (is_one_of(name, specs)) {
        strbuf_puts(out, "_retort_specs");
    } else if (!strcmp(name, "FILE") || !strcmp(name, "BASE")) {
        strbuf_puts(out, "_retort_files");
    } else {
        strbuf_puts(out, ":");
    }
}

static const char bash_head[] =
    "# Completion of retort for %s, made by `retort completion %s`.\n"
    "_retort_words() { mapfile -t COMPREPLY < <(compgen -W \"$1\" -- \"$cur\"); }\n"
    "_retort_dirs() { compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- "
    "\"$cur\"); }\n"
    "_retort_files() { compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "
    "\"$cur\"); }\n"
    "_retort_specs() {\n"
    "    compopt -o filenames\n"
    "    mapfile -t COMPREPLY < <(compgen -f -X '!*.json' -- \"$cur\"; compgen -d -- "
    "\"$cur\")\n"
    "}\n"
    "_retort_runs() {\n"
    "    local all\n"
    "    all=$(retort ls --ids --limit 200 2> /dev/null | cut -c 1-10)\n"
    "    _retort_specs\n"
    "    COMPREPLY+=($(compgen -W \"latest $all\" -- \"$cur\"))\n"
    "}\n";

static const char zsh_head[] =
    "#compdef retort\n"
    "# Completion of retort for %s, made by `retort completion %s`.\n"
    "autoload -U +X bashcompinit && bashcompinit\n"
    "_retort_words() { COMPREPLY=($(compgen -W \"$1\" -- \"$cur\")); }\n"
    "_retort_dirs() { COMPREPLY=($(compgen -d -- \"$cur\")); }\n"
    "_retort_files() { COMPREPLY=($(compgen -f -- \"$cur\")); }\n"
    "_retort_specs() { COMPREPLY=($(compgen -f -- \"$cur\")); }\n"
    "_retort_runs() {\n"
    "    local all\n"
    "    all=$(retort ls --ids --limit 200 2> /dev/null | cut -c 1-10)\n"
    "    COMPREPLY=($(compgen -f -- \"$cur\") $(compgen -W \"latest $all\" -- "
    "\"$cur\"))\n"
    "}\n";

static const char bash_tail[] = "    esac\n"
                                "}\n"
                                "complete -F _retort retort\n";

static void put_bash_verb(struct strbuf *out, const struct verb *v)
{
    const struct flag *f;

    strbuf_printf(out, "    %s)\n        case $prev in\n", v->name);
    for (int64_t i = 0; (f = args_flag(v, i)); i++) {
        if (f->type == OPT_BOOL)
            continue;
        strbuf_printf(out, "        --%s", f->name);
        if (f->letter)
            strbuf_printf(out, " | -%c", f->letter);
        strbuf_puts(out, ") ");
        put_bash_source(out, f->value ? f->value : "", f->choices);
        strbuf_puts(out, "; return ;;\n");
    }
    strbuf_puts(out, "        esac\n        case $cur in\n        -*) _retort_words '");
    for (int64_t i = 0; (f = args_flag(v, i)); i++)
        strbuf_printf(out, "%s--%s", i ? " " : "", f->name);
    strbuf_puts(out, "' ;;\n        *) ");
    if (v->operands && v->operands->name)
        put_bash_source(out, v->operands->name, v->operands->choices);
    else
        strbuf_puts(out, ":");
    strbuf_puts(out, " ;;\n        esac ;;\n");
}

static void put_bash(struct strbuf *out, enum shell shell)
{
    if (shell == ZSH)
        strbuf_printf(out, zsh_head, shells[shell], shells[shell]);
    else
        strbuf_printf(out, bash_head, shells[shell], shells[shell]);
    strbuf_puts(out, "_retort_verbs='");
    for (const struct verb *const *v = verbs; *v; v++)
        if ((*v)->group)
            strbuf_printf(out, "%s%s", v == verbs ? "" : " ", (*v)->name);
    strbuf_puts(
        out, "'\n_retort() {\n"
             "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
             "    COMPREPLY=()\n"
             "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
             "        _retort_words \"$_retort_verbs --help --version\"\n"
             "        return\n"
             "    fi\n"
             "    case ${COMP_WORDS[1]} in\n");
    for (const struct verb *const *v = verbs; *v; v++)
        if ((*v)->group)
            put_bash_verb(out, *v);
    strbuf_puts(out, bash_tail);
}

/* ---- fish ---- */

/* In single quotes, as fish reads them. */
static void put_quoted(struct strbuf *out, const char *text)
{
    strbuf_putc(out, '\'');
    for (; *text; text++) {
        if (*text == '\'' || *text == '\\')
            strbuf_putc(out, '\\');
        strbuf_putc(out, *text);
    }
    strbuf_putc(out, '\'');
}

static void put_fish_flag(struct strbuf *out, const struct verb *v, const struct flag *f)
{
    strbuf_printf(out, "complete -c retort -n '__fish_seen_subcommand_from %s' -l %s",
                  v->name, f->name);
    if (f->letter)
        strbuf_printf(out, " -s %c", f->letter);
    if (f->type != OPT_BOOL)
        strbuf_puts(out, f->choices ? " -x -a '" : " -r");
    for (int i = 0; f->type != OPT_BOOL && f->choices && f->choices[i]; i++)
        strbuf_printf(out, "%s%s", i ? " " : "", f->choices[i]);
    if (f->type != OPT_BOOL && f->choices)
        strbuf_putc(out, '\'');
    strbuf_puts(out, " -d ");
    put_quoted(out, f->help);
    strbuf_putc(out, '\n');
}

static void put_fish(struct strbuf *out)
{
    const struct flag *f;

    strbuf_puts(out,
                "# Completion of retort for fish, made by `retort completion fish`.\n");
    for (const struct verb *const *v = verbs; *v; v++) {
        if (!(*v)->group)
            continue;
        strbuf_printf(out, "complete -c retort -n __fish_use_subcommand -f -a %s -d ",
                      (*v)->name);
        put_quoted(out, (*v)->summary);
        strbuf_putc(out, '\n');
        for (int64_t i = 0; (f = args_flag(*v, i)); i++)
            put_fish_flag(out, *v, f);
        if ((*v)->operands && (*v)->operands->name &&
            !strcmp((*v)->operands->name, "RUN"))
            strbuf_printf(
                out,
                "complete -c retort -n '__fish_seen_subcommand_from %s' -f -a "
                "'latest (retort ls --ids --limit 200 2> /dev/null | cut -c 1-10)'\n",
                (*v)->name);
    }
}

/* ---- the verb ---- */

static int run(const void *given)
{
    const struct args *a = given;
    struct strbuf out = STRBUF_INIT;

    if (!strcmp(a->shell, shells[FISH]))
        put_fish(&out);
    else
        put_bash(&out, strcmp(a->shell, shells[ZSH]) ? BASH : ZSH);
    return print_text(&out);
}

static const struct operand operands[] = {
    {.name = "SHELL",
     .choices = shells,
     .help = "the shell that completes",
     .offset = offsetof(struct args, shell)},
    OPERAND_END,
};

const struct verb verb_completion = {
    .name = "completion",
    .group = "Retort itself",
    .summary = "what a shell completes after retort",
    .operands = operands,
    .about = "  source <(retort completion bash)\n"
             "  retort completion zsh > ~/.zfunc/_retort     with ~/.zfunc in fpath\n"
             "  retort completion fish > ~/.config/fish/completions/retort.fish",
    .size = sizeof(struct args),
    .run = run,
};

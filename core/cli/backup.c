/* turnpike backup FILE: a consistent copy of the store, also while the gateway runs. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "cli/govern.h"

static int print_done(const cli_call *c, cli_answer *a, buf *out)
{
    (void)c;
    buf_adds(out, STR("Wrote "));
    cli_clean(out, cli_answer_text(a, 0, "path"));
    buf_adds(out, STR(" ("));
    cli_clean(out, cli_answer_text(a, 0, "bytes"));
    return buf_adds(out,
                    STR(" bytes). Keep it as secret as the store itself; pepper and master key "
                        "lie in files of their own.\n"));
}

static int run(const cli_call *c)
{
    char here[4096];
    buf path, body;
    if (!getcwd(here, sizeof(here))) {
        fprintf(stderr, "turnpike backup: the current directory cannot be read: %s\n",
                strerror(errno));
        return 1;
    }
    buf_init(&path, 16u << 10);
    buf_init(&body, 64u << 10);
    if (c->args[0][0] != '/') /* it is the gateway that writes, from another directory */
        buf_printf(&path, "%s/", here);
    buf_adds(&path, str_of(c->args[0]));
    buf_adds(&body, STR("{\"path\":"));
    buf_json_string(&body, buf_str(&path));
    TP_MUST(buf_adds(&body, STR("}")) == 0);
    int rc = cli_ask_print(c, "POST", STR("/admin/backup"), buf_str(&body), print_done);
    buf_free(&path);
    buf_free(&body);
    return rc;
}

static const cli_verb verbs[] = {
    {"", "FILE", run, "copy the store into FILE, which must not be there yet"},
};

const cli_group cli_backup_group = {.name = "backup",
                                    .help = "a copy of the store, also while the gateway runs",
                                    .verbs = verbs,
                                    .verb_count = TP_COUNT(verbs)};

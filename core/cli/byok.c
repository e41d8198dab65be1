/* turnpike byok: a team's own provider keys. The secret never stands on the command line, where
 * every user of the machine can read it. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include "admit/secret.h"
#include "base/str.h"
#include "cli/govern.h"

enum { SET = 1, REMOVE = 4 };
#define SECRET_MOST 4096u

static const cli_field fields[] = {
    {.name = "type",
     .value = "TYPE",
     .kind = CLI_WORD,
     .where = CLI_BODY,
     .member = "type",
     .verbs = SET,
     .words = "api_key|codestral",
     .help = "codestral: for fill-in-the-middle alone; api_key: for all else"},
    {.name = "type",
     .value = "TYPE",
     .kind = CLI_WORD,
     .where = CLI_QUERY,
     .member = "type",
     .verbs = REMOVE,
     .words = "api_key|codestral",
     .help = "which of the two"},
    {.name = "key-file",
     .value = "FILE",
     .kind = CLI_TEXT,
     .where = CLI_OWN,
     .verbs = SET,
     .help = "read the key from this file"},
    {.name = "key-env",
     .value = "NAME",
     .kind = CLI_TEXT,
     .where = CLI_OWN,
     .verbs = SET,
     .help = "take it from this environment variable; else it is read from standard input"},
};

typedef struct byok_secret {
    char text[SECRET_MOST + 2]; /* a line's end, and one more to see that it is too long */
    size_t len;
} byok_secret;

static int wrong(const char *what, const char *name, const char *why)
{
    fprintf(stderr, "turnpike byok set: %s%s%s\n", what, name, why);
    return 1;
}

static int read_all(int fd, const char *name, byok_secret *out)
{
    while (out->len < sizeof(out->text)) {
        ssize_t n = read(fd, out->text + out->len, sizeof(out->text) - out->len);
        if (n == 0)
            break;
        if (n < 0 && errno != EINTR)
            return wrong(name, ": cannot be read: ", strerror(errno));
        out->len += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

/* Waits for a line, or for a signal (which stays pending). 1: the line is there. */
static int wait_for_line(int signals)
{
    struct pollfd p[] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = signals, .events = POLLIN}};
    while (poll(p, signals < 0 ? 1 : 2, -1) < 0 && errno == EINTR)
        ;
    return !(p[1].revents & POLLIN);
}

/* One line, typed without being shown. Signals wait while the terminal is in that state, so that
 * Ctrl-C and Ctrl-Z do not leave it so. 1: one came. */
static int read_unseen(const sigset_t *deadly, byok_secret *out)
{
    struct termios before, quiet;
    sigset_t usual;
    int rc = 0, known = tcgetattr(STDIN_FILENO, &before) == 0;
    sigprocmask(SIG_BLOCK, deadly, &usual);
    int signals = signalfd(-1, deadly, SFD_CLOEXEC), came = 0;
    if (signals < 0) /* no more descriptors: rather a terminal in disorder than no Ctrl-C */
        sigprocmask(SIG_SETMASK, &usual, NULL);
    fprintf(stderr, "Provider key (not shown): ");
    if (known) {
        quiet = before;
        quiet.c_lflag &= ~(tcflag_t)ECHO;
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
    }
    for (ssize_t n = 1; n > 0 && rc == 0 && !came && out->len < sizeof(out->text);) {
        if (memchr(out->text, '\n', out->len))
            break;
        came = !wait_for_line(signals);
        if (came)
            break;
        n = read(STDIN_FILENO, out->text + out->len, sizeof(out->text) - out->len);
        if (n < 0)
            rc = wrong("the terminal", ": cannot be read: ", strerror(errno));
        out->len += n > 0 ? (size_t)n : 0;
    }
    if (known)
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
    fprintf(stderr, "\n");
    if (signals >= 0)
        close(signals);
    sigprocmask(SIG_SETMASK, &usual, NULL); /* what came acts now */
    return rc ? -1 : came;
}

/* A person types it: nothing is shown. */
static int read_terminal(byok_secret *out)
{
    sigset_t deadly;
    int rc;
    sigemptyset(&deadly);
    sigaddset(&deadly, SIGINT);
    sigaddset(&deadly, SIGQUIT);
    sigaddset(&deadly, SIGTERM);
    sigaddset(&deadly, SIGHUP);
    sigaddset(&deadly, SIGTSTP);
    do { /* after a pause it is asked for anew */
        secret_wipe(out, sizeof(*out));
        rc = read_unseen(&deadly, out);
    } while (rc > 0);
    return rc < 0;
}

static int read_file(const char *path, byok_secret *out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return wrong(path, ": cannot be opened: ", strerror(errno));
    int rc = read_all(fd, path, out);
    close(fd);
    return rc;
}

static int read_secret(const cli_call *c, byok_secret *out)
{
    const char *file = cli_call_value(c, "key-file"), *name = cli_call_value(c, "key-env");
    int rc = 0;
    if (file && name)
        return wrong("--key-file and --key-env: one of them, not both", "", "") + 1;
    if (name) {
        const char *v = getenv(name);
        if (!v || !*v)
            return wrong("--key-env ", name, ": no such variable is set");
        out->len = TP_MIN(strlen(v), sizeof(out->text));
        memcpy(out->text, v, out->len);
    } else if (file) {
        rc = read_file(file, out);
    } else if (isatty(STDIN_FILENO)) {
        rc = read_terminal(out);
    } else {
        rc = read_all(STDIN_FILENO, "standard input", out);
    }
    while (out->len && (out->text[out->len - 1] == '\n' || out->text[out->len - 1] == '\r'))
        out->len--;
    if (rc == 0 && !out->len)
        return wrong("the provider key is empty", "",
                     ": it is read from --key-file FILE, --key-env "
                     "NAME or standard input");
    int document = out->text[0] == '{'; /* of several lines: it means the same on one */
    for (size_t i = 0; rc == 0 && i < out->len; i++) {
        int space = document && memchr(" \t\r\n", out->text[i], 4);
        if (space)
            out->text[i] = ' ';
        if (((out->text[i] <= ' ' || out->text[i] >= 0x7f) && !space) || i >= SECRET_MOST)
            rc = wrong("the provider key is not one line of at most 4,096 printable characters "
                       "without spaces, nor a JSON document of that size",
                       "", "");
    }
    return rc;
}

static int print_set(const cli_call *c, cli_answer *a, buf *out)
{
    tp_str hint = cli_answer_text(a, 0, "hint");
    buf_adds(out, STR("Team "));
    cli_clean(out, str_of(c->args[0]));
    buf_adds(out, STR(" now calls "));
    cli_clean(out, str_of(c->args[1]));
    buf_adds(out, STR(" with its own key"));
    if (hint.len) {
        buf_adds(out, STR(", ending in "));
        cli_clean(out, hint);
    }
    return buf_adds(out, STR(". It is kept encrypted and not shown again.\n"));
}

static void target_of(buf *out, const cli_call *c)
{
    buf more;
    buf_init(&more, 64u << 10);
    buf_adds(&more, STR("byok/"));
    cli_encode(&more, str_of(c->args[1]));
    TP_MUST(buf_add(&more, "", 1) == 0); /* terminated */
    cli_target(out, c, "teams", c->args[0], more.ptr);
    buf_free(&more);
}

static int set(const cli_call *c)
{
    byok_secret secret = {.len = 0};
    buf first, body, target;
    uint32_t n;
    int rc = read_secret(c, &secret);
    if (rc == 0) {
        buf_init(&first, 64u << 10);
        buf_init(&body, 64u << 10);
        TP_MUST(buf_reserve(&first, 3 * SECRET_MOST) == 0 &&
                buf_reserve(&body, 4 * SECRET_MOST) == 0); /* they do not move */
        buf_adds(&first, STR("\"key\":"));
        buf_json_string(&first, str_make(secret.text, secret.len));
        TP_MUST(cli_call_body(c, buf_str(&first), &body, &n) == 0);
        target_of(&target, c);
        rc = cli_ask_print(c, "PUT", buf_str(&target), buf_str(&body), print_set);
        secret_wipe(first.ptr, first.len);
        secret_wipe(body.ptr, body.len);
        buf_free(&first);
        buf_free(&body);
        buf_free(&target);
    }
    secret_wipe(&secret, sizeof(secret));
    return rc;
}

static const cli_column columns[] = {
    {.head = "PROVIDER"}, {.head = "TYPE"}, {.head = "ENDS IN"}, {.head = "SET"}};

static void row(cli_answer *a, uint32_t key, cli_table *t)
{
    cli_cell(a, key, "provider", t);
    cli_cell(a, key, "type", t);
    cli_cell(a, key, "hint", t);
    cli_cell_moment(a, key, "created_at", t);
}

static int print_list(const cli_call *c, cli_answer *a, buf *out)
{
    (void)c;
    return cli_list_table(a, json_get(&a->doc, 0, "data", NULL), columns, TP_COUNT(columns), row,
                          "The team has no provider keys of its own.", out);
}

static int list(const cli_call *c)
{
    buf target;
    cli_target(&target, c, "teams", c->args[0], "byok");
    int rc = cli_ask_print(c, "GET", buf_str(&target), STR_NONE, print_list);
    buf_free(&target);
    return rc;
}

static int print_removed(const cli_call *c, cli_answer *a, buf *out)
{
    (void)a;
    buf_adds(out, STR("Removed: team "));
    cli_clean(out, str_of(c->args[0]));
    buf_adds(out, STR(" calls "));
    cli_clean(out, str_of(c->args[1]));
    return buf_adds(out, STR(" with the gateway's key again.\n"));
}

static int drop(const cli_call *c)
{
    buf target;
    target_of(&target, c);
    int rc = cli_ask_print(c, "DELETE", buf_str(&target), STR_NONE, print_removed);
    buf_free(&target);
    return rc;
}

static const cli_verb verbs[] = {
    {"set", "TEAM PROVIDER", set, "keep a team's own key for a provider, encrypted"},
    {"list", "TEAM", list, "which providers it has keys for; never the keys"},
    {"remove", "TEAM PROVIDER", drop, "forget a team's key"},
};

const cli_group cli_byok_group = {.name = "byok",
                                  .help = "teams' own keys for providers",
                                  .verbs = verbs,
                                  .verb_count = TP_COUNT(verbs),
                                  .fields = fields,
                                  .field_count = TP_COUNT(fields)};

#include "cli/answer.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "cli/table.h"

int cli_answer_read(cli_answer *a, tp_str text)
{
    *a = (cli_answer){0};
    arena_init(&a->mem, NULL, SIZE_MAX);
    return json_scan_doc(text, &a->tape, &a->mem, &a->doc, NULL) == 0 ? 0 : -1;
}

void cli_answer_free(cli_answer *a)
{
    json_tape_free(&a->tape);
    arena_reset(&a->mem);
    a->doc = (tp_doc){0};
}

uint32_t cli_answer_first(const cli_answer *a, uint32_t array)
{
    return json_kind(&a->doc, array) == TP_ARRAY && a->doc.tokens[array].next > array + 1
               ? array + 1
               : 0;
}

uint32_t cli_answer_next(const cli_answer *a, uint32_t array, uint32_t item)
{
    uint32_t next = a->doc.tokens[item].next;
    return next < a->doc.tokens[array].next ? next : 0;
}

static tp_str list_text(cli_answer *a, uint32_t array)
{
    buf b;
    buf_init(&b, SIZE_MAX);
    for (uint32_t i = cli_answer_first(a, array); i; i = cli_answer_next(a, array, i)) {
        if (b.len)
            buf_adds(&b, STR(", "));
        buf_adds(&b, cli_answer_value(a, i));
    }
    tp_str s = arena_str(&a->mem, buf_str(&b));
    buf_free(&b);
    return s;
}

tp_str cli_answer_value(cli_answer *a, uint32_t token)
{
    switch (json_kind(&a->doc, token)) {
    case TP_STRING:
        return json_string(&a->doc, token, &a->mem);
    case TP_ARRAY:
        return list_text(a, token);
    case TP_NUMBER:
    case TP_BOOL:
    case TP_OBJECT:
        return json_raw(&a->doc, token);
    default:
        return STR_NONE;
    }
}

tp_str cli_answer_text(cli_answer *a, uint32_t object, const char *member)
{
    uint32_t t =
        json_kind(&a->doc, object) == TP_OBJECT ? json_find(&a->doc, object, str_of(member)) : 0;
    return t ? cli_answer_value(a, t) : STR_NONE;
}

/* ---- An object as lines. */

static int is_list_of_objects(const cli_answer *a, uint32_t t)
{
    uint32_t first = cli_answer_first(a, t);
    return first && json_kind(&a->doc, first) == TP_OBJECT;
}

static int object_line(cli_answer *a, uint32_t object, buf *out)
{
    const tp_token *tokens = a->doc.tokens;
    for (uint32_t k = object + 1; k < tokens[object].next; k = tokens[k + 1].next) {
        tp_str value = cli_answer_value(a, k + 1);
        buf_printf(out, "%s%.*s ", k == object + 1 ? "    " : ", ",
                   STR_ARG(json_string(&a->doc, k, &a->mem)));
        cli_clean(out, value.len ? value : STR("-"));
    }
    return buf_adds(out, STR("\n"));
}

static int fact(cli_answer *a, tp_str outer, uint32_t key, size_t width, buf *out);

static int facts(cli_answer *a, tp_str outer, uint32_t object, size_t width, buf *out)
{
    const tp_token *tokens = a->doc.tokens;
    int rc = 0;
    for (uint32_t k = object + 1; k < tokens[object].next && rc == 0; k = tokens[k + 1].next)
        rc = fact(a, outer, k, width, out);
    return rc;
}

static int fact(cli_answer *a, tp_str outer, uint32_t key, size_t width, buf *out)
{
    tp_str name = json_string(&a->doc, key, &a->mem);
    uint32_t value = key + 1;
    if (outer.len)
        name = arena_printf(&a->mem, "%.*s.%.*s", STR_ARG(outer), STR_ARG(name));
    if (json_kind(&a->doc, value) == TP_OBJECT && a->doc.tokens[value].next > value + 1)
        return facts(a, name, value, width, out);
    size_t at = out->len;
    cli_clean(out, name);
    if (is_list_of_objects(a, value)) {
        int rc = buf_adds(out, STR("\n"));
        for (uint32_t i = cli_answer_first(a, value); i && rc == 0;
             i = cli_answer_next(a, value, i))
            rc = object_line(a, i, out);
        return rc;
    }
    while (out->len - at < width)
        buf_add(out, " ", 1);
    tp_str text = json_kind(&a->doc, value) == TP_OBJECT ? STR_NONE : cli_answer_value(a, value);
    buf_adds(out, STR("  "));
    cli_clean(out, text.len ? text : STR("-"));
    return buf_adds(out, STR("\n"));
}

int cli_answer_facts(cli_answer *a, uint32_t object, buf *out)
{
    /* The longest name, with the object that it lies in. */
    size_t width = 0, begun = out->len;
    if (json_kind(&a->doc, object) != TP_OBJECT)
        return buf_adds(out, json_raw(&a->doc, object));
    facts(a, STR_NONE, object, 0, out); /* a trial without padding, to measure */
    for (size_t at = begun; at < out->len;) {
        tp_str line = str_make(out->ptr + at, out->len - at);
        line.len = str_find(line, '\n');
        size_t n = str_find(line, ' ');
        if (n && n < line.len) /* lines of lists are indented or have no value */
            width = TP_MAX(width, n);
        at += line.len + 1;
    }
    out->len = begun;
    return facts(a, STR_NONE, object, width, out);
}

tp_str cli_answer_message(cli_answer *a)
{
    uint32_t at = json_kind(&a->doc, 0) == TP_OBJECT ? json_get(&a->doc, 0, "error", NULL) : 0;
    tp_str s = cli_answer_text(a, json_kind(&a->doc, at) == TP_OBJECT ? at : 0, "message");
    if (!s.len && json_kind(&a->doc, at) == TP_STRING)
        s = cli_answer_value(a, at);
    return s.len ? s : a->doc.text;
}

int cli_put(const char *command, tp_str text)
{
    while (text.len) {
        ssize_t n = write(STDOUT_FILENO, text.ptr, text.len);
        if (n >= 0) {
            text = str_skip(text, (size_t)n);
        } else if (errno != EINTR) {
            if (errno != EPIPE)
                fprintf(stderr, "turnpike %s: standard output cannot be written: %s\n", command,
                        strerror(errno));
            return 1;
        }
    }
    return 0;
}

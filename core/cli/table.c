#include "cli/table.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/str.h"
#include "model/json.h"

/* ---- Characters. */

/* The character at s.ptr[at] of valid UTF-8; *n: its bytes. */
static uint32_t character(tp_str s, size_t at, size_t *n)
{
    unsigned char c = (unsigned char)s.ptr[at];
    uint32_t v = c;
    *n = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    *n = TP_MIN(*n, s.len - at);
    if (*n > 1)
        v = c & (0x7fu >> *n);
    for (size_t i = 1; i < *n; i++)
        v = v << 6 | ((unsigned char)s.ptr[at + i] & 0x3fu);
    return v;
}

static size_t places(uint32_t c)
{
    static const struct {
        uint32_t first, last, places;
    } odd[] = {{0x300, 0x36f, 0},     {0x200b, 0x200d, 0},   {0xfe00, 0xfe0f, 0},
               {0x1100, 0x115f, 2},   {0x2e80, 0x303e, 2},   {0x3041, 0xa4cf, 2},
               {0xac00, 0xd7a3, 2},   {0xf900, 0xfaff, 2},   {0xfe30, 0xfe6f, 2},
               {0xff00, 0xff60, 2},   {0xffe0, 0xffe6, 2},   {0x1f300, 0x1f64f, 2},
               {0x1f680, 0x1f6ff, 2}, {0x1f900, 0x1f9ff, 2}, {0x20000, 0x3fffd, 2}};
    for (size_t i = 0; i < TP_COUNT(odd); i++)
        if (c >= odd[i].first && c <= odd[i].last)
            return odd[i].places;
    return 1;
}

static int commands_terminals(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x200e || c == 0x200f ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

size_t cli_width(tp_str s)
{
    size_t width = 0, n;
    for (size_t at = 0; at < s.len; at += n)
        width += places(character(s, at, &n));
    return width;
}

int cli_clean(buf *out, tp_str s)
{
    size_t n;
    int rc = 0, valid = json_utf8_valid(s);
    for (size_t at = 0; at < s.len && rc == 0; at += n) {
        uint32_t c = (unsigned char)s.ptr[at];
        n = 1;
        if (valid)
            c = character(s, at, &n);
        int bad = commands_terminals(c) || (!valid && c >= 0x80);
        rc = bad ? buf_add(out, "?", 1) : buf_add(out, s.ptr + at, n);
    }
    return rc;
}

/* ---- Tables. */

void cli_table_init(cli_table *t, const cli_column *columns, uint32_t count)
{
    *t = (cli_table){.columns = columns, .count = count};
    arena_init(&t->mem, NULL, SIZE_MAX);
}

void cli_table_free(cli_table *t)
{
    arena_reset(&t->mem);
    free(t->text);
    t->text = NULL;
    t->cells = t->room = 0;
}

void cli_table_cell(cli_table *t, tp_str text)
{
    buf b;
    buf_init(&b, SIZE_MAX);
    if (!text.len)
        text = STR("-");
    TP_MUST(cli_clean(&b, text) == 0);
    if (t->cells == t->room) {
        t->room = t->room ? t->room * 2 : 64;
        t->text = tp_xrealloc(t->text, t->room * sizeof(*t->text));
    }
    t->text[t->cells] = arena_str(&t->mem, buf_str(&b));
    TP_MUST(t->text[t->cells].ptr);
    t->cells++;
    buf_free(&b);
}

void cli_table_cellf(cli_table *t, const char *fmt, ...)
{
    char text[256];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    cli_table_cell(t, str_of(text));
}

/* As much of s as fits into `widest` places with "…" behind it. */
static tp_str cut(tp_str s, size_t widest)
{
    size_t at = 0, width = 0, n;
    while (at < s.len) {
        size_t more = places(character(s, at, &n));
        if (width + more > widest - 1)
            break;
        width += more;
        at += n;
    }
    return str_make(s.ptr, at);
}

static int spaces(buf *out, size_t n)
{
    int rc = 0;
    while (n-- && rc == 0)
        rc = buf_add(out, " ", 1);
    return rc;
}

static int cell(buf *out, const cli_column *c, tp_str s, size_t width, int last)
{
    size_t has = cli_width(s);
    int too_long = c->widest && has > (size_t)c->widest;
    if (too_long) {
        s = cut(s, (size_t)c->widest);
        has = cli_width(s) + 1;
    }
    if (c->right)
        spaces(out, width - has);
    buf_adds(out, s);
    if (too_long)
        buf_adds(out, STR("…"));
    if (last)
        return buf_adds(out, STR("\n"));
    return spaces(out, (c->right ? 0 : width - has) + 2);
}

int cli_table_print(const cli_table *t, buf *out)
{
    uint32_t rows = t->cells / t->count;
    size_t *widths = tp_xcalloc(t->count, sizeof(*widths));
    int rc = 0;
    for (uint32_t i = 0; i < t->count; i++)
        widths[i] = cli_width(str_of(t->columns[i].head));
    for (uint32_t i = 0; i < rows * t->count; i++) {
        const cli_column *c = &t->columns[i % t->count];
        size_t has = cli_width(t->text[i]);
        if (c->widest)
            has = TP_MIN(has, (size_t)c->widest);
        widths[i % t->count] = TP_MAX(widths[i % t->count], has);
    }
    for (uint32_t i = 0; i < t->count; i++)
        rc = cell(out, &(cli_column){.right = t->columns[i].right}, str_of(t->columns[i].head),
                  widths[i], i + 1 == t->count);
    for (uint32_t i = 0; i < rows * t->count && rc == 0; i++)
        rc = cell(out, &t->columns[i % t->count], t->text[i], widths[i % t->count],
                  (i + 1) % t->count == 0);
    free(widths);
    return rc;
}

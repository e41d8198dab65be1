/* Bodies and queries, read and checked by the tables of api_fields.c. Amounts of money and times
 * are read exactly from their text. */
#include <stdio.h>
#include <time.h>

#include "manage/manage_int.h"

#define BODY_DEPTH 8u
#define BODY_TOKENS 4096u

static int digit(char c)
{
    return c >= '0' && c <= '9';
}

/* The digits of a decimal number as one integer, and the power of ten that they are to be taken
 * with. Zeros at the end of a fraction do not count. */
typedef struct decimal {
    tp_str whole, part; /* digits before and after the point */
    int64_t exponent;
    int negative;
} decimal;

static int decimal_parse(tp_str s, decimal *d)
{
    size_t at = 0, from;
    *d = (decimal){.negative = s.len && s.ptr[0] == '-'};
    at += d->negative;
    from = at;
    while (at < s.len && digit(s.ptr[at]))
        at++;
    d->whole = str_make(s.ptr + from, at - from);
    if (at < s.len && s.ptr[at] == '.') {
        from = ++at;
        while (at < s.len && digit(s.ptr[at]))
            at++;
        d->part = str_make(s.ptr + from, at - from);
        if (d->part.len == 0)
            return -1;
    }
    if (d->whole.len == 0)
        return -1;
    if (at < s.len && (s.ptr[at] | 0x20) == 'e') {
        at++;
        int minus = at < s.len && s.ptr[at] == '-';
        if (at < s.len && (s.ptr[at] == '-' || s.ptr[at] == '+'))
            at++;
        if (str_to_i64(str_skip(s, at), &d->exponent) < 0 || d->exponent > 100)
            return -1;
        d->exponent = minus ? -d->exponent : d->exponent;
        at = s.len;
    }
    return at == s.len ? 0 : -1;
}

int api_money_parse(tp_str text, int64_t *nano)
{
    decimal d;
    if (text.len == 0 || text.len > 64 || decimal_parse(text, &d) < 0)
        return -1;
    /* value = digits * 10^(exponent - part.len); in nano-dollars: * 10^9 more. */
    int64_t shift = d.exponent + 9 - (int64_t)d.part.len;
    int64_t v = 0;
    size_t total = d.whole.len + d.part.len, taken = total;
    while (shift < 0 && taken > 0) { /* what lies below a nano-dollar must be nothing */
        char c = taken > d.whole.len ? d.part.ptr[taken - 1 - d.whole.len] : d.whole.ptr[taken - 1];
        if (c != '0')
            return -2;
        taken--;
        shift++;
    }
    for (size_t i = 0; i < taken; i++) {
        char c = i < d.whole.len ? d.whole.ptr[i] : d.part.ptr[i - d.whole.len];
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, c - '0', &v))
            return -3;
    }
    for (; v && shift > 0; shift--)
        if (__builtin_mul_overflow(v, 10, &v))
            return -3;
    *nano = d.negative ? -v : v;
    return 0;
}

static int two(tp_str s, size_t at, int *out)
{
    if (at + 2 > s.len || !digit(s.ptr[at]) || !digit(s.ptr[at + 1]))
        return -1;
    *out = (s.ptr[at] - '0') * 10 + (s.ptr[at + 1] - '0');
    return 0;
}

/* "2026-04-15" or "2026-04-15T10:30:00Z", with or without a fraction of a second. */
static int iso_parse(tp_str s, int64_t *unix_ms)
{
    int century, year, month, day, hour = 0, minute = 0, second = 0, ms = 0;
    if (two(s, 0, &century) || two(s, 2, &year) || two(s, 5, &month) || two(s, 8, &day) ||
        s.ptr[4] != '-' || s.ptr[7] != '-')
        return -1;
    if (s.len > 10) {
        if (two(s, 11, &hour) || two(s, 14, &minute) || two(s, 17, &second) || s.ptr[10] != 'T' ||
            s.ptr[13] != ':' || s.ptr[16] != ':' || s.ptr[s.len - 1] != 'Z')
            return -1;
        tp_str rest = str_make(s.ptr + 19, s.len - 20);
        if (rest.len && (rest.ptr[0] != '.' || rest.len < 2 || rest.len > 10))
            return -1;
        for (size_t i = 1, unit = 100; i < rest.len; i++, unit /= 10) {
            if (!digit(rest.ptr[i]))
                return -1;
            ms += (rest.ptr[i] - '0') * (int)unit;
        }
    }
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int y = century * 100 + year;
    int leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
    if (y < 1970 || month < 1 || month > 12 || day < 1 ||
        day > days[month - 1] + (month == 2 && leap) || hour > 23 || minute > 59 || second > 59)
        return -1;
    struct tm tm = {.tm_year = y - 1900,
                    .tm_mon = month - 1,
                    .tm_mday = day,
                    .tm_hour = hour,
                    .tm_min = minute,
                    .tm_sec = second};
    *unix_ms = (int64_t)timegm(&tm) * 1000 + ms;
    return 0;
}

int api_time_parse(tp_str text, int64_t *unix_ms)
{
    if (str_to_i64(text, unix_ms) == 0)
        return *unix_ms > 0 ? 0 : -1;
    return text.len >= 10 ? iso_parse(text, unix_ms) : -1;
}

static int hex(char c)
{
    int low = c | 0x20;
    return digit(c) ? c - '0' : low >= 'a' && low <= 'f' ? low - 'a' + 10 : -1;
}

tp_str api_decode(arena *a, tp_str in, int plus)
{
    char *out = arena_alloc(a, in.len + 1);
    size_t n = 0;
    if (!out)
        return STR_NONE;
    for (size_t i = 0; i < in.len; i++) {
        char c = in.ptr[i];
        if (c == '%') {
            int high = in.len - i > 2 ? hex(in.ptr[i + 1]) : -1;
            int low = high >= 0 ? hex(in.ptr[i + 2]) : -1;
            if (low < 0)
                return STR_NONE;
            c = (char)(high * 16 + low);
            i += 2;
        } else if (c == '+' && plus) {
            c = ' ';
        }
        if (c == 0)
            return STR_NONE;
        out[n++] = c;
    }
    out[n] = 0;
    return json_utf8_valid(str_make(out, n)) ? str_make(out, n) : STR_NONE;
}

/* ---- What a field takes, as a sentence for whoever sent something else. */
static void money_text(char out[40], int64_t nano)
{
    money_print(out, nano);
}

static int wrong(api_call *c, const api_field *f, int null_too)
{
    char what[400], low[40], high[40];
    size_t n = 0;
    switch (f->kind) {
    case API_TEXT:
        snprintf(what, sizeof(what), "a string of %lld to %lld bytes, without control characters",
                 (long long)f->min, (long long)f->max);
        break;
    case API_INT:
        snprintf(what, sizeof(what), "an integer from %lld to %lld", (long long)f->min,
                 (long long)f->max);
        break;
    case API_MONEY:
        money_text(low, f->min);
        money_text(high, f->max);
        snprintf(what, sizeof(what),
                 "US dollars from %s to %s, a number or a decimal string with at most 9 decimals",
                 low, high);
        break;
    case API_BOOL:
        snprintf(what, sizeof(what), "true or false");
        break;
    case API_WORD:
        n = (size_t)snprintf(what, sizeof(what), "one of");
        for (const char *const *w = f->words; *w; w++)
            n += (size_t)snprintf(what + n, sizeof(what) - n, "%s \"%s\"", w == f->words ? "" : ",",
                                  *w);
        break;
    case API_LIST:
        snprintf(what, sizeof(what),
                 "a list of %lld to %lld names of 1 to 256 bytes, each a name or the beginning of "
                 "one and '*'",
                 (long long)f->min, (long long)f->max);
        break;
    case API_TIME:
        snprintf(what, sizeof(what),
                 "a time in UTC such as 2026-04-15T10:30:00Z, or Unix milliseconds");
        break;
    default:
        snprintf(what, sizeof(what), "an object");
    }
    return api_fail(c, 400, "invalid_value", f->name, "'%s' must be %s%s.", f->name, what,
                    null_too ? ", or null" : "");
}

static int text_fits(const api_field *f, tp_str s)
{
    return s.ptr && s.len >= (size_t)f->min && s.len <= (size_t)f->max && !str_has_control(s);
}

static int word_of(const api_field *f, tp_str s, int64_t *out)
{
    for (int64_t i = 0; f->words[i]; i++)
        if (str_eq(s, str_of(f->words[i]))) {
            *out = i;
            return 0;
        }
    return -1;
}

static int in_range(const api_field *f, int64_t v)
{
    return v >= f->min && v <= f->max;
}

static int pattern_fits(tp_str s)
{
    return s.ptr && s.len >= 1 && s.len <= 256 && !str_has_control(s) &&
           str_find(s, '*') >= s.len - 1;
}

static int read_list(api_call *c, const api_field *f, const tp_doc *d, uint32_t t, api_value *v)
{
    uint32_t end = d->tokens[t].next, n = 0;
    if (json_kind(d, t) != TP_ARRAY)
        return 1;
    for (uint32_t i = t + 1; i < end; i = d->tokens[i].next)
        n++;
    if (n < (uint64_t)f->min || n > (uint64_t)f->max)
        return 1;
    v->list = arena_alloc(c->mem, n * sizeof(*v->list));
    if (!v->list)
        return -1;
    for (uint32_t i = t + 1; i < end; i = d->tokens[i].next) {
        tp_str s = json_string(d, i, c->mem);
        if (!pattern_fits(s))
            return 1;
        v->list[v->count++] = s;
    }
    return 0;
}

/* 0; 1: it is none of what the field takes; 2: answered already; -1: out of memory. */
static int read_value(api_call *c, const api_field *f, const tp_doc *d, uint32_t t, api_value *v)
{
    int yes, rc;
    tp_str s = json_kind(d, t) == TP_STRING ? json_string(d, t, c->mem) : STR_NONE;
    switch (f->kind) {
    case API_TEXT:
        v->text = s;
        return !text_fits(f, s);
    case API_WORD:
        return !s.ptr || word_of(f, s, &v->number) < 0;
    case API_INT:
        return json_int(d, t, &v->number) < 0 || !in_range(f, v->number);
    case API_BOOL:
        if (json_bool(d, t, &yes) < 0)
            return 1;
        v->number = yes;
        return 0;
    case API_MONEY:
        if (!s.ptr && json_kind(d, t) != TP_NUMBER)
            return 1;
        rc = api_money_parse(s.ptr ? s : json_raw(d, t), &v->number);
        if (rc == -2)
            return api_fail(c, 400, "invalid_value", f->name,
                            "'%s' is finer than a nano-dollar: give at most 9 decimals.",
                            f->name) < 0
                       ? -1
                       : 2;
        return rc < 0 || !in_range(f, v->number);
    default:
        return read_list(c, f, d, t, v);
    }
}

static int unknown_member(api_call *c, const api_schema *s, tp_str name, const char *inside)
{
    api_guess g = {.wanted = name};
    for (uint32_t i = 0; i < s->count; i++)
        api_guess_offer(&g, str_of(api_field_of(s->members[i].field)->name));
    tp_str shown = profile_shown(name);
    const char *param = api_z(c, shown);
    return api_fail(c, 400, "unknown_member", param, "There is no member '%s' in %s%s", param,
                    inside, api_guess_say(c, &g));
}

static const api_member *member_of(const api_schema *s, tp_str name)
{
    for (uint32_t i = 0; i < s->count; i++)
        if (str_eq(name, str_of(api_field_of(s->members[i].field)->name)))
            return &s->members[i];
    return NULL;
}

static int read_object(api_call *c, const api_schema *s, const tp_doc *d, uint32_t object,
                       const char *inside)
{
    uint32_t end = d->tokens[object].next;
    for (uint32_t t = object + 1; t < end;) {
        uint32_t value = t + 1;
        tp_str name = json_string(d, t, c->mem);
        if (!name.ptr)
            return -1;
        const api_member *m = member_of(s, name);
        if (!m)
            return unknown_member(c, s, name, inside);
        const api_field *f = api_field_of(m->field);
        api_value *v = &c->v[m->field];
        v->given = 1;
        int rc = 0;
        if (json_kind(d, value) == TP_NULL) {
            v->given = API_IS_NULL;
            rc = !(m->flags & API_NULL);
        } else if (f->kind == API_OBJECT) {
            if (json_kind(d, value) != TP_OBJECT)
                rc = 1;
            else if ((rc = read_object(c, f->within, d, value, f->name)) != 0)
                return rc;
        } else {
            rc = read_value(c, f, d, value, v);
        }
        if (rc != 0)
            return rc == 1 ? wrong(c, f, m->flags & API_NULL) : rc;
        t = d->tokens[value].next;
    }
    return 0;
}

static int required(api_call *c, const api_schema *s, const char *where)
{
    for (uint32_t i = 0; i < s->count; i++) {
        const api_field *f = api_field_of(s->members[i].field);
        if ((s->members[i].flags & API_REQUIRED) && !c->v[s->members[i].field].given)
            return api_fail(c, 400, "missing_value", f->name, "'%s' is missing from the %s.",
                            f->name, where);
    }
    return 0;
}

static int is_json(tp_str type)
{
    size_t n = str_find(type, ';');
    return str_ieq(str_trim(str_make(type.ptr, n)), STR("application/json"));
}

int api_read_body(api_call *c, const api_schema *s)
{
    const api_request *r = c->r;
    json_tape tape = {.max_depth = BODY_DEPTH, .max = BODY_TOKENS};
    json_error fault = {0};
    tp_doc d;
    if (c->kind != API_SOCKET && r->body.len && !is_json(r->type))
        return api_fail(c, 415, "unsupported_media_type", NULL,
                        "The body must be JSON, with 'Content-Type: application/json'.");
    if (str_trim(r->body).len == 0)
        return api_fail(c, 400, "missing_body", NULL, "This request needs a body: a JSON object.");
    int rc = json_scan_doc(r->body, &tape, c->mem, &d, &fault);
    json_tape_free(&tape);
    if (rc < 0 && json_no_memory(&fault))
        return -1;
    if (rc < 0)
        return api_fail(c, 400, "invalid_json", NULL,
                        "The body is not valid JSON (line %u, column %u): %s.", fault.line,
                        fault.column, fault.what);
    if (json_kind(&d, 0) != TP_OBJECT)
        return api_fail(c, 400, "invalid_json", NULL, "The body must be a JSON object.");
    rc = read_object(c, s, &d, 0, "the body");
    return rc ? rc : required(c, s, "body");
}

static int query_value(api_call *c, const api_field *f, tp_str text, api_value *v)
{
    v->text = text;
    switch (f->kind) {
    case API_INT:
        return str_to_i64(text, &v->number) < 0 || !in_range(f, v->number);
    case API_TIME:
        return api_time_parse(text, &v->number) < 0;
    case API_WORD:
        return word_of(f, text, &v->number) < 0;
    default:
        (void)c;
        return !text_fits(f, text);
    }
}

int api_read_query(api_call *c, const api_schema *s)
{
    tp_str rest = c->r->query;
    while (rest.len) {
        size_t end = str_find(rest, '&');
        tp_str pair = str_make(rest.ptr, end);
        rest = str_skip(rest, end + 1);
        size_t eq = str_find(pair, '=');
        if (pair.len == 0)
            continue;
        tp_str name = api_decode(c->mem, str_make(pair.ptr, eq), 1);
        tp_str value = api_decode(c->mem, str_skip(pair, eq + 1), 1);
        if (!name.ptr || !value.ptr)
            return api_fail(c, 400, "invalid_query", NULL,
                            "The query is not readable: percent-encode it as UTF-8.");
        const api_member *m = member_of(s, name);
        if (!m && c->row->mount != WORLD_ADMIN)
            continue; /* the surfaces' clients may send what other gateways know */
        if (!m)
            return unknown_member(c, s, name, "the query");
        api_value *v = &c->v[m->field];
        const api_field *f = api_field_of(m->field);
        if (v->given)
            return api_fail(c, 400, "invalid_query", f->name, "'%s' stands twice in the query.",
                            f->name);
        if (value.len == 0)
            continue; /* "?team=" is no filter; a required one is missing then */
        v->given = 1;
        if (query_value(c, f, value, v))
            return wrong(c, f, 0);
    }
    return required(c, s, "query");
}

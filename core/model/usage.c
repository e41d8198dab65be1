#include "model/usage.h"

#include <string.h>

#include "base/str.h"

/* A unit's name as it is stored: cut, and zeros behind it. Names are compared as words. */
typedef struct unit {
    uint64_t word[3];
} unit;
_Static_assert(sizeof(unit) == sizeof(((usage_class *)0)->unit), "a name fills its field");

static unit unit_make(tp_str name)
{
    unit u = {{0}};
    size_t n = TP_MIN(name.len, sizeof(u) - 1);
    const char *end = n ? memchr(name.ptr, 0, n) : NULL; /* a name ends at a zero byte */
    str_copy((char *)&u, name.ptr, end ? (size_t)(end - name.ptr) : n);
    return u;
}

static unit unit_of(const usage_class *c)
{
    unit u;
    memcpy(&u, c->unit, sizeof(u));
    return u;
}

static int unit_is(const usage_class *c, const unit *u)
{
    unit have = unit_of(c);
    return ((have.word[0] ^ u->word[0]) | (have.word[1] ^ u->word[1]) |
            (have.word[2] ^ u->word[2])) == 0;
}

static usage_class *class_find(const usage *u, const unit *name)
{
    for (uint32_t i = 0; i < u->count; i++)
        if (unit_is(&u->classes[i], name))
            return (usage_class *)&u->classes[i];
    return NULL;
}

/* The class of that name, a new one of count 0 if need be; NULL: no room. */
static usage_class *class_of(usage *u, const unit *name)
{
    usage_class *c = class_find(u, name);
    if (c || u->count == USAGE_CLASSES)
        return c;
    c = &u->classes[u->count++];
    memcpy(c->unit, name, sizeof(*name));
    c->count = 0;
    return c;
}

int usage_set(usage *u, tp_str unit_name, int64_t count)
{
    unit name = unit_make(unit_name);
    usage_class *c = class_of(u, &name);
    if (!c)
        return -1;
    c->count = count;
    return 0;
}

int64_t usage_get(const usage *u, tp_str unit_name)
{
    unit name = unit_make(unit_name);
    const usage_class *c = class_find(u, &name);
    return c ? c->count : 0;
}

tp_str usage_plain(const usage_class *c)
{
    return str_make(c->unit, strcspn(c->unit, ":"));
}

int64_t usage_all(const usage *u, tp_str unit_name)
{
    int64_t sum = 0;
    for (uint32_t i = 0; i < u->count; i++) {
        const usage_class *c = &u->classes[i];
        if (c->count > 0 && str_eq(usage_plain(c), unit_name) &&
            __builtin_add_overflow(sum, c->count, &sum))
            sum = INT64_MAX;
    }
    return sum;
}

static int64_t sum_of(const usage *u, const char *const *units)
{
    int64_t sum = 0;
    for (; *units; units++)
        if (__builtin_add_overflow(sum, usage_all(u, str_of(*units)), &sum))
            return INT64_MAX;
    return sum;
}

int64_t usage_tokens_in(const usage *u)
{
    static const char *const units[] = {"prompt", "cache_read", "cache_write", "audio_prompt", NULL};
    return sum_of(u, units);
}

int64_t usage_tokens_out(const usage *u)
{
    static const char *const units[] = {"completion", "reasoning", "audio_completion", NULL};
    return sum_of(u, units);
}

void usage_add(usage *u, const usage *more)
{
    for (uint32_t i = 0; i < more->count; i++) {
        unit name = unit_of(&more->classes[i]);
        usage_class *c = class_of(u, &name);
        if (c && __builtin_add_overflow(c->count, more->classes[i].count, &c->count))
            c->count = INT64_MAX;
    }
}

int64_t money_round(money_exact sum)
{
    /* floor((sum + 0.5)): half up also below zero, so that a refund undoes its charge's rounding
     * the same way on every path. */
    money_exact half = sum + 500000;
    money_exact q = half / 1000000;
    if (half < 0 && half % 1000000 != 0)
        q--;
    if (q > INT64_MAX)
        return INT64_MAX;
    if (q < INT64_MIN)
        return INT64_MIN;
    return (int64_t)q;
}

size_t money_print(char out[40], int64_t nano)
{
    char digits[24];
    size_t n = 0, at = 0;
    uint64_t v = nano < 0 ? 0 - (uint64_t)nano : (uint64_t)nano;
    uint64_t whole = v / 1000000000u, part = v % 1000000000u;
    if (nano < 0)
        out[at++] = '-';
    do {
        digits[n++] = (char)('0' + whole % 10);
        whole /= 10;
    } while (whole);
    while (n)
        out[at++] = digits[--n];
    if (part) {
        out[at++] = '.';
        for (uint64_t place = 100000000u; part; place /= 10) {
            out[at++] = (char)('0' + part / place);
            part %= place;
        }
    }
    out[at] = 0;
    return at;
}

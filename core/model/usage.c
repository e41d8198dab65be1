#include "model/usage.h"

#include "base/str.h"

static tp_str unit_of(const usage_class *c)
{
    return (tp_str){c->unit, strnlen(c->unit, sizeof(c->unit))};
}

/* A name longer than the field is compared as it was stored: cut. */
static tp_str unit_cut(tp_str unit)
{
    unit.len = TP_MIN(unit.len, sizeof(((usage_class *)0)->unit) - 1);
    return unit;
}

static usage_class *class_find(const usage *u, tp_str unit)
{
    unit = unit_cut(unit);
    for (uint32_t i = 0; i < u->count; i++)
        if (str_eq(unit_of(&u->classes[i]), unit))
            return (usage_class *)&u->classes[i];
    return NULL;
}

int usage_set(usage *u, tp_str unit, int64_t count)
{
    usage_class *c = class_find(u, unit);
    if (!c) {
        if (u->count == USAGE_CLASSES)
            return -1;
        unit = unit_cut(unit);
        c = &u->classes[u->count++];
        memset(c, 0, sizeof(*c));
        if (unit.len)
            memcpy(c->unit, unit.ptr, unit.len);
    }
    c->count = count;
    return 0;
}

int64_t usage_get(const usage *u, tp_str unit)
{
    const usage_class *c = class_find(u, unit);
    return c ? c->count : 0;
}

void usage_add(usage *u, const usage *more)
{
    for (uint32_t i = 0; i < more->count; i++) {
        tp_str unit = unit_of(&more->classes[i]);
        int64_t sum;
        if (__builtin_add_overflow(usage_get(u, unit), more->classes[i].count, &sum))
            sum = INT64_MAX;
        usage_set(u, unit, sum);
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

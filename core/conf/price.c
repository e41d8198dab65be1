/* Prices: what a unit's name says, and what it costs. */
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "conf/conf_int.h"

/* ---- Units. */
tp_str conf_unit_plain(tp_str unit, int64_t *above)
{
    size_t at = unit.len;
    int64_t n = 0;
    *above = 0;
    while (at && unit.ptr[at - 1] >= '0' && unit.ptr[at - 1] <= '9')
        at--;
    /* At most nine digits: no sum can overflow. */
    if (at < 2 || unit.ptr[at - 1] != '@' || at == unit.len || unit.len - at > 9 ||
        unit.ptr[at] == '0')
        return unit;
    for (size_t i = at; i < unit.len; i++)
        n = n * 10 + (unit.ptr[i] - '0');
    *above = n;
    return str_make(unit.ptr, at - 1);
}

tp_str conf_unit_kind(tp_str unit)
{
    static const struct {
        tp_str unit, kind;
    } kinds[] = {{{"cache_read", 10}, {"prompt", 6}},
                 {{"cache_write", 11}, {"prompt", 6}},
                 {{"billed_prompt", 13}, {"prompt", 6}},
                 {{"reasoning", 9}, {"completion", 10}},
                 {{"billed_completion", 17}, {"completion", 10}}};
    size_t colon = str_find(unit, ':');
    if (colon < unit.len)
        return str_make(unit.ptr, colon);
    for (size_t i = 0; i < TP_COUNT(kinds); i++)
        if (str_eq(unit, kinds[i].unit))
            return kinds[i].kind;
    return STR_NONE;
}

int conf_price_parse(tp_str s, int64_t *out)
{
    enum { DECIMALS = 15 }; /* 9 of a nano-dollar, 6 of a million units */
    int64_t v = 0;
    size_t dot = str_find(s, '.'), decimals = 0;
    if (dot == 0 || dot + 1 == s.len)
        return -1;
    for (size_t i = 0; i < s.len; i++) {
        if (i == dot)
            continue;
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return -1;
    }
    for (size_t i = 0; i < s.len; i++) {
        if (i == dot)
            continue;
        if (i > dot && ++decimals > DECIMALS) {
            if (s.ptr[i] != '0')
                return -2;
        } else if (__builtin_mul_overflow(v, 10, &v) ||
                   __builtin_add_overflow(v, s.ptr[i] - '0', &v)) {
            return -3;
        }
    }
    for (; decimals < DECIMALS; decimals++)
        if (__builtin_mul_overflow(v, 10, &v))
            return -3;
    *out = v;
    return 0;
}

/* ---- Lists. */

/* What a threshold that is none was meant to be: "@200k", "@200_000" and "@0200000" are 200000, "@1M"
 * is 1000000. 0: no idea, as of "@1.5M", where nobody groups digits. */
static int64_t meant(tp_str s)
{
    int64_t n = 0;
    int grouped = 0;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        int last = i + 1 == s.len;
        if (c >= '0' && c <= '9')
            n = n * 10 + (c - '0');
        else if (i && last && !grouped && (c == 'k' || c == 'K'))
            n *= 1000;
        else if (i && last && !grouped && (c == 'm' || c == 'M'))
            n *= 1000000;
        else if (!i || last || !strchr("_,.' ", c) || !c)
            return 0;
        else
            grouped = 1;
        if (n > CONF_PRICE_ABOVE_MAX)
            return 0;
    }
    return n;
}

static int wrong_threshold(conf_loader *l, conf_node key, const conf_path *path, tp_str unit)
{
    char near[200] = "";
    size_t at = str_find(unit, '@');
    int64_t n = meant(str_skip(unit, at + 1));
    if (n)
        snprintf(near, sizeof(near), "; did you mean '%.*s@%lld'?", (int)TP_MIN(at, (size_t)100),
                 unit.ptr, (long long)n);
    return conf_fail(l, key,
                     "%s: expected behind the '@' the number of prompt tokens above which the price "
                     "counts, 1 to %d without leading zeros, such as \"prompt@200000\", found %s%s",
                     conf_path_text(path).s, CONF_PRICE_ABOVE_MAX, conf_found(key).s, near);
}

/* Units are an open set (a plugin may count what it likes), but a slip would make tokens free. */
static void check_unit(conf_loader *l, conf_node key, const conf_path *path, tp_str unit)
{
    tp_str word = str_make(unit.ptr, TP_MIN(str_find(unit, ':'), str_find(unit, '@')));
    conf_guess g = conf_guess_begin(word);
    for (const char *const *u = conf_price_units; *u; u++)
        conf_guess_offer(&g, str_of(*u));
    g.known_len = 0;
    if (g.distance > 0 && conf_guess_text(&g, "").s[0])
        conf_notice(l, "%s: %s: '%.*s' is not one of the well-known units%s",
                    conf_where(conf_place_of(key)).s, conf_path_text(path).s, STR_ARG(word),
                    conf_guess_text(&g, "").s);
}

static int read_unit(conf_loader *l, conf_node key, const conf_path *path, tp_str *out)
{
    static const char pattern[] = "^[a-z][a-z0-9_]*(:[A-Za-z0-9_.:-]+)?(@.*)?$";
    int64_t above;
    int rc = conf_string(l, key, path, "a unit", out);
    if (rc)
        return rc;
    if (!conf_match(l, pattern, *out))
        return conf_fail(l, key,
                         "%s: expected a unit such as \"prompt\", \"images:1024x1024\" or "
                         "\"prompt@200000\", found %s",
                         conf_path_text(path).s, conf_found(key).s);
    tp_str plain = conf_unit_plain(*out, &above);
    if (str_find(plain, '@') < plain.len)
        return wrong_threshold(l, key, path, *out);
    check_unit(l, key, path, *out);
    return 0;
}

static int read_price(conf_loader *l, conf_node n, const conf_path *path, conf_price *out)
{
    static const char expect[] = "a price in US dollars a unit as a decimal string, "
                                 "such as \"0.00000059\"";
    tp_str s;
    int rc = conf_string(l, n, path, expect, &s);
    if (rc)
        return rc;
    rc = conf_price_parse(s, &out->nano_per_million);
    if (rc == -2)
        return conf_fail(l, n, "%s: expected %s; %s has more than 15 decimals",
                         conf_path_text(path).s, expect, conf_found(n).s);
    if (rc == -3)
        return conf_fail(l, n, "%s: expected %s; %s is too large: at most 9223 dollars a unit",
                         conf_path_text(path).s, expect, conf_found(n).s);
    if (rc)
        return conf_fail(l, n, "%s: expected %s, found %s", conf_path_text(path).s, expect,
                         conf_found(n).s);
    return 0;
}

/* Below every threshold a unit must have a price too, its own or its kind's: with the one above
 * alone, all shorter requests would be free. */
static int check_plain(conf_loader *l, conf_node n, const conf_path *path, const conf_price *list,
                       uint32_t count)
{
    uint32_t k = n.t + 1;
    for (uint32_t i = 0; i < count; i++, k = n.s->doc.tokens[k + 1].next) {
        int64_t above;
        int found = 0;
        tp_str plain = conf_unit_plain(list[i].unit, &above);
        for (tp_str u = plain; above && !found && u.len; u = conf_unit_kind(u))
            for (uint32_t j = 0; j < count; j++)
                found |= str_eq(list[j].unit, u);
        if (above && !found)
            return conf_fail(l, conf_child(n, k),
                             "%s: \"%.*s\" is the price above %lld prompt tokens; expected a price "
                             "up to there beside it, \"%.*s\"",
                             conf_path_text(path).s, STR_ARG(list[i].unit), (long long)above,
                             STR_ARG(plain));
    }
    return 0;
}

int conf_field_prices(conf_loader *l, conf_node n, const conf_path *path, const conf_field *f,
                      void *item)
{
    const tp_doc *d = &n.s->doc;
    uint32_t count = 0;
    if (json_kind(d, n.t) != TP_OBJECT)
        return conf_fail(l, n,
                         "%s: expected an object of prices, such as {\"prompt\": "
                         "\"0.00000059\"}, found %s",
                         conf_path_text(path).s, conf_found(n).s);
    for (uint32_t k = n.t + 1; k < d->tokens[n.t].next; k = d->tokens[k + 1].next)
        count++;
    conf_price *list = conf_mem(l, count * sizeof(*list)), *p = list;
    int rc = 0;
    for (uint32_t k = n.t + 1; rc == 0 && k < d->tokens[n.t].next; k = d->tokens[k + 1].next, p++) {
        rc = read_unit(l, conf_child(n, k), path, &p->unit);
        conf_path below = {.up = path, .name = p->unit};
        rc = rc ? rc : read_price(l, conf_child(n, k + 1), &below, p);
    }
    rc = rc ? rc : check_plain(l, n, path, list, count);
    if (rc)
        return rc;
    *(conf_price **)(void *)((char *)item + f->at) = list;
    *(uint32_t *)(void *)((char *)item + f->count_at) = count;
    return 0;
}

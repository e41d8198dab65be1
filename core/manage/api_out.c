/* Writers of replies: JSON members with a comma where one is due. */
#include <stdio.h>
#include <time.h>

#include "manage/manage_int.h"

static void raw(api_out *o, tp_str s)
{
    if (o->rc == 0)
        o->rc = buf_adds(o->b, s);
}

static void begin(api_out *o, const char *name)
{
    if (o->comma)
        raw(o, STR(","));
    o->comma = 1;
    if (!name)
        return;
    if (o->rc == 0)
        o->rc = buf_json_string(o->b, str_of(name));
    raw(o, STR(":"));
}

void api_open(api_out *o, const char *name, char bracket)
{
    begin(o, name);
    raw(o, str_make(&bracket, 1));
    o->comma = 0;
}

void api_close(api_out *o, char bracket)
{
    raw(o, str_make(&bracket, 1));
    o->comma = 1;
}

void api_text(api_out *o, const char *name, tp_str v)
{
    begin(o, name);
    if (o->rc == 0)
        o->rc = buf_json_string(o->b, v);
}

void api_null(api_out *o, const char *name)
{
    begin(o, name);
    raw(o, STR("null"));
}

void api_text_or_null(api_out *o, const char *name, tp_str v)
{
    if (v.len)
        api_text(o, name, v);
    else
        api_null(o, name);
}

void api_int(api_out *o, const char *name, int64_t v)
{
    begin(o, name);
    if (o->rc == 0)
        o->rc = buf_printf(o->b, "%lld", (long long)v);
}

void api_int_or_null(api_out *o, const char *name, int64_t v)
{
    if (v < 0)
        api_null(o, name);
    else
        api_int(o, name, v);
}

void api_bool(api_out *o, const char *name, int v)
{
    begin(o, name);
    raw(o, v ? STR("true") : STR("false"));
}

void api_list(api_out *o, const char *name, const tp_str *list, uint32_t count)
{
    api_open(o, name, '[');
    for (uint32_t i = 0; i < count; i++)
        api_text(o, NULL, list[i]);
    api_close(o, ']');
}

size_t api_time_print(char out[24], int64_t unix_ms)
{
    struct tm tm;
    time_t s = (time_t)(unix_ms / 1000);
    if (!gmtime_r(&s, &tm))
        tm = (struct tm){.tm_mday = 1, .tm_year = 70};
    return strftime(out, 24, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

void api_time(api_out *o, const char *name, int64_t unix_ms)
{
    char text[24];
    if (unix_ms <= 0) {
        api_null(o, name);
        return;
    }
    size_t n = api_time_print(text, unix_ms);
    api_text(o, name, str_make(text, n));
}

void api_money(api_out *o, const char *name, int64_t nano)
{
    char text[40];
    size_t n = money_print(text, nano);
    api_text(o, name, str_make(text, n));
}

void api_money_number(api_out *o, const char *name, int64_t nano)
{
    char text[40];
    begin(o, name);
    raw(o, str_make(text, money_print(text, nano)));
}

void api_money_cents(api_out *o, const char *name, int64_t nano)
{
    char text[44];
    size_t n = money_print(text, nano);
    size_t point = str_find(str_make(text, n), '.');
    if (point == n)
        text[n++] = '.';
    while (n - point < 3)
        text[n++] = '0';
    begin(o, name);
    raw(o, str_make(text, n));
}

void api_money_as(api_out *o, int admin, const char *name, int64_t nano, int present)
{
    if (!present)
        api_null(o, name);
    else if (admin)
        api_money(o, name, nano);
    else
        api_money_number(o, name, nano);
}

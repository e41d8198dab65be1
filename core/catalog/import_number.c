/* Numbers of the data sets, exactly: as decimal digits and an exponent. */
#include "catalog/import_int.h"

__extension__ typedef unsigned __int128 wide;
typedef struct decimal { /* digits * 10^exponent */
    wide digits;
    int exponent, negative;
} decimal;

/* JSON's number grammar is checked already; what is left is size. -1: more than 36 digits that
 * count, or an exponent of another world. */
static int decimal_read(tp_str s, decimal *out)
{
    size_t i = 0;
    int64_t exponent = 0;
    int after_point = 0, count = 0;
    *out = (decimal){.digits = 0};
    if (s.len && s.ptr[0] == '-') {
        out->negative = 1;
        i++;
    }
    for (; i < s.len && s.ptr[i] != 'e' && s.ptr[i] != 'E'; i++) {
        if (s.ptr[i] == '.') {
            after_point = 1;
            continue;
        }
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return -1;
        if (out->digits || s.ptr[i] != '0')
            count++;
        if (count > 36)
            return -1;
        out->digits = out->digits * 10 + (unsigned)(s.ptr[i] - '0');
        exponent -= after_point;
    }
    if (i < s.len) {
        int64_t e = 0;
        tp_str rest = str_skip(s, i + 1);
        int minus = rest.len && rest.ptr[0] == '-';
        if (rest.len && (rest.ptr[0] == '-' || rest.ptr[0] == '+'))
            rest = str_skip(rest, 1);
        if (str_to_i64(rest, &e) || e > 100000)
            return -1;
        exponent += minus ? -e : e;
    }
    if (exponent < -200000 || exponent > 200000)
        return -1;
    out->exponent = (int)exponent;
    return 0;
}

/* digits * 10^power as a 64-bit integer, rounded half up. 0, 1 (rounded), -2 (too large). */
static int scaled(wide digits, int power, int64_t *out)
{
    const wide most = (wide)INT64_MAX;
    int half = 0, rest = 0;
    if (!digits) {
        *out = 0;
        return 0;
    }
    for (; power > 0; power--) {
        if (digits > most)
            return -2;
        digits *= 10;
    }
    for (; power < 0 && (digits || half); power++) {
        rest |= half != 0;
        half = (int)(digits % 10);
        digits /= 10;
    }
    if (half >= 5)
        digits++;
    if (digits > most)
        return -2;
    *out = (int64_t)digits;
    return rest || half;
}

int catalog_number_price(tp_str number, int shift, int64_t *out)
{
    decimal d;
    if (decimal_read(number, &d))
        return -2;
    if (d.negative && d.digits)
        return -1;
    return scaled(d.digits, d.exponent + shift + 15, out); /* nano-dollars a million units: 1e-15 */
}

int catalog_number_whole(tp_str number, int64_t *out)
{
    decimal d;
    if (decimal_read(number, &d) || (d.negative && d.digits))
        return -1;
    return scaled(d.digits, d.exponent, out) == 0 ? 0 : -1;
}

/* ---- Days. */

static int digits_at(tp_str s, size_t at, size_t n, int64_t *out)
{
    return at + n <= s.len && str_to_i64(str_make(s.ptr + at, n), out) == 0;
}

static int64_t day(int64_t year, int64_t month, int64_t d)
{
    static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (year < 1970 || year > 9999 || month < 1 || month > 12 || d < 1)
        return -1;
    int leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    if (d > lengths[month - 1] + (leap && month == 2))
        return -1;
    int64_t past = year - 1, days = (year - 1970) * 365 + past / 4 - past / 100 + past / 400 -
                                    (1969 / 4 - 1969 / 100 + 1969 / 400);
    for (int64_t i = 0; i + 1 < month; i++)
        days += lengths[i] + (leap && i == 1);
    return (days + d - 1) * 86400;
}

int64_t catalog_date(tp_str s)
{
    int64_t y, m, d = 1;
    if ((s.len != 7 && s.len != 10) || !digits_at(s, 0, 4, &y) || s.ptr[4] != '-' ||
        !digits_at(s, 5, 2, &m))
        return -1;
    if (s.len == 10 && (s.ptr[7] != '-' || !digits_at(s, 8, 2, &d)))
        return -1;
    return day(y, m, d);
}

size_t catalog_date_at_end(tp_str id, int64_t *unix_s)
{
    int64_t y, m, d;
    if (id.len > 9) {
        size_t at = id.len - 8;
        if ((id.ptr[at - 1] == '-' || id.ptr[at - 1] == '@') && digits_at(id, at, 4, &y) &&
            digits_at(id, at + 4, 2, &m) && digits_at(id, at + 6, 2, &d) && day(y, m, d) >= 0) {
            *unix_s = day(y, m, d);
            return 9;
        }
    }
    if (id.len > 11 && id.ptr[id.len - 11] == '-') {
        int64_t at = catalog_date(str_skip(id, id.len - 10));
        if (at >= 0) {
            *unix_s = at;
            return 11;
        }
    }
    return 0;
}

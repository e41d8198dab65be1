#include "conf/conf_int.h"

/* Past the string that begins at i, or n when it does not end: the scanner says so later. */
static size_t skip_string(const char *p, size_t n, size_t i)
{
    for (i++; i < n && p[i] != '"' && p[i] != '\n'; i++)
        if (p[i] == '\\')
            i++;
    return i < n ? i + 1 : n;
}

static void blank(char *p, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        if (p[i] != '\n' && p[i] != '\r')
            p[i] = ' ';
}

static size_t comment_end(const char *p, size_t n, size_t i)
{
    if (p[i + 1] == '/') {
        const char *end = memchr(p + i, '\n', n - i);
        return end ? (size_t)(end - p) : n;
    }
    for (size_t j = i + 2; j + 1 < n; j++)
        if (p[j] == '*' && p[j + 1] == '/')
            return j + 2;
    return 0;
}

int conf_jsonc_blank(char *p, size_t n, size_t *at, const char **what)
{
    size_t comma = n;  /* the comma that came last, when nothing followed it yet */
    char before = '['; /* what stood before it: "[,]" is no trailing comma */
    char last = '[';   /* the last character that is neither space nor comment */
    for (size_t i = 0; i < n;) {
        char c = p[i];
        if (c == '/' && i + 1 < n && (p[i + 1] == '/' || p[i + 1] == '*')) {
            size_t end = comment_end(p, n, i);
            if (!end) {
                *at = i;
                *what = "this comment does not end; expected '*/'";
                return -1;
            }
            blank(p, i, end);
            i = end;
            continue;
        }
        if (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
            i++;
            continue;
        }
        if ((c == '}' || c == ']') && comma < n && before != '[' && before != '{' &&
            before != ',' && before != ':')
            p[comma] = ' ';
        comma = n;
        if (c == ',') {
            comma = i;
            before = last;
        }
        last = c;
        i = c == '"' ? skip_string(p, n, i) : i + 1;
    }
    return 0;
}

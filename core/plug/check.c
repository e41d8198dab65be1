/* What a plugin may not put into a header or a path: it is trusted with its request's bytes, not with
 * the connection that they travel on. And what its words become. */
#include "plug/plug_int.h"

/* Framing, the connection, and what the host itself says or must be able to undo. */
static int is_hosts(tp_str name)
{
#define IS(lit) str_ieq(name, STR(lit))
    switch (name.len) {
    case 2: return IS("te");
    case 4: return IS("host");
    case 6: return IS("expect");
    case 7: return IS("trailer") || IS("upgrade");
    case 10: return IS("connection") || IS("keep-alive");
    case 14: return IS("content-length") || IS("http2-settings");
    case 15: if (IS("accept-encoding")) return 1; break;
    case 17: if (IS("transfer-encoding")) return 1; break;
    default: break;
    }
#undef IS
    return name.len > 6 && (name.ptr[0] | 0x20) == 'p' &&
           str_ieq(str_make(name.ptr, 6), STR("proxy-"));
}

const char *plug_check_header(tp_str name, tp_str value)
{
    if (name.len == 0 || name.len > 256)
        return "a header's name has 1 to 256 bytes";
    if (!str_is_token(name))
        return "a header's name may hold letters, digits and -_.!#$%&'*+^`|~ only";
    if (is_hosts(name))
        return "this header is the host's own to set; leave it out";
    if (!str_has_control(value))
        return NULL;
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.ptr[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return "a header's value may not hold control characters or line ends";
    }
    return NULL;
}

const char *plug_check_method(tp_str method)
{
    for (size_t i = 0; i < method.len; i++)
        if (method.ptr[i] < 'A' || method.ptr[i] > 'Z')
            return "a method is written in capital letters, such as POST";
    if (method.len == 0 || method.len > 16)
        return "a method has 1 to 16 letters";
    if (str_eq(method, STR("CONNECT")) || str_eq(method, STR("TRACE")))
        return "CONNECT and TRACE are not for plugins";
    return NULL;
}

/* One character of a path, with %2e, %2f and %5c undone as a lenient server would. */
static char path_char(tp_str s, size_t *i)
{
    char c = s.ptr[(*i)++];
    if (c != '%' || *i + 2 > s.len)
        return c;
    char hi = s.ptr[*i], lo = (char)(s.ptr[*i + 1] | 0x20);
    char plain = hi == '2' && lo == 'e' ? '.' : hi == '2' && lo == 'f' ? '/' :
                 hi == '5' && lo == 'c' ? '\\' : 0;
    if (!plain)
        return c;
    *i += 2;
    return plain;
}

/* Letters, digits, '-', '_' and single slashes? Nearly all paths are no more than that. */
static int is_plain_path(tp_str path)
{
    char before = 0;
    for (size_t i = 0; i < path.len; i++) {
        char c = path.ptr[i];
        if (!((unsigned char)((c | 0x20) - 'a') < 26 || (unsigned char)(c - '0') < 10 || c == '-' ||
              c == '_' || (c == '/' && before != '/')))
            return 0;
        before = c;
    }
    return 1;
}

const char *plug_check_path(tp_str path)
{
    if (path.len == 0 || path.ptr[0] != '/')
        return "a path begins with '/'; scheme and host come from the option base_url";
    if (path.len > 8192)
        return "a path has 8192 bytes at most";
    if (is_plain_path(path))
        return NULL;
    size_t end = str_find(path, '?');
    for (size_t i = 0; i < path.len; i++) {
        unsigned char c = (unsigned char)path.ptr[i];
        if (c <= 0x20 || c >= 0x7f)
            return "a path may not hold spaces, control characters or bytes beyond ASCII; "
                   "percent-encode them";
        if (c == '#' || c == '\\')
            return "a path may not hold '#' or '\\'; percent-encode them";
    }
    /* A path that climbs out would reach what lies beside the configured base URL, with its
     * secret; one that begins with "//" could be read as another host. */
    char before = 0;
    tp_str s = str_make(path.ptr, end);
    for (size_t i = 0; i < s.len;) {
        int raw = s.ptr[i] == '/';
        char c = path_char(s, &i);
        if (c == '.' && before == '.')
            return "a path may not hold \"..\", also not percent-encoded";
        if (raw && before == '/')
            return "a path may not hold \"//\"";
        before = c;
    }
    return NULL;
}

tp_str plug_clean(plug_call *c, tp_str s, size_t max)
{
    if (!s.ptr || s.len == 0)
        return STR_NONE;
    if (s.len > max) {
        s.len = max;
        while (s.len && ((unsigned char)s.ptr[s.len] & 0xc0) == 0x80)
            s.len--;
    }
    char *p = arena_dup(&c->scratch->mem, s.ptr, s.len);
    if (!p)
        return STR_NONE;
    int utf8 = json_utf8_valid(s);
    for (size_t i = 0; i < s.len; i++) {
        unsigned char b = (unsigned char)p[i];
        if (b < 0x20 || b == 0x7f)
            p[i] = ' ';
        else if (b >= 0x80 && !utf8)
            p[i] = '?';
    }
    return str_make(p, s.len);
}

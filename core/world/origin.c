#include <stdio.h>

#include "base/hash.h"
#include "base/str.h"
#include "world/world_int.h"

static int bad(tp_error *err, tp_str url, const char *why)
{
    return tp_error_set(err, TP_ERROR_CONFIG,
                        "base_url '%.*s' %s; write it as https://api.example.com/v1", STR_ARG(url),
                        why);
}

/* Splits "host", "host:port" or "[v6]:port". */
static int split_authority(tp_str url, tp_str text, tp_str *host, tp_str *port, tp_error *err)
{
    *port = STR_NONE;
    if (text.len && text.ptr[0] == '[') {
        size_t end = str_find(text, ']');
        if (end == text.len)
            return bad(err, url, "has an address without ']'");
        *host = str_make(text.ptr + 1, end - 1);
        text = str_skip(text, end + 1);
        if (text.len && text.ptr[0] != ':')
            return bad(err, url, "has something other than a port after ']'");
        if (text.len)
            *port = str_skip(text, 1);
    } else {
        size_t colon = str_find(text, ':');
        *host = str_make(text.ptr, colon);
        if (colon < text.len)
            *port = str_skip(text, colon + 1);
        if (port->ptr && str_find(*port, ':') < port->len)
            return bad(err, url, "has more than one ':'; an IPv6 address stands in brackets");
    }
    return host->len ? 0 : bad(err, url, "has no host");
}

static int host_ok(tp_str host)
{
    for (size_t i = 0; i < host.len; i++) {
        unsigned char c = (unsigned char)host.ptr[i];
        if (c <= ' ' || c >= 0x7f || strchr("/\\@?#[]<>\"'{}|^`%", c))
            return 0;
    }
    return 1;
}

static int path_ok(tp_str path)
{
    for (size_t i = 0; i < path.len; i++) {
        unsigned char c = (unsigned char)path.ptr[i];
        if (c <= ' ' || c >= 0x7f || c == '?' || c == '#')
            return 0;
    }
    return 1;
}

/* Connections are shared by what is equal in all of these, also over reloads. */
static uint64_t pool_of(const up_origin *o)
{
    tp_str parts[] = {o->tls ? STR("https") : STR("http"), o->host, o->ca_file, o->proxy};
    uint64_t h = hash_mix((uint64_t)(uint32_t)o->port << 1 | (uint64_t)(o->http2 != 0));
    for (uint32_t i = 0; i < TP_COUNT(parts); i++)
        h = hash_mix(h ^ hash_name(parts[i])) + i;
    return h;
}

/* With a NUL behind it, which name resolution and curl want. */
static tp_str terminated(arena *a, tp_str s)
{
    char *p = arena_alloc(a, s.len + 1);
    TP_MUST(p);
    memcpy(p, s.ptr, s.len);
    p[s.len] = 0;
    return str_make(p, s.len);
}

int world_origin(up_origin *out, tp_str base_url, const conf_provider *p, arena *a, tp_error *err)
{
    *out = (up_origin){.url = base_url, .base_path = STR(""), .proxy = STR(""), .ca_file = STR("")};
    tp_str rest = base_url, host, port;
    if (str_starts(base_url, STR("https://")))
        out->tls = 1;
    else if (!str_starts(base_url, STR("http://")))
        return bad(err, base_url, "begins with neither http:// nor https://");
    rest = str_skip(rest, out->tls ? 8 : 7);
    size_t slash = str_find(rest, '/');
    tp_str path = str_skip(rest, slash), authority = str_make(rest.ptr, slash);
    if (str_find(authority, '@') < authority.len)
        return bad(err, base_url, "has a user name; the secret belongs into api_key");
    if (split_authority(base_url, authority, &host, &port, err) < 0)
        return TP_ERROR_CONFIG;
    if (!host_ok(host))
        return bad(err, base_url, "has a character in its host that no host has");
    if (!path_ok(path))
        return bad(err, base_url, "has a query, a fragment, a space or bytes beyond ASCII");
    int64_t number = out->tls ? 443 : 80;
    if (port.ptr && (str_to_i64(port, &number) < 0 || number < 1 || number > 65535))
        return bad(err, base_url, "has a port that is no number from 1 to 65535");
    while (path.len && path.ptr[path.len - 1] == '/')
        path.len--;

    out->port = (int32_t)number;
    out->http2 = p->http2;
    out->max_connections = p->max_connections;
    if (p->proxy.len)
        out->proxy = p->proxy;
    if (p->ca_file.len)
        out->ca_file = p->ca_file;
    out->host = terminated(a, host);
    if (path.len)
        out->base_path = terminated(a, path);
    const char *open = str_find(host, ':') < host.len ? "[" : "";
    const char *close = *open ? "]" : "";
    char port_text[8] = "";
    if (number != (out->tls ? 443 : 80))
        snprintf(port_text, sizeof(port_text), ":%d", (int)out->port);
    out->authority = arena_printf(a, "%s%.*s%s%s%c", open, STR_ARG(host), close, port_text, 0);
    TP_MUST(out->authority.ptr);
    out->authority.len--;
    out->pool = pool_of(out);
    return 0;
}

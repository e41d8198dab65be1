/* Values that no general type covers: secrets, headers, listeners. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "conf/conf_int.h"

const char *conf_getenv(const conf_loader *l, const char *name)
{
    const char *v = l->env.getenv ? l->env.getenv(l->env.arg, name) : getenv(name);
    return v && *v ? v : NULL;
}

/* ---- Secrets. */
/* A secret goes into a header line: a control character in it would end the line. A document does
 * not. */
static int check_secret(conf_loader *l, conf_node n, const conf_path *path, int lines,
                        const conf_secret *s)
{
    for (size_t i = 0; i < s->value.len; i++)
        if (((unsigned char)s->value.ptr[i] < 0x20 || s->value.ptr[i] == 0x7f) &&
            !(lines && strchr("\n\r\t", s->value.ptr[i]) && s->value.ptr[i]))
            return conf_fail(l, n,
                             "%s: the secret from %.*s has a control character at byte %zu; "
                             "expected %s",
                             conf_path_text(path).s, STR_ARG(s->source), i + 1,
                             lines ? "text" : "one line of text");
    return 0;
}

static int secret_env(conf_loader *l, conf_node n, const conf_path *path, conf_secret *out)
{
    static const char pattern[] = "^[A-Za-z_][A-Za-z0-9_]*$";
    tp_str name;
    int rc = conf_string(l, n, path, "the name of an environment variable", &name);
    if (rc)
        return rc;
    if (!conf_match(l, pattern, name))
        return conf_fail(l, n, "%s: expected the name of an environment variable, found %s",
                         conf_path_text(path).s, conf_found(n).s);
    const char *v = conf_getenv(l, name.ptr);
    out->source = conf_fmt(l, "env %s", name.ptr);
    if (v)
        out->value = conf_str(l, str_of(v));
    else
        out->missing = conf_fmt(l, "environment variable %s is not set", name.ptr);
    return 0;
}

static int read_secret(conf_loader *l, const char *path, buf *out)
{
    if (!l->env.read)
        return conf_slurp(path, CONF_MAX_SECRET, out, NULL);
    buf_init(out, CONF_MAX_SECRET);
    return l->env.read(l->env.arg, path, out);
}

/* The one member of an object, if it is the one of this name: its value's token, or 0. */
static uint32_t only_member(conf_node n, const char *name)
{
    const tp_doc *d = &n.s->doc;
    uint32_t k = n.t + 1;
    int one = json_kind(d, n.t) == TP_OBJECT && k < d->tokens[n.t].next &&
              d->tokens[k + 1].next == d->tokens[n.t].next;
    return one && json_string_is(d, k, str_of(name)) ? k + 1 : 0;
}

/* {"file": {"env": NAME}}: the path is what the variable holds. name->ptr NULL: it is not set, and
 * out says so. */
static int file_name(conf_loader *l, conf_node n, const conf_path *path, tp_str *name,
                     conf_secret *out)
{
    static const char expect[] = "the path of a file, or {\"env\": NAME} where it is in a variable";
    uint32_t t = only_member(n, "env");
    conf_path below = {.up = path, .name = STR("env")};
    if (!t)
        return conf_string(l, n, path, expect, name);
    int rc = secret_env(l, conf_child(n, t), &below, out);
    *name = out->value;
    out->value = STR_NONE;
    return rc;
}

static int secret_file(conf_loader *l, conf_node n, const conf_path *path, conf_secret *out)
{
    tp_str name = STR_NONE;
    buf text;
    int rc = file_name(l, n, path, &name, out);
    if (rc || !name.ptr)
        return rc;
    if (!name.len)
        return conf_fail(l, n, "%s: expected the path of a file, found an empty string",
                         conf_path_text(path).s);
    const char *file = conf_join(l, n.s->dir, name);
    out->source = conf_fmt(l, "file %s", file);
    rc = read_secret(l, file, &text);
    tp_str v = buf_str(&text);
    if (rc == 0) {
        if (str_ends(v, STR("\n")))
            v.len--;
        if (str_ends(v, STR("\r")))
            v.len--;
        if (v.len)
            out->value = conf_str(l, v);
        else
            out->missing = conf_fmt(l, "file %s is empty", file);
    } else if (rc == ENOENT) {
        out->missing = conf_fmt(l, "file %s does not exist", file);
    } else {
        out->missing = conf_fmt(l, "file %s cannot be read: %s", file,
                                rc == EINVAL  ? "it is not a regular file"
                                : rc == EFBIG ? "it is over 16 KiB"
                                              : strerror(rc));
    }
    buf_free(&text);
    return 0;
}

static int secret_literal(conf_loader *l, conf_node n, const conf_path *path, conf_secret *out)
{
    tp_str s = json_string(&n.s->doc, n.t, &l->scratch);
    if (!s.len)
        return conf_fail(l, n,
                         "%s: the secret is empty; expected a string, {\"env\": NAME} or "
                         "{\"file\": PATH}",
                         conf_path_text(path).s);
    out->value = conf_str(l, s);
    out->source = STR("literal");
    if (n.s->mode & S_IROTH)
        conf_notice(l,
                    "%s: %s is written in a file that every user of this machine can read (mode "
                    "%04o): chmod o-r it, or use {\"env\": NAME} or {\"file\": PATH}",
                    conf_where(conf_place_of(n)).s, conf_path_text(path).s, n.s->mode);
    return 0;
}

int conf_secret_parse(conf_loader *l, conf_node n, const conf_path *path, int lines,
                      conf_secret *out)
{
    int rc = 0;
    *out = (conf_secret){.value = STR_NONE};
    if (json_kind(&n.s->doc, n.t) == TP_STRING) {
        rc = secret_literal(l, n, path, out);
    } else {
        /* What was found may be the secret itself: only its kind is said. */
        uint32_t env = only_member(n, "env"), file = only_member(n, "file");
        conf_path p = {.up = path, .name = env ? STR("env") : STR("file")};
        if (env)
            rc = secret_env(l, conf_child(n, env), &p, out);
        else if (file)
            rc = secret_file(l, conf_child(n, file), &p, out);
        else
            rc = conf_fail(l, n,
                           "%s: expected a secret: a string, {\"env\": NAME} or {\"file\": "
                           "PATH}",
                           conf_path_text(path).s);
    }
    return rc ? rc : check_secret(l, n, path, lines, out);
}

/* ---- Headers. */
static int forbidden_header(tp_str name)
{
    static const char *const list[] = {
        "connection", "content-length",    "host",   "keep-alive", "te",
        "trailer",    "transfer-encoding", "upgrade"};
    for (size_t i = 0; i < TP_COUNT(list); i++)
        if (str_ieq(name, str_of(list[i])))
            return 1;
    return 0;
}

int conf_field_headers(conf_loader *l, conf_node n, const conf_path *path, const conf_field *f,
                       void *item)
{
    static const char pattern[] = "^[A-Za-z0-9!#$%&'*+.^_`|~-]+$";
    const tp_doc *d = &n.s->doc;
    uint32_t count = 0;
    if (json_kind(d, n.t) != TP_OBJECT)
        return conf_fail(l, n,
                         "%s: expected an object of headers, such as {\"x-name\": "
                         "\"value\"}, found %s",
                         conf_path_text(path).s, conf_found(n).s);
    for (uint32_t k = n.t + 1; k < d->tokens[n.t].next; k = d->tokens[k + 1].next)
        count++;
    tp_header *list = conf_mem(l, count * sizeof(*list)), *h = list;
    for (uint32_t k = n.t + 1; k < d->tokens[n.t].next; k = d->tokens[k + 1].next, h++) {
        conf_node key = conf_child(n, k);
        int rc = conf_string(l, key, path, "the name of a header", &h->name);
        if (rc)
            return rc;
        if (!conf_match(l, pattern, h->name))
            return conf_fail(l, key, "%s: expected the name of a header, found %s",
                             conf_path_text(path).s, conf_found(key).s);
        if (forbidden_header(h->name))
            return conf_fail(l, key, "%s: '%.*s' is the gateway's own to send; remove it",
                             conf_path_text(path).s, STR_ARG(h->name));
        conf_path below = {.up = path, .name = h->name};
        rc = conf_string(l, conf_child(n, k + 1), &below, "a string", &h->value);
        if (rc)
            return rc;
    }
    *(tp_header **)(void *)((char *)item + f->at) = list;
    *(uint32_t *)(void *)((char *)item + f->count_at) = count;
    return 0;
}

/* ---- Listeners. */
static int listen_error(tp_error *err, tp_str text)
{
    return tp_error_set(err, TP_ERROR_CONFIG,
                        "expected HOST:PORT, such as \"127.0.0.1:8080\", "
                        "\"[::1]:8080\" or \":8080\" for every address, found \"%.*s\"",
                        (int)TP_MIN(text.len, (size_t)80), text.ptr ? text.ptr : "");
}

int conf_listen_parse(tp_str text, conf_listen *out, tp_error *err)
{
    int64_t port = 0;
    size_t colon = text.len;
    while (colon && text.ptr[colon - 1] != ':')
        colon--;
    if (!colon)
        return listen_error(err, text);
    tp_str host = {text.ptr, colon - 1};
    tp_str digits = str_skip(text, colon);
    if (host.len && host.ptr[0] == '[') {
        if (host.len < 3 || host.ptr[host.len - 1] != ']')
            return listen_error(err, text);
        host = str_make(host.ptr + 1, host.len - 2);
    } else if (str_find(host, ':') != host.len) {
        return listen_error(err, text); /* an IPv6 address without brackets is ambiguous */
    }
    for (size_t i = 0; i < host.len; i++)
        if (host.ptr[i] <= ' ' || host.ptr[i] == '/' || host.ptr[i] == '[' || host.ptr[i] == ']' ||
            host.ptr[i] >= 0x7f)
            return listen_error(err, text);
    if (digits.len > 5 || str_to_i64(digits, &port) || port > 65535)
        return listen_error(err, text);
    out->host = host.len ? host : STR("::");
    out->port = (int32_t)port;
    return 0;
}

static int listen_one(conf_loader *l, conf_node n, const conf_path *path, conf_listen *out)
{
    const tp_doc *d = &n.s->doc;
    tp_error e = {0};
    tp_str text;
    conf_node address = n;
    *out = (conf_listen){.place = conf_place_of(n)};
    if (json_kind(d, n.t) == TP_OBJECT) {
        for (uint32_t k = n.t + 1; k < d->tokens[n.t].next; k = d->tokens[k + 1].next) {
            conf_path p = {.up = path, .name = json_string(d, k, &l->scratch)};
            conf_node value = conf_child(n, k + 1);
            tp_str *file = json_string_is(d, k, STR("cert_file"))  ? &out->cert_file
                           : json_string_is(d, k, STR("key_file")) ? &out->key_file
                                                                   : NULL;
            if (json_string_is(d, k, STR("address"))) {
                address = value;
                continue;
            }
            if (!file) {
                conf_guess g = conf_guess_begin(p.name);
                conf_guess_offer(&g, STR("address"));
                conf_guess_offer(&g, STR("cert_file"));
                conf_guess_offer(&g, STR("key_file"));
                return conf_fail(l, conf_child(n, k), "%s: unknown key \"%.*s\"%s",
                                 conf_path_text(path).s, (int)TP_MIN(p.name.len, (size_t)80),
                                 p.name.ptr, conf_guess_text(&g, "known keys").s);
            }
            int rc = conf_string(l, value, &p, "the path of a PEM file", file);
            if (rc)
                return rc;
            *file = str_of(conf_join(l, n.s->dir, *file));
        }
        if (address.t == n.t)
            return conf_fail(l, n, "%s: 'address' is missing: HOST:PORT", conf_path_text(path).s);
        if (!out->cert_file.len != !out->key_file.len)
            return conf_fail(l, n, "%s: cert_file and key_file belong together: '%s' is missing",
                             conf_path_text(path).s, out->cert_file.len ? "key_file" : "cert_file");
        out->tls = out->cert_file.len > 0;
    }
    int rc = conf_string(l, address, path, "HOST:PORT or an object with an address", &text);
    if (rc)
        return rc;
    if (conf_listen_parse(text, out, &e))
        return conf_fail(l, address, "%s: %s", conf_path_text(path).s, e.text);
    out->host = conf_str(l, out->host);
    return 0;
}

int conf_field_listen(conf_loader *l, conf_node n, const conf_path *path, const conf_field *f,
                      void *item)
{
    const tp_doc *d = &n.s->doc;
    int many = json_kind(d, n.t) == TP_ARRAY;
    uint32_t count = many ? 0 : 1;
    uint32_t end = d->tokens[n.t].next;
    for (uint32_t t = n.t + 1; many && t < end; t = d->tokens[t].next)
        count++;
    if (!count || count > 64)
        return conf_fail(l, n, "%s: expected 1 to 64 addresses, found %u", conf_path_text(path).s,
                         count);
    conf_listen *list = conf_mem(l, count * sizeof(*list));
    for (uint32_t i = 0, t = many ? n.t + 1 : n.t; i < count; i++, t = d->tokens[t].next) {
        conf_path p = {.up = path, .index = i};
        int rc = listen_one(l, conf_child(n, t), many ? &p : path, &list[i]);
        if (rc)
            return rc;
        for (uint32_t j = 0; j < i; j++)
            if (list[i].port && list[j].port == list[i].port && str_eq(list[j].host, list[i].host))
                return conf_fail(l, conf_child(n, t), "%s: the same address as at %s",
                                 conf_path_text(&p).s, conf_where(list[j].place).s);
    }
    *(conf_listen **)(void *)((char *)item + f->at) = list;
    *(uint32_t *)(void *)((char *)item + f->count_at) = count;
    return 0;
}

int conf_field_status(conf_loader *l, conf_node n, const conf_path *path, const conf_field *f,
                      void *item)
{
    int64_t v = 0;
    if (json_int(&n.s->doc, n.t, &v) || (v != 400 && v != 404))
        return conf_fail(l, n, "%s: expected 404 or 400, found %s", conf_path_text(path).s,
                         conf_found(n).s);
    *(int32_t *)(void *)((char *)item + f->at) = (int32_t)v;
    return 0;
}

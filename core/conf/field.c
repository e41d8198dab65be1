/* Reads objects by their tables. */
#include <stdio.h>

#include "conf/conf_int.h"

static void *at(void *item, size_t offset)
{
    return (char *)item + offset;
}

static void set_text(void *item, size_t offset, const char *text)
{
    *(tp_str *)at(item, offset) = text ? str_of(text) : STR("");
}

static void set_flags(void *item, const conf_field *f, uint64_t v)
{
    if (f->flags & CONF_NARROW)
        *(int32_t *)at(item, f->at) = (int32_t)v;
    else
        *(uint64_t *)at(item, f->at) = v;
}

void conf_defaults(const conf_table *t, void *item)
{
    for (uint32_t i = 0; i < t->count; i++) {
        const conf_field *f = &t->fields[i];
        switch (f->type) {
        case CONF_STRING:
        case CONF_PATH:
        case CONF_WORD:
            set_text(item, f->at, f->text);
            break;
        case CONF_INT32:
        case CONF_BOOL:
        case CONF_ENUM:
            *(int32_t *)at(item, f->at) = (int32_t)f->def;
            break;
        case CONF_INT64:
            *(int64_t *)at(item, f->at) = f->def;
            break;
        case CONF_FLAGS:
            set_flags(item, f, (uint64_t)f->def);
            break;
        case CONF_OBJECT:
            conf_defaults(f->table, at(item, f->at));
            break;
        case CONF_CUSTOM:
            if (f->def) /* a number; lists have none */
                *(int32_t *)at(item, f->at) = (int32_t)f->def;
            break;
        case CONF_STRINGS:
        case CONF_SECRET:
        case CONF_OPTIONS:
        case CONF_LIST:
            break; /* zeroed */
        }
    }
}

int conf_match(conf_loader *l, const char *pattern, tp_str s)
{
    uint32_t i = 0;
    while (i < l->pattern_count && l->patterns[i].text != pattern)
        i++;
    if (i == l->pattern_count) {
        TP_MUST(i < CONF_MAX_PATTERNS);
        TP_MUST(regcomp(&l->patterns[i].compiled, pattern, REG_EXTENDED | REG_NOSUB) == 0);
        l->patterns[i].text = pattern;
        l->pattern_count++;
    }
    return regexec(&l->patterns[i].compiled, s.ptr, 0, NULL, 0) == 0;
}

int conf_string(conf_loader *l, conf_node n, const conf_path *path, const char *expect, tp_str *out)
{
    if (json_kind(&n.s->doc, n.t) != TP_STRING)
        return conf_fail(l, n, "%s: expected %s, found %s", conf_path_text(path).s, expect,
                         conf_found(n).s);
    tp_str s = json_string(&n.s->doc, n.t, &l->scratch);
    TP_MUST(s.ptr);
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.ptr[i] < 0x20 || s.ptr[i] == 0x7f)
            return conf_fail(l, n, "%s: control characters are not allowed here",
                             conf_path_text(path).s);
    *out = conf_str(l, s);
    return 0;
}

/* A string with the bounds and the pattern of its field. */
static int text_field(conf_loader *l, conf_node n, const conf_path *path, const conf_field *f,
                      tp_str *out)
{
    const char *expect = f->expect ? f->expect : "a string";
    int rc = conf_string(l, n, path, expect, out);
    if (rc)
        return rc;
    if ((int64_t)out->len < f->min && out->len == 0)
        return conf_fail(l, n, "%s: expected %s, found an empty string", conf_path_text(path).s,
                         expect);
    if (f->max && (int64_t)out->len > f->max)
        return conf_fail(l, n, "%s: expected %s of at most %lld bytes, found %zu bytes",
                         conf_path_text(path).s, expect, (long long)f->max, out->len);
    if (f->pattern && !conf_match(l, f->pattern, *out))
        return conf_fail(l, n, "%s: expected %s, found %s", conf_path_text(path).s, expect,
                         conf_found(n).s);
    return 0;
}

/* "one of a, b; did you mean": f->words without a match. */
static int wrong_word(conf_loader *l, conf_node n, const conf_path *path, const conf_field *f)
{
    char words[256] = "";
    size_t len = 0;
    conf_guess g = conf_guess_begin(STR_NONE);
    if (json_kind(&n.s->doc, n.t) == TP_STRING)
        g = conf_guess_begin(json_string(&n.s->doc, n.t, &l->scratch));
    for (const conf_word *w = f->words; w->word; w++) {
        len += (size_t)snprintf(words + len, sizeof(words) - len, "%s\"%s\"", len ? ", " : "",
                                w->word);
        conf_guess_offer(&g, str_of(w->word));
    }
    g.known_len = 0; /* the list is in the sentence already */
    return conf_fail(l, n, "%s: expected one of %s, found %s%s", conf_path_text(path).s, words,
                     conf_found(n).s, g.name.ptr ? conf_guess_text(&g, "").s : "");
}

static const conf_word *find_word(conf_node n, const conf_field *f)
{
    for (const conf_word *w = f->words; w->word; w++)
        if (json_string_is(&n.s->doc, n.t, str_of(w->word)))
            return w;
    return NULL;
}

static int int_field(conf_loader *l, conf_node n, const conf_path *path, const conf_field *f,
                     int64_t *out)
{
    if (json_kind(&n.s->doc, n.t) != TP_NUMBER || json_int(&n.s->doc, n.t, out) || *out < f->min ||
        *out > f->max)
        return conf_fail(l, n, "%s: expected an integer from %lld to %lld, found %s",
                         conf_path_text(path).s, (long long)f->min, (long long)f->max,
                         conf_found(n).s);
    return 0;
}

static int bool_field(conf_loader *l, conf_node n, const conf_path *path, int32_t *out)
{
    int v = 0;
    if (json_bool(&n.s->doc, n.t, &v))
        return conf_fail(l, n, "%s: expected true or false, found %s", conf_path_text(path).s,
                         conf_found(n).s);
    *out = v;
    return 0;
}

static int need_array(conf_loader *l, conf_node n, const conf_path *path, const char *of)
{
    if (json_kind(&n.s->doc, n.t) == TP_ARRAY)
        return 0;
    return conf_fail(l, n, "%s: expected an array of %s, found %s", conf_path_text(path).s, of,
                     conf_found(n).s);
}

static uint32_t array_count(conf_node n)
{
    const tp_doc *d = &n.s->doc;
    uint32_t count = 0;
    for (uint32_t t = n.t + 1; t < d->tokens[n.t].next; t = d->tokens[t].next)
        count++;
    return count;
}

static int strings_field(conf_loader *l, conf_node n, const conf_path *path, const conf_field *f,
                         void *item)
{
    const tp_doc *d = &n.s->doc;
    int rc = need_array(l, n, path, "strings");
    if (rc)
        return rc;
    tp_str *list = conf_mem(l, array_count(n) * sizeof(*list));
    uint32_t count = 0;
    map known = {0};
    for (uint32_t t = n.t + 1; rc == 0 && t < d->tokens[n.t].next; t = d->tokens[t].next) {
        conf_path p = {.up = path, .index = count};
        rc = text_field(l, conf_child(n, t), &p, f, &list[count]);
        if (rc == 0 && map_put(&known, list[count], &list[count]))
            rc = conf_fail(l, conf_child(n, t), "%s: '%.*s' stands in this list twice",
                           conf_path_text(path).s, STR_ARG(list[count]));
        count++;
    }
    map_free(&known);
    *(tp_str **)at(item, f->at) = list;
    *(uint32_t *)at(item, f->count_at) = count;
    return rc;
}

static int flags_field(conf_loader *l, conf_node n, const conf_path *path, const conf_field *f,
                       void *item)
{
    const tp_doc *d = &n.s->doc;
    int rc = need_array(l, n, path, "words");
    uint64_t all = 0;
    uint32_t i = 0;
    if (rc)
        return rc;
    for (uint32_t t = n.t + 1; t < d->tokens[n.t].next; t = d->tokens[t].next) {
        conf_path p = {.up = path, .index = i++};
        const conf_word *w = find_word(conf_child(n, t), f);
        if (!w)
            return wrong_word(l, conf_child(n, t), &p, f);
        all |= (uint64_t)w->value;
    }
    set_flags(item, f, all);
    return 0;
}

static int list_field(conf_loader *l, conf_node n, const conf_path *path, const conf_field *f,
                      void *item)
{
    const tp_doc *d = &n.s->doc;
    int rc = need_array(l, n, path, "objects");
    if (rc)
        return rc;
    uint32_t count = array_count(n), i = 0;
    if ((int64_t)count < f->min)
        return conf_fail(l, n, "%s: expected at least %lld object%s, found none",
                         conf_path_text(path).s, (long long)f->min, f->min == 1 ? "" : "s");
    char *list = conf_mem(l, count * f->table->size);
    for (uint32_t t = n.t + 1; rc == 0 && t < d->tokens[n.t].next; t = d->tokens[t].next) {
        conf_path p = {.up = path, .index = i};
        void *one = list + i++ * f->table->size;
        rc = conf_object(l, conf_child(n, t), &p, f->table, one, NULL);
    }
    *(void **)at(item, f->at) = list;
    *(uint32_t *)at(item, f->count_at) = count;
    return rc;
}

static int path_field(conf_loader *l, conf_node n, const conf_path *path, const conf_field *f,
                      tp_str *out)
{
    int rc = text_field(l, n, path, f, out);
    if (rc == 0 && out->len && !((f->flags & CONF_DASH) && str_eq(*out, STR("-"))))
        *out = str_of(conf_join(l, n.s->dir, *out));
    return rc;
}

static int read_field(conf_loader *l, conf_node n, const conf_path *path, const conf_field *f,
                      void *item)
{
    void *to = at(item, f->at);
    const conf_word *w = NULL;
    int64_t number = 0;
    int rc = 0;
    switch (f->type) {
    case CONF_STRING:
        return text_field(l, n, path, f, to);
    case CONF_PATH:
        return path_field(l, n, path, f, to);
    case CONF_WORD:
    case CONF_ENUM:
        w = find_word(n, f);
        if (!w)
            return wrong_word(l, n, path, f);
        if (f->type == CONF_WORD)
            *(tp_str *)to = str_of(w->word);
        else
            *(int32_t *)to = (int32_t)w->value;
        return 0;
    case CONF_INT32:
        rc = int_field(l, n, path, f, &number);
        if (rc == 0)
            *(int32_t *)to = (int32_t)number;
        return rc;
    case CONF_INT64:
        return int_field(l, n, path, f, to);
    case CONF_BOOL:
        return bool_field(l, n, path, to);
    case CONF_FLAGS:
        return flags_field(l, n, path, f, item);
    case CONF_STRINGS:
        return strings_field(l, n, path, f, item);
    case CONF_SECRET:
        return conf_secret_parse(l, n, path, (f->flags & CONF_LINES) != 0, to);
    case CONF_OBJECT:
        return conf_object(l, n, path, f->table, to, NULL);
    case CONF_LIST:
        return list_field(l, n, path, f, item);
    case CONF_OPTIONS:
        if (json_kind(&n.s->doc, n.t) == TP_OBJECT)
            return 0;
        return conf_fail(l, n, "%s: expected an object, found %s", conf_path_text(path).s,
                         conf_found(n).s);
    case CONF_CUSTOM:
        return f->parse(l, n, path, f, item);
    }
    return 0;
}

static int unknown_key(conf_loader *l, conf_node key, const conf_path *path, const conf_table *t)
{
    tp_str name = json_string(&key.s->doc, key.t, &l->scratch);
    conf_guess g = conf_guess_begin(name);
    for (uint32_t i = 0; i < t->count; i++)
        conf_guess_offer(&g, str_of(t->fields[i].name));
    return conf_fail(l, key, "%s: unknown key %.*s%s", conf_path_text(path).s,
                     (int)TP_MIN(json_raw(&key.s->doc, key.t).len, (size_t)80),
                     json_raw(&key.s->doc, key.t).ptr, conf_guess_text(&g, "known keys").s);
}

static int check_required(conf_loader *l, conf_node n, const conf_path *path, const conf_table *t)
{
    for (uint32_t i = 0; i < t->count; i++) {
        const conf_field *f = &t->fields[i];
        if ((f->flags & CONF_REQUIRED) && !json_find(&n.s->doc, n.t, str_of(f->name)))
            return conf_fail(l, n, "%s: '%s' is missing: %s", conf_path_text(path).s, f->name,
                             f->doc);
    }
    return 0;
}

static int seen_before(conf_loader *l, conf_node n, const conf_path *path, conf_node *seen)
{
    if (seen->s)
        return conf_fail(l, n, "%s: set twice: it is set at %s already", conf_path_text(path).s,
                         conf_where(conf_place_of(*seen)).s);
    *seen = n;
    return 0;
}

/* Single sections are spread over files: they have their defaults already, and `seen`. */
int conf_object(conf_loader *l, conf_node n, const conf_path *path, const conf_table *t, void *item,
                conf_node *seen)
{
    const tp_doc *d = &n.s->doc;
    if (json_kind(d, n.t) != TP_OBJECT)
        return conf_fail(l, n, "%s: expected an object, found %s", conf_path_text(path).s,
                         conf_found(n).s);
    if (!seen)
        conf_defaults(t, item);
    if (t->place_at != CONF_NOWHERE)
        *(conf_place *)at(item, t->place_at) = conf_place_of(n);
    for (uint32_t k = n.t + 1; k < d->tokens[n.t].next; k = d->tokens[k + 1].next) {
        conf_node value = conf_child(n, k + 1);
        uint32_t i = 0;
        while (i < t->count && !json_string_is(d, k, str_of(t->fields[i].name)))
            i++;
        if (i == t->count)
            return unknown_key(l, conf_child(n, k), path, t);
        conf_path p = {.up = path, .name = str_of(t->fields[i].name)};
        int rc = seen ? seen_before(l, value, &p, &seen[i]) : 0;
        if (rc == 0)
            rc = read_field(l, value, &p, &t->fields[i], item);
        if (rc)
            return rc;
    }
    return check_required(l, n, path, t);
}

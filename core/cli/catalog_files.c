#include "cli/catalog_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"
#include "conf/conf.h"
#include "model/json.h"

enum { MOST_BYTES = 64 << 20 };

static int io_error(tp_error *err, const char *path, const char *what)
{
    return tp_error_set(err, TP_ERROR_IO, "%s %s: %s", path, what, strerror(errno));
}

int catalog_file_read(const char *path, arena *mem, tp_str *out, tp_error *err)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC), rc = 0;
    if (fd < 0)
        return io_error(err, path, "cannot be read");
    char *p = NULL;
    size_t n = 0;
    if (fstat(fd, &st))
        rc = io_error(err, path, "cannot be read");
    else if (!S_ISREG(st.st_mode) || st.st_size > MOST_BYTES)
        rc = tp_error_set(err, TP_ERROR_IO, "%s: expected a regular file of at most 64 MiB", path);
    else if (!(p = arena_alloc(mem, (size_t)st.st_size + 1)))
        rc = tp_error_set(err, TP_ERROR_IO, "%s: out of memory", path);
    while (rc == 0 && n < (size_t)st.st_size) {
        ssize_t got = read(fd, p + n, (size_t)st.st_size - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            rc = io_error(err, path, "cannot be read");
        if (got <= 0)
            break;
        n += (size_t)got;
    }
    close(fd);
    if (rc == 0)
        *out = str_make(p, n);
    return rc;
}

/* ---- Reading. */

static int by_name(const void *a, const void *b)
{
    const tp_str *x = a, *y = b;
    return strcmp(x->ptr, y->ptr);
}

static int list_names(catalog_dir *d, tp_str **out, uint32_t *count, tp_error *err)
{
    uint32_t room = 0, n = 0;
    tp_str *list = NULL;
    DIR *dir = opendir(d->path);
    const struct dirent *e;
    *out = NULL;
    *count = 0;
    if (!dir)
        return errno == ENOENT ? 0 : io_error(err, d->path, "cannot be read");
    while ((e = readdir(dir))) {
        tp_str name = str_of(e->d_name);
        if (e->d_name[0] == '.' || !str_ends(name, STR(".json")))
            continue;
        if (n == room) {
            room = room ? room * 2 : 64;
            list = tp_xrealloc(list, room * sizeof(*list));
        }
        list[n].ptr = arena_dup(&d->mem, name.ptr, name.len + 1);
        TP_MUST(list[n].ptr);
        list[n++].len = name.len;
    }
    closedir(dir);
    if (n)
        qsort(list, n, sizeof(*list), by_name);
    *out = list;
    *count = n;
    return 0;
}

/* The scanned text of a snippet, comments and all. */
static int scan(catalog_dir *d, const char *path, tp_str text, tp_doc *out, tp_error *err)
{
    size_t at = 0;
    const char *what = NULL;
    uint32_t line, column;
    json_tape tape = {.tokens = NULL};
    json_error e = {0};
    char *plain = arena_dup(&d->mem, text.ptr, text.len);
    TP_MUST(plain);
    if (conf_jsonc_blank(plain, text.len, &at, &what)) {
        json_place(text, (uint32_t)at, &line, &column);
        return tp_error_set(err, TP_ERROR_PARSE, "%s:%u:%u: %s", path, line, column, what);
    }
    int rc = json_scan_doc(str_make(plain, text.len), &tape, &d->mem, out, &e);
    json_tape_free(&tape);
    if (rc)
        return tp_error_set(err, TP_ERROR_PARSE, "%s:%u:%u: %s", path, e.line, e.column,
                            e.what ? e.what : "out of memory");
    if (json_kind(out, 0) != TP_OBJECT)
        return tp_error_set(err, TP_ERROR_PARSE, "%s: expected an object", path);
    return 0;
}

static void add(catalog_dir *d, tp_str **list, uint32_t *count, tp_str s)
{
    if ((*count & (*count - 1)) == 0) { /* a power of two, or nothing: it is full */
        tp_str *more = arena_alloc(&d->mem, (*count ? *count * 2 : 1) * sizeof(*more));
        TP_MUST(more);
        if (*count)
            memcpy(more, *list, *count * sizeof(*more));
        *list = more;
    }
    (*list)[(*count)++] = s;
}

/* The keys of a section. */
static void add_keys(catalog_dir *d, const tp_doc *doc, const char *section, tp_str **list,
                     uint32_t *count)
{
    uint32_t t = json_find(doc, 0, str_of(section));
    if (!t || json_kind(doc, t) != TP_OBJECT)
        return;
    for (uint32_t k = t + 1; k < doc->tokens[t].next; k = doc->tokens[k + 1].next)
        add(d, list, count, json_string(doc, k, &d->mem));
}

static void add_models(catalog_dir *d, const tp_doc *doc)
{
    uint32_t t = json_find(doc, 0, STR("models"));
    add_keys(d, doc, "models", &d->names, &d->name_count);
    if (!t || json_kind(doc, t) != TP_OBJECT)
        return;
    for (uint32_t k = t + 1; k < doc->tokens[t].next; k = doc->tokens[k + 1].next) {
        uint32_t list =
            json_kind(doc, k + 1) == TP_OBJECT ? json_find(doc, k + 1, STR("aliases")) : 0;
        for (uint32_t i = list + 1; list && i < doc->tokens[list].next; i = doc->tokens[i].next) {
            tp_str alias = json_string(doc, i, &d->mem);
            if (alias.ptr)
                add(d, &d->names, &d->name_count, alias);
        }
    }
}

static int read_one(catalog_dir *d, tp_str name, int force, tp_error *err)
{
    char path[8192];
    tp_str text;
    tp_doc doc;
    snprintf(path, sizeof(path), "%s/%s", d->path, name.ptr);
    int rc = catalog_file_read(path, &d->mem, &text, err);
    if (rc == 0)
        rc = scan(d, path, text, &doc, err);
    if (rc)
        return rc;
    int origin = catalog_import_origin(text);
    add_keys(d, &doc, "providers", &d->providers, &d->provider_count);
    if (origin == 1 || (origin == 2 && force)) {
        d->ours[d->ours_count++] = (catalog_text){.file = name.ptr, .text = text};
        return 0;
    }
    add_models(d, &doc);
    if (origin == 2)
        add(d, &d->edited, &d->edited_count, name);
    else
        add(d, &d->others, &d->other_count, name);
    return 0;
}

int catalog_dir_read(const char *path, int force, catalog_dir *out, tp_error *err)
{
    tp_str *names;
    uint32_t count;
    *out = (catalog_dir){.ours = NULL};
    arena_init(&out->mem, NULL, SIZE_MAX);
    if (strlen(path) >= sizeof(out->path) - 64)
        return tp_error_set(err, TP_ERROR_IO, "%s: the path is too long", path);
    snprintf(out->path, sizeof(out->path), "%s", path);
    int rc = list_names(out, &names, &count, err);
    out->ours = arena_alloc(&out->mem, (count + 1) * sizeof(*out->ours));
    TP_MUST(out->ours);
    for (uint32_t i = 0; rc == 0 && i < count; i++)
        rc = read_one(out, names[i], force, err);
    free(names);
    return rc;
}

void catalog_dir_free(catalog_dir *d)
{
    arena_reset(&d->mem);
}

/* ---- Writing. */

static void place(const catalog_dir *d, tp_str name, int beside, char path[8192])
{
    snprintf(path, 8192, "%s/%s%.*s%s", d->path, beside ? "." : "", STR_ARG(name),
             beside ? ".new" : "");
}

static int write_beside(const catalog_dir *d, tp_str name, tp_str text, tp_error *err)
{
    char path[8192];
    place(d, name, 1, path);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644), rc = 0;
    if (fd < 0)
        return io_error(err, path, "cannot be written");
    while (rc == 0 && text.len) {
        ssize_t n = write(fd, text.ptr, text.len);
        if (n > 0)
            text = str_skip(text, (size_t)n);
        else if (n < 0 && errno != EINTR)
            rc = io_error(err, path, "cannot be written");
    }
    if (rc == 0 && fsync(fd))
        rc = io_error(err, path, "cannot be written");
    if (close(fd) && rc == 0)
        rc = io_error(err, path, "cannot be written");
    if (rc)
        unlink(path);
    return rc;
}

static int put_into_place(const catalog_dir *d, tp_str name, tp_error *err)
{
    char from[8192], to[8192];
    place(d, name, 1, from);
    place(d, name, 0, to);
    return rename(from, to) ? io_error(err, to, "cannot be replaced") : 0;
}

static const catalog_text *old_of(const catalog_dir *d, tp_str name)
{
    for (uint32_t i = 0; i < d->ours_count; i++)
        if (str_eq(str_of(d->ours[i].file), name))
            return &d->ours[i];
    return NULL;
}

static int is_same(const catalog_dir *d, const catalog_snippet *s)
{
    const catalog_text *old = old_of(d, s->name);
    return old && str_eq(old->text, s->text);
}

/* As it was before: as far as that can be done. */
static void put_back(const catalog_dir *d, tp_str name)
{
    char path[8192];
    const catalog_text *old = old_of(d, name);
    if (old && write_beside(d, name, old->text, NULL) == 0) {
        (void)put_into_place(d, name, NULL);
    } else if (!old) {
        place(d, name, 0, path);
        unlink(path);
    }
}

static int sync_dir(const catalog_dir *d, tp_error *err)
{
    int fd = open(d->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = fd < 0 || fsync(fd) ? io_error(err, d->path, "cannot be synced") : 0;
    if (fd >= 0)
        close(fd);
    return rc;
}

int catalog_dir_write(const catalog_dir *d, const catalog_snippet *s, uint32_t count, tp_error *err)
{
    char path[8192];
    int rc = 0;
    uint32_t written = 0, placed = 0;
    if (mkdir(d->path, 0755) && errno != EEXIST)
        return io_error(err, d->path, "cannot be made");
    for (; rc == 0 && written < count; written++)
        if (!is_same(d, &s[written]))
            rc = write_beside(d, s[written].name, s[written].text, err);
    for (; rc == 0 && placed < count; placed++)
        if (!is_same(d, &s[placed]))
            rc = put_into_place(d, s[placed].name, err);
    for (uint32_t i = 0; rc == 0 && i < d->ours_count; i++) {
        uint32_t k = 0;
        while (k < count && !str_eq(s[k].name, str_of(d->ours[i].file)))
            k++;
        place(d, str_of(d->ours[i].file), 0, path);
        if (k == count && unlink(path))
            rc = io_error(err, path, "cannot be removed");
    }
    for (uint32_t i = 0; rc && i < written; i++) {
        place(d, s[i].name, 1, path);
        unlink(path);
        if (i < placed && !is_same(d, &s[i]))
            put_back(d, s[i].name);
    }
    for (uint32_t i = 0; rc && i < d->ours_count; i++) {
        place(d, str_of(d->ours[i].file), 0, path);
        if (access(path, F_OK))
            put_back(d, str_of(d->ours[i].file));
    }
    return rc ? rc : sync_dir(d, err);
}

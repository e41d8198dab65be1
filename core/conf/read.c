/* From a directory to scanned snippets. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/conf_int.h"

const char *conf_join(conf_loader *l, const char *dir, tp_str path)
{
    if (path.len && path.ptr[0] == '/')
        return conf_str(l, path).ptr;
    while (str_starts(path, STR("./")))
        path = str_skip(path, 2);
    return conf_fmt(l, "%s%s%.*s", dir, str_ends(str_of(dir), STR("/")) ? "" : "/", STR_ARG(path))
        .ptr;
}

static int slurp_fd(int fd, size_t max, buf *out)
{
    buf_init(out, max + 1);
    for (;;) {
        int rc = buf_reserve(out, 1);
        if (rc)
            return rc == TP_ERROR_LIMIT ? EFBIG : ENOMEM;
        ssize_t n = read(fd, out->ptr + out->len, out->cap - out->len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno;
        if (n == 0)
            return out->len > max ? EFBIG : 0;
        out->len += (size_t)n;
    }
}

int conf_slurp(const char *path, size_t max, buf *out, uint32_t *mode)
{
    struct stat st;
    int rc = 0;
    buf_init(out, max + 1);
    /* Not blocking: a FIFO must not hang the load before fstat can refuse it. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return errno;
    if (fstat(fd, &st))
        rc = errno;
    else if (!S_ISREG(st.st_mode))
        rc = S_ISDIR(st.st_mode) ? EISDIR : EINVAL;
    else if ((uint64_t)st.st_size > max)
        rc = EFBIG;
    else
        rc = slurp_fd(fd, max, out);
    close(fd);
    if (mode)
        *mode = rc ? 0 : (uint32_t)st.st_mode & 07777u;
    if (rc)
        buf_free(out);
    return rc;
}

static const uint32_t *find_lines(conf_loader *l, tp_str text, uint32_t *count)
{
    uint32_t n = 1;
    for (size_t i = 0; i < text.len; i++)
        n += text.ptr[i] == '\n';
    uint32_t *lines = arena_alloc(&l->scratch, n * sizeof(*lines));
    TP_MUST(lines);
    lines[0] = 0;
    *count = 1;
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] == '\n')
            lines[(*count)++] = (uint32_t)i + 1;
    return lines;
}

/* Comments are checked too, so this runs before they are blanked. */
static int check_utf8(conf_loader *l, const conf_snippet *s, tp_str text)
{
    if (json_utf8_valid(text))
        return 0;
    size_t at = 0;
    for (size_t n = 1; at < text.len && n <= 4; n++)
        if (at + n <= text.len && json_utf8_valid(str_make(text.ptr + at, n))) {
            at += n;
            n = 0;
        }
    return conf_fail_at(l, conf_place_at(s, (uint32_t)at),
                        "byte 0x%02x is not valid UTF-8; save the file as UTF-8",
                        (unsigned)(unsigned char)text.ptr[at]);
}

/* The scanner names the second of two equal keys; people want to see both. The text before `second`
 * is well-formed. Gives the first one's offset, or `second` if it cannot be found. */
static uint32_t first_of_two(tp_str text, uint32_t second)
{
    uint32_t start[JSON_MAX_DEPTH + 2], depth = 0;
    for (uint32_t i = 0; i < second; i++) {
        char c = text.ptr[i];
        if (c == '"') {
            for (i++; i < second && text.ptr[i] != '"'; i++)
                if (text.ptr[i] == '\\')
                    i++;
        } else if ((c == '{' || c == '[') && depth < TP_COUNT(start)) {
            start[depth++] = i;
        } else if ((c == '}' || c == ']') && depth) {
            depth--;
        }
    }
    if (!depth)
        return second;
    uint32_t end = second + 1;
    while (end < text.len && text.ptr[end] != '"')
        end += text.ptr[end] == '\\' ? 2 : 1;
    tp_str key = {text.ptr + second, TP_MIN(end + 1, (uint32_t)text.len) - second};
    uint32_t level = 0, from = 0;
    for (uint32_t i = start[depth - 1] + 1; i < second; i++) {
        char c = text.ptr[i];
        if (c == '"') {
            from = i;
            for (i++; i < second && text.ptr[i] != '"'; i++)
                if (text.ptr[i] == '\\')
                    i++;
            if (level == 0 && str_eq(str_make(text.ptr + from, i + 1 - from), key))
                return from;
        }
        level += c == '{' || c == '[';
        level -= c == '}' || c == ']';
    }
    return second;
}

static int scan(conf_loader *l, conf_snippet *s, tp_str text)
{
    json_error e = {0};
    int rc = json_scan_doc(text, &l->tape, &l->scratch, &s->doc, &e);
    if (rc == 0)
        return 0;
    conf_place at = conf_place_at(s, TP_MIN(e.at, (uint32_t)text.len));
    if (rc == JSON_E_DUPLICATE) {
        uint32_t first = first_of_two(text, e.at);
        if (first != e.at)
            return conf_fail_at(l, at, "the same key twice in one object: it stands at %s already",
                                conf_where(conf_place_at(s, first)).s);
    }
    if (rc == JSON_E_EMPTY)
        return conf_fail_at(l, at, "the file is empty; expected an object: {}");
    return conf_fail_at(l, at, "%s", e.what ? e.what : "this is not JSON");
}

int conf_read_text(conf_loader *l, const char *name, tp_str text, uint32_t mode)
{
    conf_snippet *s = &l->snippets[l->snippet_count];
    const char *slash = strrchr(name, '/');
    tp_str dir = slash ? str_make(name, slash == name ? 1 : (size_t)(slash - name)) : STR(".");
    size_t at = 0;
    const char *what = NULL;

    *s = (conf_snippet){.file = conf_str(l, str_of(name)).ptr, .mode = mode};
    char *real = realpath(conf_str(l, dir).ptr, NULL);
    s->dir = conf_str(l, real ? str_of(real) : dir).ptr;
    free(real);
    if (text.len > CONF_MAX_FILE)
        return conf_fail_at(l, (conf_place){0}, "%s: the file is over 4 MiB; split it", name);
    l->total += text.len;
    if (l->total > CONF_MAX_TOTAL)
        return conf_fail_at(l, (conf_place){0}, "%s: the snippets are over 64 MiB together", name);
    if (str_starts(text, STR("\xef\xbb\xbf"))) /* a byte order mark takes no column */
        text = str_skip(text, 3);
    char *copy = arena_dup(&l->scratch, text.ptr, text.len);
    TP_MUST(copy);
    text.ptr = copy;
    s->lines = find_lines(l, text, &s->line_count);
    int rc = check_utf8(l, s, text);
    if (rc)
        return rc;
    if (conf_jsonc_blank(copy, text.len, &at, &what))
        return conf_fail_at(l, conf_place_at(s, (uint32_t)at), "%s", what);
    rc = scan(l, s, text);
    if (rc)
        return rc;
    conf_node root = {s, 0};
    if (json_kind(&s->doc, 0) != TP_OBJECT)
        return conf_fail(l, root, "a snippet is one object: expected '{', found %s",
                         conf_found(root).s);
    l->snippet_count++;
    return 0;
}

static int read_file(conf_loader *l, const char *dir, const char *name)
{
    char path[4096 + 512];
    buf text;
    uint32_t mode = 0;
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    int rc = conf_slurp(path, CONF_MAX_FILE, &text, &mode);
    if (rc == EISDIR)
        return tp_error_set(l->err, TP_ERROR_CONFIG,
                            "%s: is a directory; expected a file, or another name than *.json",
                            path);
    if (rc == EINVAL)
        return tp_error_set(l->err, TP_ERROR_CONFIG, "%s: is not a regular file", path);
    if (rc == EFBIG)
        return tp_error_set(l->err, TP_ERROR_CONFIG, "%s: the file is over 4 MiB; split it", path);
    if (rc)
        return tp_error_set(l->err, TP_ERROR_IO, "%s: cannot be read: %s", path, strerror(rc));
    rc = conf_read_text(l, path, buf_str(&text), mode);
    buf_free(&text);
    return rc;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names of the snippets, sorted; the caller frees each and the list. */
static int list(conf_loader *l, const char *dir, char ***names, uint32_t *count)
{
    DIR *d = opendir(dir);
    if (!d)
        return tp_error_set(l->err, TP_ERROR_IO, "%s: cannot open the configuration directory: %s",
                            dir, strerror(errno));
    uint32_t cap = 0;
    int rc = 0;
    for (struct dirent *e; rc == 0 && (e = readdir(d));) {
        if (e->d_name[0] == '.' || !str_ends(str_of(e->d_name), STR(".json")))
            continue;
        if (*count == CONF_MAX_FILES) {
            rc = tp_error_set(l->err, TP_ERROR_CONFIG, "%s: more than %u snippets; join some", dir,
                              CONF_MAX_FILES);
            break;
        }
        if (*count == cap) {
            cap = cap ? cap * 2 : 64;
            *names = tp_xrealloc(*names, cap * sizeof(**names));
        }
        (*names)[(*count)++] = tp_xstrndup(e->d_name, strlen(e->d_name));
    }
    closedir(d);
    if (*count)
        qsort(*names, *count, sizeof(**names), by_name);
    return rc;
}

int conf_read_dir(conf_loader *l, const char *dir)
{
    char **names = NULL;
    char path[4096];
    struct stat st;
    uint32_t count = 0;
    if (!*dir)
        dir = ".";
    size_t len = strlen(dir);
    while (len > 1 && dir[len - 1] == '/')
        len--;
    if (len + sizeof("/conf.d") > sizeof(path))
        return tp_error_set(l->err, TP_ERROR_IO, "the name of the directory is too long");
    snprintf(path, sizeof(path), "%.*s/conf.d", (int)len, dir);
    if (stat(path, &st) || !S_ISDIR(st.st_mode))
        path[len] = 0;
    char *real = realpath(path, NULL);
    l->c->dir = conf_str(l, str_of(real ? real : path));
    free(real);
    int rc = list(l, path, &names, &count);
    if (rc == 0)
        l->snippets = tp_xcalloc(count ? count : 1, sizeof(*l->snippets));
    for (uint32_t i = 0; i < count; i++) {
        if (rc == 0)
            rc = read_file(l, path, names[i]);
        free(names[i]);
    }
    free(names);
    if (rc == 0 && count == 0)
        conf_notice(l, "%s: there is no *.json here: only defaults are in force", path);
    return rc;
}

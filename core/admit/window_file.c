/* The words of keys in a mapped file: a header of 64 bytes, then one entry of 24 bytes a key, in
 * the order of their first use, so that a gateway with few keys touches few pages. Which entry is
 * whose is found by the hash of the key's id, over an index in memory. Blocks are allocated before
 * an entry is used: a full disk must not become a SIGBUS. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admit/admit_int.h"

enum { STEP = 65536 /* bytes allocated at a time */ };
static const char magic[16] = "turnpike-win-1\n"; /* with its NUL */

typedef struct head {
    char magic[16];
    uint32_t entry, slots, used, reserved; /* used: entries that were ever given out */
    char fill[32];
} head;
_Static_assert(sizeof(head) == 64 && sizeof(window_words) == 24, "the file's layout");

struct window_file {
    head *head;
    window_words *words;
    uint32_t *index; /* open addressing by id; slot + 1; 0: free */
    uint16_t *given; /* how many keys of this run have the slot: a key that was removed may
                        still be in use when it is made anew */
    uint32_t *spare; /* released ones */
    uint32_t index_mask, spare_count, live, slots;    /* live: entries in the index */
    size_t size, allocated;                           /* bytes of the file */
    int fd;                                           /* -1: in memory */
};

static uint64_t id_of(const window_file *f, uint32_t slot)
{
    return atomic_load_explicit(&f->words[slot].id, memory_order_relaxed);
}

/* Where the id stands in the index, or the free place where it would. */
static uint32_t place(const window_file *f, uint64_t id)
{
    uint32_t i = (uint32_t)id & f->index_mask;
    while (f->index[i] && id_of(f, f->index[i] - 1) != id)
        i = (i + 1) & f->index_mask;
    return i;
}

static void index_put(window_file *f, uint32_t slot)
{
    uint32_t cap = f->index ? f->index_mask + 1 : 0;
    if (f->live * 2 >= cap) {
        uint32_t *old = f->index;
        f->index_mask = (cap ? cap * 2 : 256) - 1;
        f->index = tp_xcalloc(f->index_mask + 1, sizeof(*f->index));
        for (uint32_t i = 0; i < cap; i++)
            if (old[i])
                f->index[place(f, id_of(f, old[i] - 1))] = old[i];
        free(old);
    }
    f->index[place(f, id_of(f, slot))] = slot + 1;
    f->live++;
}

static void index_remove(window_file *f, uint64_t id)
{
    uint32_t i = place(f, id), j = i;
    if (!f->index[i])
        return;
    f->live--;
    /* What follows in the chain moves up, unless its own place lies behind the gap. */
    for (;;) {
        j = (j + 1) & f->index_mask;
        if (!f->index[j])
            break;
        uint32_t home = (uint32_t)id_of(f, f->index[j] - 1) & f->index_mask;
        if (((j - home) & f->index_mask) >= ((j - i) & f->index_mask)) {
            f->index[i] = f->index[j];
            i = j;
        }
    }
    f->index[i] = 0;
}

static void clear(window_words *w, uint64_t id)
{
    atomic_store_explicit(&w->requests, 0, memory_order_relaxed);
    atomic_store_explicit(&w->tokens, 0, memory_order_relaxed);
    atomic_store_explicit(&w->id, id, memory_order_release); /* a crash leaves no foreign counts */
}

static int allocate(window_file *f, size_t until)
{
    if (f->fd < 0 || until <= f->allocated)
        return 0;
    size_t end = TP_MIN((until + STEP - 1) / STEP * STEP, f->size);
    int rc = posix_fallocate(f->fd, (off_t)f->allocated, (off_t)(end - f->allocated));
    if (rc == 0)
        f->allocated = end;
    return rc;
}

/* Is what the file holds ours, and does it hang together? */
static int is_right(const window_file *f, uint32_t slots)
{
    const head *h = f->head;
    return memcmp(h->magic, magic, sizeof(magic)) == 0 && h->entry == sizeof(window_words) &&
           h->slots == slots && h->used <= slots;
}

static void make_anew(window_file *f, uint32_t slots)
{
    *f->head = (head){.entry = sizeof(window_words), .slots = slots};
    memcpy(f->head->magic, magic, sizeof(magic));
}

static void index_all(window_file *f)
{
    for (uint32_t s = 0; s < f->head->used; s++) {
        uint64_t id = id_of(f, s);
        if (id && f->live && f->index[place(f, id)]) { /* twice: damaged; the first one counts */
            clear(&f->words[s], 0);
            id = 0;
        }
        if (id)
            index_put(f, s);
        else
            f->spare[f->spare_count++] = s;
    }
}

static int map_memory(window_file *f, uint32_t slots, tp_error *err)
{
    void *p = mmap(NULL, f->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return tp_error_set(err, TP_ERROR_IO, "no memory for %u rate windows", slots);
    f->head = p;
    make_anew(f, slots);
    return 0;
}

static int file_error(tp_error *err, const char *path, const char *what, int e)
{
    return tp_error_set(err, TP_ERROR_IO,
                        "%s: the file of rate windows cannot be %s: %s; it holds the counts of the "
                        "last minute only, so it may be removed while the gateway is down",
                        path, what, strerror(e));
}

static int map_file(window_file *f, const char *path, uint32_t slots, tp_error *err)
{
    struct stat st;
    int rc;
    f->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (f->fd < 0)
        return file_error(err, path, "opened", errno);
    if (flock(f->fd, LOCK_EX | LOCK_NB) < 0)
        return tp_error_set(err, TP_ERROR_IO,
                            "%s: the file of rate windows is in use by another process; give each "
                            "gateway a run_dir of its own, or end the other one",
                            path);
    if (fstat(f->fd, &st) < 0)
        return file_error(err, path, "read", errno);
    if (!S_ISREG(st.st_mode))
        return file_error(err, path, "used", EINVAL);
    int same = st.st_size == (off_t)f->size;
    /* Cut to nothing first when it is not ours: what stood there must not be read as counts. */
    if (!same && (ftruncate(f->fd, 0) < 0 || ftruncate(f->fd, (off_t)f->size) < 0))
        return file_error(err, path, "made", errno);
    rc = allocate(f, sizeof(head));
    if (rc)
        return file_error(err, path, "made", rc);
    void *p = mmap(NULL, f->size, PROT_READ | PROT_WRITE, MAP_SHARED, f->fd, 0);
    if (p == MAP_FAILED)
        return file_error(err, path, "mapped", errno);
    f->head = p;
    if (same && is_right(f, slots)) {
        rc = allocate(f, sizeof(head) + (size_t)f->head->used * sizeof(window_words));
        return rc ? file_error(err, path, "used", rc) : 0;
    }
    if (same && (ftruncate(f->fd, 0) < 0 || ftruncate(f->fd, (off_t)f->size) < 0))
        return file_error(err, path, "made", errno);
    f->allocated = 0;
    rc = allocate(f, sizeof(head));
    if (rc)
        return file_error(err, path, "made", rc);
    make_anew(f, slots);
    return 0;
}

int window_file_open(const char *path, uint32_t slots, window_file **out, tp_error *err)
{
    window_file *f = tp_xcalloc(1, sizeof(*f));
    *out = NULL;
    TP_MUST(slots > 0 && slots <= 1u << 28);
    f->fd = -1;
    f->size = sizeof(head) + (size_t)slots * sizeof(window_words);
    int rc = path ? map_file(f, path, slots, err) : map_memory(f, slots, err);
    if (rc < 0) {
        window_file_close(f);
        return rc;
    }
    f->words = (window_words *)(void *)(f->head + 1);
    f->slots = slots;
    f->spare = tp_xpages(slots * sizeof(*f->spare));
    f->given = tp_xpages(slots * sizeof(*f->given));
    index_all(f);
    *out = f;
    return 0;
}

void window_file_close(window_file *f)
{
    if (!f)
        return;
    if (f->head)
        munmap(f->head, f->size);
    if (f->fd >= 0)
        close(f->fd);
    free(f->index);
    tp_pages_free(f->spare, f->slots * sizeof(*f->spare));
    tp_pages_free(f->given, f->slots * sizeof(*f->given));
    free(f);
}

/* All entries are taken: those that no key of this run has are of keys that are gone. */
static void sweep(window_file *f)
{
    for (uint32_t s = 0; s < f->head->used; s++) {
        uint64_t id = id_of(f, s);
        if (!id || f->given[s])
            continue;
        index_remove(f, id);
        clear(&f->words[s], 0);
        f->spare[f->spare_count++] = s;
    }
}

static int free_slot(window_file *f, uint32_t *slot)
{
    head *h = f->head;
    if (!f->spare_count && h->used == h->slots)
        sweep(f);
    if (f->spare_count) {
        *slot = f->spare[--f->spare_count];
        return 1;
    }
    if (h->used == h->slots ||
        allocate(f, sizeof(head) + (size_t)(h->used + 1) * sizeof(window_words)) != 0)
        return 0;
    *slot = h->used;
    clear(&f->words[h->used], 0);
    h->used++;
    return 1;
}

window_words *window_file_slot(window_file *f, tp_str key_id)
{
    uint64_t id = hash_name(key_id);
    uint32_t slot;
    id += id == 0;
    uint32_t at = f->live ? f->index[place(f, id)] : 0;
    if (at) {
        slot = at - 1;
    } else {
        if (!free_slot(f, &slot))
            return NULL;
        clear(&f->words[slot], id);
        index_put(f, slot);
    }
    TP_MUST(f->given[slot] < UINT16_MAX);
    f->given[slot]++;
    return &f->words[slot];
}

void window_file_release(window_file *f, window_words *w)
{
    uint32_t slot = (uint32_t)(w - f->words);
    if (--f->given[slot])
        return;
    index_remove(f, id_of(f, slot));
    clear(w, 0);
    f->spare[f->spare_count++] = slot;
}

/* What the files of this room share. */
#ifndef TP_CONF_CONF_INT_H
#define TP_CONF_CONF_INT_H
#include <regex.h>

#include "base/map.h"
#include "base/str.h"
#include "conf/conf.h"

#define CONF_MAX_FILE (4u << 20)   /* bytes of one snippet */
#define CONF_MAX_TOTAL (64u << 20) /* bytes of all of them: bounds what a load may allocate */
#define CONF_MAX_FILES 10000u
#define CONF_MAX_SECRET 16384u      /* bytes of a secret's file */
#define CONF_MAX_OPTIONS (8u << 20) /* bytes of one options object after replacement */

typedef struct conf_snippet {
    const char *file; /* as messages name it; in conf.mem */
    const char *dir;  /* absolute: where its relative paths start */
    tp_doc doc;       /* the text with comments blanked, so that offsets are those of the file */
    const uint32_t *lines; /* offsets of the lines' first bytes */
    uint32_t line_count;
    uint32_t mode; /* permission bits of the file; 0: not known */
} conf_snippet;

typedef struct conf_node { /* a value in a snippet */
    const conf_snippet *s;
    uint32_t t;
} conf_node;

typedef struct conf_path { /* "models.x.deployments[2].price", printed only when something fails */
    const struct conf_path *up;
    tp_str name; /* ptr NULL: an index */
    uint32_t index;
} conf_path;

/* ---- Tables. */
typedef enum conf_type {
    CONF_STRING,  /* tp_str; min and max: bytes; pattern */
    CONF_PATH,    /* tp_str; relative ones become absolute */
    CONF_WORD,    /* tp_str: one of words */
    CONF_INT32,   /* int32_t; min, max */
    CONF_INT64,   /* int64_t; min, max */
    CONF_BOOL,    /* int32_t */
    CONF_ENUM,    /* int32_t: the value of one of words */
    CONF_FLAGS,   /* uint64_t (CONF_NARROW: int32_t): the values of words or-ed */
    CONF_STRINGS, /* tp_str * and a count; min and max: of each string's bytes; pattern */
    CONF_SECRET,  /* conf_secret */
    CONF_OPTIONS, /* tp_doc; only its kind is checked here, see conf_options */
    CONF_OBJECT,  /* members by table, into the same item at `at` */
    CONF_LIST,    /* pointer and count: objects by table */
    CONF_CUSTOM   /* by parse; schema and type_name say what it is */
} conf_type;

typedef struct conf_word {
    const char *word;
    int64_t value;
} conf_word;

typedef struct conf_loader conf_loader;
typedef struct conf_table conf_table;
typedef struct conf_field conf_field;
typedef int (*conf_parse)(conf_loader *l, conf_node n, const conf_path *path, const conf_field *f,
                          void *item);
enum {
    CONF_REQUIRED = 1,
    CONF_NO_DEFAULT = 2 /* def is a mark, not to be shown */,
    CONF_DASH = 4 /* a path: "-" stays as it is */,
    CONF_NARROW = 8 /* flags: kept in an int32_t */,
    CONF_LINES = 16 /* a secret: may be of several lines */
};

struct conf_field {
    const char *name;
    conf_type type;
    uint32_t flags;
    size_t at, count_at; /* offsets in the item; count_at: of a list's uint32_t */
    int64_t min, max, def;
    const char *text;       /* default of a string */
    const char *shown;      /* words for a default that is computed */
    const char *pattern;    /* POSIX extended, and the same to ECMA 262 */
    const char *expect;     /* "a path that begins with '/'": what to say when it does not match */
    const conf_word *words; /* ends with word NULL */
    const conf_table *table;
    conf_parse parse;
    const char *schema;    /* JSON members, without braces, for CONF_CUSTOM */
    const char *type_name; /* for the reference */
    const char *doc;
};

struct conf_table {
    const char *name; /* in $defs of the schema; NULL: not there */
    const conf_field *fields;
    uint32_t count;
    uint32_t place_at; /* offset of the item's conf_place; CONF_NOWHERE: it has none */
    size_t size;       /* of the item */
};
#define CONF_NOWHERE UINT32_MAX

typedef enum conf_kind {
    CONF_SINGLE, /* one object; members may be spread over files */
    CONF_NAMED   /* objects by name */
} conf_kind;
enum {
    CONF_S_SERVER,
    CONF_S_STORE,
    CONF_S_LOG,
    CONF_S_PLUGINS,
    CONF_S_PROVIDERS,
    CONF_S_MODELS,
    CONF_S_STRATEGIES,
    CONF_S_ROUTING,
    CONF_S_ENDPOINTS,
    CONF_S_SURFACES,
    CONF_S_ADMISSION,
    CONF_S_TIERS,
    CONF_S_TEAMS,
    CONF_S_BILLING,
    CONF_S_COUNT
};
typedef struct conf_section {
    const char *name;
    conf_kind kind;
    const conf_table *table;
    size_t at, count_at; /* in conf: of the struct, or of the pointer and the count */
    const char *item;    /* "provider" */
    const char *pattern; /* of the names */
    const char *expect;
    uint32_t max;        /* bytes of a name */
    const char *doc;
} conf_section;
extern const conf_section conf_sections[CONF_S_COUNT];
extern const conf_table conf_deployment_table, conf_credential_table;
extern const char *const conf_price_units[]; /* the well-known ones; ends with NULL */

/* ---- Loading. */
enum { CONF_MAX_FIELDS = 24, CONF_MAX_PATTERNS = 32 };
struct conf_loader {
    conf *c;
    conf_env env;
    tp_error *err;
    arena scratch; /* texts and tokens: freed when the load ends */
    json_tape tape;
    conf_snippet *snippets;
    uint32_t snippet_count;
    size_t total; /* bytes read */
    tp_str *notices;
    uint32_t notice_count, notice_cap;
    conf_node *nodes[CONF_S_COUNT];                /* of named sections: where each item stands */
    conf_node *key_nodes;                          /* of conf.keys */
    map names[CONF_S_COUNT];                       /* name -> item */
    conf_node seen[CONF_S_COUNT][CONF_MAX_FIELDS]; /* of single sections: who set it */
    struct {
        const char *text;
        regex_t compiled;
    } patterns[CONF_MAX_PATTERNS];
    uint32_t pattern_count;
};

/* say.c: messages and memory */
void *conf_mem(conf_loader *l, size_t n);  /* zeroed, conf.mem; aborts when out */
tp_str conf_str(conf_loader *l, tp_str s); /* copy into conf.mem, NUL after it */
tp_str conf_fmt(conf_loader *l, const char *fmt, ...) TP_PRINTF(2, 3); /* into conf.mem */
int conf_fail(conf_loader *l, conf_node n, const char *fmt, ...) TP_PRINTF(3, 4);
int conf_fail_at(conf_loader *l, conf_place p, const char *fmt, ...) TP_PRINTF(3, 4);
void conf_notice(conf_loader *l, const char *fmt, ...) TP_PRINTF(2, 3);
conf_place conf_place_of(conf_node n);
conf_place conf_place_at(const conf_snippet *s, uint32_t at);
typedef struct conf_text { /* a short text in a message */
    char s[360];
} conf_text;
conf_text conf_path_text(const conf_path *path);
conf_text conf_where(conf_place p); /* "file:line:column" */
conf_text conf_found(conf_node n);  /* "the string \"high\"" */
conf_text conf_doc_found(const tp_doc *d, uint32_t t);
/* The nearest known name, for "did you mean". Start with conf_guess_begin(name), offer all, ask. */
typedef struct conf_guess {
    tp_str name, best;
    unsigned distance;
    uint32_t offered;
    char known[200]; /* the first of them, for when none is near */
    size_t known_len;
} conf_guess;
conf_guess conf_guess_begin(tp_str name);
void conf_guess_offer(conf_guess *g, tp_str known);
/* "; did you mean 'x'?", or "; known: a, b, c", or "". what: "known" word, e.g. "providers". */
conf_text conf_guess_text(const conf_guess *g, const char *what);
static inline conf_node conf_child(conf_node n, uint32_t t)
{
    return (conf_node){n.s, t};
}
/* The node of this member, or n itself when it is not written. */
conf_node conf_member(conf_node n, const char *key);

/* read.c */
int conf_read_dir(conf_loader *l, const char *dir);
int conf_read_text(conf_loader *l, const char *name, tp_str text, uint32_t mode);
const char *conf_join(conf_loader *l, const char *dir, tp_str path); /* absolute stays; conf.mem */
/* A file's whole content, of at most max bytes: 0, or an errno value (EFBIG, EISDIR, EINVAL for
 * what is no regular file). mode may be NULL. */
int conf_slurp(const char *path, size_t max, buf *out, uint32_t *mode);

/* field.c */
void conf_defaults(const conf_table *t, void *item);
int conf_object(conf_loader *l, conf_node n, const conf_path *path, const conf_table *t, void *item,
                conf_node *seen);
int conf_match(conf_loader *l, const char *pattern, tp_str s);
/* A decoded string in conf.mem without control characters. */
int conf_string(conf_loader *l, conf_node n, const conf_path *path, const char *expect,
                tp_str *out);

/* value.c: parse functions of the tables */
/* lines: it may be of several lines. */
int conf_secret_parse(conf_loader *l, conf_node n, const conf_path *path, int lines,
                      conf_secret *out);
int conf_field_headers(conf_loader *, conf_node, const conf_path *, const conf_field *, void *);
int conf_field_listen(conf_loader *, conf_node, const conf_path *, const conf_field *, void *);
int conf_field_status(conf_loader *, conf_node, const conf_path *, const conf_field *, void *);
const char *conf_getenv(const conf_loader *l, const char *name); /* NULL when unset or empty */

/* price.c */
int conf_price_parse(tp_str text, int64_t *out); /* 0; -1 form, -2 too fine, -3 too large */
int conf_field_prices(conf_loader *, conf_node, const conf_path *, const conf_field *, void *);

/* credential.c */
/* p->credential, where one is written, becomes p->api_key. */
int conf_join_credential(conf_loader *l, conf_provider *p, conf_node provider,
                         const conf_path *path);

/* options.c */
/* item: the object that may have "options". soft: an absent variable becomes null. */
int conf_options(conf_loader *l, conf_node item, const conf_path *path, int soft, tp_doc *out,
                 conf_place *place);
int conf_base_url(conf_loader *l, conf_provider *p, const conf_path *path);
/* The variable that base_url is to be taken from, where it is unset and there is no default. */
tp_str conf_base_url_unset(conf_loader *l, conf_node provider);

/* resolve.c, plugins.c, govern.c: steps, in the order of conf_resolve */
int conf_resolve(conf_loader *l);
int conf_plugins(conf_loader *l);
int conf_tiers(conf_loader *l);
int conf_teams(conf_loader *l);
int conf_keys(conf_loader *l);
int conf_admit(conf_loader *l);
int conf_bill(conf_loader *l);
/* Is there a tier of this name? Empty is none, and right. n: the object whose `key` names it. */
int conf_tier_known(conf_loader *l, conf_node n, const conf_path *path, const char *key,
                    tp_str name);
/* Where a member of a single section was written; .s NULL: nowhere. */
conf_node conf_seen(const conf_loader *l, int section, const char *key);
/* An unknown name: fails at n with the nearest of that section. */
int conf_unknown(conf_loader *l, conf_node n, const conf_path *path, int section, tp_str name);
#endif

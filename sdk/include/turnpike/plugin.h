/* turnpike/plugin.h - the plugin ABI of Turnpike, major 1. The whole SDK is this header; a plugin is
 * a shared library with one exported function and a manifest:
 *
 *     cc -shared -fPIC -fvisibility=hidden -Wl,-z,defs -o acme.so acme.c
 *
 * A plugin is a pure transform: bytes in, bytes out. It opens no socket or file, starts no
 * thread, reads no clock and keeps no mutable global. The core does all of that for it.
 *
 * Kinds    A provider turns an operation into an upstream request and the upstream's bytes into
 *          events; an endpoint turns a client's request into an operation and events into the
 *          client's bytes; a strategy puts candidates in order. One plugin may be several.
 * A life   endpoint.parse -> strategy.rank -> (endpoint.convert) -> provider.build -> upstream ->
 *          provider.head, data..., end, or failed -> endpoint.render. On failure the next candidate.
 * Threads  [load] loader thread, one call at a time, may allocate and block.
 *          [loop] any worker; concurrent on one instance, never on one tp_call; must not block.
 *          [any]  any thread, at any time.
 * Memory   Arguments are borrowed until the call returns. What is given to the host is copied,
 *          save bytes that lie in the body, part or frame of this call: those are referenced, so
 *          passing them on is free. Nobody ever frees the other's pointer. No thread-local storage:
 *          a plugin with a TLS segment is refused.
 * Growth   Data grows by size: appended only, read and written with TP_HAS. Arrays of it step by
 *          stride (TP_AT). A table of functions never grows: behaviour has an id, and a new one gets
 *          a new id. What is unknown (kind, code, unit, id) is passed over, never an error. Set
 *          .size = sizeof(it) in every struct that you give; what you do not set is 0.
 * Errors   A function that cannot do its work returns what tp_host.fail returns, with a sentence
 *          that names the parameter, what was expected and what to do. The request fails, not the
 *          process. Nothing may unwind across the boundary (C++: catch; Rust: panic=abort).
 * Formats  An operation is named by the format of its body: "chat/openai", "chat/anthropic",
 *          "embeddings/openai". X/openai is canonical for X; docs/canonical.md says what it
 *          carries beyond OpenAI's own (cache_control, thinking, signatures, documents, safety).
 */
#ifndef TURNPIKE_PLUGIN_H
#define TURNPIKE_PLUGIN_H
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

#define TP_EXPORT __attribute__((visibility("default")))
#define TP_SDK_MAJOR 1
#define TP_SDK_MINOR 0 /* for messages; never decide by it */
/* Does the other side's struct reach as far as this field? TP_HAS(tp_event, e, param) */
#define TP_HAS(T, p, f) ((p)->size >= offsetof(T, f) + sizeof((p)->f))
/* Item i of a tp_list of T: TP_AT(tp_header, r->headers, 0)->name */
#define TP_AT(T, list, i) \
    ((const T *)(const void *)((const char *)(list).ptr + (size_t)(i) * (list).stride))
/* A tp_str of a string literal. */
#ifdef __cplusplus
#define TP_STR(lit) (tp_str{"" lit, sizeof(lit) - 1})
#else
#define TP_STR(lit) ((tp_str){"" lit, sizeof(lit) - 1})
#endif
/* TP_MANIFEST({...}); once, at file scope of one source: JSON in a section of its own, read from the
 * file, so that a configuration check never has to run plugin code. Members: "id" (letters, digits,
 * '.', '-', '_'), "version", "license", "sdk" ("1.0": MAJOR.MINOR built against) and "kinds"
 * (["provider"], "endpoint", "strategy") must be there; "name" and "description" may; "options" is
 * the JSON Schema of the options, and without it there are none. */
#define TP_MANIFEST(...) \
    _Pragma("GCC diagnostic ignored \"-Woverlength-strings\"") \
    TP_MANIFEST_AT static const char tp_manifest[] = #__VA_ARGS__
#if defined(__has_attribute) && __has_attribute(retain) /* else --gc-sections drops it */
#define TP_MANIFEST_AT __attribute__((used, retain, section(".tp_manifest")))
#else
#define TP_MANIFEST_AT __attribute__((used, section(".tp_manifest")))
#endif

/* 0, TP_AGAIN where a function offers it, or an error; treat an unknown negative as INTERNAL.
 * INPUT: the client's fault, 400. UPSTREAM: the next candidate is tried, else 502. UNSUPPORTED: this
 * provider cannot carry the request; the next candidate is tried, else 400. NOMEM: 503. INTERNAL:
 * the plugin is at fault; a clean 500 or 502. */
typedef int32_t tp_status;
enum { TP_OK = 0, TP_AGAIN = 1, TP_E_INPUT = -1, TP_E_UPSTREAM = -2, TP_E_UNSUPPORTED = -3,
       TP_E_NOMEM = -4, TP_E_INTERNAL = -5 };

typedef struct tp_instance tp_instance; /* plugin's: one configured instance, const after create */
typedef struct tp_str { const char *ptr; size_t len; } tp_str; /* UTF-8 or bytes, no terminator */
typedef struct tp_list { const void *ptr; uint32_t count, stride; } tp_list;
typedef struct tp_header { tp_str name, value; } tp_header;    /* these two never grow */

typedef struct tp_call { /* the one handle: what a call may know, and where its output goes */
    uint32_t size, flags;
    int64_t now_ms;      /* the only clock: Unix time; 0 in create */
    uint64_t seed;       /* the only randomness; another for each call; 0 in create */
    void *state;         /* state_size bytes (4,096 at most), zeroed at the start of: an attempt
                            (provider), an exchange (endpoint); aligned to 16, never moved, no
                            destructor; else NULL */
} tp_call;

/* ---- JSON, scanned once by the host: valid, UTF-8, no NUL, no duplicate key, bounded depth.
 * Token 0 is the root. The first child of an array or object t is t + 1 (when next > t + 1); the
 * one after a child c is tokens[c].next. */
enum { TP_NULL = 1, TP_BOOL = 2, TP_NUMBER = 3, TP_STRING = 4, TP_ARRAY = 5, TP_OBJECT = 6 };
typedef struct tp_token { /* in text order; an object's children are key, value, key, value... */
    uint32_t kind, at, len; /* the value's own bytes: text.ptr + at, quotes included */
    uint32_t next;          /* the token after this value and all within it */
} tp_token;                 /* never grows */
typedef struct tp_doc { tp_str text; const tp_token *tokens; uint32_t count, reserved; } tp_doc;

/* ---- The request, as an endpoint gets it. */
typedef struct tp_part { /* one part of a multipart form, taken apart by the host */
    uint32_t size, index;
    tp_str name, filename, type;
    tp_str head;    /* a small part's whole value; the first bytes of one that waits on disk */
    int64_t length;
} tp_part;

typedef struct tp_request {
    uint32_t size, flags;
    tp_str method, path, query, type; /* type: content type without parameters */
    tp_list headers;                  /* tp_header; never a credential */
    tp_doc body;                      /* no tokens: not JSON. Routing hints are already cut out */
    tp_list parts;                    /* tp_part */
} tp_request;

enum { TP_STREAM = 1,   /* endpoint's: the client wants it as it comes */
       TP_RELAY = 2,    /* host's: the client speaks `format`, so FRAME may pass the reply on */
       TP_STRICT = 4 }; /* host's: a dropped field refuses this attempt */
enum { TP_NEED_TOOLS = 1, TP_NEED_VISION = 2, TP_NEED_AUDIO = 4, TP_NEED_DOCUMENTS = 8,
       TP_NEED_SCHEMA = 16, TP_NEED_REASONING = 32 };

typedef struct tp_operation { /* what routing, admission and a provider know of a request */
    uint32_t size, flags;
    uint64_t needs;
    tp_str format;             /* of body: the client's own, or the canonical one */
    tp_str model, user;        /* model as the client wrote it; user: for stickiness, or empty */
    int64_t max_output_tokens; /* -1: not said */
    int64_t prompt_tokens;     /* host's estimate, from `prompt` */
    uint32_t choices, reserved;
    tp_doc body;
    tp_list parts;             /* tp_part */
    tp_list headers;           /* tp_header: those that parse carried over */
    tp_list prompt;            /* tp_event: those that parse emitted, for strategies */
} tp_operation;

/* ---- The reply: one model, whole or streamed. In parse the same words describe the question. */
enum {
    TP_EV_START = 1,      /* id; name: the model's; number: created, Unix seconds. From a provider:
                             the upstream's. To render, always the first: what the client is to see;
                             an empty name leaves the model of each FRAME as it is */
    TP_EV_TEXT = 2,       /* text. In parse: name: role; raw: the JSON string as it stands */
    TP_EV_REASONING = 3,  /* text */
    TP_EV_REFUSAL = 4,    /* text */
    TP_EV_CALL = 5,       /* a tool call begins: id, name */
    TP_EV_ARGUMENTS = 6,  /* text: a piece of that call's JSON */
    TP_EV_SIGNATURE = 7,  /* text: opaque proof of the item; name: the format that reads it */
    TP_EV_MEDIA = 8,      /* name: media type; text: base64. In parse: number: tokens, or -1 */
    TP_EV_ANNOTATION = 9, /* raw: a citation, canonical JSON */
    TP_EV_LOGPROBS = 10,  /* raw: canonical JSON */
    TP_EV_ROW = 11,       /* raw: a value of a list reply (embedding, rank); item: its place */
    TP_EV_FIELD = 12,     /* name, raw: a top-level field to carry (system_fingerprint, duration) */
    TP_EV_ITEM = 13,      /* name: format; raw: an item that only that format knows */
    TP_EV_BYTES = 14,     /* raw: audio or other bytes; name: media type, on the first */
    TP_EV_FRAME = 15,     /* raw: with TP_RELAY, one frame of the client's format, as it stands;
                             number: bytes of answer in it, for an estimate of tokens when the
                             client breaks off; 0: not told, it counts as one token */
    TP_EV_USAGE = 16,     /* name: unit ("prompt", "cache_read", "cache_write", "completion",
                             "reasoning", "images:1024x1024", "seconds"), all disjoint; number:
                             total so far in this step. In parse: the most it may come to.
                             raw: with TP_RELAY, the frame, if it came in one of its own */
    TP_EV_FINISH = 17,    /* of a choice. code; name: upstream's word; text: stop sequence met */
    TP_EV_ERROR = 18,     /* terminal. code; id: upstream's code; name: type; text: message;
                             number: retry after so many ms, or -1; param: what was at fault */
    TP_EV_END = 19        /* terminal: complete. A reply that ends without one of the two is cut */
};
enum { TP_FINISH_STOP = 1, TP_FINISH_LENGTH = 2, TP_FINISH_TOOLS = 3, TP_FINISH_FILTER = 4,
       TP_FINISH_REFUSAL = 5, TP_FINISH_PAUSE = 6 };
enum { TP_ERR_INVALID = 1, TP_ERR_AUTH = 2, TP_ERR_FORBIDDEN = 3, TP_ERR_NOT_FOUND = 4,
       TP_ERR_TOO_LONG = 5, TP_ERR_RATE = 6, TP_ERR_QUOTA = 7, TP_ERR_OVERLOADED = 8,
       TP_ERR_TIMEOUT = 9, TP_ERR_FILTER = 10, TP_ERR_UPSTREAM = 11 }; /* host: retry or not */
enum { TP_EV_PREAMBLE = 1,      /* flag: no answer yet in it; held back, so fallback stays open */
       TP_EV_SHOW_USAGE = 2,    /* flag of START to render: show usage although nobody asked */
       TP_EV_KEEP_MODEL = 4 };  /* the same: each FRAME keeps its model; name is for all else */

typedef struct tp_event {
    uint32_t size;
    int32_t kind, code;
    uint32_t flags;
    uint32_t choice, item; /* item: part of a choice (text, thought, call), by order of coming */
    int64_t number;
    tp_str id, name, text; /* decoded */
    tp_str raw;            /* bytes as they came */
    tp_str param;          /* ERROR: the request's parameter at fault, or empty */
} tp_event;

/* ---- What the host does for a plugin. When an output function fails, return its status. Which
 * output belongs where (anything else fails the call):
 *   build           request or local, header, secret_header, sign, write, quote, attach
 *   head, data, end, failed          emit
 *   parse           emit, header (for the operation), write and quote (a repaired body)
 *   convert         write, quote
 *   render          status, header, write, quote
 * and everywhere alloc, keep, report, fail, log, scan, find, text. */
typedef struct tp_local { /* how a local reply comes: all 0 is at once and whole */
    uint32_t size, flags; /* TP_LOCAL_CUT: the reply breaks off where the bytes end */
    int64_t delay_ms, gap_ms;
} tp_local;
enum { TP_LOCAL_CUT = 1 };

typedef struct tp_host {
    uint32_t size, minor; /* minor: for the log; never decide by it */
    void *(*alloc)(tp_call *, size_t n); /* [loop] until this call returns; NULL when out */
    void *(*keep)(tp_call *, size_t n);  /* [loop] as long as state, zeroed; bounded: NULL */
    /* Output: the upstream request, the canonical body, or the client's response. */
    tp_status (*request)(tp_call *, tp_str method, tp_str path); /* path: begins with '/', is put
                          after the configured option base_url; no "..", no scheme, no host */
    /* In place of request: no upstream is called, and what build writes comes back to head, data
     * and end as the reply, after delay_ms; with gap_ms one SSE event each gap_ms. */
    tp_status (*local)(tp_call *, int32_t http_status, tp_str type, const tp_local *);
    tp_status (*status)(tp_call *, int32_t http_status); /* 200 to 599 */
    tp_status (*header)(tp_call *, tp_str name, tp_str value); /* not Host, framing, connection or
                          Accept-Encoding, which are the host's */
    tp_status (*secret_header)(tp_call *, tp_str name, tp_str prefix); /* host appends the secret */
    tp_status (*sign)(tp_call *, tp_str scheme, tp_str params_json); /* done when all is written:
                          "aws4" {service, region}, "google-oauth" {scope} (token fetched, kept) */
    tp_status (*write)(tp_call *, tp_str bytes);
    tp_status (*quote)(tp_call *, tp_str text);        /* UTF-8 text as a JSON string */
    tp_status (*attach)(tp_call *, uint32_t part, uint32_t base64); /* a part's bytes, streamed */
    tp_status (*emit)(tp_call *, const tp_event *);
    tp_status (*report)(tp_call *, int32_t what, tp_str field, tp_str why); /* TP_DROPPED...: the
                          client is told; with TP_STRICT the host refuses instead */
    tp_status (*fail)(tp_call *, tp_status, tp_str param, tp_str why); /* returns that status; the
                          first sentence of a call is the one that is told, 1,000 bytes of it */
    void (*log)(tp_call *, int32_t level, tp_str message); /* never a secret, never a prompt */
    /* JSON. The same bytes scanned again, by this or the next plugin on their way, cost nothing.
     * Not JSON: TP_E_UPSTREAM in head, data, end and failed, else TP_E_INPUT; return it, or go on.
     * In those four and in render, which read an upstream's bytes, the escape of half a surrogate
     * pair (\ud83d alone) is taken: it stays as it is in the text, and text gives U+FFFD for it. */
    tp_status (*scan)(tp_call *, tp_str text, tp_doc *out); /* tokens live as alloc's memory */
    uint32_t (*find)(const tp_doc *, uint32_t object, tp_str key); /* [any] value's token, or 0 */
    tp_str (*text)(tp_call *, const tp_doc *, uint32_t string);    /* decoded; in place if it can;
                          ptr NULL: not a string */
    /* Later services. One-way, flat arguments only, so that isolation can carry them. */
    const void *(*get_extension)(const struct tp_host *, const char *id); /* [any] NULL: unknown */
} tp_host;
enum { TP_LOG_ERROR = 1, TP_LOG_WARN = 2, TP_LOG_INFO = 3, TP_LOG_DEBUG = 4 };
enum { TP_DROPPED = 1, TP_CHANGED = 2, TP_REPAIRED = 3 };

/* ---- Provider: canonical (or its own) format in, upstream request out; and back. Its option
 * base_url is the host's: scheme, host, port and path prefix of every request it makes.
 * build -> head -> data... -> end; a status of 400 and above: build -> failed. An attempt is one
 * step, or several in sequence: when end returns TP_AGAIN, build is called with step + 1 (batches
 * to be joined, an upload before its use); state lives through all of them. */
typedef struct tp_target { /* the deployment that this attempt goes to */
    uint32_t size, step;
    tp_str provider, model;
    int64_t context_length, max_output_tokens; /* -1: not known */
    tp_doc options;                            /* the deployment's own, JSON */
} tp_target;

enum { TP_WHOLE = 1,    /* the body at once, up to the host's limit */
       TP_SSE = 2,      /* an event; comments are the host's */
       TP_LINES = 3,    /* a line, not empty */
       TP_CHUNKS = 4 }; /* bytes as they come; what was not used comes again, with more */
typedef struct tp_reply {
    uint32_t size;
    int32_t status;
    tp_list headers;   /* tp_header */
    tp_str type, body; /* body: for failed, up to a limit; empty for head */
} tp_reply;
typedef struct tp_frame {
    uint32_t size, reserved;
    tp_str name, data; /* name: the SSE event's */
    size_t used;       /* TP_CHUNKS: set by the plugin, all by default */
} tp_frame;

#define TP_PROVIDER "tp.provider/1"
typedef struct tp_provider {
    uint32_t size, state_size;
    tp_list formats; /* tp_str, those that build takes; the client's own is preferred */
    tp_status (*build)(const tp_instance *, tp_call *, const tp_operation *, const tp_target *);
    tp_status (*head)(const tp_instance *, tp_call *, const tp_reply *, int32_t *framing);
                                                          /* *framing is TP_WHOLE when called */
    tp_status (*data)(const tp_instance *, tp_call *, tp_frame *);
    tp_status (*end)(const tp_instance *, tp_call *, int32_t broken); /* emits END; or it is cut.
                                       broken: the upstream's reply was not complete */
    tp_status (*failed)(const tp_instance *, tp_call *, const tp_reply *); /* emits ERROR */
} tp_provider; /* all [loop]; all must be there */

/* ---- Endpoint: client request in, operation out; events in, client response out. */
#define TP_ENDPOINT "tp.endpoint/1"
typedef struct tp_endpoint {
    uint32_t size, state_size;
    tp_str format, canonical; /* the client's format; what convert writes, empty: the same */
    /* Checks, fills the operation (format, body and parts are set already), emits what the prompt
     * holds and the most it may use. A body that it writes (a repair) takes the place of the
     * client's. */
    tp_status (*parse)(const tp_instance *, tp_call *, const tp_request *, tp_operation *);
    /* Writes the canonical body; once at most, only for a provider that needs it. May be NULL. */
    tp_status (*convert)(const tp_instance *, tp_call *, const tp_operation *);
    /* tp_event: with TP_STREAM as they come, else all at once, neighbouring texts joined. ERROR may
     * come first of all; TP_E_UNSUPPORTED: the surface's envelope is used. */
    tp_status (*render)(const tp_instance *, tp_call *, tp_list events);
} tp_endpoint; /* all [loop] */

/* ---- Strategy: candidates in, order out. It keeps nothing; live figures are arguments. */
typedef struct tp_candidate {
    uint32_t size, context_length;
    uint64_t capabilities; /* TP_NEED_ */
    tp_str provider, model, deployment; /* model: the codename; deployment: stable id */
    int64_t price_prompt, price_completion; /* nano-dollars a million tokens */
    int64_t cost;                           /* nano-dollars: this request, at most */
    int32_t quality, speed, trust_level, weight;
    int64_t tokens_per_second, first_token_ms, error_permille, in_flight; /* live; -1: not known */
} tp_candidate;
typedef struct tp_rank { uint32_t candidate, reserved; int64_t score; } tp_rank; /* to explain */

#define TP_STRATEGY "tp.strategy/1"
typedef struct tp_strategy {
    uint32_t size, reserved;
    tp_status (*rank)(const tp_instance *, tp_call *, const tp_operation *, tp_list candidates,
                      tp_rank *order, uint32_t *n); /* [loop] n: room in, ranked out; best first */
} tp_strategy;

/* ---- The plugin itself. */
typedef struct tp_plugin {
    uint32_t size, minor;
    tp_str id, version; /* as in the manifest */
    tp_status (*create)(const tp_host *, tp_call *, tp_doc options, tp_instance **); /* [load] once
                          for each use in the configuration. Checks the options (their schema is
                          checked already), keeps the host's pointer (valid for ever). The instance
                          may stay NULL */
    void (*destroy)(tp_instance *);               /* [load] after its last call has returned; not
                          called for NULL, and may then be NULL itself */
    const void *(*get_extension)(const char *id); /* [any] static tables; NULL: not offered */
} tp_plugin;

/* The one symbol that a plugin exports; its name has the major: a host looks for v2, then v1. */
TP_EXPORT const tp_plugin *tp_plugin_entry_v1(const tp_host *); /* [load] NULL: will not run here */

#ifdef __cplusplus
}
#endif
#endif

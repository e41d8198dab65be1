/* One call of a plugin: what it may use, what it put out. The host's function table (tp_host) is
 * implemented here. A plug_call lives on the caller's side for one call; its output arrays live in
 * the worker's scratch until that is reset. [loop] unless said otherwise. */
#ifndef TP_PLUG_CALL_H
#define TP_PLUG_CALL_H
#include "base/arena.h"
#include "base/log.h"
#include "model/json.h"
#include "plug/plug.h"

/* Host functions that a call may use; others answer TP_E_INTERNAL and fail the call. */
enum { PLUG_MAY_REQUEST = 1, /* request, local, secret_header, sign, header, write, quote, attach */
       PLUG_MAY_WRITE = 2,   /* header, write, quote: a body, or status: the client's response */
       PLUG_MAY_EMIT = 4,    /* emit */
       PLUG_MAY_STATUS = 8 };

typedef struct plug_report {
    int32_t what, reserved; /* TP_DROPPED, TP_CHANGED, TP_REPAIRED */
    tp_str field, why;
} plug_report;

/* What a call, or several in a row, put out. Zeroed by plug_out_reset; grows in scratch memory. */
typedef struct plug_out {
    tp_str *segs;      uint32_t seg_count, seg_cap;   /* written bytes, in order */
    size_t bytes;                                     /* their sum */
    tp_header *headers; uint32_t header_count, header_cap;
    tp_event *events;  uint32_t event_count, event_cap; /* normalised to the host's size */
    plug_report *reports; uint32_t report_count, report_cap;
    int32_t http_status;  /* status(); 0: not said */
    int32_t has_request, has_local, has_secret, has_sign, failed;
    tp_str method, path;  /* request() */
    tp_local local;       /* local() */
    tp_str local_type;
    int32_t local_status, reserved;
    tp_str secret_name, secret_prefix; /* secret_header() */
    tp_str sign_scheme, sign_params;   /* sign() */
    tp_status fail_status;             /* fail(): the first one */
    int32_t reserved2;
    tp_str fail_param, fail_why;       /* one line each, bounded, valid UTF-8 */
    char *room, *room_end;             /* private: where the next copied bytes go, so that
                                          neighbouring small writes become one seg */
} plug_out;

typedef struct plug_scan_memo {
    tp_str text;
    const tp_token *tokens;
    uint32_t count, reserved;
} plug_scan_memo;

/* One a worker, and one for the loader thread. The owner resets it between steps. */
typedef struct plug_scratch {
    arena mem;              /* alloc's memory, copied output, tokens; bounded by mem.max */
    void *base;             /* mem's first bytes; owned */
    json_tape tape;
    plug_scan_memo memo[2]; /* the last texts scanned since the reset */
    uint32_t memo_next, reserved;
    const logger *log;      /* borrowed */
    json_error scan_error;  /* private: of the last scan that failed; code 0: none */
} plug_scratch;
/* max: bytes of mem between two resets; what goes past it fails the call with TP_E_NOMEM. */
void plug_scratch_init(plug_scratch *s, arena_pool *pool, size_t max, const logger *log);
/* Ends the life of everything that calls put out since the last reset, and of the memo. */
void plug_scratch_reset(plug_scratch *s);
void plug_scratch_free(plug_scratch *s);
/* Tells the memo of a document that was scanned elsewhere (the request body), so that scanning it
 * again is free. Text and tokens must live, unchanged, until the scratch's next reset. */
void plug_scratch_know(plug_scratch *s, const tp_doc *d);

typedef struct plug_call {
    tp_call pub;           /* first: tp_call * is plug_call * */
    plug_scratch *scratch; /* borrowed */
    plug_out *out;         /* borrowed; appended to */
    arena *keep;           /* keep()'s memory: the exchange's; NULL: keep fails */
    size_t keep_max;       /* most bytes that keep may still give in this call */
    uint32_t may;          /* PLUG_MAY_ bits */
    uint32_t borrowed_count;
    tp_str borrowed[4];    /* bytes that stay as they are until the scratch's next reset (body,
                              frame): referenced, not copied; scans of them are remembered */
    tp_list parts;         /* tp_part, for attach */
    tp_str who;            /* the instance's name, for the log; set by plug_invoke */
    int32_t what;          /* PLUG_PARSE...; set by plug_invoke. 0: create */
    uint32_t log_lines;    /* written by this call; set to 0 by plug_invoke */
} plug_call;
void plug_out_reset(plug_out *o);
/* Appends to out as a host function would (the host's own events, headers and bytes). 0, or
 * TP_E_NOMEM. header and event reference what they are given; write does with copy 0. */
int plug_out_write(plug_scratch *s, plug_out *o, tp_str bytes, int copy);
int plug_out_header(plug_scratch *s, plug_out *o, tp_str name, tp_str value);
tp_event *plug_out_event(plug_scratch *s, plug_out *o); /* zeroed, size set; NULL: out of memory */
/* Takes back what was put out since `before` was copied from *o (writes may have lengthened what
 * was then the last seg, so setting seg_count alone would not do). */
void plug_out_rewind(plug_out *o, const plug_out *before);

/* The one table; the same for every plugin. [any] */
const tp_host *plug_host(void);

/* ---- CALL, as data: what dispatch asks for and the driver answers, inline today. */
enum { PLUG_PARSE = 1, PLUG_CONVERT, PLUG_RENDER, PLUG_RANK, PLUG_BUILD, PLUG_HEAD, PLUG_DATA,
       PLUG_END, PLUG_FAILED };
typedef struct plug_invocation {
    int32_t what;
    tp_status status;         /* answer; fail()'s sentence is in call->out */
    const plug_instance *on;
    plug_call *call;
    const tp_request *request;  /* PARSE */
    tp_operation *operation;    /* PARSE (filled), CONVERT, BUILD, RANK: read */
    const tp_target *target;    /* BUILD */
    const tp_reply *reply;      /* HEAD, FAILED */
    tp_frame *frame;            /* DATA */
    tp_list list;               /* RENDER: events; RANK: candidates */
    tp_rank *order;             /* RANK */
    uint32_t order_count;       /* RANK: room in, ranked out */
    int32_t framing;            /* HEAD: answer */
    int32_t broken;             /* END */
    int32_t reserved;
} plug_invocation;
/* Calls the plugin. framing is TP_WHOLE and frame->used the whole frame unless it says otherwise.
 * Checks what it can cheaply check of the answer (framing known, order within range and without
 * repetition, used <= frame, build asked for something, an unknown status) and turns nonsense into
 * TP_E_INTERNAL. When status is negative afterwards, out->failed is set and out->fail_why holds a
 * sentence, the host's own if the plugin gave none. A plugin that called fail has failed, whatever
 * it returned. After PARSE the operation's strings lie in borrowed bytes or in scratch memory. */
void plug_invoke(plug_invocation *iv);
#endif

/* Reply events on their way to the client: what is held back before the first answer (so that an
 * early error can still fall back), what a whole reply gathers, usage and the end. Memory only.
 * Events come in shallow (their bytes belong to the step that brought them) and must be kept
 * (copied) when the step ends without passing them on. [loop] */
#ifndef TP_STREAM_STREAM_H
#define TP_STREAM_STREAM_H
#include "base/arena.h"
#include "base/base.h"
#include "model/usage.h"

typedef struct stream_held {
    tp_event *events;      /* in the arena given to stream_add */
    uint32_t count, cap;
    uint32_t kept;         /* the first `kept` events own their bytes */
    uint32_t reserved;
} stream_held;
/* 0 or TP_E_NOMEM. */
int stream_add(stream_held *h, arena *a, const tp_event *e);
/* Copies the bytes of the events that do not own theirs. 0 or TP_E_NOMEM. */
int stream_keep(stream_held *h, arena *a);
static inline void stream_clear(stream_held *h)
{
    h->count = h->kept = 0;
}
/* Joins neighbouring TEXT, REASONING, REFUSAL and ARGUMENTS of one choice and item, for a whole
 * reply. Joined bytes go to the arena. 0 or TP_E_NOMEM. */
int stream_join(stream_held *h, arena *a);

/* What the events so far came to. */
enum { STREAM_OPEN = 0, STREAM_ENDED = 1, STREAM_ERROR = 2 };
typedef struct stream_tally {
    usage used;            /* of the steps before and this one */
    usage step;            /* of the current step: totals so far */
    int32_t finish;        /* TP_FINISH_ of choice 0; 0: none */
    int32_t terminal;      /* STREAM_ */
} stream_tally;
/* Takes one event into the tally; TP_E_UPSTREAM for an event after the terminal one. A count below
 * 0 is 0, one beyond 2^50 is 2^50. */
int stream_count(stream_tally *t, const tp_event *e);
/* The step is over: its totals join the others. */
void stream_step(stream_tally *t);
/* Bytes of answer in it (text, reasoning, refusal, arguments; of a frame, what its provider tells):
 * what an estimate of tokens goes by. */
int64_t stream_weight(const tp_event *e);
/* Does the event hold something that the client would see as an answer? */
int stream_is_answer(const tp_event *e);
#endif

/* Private to dispatch/: the states and the functions that its files share. */
#ifndef TP_DISPATCH_INT_H
#define TP_DISPATCH_INT_H
#include "base/str.h"
#include "dispatch/exchange.h"

/* The life of a request is one table of steps (exchange.c). A step takes the input that its state
 * waits for and returns the next state; STAY: more input is needed. A step may set x->asking, then
 * the machine waits for that answer, whatever the state. */
enum { STAY = -1,
       ST_HEAD = 0,   /* waits for HEAD */
       ST_VERIFIED,   /* VERIFY answered */
       ST_MANAGE,     /* waits for the BODY of a built-in route */
       ST_MANAGED,    /* waits for the built-in route's answer */
       ST_BODY,       /* waits for BODY */
       ST_PARSED,     /* CALL parse answered */
       ST_RANKED,     /* CALL rank answered */
       ST_HELD,       /* HOLD answered */
       ST_ATTEMPT,    /* no input: begins the attempt at plan.order[x->attempt] */
       ST_CONVERTED,  /* CALL convert answered */
       ST_BUILT,      /* CALL build answered */
       ST_CREDENTIAL, /* AWAIT answered */
       ST_UPSTREAM,   /* waits for the reply's head */
       ST_HEADED,     /* CALL head answered */
       ST_FLOW,       /* reply bytes; also entered without input to use pending ones */
       ST_DATA,       /* CALL data answered */
       ST_RENDERED,   /* CALL render answered, more is to come */
       ST_ENDED,      /* CALL end answered */
       ST_ERRBODY,    /* gathers the body of an upstream's error */
       ST_FAILED,     /* CALL failed answered */
       ST_WRITTEN,    /* CALL render of a whole reply answered; nothing of it is sent yet */
       ST_SETTLED,    /* SETTLE answered: the last bytes may go */
       ST_LAST,       /* CALL render of the last events answered */
       ST_LINGER,     /* the client has its answer, the upstream its last bytes to send */
       ST_DONE, ST_COUNT };

/* How an attempt failed, by meaning; TP_ERR_ of plugin.h and two more. */
enum { FAULT_NONE = 0, FAULT_UNREACHABLE = 100, FAULT_CUT = 101, FAULT_INTERNAL = 102 };

/* ---- call.c: CALLs. Each prepares env->iv and asks; the answer enters state `then`. */
int dispatch_ask_call(exchange *x, int what, const plug_instance *on, void *state, uint32_t may,
                      int then);
int dispatch_call_failed(const exchange *x); /* the answered CALL failed */
void dispatch_take_late_answer(exchange *x);
void dispatch_name_reply(exchange *x); /* gives the reply its id, once */

/* ---- request.c: head, body, plan. */
int dispatch_on_head(exchange *x, const dispatch_input *in);
int dispatch_on_verified(exchange *x, const dispatch_input *in);
int dispatch_on_manage(exchange *x, const dispatch_input *in);
int dispatch_on_managed(exchange *x, const dispatch_input *in);
int dispatch_on_body(exchange *x, const dispatch_input *in);
int dispatch_on_parsed(exchange *x, const dispatch_input *in);
int dispatch_on_ranked(exchange *x, const dispatch_input *in);
int dispatch_on_held(exchange *x, const dispatch_input *in);

/* ---- attempt.c: one upstream try. */
int dispatch_attempt(exchange *x, const dispatch_input *in);
int dispatch_on_converted(exchange *x, const dispatch_input *in);
int dispatch_on_built(exchange *x, const dispatch_input *in);
int dispatch_next_step(exchange *x); /* build again, for the next step of this attempt */
int dispatch_start(exchange *x);     /* x->up is complete: start it */

/* ---- fault.c: how an attempt failed. */
/* The attempt failed as x->fault says: next candidate, or the error. class: TP_ERR_ or FAULT_. */
int dispatch_attempt_failed(exchange *x, int fault_class);
int dispatch_is_final(int fault_class); /* another candidate cannot better it */
/* Fills x->fault for a class, from what the gateway knows itself. */
void dispatch_fault_of(exchange *x, int fault_class, const char *what);
/* Keeps what an ERROR event says as the fault; its class. */
int dispatch_fault_from(exchange *x, const tp_event *e);
void dispatch_upstream_over(exchange *x, int failed); /* cancel, live figures */
/* For the operator, in the access log: what went wrong with this attempt (cut to fit). No part of a
 * request may stand in it. */
void dispatch_note(exchange *x, tp_str what);
tp_str dispatch_trouble(const exchange *x); /* all notes, or the error's code; empty: all was well */

/* ---- credential.c: secret, token or signature. */
/* Asks for what the plugin asked for; x->up has all but that, and room for its headers. */
int dispatch_ask_credential(exchange *x, const plug_out *o);
int dispatch_answer_credential(exchange *x, dispatch_input *in); /* 1: in is the answer */
int dispatch_on_credential(exchange *x, const dispatch_input *in);
int dispatch_credential_late(exchange *x);     /* the deadline of the wait may have come */
void dispatch_leave_credential(exchange *x);   /* it is no longer awaited, if it was */
void dispatch_credential_refused(exchange *x); /* the upstream answered 401 */

/* ---- flow.c: the reply. */
int dispatch_on_upstream(exchange *x, const dispatch_input *in);
int dispatch_on_headed(exchange *x, const dispatch_input *in);
int dispatch_on_flow(exchange *x, const dispatch_input *in);
int dispatch_on_data(exchange *x, const dispatch_input *in);
int dispatch_on_rendered(exchange *x, const dispatch_input *in);
int dispatch_on_ended(exchange *x, const dispatch_input *in);
int dispatch_on_errbody(exchange *x, const dispatch_input *in);
int dispatch_on_failed(exchange *x, const dispatch_input *in);

/* ---- finish.c: settle, last bytes, errors. */
int dispatch_fail(exchange *x, int32_t status, tp_str type, tp_str param, tp_str message,
                  tp_str code); /* answers an error, or ends the stream with one; strings copied */
int dispatch_fail_with(exchange *x, const profile_error *e);
int dispatch_answer_fault(exchange *x); /* the error in x->fault */
int dispatch_settle(exchange *x);       /* asks SETTLE, then the last bytes */
int dispatch_complete(exchange *x); /* END before any answer went out: render, settle, send */
int dispatch_on_written(exchange *x, const dispatch_input *in);
void dispatch_keep_written(exchange *x); /* settling outlasts this run: keeps what is rendered */
int dispatch_on_settled(exchange *x, const dispatch_input *in);
int dispatch_on_last(exchange *x, const dispatch_input *in);
int dispatch_on_linger(exchange *x, const dispatch_input *in);
int dispatch_gone(exchange *x);         /* the client is gone */
int dispatch_finish(exchange *x);       /* the last bytes are written: record, linger or done */
/* Copies what a CALL render put out into the response (head with the first). */
int dispatch_take_render(exchange *x);
/* CALL render: these events; or START, all that was held back, and `last` (may be NULL). */
int dispatch_render(exchange *x, const tp_event *e, uint32_t n, int then);
int dispatch_render_all(exchange *x, const tp_event *last, int then);
int dispatch_unrendered(exchange *x); /* the reply cannot be written: an error, or broken off */
void dispatch_drop_render(exchange *x); /* forgets what the failed CALL render had written */
/* The record of the exchange as it stands; strings are borrowed from it. */
void dispatch_record_of(const exchange *x, settle_record *r);
/* What the customer owes, and what the baseline would have cost, as the exchange stands. */
void dispatch_owe(const exchange *x, settle_record *r);
void dispatch_leave(exchange *x); /* admission: the exchange is over; once */
#endif

/* What an exchange may cost is put aside before it is sent, and what it did cost is taken of that
 * after: tokens of the minute, the key's spending limit, the team's credits. Each is one word that
 * decides; the others only tell. */
#include "admit/admit_int.h"
#include "admit/book_int.h"

static const key_terms *key_terms_of(const book_key *k)
{
    return atomic_load_explicit(&k->terms, memory_order_acquire);
}

static int is_postpaid(const book_team *t)
{
    return atomic_load_explicit(&t->terms, memory_order_acquire)->billing == CONF_POSTPAID;
}

/* The most that a team may owe, nano-dollars. An upstream may say what it likes; the ledger's sums
 * stay numbers. */
#define OWED_MOST INT64_C(4000000000000000000)

/* How far the team's credits may go down. */
static int64_t floor_of(const book_team *t)
{
    return is_postpaid(t) ? -OWED_MOST : 0;
}

/* What there is above the floor. */
static int64_t above(int64_t there, int64_t floor)
{
    int64_t n;
    if (there <= floor)
        return 0;
    return __builtin_sub_overflow(there, floor, &n) ? INT64_MAX : n;
}

/* n of what is there above the floor: 1, or 0. */
static int take_all(_Atomic int64_t *word, int64_t floor, int64_t n)
{
    int64_t there = atomic_load_explicit(word, memory_order_relaxed);
    do {
        if (above(there, floor) < n)
            return 0;
    } while (!atomic_compare_exchange_weak_explicit(word, &there, there - n, memory_order_relaxed,
                                                    memory_order_relaxed));
    return 1;
}

/* As much of n as is there above the floor: how much that was. */
static int64_t take_some(_Atomic int64_t *word, int64_t floor, int64_t n)
{
    int64_t there = atomic_load_explicit(word, memory_order_relaxed), got;
    do {
        got = TP_MIN(n, above(there, floor));
    } while (got && !atomic_compare_exchange_weak_explicit(
                        word, &there, there - got, memory_order_relaxed, memory_order_relaxed));
    return got;
}

static void add(_Atomic int64_t *word, int64_t n)
{
    if (n)
        atomic_fetch_add_explicit(word, n, memory_order_relaxed);
}

/* ---- The key's tokens a minute. */
static int hold_tokens(admit_principal *who, const key_terms *t, admit_tokens n, tp_now now,
                       profile_error *e)
{
    window_view v;
    int64_t limit = t->in_force.tokens_per_minute;
    if (limit <= 0 || n.most <= 0)
        return 0;
    who->held_tokens =
        window_reserve_some(&who->key->windows->tokens, limit, TP_MAX(n.least, 1), n.most,
                            now.unix_ms, &who->token_window, &v);
    return who->held_tokens ? 0 : admit_refuse_rate(who->surface, who, &v, "tokens", "key", e);
}

static void return_tokens(admit_principal *who, int64_t used, tp_now now)
{
    if (who->held_tokens)
        window_return(&who->key->windows->tokens, who->token_window, who->held_tokens, used,
                      now.unix_ms);
    who->held_tokens = 0;
}

/* ---- The key's spending limit. */
static int hold_spending(admit_principal *who, const key_terms *t, int64_t nano, tp_now now,
                         profile_error *e)
{
    book_spend *s = spend_now(who->key, now.unix_ms);
    int64_t limit = t->spend_limit_nano, taken;
    who->spend_began = s->began;
    who->spend_held = 0;
    if (limit < 0 || nano == 0)
        return 0;
    taken = atomic_load_explicit(&s->taken, memory_order_relaxed);
    do {
        if (nano > limit || taken > limit - nano)
            return admit_refuse_spent(who, limit, e);
    } while (!atomic_compare_exchange_weak_explicit(&s->taken, &taken, taken + nano,
                                                    memory_order_relaxed, memory_order_relaxed));
    who->spend_held = nano;
    return 0;
}

static void settle_spending(admit_principal *who, int64_t charged, tp_now now)
{
    book_spend *s = spend_now(who->key, now.unix_ms);
    /* What began in a period that is over counts in that one, which nobody asks for any more. */
    if (s->began == who->spend_began) {
        add(&s->spent, charged);
        add(&s->taken, charged - who->spend_held);
    }
    who->spend_held = 0;
}

/* ---- The team's credits. */
static int hold_credit(admit_principal *who, int64_t nano, profile_error *e)
{
    book_team *t = who->team;
    if (nano && !take_all(&t->available, floor_of(t), nano))
        return admit_refuse_credit(who->surface, e);
    add(&t->held, nano);
    who->held_nano = nano;
    return 0;
}

static int64_t settle_credit(admit_principal *who, int64_t cost)
{
    book_team *t = who->team;
    int64_t held = who->held_nano, charged = cost;
    if (cost <= held)
        add(&t->available, held - cost);
    else
        charged = held + take_some(&t->available, floor_of(t), cost - held);
    add(&t->used, charged);
    add(&t->held, -held);
    who->held_nano = 0;
    return charged;
}

int admit_hold(admit_principal *who, int64_t nano, admit_tokens tokens, tp_now now,
               profile_error *e)
{
    const key_terms *t = who->key ? key_terms_of(who->key) : NULL;
    TP_MUST(!who->holding && nano >= 0 && tokens.least >= 0 && tokens.most >= tokens.least);
    if (t && hold_tokens(who, t, tokens, now, e) != 0)
        return -1;
    if (t && hold_spending(who, t, nano, now, e) != 0) {
        return_tokens(who, 0, now);
        return -1;
    }
    if (who->team && hold_credit(who, nano, e) != 0) {
        if (t) {
            settle_spending(who, 0, now);
            return_tokens(who, 0, now);
        }
        return -1;
    }
    who->holding = 1;
    return 0;
}

int64_t admit_settle(admit_principal *who, int64_t cost_nano, int64_t used_tokens, tp_now now)
{
    int64_t charged = 0;
    if (!who->holding)
        return 0;
    who->holding = 0;
    if (who->team)
        charged = settle_credit(who, TP_MAX(cost_nano, 0));
    if (who->key) {
        settle_spending(who, charged, now);
        return_tokens(who, TP_MAX(used_tokens, 0), now);
    }
    return charged;
}

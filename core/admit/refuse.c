/* The errors of this room. A surface's own sentence comes first, where its document has one. */
#include <stdio.h>

#include "admit/admit_int.h"

static tp_str words(const conf_surface *s, int which, tp_str ours)
{
    tp_str theirs = profile_words(s, which);
    return theirs.len ? theirs : ours;
}

int admit_refuse_key(const world_route *r, tp_str message, tp_str code, profile_error *e)
{
    *e = (profile_error){.status = 401,
                         .type = STR("authentication_error"),
                         .code = code,
                         .message = words(r->surface, PROFILE_NO_KEY, message)};
    return ADMIT_REFUSED;
}

int admit_refuse_team(const world_route *r, profile_error *e)
{
    *e = (profile_error){.status = 403,
                         .type = STR("permission_error"),
                         .code = STR("team_inactive"),
                         .message = words(r->surface, PROFILE_TEAM_INACTIVE,
                                          STR("The key is valid, but its team is inactive. Ask the "
                                              "operator of this gateway to activate the team."))};
    return ADMIT_REFUSED;
}

static tp_str said(admit_principal *who, int n)
{
    return str_make(who->said, (size_t)TP_MIN(TP_MAX(n, 0), (int)sizeof(who->said) - 1));
}

static int refuse_rate(const conf_surface *s, tp_str ours, int32_t retry_s, profile_error *e)
{
    *e = (profile_error){.status = 429,
                         .retry_after_s = retry_s,
                         .type = STR("rate_limit_error"),
                         .code = STR("rate_limit_exceeded"),
                         .message = words(s, PROFILE_RATE, ours)};
    return ADMIT_REFUSED;
}

int admit_refuse_rate(const conf_surface *s, admit_principal *who, const window_view *v,
                      const char *what, const char *whose, profile_error *e)
{
    int n = snprintf(who->said, sizeof(who->said),
                     "Rate limit exceeded: %lld %s a minute for this %s. Retry after %d seconds.",
                     (long long)v->limit, what, whose, v->retry_after_s);
    return refuse_rate(s, said(who, n), v->retry_after_s, e);
}

int admit_refuse_busy(const conf_surface *s, admit_principal *who, int64_t limit, profile_error *e)
{
    int n = snprintf(who->said, sizeof(who->said),
                     "Rate limit exceeded: %lld requests at the same time for this key. Retry when "
                     "one of them has ended.",
                     (long long)limit);
    return refuse_rate(s, said(who, n), 1, e);
}

int admit_refuse_credit(const conf_surface *s, profile_error *e)
{
    *e = (profile_error){.status = 402,
                         .type = STR("insufficient_credits"),
                         .code = STR("insufficient_credits"),
                         .message =
                             words(s, PROFILE_NO_CREDIT,
                                   STR("Insufficient credits. Please add funds to your account."))};
    return ADMIT_REFUSED;
}

/* Dollars, with two decimals or as many more as it takes. */
static int dollars(char *out, size_t room, int64_t nano)
{
    int n = snprintf(out, room, "%lld.%09lld", (long long)(nano / 1000000000),
                     (long long)(nano % 1000000000));
    for (int least = n - 7; n > least && out[n - 1] == '0';)
        out[--n] = 0;
    return n;
}

int admit_refuse_spent(admit_principal *who, int64_t limit, profile_error *e)
{
    char text[32];
    dollars(text, sizeof(text), limit);
    int n = snprintf(who->said, sizeof(who->said), "This key's spending limit of $%s is reached.",
                     text);
    *e = (profile_error){.status = 402,
                         .type = STR("insufficient_credits"),
                         .code = STR("spending_limit_reached"),
                         .message = said(who, n)};
    return ADMIT_REFUSED;
}

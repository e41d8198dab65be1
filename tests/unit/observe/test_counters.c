#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "observe/counters.h"
#include <pthread.h>
#include <stdio.h>

#include <cmocka.h>

static void has(const buf *b, const char *line)
{
    char text[128];
    snprintf(text, sizeof(text), "\n%s\n", line);
    if (!memmem(b->ptr, b->len, text, strlen(text)))
        fail_msg("no line \"%s\" in\n%.*s", line, STR_ARG(buf_str(b)));
}

static settle_record record(int status, int outcome, int64_t latency_us, int64_t first_us)
{
    settle_record r = {.status = status,
                       .outcome = outcome,
                       .latency_us = latency_us,
                       .first_token_us = first_us,
                       .attempts = 1,
                       .bytes_in = 10,
                       .bytes_out = 20,
                       .cost_nano = 1500000000};
    usage_set(&r.used, STR("prompt"), 7);
    usage_set(&r.used, STR("images:1024x1024"), 2);
    return r;
}

static void the_page_sums_all_workers(void **state)
{
    observe *o = observe_new(2);
    counters *a = observe_counters(o, 0), *b = observe_counters(o, 1);
    settle_record ok = record(200, SETTLE_COMPLETED, 1000, 900);
    settle_record bad = record(502, SETTLE_FAILED, 1001, -1);
    settle_record gone = record(0, SETTLE_CANCELLED, 70000000, -1);
    observe_extra x = {.access_dropped = 3,
                       .store_healthy = 1,
                       .world_serial = 5,
                       .started_unix_ms = 1772368496789};
    buf page;
    (void)state;
    ok.streamed = 1;
    counters_finished(a, &ok);
    usage_set(&ok.used, STR("cache_write"), 3);
    usage_set(&ok.used, STR("cache_write:1h"), 40);
    counters_finished(b, &ok);
    counters_finished(b, &bad);
    counters_finished(a, &gone);
    counters_finished(NULL, &gone);
    counters_add(&a->active, 1);
    counters_add(&b->active, 1);
    counters_add(&a->active, -1);
    counters_add(&b->fallbacks, 4);
    buf_init(&page, 1 << 16);
    assert_int_equal(observe_render_metrics(o, &x, &page), 0);
    has(&page, "# TYPE turnpike_requests_total counter");
    has(&page, "turnpike_requests_total{status=\"2xx\"} 2");
    has(&page, "turnpike_requests_total{status=\"5xx\"} 1");
    has(&page, "turnpike_requests_total{status=\"none\"} 1");
    has(&page, "turnpike_outcomes_total{outcome=\"completed\"} 2");
    has(&page, "turnpike_outcomes_total{outcome=\"failed\"} 1");
    has(&page, "turnpike_outcomes_total{outcome=\"cancelled\"} 1");
    has(&page, "turnpike_units_total{unit=\"prompt\"} 28");
    has(&page, "turnpike_units_total{unit=\"other\"} 8");
    has(&page, "turnpike_units_total{unit=\"cache_write\"} 43"); /* its variant is one of it */
    has(&page, "turnpike_units_total{unit=\"completion\"} 0");
    has(&page, "turnpike_streams_total 2");
    has(&page, "turnpike_upstream_attempts_total 4");
    has(&page, "turnpike_request_bytes_total 40");
    has(&page, "turnpike_response_bytes_total 80");
    has(&page, "turnpike_exchanges_active 1");
    has(&page, "turnpike_fallbacks_total 4");
    has(&page, "turnpike_cost_dollars_total 6");
    /* 1,000 us is within 0.001 s; 1,001 is not; 70 s is beyond the last bound. */
    has(&page, "turnpike_request_seconds_bucket{le=\"0.001\"} 2");
    has(&page, "turnpike_request_seconds_bucket{le=\"0.005\"} 3");
    has(&page, "turnpike_request_seconds_bucket{le=\"60\"} 3");
    has(&page, "turnpike_request_seconds_bucket{le=\"+Inf\"} 4");
    has(&page, "turnpike_request_seconds_sum 70.003001");
    has(&page, "turnpike_request_seconds_count 4");
    has(&page, "turnpike_first_token_seconds_count 2");
    has(&page, "turnpike_first_token_seconds_sum 0.0018");
    has(&page, "turnpike_access_log_dropped_total 3");
    has(&page, "turnpike_store_healthy 1");
    has(&page, "turnpike_world_serial 5");
    has(&page, "turnpike_start_time_seconds 1772368496.789");
    assert_int_equal(page.ptr[page.len - 1], '\n');
    buf_free(&page);
    for (size_t max = 0; max < 3000; max += 211) { /* a page that does not fit is an error */
        buf_init(&page, max);
        assert_int_not_equal(observe_render_metrics(o, &x, &page), 0);
        buf_free(&page);
    }
    observe_free(o);
}

static void *work(void *arg)
{
    settle_record r = record(200, SETTLE_COMPLETED, 5000, 10);
    for (int i = 0; i < 2000; i++)
        counters_finished(arg, &r);
    return NULL;
}

static void readers_may_look_at_any_time(void **state)
{
    observe *o = observe_new(2);
    pthread_t t[2];
    buf page;
    (void)state;
    for (uint32_t i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&t[i], NULL, work, observe_counters(o, i)), 0);
    buf_init(&page, 1 << 16);
    for (int i = 0; i < 20; i++) {
        page.len = 0;
        assert_int_equal(observe_render_metrics(o, NULL, &page), 0);
    }
    for (int i = 0; i < 2; i++)
        pthread_join(t[i], NULL);
    page.len = 0;
    assert_int_equal(observe_render_metrics(o, NULL, &page), 0);
    has(&page, "turnpike_requests_total{status=\"2xx\"} 4000");
    has(&page, "turnpike_request_seconds_bucket{le=\"0.005\"} 4000");
    buf_free(&page);
    observe_free(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_page_sums_all_workers),
        cmocka_unit_test(readers_may_look_at_any_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

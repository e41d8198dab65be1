/* Who is not known: heads that cannot be read, and keys that nobody had time to look into. */
#include "admit_fixture.h"

static void heads_that_cannot_be_read_count_for_the_address(void **state)
{
    (void)state;
    af f;
    af_open(&f, 1);
    for (int left = 4; left >= 0; left--) {
        admit_unread(&f.env, &f.w, &f.r, str_of(f.address), f.now, &f.who);
        assert_int_equal(f.who.window.limit, 5);
        assert_int_equal(f.who.window.remaining, left);
        assert_null(f.who.key);
        assert_int_equal(f.who.role, 0);
    }
    admit_unread(&f.env, &f.w, &f.r, str_of(f.address), f.now, &f.who);
    assert_int_equal(f.who.window.remaining, 0);
    assert_int_equal(af_pass(&f, STR("wrong-0123456789abcdef")), ADMIT_REFUSED);
    assert_int_equal(f.e.status, 429);
    f.c.admission.address_requests_per_minute = 0;
    admit_unread(&f.env, &f.w, &f.r, str_of(f.address), f.now, &f.who);
    assert_int_equal(f.who.window.limit, 0);
    af_close(&f);
}

static void who_was_not_looked_into_has_not_failed(void **state)
{
    (void)state;
    af f;
    af_key k;
    af_open(&f, 1);
    af_team(&f, "acme", CONF_PREPAID, "");
    af_make(&f, &k);
    memset(k.row.pepper_id, 2, sizeof(k.row.pepper_id)); /* of another pepper */
    af_put(&f, &k);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(af_ask(&f, &f.r, af_secret(&k), &f.who), ADMIT_SLOW);
        book_key *key = f.who.key;
        admit_unverified(&f.env, &f.w, str_of(f.address), f.now, &f.who);
        admit_release(&f.env, &f.who, f.now);
        assert_int_equal(key->pins, 0);
    }
    for (int i = 0; i < 5; i++) {
        assert_int_equal(af_pass(&f, STR("wrong-0123456789abcdef")), ADMIT_REFUSED);
        assert_int_equal(f.e.status, 401);
    }
    assert_int_equal(af_pass(&f, STR("wrong-0123456789abcdef")), ADMIT_REFUSED);
    assert_int_equal(f.e.status, 429);
    af_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(heads_that_cannot_be_read_count_for_the_address),
        cmocka_unit_test(who_was_not_looked_into_has_not_failed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

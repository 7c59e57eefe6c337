/* Subsets: the legacy halves, files of keys, and the hash that names what was scored. */
#include "tests/unit/metrics_data.h"

#include <stdlib.h>
#include <unistd.h>

#include "core/file.h"

static metric_subset make(me_arena *arena, const char *name, int64_t n)
{
    metric_subset s;
    me_err err = {0};
    cr_assert_eq(metric_subset_make(&s, arena, name, data_keys(arena, n), n, &err), ME_OK, "%s",
                 err.msg);
    return s;
}

Test(subset, all_is_everything_in_order)
{
    me_arena arena;
    me_arena_init(&arena);
    metric_subset s = make(&arena, "all", 5);
    cr_assert_eq(s.n, 5);
    for (int i = 0; i < 5; i++) cr_assert_eq(s.index[i], i);
    cr_assert_str_eq(s.name, "all");
    cr_assert_null(s.warning);
    me_arena_release(&arena);
}

Test(subset, legacy_halves_are_the_ones_that_the_repositories_draw)
{
    /* Spec evaluation 8: first picks of each repository, the sum of positions, and 426 shared
     * items. */
    me_arena arena;
    me_arena_init(&arena);
    metric_subset sim = make(&arena, "legacy506-simmotionedit", 1013);
    metric_subset omni = make(&arena, "legacy506-omnime", 1013);
    static const int sim_has[] = {654, 114, 25, 759, 281, 336, 502, 431, 880};
    static const int omni_has[] = {692, 758, 913, 1005, 936, 702, 883};
    bool in_sim[1013] = {0}, in_omni[1013] = {0};
    int64_t sum = 0, shared = 0;
    cr_assert_eq(sim.n, 506);
    cr_assert_eq(omni.n, 506);
    for (int i = 0; i < 506; i++) {
        if (i)
            cr_assert(sim.index[i] > sim.index[i - 1] && omni.index[i] > omni.index[i - 1],
                      "file order is kept");
        in_sim[sim.index[i]] = in_omni[omni.index[i]] = true;
        sum += sim.index[i];
    }
    for (int i = 0; i < 1013; i++) shared += in_sim[i] && in_omni[i];
    cr_assert_eq(sum, 258597);
    cr_assert_eq(shared, 426);
    for (size_t i = 0; i < sizeof sim_has / sizeof *sim_has; i++) cr_assert(in_sim[sim_has[i]]);
    for (size_t i = 0; i < sizeof omni_has / sizeof *omni_has; i++) cr_assert(in_omni[omni_has[i]]);
    cr_assert(strstr(sim.warning, "not the same"), "%s", sim.warning);
    me_arena_release(&arena);
}

Test(subset, a_legacy_half_of_another_set_is_drawn_with_a_warning)
{
    me_arena arena;
    me_arena_init(&arena);
    metric_subset s = make(&arena, "legacy506-simmotionedit", 393);
    cr_assert_eq(s.n, 196);
    cr_assert(strstr(s.warning, "file order"), "%s", s.warning);
    bool has[393] = {0};
    for (int i = 0; i < 196; i++) has[s.index[i]] = true;
    static const int stance[] = {327, 57, 12, 379, 140, 203, 168, 121, 388, 42, 248};
    for (size_t i = 0; i < sizeof stance / sizeof *stance; i++) cr_assert(has[stance[i]]);
    metric_subset one;
    me_err err = {0};
    cr_assert_eq(
        metric_subset_make(&one, &arena, "legacy506-omnime", data_keys(&arena, 1), 1, &err),
        ME_EDATA);
    me_arena_release(&arena);
}

static char *write_keys(me_arena *arena, const char *text)
{
    char *path = me_arena_strdup(arena, "/tmp/mebench-keys-XXXXXX");
    int fd = mkstemp(path);
    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    return path;
}

static me_code from_text(metric_subset *s, me_arena *arena, const char *text, me_err *err)
{
    char *path = write_keys(arena, text);
    me_code code = metric_subset_make(s, arena, path, data_keys(arena, 9), 9, err);
    unlink(path);
    return code;
}

Test(subset, a_file_of_keys_may_be_lines_or_json)
{
    me_arena arena;
    me_arena_init(&arena);
    static const char *const texts[] = {"000007\n000002\r\n\n  000005 ",
                                        "[\"000007\", \"000002\", \"000005\"]"};
    for (int k = 0; k < 2; k++) {
        metric_subset s;
        me_err err = {0};
        cr_assert_eq(from_text(&s, &arena, texts[k], &err), ME_OK, "%s", err.msg);
        cr_assert_eq(s.n, 3);
        cr_assert(s.index[0] == 2 && s.index[1] == 5 && s.index[2] == 7, "the dataset's order");
        cr_assert_eq(strncmp(s.name, "file:mebench-keys-", 18), 0, "%s", s.name);
        cr_assert_null(s.warning);
    }
    me_arena_release(&arena);
}

Test(subset, bad_files_of_keys_are_refused_with_the_reason)
{
    static const struct {
        const char *text, *because;
    } rows[] = {{"21\n", "look like"},   {"[\"000001\", 5]", "wanted a string"},
                {"[\"000001\"", "JSON"}, {"", "no key"},
                {"\n \n", "no key"},     {"000001\n000099\n000098", "2 of 3"}};
    for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) {
        me_arena arena;
        me_arena_init(&arena);
        metric_subset s;
        me_err err = {0};
        cr_assert_neq(from_text(&s, &arena, rows[k].text, &err), ME_OK, "%s", rows[k].text);
        if (strcmp(rows[k].because, "JSON") != 0)
            cr_assert(strstr(err.msg, rows[k].because), "\"%s\": %s", rows[k].text, err.msg);
        me_arena_release(&arena);
    }
}

Test(subset, repeated_keys_count_once_and_unknown_names_are_a_usage_error)
{
    me_arena arena;
    me_arena_init(&arena);
    metric_subset s;
    cr_assert_eq(from_text(&s, &arena, "000001\n000001\n", NULL), ME_OK);
    cr_assert_eq(s.n, 1);
    cr_assert(s.warning && strstr(s.warning, "repeated"));
    me_err err = {0};
    cr_assert_eq(metric_subset_make(&s, &arena, "legacy507", data_keys(&arena, 9), 9, &err),
                 ME_EUSAGE);
    cr_assert(strstr(err.msg, "legacy506-omnime"), "%s", err.msg);
    me_arena_release(&arena);
}

Test(subset, the_hash_of_keys_depends_on_each_and_on_their_order)
{
    const char *one[2] = {"000001", "000002"}, *other[2] = {"000002", "000001"};
    char a[65], b[65];
    metric_keys_sha256(a, one, 2);
    metric_keys_sha256(b, other, 2);
    cr_assert_eq(strlen(a), 64);
    cr_assert_str_neq(a, b);
    /* printf '000001\n000002\n' | sha256sum */
    cr_assert_str_eq(a, "bdc7756df39768413cdb8e02f8adef6a67234f8ec3f7b4daf6c90fc2b0fd9ddf");
}

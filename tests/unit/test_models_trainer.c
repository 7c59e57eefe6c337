/* The training loop: order of the data, learning rates, stopping and resuming, and what it refuses.
 */
#include <math.h>

#include "models/checkpoint.h"
#include "tests/unit/models_training.h"

/* ---- schedule and order ------------------------------------------------------------------------
 */

Test(trainer, every_epoch_visits_every_item_once_in_another_order)
{
    int64_t permutation[10], epoch = -1, items[4], first[10];
    for (int e = 0; e < 2; e++) {
        int seen[10] = {0}, same = 0, at = 0;
        for (int64_t k = 0; k < 3; k++) {
            int64_t n = model_batch_items(items, 10, 4, 3 * e + k, 7, permutation, &epoch);
            cr_assert_eq(n, k < 2 ? 4 : 2);
            for (int64_t i = 0; i < n; i++, at++) {
                seen[items[i]]++;
                same += e && first[at] == items[i];
                if (!e) first[at] = items[i];
            }
        }
        for (int i = 0; i < 10; i++) cr_assert_eq(seen[i], 1);
        cr_assert_lt(same, 10);
    }
}

Test(trainer, a_batch_does_not_depend_on_the_batches_before)
{
    int64_t permutation[10], epoch = -1, in_order[4], alone[4];
    for (int64_t s = 0; s <= 7; s++) model_batch_items(in_order, 10, 4, s, 7, permutation, &epoch);
    epoch = -1;
    model_batch_items(alone, 10, 4, 7, 7, permutation, &epoch);
    cr_assert_arr_eq(in_order, alone, sizeof alone);
}

Test(trainer, the_rate_rises_in_the_warm_up_and_falls_along_a_cosine)
{
    model_train_options o = {.lr = 1, .lr_final = 0.1, .schedule = "cosine", .warmup = 4};
    cr_assert_float_eq(model_learning_rate(&o, 0, 104), 0.25, 1e-12);
    cr_assert_float_eq(model_learning_rate(&o, 3, 104), 1, 1e-12);
    cr_assert_float_eq(model_learning_rate(&o, 4, 104), 1, 1e-12);
    cr_assert_float_eq(model_learning_rate(&o, 54, 104), 0.55, 1e-12);
    cr_assert_float_eq(model_learning_rate(&o, 104, 104), 0.1, 1e-12);
    o.schedule = "constant";
    cr_assert_float_eq(model_learning_rate(&o, 54, 104), 1, 1e-12);
}

/* ---- stopping and resuming ---------------------------------------------------------------------
 */

/* The tensors of two checkpoints, name by name and bit by bit. */
static void expect_equal_checkpoints(const char *a, const char *b)
{
    me_doc x, y;
    me_err err = {0};
    cr_assert_eq(me_doc_open(&x, a, &err), ME_OK, "%s", err.msg);
    cr_assert_eq(me_doc_open(&y, b, &err), ME_OK, "%s", err.msg);
    cr_assert_eq(x.root->as.dict.length, y.root->as.dict.length);
    cr_assert_gt(x.root->as.dict.length, 100);
    for (size_t i = 0; i < x.root->as.dict.length; i++) {
        const char *name = x.root->as.dict.keys[i]->as.string.data;
        const me_array *p = &x.root->as.dict.values[i]->as.array;
        const me_value *v = me_dict_get(y.root, name);
        cr_assert_not_null(v, "%s", name);
        cr_assert_eq(me_array_count(p), me_array_count(&v->as.array));
        cr_assert_arr_eq(p->data, v->as.array.data, (size_t)me_array_count(p) * 4, "%s", name);
    }
    cr_assert_str_eq(me_dict_get(x.metadata, "step")->as.string.data,
                     me_dict_get(y.metadata, "step")->as.string.data);
    me_doc_close(&x);
    me_doc_close(&y);
}

static void resume_is_bit_equal(int64_t accumulate)
{
    small_run r;
    model_train_result result;
    me_err err = {0};
    small_run_open(&r);
    r.train.accumulate = accumulate;
    cr_assert_eq(small_run_train(&r, false, 0, &result, &err), ME_OK, "%s", err.msg);
    cr_assert(result.finished);
    cr_assert_eq(result.step, 12);
    const char *whole = small_run_path(&r, "whole");
    cr_assert_eq(rename(small_run_path(&r, "last.safetensors"), whole), 0);

    cr_assert_eq(small_run_train(&r, false, 5, &result, &err), ME_OK, "%s", err.msg);
    cr_assert(!result.finished);
    cr_assert_eq(result.step, 5);
    cr_assert_eq(small_run_train(&r, true, 8, &result, &err), ME_OK, "%s", err.msg);
    cr_assert_eq(result.step, 8);
    cr_assert_eq(small_run_train(&r, true, 0, &result, &err), ME_OK, "%s", err.msg);
    cr_assert(result.finished);
    expect_equal_checkpoints(whole, small_run_path(&r, "last.safetensors"));
    small_run_close(&r);
}

Test(trainer, a_resumed_run_is_bit_equal_to_one_that_never_stopped)
{
    resume_is_bit_equal(1);
}

Test(trainer, resuming_is_bit_equal_with_accumulated_gradients)
{
    resume_is_bit_equal(2);
}

Test(trainer, the_curves_of_a_resumed_run_read_as_one_run)
{
    small_run r;
    model_train_result result;
    me_err err = {0};
    small_run_open(&r);
    cr_assert_eq(small_run_train(&r, false, 5, &result, &err), ME_OK, "%s", err.msg);
    cr_assert_eq(small_run_train(&r, true, 0, &result, &err), ME_OK, "%s", err.msg);
    me_bytes csv;
    cr_assert_eq(me_bytes_open(&csv, small_run_path(&r, "curves.csv"), &err), ME_OK);
    char *text = me_arena_strndup(&r.arena, (const char *)csv.data, csv.size);
    me_bytes_close(&csv);
    long last = 0;
    int rows = 0;
    cr_assert_eq(strncmp(text, "step,epoch,lr,steps_per_second,loss,recons,kl,", 46), 0);
    for (char *line = strchr(text, '\n') + 1; *line; line = strchr(line, '\n') + 1, rows++) {
        cr_assert_gt(atol(line), last);
        last = atol(line);
    }
    cr_assert_eq(last, 12);
    cr_assert_eq(rows, 5); /* 3, 5; 8, 11, 12 */
    small_run_close(&r);
}

Test(trainer, the_loss_falls)
{
    small_run r;
    model_train_result result;
    me_err err = {0};
    small_run_open(&r);
    r.train.steps = r.train.log_every = 6;
    r.train.lr = 3e-3;
    cr_assert_eq(small_run_train(&r, false, 0, &result, &err), ME_OK, "%s", err.msg);
    double first = result.loss;
    r.train.steps = 60;
    cr_assert_eq(small_run_train(&r, true, 0, &result, &err), ME_OK, "%s", err.msg);
    cr_assert_lt(result.loss, first - 0.1);
    cr_assert_gt(result.scores.n, 0);
    small_run_close(&r);
}

/* ---- refusals ----------------------------------------------------------------------------------
 */

Test(trainer, resuming_with_other_options_names_the_option)
{
    small_run r;
    model_train_result result;
    me_err err = {0};
    small_run_open(&r);
    cr_assert_eq(small_run_train(&r, false, 2, &result, &err), ME_OK, "%s", err.msg);
    r.train.lr = 0.5;
    cr_assert_eq(small_run_train(&r, true, 0, &result, &err), ME_EUSAGE);
    cr_assert_not_null(strstr(err.msg, "lr was 0.0001, now it is 0.5"), "%s", err.msg);
    small_run_close(&r);
}

Test(trainer, a_folder_with_a_checkpoint_is_not_trained_over)
{
    small_run r;
    model_train_result result;
    me_err err = {0};
    small_run_open(&r);
    cr_assert_eq(small_run_train(&r, false, 2, &result, &err), ME_OK, "%s", err.msg);
    cr_assert_eq(small_run_train(&r, false, 0, &result, &err), ME_EUSAGE);
    cr_assert_not_null(strstr(err.msg, "--resume"), "%s", err.msg);
    small_run_close(&r);
}

Test(trainer, a_loss_that_is_not_finite_names_step_items_and_checkpoint)
{
    small_run r;
    model_train_result result;
    me_err err = {0};
    small_run_open(&r);
    cr_assert_eq(small_run_train(&r, false, 2, &result, &err), ME_OK, "%s", err.msg);
    const char *kept = small_run_path(&r, "kept"), *last = small_run_path(&r, "last.safetensors");
    me_bytes before, after;
    cr_assert_eq(link(last, kept), 0);
    cr_assert_eq(me_bytes_open(&before, kept, &err), ME_OK);

    /* A damaged row of data: found in the first batch that reads it. */
    for (int64_t i = 0; i < r.data.n; i++)
        for (int64_t k = 0; k < MOTION_POSE; k++) r.data.pairs[i].target.pose[k] = INFINITY;
    cr_assert_eq(small_run_train(&r, true, 0, &result, &err), ME_EDATA);
    cr_assert_not_null(strstr(err.msg, "step 2: the loss is "), "%s", err.msg);
    cr_assert_not_null(strstr(err.msg, me_arena_printf(&r.arena, "last good checkpoint: %s", last)),
                       "%s", err.msg);
    cr_assert_not_null(strstr(err.msg, "batch: 0000"), "%s", err.msg);
    cr_assert_eq(me_bytes_open(&after, last, &(me_err){0}), ME_OK);
    cr_assert_eq(before.size, after.size);
    cr_assert_arr_eq(before.data, after.data, after.size);
    me_bytes_close(&before);
    me_bytes_close(&after);
    small_run_close(&r);
}

/* The first batch's loss has no way back. */
static nn_tensor *first_without_way_back(model *m, nn_ctx *ctx, const model_batch *b,
                                         model_terms *terms)
{
    nn_tensor *loss = model_kind_tmr.loss(m, ctx, b, terms);
    return b->step > 0 ? loss : nn_from_host(ctx, (float[]){1}, 1, 1);
}

Test(trainer, a_failure_on_the_way_back_of_a_batch_that_is_accumulated_is_told)
{
    small_run r;
    model_train_result result;
    me_err err = {0};
    small_run_open(&r);
    r.train.accumulate = 2;
    cr_assert_eq(small_run_open_model(&r, &err), ME_OK, "%s", err.msg);
    model_kind kind = *r.m->kind;
    kind.loss = first_without_way_back;
    r.m->kind = &kind;
    cr_assert_neq(small_run_train_model(&r, false, 0, &result, &err), ME_OK);
    cr_assert_not_null(strstr(err.msg, "depends on"), "%s", err.msg);
    small_run_close(&r);
}

Test(trainer, weights_that_are_not_finite_are_not_saved)
{
    small_run r;
    model_train_result result;
    me_err err = {0};
    small_run_open(&r);
    cr_assert_eq(small_run_train(&r, false, 2, &result, &err), ME_OK, "%s", err.msg);
    const float nan_row[16] = {NAN};
    r.m->params.be->upload(r.m->params.be, r.m->params.data, nan_row, sizeof nan_row);
    cr_assert_eq(model_checkpoint_write(small_run_path(&r, "bad"), r.m, NULL, &err), ME_EDATA);
    cr_assert_not_null(strstr(err.msg, "motion_encoder.tokens holds nan"), "%s", err.msg);
    cr_assert(!me_file_exists(small_run_path(&r, "bad")));
    small_run_close(&r);
}

Test(trainer, a_truncated_checkpoint_is_refused)
{
    small_run r;
    model_train_result result;
    me_err err = {0};
    small_run_open(&r);
    cr_assert_eq(small_run_train(&r, false, 2, &result, &err), ME_OK, "%s", err.msg);
    cr_assert_eq(truncate(small_run_path(&r, "last.safetensors"), 5000), 0);
    cr_assert_eq(small_run_train(&r, true, 0, &result, &err), ME_EFORMAT);
    small_run_close(&r);
}

Test(trainer, resuming_where_nothing_is_starts)
{
    small_run r;
    model_train_result result;
    me_err err = {0};
    small_run_open(&r);
    cr_assert_eq(small_run_train(&r, true, 2, &result, &err), ME_OK, "%s", err.msg);
    cr_assert_eq(result.step, 2);
    small_run_close(&r);
}

/* Where an encoder comes from: the single file, the random one, and what is refused with which
 * words. */
#include "tests/unit/tmr_data.h"

#include "core/npy.h"
#include "core/torch.h"
#include "tests/unit/folder.h"

static void expect_refusal(const char *path, me_code code, const char *part)
{
    nn_backend *be = open_cpu(1);
    tmr_encoder e;
    me_err err = {0};
    cr_expect_eq(tmr_open(&e, path, be, &err), code, "%s", err.msg);
    cr_expect(strstr(err.msg, part), "'%s' is not in '%s'", part, err.msg);
    nn_backend_close(be);
}

static void make(me_arena *arena, const char *folder, const char *name)
{
    cr_assert_eq(me_make_directories(me_path_join(arena, folder, name), NULL), ME_OK);
}

Test(weights, the_single_file_holds_all_and_reads_back_equal)
{
    me_arena arena = {0};
    char folder[FOLDER_PATH];
    folder_make(folder);
    const char *path = me_path_join(&arena, folder, "t.safetensors");
    nn_backend *be = open_cpu(1);
    tmr_encoder a, b;
    me_err err = {0};
    open_random_encoder(&a, be);
    cr_assert_eq(tmr_write(path, &a, &err), ME_OK, "%s", err.msg);
    cr_assert_eq(tmr_open(&b, path, be, &err), ME_OK, "%s", err.msg);
    cr_expect_str_eq(a.sha256, b.sha256);
    cr_expect_eq(b.config.layers, 6);
    cr_expect_eq(b.config.heads, 4);
    cr_expect(b.random, "that the weights are random is remembered");
    cr_expect_eq(b.notes.n, 1);
    cr_expect_arr_eq(a.std, b.std, sizeof(float) * MOTION_POSE);
    tmr_close(&a);
    tmr_close(&b);
    nn_backend_close(be);
    folder_remove(folder);
    me_arena_release(&arena);
}

Test(weights, seeds_give_different_encoders_and_the_same_seed_the_same)
{
    nn_backend *be = open_cpu(1);
    tmr_encoder a, b, c;
    cr_assert_eq(tmr_open(&a, "random:1", be, NULL), ME_OK);
    cr_assert_eq(tmr_open(&b, "random:2", be, NULL), ME_OK);
    cr_assert_eq(tmr_open(&c, "random:1", be, NULL), ME_OK);
    cr_expect_str_neq(a.sha256, b.sha256);
    cr_expect_str_eq(a.sha256, c.sha256);
    tmr_close(&a);
    tmr_close(&b);
    tmr_close(&c);
    nn_backend_close(be);
    expect_refusal("random:", ME_EUSAGE, "random:SEED");
    expect_refusal("random:12x", ME_EUSAGE, "random:SEED");
}

Test(weights, a_missing_encoder_is_an_error_and_never_random_weights)
{
    me_arena arena = {0};
    char folder[FOLDER_PATH];
    folder_make(folder);
    expect_refusal(folder, ME_EIO, "no TMR checkpoint");
    make(&arena, folder, "last_weights");
    expect_refusal(folder, ME_EIO, "random weights");
    folder_remove(folder);
    me_arena_release(&arena);
}

/* The encoder's tensors, their names behind `prefix`. */
static me_value *state_of(me_arena *arena, tmr_encoder *e, const char *prefix)
{
    me_value *state = me_value_new(arena, ME_DICT);
    for (int64_t i = 0; i < e->params.n; i++) {
        const nn_param *p = &e->params.items[i];
        float *host = ME_NEW_ARRAY(arena, nn_count(&p->tensor), float);
        cr_assert_eq(nn_params_read(&e->params, p->name, host, NULL), ME_OK);
        cr_assert_eq(me_dict_put(arena, state, me_arena_printf(arena, "%s%s", prefix, p->name),
                                 me_value_array(arena, ME_F32, p->ndim, p->shape, host), NULL),
                     ME_OK);
    }
    return state;
}

/* logs/checkpoints/last.ckpt, as Lightning keeps TMR: three encoders in one state. */
static void write_last_checkpoint(me_arena *arena, const char *folder, tmr_encoder *e)
{
    static const float other[] = {1, 2};
    const int64_t shape[] = {2};
    me_value *root = me_value_new(arena, ME_DICT), *state = state_of(arena, e, "motion_encoder.");
    me_dict_put(arena, state, "text_encoder.projection.bias",
                me_value_array(arena, ME_F32, 1, shape, other), NULL);
    me_dict_put(arena, state, "motion_decoder.final_layer.bias",
                me_value_array(arena, ME_F32, 1, shape, other), NULL);
    me_dict_put(arena, root, "epoch", me_value_int(arena, 7), NULL);
    me_dict_put(arena, root, "state_dict", state, NULL);
    make(arena, folder, "logs/checkpoints");
    cr_assert_eq(
        me_torch_write(me_path_join(arena, folder, "logs/checkpoints/last.ckpt"), root, NULL),
        ME_OK);
}

static void write_statistics(me_arena *arena, const char *folder, const tmr_encoder *e)
{
    const int64_t shape[] = {MOTION_POSE};
    const char *at = "stats/humanml3d/amass_feats";
    make(arena, folder, at);
    const char *mean = me_arena_printf(arena, "%s/%s/mean.pt", folder, at),
               *std = me_arena_printf(arena, "%s/%s/std.pt", folder, at);
    cr_assert_eq(me_torch_write(mean, me_value_array(arena, ME_F32, 1, shape, e->mean), NULL),
                 ME_OK);
    cr_assert_eq(me_torch_write(std, me_value_array(arena, ME_F32, 1, shape, e->std), NULL), ME_OK);
}

/* Opens the folder: which weights came, and the one thing said of them. */
static void expect_loaded(const char *folder, nn_backend *be, const char *sha256, const char *said)
{
    tmr_encoder e;
    me_err err = {0};
    cr_assert_eq(tmr_open(&e, folder, be, &err), ME_OK, "%s", err.msg);
    cr_expect_str_eq(e.sha256, sha256);
    cr_assert_eq(e.notes.n, said ? 1 : 0);
    if (said) cr_expect(strstr(e.notes.items[0], said), "%s", e.notes.items[0]);
    cr_expect_not(e.random);
    tmr_close(&e);
}

Test(weights, the_last_checkpoint_serves_where_last_weights_is_missing_and_never_wins_over_it)
{
    me_arena arena = {0};
    char folder[FOLDER_PATH];
    folder_make(folder);
    nn_backend *be = open_cpu(1);
    tmr_encoder old, newer;
    cr_assert_eq(tmr_open(&old, "random:1", be, NULL), ME_OK);
    cr_assert_eq(tmr_open(&newer, "random:2", be, NULL), ME_OK);
    folder_write(folder, "config.json", "{\"model\": {\"motion_encoder\": {}}}");
    write_statistics(&arena, folder, &newer);
    write_last_checkpoint(&arena, folder, &newer);
    expect_loaded(folder, be, newer.sha256, "no last_weights; logs/checkpoints/last.ckpt is used");

    /* Trap 15: the older file of weights is the one that the reference scores with. */
    const char *pt = me_path_join(&arena, folder, "last_weights/motion_encoder.pt");
    write_statistics(&arena, folder, &old);
    make(&arena, folder, "last_weights");
    expect_refusal(folder, ME_EIO, "silently score with random weights");
    cr_assert_eq(me_torch_write(pt, state_of(&arena, &old, ""), NULL), ME_OK);
    expect_loaded(folder, be, old.sha256,
                  "last_weights/motion_encoder.pt is used, as the reference does; "
                  "logs/checkpoints/last.ckpt beside it is not");
    cr_assert_eq(remove(me_path_join(&arena, folder, "logs/checkpoints/last.ckpt")), 0);
    expect_loaded(folder, be, old.sha256, NULL);
    tmr_close(&old);
    tmr_close(&newer);
    nn_backend_close(be);
    folder_remove(folder);
    me_arena_release(&arena);
}

Test(weights, a_last_checkpoint_without_a_motion_encoder_is_refused)
{
    me_arena arena = {0};
    char folder[FOLDER_PATH];
    folder_make(folder);
    nn_backend *be = open_cpu(1);
    tmr_encoder e;
    cr_assert_eq(tmr_open(&e, "random:1", be, NULL), ME_OK);
    write_statistics(&arena, folder, &e);
    make(&arena, folder, "logs/checkpoints");
    me_value *root = me_value_new(&arena, ME_DICT);
    me_dict_put(&arena, root, "state_dict", state_of(&arena, &e, "encoder."), NULL);
    cr_assert_eq(
        me_torch_write(me_path_join(&arena, folder, "logs/checkpoints/last.ckpt"), root, NULL),
        ME_OK);
    expect_refusal(folder, ME_EFORMAT, "no tensor 'tokens'");
    tmr_close(&e);
    nn_backend_close(be);
    folder_remove(folder);
    me_arena_release(&arena);
}

Test(weights, a_config_of_another_network_is_refused_before_anything_is_read)
{
    static const char *const cases[][2] = {
        {"{\"model\": {\"motion_encoder\": {\"nfeats\": 263}}}", "nfeats is 263"},
        {"{\"model\": {\"motion_encoder\": {\"vae\": false}}}", "vae is false"},
        {"{\"model\": {\"motion_encoder\": {\"activation\": \"relu\"}}}", "activation is relu"},
        {"{\"model\": {\"motion_encoder\": {\"num_heads\": \"four\"}}}", "num_heads"},
        {"{\"model\": 3}", "no object model.motion_encoder"},
    };
    me_arena arena = {0};
    char folder[FOLDER_PATH];
    folder_make(folder);
    make(&arena, folder, "last_weights");
    folder_write(folder, "last_weights/motion_encoder.pt", "not read");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        folder_write(folder, "config.json", cases[i][0]);
        expect_refusal(folder, ME_EFORMAT, cases[i][1]);
    }
    folder_write(folder, "config.json", "{\"model\": {\"motion_encoder\": {}}}");
    expect_refusal(folder, ME_EIO, "stats");
    make(&arena, folder, "stats/a/b");
    make(&arena, folder, "stats/c");
    for (int i = 0; i < 4; i++)
        folder_write(
            folder,
            me_arena_printf(&arena, "stats/%s/%s.pt", i < 2 ? "a/b" : "c", i % 2 ? "std" : "mean"),
            "x");
    expect_refusal(folder, ME_EIO, "2 other folders");
    folder_remove(folder);
    me_arena_release(&arena);
}

Test(weights, a_state_without_the_right_tensors_is_refused_by_name)
{
    me_arena arena = {0};
    nn_backend *be = open_cpu(1);
    tmr_encoder e;
    me_err err = {0};
    float mean[MOTION_POSE] = {0}, std[MOTION_POSE];
    for (int i = 0; i < MOTION_POSE; i++) std[i] = 1;
    me_value *state = me_value_new(&arena, ME_DICT);
    cr_expect_eq(tmr_open_state(&e, state, "", 4, mean, std, be, &err), ME_EFORMAT);
    cr_expect(strstr(err.msg, "'tokens'"), "%s", err.msg);
    nn_backend_close(be);
    me_arena_release(&arena);
}

Test(weights, another_file_is_refused_with_what_to_give_instead)
{
    me_arena arena = {0};
    char folder[FOLDER_PATH];
    folder_make(folder);
    const char *path = me_path_join(&arena, folder, "x.npy");
    const int64_t shape[] = {2};
    const float x[] = {1, 2};
    const me_array a = me_array_make(ME_F32, 1, shape, x);
    cr_assert_eq(me_npy_write(path, &a, NULL), ME_OK);
    expect_refusal(path, ME_EFORMAT, "give the folder");
    folder_remove(folder);
    me_arena_release(&arena);
}

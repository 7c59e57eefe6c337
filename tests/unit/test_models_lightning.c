/* A checkpoint that PyTorch Lightning itself wrote (tests/data/lightning): the editor's weights are
 * found among everything else that a Trainer keeps. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "core/doc.h"
#include "models/omnime_file.h"
#include "nn/backend.h"

#define CHECKPOINT "tests/data/lightning/last.ckpt"
#define STATISTICS "tests/data/lightning/statistics.npy"

/* Element k of a tensor of the reference's name, as tests/tools/make_lightning_ckpt.py fills it. */
static float element(const char *name, int64_t k)
{
    return (float)((k + (int64_t)strlen(name)) % 11 - 5) / 16;
}

static void expect_values(model_omnime_file *f, const char *name, int64_t count)
{
    me_err err = {0};
    float *host = malloc((size_t)count * sizeof *host);
    const nn_param *p = nn_params_find(&f->params, name);
    cr_assert_not_null(p, "%s", name);
    cr_assert_eq(nn_count(&p->tensor), count, "%s", name);
    cr_assert_eq(nn_params_read(&f->params, name, host, &err), ME_OK, "%s", err.msg);
    for (int64_t k = 0; k < count; k++) cr_assert_eq(host[k], element(name, k), "%s", name);
    free(host);
}

Test(lightning, a_checkpoint_of_the_trainer_opens_as_the_model_that_it_holds)
{
    nn_backend *be;
    model_omnime_file f;
    me_err err = {0};
    const model_omnime_hints hints = {.heads = 1, .stats = STATISTICS};
    cr_assert_eq(nn_backend_open(&be, "cpu", 1, &err), ME_OK, "%s", err.msg);
    cr_assert_eq(model_omnime_open(&f, CHECKPOINT, &hints, be, &err), ME_OK, "%s", err.msg);
    cr_expect_str_eq(f.kind, "reference");
    cr_expect_eq(f.step, -1);
    cr_expect_null(f.text_identity);
    const model_omnime_config *c = &f.net.config;
    cr_expect_eq(c->width, 2);
    cr_expect_eq(c->ff, 6);
    cr_expect_eq(c->heads, 1);
    cr_expect_eq(c->layers, 1);
    cr_expect_eq(c->fusion_layers, 1);
    cr_expect_eq(c->head_width, 3);
    cr_expect_eq(c->text_width, 16);
    cr_expect_eq(c->classes, 3);
    cr_expect_not(c->inter, "SimMotionEdit has no intermediate predictions");
    expect_values(&f, "sep_token", 2);
    expect_values(&f, "emb_proj.weight", 32);
    expect_values(&f, "cond_encoder.layers.0.linear1.weight", 12);
    expect_values(&f, "cond_encoder.layers.0.norm2.bias", 2);
    expect_values(&f, "source_head.4.bias", 3);
    for (int g = 0; g < MOTION_EDITOR_GROUPS; g++)
        for (int k = 0; k < motion_editor_groups[g].width; k++) {
            cr_expect_eq(f.stats.mean[motion_editor_groups[g].offset + k], (float)k / 64);
            cr_expect_eq(f.stats.std[motion_editor_groups[g].offset + k], 1);
        }
    cr_expect_eq(f.stats.translation_mean[2], 2.0f / 64);
    model_omnime_close(&f);
    nn_backend_close(be);
}

Test(lightning, weights_alone_are_not_enough)
{
    nn_backend *be;
    model_omnime_file f;
    me_err err = {0};
    cr_assert_eq(nn_backend_open(&be, "cpu", 1, &err), ME_OK, "%s", err.msg);
    cr_expect_eq(model_omnime_open(&f, CHECKPOINT, &(model_omnime_hints){.heads = 1}, be, &err),
                 ME_EUSAGE);
    cr_expect(strstr(err.msg, "--stats"), "%s", err.msg);
    err = (me_err){0};
    cr_expect_eq(
        model_omnime_open(&f, STATISTICS, &(model_omnime_hints){.stats = STATISTICS}, be, &err),
        ME_EFORMAT);
    cr_expect(strstr(err.msg, "no weights of OmniME"), "%s", err.msg);
    nn_backend_close(be);
}

Test(lightning, everything_else_in_it_is_read_and_nothing_of_it_runs)
{
    me_doc doc;
    me_err err = {0};
    cr_assert_eq(me_doc_open(&doc, CHECKPOINT, &err), ME_OK, "%s", err.msg);
    cr_expect_str_eq(doc.format, "torch-zip");
    const me_value *hyper = me_dict_get(doc.root, "hyper_parameters");
    cr_expect(me_string_equals(me_dict_get(doc.root, "pytorch-lightning_version"), "2.2.4"));
    cr_expect_eq(me_dict_get(hyper, "losses")->kind, ME_OBJECT, "a DictConfig");
    cr_expect_eq(me_dict_get(hyper, "input_feats")->kind, ME_OBJECT, "a ListConfig");
    cr_expect_eq(me_dict_get(hyper, "make_optimizer")->kind, ME_OBJECT, "a partial");
    const me_value *optimizers = me_dict_get(doc.root, "optimizer_states");
    cr_assert_eq(optimizers->as.list.length, 1);
    cr_expect_eq(me_dict_get(optimizers->as.list.items[0], "state")->as.dict.length, 2,
                 "two parameters took part in the step");
    cr_expect_eq(me_dict_get(doc.root, "callbacks")->as.dict.length, 1);
    me_doc_close(&doc);
}

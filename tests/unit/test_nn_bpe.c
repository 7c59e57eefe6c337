/* CLIP's tokenizer: on a vocabulary that the test writes, and on the public one where it is
 * present. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/file.h"
#include "core/json.h"
#include "nn/text_bpe.h"
#include "tests/unit/folder.h"

/* The byte alphabet (256 + 256 tokens), a few merges, and the two special tokens: token numbers are
 * positions. */
static void write_small_vocabulary(const char *folder)
{
    static const char *const merged[] = {"wa", "wav", "wave</w>", "th", "the</w>", "'s</w>"};
    static const char *const merges =
        "#version: 0.2\nw a\nwa v\nwav e</w>\nt h\nth e</w>\n' s</w>\n";
    char path[512];
    snprintf(path, sizeof path, "%s/vocab.json", folder);
    FILE *f = fopen(path, "w");
    cr_assert_not_null(f);
    fprintf(f, "{");
    for (int end = 0; end < 2; end++)
        for (int byte = 0, others = 0; byte < 256; byte++) {
            int printable =
                (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
            int c = printable ? byte : 256 + others++;
            fprintf(f, "\"\\u%04x%s\": %d, ", c, end ? "</w>" : "", byte + 256 * end);
        }
    for (size_t i = 0; i < sizeof merged / sizeof *merged; i++)
        fprintf(f, "\"%s\": %zu, ", merged[i], 512 + i);
    fprintf(f, "\"<|startoftext|>\": 518, \"<|endoftext|>\": 519}\n");
    fclose(f);
    folder_write(folder, "merges.txt", merges);
}

static nn_bpe *open_small(char folder[FOLDER_PATH])
{
    folder_make(folder);
    write_small_vocabulary(folder);
    nn_bpe *b;
    me_err err = {0};
    cr_assert_eq(nn_bpe_open(&b, folder, &err), ME_OK, "%s", err.msg);
    return b;
}

static void encodes_to(const nn_bpe *b, const char *text, const int32_t *wanted, int64_t n)
{
    me_arena arena = {0};
    me_err err = {0};
    int32_t *ids;
    int64_t found;
    cr_assert_eq(nn_bpe_encode(b, text, &arena, &ids, &found, &err), ME_OK, "%s", err.msg);
    cr_assert_eq(found, n, "\"%s\": %lld tokens, wanted %lld", text, (long long)found,
                 (long long)n);
    for (int64_t i = 0; i < n; i++)
        cr_assert_eq(ids[i], wanted[i], "\"%s\": token %lld", text, (long long)i);
    me_arena_release(&arena);
}

Test(bpe, merges_go_by_rank_and_a_word_s_last_symbol_is_its_own)
{
    char folder[FOLDER_PATH];
    nn_bpe *b = open_small(folder);
    encodes_to(b, "", (int32_t[]){518, 519}, 2);
    encodes_to(b, "Wave  THE\twave's", (int32_t[]){518, 514, 516, 514, 517, 519}, 6);
    encodes_to(b, "wav 12", (int32_t[]){518, 512, 256 + 'v', 256 + '1', 256 + '2', 519}, 6);
    encodes_to(b, "e<|endoftext|>E", (int32_t[]){518, 256 + 'e', 519, 256 + 'e', 519}, 5);
    nn_bpe_close(b);
    folder_remove(folder);
}

Test(bpe, decomposed_letters_are_composed_and_broken_bytes_are_replaced)
{
    char folder[FOLDER_PATH];
    nn_bpe *b = open_small(folder);
    encodes_to(b, "e\xCC\x81", (int32_t[]){518, 0xC3, 256 + 0xA9, 519}, 4);
    encodes_to(b, "\xFF", (int32_t[]){518, 0xEF, 0xBF, 256 + 0xBD, 519}, 5);
    encodes_to(b, "\xC4\xB0", (int32_t[]){518, 256 + 'i', 0xCC, 256 + 0x87, 519}, 5);
    nn_bpe_close(b);
    folder_remove(folder);
}

Test(bpe, a_long_text_keeps_its_start_and_end)
{
    char folder[FOLDER_PATH], text[401] = "";
    nn_bpe *b = open_small(folder);
    for (int i = 0; i < 100; i++) strcat(text, "the ");
    int32_t ids[NN_BPE_CONTEXT];
    cr_assert_eq(nn_bpe_encode_context(b, text, ids, NULL), ME_OK);
    cr_assert_eq(ids[0], 518);
    cr_assert_eq(ids[75], 516);
    cr_assert_eq(ids[76], 519);
    cr_assert_eq(nn_bpe_encode_context(b, "the", ids, NULL), ME_OK);
    for (int i = 2; i < NN_BPE_CONTEXT; i++) cr_assert_eq(ids[i], 519);
    nn_bpe_close(b);
    folder_remove(folder);
}

Test(bpe, a_merge_of_unknown_tokens_is_refused_by_line)
{
    char folder[FOLDER_PATH];
    nn_bpe *b = open_small(folder);
    nn_bpe_close(b);
    folder_write(folder, "merges.txt", "w a\nqq zz\n");
    me_err err = {0};
    cr_assert_eq(nn_bpe_open(&b, folder, &err), ME_EFORMAT);
    cr_assert_not_null(strstr(err.msg, "line 2"), "%s", err.msg);
    folder_remove(folder);
}

/* Every line of the instruction list, ordinary and hostile, as Hugging Face's tokenizer has it. */
Test(bpe, public_vocabulary_agrees_on_every_instruction)
{
    const char *data = getenv("MEBENCH_DATA") ? getenv("MEBENCH_DATA") : "../shared/data";
    me_arena arena = {0};
    const char *folder = me_path_join(&arena, data, "clip-bpe");
    if (!me_is_directory(folder)) cr_skip_test("no public CLIP vocabulary in %s", data);
    nn_bpe *b;
    me_err err = {0};
    cr_assert_eq(nn_bpe_open(&b, folder, &err), ME_OK, "%s", err.msg);
    me_value *root;
    me_bytes lines;
    cr_assert_eq(
        me_json_read(&root, &arena, me_path_join(&arena, data, "instructions/clip_ids.json"), &err),
        ME_OK, "%s", err.msg);
    cr_assert_eq(
        me_bytes_open(&lines, me_path_join(&arena, data, "instructions/instructions.txt"), &err),
        ME_OK, "%s", err.msg);
    const me_value *wanted = me_dict_get(root, "untruncated");
    cr_assert_not_null(wanted);
    const char *p = (const char *)lines.data, *stop = p + lines.size;
    size_t line = 0;
    while (p < stop) {
        const char *eol = memchr(p, '\n', (size_t)(stop - p));
        cr_assert_lt(line, wanted->as.list.length);
        const me_value *row = wanted->as.list.items[line];
        int32_t ids[4096];
        for (size_t i = 0; i < row->as.list.length; i++)
            ids[i] = (int32_t)row->as.list.items[i]->as.integer;
        encodes_to(b, me_arena_strndup(&arena, p, (size_t)(eol - p)), ids,
                   (int64_t)row->as.list.length);
        p = eol + 1;
        line++;
    }
    cr_assert_eq(line, wanted->as.list.length);
    me_bytes_close(&lines);
    nn_bpe_close(b);
    me_arena_release(&arena);
}

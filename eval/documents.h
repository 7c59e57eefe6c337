/* eval/documents.h: what a study, a leaderboard and a comparison share: opening saved documents,
 * whether the numbers of two compare, and the parts that such documents keep once for all their
 * rows. */
#ifndef EVAL_DOCUMENTS_H
#define EVAL_DOCUMENTS_H

#include "core/value.h"

/* ---- saved documents ---- */

/* The document of a file, or that in a folder (result.json, results.json); checked, and with the
 * hash of its keys. *file: where it was. */
me_code eval_document_open(me_value **out, const char **file, me_arena *arena, const char *path,
                           me_err *err);
/* A file beside it, "ranks.csv"; NULL when memory is out. */
const char *eval_document_beside(me_arena *arena, const char *file, const char *name);
/* Whether the numbers of two compare: the same items, embedder and form of GELU, and where both
 * have batches, the same ones. */
bool eval_document_compares(const me_value *a, const me_value *b);
/* Of two that do not: ME_EDATA with what differs, and `advice`. */
me_code eval_document_refuse(const me_value *a, const char *file_a, const me_value *b,
                             const char *file_b, const char *advice, me_err *err);
/* A text at a path, or what stands for none. */
const char *eval_document_text(const me_value *v, const char *path, const char *fallback);

/* ---- parts of a new one ---- */

/* The entries of `from` that `keys`, which ends with NULL, names. */
me_code eval_document_pick(me_value **out, me_arena *arena, const me_value *from,
                           const char *const *keys, me_err *err);
/* Of "protocols": sizes, batches and chance, without anybody's values. */
me_code eval_document_protocols(me_value **out, me_arena *arena, const me_value *protocols,
                                me_err *err);
/* Of "baselines", which may be NULL: the trivial rows, without those about one submission. */
me_code eval_document_baselines(me_value **out, me_arena *arena, const me_value *baselines,
                                me_err *err);
/* What documents whose numbers compare have in common: "samples", "protocols", "provenance". */
me_code eval_document_shared(me_value *to, me_arena *arena, const me_value *document, me_err *err);
/* A row of "rows": name (made unique by its file), file, and what may differ between results that
 * compare. *out is in the list. */
me_code eval_document_row(me_value **out, me_arena *arena, me_value *rows, const char *name,
                          const char *file, const me_value *document, me_err *err);

#endif

/* eval/documents.h: the parts of result documents that a study and a leaderboard keep once for all
 * their rows. */
#ifndef EVAL_DOCUMENTS_H
#define EVAL_DOCUMENTS_H

#include "core/value.h"

/* The entries of `from` that `keys`, which ends with NULL, names. */
me_code eval_document_pick(me_value **out, me_arena *arena, const me_value *from,
                           const char *const *keys, me_err *err);
/* Of "protocols": sizes, batches and chance, without anybody's values. */
me_code eval_document_protocols(me_value **out, me_arena *arena, const me_value *protocols,
                                me_err *err);
/* Of "baselines", which may be NULL: the trivial rows, without those about one submission. */
me_code eval_document_baselines(me_value **out, me_arena *arena, const me_value *baselines,
                                me_err *err);

#endif

/* nn/selftest_moves.c: bytes that go to a back end, within it and back, of sizes and at places that
 * no tensor has: a back end may move small and large pieces, and such as begin anywhere, in other
 * ways.
 */
#include <stdlib.h>

#include "core/rng.h"
#include "nn/selftest_priv.h"

/* Around what is written stand bytes that must stay. */
enum { FRAME = 64, STAYS = 0xa5 };

typedef struct moves {
    unsigned char *sent, *back;
    char *from, *to; /* on the back end */
    size_t room;
} moves;

/* Sends `bytes` to `from`, copies them to `to` and clears the second half of what is there. */
static void go(nn_backend *be, const moves *m, size_t bytes, size_t from, size_t to)
{
    const size_t kept = bytes / 2;
    be->upload(be, m->to, m->back, m->room); /* STAYS everywhere */
    be->upload(be, m->from + from, m->sent, bytes);
    be->copy(be, m->to + to, m->from + from, bytes);
    be->zero(be, m->to + to + kept, bytes - kept);
    be->download(be, m->back, m->to, m->room);
}

static bool right(const moves *m, size_t bytes, size_t to)
{
    const size_t kept = bytes / 2;
    for (size_t i = 0; i < m->room; i++) {
        unsigned char want = STAYS;
        if (i >= to && i < to + bytes) want = i < to + kept ? m->sent[i - to] : 0;
        if (m->back[i] != want) return false;
    }
    return true;
}

static bool take(nn_backend *be, moves *m, size_t bytes, me_err *err)
{
    void *from = NULL, *to = NULL;
    m->room = bytes + 2 * FRAME;
    m->sent = malloc(bytes);
    m->back = malloc(m->room);
    if (!m->sent || !m->back) {
        me_fail(err, ME_EMEM, "out of memory");
        return false;
    }
    bool there = be->alloc(be, m->room, &from, err) == ME_OK;
    there = there && be->alloc(be, m->room, &to, err) == ME_OK;
    m->from = from;
    m->to = to;
    return there;
}

bool nn_self_moves(nn_backend *be, size_t bytes, bool *equal, me_err *err)
{
    /* Where a piece begins in `from` and in `to`: at multiples of 16, of 4, and anywhere. */
    static const size_t places[][2] = {{0, 0}, {16, 4}, {8, 33}};
    moves m = {0};
    bool ran = take(be, &m, bytes, err);
    me_rng g = me_rng_make(20241129, bytes);
    *equal = true;
    for (int i = 0; ran && i < (int)(sizeof places / sizeof places[0]); i++) {
        for (size_t k = 0; k < bytes; k++) m.sent[k] = (unsigned char)me_rng_u32(&g);
        memset(m.back, STAYS, m.room);
        go(be, &m, bytes, places[i][0], places[i][1]);
        ran = be->status(be, err) == ME_OK;
        *equal = *equal && right(&m, bytes, places[i][1]);
    }
    if (m.from) be->release(be, m.from);
    if (m.to) be->release(be, m.to);
    free(m.sent);
    free(m.back);
    return ran;
}

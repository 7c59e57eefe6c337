/* tests/parity/parity.c: the program of `make parity`: runs every folder of a directory that one of
 * its checks knows, prints a line a case with its worst error, and fails when any fails or none
 * ran.
 *
 *     parity [--device cpu|cuda[:N]] DIR */
#include "tests/parity/parity.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/file.h"

typedef struct kind {
    const char *prefix; /* of the folder's name; of what is built in, its name */
    me_code (*run)(parity *p, const char *folder, me_err *err);
} kind;

static const kind kinds[] = {
#define X(prefix, run) {prefix, run},
    PARITY_LIST(X)};
static const kind built_in[] = {PARITY_BUILT_IN_LIST(X)
#undef X
};
#define COUNT(a) ((int)(sizeof(a) / sizeof *(a)))

void parity_error(parity *p, const char *what, double error, double tolerance)
{
    const bool bad = !(error <= tolerance);
    const double ratio = isnan(error) ? INFINITY : error / tolerance;
    if (ratio >= p->worst) {
        p->worst = ratio;
        p->error = error;
        snprintf(p->what, sizeof p->what, "%s", what);
    }
    if (bad && !p->failures++)
        snprintf(p->first, sizeof p->first, "%s: error %.3g, at most %.3g allowed", what, error,
                 tolerance);
}

void parity_true(parity *p, bool holds, const char *fmt, ...)
{
    if (holds || p->failures++) return;
    va_list args;
    va_start(args, fmt);
    vsnprintf(p->first, sizeof p->first, fmt, args);
    va_end(args);
}

static bool run_case(const char *device, const char *folder, const char *name, const kind *k)
{
    parity p = {.device = device, .exact_device = !strcmp(device, "cpu")};
    me_err err = {0};
    me_code code = k->run(&p, folder, &err);
    if (code) parity_true(&p, false, "%s", err.msg);
    if (p.failures)
        printf("FAILED  %-18s %d failure%s, the first: %s\n", name, p.failures,
               p.failures == 1 ? "" : "s", p.first);
    else
        printf("passed  %-18s worst error %.2e (%s)\n", name, p.error, p.what);
    fflush(stdout);
    return !p.failures;
}

int main(int argc, char **argv)
{
    const char *device = "cpu", *root = NULL;
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--device") && i + 1 < argc)
            device = argv[++i];
        else
            root = argv[i];
    }
    if (!root) {
        fprintf(stderr, "usage: parity [--device cpu|cuda] DIR\n");
        return 2;
    }
    me_arena arena;
    me_arena_init(&arena);
    me_names names;
    me_err err = {0};
    if (me_list_directory(&names, &arena, root, &err)) {
        fprintf(stderr, "parity: %s\n", err.msg);
        me_arena_release(&arena);
        return 3;
    }
    int passed = 0, failed = 0;
    for (int64_t i = 0; i < names.n; i++) {
        const char *folder = me_path_join(&arena, root, names.items[i]);
        if (!me_is_directory(folder)) continue;
        const kind *its = NULL;
        for (int k = 0; k < COUNT(kinds); k++)
            if (!strncmp(names.items[i], kinds[k].prefix, strlen(kinds[k].prefix))) its = &kinds[k];
        if (!its) {
            printf("not run %-18s no check of this kind\n", names.items[i]);
            continue;
        }
        if (run_case(device, folder, names.items[i], its))
            passed++;
        else
            failed++;
    }
    const bool ran = passed + failed > 0; /* what is built in is no reason to call a run whole */
    for (int k = 0; k < COUNT(built_in) && ran; k++) {
        if (run_case(device, NULL, built_in[k].prefix, &built_in[k]))
            passed++;
        else
            failed++;
    }
    printf("%d passed, %d failed\n", passed, failed);
    me_arena_release(&arena);
    return failed || !ran;
}

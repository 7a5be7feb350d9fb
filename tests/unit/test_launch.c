/* The launcher: which job next, messages, what a person sees. */
#include "check.h"

#include <fcntl.h>
#include <math.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include "../../runner/launch/workers.h"

/* ---- which job next ---- */

enum { JOBS = 6 };

/*     0 -> 1 -> 2        3 -> 4        5
 *     1 s  1 s  1 s      1 s  9 s      2 s     */
struct graph {
    struct job job[JOBS];
    int64_t need[JOBS];
    struct plan plan;
};

static void graph_make(struct graph *g)
{
    static const int64_t need[JOBS] = {-1, 0, 1, -1, 3, -1};
    static const double seconds[JOBS] = {1, 1, 1, 1, 9, 2};

    memset(g, 0, sizeof *g);
    for (int i = 0; i < JOBS; i++) {
        g->job[i] = (struct job){.state = JOB_RUN, .seconds = seconds[i], .stage = "s"};
        g->need[i] = need[i];
        g->job[i].needs = &g->need[i];
        g->job[i].n_needs = need[i] >= 0;
    }
    g->plan = (struct plan){.job = g->job, .n = JOBS};
}

static void one_worker_keeps_the_order_of_the_plan(void **state)
{
    static const int64_t want[] = {0, 1, 2, 3, 4, 5};
    struct graph g;
    struct schedule s;
    struct err err = ERR_INIT;

    (void)state;
    graph_make(&g);
    assert_ok(schedule_init(&s, &g.plan, 1, NULL, &err), &err);
    for (int i = 0; i < JOBS; i++) {
        assert_int_equal(schedule_take(&s), want[i]);
        schedule_done(&s, want[i]);
    }
    assert_int_equal(schedule_take(&s), -1);
    schedule_release(&s);
}

static void several_workers_begin_with_the_longest_chain(void **state)
{
    struct graph g;
    struct schedule s;
    struct err err = ERR_INIT;

    (void)state;
    graph_make(&g);
    assert_ok(schedule_init(&s, &g.plan, 2, NULL, &err), &err);
    assert_int_equal(schedule_take(&s), 3); /* 10 s */
    assert_int_equal(schedule_take(&s), 0); /* 3 s */
    schedule_done(&s, 3);
    assert_int_equal(schedule_take(&s), 4); /* 9 s */
    assert_int_equal(schedule_take(&s), 5);
    assert_int_equal(schedule_take(&s), -1);
    schedule_release(&s);
}

static void what_needs_a_failed_job_is_left_out_and_nothing_else(void **state)
{
    struct graph g;
    struct schedule s;
    struct err err = ERR_INIT;

    (void)state;
    graph_make(&g);
    assert_ok(schedule_init(&s, &g.plan, 1, NULL, &err), &err);
    assert_int_equal(schedule_take(&s), 0);
    schedule_failed(&s, 0);
    assert_int_equal(s.left_out, 2);
    assert_int_equal(schedule_take(&s), 3);
    schedule_hold(&s, 3);
    assert_int_equal(schedule_take(&s), 5);
    assert_int_equal(schedule_take(&s), -1);
    schedule_back(&s, 3);
    assert_int_equal(schedule_take(&s), 3);
    schedule_done(&s, 3);
    assert_int_equal(schedule_take(&s), 4);
    schedule_release(&s);
}

static void cached_jobs_hold_nothing_up(void **state)
{
    struct graph g;
    struct schedule s;
    struct err err = ERR_INIT;

    (void)state;
    graph_make(&g);
    g.job[0].state = g.job[1].state = JOB_CACHED;
    assert_ok(schedule_init(&s, &g.plan, 1, NULL, &err), &err);
    assert_int_equal(schedule_take(&s), 2);
    schedule_release(&s);
}

static void a_part_leaves_out_what_needs_the_others(void **state)
{
    static const bool only[JOBS] = {[1] = true, [3] = true, [4] = true};
    struct graph g;
    struct schedule s;
    struct err err = ERR_INIT;

    (void)state;
    graph_make(&g);
    assert_ok(schedule_init(&s, &g.plan, 1, only, &err), &err);
    assert_int_equal(s.left_out, 1); /* 1 needs 0 */
    assert_int_equal(s.others, 3);
    assert_int_equal(schedule_take(&s), 3);
    schedule_done(&s, 3);
    assert_int_equal(schedule_take(&s), 4);
    assert_int_equal(schedule_take(&s), -1);
    schedule_release(&s);
}

static void a_forecast_follows_the_schedule(void **state)
{
    struct graph g;
    struct launch l = {.plan = &g.plan, .jobs = 1};

    (void)state;
    graph_make(&g);
    assert_float_equal(launch_forecast(&l), 15, 1e-9);
    l.jobs = 2; /* 3 + 4 beside 0 1 2 5 */
    assert_float_equal(launch_forecast(&l), 10, 1e-9);
    g.job[4].seconds = (double)NAN;
    assert_float_equal(launch_forecast(&l), 3, 1e-9);
}

/* ---- messages ---- */

static void messages_come_whole_however_they_are_cut(void **state)
{
    int fd[2];
    struct wire_in in = {NULL, 0, 0, 0};
    struct wire m = {WIRE_PROGRESS, 7, 3, 9, "step 3", 7}, got;
    struct err err = ERR_INIT;
    char bytes[256];
    bool found = false;

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
    assert_int_equal(wire_send(fd[0], &m), 0);
    ssize_t n = recv(fd[1], bytes, sizeof bytes, 0);
    for (ssize_t i = 0; i < n; i++) {
        assert_false(found);
        assert_int_equal(send(fd[0], bytes + i, 1, 0), 1);
        assert_int_equal(wire_read(&in, fd[1]), 1);
        assert_ok(wire_next(&in, &got, &found, &err), &err);
    }
    assert_true(found);
    assert_int_equal(got.type, WIRE_PROGRESS);
    assert_int_equal(got.job, 7);
    assert_int_equal(got.b, 9);
    assert_string_equal(got.text, "step 3");
    close(fd[0]);
    assert_int_equal(wire_read(&in, fd[1]), 0);
    assert_int_equal(wire_send(fd[1], &m), -1);
    wire_release(&in);
    close(fd[1]);
}

static void a_senseless_message_is_refused(void **state)
{
    int fd[2];
    struct wire_in in = {NULL, 0, 0, 0};
    struct wire got;
    struct err err = ERR_INIT;
    char bytes[64];
    bool found;

    (void)state;
    memset(bytes, 0x7f, sizeof bytes);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
    assert_int_equal(send(fd[0], bytes, sizeof bytes, 0), (int)sizeof bytes);
    assert_int_equal(wire_read(&in, fd[1]), 1);
    assert_fails(wire_next(&in, &got, &found, &err), &err, ERR_IO, "makes no sense");
    wire_release(&in);
    close(fd[0]);
    close(fd[1]);
}

/* ---- what a person sees ---- */

enum { ROWS = 60, COLUMNS = 160 };

/* A terminal that knows what ours is sent: what stands on it, and whether a line was too
 * long. */
struct terminal {
    int master, slave, saved; /* saved: the stderr that was */
    int columns, row, column, wraps;
    char cell[ROWS][COLUMNS][5];
};

static void terminal_open(struct terminal *t, int columns, const char *term,
                          const char *locale)
{
    struct winsize ws = {.ws_row = 24, .ws_col = (unsigned short)columns};

    memset(t, 0, sizeof *t);
    t->columns = columns;
    setenv("TERM", term, 1);
    setenv("LC_ALL", locale, 1);
    setenv("NO_COLOR", "1", 1);
    unsetenv("COLUMNS");
    unsetenv("LINES");
    t->master = posix_openpt(O_RDWR | O_NOCTTY);
    assert_true(t->master >= 0 && !grantpt(t->master) && !unlockpt(t->master));
    t->slave = open(ptsname(t->master), O_RDWR | O_NOCTTY);
    assert_true(t->slave >= 0);
    assert_int_equal(ioctl(t->slave, TIOCSWINSZ, &ws), 0);
    fcntl(t->master, F_SETFL, O_NONBLOCK);
    t->saved = dup(2);
    dup2(t->slave, 2);
}

static void terminal_close(struct terminal *t)
{
    dup2(t->saved, 2);
    close(t->saved);
    close(t->slave);
    close(t->master);
}

static void clear_from(struct terminal *t, int row, int column)
{
    for (int c = column; c < COLUMNS; c++)
        t->cell[row][c][0] = '\0';
}

/* Returns the bytes it took. */
static size_t escape(struct terminal *t, const char *s)
{
    char *end;
    long n = strtol(s + 2, &end, 10);

    assert_true(s[1] == '[');
    switch (*end) {
    case 'A':
        t->row -= n ? (int)n : 1;
        assert_true(t->row >= 0);
        break;
    case 'K':
        clear_from(t, t->row, t->column);
        break;
    case 'J':
        clear_from(t, t->row, t->column);
        for (int r = t->row + 1; r < ROWS; r++)
            clear_from(t, r, 0);
        break;
    default:
        fail_msg("an unknown escape: %c", *end);
    }
    return (size_t)(end - s) + 1;
}

static void put(struct terminal *t, const char *s, int bytes, int width)
{
    if (t->column + width > t->columns) {
        t->wraps++;
        t->row++;
        t->column = 0;
    }
    assert_true(t->row < ROWS);
    memcpy(t->cell[t->row][t->column], s, (size_t)bytes);
    t->cell[t->row][t->column][bytes] = '\0';
    if (width == 2)
        t->cell[t->row][t->column + 1][0] = '\0';
    t->column += width;
}

/* Takes in what was written; wide are three-byte characters from U+3000 on, as in these
 * tests. */
static void terminal_read(struct terminal *t)
{
    static char text[1 << 16];
    ssize_t n, all = 0;

    while ((n = read(t->master, text + all, sizeof text - 1 - (size_t)all)) > 0)
        all += n;
    text[all] = '\0';
    for (const char *s = text; *s;) {
        unsigned char c = (unsigned char)*s;
        int bytes = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
        if (c == '\033') {
            s += escape(t, s);
            continue;
        }
        if (c == '\r')
            t->column = 0;
        else if (c == '\n')
            t->row++;
        else
            put(t, s, bytes, bytes == 3 && c >= 0xe3 ? 2 : 1);
        s += bytes;
    }
}

static const char *line_at(const struct terminal *t, int row)
{
    static char line[5 * COLUMNS];
    size_t end = 0;

    line[0] = '\0';
    for (int c = 0; c < t->columns; c++) {
        strcat(line, t->cell[row][c][0] ? t->cell[row][c] : " ");
        if (t->cell[row][c][0] && strcmp(t->cell[row][c], " ") != 0)
            end = strlen(line);
    }
    line[end] = '\0';
    return line;
}

static const struct display_row rows[] = {
    {"trained", "seed=2", "step 260/400  loss 0.2140  41200 tok/s", 260, 400, 14},
    {"pruned", "label=一つずつ pruned.ratio=0.35 seed=1", "head 3/12", 3, 12,
     (double)NAN},
    {.stage = "result", .variables = "seed=3", .text = "waits for process 12 on here"},
};
static const struct display_totals totals = {12, 1, 2, 126, 141, 72, 300};

static void the_region_never_wraps(void **state)
{
    struct terminal t;
    struct err err = ERR_INIT;

    (void)state;
    for (int columns = 20; columns <= 150; columns++)
        for (int ascii = 0; ascii < 2; ascii++) {
            terminal_open(&t, columns, "xterm", ascii ? "C" : "C.UTF-8");
            struct display *d = display_new(false, &err);
            for (int64_t n = 3; n >= 1; n--) {
                display_draw(d, rows, n, &totals);
                terminal_read(&t);
                assert_int_equal(t.wraps, 0);
                assert_int_equal(t.row, n);
                assert_string_equal(line_at(&t, (int)n + 1), "");
            }
            display_free(d);
            terminal_read(&t);
            assert_string_equal(line_at(&t, 0), "");
            assert_int_equal(t.row, 0);
            terminal_close(&t);
        }
}

static void lines_that_stay_scroll_above_the_region(void **state)
{
    struct terminal t;
    struct err err = ERR_INIT;

    (void)state;
    terminal_open(&t, 100, "xterm", "C.UTF-8");
    struct display *d = display_new(false, &err);
    display_draw(d, rows, 1, &totals);
    display_line(d, TONE_BAD, "first failed: %s", "\033[2Jevil\a");
    display_draw(d, rows, 1, &totals);
    display_line(d, TONE_PLAIN, "second done");
    display_draw(d, rows, 1, &totals);
    terminal_read(&t);
    assert_string_equal(line_at(&t, 0), "first failed: ?[2Jevil?");
    assert_string_equal(line_at(&t, 1), "second done");
    assert_string_equal(line_at(&t, 2),
                        "trained  seed=2  ███████████████░░░░░░░░░  step 260/400  loss "
                        "0.2140  41200 tok/s  0:14 left");
    assert_string_equal(line_at(&t, 3),
                        "12 of 141 done, 1 failed, 2 cached, 126 waiting  "
                        "1:12  about 5:00 left");
    display_free(d);
    terminal_close(&t);
}

static void a_narrow_terminal_shows_whole_parts(void **state)
{
    struct terminal t;
    struct err err = ERR_INIT;

    (void)state;
    terminal_open(&t, 60, "xterm", "C");
    struct display *d = display_new(false, &err);
    display_draw(d, rows, 1, &totals);
    terminal_read(&t);
    assert_string_equal(line_at(&t, 0),
                        "trained  seed=2  step 260/400  loss 0.2140  0:14 left");
    display_free(d);
    terminal_close(&t);
}

static void a_dumb_terminal_gets_plain_lines(void **state)
{
    struct terminal t;
    struct err err = ERR_INIT;

    (void)state;
    terminal_open(&t, 80, "dumb", "C.UTF-8");
    struct display *d = display_new(false, &err);
    assert_false(display_live(d));
    display_draw(d, rows, 3, &totals);
    display_line(d, TONE_BAD, "a line");
    terminal_read(&t);
    assert_string_equal(line_at(&t, 0), "a line");
    assert_int_equal(t.row, 1);
    display_free(d);
    terminal_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_worker_keeps_the_order_of_the_plan),
        cmocka_unit_test(several_workers_begin_with_the_longest_chain),
        cmocka_unit_test(what_needs_a_failed_job_is_left_out_and_nothing_else),
        cmocka_unit_test(cached_jobs_hold_nothing_up),
        cmocka_unit_test(a_part_leaves_out_what_needs_the_others),
        cmocka_unit_test(a_forecast_follows_the_schedule),
        cmocka_unit_test(messages_come_whole_however_they_are_cut),
        cmocka_unit_test(a_senseless_message_is_refused),
        cmocka_unit_test(the_region_never_wraps),
        cmocka_unit_test(lines_that_stay_scroll_above_the_region),
        cmocka_unit_test(a_narrow_terminal_shows_whole_parts),
        cmocka_unit_test(a_dumb_terminal_gets_plain_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

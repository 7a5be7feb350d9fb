/*
 * Running a plan on a cluster: Slurm does what the launcher does on one machine.
 *
 * Jobs of one stage at the same depth of the plan make an array; a task of it does a
 * chunk of them, one after another, by `retort run --part` on a node that sees the same
 * store. An array waits for the end of those that its jobs need (afterany: what failed
 * there is left out here, by itself). Nothing runs between submission and end: all that
 * is known lies in the store,
 *
 *     <store>/slurm/<time>-<pid>/task.sh        what a task executes
 *                               /<n>.part       jobs of array n: "task id" a line
 *                               /arrays         "slurm-id n stage tasks" a line
 *                               /<id>_<task>.log
 *
 * so a second submission leaves to the first what is still on its way, and waits for it.
 * No shell is given a word of the spec: arguments go to sbatch as they are, and through
 * task.sh's "$@".
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "retort/file.h"
#include "workers.h"

#define TASKS_MAX 1000      /* of an array; Slurm's own limit is 1001 unless configured */
#define CHUNK_SECONDS 600.0 /* of a task whose spec names no chunk */

extern char **environ;

/* ---- programs of Slurm ---- */

struct args {
    char *v[48];
    int n;
    struct err err;
};

__attribute__((format(printf, 2, 3))) static void arg(struct args *a, const char *fmt,
                                                      ...)
{
    char text[PATH_MAX + 64];
    va_list ap;

    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (a->n + 1 >= (int)(sizeof a->v / sizeof *a->v) || n >= (int)sizeof text)
        err_set(&a->err, ERR_INPUT, "a command line for Slurm would be too long");
    else if ((a->v[a->n] = mem_strdup(text, &a->err)))
        a->n++;
}

static void args_free(struct args *a)
{
    for (int i = 0; i < a->n; i++)
        free(a->v[i]);
    a->n = 0;
}

static int start_program(pid_t *pid, char *const argv[], int out, struct err *err)
{
    posix_spawn_file_actions_t files;

    if (posix_spawn_file_actions_init(&files))
        return err_set(err, ERR_MEMORY, "not enough memory to start %s", argv[0]);
    posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&files, out, 1);
    posix_spawn_file_actions_adddup2(&files, out, 2);
    errno = posix_spawnp(pid, argv[0], &files, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&files);
    if (errno == ENOENT)
        return err_set(err, ERR_MISSING,
                       "%s is not here: is this a machine that submits "
                       "to Slurm?",
                       argv[0]);
    return errno ? err_errno(err, "%s cannot be started", argv[0]) : 0;
}

/* Runs it to its end; what it printed, both streams, goes to `out`. */
static int run_program(struct args *a, struct strbuf *out, struct err *err)
{
    char buf[4096];
    int pipes[2], status = 0;
    pid_t pid;
    ssize_t n;

    if (err_is_set(&a->err))
        return err_set(err, a->err.code, "%s", a->err.text);
    a->v[a->n] = NULL;
    if (pipe2(pipes, O_CLOEXEC))
        return err_errno(err, "%s cannot be started", a->v[0]);
    if (start_program(&pid, a->v, pipes[1], err)) {
        close(pipes[0]);
        close(pipes[1]);
        return -1;
    }
    close(pipes[1]);
    while ((n = read(pipes[0], buf, sizeof buf)) > 0 || (n < 0 && errno == EINTR))
        if (n > 0)
            strbuf_add(out, buf, (size_t)n);
    close(pipes[0]);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    if (status == 0)
        return 0;
    const char *said = strbuf_text(out);
    return err_set(err, ERR_IO, "%s: %.*s", a->v[0],
                   *said ? (int)strcspn(said, "\n") : 40,
                   *said ? said : "failed without a word");
}

/* ---- what is on its way ---- */

/* Slurm's ids of arrays that wait or run, sorted. */
struct living {
    int64_t *id, n, capacity;
};

static int by_number(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

static int ask_living(struct living *l, struct err *err)
{
    struct args a = {.err = ERR_INIT};
    struct strbuf out = STRBUF_INIT;
    int rc;

    arg(&a, "squeue");
    arg(&a, "--noheader");
    arg(&a, "--me");
    arg(&a, "--format=%%A %%F");
    rc = run_program(&a, &out, err);
    args_free(&a);
    for (char *p = rc ? NULL : out.text, *end; p && *p; p = end) {
        long long id = strtoll(p, &end, 10);
        if (end == p) { /* a blank or a line end */
            end = p + 1;
            continue;
        }
        if (mem_grow((void **)&l->id, l->n, &l->capacity, sizeof *l->id, err)) {
            rc = -1;
            break;
        }
        l->id[l->n++] = id;
    }
    strbuf_release(&out);
    if (!rc && l->n)
        qsort(l->id, (size_t)l->n, sizeof *l->id, by_number);
    return rc;
}

static bool lives(const struct living *l, int64_t id)
{
    return l->n && bsearch(&id, l->id, (size_t)l->n, sizeof *l->id, by_number);
}

/* Jobs of the plan by id, sorted. */
struct index {
    const struct plan *plan;
    int64_t *job;
};

static const struct plan *sorted; /* while by_id works */

static int by_id(const void *a, const void *b)
{
    return strcmp(sorted->job[*(const int64_t *)a].id,
                  sorted->job[*(const int64_t *)b].id);
}

static int index_init(struct index *x, const struct plan *plan, struct err *err)
{
    x->plan = sorted = plan;
    x->job = mem_new(plan->n, sizeof *x->job, err);
    if (!x->job)
        return -1;
    for (int64_t i = 0; i < plan->n; i++)
        x->job[i] = i;
    qsort(x->job, (size_t)plan->n, sizeof *x->job, by_id);
    return 0;
}

static int64_t index_find(const struct index *x, const char *id)
{
    int64_t lo = 0, hi = x->plan->n;

    while (lo < hi) {
        int64_t mid = lo + (hi - lo) / 2;
        int c = strcmp(x->plan->job[x->job[mid]].id, id);
        if (c == 0)
            return x->job[mid];
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return -1;
}

/* ---- part files ---- */

/* Calls `take` for each line "task id" of a part file. */
static int read_part(const char *path, struct err *err, void *ctx,
                     int (*take)(void *ctx, int64_t task, const char *id,
                                 struct err *err))
{
    char *text = NULL, *p, *end, id[65];
    int64_t len;
    int rc = file_read(&text, &len, path, 64 << 20, err);

    for (p = text; !rc && *p; p = end + 66) {
        long long task = strtoll(p, &end, 10);
        if (end == p || *end != ' ' || strspn(end + 1, "0123456789abcdef") != 64 ||
            end[65] != '\n' || task < 0) {
            rc = err_set(err, ERR_INPUT, "%s: byte %lld is no line \"task id\"", path,
                         (long long)(p - text + 1));
            break;
        }
        memcpy(id, end + 1, 64);
        id[64] = '\0';
        rc = take(ctx, task, id, err);
    }
    free(text);
    return rc;
}

struct wanted {
    const struct index *index;
    const char *spec;
    int64_t task, found;
    bool *only;
};

static int want(void *ctx, int64_t task, const char *id, struct err *err)
{
    struct wanted *w = ctx;
    int64_t job;

    if (task != w->task)
        return 0;
    job = index_find(w->index, id);
    if (job < 0)
        return err_set(err, ERR_INPUT,
                       "%s asks for other jobs than when it was submitted (%.10s is not "
                       "one of them): submit it again",
                       w->spec, id);
    w->only[job] = true;
    w->found++;
    return 0;
}

int part_read(bool **only, const struct plan *plan, const char *path, struct err *err)
{
    const char *number = getenv("SLURM_ARRAY_TASK_ID");
    struct index index = {0};
    char *end = NULL;
    struct wanted w = {.index = &index, .spec = spec_path(plan->spec)};
    int rc = -1;

    *only = NULL;
    if (number)
        w.task = strtoll(number, &end, 10);
    if (!number || end == number || *end)
        return err_set(err, ERR_INPUT,
                       "--part is for a task of Slurm: SLURM_ARRAY_TASK_ID is %s",
                       number ? "no number" : "not set");
    w.only = mem_new(plan->n, sizeof *w.only, err);
    if (w.only && !index_init(&index, plan, err) && !read_part(path, err, &w, want))
        rc = w.found ? 0 : err_set(err, ERR_INPUT, "%s: no job of task %s", path, number);
    free(index.job);
    if (rc)
        free(w.only);
    else
        *only = w.only;
    return rc;
}

/* ---- a submission ---- */

struct group { /* jobs of one stage at one depth */
    const char *stage;
    int64_t depth, n, tasks;
    int64_t array[16], arrays; /* Slurm's ids: one for each thousand tasks */
};

struct submission {
    const struct launch *l;
    const char *const *command;
    int64_t n_command;
    struct slurm_result *out;
    char dir[PATH_MAX - 64];
    int64_t *depth, *group; /* of each job; group -1: not ours to submit */
    int64_t *owner;         /* Slurm's id of the array that does it already, or 0 */
    struct group *g;
    int64_t n_groups;
};

static bool to_do(const struct job *j)
{
    return j->state != JOB_CACHED;
}

struct claim {
    const struct index *index;
    int64_t *owner, id;
};

static int claim_job(void *ctx, int64_t task, const char *id, struct err *err)
{
    const struct claim *c = ctx;
    int64_t job = index_find(c->index, id);

    (void)task;
    (void)err;
    if (job >= 0)
        c->owner[job] = c->id;
    return 0;
}

/* Lines "slurm-id n stage tasks" of one earlier submission; what cannot be read is none
 * of ours. */
static void claim_arrays(struct submission *s, const char *dir, const struct living *l,
                         const struct index *index)
{
    struct err quiet = ERR_INIT;
    char path[PATH_MAX], *text = NULL;
    int64_t len;

    if (snprintf(path, sizeof path, "%s/arrays", dir) >= (int)sizeof path ||
        file_read(&text, &len, path, 1 << 20, &quiet))
        return;
    for (char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n') {
        long long id, n;
        if (sscanf(line, "%lld %lld ", &id, &n) != 2 || !lives(l, id) ||
            snprintf(path, sizeof path, "%s/%lld.part", dir, n) >= (int)sizeof path)
            continue;
        read_part(path, &quiet, &(struct claim){index, s->owner, id}, claim_job);
        err_clear(&quiet);
    }
    free(text);
}

static int find_owners(struct submission *s, struct err *err)
{
    struct living living = {0};
    struct index index = {0};
    char dir[PATH_MAX];
    int rc = ask_living(&living, err) || index_init(&index, s->l->plan, err) ? -1 : 0;
    DIR *d = NULL;

    snprintf(dir, sizeof dir, "%s/slurm", store_dir(s->l->store));
    if (!rc && living.n)
        d = opendir(dir);
    for (struct dirent *e; d && (e = readdir(d));)
        if (e->d_name[0] != '.' &&
            snprintf(dir, sizeof dir, "%s/slurm/%s", store_dir(s->l->store), e->d_name) <
                (int)sizeof dir)
            claim_arrays(s, dir, &living, &index);
    if (d)
        closedir(d);
    free(index.job);
    free(living.id);
    return rc;
}

/* Depth: jobs to be done that a job waits for, at most, one after another. */
static int make_groups(struct submission *s, struct err *err)
{
    const struct plan *plan = s->l->plan;
    int64_t room = 0;

    for (int64_t i = 0; i < plan->n; i++) {
        const struct job *j = &plan->job[i];
        int64_t g = 0;
        s->group[i] = -1;
        if (!to_do(j))
            continue;
        for (int64_t k = 0; k < j->n_needs; k++)
            if (to_do(&plan->job[j->needs[k]]) && s->depth[j->needs[k]] >= s->depth[i])
                s->depth[i] = s->depth[j->needs[k]] + 1;
        if (s->owner[i]) {
            s->out->on_their_way++;
            continue;
        }
        while (g < s->n_groups &&
               (s->g[g].depth != s->depth[i] || strcmp(s->g[g].stage, j->stage) != 0))
            g++;
        if (g == s->n_groups) {
            if (mem_grow((void **)&s->g, g, &room, sizeof *s->g, err))
                return -1;
            s->g[s->n_groups++] = (struct group){.stage = j->stage, .depth = s->depth[i]};
        }
        s->group[i] = g;
        s->g[g].n++;
    }
    return 0;
}

/* Jobs go to tasks in their order: `chunk` to each, or as many as fill ten minutes. */
static int write_parts(struct submission *s, int64_t g, struct strbuf *text,
                       struct err *err)
{
    struct cluster c = spec_cluster(s->l->plan->spec, s->g[g].stage);
    int64_t task = -1, n = 0;
    double seconds = 0;
    char path[PATH_MAX];

    strbuf_clear(text);
    for (int64_t i = 0; i < s->l->plan->n; i++) {
        const struct job *j = &s->l->plan->job[i];
        if (s->group[i] != g)
            continue;
        bool unknown = isnan(j->seconds);
        bool full =
            c.chunk ? n == c.chunk : unknown || seconds + j->seconds > CHUNK_SECONDS;
        if (task < 0 || full) {
            task++;
            n = 0;
            seconds = 0;
        }
        n++;
        seconds += unknown ? CHUNK_SECONDS : j->seconds;
        strbuf_printf(text, "%lld %s\n", (long long)task, j->id);
    }
    s->g[g].tasks = task + 1;
    if (s->g[g].tasks >
        (int64_t)(TASKS_MAX * (sizeof s->g[g].array / sizeof *s->g[g].array)))
        return err_set(err, ERR_INPUT,
                       "stage %s would be %lld tasks; ask for more jobs in each by "
                       "\"chunk\"",
                       s->g[g].stage, (long long)s->g[g].tasks);
    if (snprintf(path, sizeof path, "%s/%lld.part", s->dir, (long long)g) >=
        (int)sizeof path)
        return err_set(err, ERR_INPUT, "%s is too long a path", s->dir);
    return strbuf_failed(text, err) ||
                   file_write(path, strbuf_text(text), (int64_t)text->len, err)
               ? -1
               : 0;
}

/* "afterany:12:13", or "" */
static void put_dependencies(struct submission *s, int64_t g, struct strbuf *out)
{
    const struct plan *plan = s->l->plan;
    struct strbuf seen = STRBUF_INIT;

    strbuf_puts(&seen, ":");
    for (int64_t i = 0; i < plan->n; i++)
        for (int64_t k = 0; s->group[i] == g && k < plan->job[i].n_needs; k++) {
            int64_t need = plan->job[i].needs[k];
            int64_t own = s->owner[need], from = s->group[need];
            int64_t n = own ? 1 : from >= 0 ? s->g[from].arrays : 0;
            for (int64_t a = 0; a < n; a++) {
                char id[32];
                snprintf(id, sizeof id,
                         ":%lld:", (long long)(own ? own : s->g[from].array[a]));
                if (!strstr(strbuf_text(&seen), id))
                    strbuf_puts(&seen, id + 1);
            }
        }
    if (seen.len > 1)
        strbuf_printf(out, "afterany:%.*s", (int)seen.len - 2, seen.text + 1);
    out->failed |= seen.failed;
    strbuf_release(&seen);
}

static void put_resources(struct args *a, const struct cluster *c)
{
    arg(a, "--cpus-per-task=%lld", (long long)c->cores);
    if (c->memory)
        arg(a, "--mem=%s", c->memory);
    if (c->time)
        arg(a, "--time=%s", c->time);
    if (c->gpus)
        arg(a, "--gres=gpu:%lld", (long long)c->gpus);
    if (c->partition)
        arg(a, "--partition=%s", c->partition);
    if (c->account)
        arg(a, "--account=%s", c->account);
}

/* Tasks `from` to `to` of a group as one array. */
static int submit_array(struct submission *s, int64_t g, int64_t from, int64_t to,
                        const char *after, struct err *err)
{
    struct cluster c = spec_cluster(s->l->plan->spec, s->g[g].stage);
    struct args a = {.err = ERR_INIT};
    struct strbuf out = STRBUF_INIT;
    char *end = NULL;
    int rc;

    arg(&a, "sbatch");
    arg(&a, "--parsable");
    arg(&a, "--requeue");
    arg(&a, "--open-mode=append");
    arg(&a, "--job-name=%s", s->g[g].stage);
    arg(&a, "--array=%lld-%lld", (long long)from, (long long)to);
    arg(&a, "--output=%s/%%A_%%a.log", s->dir);
    arg(&a, "--signal=B:USR1@%lld", (long long)c.warn);
    if (*after)
        arg(&a, "--dependency=%s", after);
    put_resources(&a, &c);
    arg(&a, "%s/task.sh", s->dir);
    for (int64_t i = 0; i < s->n_command; i++)
        arg(&a, "%s", s->command[i]);
    if (!s->l->threads)
        arg(&a, "--threads=%lld", (long long)c.cores);
    arg(&a, "--part=%s/%lld.part", s->dir, (long long)g);
    rc = run_program(&a, &out, err);
    args_free(&a);
    long long id = rc ? 0 : strtoll(strbuf_text(&out), &end, 10);
    if (!rc && id <= 0)
        rc = err_set(err, ERR_IO, "sbatch said \"%.*s\" in place of a job's number",
                     (int)strcspn(strbuf_text(&out), "\n"), strbuf_text(&out));
    if (!rc)
        s->g[g].array[s->g[g].arrays++] = id;
    strbuf_release(&out);
    return rc;
}

/* A line of the list, synced: what Slurm has is never forgotten. */
static int note_array(const struct submission *s, int64_t g, struct err *err)
{
    char path[PATH_MAX], line[256];
    int n = snprintf(line, sizeof line, "%lld %lld %s %lld\n",
                     (long long)s->g[g].array[s->g[g].arrays - 1], (long long)g,
                     s->g[g].stage, (long long)s->g[g].tasks);
    int fd, rc;

    snprintf(path, sizeof path, "%s/arrays", s->dir);
    fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (fd < 0)
        return err_errno(err, "%s", path);
    rc = write(fd, line, (size_t)n) == n && !fsync(fd) ? 0 : err_errno(err, "%s", path);
    close(fd);
    return rc;
}

static int submit_group(struct submission *s, int64_t g, struct strbuf *text,
                        struct err *err)
{
    struct strbuf after = STRBUF_INIT;
    int rc = write_parts(s, g, text, err);

    put_dependencies(s, g, &after);
    if (!rc && strbuf_failed(&after, err))
        rc = -1;
    for (int64_t t = 0; !rc && t < s->g[g].tasks; t += TASKS_MAX) {
        int64_t last = t + TASKS_MAX < s->g[g].tasks ? t + TASKS_MAX : s->g[g].tasks;
        rc = submit_array(s, g, t, last - 1, strbuf_text(&after), err) ||
                     note_array(s, g, err)
                 ? -1
                 : 0;
    }
    strbuf_release(&after);
    return rc;
}

/* Half a submission is none. */
static void take_back(const struct submission *s)
{
    struct args a = {.err = ERR_INIT};
    struct strbuf out = STRBUF_INIT;
    struct err quiet = ERR_INIT;

    for (int64_t g = 0; g < s->n_groups; g++)
        for (int64_t k = 0; k < s->g[g].arrays; k++) {
            arg(&a, "scancel");
            arg(&a, "%lld", (long long)s->g[g].array[k]);
            run_program(&a, &out, &quiet);
            err_clear(&quiet);
            args_free(&a);
        }
    strbuf_release(&out);
}

static int prepare_folder(struct submission *s, struct err *err)
{
    static const char script[] = "#!/bin/sh\n"
                                 "# A task of an array: what to do is in its arguments. "
                                 "Signals go to it, not to a shell.\n"
                                 "exec \"$@\"\n";
    char stamp[32], path[PATH_MAX];
    time_t now = time(NULL);
    struct tm tm;

    strftime(stamp, sizeof stamp, "%Y%m%dT%H%M%S", gmtime_r(&now, &tm));
    if (snprintf(s->dir, sizeof s->dir, "%s/slurm/%s-%ld", store_dir(s->l->store), stamp,
                 (long)getpid()) >= (int)sizeof s->dir)
        return err_set(err, ERR_INPUT, "%s is too long a path", store_dir(s->l->store));
    snprintf(path, sizeof path, "%s/task.sh", s->dir);
    if (file_mkdirs(s->dir, err) ||
        file_write(path, script, (int64_t)sizeof script - 1, err))
        return -1;
    return chmod(path, 0755) ? err_errno(err, "%s", path) : 0;
}

/* What is needed goes first: those that wait for it name it. */
static int submit_all(struct submission *s, struct err *err)
{
    struct strbuf text = STRBUF_INIT;
    int64_t done = 0;
    int rc = prepare_folder(s, err);

    for (int64_t depth = 0; !rc && done < s->n_groups; depth++)
        for (int64_t g = 0; !rc && g < s->n_groups; g++)
            if (s->g[g].depth == depth) {
                rc = submit_group(s, g, &text, err);
                done++;
            }
    strbuf_release(&text);
    if (rc)
        take_back(s);
    return rc;
}

static void tell_result(const struct submission *s)
{
    struct slurm_result *r = s->out;

    for (int64_t g = 0; g < s->n_groups; g++) {
        r->jobs += s->g[g].n;
        r->tasks += s->g[g].tasks;
        r->arrays += s->g[g].arrays;
        for (int64_t k = 0; k < s->g[g].arrays; k++)
            strbuf_printf(&r->ids, "%s%lld", r->ids.len ? " " : "",
                          (long long)s->g[g].array[k]);
    }
    strbuf_puts(&r->dir, s->dir);
}

int slurm_submit(struct slurm_result *out, const struct launch *l,
                 const char *const *command, int64_t n_command, struct err *err)
{
    struct submission s = {
        .l = l, .command = command, .n_command = n_command, .out = out};
    int64_t n = l->plan->n;
    int rc = -1;

    s.depth = mem_new(n, sizeof *s.depth, err);
    s.group = mem_new(n, sizeof *s.group, err);
    s.owner = mem_new(n, sizeof *s.owner, err);
    if (!s.depth || !s.group || !s.owner || find_owners(&s, err) || make_groups(&s, err))
        goto done;
    rc = s.n_groups ? submit_all(&s, err) : 0;
    if (!rc)
        tell_result(&s);
done:
    free(s.g);
    free(s.owner);
    free(s.group);
    free(s.depth);
    return rc;
}

void slurm_result_release(struct slurm_result *r)
{
    strbuf_release(&r->ids);
    strbuf_release(&r->dir);
}

/* ---- from inside a task ---- */

int slurm_requeue(struct err *err)
{
    const char *array = getenv("SLURM_ARRAY_JOB_ID"),
               *task = getenv("SLURM_ARRAY_TASK_ID");
    struct args a = {.err = ERR_INIT};
    struct strbuf out = STRBUF_INIT;
    int rc;

    arg(&a, "scontrol");
    arg(&a, "requeue");
    arg(&a, "%s_%s", array ? array : "", task ? task : "");
    rc = run_program(&a, &out, err);
    args_free(&a);
    strbuf_release(&out);
    return rc;
}

/* SPDX-License-Identifier: MIT */
/* A pattern is compiled to a few instructions each time that it is used, which takes no time beside
 * the search. */
#include "text/regex.h"

#include <assert.h>
#include <string.h>

#include "core/utf8.h"
#include "text/caption_tables.h"
#include "text/unicode.h"

enum { MOST_INSTRUCTIONS = 128, MOST_RANGES = 32, UNBOUNDED = INT32_MAX };

/* ----------------------------------------------------------------------------------- characters */

bool tg__is_decimal(int32_t code)
{
    size_t low = 0, high = tg__decimals_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (code > tg__decimals[middle].last)
            low = middle + 1;
        else
            high = middle;
    }
    return low < tg__decimals_count && code >= tg__decimals[low].first;
}

bool tg__is_word(int32_t code)
{
    return code == '_' || tg__unicode_flags(code) & (TG__LETTER | TG__NUMBER);
}

static bool is_space(int32_t code) { return tg__unicode_flags(code) & TG__SPACE; }

/* \w, \d, \s by their letter, the capital for the opposite. */
static bool is_of_class(char class, int32_t code)
{
    switch (class) {
    case 'w':
        return tg__is_word(code);
    case 'W':
        return !tg__is_word(code);
    case 'd':
        return tg__is_decimal(code);
    case 'D':
        return !tg__is_decimal(code);
    case 's':
        return is_space(code);
    default:
        return !is_space(code);
    }
}

typedef struct set {
    bool negated;
    char classes[4];
    int class_count, range_count;
    int32_t first[MOST_RANGES], last[MOST_RANGES];
} set;

static bool contains(const set *s, int32_t code)
{
    bool found = false;
    for (int i = 0; i < s->range_count && !found; i++)
        found = code >= s->first[i] && code <= s->last[i];
    for (int i = 0; i < s->class_count && !found; i++)
        found = is_of_class(s->classes[i], code);
    return found != s->negated;
}

/* ------------------------------------------------------------------------------------ compiling */

typedef enum op {
    SET,   /* least to most characters of the set, as many as possible */
    SPLIT, /* the next instruction, or `target` */
    JUMP,
    SAVE,     /* the place, as a group's start or stop */
    START,    /* of the text */
    END,      /* of the text, or in front of a line break at its end */
    BOUNDARY, /* of a word */
    NOT_AHEAD,
    BEHIND,
    FAIL,
    ACCEPT,
} op;

typedef struct instruction {
    op op;
    int least, most, target, slot;
    set set;
} instruction;

typedef struct program {
    const char *at; /* of the pattern */
    int count, groups;
    instruction code[MOST_INSTRUCTIONS];
} program;

static int emit(program *p, op kind)
{
    assert(p->count < MOST_INSTRUCTIONS); /* patterns are ours */
    p->code[p->count] = (instruction){.op = kind};
    return p->count++;
}

static bool take(program *p, const char *word)
{
    size_t n = strlen(word);
    if (strncmp(p->at, word, n) != 0)
        return false;
    p->at += n;
    return true;
}

static int32_t hex(program *p, int digits)
{
    int32_t code = 0;
    for (; digits > 0; digits--, p->at++)
        code = 16 * code + (*p->at <= '9' ? *p->at - '0' : (*p->at | 32) - 'a' + 10);
    return code;
}

static void add_range(set *s, int32_t first, int32_t last)
{
    s->first[s->range_count] = first;
    s->last[s->range_count++] = last;
}

enum { CLASS = -1 };

/* A character behind a backslash, or CLASS. */
static int32_t escaped(program *p, set *s)
{
    char c = *p->at++;
    if (c == 'u')
        return hex(p, 4);
    if (c == 'x')
        return hex(p, 2);
    if (c == 'n')
        return '\n';
    if (!strchr("wWdDsS", c))
        return c;
    s->classes[s->class_count++] = c;
    return CLASS;
}

static int32_t character(program *p, set *s)
{
    return take(p, "\\") ? escaped(p, s) : tg__utf8_next(&p->at);
}

/* Behind the bracket. */
static set bracket(program *p)
{
    set s = {.negated = take(p, "^")};
    while (!take(p, "]")) {
        int32_t first = character(p, &s);
        if (first == CLASS)
            continue;
        bool range = p->at[0] == '-' && p->at[1] != ']';
        if (range)
            p->at++;
        add_range(&s, first, range ? character(p, &s) : first);
    }
    return s;
}

static set one_set(program *p)
{
    set s = {0};
    if (take(p, "["))
        return bracket(p);
    int32_t code = character(p, &s);
    if (code != CLASS)
        add_range(&s, code, code);
    return s;
}

static int number(program *p)
{
    int n = 0;
    while (*p->at >= '0' && *p->at <= '9')
        n = 10 * n + (*p->at++ - '0');
    return n;
}

static void quantifier(program *p, instruction *i)
{
    i->least = i->most = 1;
    if (take(p, "*") || take(p, "+") || take(p, "?")) {
        char c = p->at[-1];
        i->least = c == '+';
        i->most = c == '?' ? 1 : UNBOUNDED;
    } else if (take(p, "{")) {
        i->least = i->most = number(p);
        if (take(p, ","))
            i->most = *p->at == '}' ? UNBOUNDED : number(p);
        take(p, "}");
    }
}

static void alternatives(program *p);

/* Behind the opening bracket. */
static void group(program *p)
{
    op look = take(p, "?!") ? NOT_AHEAD : take(p, "?<=") ? BEHIND : ACCEPT;
    if (look != ACCEPT) {
        int at = emit(p, look);
        p->code[at].set = one_set(p);
        take(p, ")");
        return;
    }
    int split = emit(p, SPLIT), number = take(p, "?:") ? 0 : ++p->groups;
    if (number)
        p->code[emit(p, SAVE)].slot = 2 * number;
    alternatives(p);
    take(p, ")");
    if (number)
        p->code[emit(p, SAVE)].slot = 2 * number + 1;
    bool again = take(p, "*");
    if (again)
        p->code[emit(p, JUMP)].target = split;
    bool optional = again || take(p, "?");
    if (!optional) /* straight into it */
        p->code[split].op = JUMP;
    p->code[split].target = optional ? p->count : split + 1;
}

static void item(program *p)
{
    if (take(p, "("))
        group(p);
    else if (take(p, "^"))
        emit(p, START);
    else if (take(p, "$"))
        emit(p, END);
    else if (take(p, "\\b"))
        emit(p, BOUNDARY);
    else {
        set s = one_set(p);
        int at = emit(p, SET);
        p->code[at].set = s;
        quantifier(p, &p->code[at]);
    }
}

/* Up to the closing bracket or the end. */
static void alternatives(program *p)
{
    int ends[16], count = 0, split;
    do {
        split = emit(p, SPLIT);
        while (*p->at && *p->at != '|' && *p->at != ')')
            item(p);
        ends[count++] = emit(p, JUMP);
        p->code[split].target = p->count;
    } while (take(p, "|"));
    emit(p, FAIL);
    for (int i = 0; i < count; i++)
        p->code[ends[i]].target = p->count;
}

/* ------------------------------------------------------------------------------------- matching */

typedef struct matcher {
    const program *program;
    const tg__chars *text;
    tg__effort *effort;
    size_t saved[2 * TG__REGEX_GROUPS];
} matcher;

static bool is_boundary(const tg__chars *text, size_t at)
{
    bool before = at > 0 && tg__is_word(text->at[at - 1].code);
    bool behind = at < text->count && tg__is_word(text->at[at].code);
    return before != behind;
}

/* Whether an instruction that takes nothing holds here. */
static bool holds(const matcher *m, const instruction *i, size_t at)
{
    const tg__chars *text = m->text;
    switch (i->op) {
    case START:
        return at == 0;
    case END:
        return at == text->count || (at + 1 == text->count && text->at[at].code == '\n');
    case BOUNDARY:
        return is_boundary(text, at);
    case NOT_AHEAD:
        return at == text->count || !contains(&i->set, text->at[at].code);
    default:
        return at > 0 && contains(&i->set, text->at[at - 1].code);
    }
}

static bool run(matcher *m, int pc, size_t at);

static bool run_set(matcher *m, int pc, size_t at)
{
    const instruction *i = &m->program->code[pc];
    size_t count = 0, left = m->text->count - at,
           most = (size_t)i->most < left ? (size_t)i->most : left;
    while (count < most && contains(&i->set, m->text->at[at + count].code))
        count++;
    m->effort->left -= (int64_t)count;
    for (; count + 1 > (size_t)i->least; count--) {
        if (run(m, pc + 1, at + count))
            return true;
        if (count == 0)
            break;
    }
    return false;
}

static bool run_save(matcher *m, int pc, size_t at)
{
    int slot = m->program->code[pc].slot;
    size_t before = m->saved[slot];
    m->saved[slot] = at;
    if (run(m, pc + 1, at))
        return true;
    m->saved[slot] = before;
    return false;
}

static bool run(matcher *m, int pc, size_t at)
{
    for (;;) {
        const instruction *i = &m->program->code[pc];
        if (--m->effort->left < 0)
            return false;
        switch (i->op) {
        case SET:
            return run_set(m, pc, at);
        case SAVE:
            return run_save(m, pc, at);
        case SPLIT:
            if (run(m, pc + 1, at))
                return true;
            pc = i->target;
            break;
        case JUMP:
            pc = i->target;
            break;
        case FAIL:
            return false;
        case ACCEPT:
            m->saved[1] = at;
            return true;
        default:
            if (!holds(m, i, at))
                return false;
            pc++;
        }
    }
}

static program compile(const char *pattern)
{
    program p = {.at = pattern};
    alternatives(&p);
    emit(&p, ACCEPT);
    return p;
}

static bool fits(const program *p, const tg__chars *text, size_t at, tg__match *match,
                 tg__effort *effort)
{
    matcher m = {.program = p, .text = text, .effort = effort};
    for (int i = 0; i < TG__REGEX_GROUPS; i++)
        m.saved[2 * i] = 1; /* above its stop, 0 */
    m.saved[0] = at;
    if (!run(&m, 0, at))
        return false;
    for (int i = 0; i < TG__REGEX_GROUPS; i++) {
        match->start[i] = m.saved[2 * i];
        match->stop[i] = m.saved[2 * i + 1];
    }
    return true;
}

static bool find(const program *p, const tg__chars *text, size_t from, tg__match *match,
                 tg__effort *effort)
{
    for (size_t at = from; at <= text->count && effort->left >= 0; at++)
        if (fits(p, text, at, match, effort))
            return true;
    return false;
}

bool tg__regex_at(const char *pattern, const tg__chars *text, size_t at, tg__match *match,
                  tg__effort *effort)
{
    program p = compile(pattern);
    return fits(&p, text, at, match, effort);
}

bool tg__regex_find(const char *pattern, const tg__chars *text, size_t from, tg__match *match,
                    tg__effort *effort)
{
    program p = compile(pattern);
    return find(&p, text, from, match, effort);
}

static bool copy(tg__chars *dst, const tg__chars *src, size_t start, size_t stop)
{
    for (size_t i = start; i < stop; i++)
        if (!tg__chars_push(dst, src->at[i].code, 0))
            return false;
    return true;
}

static bool put_replacement(tg__chars *dst, const tg__chars *src, const tg__match *match,
                            const char *by)
{
    bool ok = true;
    while (*by && ok) {
        if (by[0] == '\\') {
            ok = copy(dst, src, match->start[1], match->stop[1]);
            by += 2;
        } else {
            ok = tg__chars_push(dst, *by++, 0);
        }
    }
    return ok;
}

bool tg__regex_replace(tg__chars *text, const char *pattern, const char *by, tg__effort *effort)
{
    program p = compile(pattern);
    tg__chars made = {0};
    tg__match match;
    size_t from = 0;
    bool ok = true;
    while (ok && find(&p, text, from, &match, effort)) {
        ok = copy(&made, text, from, match.start[0]) && put_replacement(&made, text, &match, by);
        from = match.stop[0];
    }
    ok = ok && copy(&made, text, from, text->count);
    if (ok) {
        tg__chars swap = *text;
        *text = made;
        made = swap;
    }
    tg__chars_free(&made);
    return ok;
}
